//! Targets: from discovered labels to a URL and the labels of its series.

use std::{collections::BTreeMap, time::Duration};

use http::Uri;
use reba_model::{Labels, LabelsBuilder, Relabel, duration};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    config::ScrapeConfig,
    discovery::{ADDRESS_LABEL, TargetGroup},
};

const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";
const META: &str = "__meta_";
const RESERVED: &str = "__";

/// One thing to scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// All labels after relabelling, internal ones included; together with the URL they are its identity.
    pub all_labels: Labels,
    /// What its series get.
    pub labels: Labels,
    /// What discovery said, with the job's defaults, before relabelling.
    pub discovered: Labels,
    /// What is requested.
    pub url: Uri,
    /// How often.
    pub interval: Duration,
    /// How long at most.
    pub timeout: Duration,
}

/// What became of the discovered targets of a job.
#[derive(Clone, Debug, Default)]
pub struct Sorted {
    /// Targets to scrape, each once.
    pub targets: Vec<Target>,
    /// Discovered labels of those that relabelling dropped.
    pub dropped: Vec<Labels>,
    /// Targets that make no sense, and why.
    pub failures: Vec<String>,
}

impl Target {
    /// A number by which scrapes are spread over the interval; the same on every start.
    pub fn hash64(&self) -> u64 {
        let mut h = Xxh3::new();
        h.update(self.all_labels.as_packed().as_bytes());
        h.update(self.url.to_string().as_bytes());
        h.digest()
    }

    /// What tells targets of a job apart.
    pub(crate) fn key(&self) -> (Labels, String) {
        (self.all_labels.clone(), self.url.to_string())
    }
}

/// Builds the targets of a job. `default_port` says whether an address without a port gets that of its scheme.
pub fn sort(config: &ScrapeConfig, groups: &[TargetGroup], default_port: bool) -> Sorted {
    let mut out = Sorted::default();
    let mut seen = std::collections::HashSet::new();
    for group in groups {
        for (i, labels) in group.targets.iter().enumerate() {
            let discovered = discovered_labels(config, labels, &group.labels);
            match build(config, discovered.clone(), default_port) {
                Ok(Some(target)) => {
                    if seen.insert(target.key()) {
                        out.targets.push(target);
                    }
                }
                Ok(None) => out.dropped.push(discovered),
                Err(e) => out.failures.push(format!("instance {i} in group {}: {e}", group.source)),
            }
        }
    }
    out
}

/// The labels that relabelling starts from: discovery's own win over the job's defaults.
fn discovered_labels(config: &ScrapeConfig, target: &Labels, group: &Labels) -> Labels {
    let mut b = LabelsBuilder::new();
    b.set("job", &config.job_name);
    b.set(INTERVAL, &config.scrape_interval.to_string());
    b.set(TIMEOUT, &config.scrape_timeout.to_string());
    b.set(PATH, &config.metrics_path);
    b.set(SCHEME, &config.scheme);
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            b.set(&format!("{PARAM}{name}"), first);
        }
    }
    for (name, value) in group.iter().chain(target) {
        b.set(name, value);
    }
    b.build()
}

/// Relabels and checks; `None` if relabelling drops the target.
fn build(config: &ScrapeConfig, discovered: Labels, default_port: bool) -> Result<Option<Target>, String> {
    let mut b = discovered.to_builder();
    if !Relabel::apply_all(&config.relabel_configs, &mut b) || b.is_empty() {
        return Ok(None);
    }
    let mut address = b.value(ADDRESS_LABEL).to_owned();
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if default_port && !has_port(&address) {
        let port = match b.value(SCHEME) {
            "http" | "" => 80,
            "https" => 443,
            other => return Err(format!("invalid scheme: {other:?}")),
        };
        address = format!("{address}:{port}");
        b.set(ADDRESS_LABEL, &address);
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let interval = parse_time("interval", b.value(INTERVAL))?;
    let timeout = parse_time("timeout", b.value(TIMEOUT))?;
    if timeout > interval {
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({:?} > {:?})",
            b.value(TIMEOUT),
            b.value(INTERVAL)
        ));
    }
    b.retain(|name, _| !name.starts_with(META));
    if b.value("instance").is_empty() {
        b.set("instance", &address);
    }
    let all_labels = b.build();
    b.retain(|name, _| !name.starts_with(RESERVED));
    let url = url(config, &all_labels)?;
    Ok(Some(Target { labels: b.build(), all_labels, discovered, url, interval, timeout }))
}

fn parse_time(what: &str, text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(0) => Err(format!("scrape {what} cannot be 0")),
        Ok(ms) => Ok(Duration::from_millis(ms as u64)),
        Err(e) => Err(format!("error parsing scrape {what}: {e}")),
    }
}

/// Whether `host:port`, `[::1]:port`. A bare IPv6 address has none, and none can be added.
fn has_port(address: &str) -> bool {
    match address.rsplit_once(':') {
        None => false,
        Some((host, _)) if host.starts_with('[') => host.ends_with(']'),
        // More than one colon without brackets is no host and port, but adding a port would not mend it.
        Some(_) => true,
    }
}

