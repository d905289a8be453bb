use std::time::Duration;

use super::*;

fn parse(text: &str) -> (LokiConfig, Vec<String>) {
    let (config, warnings) = LokiConfig::parse(text, Path::new("loki.yml"), &Variables::default()).unwrap();
    (config, warnings.iter().map(ToString::to_string).collect())
}

fn error(text: &str) -> String {
    LokiConfig::parse(text, Path::new("loki.yml"), &Variables::default()).unwrap_err().to_string()
}

/// The shape of the owner's file: a store and a cluster of 2.9's time.
const OWNERS: &str = "
auth_enabled: false
server:
  http_listen_port: 3100
  grpc_listen_port: 9096
common:
  path_prefix: /loki
  storage:
    filesystem:
      chunks_directory: /loki/chunks
      rules_directory: /loki/rules
  replication_factor: 1
  ring:
    instance_addr: 127.0.0.1
    kvstore: {store: inmemory}
query_range:
  results_cache:
    cache:
      embedded_cache:
        enabled: true
        max_size_mb: 100
schema_config:
  configs:
    - from: 2020-10-24
      store: boltdb-shipper
      object_store: filesystem
      schema: v11
      index: {prefix: index_, period: 24h}
storage_config:
  boltdb_shipper: {active_index_directory: /loki/index, cache_ttl: 24h}
ruler:
  alertmanager_url: http://alertmanager:9093
limits_config:
  enforce_metric_name: false
  reject_old_samples_max_age: 168h
  ingestion_rate_mb: 10
  per_stream_rate_limit: 5MB
  retention_period: 30d
compactor: {working_directory: /loki/compactor, retention_enabled: true}
";

#[test]
fn a_file_of_the_usual_shape_loads_with_a_line_for_each_key_without_effect() {
    let (config, warnings) = parse(OWNERS);
    assert!(!config.auth_enabled);
    assert_eq!(config.server.grpc_listen_port, 9096);
    assert_eq!(config.limits.per_stream_rate_limit, Size(5 << 20));
    assert_eq!(config.limits.ingestion_rate_mb, 10.0);
    assert_eq!(config.limits.ingestion_burst_size_mb, 6.0);
    assert_eq!(config.retention().others.keep, Some(Duration::from_secs(30 * 86_400)));
    let keys: Vec<&str> = warnings.iter().map(|w| w.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        keys,
        [
            "key common.replication_factor",
            "key common.ring",
            "key storage_config.boltdb_shipper",
            "key limits_config.enforce_metric_name",
            "key compactor.working_directory",
        ],
        "{warnings:?}"
    );
    assert!(
        warnings[1]
            .starts_with("loki.yml:13:3: key common.ring: has no effect: it is about several processes")
    );
}

#[test]
fn an_unknown_key_is_a_warning_and_a_wrong_value_an_error_each_with_its_line() {
    let (_, warnings) = parse("server:\n  htp_port: 1\nfoo: {bar: 1}\n");
    assert_eq!(
        warnings,
        [
            "loki.yml:2:3: key server.htp_port: unknown key, which has no effect",
            "loki.yml:3:1: key foo: unknown key, which has no effect"
        ]
    );
    for (text, want) in [
        ("server:\n  http_listen_port: x\n", "loki.yml:2:21: key server.http_listen_port: "),
        ("limits_config:\n  query_timeout: 5 parsecs\n", "loki.yml:2:18: key limits_config.query_timeout: "),
        (
            "limits_config:\n  deletion_mode: x\n",
            "loki.yml:2:3: key limits_config.deletion_mode: \"x\" is none of",
        ),
        (
            "limits_config:\n  retention_stream:\n  - selector: '{a=\"b\"}'\n    period: 1h\n",
            "loki.yml:4:5: key limits_config.retention_stream[0].period: retention period must be >= 24h",
        ),
        (
            "limits_config:\n  otlp_config: {log_attributes: [{action: drop}]}\n",
            "loki.yml:2:17: key limits_config.otlp_config.log_attributes[0].attributes: either",
        ),
        (
            "schema_config: {configs: [{schema: v99}]}\n",
            "loki.yml:1:28: key schema_config.configs[0].schema: ",
        ),
        ("limits_config: [\n", "loki.yml:"),
    ] {
        assert!(error(text).starts_with(want), "{}", error(text));
    }
}

#[test]
fn who_says_how_long_logs_are_kept_is_decided_as_the_table_has_it() {
    let table = "table_manager: {retention_deletes_enabled: true, retention_period: 720h}\n";
    let compactor = "compactor: {retention_enabled: true}\n";
    let limits = "limits_config: {retention_period: 48h}\n";
    for (text, hours, warned) in [
        (format!("{compactor}{limits}{table}"), Some(48), false),
        (format!("{compactor}{table}"), Some(720), true),
        (table.to_owned(), Some(720), true),
        (format!("{limits}{table}"), Some(720), true),
        (limits.to_owned(), None, true),
        (compactor.to_owned(), None, false),
        (String::new(), None, false),
    ] {
        let (config, warnings) = parse(&text);
        let keep = config.retention().others.keep.map(|d| d.as_secs() / 3600);
        assert_eq!((keep, warnings.len() == 1), (hours, warned), "{text}{warnings:?}");
    }
}

#[test]
fn tenants_have_the_limits_of_all_but_for_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (main, runtime) = (folder.path().join("loki.yml"), folder.path().join("runtime.yml"));
    fs::write(&main, "limits_config: {max_query_series: 7}\nruntime_config: {file: runtime.yml}\n").unwrap();
    let own = "overrides:\n  team-a:\n    ingestion_rate_mb: 1\n    retention_period: 48h\n    max_line_size: 1000\n    foo: 1\n";
    fs::write(&runtime, own).unwrap();
    let (mut config, warnings) = LokiConfig::load(&main, &Variables::default()).unwrap();
    let team = &config.overrides[&Tenant::new("team-a").unwrap()];
    assert_eq!((team.max_query_series, team.ingestion_rate_mb, team.max_line_size), (7, 1.0, Size(1000)));
    assert_eq!(team.retention_period, Span::hours(48));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0]
            .to_string()
            .ends_with("runtime.yml:6:5: key limits_config.foo: unknown key, which has no effect")
    );

    fs::write(&runtime, "overrides:\n  team-a:\n    ingestion_rate_mb: x\n").unwrap();
    let error = config.read_overrides(&Variables::default()).unwrap_err().to_string();
    assert!(error.contains("runtime.yml:3:24: key overrides.team-a.ingestion_rate_mb"), "{error}");
    assert_eq!(config.overrides.len(), 1);
    fs::write(&runtime, "").unwrap();
    config.read_overrides(&Variables::default()).unwrap();
    assert!(config.overrides.is_empty());
}

#[test]
fn the_configuration_is_shown_without_secrets_as_a_whole_or_where_it_differs() {
    let text = "auth_enabled: false\nruler: {alertmanager_client: {basic_auth_password: hunter2}}\n";
    let (config, _) = parse(text);
    let diff = config.to_yaml(ConfigView::Diff);
    assert_eq!(
        diff,
        "auth_enabled: false\nruler:\n  alertmanager_client:\n    basic_auth_password: <secret>\n"
    );
    let whole = config.to_yaml(ConfigView::Whole);
    assert!(whole.contains("http_listen_port: 3100") && !whole.contains("hunter2"), "{whole}");
    let (back, warnings) = parse(&config.to_yaml(ConfigView::Defaults));
    assert_eq!((back, warnings.len()), (LokiConfig::default(), 0), "{warnings:?}");
}
