//! Plans: what a query needs, and when it is evaluated.

use reba_model::{Matcher, TimeRange};

use super::{error::EvalError, node::Node, planner, value::Steps};
use crate::syntax::{Expr, ValueType};

/// The times a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTimes {
    /// One time.
    Instant {
        /// Unix milliseconds.
        t: i64,
    },
    /// Every `step` milliseconds from `start` to at most `end`.
    Range {
        /// First time, Unix milliseconds.
        start: i64,
        /// Last time, Unix milliseconds.
        end: i64,
        /// Milliseconds between two steps.
        step: i64,
    },
}

impl QueryTimes {
    /// First and last time.
    pub fn bounds(&self) -> (i64, i64) {
        match *self {
            QueryTimes::Instant { t } => (t, t),
            QueryTimes::Range { start, end, .. } => (start, end),
        }
    }

    /// The steps of the evaluation.
    pub fn steps(&self) -> Steps {
        match *self {
            QueryTimes::Instant { t } => Steps::instant(t),
            QueryTimes::Range { start, end, step } => Steps::range(start, end, step),
        }
    }

    /// Milliseconds between steps; 0 for an instant query, and for a range of one moment.
    pub fn step(&self) -> i64 {
        match *self {
            QueryTimes::Range { start, end, step } if start != end => step,
            _ => 0,
        }
    }
}

/// What a plan depends on besides the query.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// How far back an instant selector looks, milliseconds.
    pub lookback: i64,
    /// The step of subqueries that name none, milliseconds.
    pub subquery_step: i64,
}

impl Default for PlanOptions {
    /// Upstream's defaults: five minutes and one minute.
    fn default() -> Self {
        PlanOptions { lookback: 300_000, subquery_step: 60_000 }
    }
}

/// What the series of a selector are wanted for: engines may push some of it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorHints {
    /// The function or aggregation around the selector, or empty.
    pub function: &'static str,
    /// Milliseconds between steps; 0 for an instant query.
    pub step: i64,
    /// Milliseconds of the range selector; 0 if there is none.
    pub range: i64,
    /// Labels of the aggregation around the selector.
    pub grouping: Vec<String>,
    /// Whether `grouping` are the labels kept.
    pub by: bool,
    /// Whether only the newest sample of each series in the range is looked at.
    pub newest: bool,
}

/// Series that a plan needs, to be fetched before it is evaluated.
#[derive(Clone, Debug)]
pub struct PlannedSelector {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Samples needed, both ends included.
    pub range: TimeRange,
    /// What they are for.
    pub hints: SelectorHints,
    /// Only count and sum of native histograms matter.
    pub figures_only: bool,
    /// Milliseconds in which a sample is looked for: the range, or how far back an instant selector looks.
    pub stretch: i64,
    /// Where the selector stands in the query (byte offset).
    pub pos: usize,
}

/// A query that is ready to be evaluated once the series of its selectors are there.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) root: Node,
    pub(super) steps: Steps,
    pub(super) options: PlanOptions,
    selectors: Vec<PlannedSelector>,
    value_type: ValueType,
    instant: bool,
}

impl Plan {
    /// Plans a query. Duration expressions must have been resolved.
    ///
    /// Fails for a range query of a type other than scalar or instant vector, and for what only shows here, such as a
    /// modifier that the function around it does not support.
    pub fn new(expr: &Expr, times: QueryTimes, options: PlanOptions) -> Result<Plan, EvalError> {
        let value_type = expr.value_type();
        let instant = matches!(times, QueryTimes::Instant { .. });
        if !instant && !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            return Err(EvalError::InvalidType(value_type.describe()));
        }
        let steps = times.steps();
        let (root, selectors) = planner::plan(expr, times, options)?;
        Ok(Plan { root, steps, options, selectors, value_type, instant })
    }

    /// The selectors, in the order in which [`super::eval`] wants their series.
    pub fn selectors(&self) -> &[PlannedSelector] {
        &self.selectors
    }

    /// The steps of the result.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// The type of the result.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// Whether this is an instant query, whose result keeps its order.
    pub fn is_instant(&self) -> bool {
        self.instant
    }
}
