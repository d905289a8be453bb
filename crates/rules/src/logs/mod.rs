//! Rules about logs, as Loki's ruler has them: LogQL instead of PromQL, groups by tenant and namespace, from files and from the
//! ruler API.
//!
//! [`LogRuler`] has a [`crate::RuleManager`] for every tenant; what happens to rules and alerts is the same as with metrics.

mod definition;
mod folder;
mod lines;
mod querier;
mod ruler;
mod store;
mod tenant;
mod tenant_store;

pub use definition::{GroupDefinition, RuleDefinition};
pub use folder::{RuleFolder, TenantFile};
pub use querier::LogRuleQuerier;
pub use ruler::{
    GroupError, LogRuler, LogRulerOptions, LogRulerParts, LogRulerSettings, RulerLimits, TenantStatus,
};
pub use tenant_store::TENANT_LABEL;
