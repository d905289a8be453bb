//! Recording and alerting rule groups.
//!
//! [`RuleFile`] reads and checks rule files. [`RuleManager`] evaluates them: each group is a task that runs its rules in
//! source order on a fixed grid of time. Expressions are PromQL, or, in [`logs`], LogQL. What happens to an alert is the pure function [`lifecycle::step`]; everything
//! around it is thin. Alerts leave through a bounded channel; a full or closed one never stops evaluation.

mod alerting;
pub mod backtest;
mod engine;
mod expand;
mod file;
mod group;
mod language;
pub mod lifecycle;
pub mod logs;
mod manager;
mod querier;
mod restore;
mod status;
pub mod unit_test;
mod write;

pub use engine::{EngineQuerier, Watch};
pub use file::{
    AlertingRule, FileOptions, Rule, RuleError, RuleFile, RuleGroup, RuleKind, describe_duplicates,
};
pub use language::Language;
pub use lifecycle::AlertState;
pub use manager::{ALERT_QUEUE_BATCHES, Clock, Evaluated, ManagerOptions, Parts, RuleManager, RuleSettings};
pub use querier::{GroupName, RuleQuerier, RuleQueryError, RuleSample, SampleValue};
pub use status::{AlertStatus, AlertingStatus, GroupStatus, Metrics, RuleHealth, RuleStatus};
