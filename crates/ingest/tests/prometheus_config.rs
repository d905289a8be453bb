//! Upstream's own configuration files: the good ones load, the bad ones are refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use reba_ingest::config::{Config, ConfigErrorKind, Severity, Variables, check_with};

/// What upstream's tests say about files whose name does not end in `.good.yml` or `.bad.yml`.
const OTHERS: [(&str, bool); 14] = [
    ("agent_mode.with_alert_manager.yml", true),
    ("agent_mode.with_alert_relabels.yml", true),
    ("agent_mode.with_remote_reads.yml", true),
    ("agent_mode.with_rule_files.yml", true),
    ("agent_mode.without_remote_writes.yml", true),
    ("config_with_deprecated_am_api_config.yml", false),
    ("otlp_allow_utf8.incompatible.yml", false),
    ("otlp_empty.yml", true),
    ("otlp_no_translation.incompatible.yml", false),
    ("scrape_config_default_validation_mode.yml", true),
    ("scrape_config_global_validation_mode.yml", true),
    ("scrape_config_local_global_validation_mode.yml", true),
    ("scrape_config_local_infer_escaping.yml", true),
    ("scrape_config_local_validation_mode.yml", true),
];

/// Files that are no configuration by themselves but parts of one.
const PARTS: [&str; 1] = ["static_config.bad.yml"];

/// Files about which we differ from upstream on purpose.
const DEVIATIONS: [(&str, &str); 0] = [];

fn folder() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("REBA_CONFORMANCE")
        .map_or_else(|| workspace.join("../shared/conformance"), PathBuf::from);
    let folder = root.join("prometheus-config");
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yml"))
        .collect();
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// The environment in which upstream's tests load the files.
fn variables() -> Variables {
    Variables::new([("TEST".to_owned(), "TestValue".to_owned())].into())
}

/// Whether upstream loads the file; `None` if it is no configuration.
fn expected(name: &str) -> Option<bool> {
    if PARTS.contains(&name) {
        None
    } else if name.ends_with(".good.yml") {
        Some(true)
    } else if name.ends_with(".bad.yml") {
        Some(false)
    } else {
        Some(OTHERS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("new file {name}")).1)
    }
}

#[test]
fn upstreams_good_files_load_and_its_bad_files_are_refused() {
    let Some(folder) = folder() else {
        println!("prometheus-config skipped: no conformance data");
        return;
    };
    let (mut passed, mut failed) = (0, Vec::new());
    let mut skipped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files(&folder) {
        let name = name(&file);
        let Some(good) = expected(name) else {
            skipped.entry("no configuration of its own".to_owned()).or_default().push(name.to_owned());
            continue;
        };
        match Config::load_with(&file, &variables()) {
            Err(e) if e.kind == ConfigErrorKind::Unsupported => {
                let key = e.key.rsplit('.').next().unwrap_or_default().to_owned();
                skipped.entry(format!("{key} is not supported yet")).or_default().push(name.to_owned());
            }
            Ok(_) if good => passed += 1,
            Err(_) if !good => passed += 1,
            Err(e) => failed.push(format!("{name}: refused: {e}")),
            Ok(_) => failed.push(format!("{name}: loaded")),
        }
    }
    for (reason, names) in &skipped {
        println!("skipped, {reason}: {}", names.join(", "));
    }
    for f in &failed {
        println!("failed {f}");
    }
    let skipped: usize = skipped.values().map(Vec::len).sum();
    println!("prometheus-config passed {passed} failed {} skipped {skipped}", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed > 100, "only {passed} files were compared");
}

/// Keys and rules that came after the packaged promtool, which refuses or accepts what newer releases do not.
fn is_newer_than(version: (u32, u32), text: &str, name: &str) -> bool {
    let newer = [
        // Left out of the package.
        ((u32::MAX, 0), "kubernetes_sd_configs"),
        // Did not look at the HTTP client of http_sd_configs.
        ((2, 43), "http_token_file"),
        ((2, 49), "scrape_protocols"),
        ((2, 49), "enable_compression"),
        ((2, 43), "scrape_config_files"),
        ((2, 43), "body_size_limit"),
        ((2, 43), "no_proxy"),
        ((2, 48), "extra_scrape_metrics"),
        ((2, 48), "keep_dropped_targets"),
        ((3, 0), "metric_name_"),
        ((3, 0), "scrape_native_histograms"),
        ((3, 0), "scrape_classic_histograms"),
        ((3, 0), "classic_hist"),
        ((3, 0), "otlp"),
        ((3, 0), "runtime"),
        ((3, 0), "http_headers"),
        ((3, 0), "chunk_encoding"),
        ((3, 0), "retention"),
        ((3, 0), "utf8"),
        ((3, 0), "api_version: v1"),
        ((3, 6), "remote_write_queue_"),
    ];
    newer.iter().any(|(since, key)| version < *since && (text.contains(key) || name.contains(key)))
}

#[test]
fn verdicts_agree_with_the_real_promtool_where_it_knows_the_keys() {
    let peer = std::env::var_os("REBA_PROMTOOL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/promtool"),
        PathBuf::from,
    );
    let (Some(folder), true) = (folder(), peer.is_file()) else {
        println!("promtool agreement skipped: no promtool or no conformance data");
        return;
    };
    let version = Command::new(&peer).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let mut numbers = version.split("version ").nth(1).unwrap_or("2.42").split('.');
    let mut number = || numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let version = (number(), number());
    let (mut agreed, mut newer, mut differ) = (0, 0, Vec::new());
    for file in files(&folder) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let ours = match Config::load_with(&file, &variables()) {
            Err(e) if e.kind == ConfigErrorKind::Unsupported => continue,
            r => r,
        };
        if is_newer_than(version, &text, name(&file)) {
            newer += 1;
            continue;
        }
        // The syntax alone, then with the files that the configuration names.
        let refused = check_with(&file, &variables()).into_iter().find(|d| d.severity == Severity::Error);
        for (flag, ours) in [
            ("--syntax-only", ours.err().map(|e| e.to_string())),
            ("--no-syntax-only", refused.map(|d| d.message)),
        ] {
            let theirs = Command::new(&peer)
                .args(["check", "config", flag, "--lint=none"])
                .arg(&file)
                .output()
                .unwrap();
            if theirs.status.success() == ours.is_none() {
                agreed += 1;
            } else {
                let said = String::from_utf8_lossy(&theirs.stderr).into_owned();
                differ.push(format!("{} {flag}: ours {ours:?}, theirs {said}", name(&file)));
            }
        }
    }
    println!("promtool agreement: {agreed} agree, {} differ, {newer} use newer keys", differ.len());
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn deviations_are_listed_with_a_reason() {
    assert!(DEVIATIONS.iter().all(|(file, why)| !file.is_empty() && !why.is_empty()));
}
