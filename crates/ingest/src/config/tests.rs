use proptest::prelude::*;

use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/reba/prometheus.yml"))
}

fn refusal(text: &str) -> String {
    load(text).expect_err("must be refused").to_string()
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_column() {
    let e =
        refusal("global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: a\n    scrap_timeout: 1s\n");
    assert_eq!(e, "/etc/reba/prometheus.yml:5:5: key scrape_configs[0].scrap_timeout: unknown key");
    let e = refusal("globl: {}\n");
    assert_eq!(e, "/etc/reba/prometheus.yml:1:1: key globl: unknown key");
}

#[test]
fn a_wrong_value_is_named_with_its_key() {
    let e = refusal("scrape_configs:\n  - job_name: a\n    scrape_interval: 15x\n");
    assert!(e.starts_with("/etc/reba/prometheus.yml:3:22: key scrape_configs[0].scrape_interval: "), "{e}");
    let e = refusal("scrape_configs:\n  - job_name: a\n  - job_name: b\n    scrape_timeout: 2m\n");
    assert_eq!(
        e,
        "/etc/reba/prometheus.yml:3:5: key scrape_configs[1].scrape_timeout: scrape timeout greater than scrape \
         interval for scrape config with job name \"b\""
    );
}

#[test]
fn an_empty_file_has_all_defaults() {
    for text in ["", "global:\n", "# nothing\n", "scrape_configs:\n"] {
        let c = load(text).unwrap();
        assert_eq!(c.global.scrape_interval, Millis::seconds(60), "{text}");
        assert_eq!(c.storage.exemplars.max_exemplars, 100_000);
        assert!(c.scrape_configs.is_empty());
    }
}

#[test]
fn jobs_inherit_what_global_says_and_a_long_timeout_is_lowered() {
    let c = load(
        "global: {scrape_interval: 15s, scrape_timeout: 12s, sample_limit: 7, body_size_limit: 1MB}\n\
         scrape_configs:\n- job_name: a\n- job_name: b\n  scrape_interval: 5s\n  sample_limit: 9\n",
    )
    .unwrap();
    let [a, b] = &c.scrape_configs[..] else { panic!() };
    assert_eq!((a.scrape_interval, a.scrape_timeout), (Millis::seconds(15), Millis::seconds(12)));
    assert_eq!((b.scrape_interval, b.scrape_timeout), (Millis::seconds(5), Millis::seconds(5)));
    assert_eq!((a.limits.sample_limit, b.limits.sample_limit), (7, 9));
    assert_eq!(b.limits.body_size_limit, ByteSize(1 << 20));
}

#[test]
fn file_names_are_joined_with_the_folder_of_the_file() {
    let c = load(
        "rule_files: [alerts.yml, /abs/*.yml]\nscrape_configs:\n- job_name: a\n  file_sd_configs:\n  - files: [t/*.json]\n  \
         basic_auth: {username: u, password_file: pw}\n",
    )
    .unwrap();
    assert_eq!(c.rule_files, [Path::new("/etc/reba/alerts.yml"), Path::new("/abs/*.yml")]);
    let job = &c.scrape_configs[0];
    assert_eq!(job.discovery.files[0].files, [Path::new("/etc/reba/t/*.json")]);
    assert_eq!(
        job.http.basic_auth.as_ref().unwrap().password_file.as_deref(),
        Some(Path::new("/etc/reba/pw"))
    );
}

#[test]
fn the_effective_configuration_shows_defaults_and_no_secret_and_loads_again() {
    let c = load(
        "global:\n  external_labels: {cluster: kigali}\nscrape_configs:\n- job_name: a\n  bearer_token: hunter2\n  \
         static_configs: [{targets: ['h:1'], labels: {x: '1'}}]\n  relabel_configs: [{source_labels: [x], target_label: y}]\n\
         alerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\n\
         remote_write: [{url: 'http://u:hunter3@h/push'}]\n",
    )
    .unwrap();
    let text = c.to_yaml();
    assert!(!text.contains("hunter"), "{text}");
    for part in ["<secret>", "scrape_interval: 1m", "regex: ", "cluster: kigali", "max_shards: 50", "path"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let again = load(&text).unwrap();
    assert_eq!(again.scrape_configs[0].relabel_configs[0].regex(), "(.*)");
    assert_eq!(again.scrape_configs[0].discovery, c.scrape_configs[0].discovery);
    assert_eq!(again.to_yaml(), text);
}

#[test]
fn kinds_of_discovery_that_are_missing_are_refused_by_name() {
    let e = load("scrape_configs:\n- job_name: a\n  nomad_sd_configs:\n  - server: http://x/\n").unwrap_err();
    assert_eq!(e.kind, ConfigErrorKind::Unsupported);
    assert!(e.to_string().contains("key scrape_configs[0].nomad_sd_configs: not supported yet"), "{e}");
}

#[test]
fn the_owners_sample_loads() {
    let c = load(SAMPLE).unwrap();
    assert_eq!(c.scrape_configs[2].metrics_path, "/api/metrics");
    assert_eq!(c.scrape_configs[1].scrape_timeout, Millis::seconds(10));
}

const SAMPLE: &str = r#"
global:
  scrape_interval: 15s
  evaluation_interval: 15s
  external_labels:
    cluster: 'easymo-production'
    environment: 'production'
alerting:
  alertmanagers:
    - static_configs:
        - targets:
            - alertmanager:9093
rule_files:
  - "/etc/prometheus/alerts.yml"
scrape_configs:
  - job_name: 'prometheus'
    static_configs:
      - targets: ['localhost:9090']
  - job_name: 'agent-core'
    static_configs:
      - targets: ['agent-core:3000']
        labels:
          service: 'agent-core'
    metrics_path: '/metrics'
    scrape_interval: 10s
  - job_name: 'admin-app'
    static_configs:
      - targets: ['admin-app:3000']
    metrics_path: '/api/metrics'
    scrape_interval: 30s
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_never_panics(s in "[a-z_:\\-\\[\\]{}&*<!|> \n]{0,60}") {
        let _ = load(&s);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_but_never_panics(
        cut in 0..SAMPLE.len(), len in 0usize..20, with in "[a-z:\\-\\[{}'\" \n]{0,6}",
    ) {
        let end = (cut + len).min(SAMPLE.len());
        if let (Some(before), Some(after)) = (SAMPLE.get(..cut), SAMPLE.get(end..)) {
            let _ = load(&format!("{before}{with}{after}"));
        }
    }
}
