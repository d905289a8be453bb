//! `/api/v1/features`: what this server can do, by upstream's names.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use reba_promql::syntax::{AggregateOp, Func, ParseOptions};

use super::{
    PrometheusApi,
    envelope::{ApiResult, success},
};

/// Features by category; `true` if they are on.
type Features = BTreeMap<&'static str, BTreeMap<String, bool>>;

/// What does not depend on the configuration.
const FIXED: [(&str, &str, bool); 40] = [
    ("api", "exclude_alerts", true),
    ("api", "label_values_match", true),
    ("api", "lifecycle", true),
    ("api", "otlp_write_receiver", true),
    ("api", "query_stats", true),
    ("api", "query_warnings", true),
    ("api", "remote_write_receiver", true),
    ("api", "search", false),
    ("api", "time_range_labels", true),
    ("api", "time_range_series", true),
    ("prometheus", "agent_mode", false),
    ("prometheus", "auto_reload_config", false),
    ("prometheus", "reba", true),
    ("prometheus", "server_mode", true),
    ("promql", "anchored", true),
    ("promql", "at_modifier", true),
    ("promql", "bool", true),
    ("promql", "by", true),
    ("promql", "group_left", true),
    ("promql", "group_right", true),
    ("promql", "ignoring", true),
    ("promql", "negative_offset", true),
    ("promql", "offset", true),
    ("promql", "on", true),
    ("promql", "per_query_lookback_delta", true),
    ("promql", "subqueries", true),
    ("promql", "without", true),
    ("rules", "keep_firing_for", true),
    ("rules", "query_offset", true),
    ("scrape", "extra_scrape_metrics", false),
    ("service_discovery_providers", "consul", true),
    ("service_discovery_providers", "dns", true),
    ("service_discovery_providers", "docker", true),
    ("service_discovery_providers", "file", true),
    ("service_discovery_providers", "http", true),
    ("service_discovery_providers", "kubernetes", true),
    ("service_discovery_providers", "static", true),
    ("tsdb", "exemplar_storage", true),
    ("tsdb", "native_histograms", true),
    ("ui", "ui_v3", false),
];

/// `/api/v1/features`
pub async fn features(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    success(&all(api.engine.config().syntax, api.admin.is_some()))
}

fn all(syntax: ParseOptions, admin: bool) -> Features {
    let mut out = Features::new();
    let mut set = |category, name: &str, on| {
        out.entry(category).or_default().insert(name.to_owned(), on);
    };
    for (category, name, on) in FIXED {
        set(category, name, on);
    }
    set("api", "admin", admin);
    // Whatever the grammar takes with the options in force is on.
    for f in Func::ALL {
        set("promql_functions", f.name(), syntax.experimental_functions || !f.signature().experimental);
    }
    for op in AggregateOp::ALL {
        set("promql_operators", op.as_str(), syntax.experimental_functions || !op.is_experimental());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_operators_and_switches_are_listed() {
        let all = all(ParseOptions::default(), true);
        assert!(all["promql_functions"]["rate"] && all["promql_operators"]["sum"] && all["api"]["admin"]);
        assert!(!all["prometheus"]["agent_mode"]);
    }
}