fn url(config: &ScrapeConfig, labels: &Labels) -> Result<Uri, String> {
    let mut params: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, values) in &config.params {
        params.insert(name, values.iter().map(String::as_str).collect());
    }
    for (name, value) in labels {
        if let Some(param) = name.strip_prefix(PARAM) {
            match params.entry(param).or_default().as_mut_slice() {
                [first, ..] => *first = value,
                [] => {
                    params.insert(param, vec![value]);
                }
            }
        }
    }
    let query: Vec<String> = params
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| format!("{}={}", encode(name), encode(v))))
        .collect();
    let path = labels.value(PATH);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = match labels.value(SCHEME) {
        "" => "http",
        scheme => scheme,
    };
    let mut text = format!("{scheme}://{}{slash}{}", labels.value(ADDRESS_LABEL), encode_path(path));
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query.join("&"));
    }
    text.parse().map_err(|e| format!("invalid URL {text:?}: {e}"))
}

/// Encodes a query parameter, as `url.Values.Encode` of Go.
fn encode(s: &str) -> String {
    encode_with(s, |b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b), true)
}

/// Encodes what may not stand in a path.
fn encode_path(s: &str) -> String {
    encode_with(s, |b| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/%".contains(&b), false)
}

fn encode_with(s: &str, plain: impl Fn(u8) -> bool, plus: bool) -> String {
    let mut out = String::with_capacity(s.len());
    for b in s.bytes() {
        if plain(b) {
            out.push(b as char);
        } else if b == b' ' && plus {
            out.push('+');
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn job(yaml: &str) -> ScrapeConfig {
        let text = format!("scrape_configs:\n- job_name: j\n{yaml}");
        Config::parse(&text, Path::new("prometheus.yml")).unwrap().scrape_configs.remove(0)
    }

    fn group(targets: &[&[(&str, &str)]], labels: &[(&str, &str)]) -> TargetGroup {
        TargetGroup {
            source: "0".to_owned(),
            labels: Labels::from_pairs(labels.iter().copied()),
            targets: targets.iter().map(|t| Labels::from_pairs(t.iter().copied())).collect(),
        }
    }

    fn one(yaml: &str, labels: &[(&str, &str)]) -> Sorted {
        sort(&job(yaml), &[group(&[labels], &[])], true)
    }

    #[test]
    fn a_target_has_job_instance_and_a_url_with_parameters() {
        let s = one(
            "  params: {module: [http_2xx, more], x: ['a b']}\n  metrics_path: /probe\n  scheme: https\n",
            &[("__address__", "host:1"), ("__param_module", "tcp"), ("env", "prod"), ("__meta_x", "1")],
        );
        let t = &s.targets[0];
        assert_eq!(t.url.to_string(), "https://host:1/probe?module=tcp&module=more&x=a+b");
        assert_eq!(t.labels.to_string(), r#"{env="prod", instance="host:1", job="j"}"#);
        assert_eq!(t.discovered.value("__meta_x"), "1");
        assert_eq!(t.all_labels.value("__meta_x"), "");
        assert_eq!((t.interval.as_secs(), t.timeout.as_secs()), (60, 10));
    }

    #[test]
    fn an_address_without_a_port_gets_that_of_its_scheme() {
        for (address, scheme, instance) in [
            ("h", "http", "h:80"),
            ("h", "https", "h:443"),
            ("h:8080", "http", "h:8080"),
            ("[::1]", "http", "[::1]:80"),
            ("[::1]:9", "http", "[::1]:9"),
        ] {
            let s = one("", &[("__address__", address), ("__scheme__", scheme)]);
            assert_eq!(s.targets[0].labels.value("instance"), instance, "{:?}", s.failures);
        }
        let s = sort(&job(""), &[group(&[&[("__address__", "h")]], &[])], false);
        assert_eq!(s.targets[0].labels.value("instance"), "h");
    }

    #[test]
    fn labels_decide_interval_and_timeout_and_nonsense_is_a_failure() {
        let s =
            one("", &[("__address__", "h:1"), ("__scrape_interval__", "5s"), ("__scrape_timeout__", "1s")]);
        assert_eq!(s.targets[0].interval.as_secs(), 5);
        for (labels, text) in [
            (vec![("__address__", "h:1"), ("__scrape_interval__", "0s")], "interval cannot be 0"),
            (vec![("__address__", "h:1"), ("__scrape_interval__", "x")], "error parsing scrape interval"),
            (vec![("__address__", "h:1"), ("__scrape_interval__", "1s")], "greater than scrape interval"),
            (vec![("__address__", "h/x:1")], "is not a valid hostname"),
            (vec![("x", "y")], "no address"),
            (vec![("__address__", "h"), ("__scheme__", "gopher")], "invalid scheme"),
        ] {
            let s = one("", &labels);
            assert!(s.targets.is_empty() && s.failures[0].contains(text), "{:?}", s.failures);
        }
    }

    #[test]
    fn relabelling_drops_and_doubles_are_one() {
        let c = job(
            "  relabel_configs:\n  - {source_labels: [keep], regex: 'yes', action: keep}\n  - {regex: keep|n, action: labeldrop}\n",
        );
        let s = sort(
            &c,
            &[group(
                &[
                    &[("__address__", "h:1"), ("keep", "yes"), ("n", "1")],
                    &[("__address__", "h:1"), ("keep", "yes"), ("n", "2")],
                    &[("__address__", "h:2"), ("keep", "no")],
                ],
                &[("g", "1")],
            )],
            true,
        );
        assert_eq!((s.targets.len(), s.dropped.len()), (1, 1));
        assert_eq!(s.dropped[0].value("keep"), "no");
        assert_eq!(s.targets[0].labels.value("g"), "1");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_labels_never_panic(pairs in proptest::collection::btree_map(
            "__address__|__scheme__|__metrics_path__|__scrape_interval__|__param_é|x", "[a-z0-9:/\\[\\]é ?%.]{0,8}", 0..6)) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let _ = one("", &pairs);
        }
    }
}
