//! What rules need of a query engine.

use std::sync::Arc;

use futures::future::BoxFuture;
use reba_model::{Histogram, Labels};
use reba_template::prometheus::table_link;
use thiserror::Error;

/// The value of one element.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl SampleValue {
    /// The number that an alert shows; a histogram counts as 0, as upstream has it.
    pub fn as_f64(&self) -> f64 {
        match self {
            SampleValue::Float(v) => *v,
            SampleValue::Histogram(_) => 0.0,
        }
    }
}

/// One element of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSample {
    /// Labels, the metric name included if the expression keeps it.
    pub labels: Labels,
    /// The value.
    pub value: SampleValue,
}

/// Why a query gave no result; the text is shown as the rule's last error.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct RuleQueryError(pub String);

/// File and name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupName<'a> {
    /// The file.
    pub file: &'a str,
    /// The name, unique in the file.
    pub name: &'a str,
}

/// Runs instant queries for rules.
///
/// A scalar counts as one element without labels; any other result that is no instant vector is the error
/// `rule result is not a vector or scalar`. Every query ends by itself after the engine's timeout.
pub trait RuleQuerier: Send + Sync {
    /// The elements of `query` at `t`, Unix milliseconds.
    fn instant<'a>(
        &'a self,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>>;

    /// The same for a rule of a group, which may be written down.
    fn instant_for<'a>(
        &'a self,
        _group: GroupName<'a>,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        self.instant(query, t)
    }

    /// The newest lines, at most `limit`, behind the element with `labels` of the result of `query` at `t`; only for queries about
    /// logs.
    fn lines<'a>(
        &'a self,
        _query: &'a str,
        _labels: &'a Labels,
        _t: i64,
        _limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuleQueryError>> {
        Box::pin(async { Err(RuleQueryError("only rules about logs have lines".to_owned())) })
    }

    /// Path and query of the page that shows an expression, for the links of alerts.
    fn link(&self, query: &str) -> String {
        table_link(query)
    }
}
