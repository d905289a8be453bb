//! What loki-config.yml means to the log store and to the query engine.

use std::sync::Arc;

use reba_columnar::{Periods, Retention, StreamPeriod};
use reba_ingest::loki::{
    config::{BlockedQuery, Limits, LokiConfig, RetentionPeriods, StreamRetention},
    limits::TenantLimits,
};
use reba_model::GoRegex;
use reba_query::logs::{self, BlockedKind, BlockedPattern, LimitsByTenant, LogLimits};

/// How long the store keeps what. `max_bytes` is for all of it.
pub fn retention(config: &LokiConfig, max_bytes: Option<u64>) -> Retention {
    let plan = config.retention();
    let tenants = plan.tenants.iter().map(|(tenant, own)| (tenant.clone(), periods(own)));
    Retention { periods: periods(&plan.others), tenants: tenants.collect(), max_bytes }
}

fn periods(of: &RetentionPeriods) -> Periods {
    let rule = |stream: &StreamRetention| StreamPeriod {
        matchers: stream.matchers(),
        priority: stream.priority,
        keep: stream.period.as_std(),
    };
    Periods { keep: of.keep, rules: of.streams.iter().map(rule).collect() }
}

/// What queries of each tenant may ask.
pub fn query_limits(config: &LokiConfig, limits: &TenantLimits) -> LimitsByTenant {
    let one = |limits: &Limits| Arc::new(of_queries(config, limits));
    let tenants = limits.tenants().into_iter().map(|(tenant, own)| (tenant, one(&own)));
    LimitsByTenant { others: one(&limits.others()), tenants: tenants.collect() }
}

fn of_queries(config: &LokiConfig, limits: &Limits) -> LogLimits {
    let unset = limits.max_query_lookback.is_zero();
    let look_back =
        if unset { config.chunk_store_config.max_look_back_period } else { limits.max_query_lookback };
    LogLimits {
        max_query_series: limits.max_query_series,
        max_query_length: limits.max_query_length.as_std(),
        max_query_lookback: look_back.as_std(),
        max_query_range: limits.max_query_range.as_std(),
        max_entries: limits.max_entries_limit_per_query,
        max_bytes_read: limits.max_query_bytes_read.0,
        timeout: limits.query_timeout.as_std(),
        required_labels: limits.required_labels.clone(),
        minimum_labels: limits.minimum_labels_number,
        blocked: limits.blocked_queries.iter().filter_map(blocked).collect(),
        volume_max_series: limits.volume_max_series,
        max_tails: limits.max_concurrent_tail_requests,
        ..LogLimits::default()
    }
}

/// A rule that names only a hash of upstream's is about no query that we know.
fn blocked(rule: &BlockedQuery) -> Option<logs::BlockedQuery> {
    let pattern = match (rule.pattern.as_str(), rule.regex) {
        ("", _) if rule.hash != 0 => return None,
        ("", _) => BlockedPattern::All,
        // The configuration was refused if it is malformed.
        (pattern, true) => BlockedPattern::Regex(Arc::new(GoRegex::search(pattern).ok()?)),
        (pattern, false) => BlockedPattern::Text(pattern.to_owned()),
    };
    let kind = |name: &str| match name.trim() {
        "metric" => Some(BlockedKind::Metric),
        "filter" | "limited" => Some(BlockedKind::Log),
        _ => None,
    };
    Some(logs::BlockedQuery { pattern, kinds: rule.types.split(',').filter_map(kind).collect() })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use reba_config::Variables;
    use reba_model::Tenant;

    use super::*;

    fn config(text: &str) -> LokiConfig {
        LokiConfig::parse(text, Path::new("loki-config.yml"), &Variables::default()).unwrap().0
    }

    #[test]
    fn limits_of_queries_are_those_of_the_file_and_of_each_tenant() {
        let mut config = config(
            "limits_config: {max_query_series: 7, blocked_queries: [{pattern: 'a.*', regex: true, types: metric}, {hash: 3}]}\n\
             chunk_store_config: {max_look_back_period: 5h}",
        );
        let own = Tenant::new("own").unwrap();
        config.overrides = [(own.clone(), Limits { max_query_series: 9, ..config.limits.clone() })].into();
        let limits = query_limits(&config, &TenantLimits::new(&config));
        assert_eq!((limits.others.max_query_series, limits.tenants[&own].max_query_series), (7, 9));
        assert_eq!(limits.others.max_query_lookback, Duration::from_secs(5 * 3600));
        let [rule] = &limits.others.blocked[..] else { panic!("{:?}", limits.others.blocked) };
        assert_eq!(rule.kinds, [BlockedKind::Metric]);
    }

    #[test]
    fn retention_has_its_selectors_as_matchers() {
        let config = config(
            "compactor: {retention_enabled: true}\n\
             limits_config:\n  retention_period: 720h\n  retention_stream: [{selector: '{a=\"b\"}', priority: 1, period: 24h}]",
        );
        let retention = retention(&config, Some(5));
        assert_eq!(retention.periods.keep, Some(Duration::from_secs(720 * 3600)));
        let [rule] = &retention.periods.rules[..] else { panic!("{retention:?}") };
        assert_eq!((rule.matchers.len(), rule.keep), (1, Duration::from_secs(86_400)));
        assert_eq!(retention.max_bytes, Some(5));
    }
}
