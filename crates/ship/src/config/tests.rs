use std::collections::BTreeMap;

use super::*;

fn parse(text: &str) -> Result<ShipConfig, ConfigError> {
    ShipConfig::parse(text, Path::new("p.yml"), &Variables::default())
}

#[test]
fn the_defaults_are_those_of_promtail() {
    let c =
        parse("clients: [{url: 'http://u:p@h:3100/loki/api/v1/push'}]\nscrape_configs: [{job_name: a}]\n")
            .unwrap();
    let client = &c.clients[0];
    assert_eq!(client.uri.to_string(), "http://h:3100/loki/api/v1/push");
    assert_eq!(client.http.basic_auth.as_ref().unwrap().username.as_deref(), Some("u"));
    assert_eq!((client.batch_wait, client.batch_size), (Duration::from_secs(1), 1_048_576));
    assert_eq!(client.backoff.retries, None);
    assert_eq!(c.positions.filename, Path::new("/var/log/positions.yaml"));
    assert_eq!(c.sync_period, Duration::from_secs(10));
    assert!(c.warnings.is_empty(), "{:?}", c.warnings);
}

#[test]
fn an_unknown_key_is_a_warning_with_its_line() {
    let c = parse("serverr: {}\nscrape_configs:\n- job_name: a\n  pipeline_stages:\n  - regex:\n      expression: (?P<a>x)\n      flags: i\n")
        .unwrap();
    let texts: Vec<String> = c.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "p.yml:7:14: key scrape_configs[0].pipeline_stages[0].regex.flags: unknown key, which has no effect",
            "p.yml:1:10: key serverr: unknown key, which has no effect",
        ]
    );
}

