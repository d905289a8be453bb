use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<(TempoConfig, Vec<String>), String> {
    TempoConfig::parse(text, Path::new("tempo.yml"), &Variables::default())
        .map(|(config, warnings)| (config, warnings.iter().map(ToString::to_string).collect()))
        .map_err(|e| e.to_string())
}

/// As people write it for upstream's 2.3.
const OWNERS: &str = "
server:
  http_listen_port: 3200
  log_level: info
distributor:
  receivers:
    otlp:
      protocols:
        grpc:
        http: {endpoint: 127.0.0.1:4318}
    zipkin:
    jaeger: {protocols: {thrift_http: , grpc: {endpoint: ':14250'}, thrift_compact: }}
ingester: {max_block_duration: 5m, trace_idle_period: 20s}
compactor: {compaction: {block_retention: 168h, compaction_window: 1h}}
memberlist:
  join_members: [a, b]
storage:
  trace: {backend: local, local: {path: /tmp/x}, wal: {path: /tmp/y}}
metrics_generator:
  registry: {external_labels: {source: tempo}}
  storage:
    path: /tmp/z
    remote_write: [{url: http://prometheus:9090/api/v1/write, send_exemplars: true}]
";

#[test]
fn the_owners_file_is_read_and_each_key_without_effect_has_one_line() {
    let (config, warnings) = parse(OWNERS).unwrap();
    assert_eq!(config.server.http_listen_port, 3200);
    let receivers = &config.distributor.receivers;
    assert_eq!(receivers.otlp_grpc(), Some(&Endpoint::default()));
    assert_eq!(receivers.otlp_http().unwrap().endpoint, "127.0.0.1:4318");
    assert!(receivers.zipkin().is_some() && receivers.jaeger_thrift().is_some());
    assert_eq!(place(&receivers.jaeger_grpc().unwrap().endpoint), Ok((None, 14250)));
    assert_eq!(config.retention(), Some(Duration::from_secs(168 * 3600)));
    assert_eq!(config.metrics_generator.storage.remote_write.len(), 1);
    let keys: Vec<&str> =
        warnings.iter().map(|w| w.split(": key ").nth(1).unwrap().split(':').next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "server.log_level",
            "distributor.receivers.jaeger.protocols.thrift_compact",
            "ingester.max_block_duration",
            "compactor.compaction.compaction_window",
            "memberlist",
            "storage.trace.local",
            "storage.trace.wal",
            "metrics_generator.storage.path",
        ]
    );
    assert!(warnings[4].starts_with("tempo.yml:15:1: key memberlist: has no effect"), "{}", warnings[4]);
}

#[test]
fn a_key_that_nobody_knows_is_an_error_with_its_place() {
    for (text, want) in [
        ("server:\n  port: 1\n", "tempo.yml:2:3: key server.port: unknown key"),
        (
            "overrides: {defaults: {ingestion: {rate: 1}}}",
            "tempo.yml:1:36: key overrides.defaults.ingestion.rate: ",
        ),
        (
            "overrides: {metrics_generator_processors: [x]}",
            "tempo.yml:1:44: key overrides.metrics_generator_proc",
        ),
        ("storage: {trace: {backend: s3}}", "tempo.yml:1:19: key storage.trace.backend: \"s3\" is no store"),
        (
            "distributor: {receivers: {zipkin: {endpoint: here}}}",
            "tempo.yml:1:36: key distributor.receivers.zipkin.endpoint: \"here\" is no host:port",
        ),
        ("querier: {search: {query_timeout: x}}", "tempo.yml:1:35: key querier.search.query_timeout: "),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn limits_are_read_in_both_shapes() {
    let flat = "overrides: {metrics_generator_processors: [service-graphs, span-metrics], max_bytes_per_trace: 1_000,
                 ingestion_rate_limit_bytes: 15e6, metrics_generator_max_active_series: 7, block_retention: 1h}";
    let nested = "overrides: {defaults: {metrics_generator: {processors: [span-metrics, service-graphs],
                 max_active_series: 7}, global: {max_bytes_per_trace: 1000}, ingestion: {rate_limit_bytes: 15000000},
                 compaction: {block_retention: 1h}}}";
    let limits = |text| parse(text).unwrap().0.limits;
    assert_eq!(limits(flat), limits(nested));
    let limits = limits(flat);
    assert_eq!((limits.max_bytes_per_trace, limits.burst_size_bytes), (1000, 20_000_000));
    assert_eq!(limits.processors, [Processor::ServiceGraphs, Processor::SpanMetrics].into());
    assert_eq!(parse(flat).unwrap().0.retention(), Some(Duration::from_secs(3600)));
}

