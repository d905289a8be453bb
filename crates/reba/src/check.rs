//! `reba check`: is this folder right?

use std::path::Path;

use anyhow::Result;
use reba_api::{grafana::Paths, web::Web};
use reba_config::Variables;
use reba_http::ProxyEnv;
use reba_ingest::{
    config::{self, Config, Severity},
    loki::config::LokiConfig,
    traces::config::TempoConfig,
};
use reba_rules::{FileOptions, RuleFile, describe_duplicates, logs::RuleFolder};
use reba_ship::ShipConfig;
use serde_json::json;

use crate::{
    alert_check,
    alertmanagers::{self, Home},
    args::CheckFormat,
    config::variables,
    exporters,
    folder::Folder,
    log_rules,
    run::USER_AGENT,
    settings::Settings,
    tempo,
};

/// One line of the verdict.
struct Finding {
    error: bool,
    text: String,
}

impl Finding {
    fn error(text: impl ToString) -> Self {
        Finding { error: true, text: text.to_string() }
    }

    fn warning(text: impl ToString) -> Self {
        Finding { error: false, text: text.to_string() }
    }
}

/// The text to print, and whether all is right.
pub fn check(path: &Path, format: CheckFormat) -> Result<(String, bool)> {
    let folder = Folder::at(path)?;
    let mut findings = Vec::new();
    let mut notes = Vec::new();
    let variables = variables(&folder, Path::new("data")).unwrap_or_else(|e| {
        findings.push(Finding::error(format!("{e:#}")));
        Variables::default()
    });
    if folder.prometheus.exists() {
        prometheus(&folder, &variables, &mut findings, &mut notes);
    } else {
        notes.push(format!("{}: not there, nothing will be scraped", folder.prometheus.display()));
    }
    if folder.loki.exists() {
        loki(&folder.loki, &variables, &mut findings, &mut notes);
    }
    if folder.tempo.exists() {
        traces(&folder.tempo, &variables, &mut findings, &mut notes);
    }
    if folder.alertmanager.exists() {
        alertmanager(&folder.alertmanager, &variables, &mut findings, &mut notes);
    }
    if folder.promtail.exists() {
        promtail(&folder.promtail, &variables, &mut findings, &mut notes);
    }
    grafana(&folder, &variables, &mut findings);
    match Settings::read(&folder.reba, &variables) {
        Err(e) => findings.extend(format!("{e:#}").lines().map(Finding::error)),
        Ok(settings) => {
            let web = settings.web_config_file.as_deref().map(|file| Web::load(file, &variables));
            findings.extend(web.and_then(Result::err).map(Finding::error));
            let faults = exporters::check(&settings.exporters, &variables);
            findings.extend(faults.iter().map(|e| Finding::error(format!("{e:#}"))));
        }
    }
    let ok = findings.iter().all(|f| !f.error);
    Ok((print(&findings, &notes, ok, format), ok))
}

/// The web app's settings, data sources and dashboards.
fn grafana(folder: &Folder, variables: &Variables, findings: &mut Vec<Finding>) {
    if let Err(e) = crate::grafana::settings(&folder.grafana, variables, true) {
        findings.push(Finding::error(format!("{e:#}")));
    }
    for fault in reba_api::grafana::check(&Paths::below(&folder.root), variables) {
        findings.push(Finding { error: !fault.loaded, text: fault.to_string() });
    }
}

fn prometheus(folder: &Folder, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    let file = &folder.prometheus;
    for d in config::check_with(file, variables) {
        let finding = Finding { error: d.severity == Severity::Error, text: d.message };
        findings.push(finding);
    }
    let Ok(config) = Config::load_with(file, variables) else { return };
    // What only the attempt to make a client shows: a proxy of an unknown kind, for one.
    for job in config.jobs() {
        if let Err(e) = reba_http::Client::new(&job.http, USER_AGENT, &ProxyEnv::default()) {
            findings.push(Finding::error(format!("{}: job {:?}: {e}", file.display(), job.job_name)));
        }
    }
    if let Err(e) =
        alertmanagers::prepare(&config.alerting, USER_AGENT, &ProxyEnv::default(), &Home::default())
    {
        findings.push(Finding::error(format!("{}: {e:#}", file.display())));
    }
    let Ok(paths) = config.rule_paths() else { return };
    notes.push(format!("{}: {} jobs, {} rule files", file.display(), config.jobs().count(), paths.len()));
    for path in paths {
        rules(&path, variables, findings, notes);
    }
}