#[test]
fn errors_name_file_line_and_key() {
    for (text, expected) in [
        (
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
            "p.yml:3:13: key scrape_configs[1].job_name: found multiple",
        ),
        (
            "scrape_configs:\n- pipeline_stages:\n  - geoip: {db: x}\n",
            "p.yml:3:12: key scrape_configs[0].pipeline_stages[0].geoip: geoip is not supported",
        ),
        (
            "scrape_configs:\n- pipeline_stages:\n  - json: {expressions: {a: 'b[*'}}\n",
            "p.yml:3:25: key scrape_configs[0].pipeline_stages[0].json.expressions: JMESPath",
        ),
        ("positions: {sync_period: x}\n", "p.yml:1:26: key positions.sync_period: "),
        ("clients: [{url: ''}]\n", "p.yml:1:"),
        ("a: [\n", "p.yml:1:4: unclosed"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_volatile_positions_file_is_warned_of() {
    let c = parse("positions: {filename: /tmp/positions.yaml}\n").unwrap();
    assert!(c.warnings[0].to_string().contains("does not outlive"), "{:?}", c.warnings);
}

#[test]
fn variables_are_filled_in_and_groups_of_expressions_stay() {
    let text = "clients: [{url: 'http://${HOST:-x}/p', tenant_id: '${TENANT}'}]\nscrape_configs:\n- job_name: a\n  relabel_configs:\n  - {source_labels: [b], regex: '/(.*)', target_label: c, replacement: '${1}'}\n";
    let variables = Variables::new(BTreeMap::from([("TENANT".to_owned(), "t1".to_owned())]));
    let c = ShipConfig::parse(text, Path::new("p.yml"), &variables).unwrap();
    assert_eq!(c.clients[0].uri.host(), Some("x"));
    assert_eq!(c.clients[0].tenant.as_ref().unwrap().as_str(), "t1");
    assert_eq!(c.jobs[0].relabel[0].replacement(), "${1}");
}

#[test]
fn doubled_backslashes_are_single_ones_where_variables_are_filled_in() {
    let text = "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {regex: '\\\\d+', action: labeldrop}\n  - {regex: '\\d\\\\', action: labeldrop}\n";
    let variables = Variables::new(BTreeMap::from([("A".to_owned(), "b".to_owned())]));
    let c = ShipConfig::parse(text, Path::new("p.yml"), &variables).unwrap();
    assert_eq!(c.jobs[0].relabel[0].regex(), r"\d+");
    assert_eq!(c.jobs[0].relabel[1].regex(), r"\d\\");
    assert_eq!(parse(text).unwrap().jobs[0].relabel[0].regex(), r"\\d+");
}

#[test]
fn the_file_of_this_repository_is_understood_without_a_warning() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring/promtail/promtail-config.yml");
    let c = ShipConfig::load(&file, &Variables::default()).unwrap();
    assert!(c.warnings.is_empty(), "{:?}", c.warnings);
    assert!(!c.jobs.is_empty() && c.jobs.iter().any(|j| !j.files.is_empty()));
    // What is shown of it is the same file.
    let shown = ShipConfig::parse(&c.text, Path::new("shown.yml"), &Variables::default()).unwrap();
    assert_eq!(shown.jobs.len(), c.jobs.len());
    assert_eq!(shown.text, c.text);
}

#[test]
fn what_is_secret_is_not_shown() {
    let text = "clients:\n- url: http://u:geheim@h/p\n  basic_auth: {username: u, password: geheim}\n  headers: {A: geheim}\n- {name: b, url: 'http://h/p', bearer_token: geheim, tenant_id: '${T}'}\n";
    let variables = Variables::new(BTreeMap::from([("T".to_owned(), "geheim".to_owned())]));
    let c = ShipConfig::parse(text, Path::new("p.yml"), &variables).unwrap();
    assert!(!c.text.contains("geheim"), "{}", c.text);
    assert!(c.text.contains("http://u:<secret>@h/p") && c.text.contains("username: u"), "{}", c.text);
}

#[test]
fn more_kinds_of_sources_are_read() {
    let c = parse("scrape_configs:\n- job_name: a\n  gelf: {labels: {x: y}}\n  kafka: {brokers: [b]}\n  decompression: {enabled: true, format: z, initial_delay: 5s}\n  kubernetes_sd_configs: [{role: pod, api_server: 'https://k:6443', tls_config: {insecure_skip_verify: true}}]\n")
        .unwrap();
    let job = &c.jobs[0];
    assert_eq!(job.gelf.as_ref().unwrap().address, "0.0.0.0:12201");
    assert_eq!(job.kubernetes[0].role, reba_ingest::config::KubernetesRole::Pod);
    let zlib = Decompress { packing: Packing::Zlib, delay: Duration::from_secs(5) };
    assert_eq!(job.decompress, Some(zlib));
    let bzip2 = parse("scrape_configs: [{decompression: {enabled: true, format: bz2}}]").unwrap();
    assert_eq!(bzip2.jobs[0].decompress.as_ref().unwrap().packing, Packing::Bzip2);
    let error =
        parse("scrape_configs: [{decompression: {enabled: true, format: xz}}]").unwrap_err().to_string();
    assert!(error.contains("decompression.format") && error.contains("gz, z and bz2"), "{error}");
    assert_eq!(c.warnings.len(), 1);
    assert!(c.warnings[0].to_string().contains("kafka: not supported"), "{:?}", c.warnings);
    let error = parse("scrape_configs: [{kubernetes_sd_configs: [{role: pood}]}]").unwrap_err().to_string();
    assert!(error.contains("kubernetes_sd_configs[0]: role: unknown"), "{error}");
}

#[test]
fn syslog_over_tls_needs_a_certificate_and_its_key() {
    let syslog = |more: &str| {
        let text =
            format!("scrape_configs:\n- job_name: a\n  syslog: {{listen_address: '127.0.0.1:0', {more}}}\n");
        parse(&text).map(|c| (c.jobs[0].syslog.clone().unwrap().tls, c.warnings.len()))
    };
    let files = TlsFiles { cert: "c.pem".into(), key: "k.pem".into(), ca: Some("ca.pem".into()) };
    let all = "tls_config: {cert_file: c.pem, key_file: k.pem, ca_file: ca.pem}";
    assert_eq!(syslog(all).unwrap(), (Some(files), 0));
    assert_eq!(syslog(&format!("listen_protocol: udp, {all}")).unwrap(), (None, 1));
    assert_eq!(syslog("tls_config: {}").unwrap(), (None, 0));
    for half in ["cert_file: c", "key_file: k", "ca_file: ca"] {
        let error = syslog(&format!("tls_config: {{{half}}}")).unwrap_err().to_string();
        assert!(error.contains("syslog.tls_config: certificate and key files are required"), "{error}");
    }
}
