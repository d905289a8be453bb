//! The languages in which the expressions of rules are written.

use reba_logql::{
    pipeline::{Pipeline, Unwrapper, Wanted},
    range_aggregations,
    syntax::{self as logql, Expr},
};
use reba_promql::syntax::{self as promql, ParseOptions};

/// The language of a file's expressions.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    /// PromQL, and what of it is accepted.
    Promql(ParseOptions),
    /// LogQL: queries that answer with numbers.
    Logql,
}

impl Default for Language {
    fn default() -> Self {
        Language::Promql(ParseOptions::default())
    }
}

impl Language {
    /// Checks an expression and returns it as upstream prints it. The error is the parser's.
    pub(crate) fn canonical(self, expr: &str) -> Result<String, String> {
        match self {
            Language::Promql(options) => {
                promql::parse(expr, options).map(|tree| tree.to_string()).map_err(|e| e.to_string())
            }
            Language::Logql => log_metric(expr),
        }
    }

    /// Whether templates have the function `lines`.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self, Language::Logql)
    }
}

/// Checks a LogQL query with all its stages, as evaluation would.
fn log_metric(expr: &str) -> Result<String, String> {
    let tree = logql::parse(expr).map_err(|e| e.to_string())?;
    let Expr::Metric(metric) = &tree else {
        let text = "a rule needs a query that answers with numbers, such as count_over_time({…} [5m])";
        return Err(text.to_owned());
    };
    for aggregation in range_aggregations(metric) {
        Pipeline::compile(&aggregation.log.stages, Wanted::All, 0).map_err(|e| e.to_string())?;
        if let Some(unwrap) = &aggregation.unwrap {
            Unwrapper::compile(unwrap).map_err(|e| e.to_string())?;
        }
    }
    Ok(tree.to_string())
}