#[test]
fn tenants_have_limits_in_a_file_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (main, own) = (dir.path().join("tempo.yml"), dir.path().join("overrides.yml"));
    fs::write(&main, "overrides: {max_bytes_per_trace: 5, per_tenant_override_config: overrides.yml}")
        .unwrap();
    fs::write(&own, "overrides:\n  a: {max_bytes_per_trace: 6}\n  '*': {ingestion: {rate_limit_bytes: 9}}\n")
        .unwrap();
    let (config, warnings) = TempoConfig::load(&main, &Variables::default()).unwrap();
    let limits = |name| config.limits_of(&Tenant::new(name).unwrap());
    assert_eq!((limits("a").max_bytes_per_trace, limits("b").max_bytes_per_trace), (6, 5));
    assert_eq!((limits("a").rate_limit_bytes, limits("b").rate_limit_bytes), (15_000_000, 9));
    assert!(warnings.is_empty());
    fs::write(&own, "overrides:\n  a:\n    nope: 6\n").unwrap();
    let error = TempoConfig::load(&main, &Variables::default()).unwrap_err().to_string();
    assert!(error.ends_with("overrides.yml:3:5: key overrides.a.nope: unknown key"), "{error}");
}

#[test]
fn the_configuration_is_shown_without_secrets_and_read_again() {
    let (config, _) = parse(OWNERS).unwrap();
    let yaml = config.to_yaml(ConfigView::Whole);
    let again = parse(&yaml).map(|(config, _)| config.to_yaml(ConfigView::Whole));
    assert_eq!(again, Ok(yaml));
}

#[test]
fn limits_are_shown_in_upstreams_nested_shape_and_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (main, own) = (dir.path().join("tempo.yml"), dir.path().join("own.yml"));
    let text = "overrides: {max_bytes_per_trace: 5, metrics_generator_processors: [span-metrics], block_retention: 48h,
                 metrics_generator_processor_span_metrics_dimensions: [http.route], per_tenant_override_config: own.yml}";
    fs::write(&main, text).unwrap();
    fs::write(&own, "overrides: {a: {max_bytes_per_trace: 6}}").unwrap();
    let (config, _) = TempoConfig::load(&main, &Variables::default()).unwrap();
    let a = Tenant::new("a").unwrap();
    for (yaml, limits) in [
        (config.tenant_limits_yaml(&Tenant::single()), &config.limits),
        (config.tenant_limits_yaml(&a), config.limits_of(&a)),
    ] {
        let indented = yaml.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
        let (again, _) = parse(&format!("overrides:\n  defaults:\n{indented}\n")).unwrap();
        assert_eq!(&again.limits, limits, "{yaml}");
    }
    let all = config.limits_yaml(ConfigView::Whole);
    assert!(all.contains("defaults:\n") && all.contains("overrides:\n  a:\n"), "{all}");
    assert!(all.contains("rate_limit_bytes: 15000000"), "{all}");
    let differing = config.limits_yaml(ConfigView::Diff);
    assert!(differing.contains("max_bytes_per_trace: 6"), "{differing}");
    assert!(!differing.contains("rate_limit_bytes"), "{differing}");
}
