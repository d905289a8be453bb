//! The RAM stores (the oracles), the simulated clock, the script runner and the conformance suites.
//!
//! Nothing here knows a query language or an engine: scripts run on any [`ScriptEngine`], suites on any store.

mod clock;
mod compare;
mod conformance;
mod log_script;
mod log_store;
mod log_suite;
mod nhcb;
mod runner;
mod script;
mod span_store;
mod state_store;
mod store;
mod suite;

pub use clock::SimClock;
pub use compare::{almost_equal, histograms_match};
pub use conformance::{Tally, conformance_dir, files_with_extension, script_files};
pub use log_script::{LogAnswer, LogCase, LogScriptEngine, LogTimes, run_log_script};
pub use log_store::MemLogStore;
pub use log_suite::{LogRows, log_rows};
pub use reba_model::notation::{
    NotationError, SeriesLine, SeriesValue, StartTimes, parse_series, parse_start_times,
};
pub use runner::{Answer, CaseResult, Failure, Outcome, ScriptEngine, run_script};
pub use script::{
    Command, Eval, EvalTimes, Expect, ExpectKind, ExpectText, Load, LoadedSeries, ScriptError, parse_script,
};
pub use span_store::MemSpanStore;
pub use state_store::{RamState, state_suite};
pub use store::{MemConfig, MemStore};
pub use suite::{MetricStore, SuiteConfig, metric_suite};
