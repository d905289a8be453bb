//! What a query may not ask, in upstream's words.

use std::time::Duration;

use reba_logql::{
    range_aggregations,
    syntax::{Expr, LogExpr, MAX_QUERY_BYTES},
};
use reba_model::{Matcher, NanoRange, duration};

use super::{BlockedKind, BlockedPattern, BlockedQuery, LogError, LogLimits};

/// Refuses queries that nobody may ask.
pub(super) fn check(limits: &LogLimits, query: &str, expr: &Expr) -> Result<(), LogError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(LogError::BadRequest(format!(
            "input size too long ({} > {MAX_QUERY_BYTES})",
            query.len()
        )));
    }
    let kind = match expr {
        Expr::Log(_) => BlockedKind::Log,
        Expr::Metric(_) => BlockedKind::Metric,
    };
    if limits.blocked.iter().any(|b| blocks(b, query, kind)) {
        return Err(LogError::bad("query blocked by policy"));
    }
    match expr {
        Expr::Log(log) => check_selector(limits, log),
        Expr::Metric(metric) => range_aggregations(metric).into_iter().try_for_each(|aggregation| {
            check_selector(limits, &aggregation.log)?;
            check_window(limits, aggregation.range)
        }),
    }
}

fn blocks(blocked: &BlockedQuery, query: &str, kind: BlockedKind) -> bool {
    let of_kind = blocked.kinds.is_empty() || blocked.kinds.contains(&kind);
    of_kind
        && match &blocked.pattern {
            BlockedPattern::Text(text) => text.trim() == query.trim(),
            BlockedPattern::Regex(regex) => regex.is_match(query),
            BlockedPattern::All => true,
        }
}

/// Refuses selectors that are too wide.
pub(super) fn check_selector(limits: &LogLimits, log: &LogExpr) -> Result<(), LogError> {
    check_matchers(limits, &log.matchers)
}

/// Refuses sets of matchers that are too wide.
pub(super) fn check_matchers(limits: &LogLimits, matchers: &[Matcher]) -> Result<(), LogError> {
    if limits.require_selector && matchers.iter().all(Matcher::matches_empty) {
        return Err(LogError::bad(
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For \
             instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
        ));
    }
    let names: Vec<&str> = matchers.iter().map(|m| m.name.as_str()).collect();
    let missing: Vec<&str> =
        limits.required_labels.iter().map(String::as_str).filter(|l| !names.contains(l)).collect();
    if !missing.is_empty() {
        return Err(LogError::BadRequest(format!(
            "stream selector is missing required matchers [{}], labels present in the query were [{}]",
            missing.join(", "),
            names.join(", ")
        )));
    }
    if names.len() < limits.minimum_labels {
        return Err(LogError::BadRequest(format!(
            "stream selector has less label matchers than required: (present: [{}], number_present: {}, \
             required_number_label_matchers: {})",
            names.join(", "),
            names.len(),
            limits.minimum_labels
        )));
    }
    Ok(())
}

fn check_window(limits: &LogLimits, window_ns: i64) -> Result<(), LogError> {
    let limit = nanos(limits.max_query_range);
    if limit == 0 || window_ns <= limit {
        return Ok(());
    }
    let text = |ns: i64| duration::format(ns / 1_000_000);
    Err(LogError::BadRequest(format!(
        "[interval] value exceeds limit: [{}] > [{}]",
        text(window_ns),
        text(limit)
    )))
}

/// Refuses answers of too many lines, or of none.
pub(super) fn check_entries(limits: &LogLimits, limit: usize) -> Result<(), LogError> {
    if limit == 0 {
        return Err(LogError::bad("limit must be a positive value"));
    }
    if limits.max_entries != 0 && limit > limits.max_entries {
        return Err(LogError::BadRequest(format!(
            "max entries limit per query exceeded, limit > max_entries_limit ({limit} > {})",
            limits.max_entries
        )));
    }
    Ok(())
}

/// The part of `range` that a query may see; empty if it is all too long ago.
pub(super) fn visible(limits: &LogLimits, range: NanoRange, now_ns: i64) -> Result<NanoRange, LogError> {
    let lookback = nanos(limits.max_query_lookback);
    let range = match lookback {
        0 => range,
        _ => NanoRange::new(range.start.max(now_ns.saturating_sub(lookback)), range.end),
    };
    let (length, limit) = (range.end.saturating_sub(range.start), nanos(limits.max_query_length));
    if limit != 0 && length > limit {
        let duration = |ns: i64| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
        return Err(LogError::too_long(duration(length), duration(limit)));
    }
    Ok(range)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