fn loki(path: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    match LokiConfig::load(path, variables) {
        Err(e) => findings.push(Finding::error(e)),
        Ok((config, warnings)) => {
            findings.extend(warnings.iter().map(Finding::warning));
            notes.push(format!("{}: read", path.display()));
            if let Some(dir) = log_rules::folder(&config) {
                rules_about_logs(&dir, variables, findings, notes);
            }
        }
    }
}

fn traces(path: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    match TempoConfig::load(path, variables) {
        Err(e) => findings.push(Finding::error(e)),
        Ok((config, warnings)) => {
            findings.extend(warnings.iter().map(Finding::warning));
            if let Err(e) = tempo::remotes(&config, path) {
                findings.push(Finding::error(format!("{}: {e:#}", path.display())));
            }
            notes.push(format!("{}: read", path.display()));
        }
    }
}

fn rules_about_logs(dir: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    let folder = RuleFolder::read(dir, variables);
    findings.extend(folder.errors.iter().map(Finding::error));
    findings.extend(folder.warnings.iter().map(Finding::warning));
    for file in &folder.files {
        let name = dir.join(file.tenant.as_str()).join(&file.namespace);
        notes.push(format!("{}: {} rules", name.display(), file.rules.rule_count()));
    }
}

fn alertmanager(path: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    match reba_notify::config::load(path, variables) {
        Err(e) => findings.push(Finding::error(e)),
        Ok((file, warnings)) => {
            findings.extend(warnings.iter().map(Finding::warning));
            findings.extend(alert_check::ungrouped(path, &file.routing).iter().map(Finding::warning));
            let routes = file.routing.routes().len();
            notes.push(format!("{}: {routes} routes, {} receivers", path.display(), file.receivers.len()));
        }
    }
}

fn promtail(path: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    match ShipConfig::load(path, variables) {
        Err(e) => findings.push(Finding::error(e)),
        Ok(config) => {
            findings.extend(config.warnings.iter().map(Finding::warning));
            notes.push(format!(
                "{}: {} jobs, {} clients",
                path.display(),
                config.jobs.len(),
                config.clients.len()
            ));
        }
    }
}

fn rules(path: &Path, variables: &Variables, findings: &mut Vec<Finding>, notes: &mut Vec<String>) {
    let name = path.display().to_string();
    match RuleFile::load(path, variables, &FileOptions::default()) {
        Err(errors) => findings.extend(errors.iter().map(Finding::error)),
        Ok((file, unresolved)) => {
            notes.push(format!("{name}: {} rules", file.rule_count()));
            findings.extend(unresolved.iter().map(|u| {
                let (line, column) = u.at;
                Finding::warning(format!(
                    "{name}:{line}:{column}: key {}: no variable {}, the text stays as it is",
                    u.key, u.name
                ))
            }));
            let duplicates = file.duplicates();
            if !duplicates.is_empty() {
                findings.push(Finding::warning(format!("{name}: {}", describe_duplicates(&duplicates))));
            }
        }
    }
}

fn print(findings: &[Finding], notes: &[String], ok: bool, format: CheckFormat) -> String {
    let severity = |f: &Finding| if f.error { "error" } else { "warning" };
    match format {
        CheckFormat::Json => {
            let list: Vec<_> =
                findings.iter().map(|f| json!({ "severity": severity(f), "message": f.text })).collect();
            format!("{}\n", json!({ "ok": ok, "findings": list }))
        }
        CheckFormat::Text => {
            let mut out = String::new();
            for f in findings {
                out.push_str(&format!("{}: {}\n", f.text, severity(f)));
            }
            for note in notes {
                out.push_str(&format!("{note}\n"));
            }
            out.push_str(if ok { "all right\n" } else { "something is wrong\n" });
            out
        }
    }
}
