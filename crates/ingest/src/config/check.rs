//! What `reba check` says about a prometheus.yml, beyond that it loads.

use std::{fmt, path::Path};

use reba_http::HttpClientConfig;

use super::{Config, ConfigError, DiscoveryConfig, ScrapeConfig, Variables};
use crate::{
    discovery::{self, TargetGroup},
    glob,
    scrape::sort,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It loads, but probably does not do what is meant.
    Warning,
    /// It does not load, or promtool would refuse it.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where and what, in one line.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.message)
    }
}

/// Checks a configuration as `promtool check config` does: that it loads, that the files exist which it names, that
/// files of targets can be read and their targets make sense. What rule files hold is not looked at.
pub fn check(file: &Path) -> Vec<Diagnostic> {
    check_with(file, &Variables::default())
}

/// Like [`check`]; `variables` are what `${NAME}` may ask for.
pub fn check_with(file: &Path, variables: &Variables) -> Vec<Diagnostic> {
    let mut unsupported = Vec::new();
    let loaded = Config::load_collecting(file, variables, &mut unsupported);
    let mut findings = Findings { file, list: Vec::new() };
    findings.list.extend(unsupported.iter().map(refusal));
    match loaded {
        Ok(config) => findings.config(&config),
        Err(e) => findings.list.push(refusal(&e)),
    }
    findings.list
}

fn refusal(e: &ConfigError) -> Diagnostic {
    Diagnostic { severity: Severity::Error, message: e.to_string() }
}

struct Findings<'a> {
    file: &'a Path,
    list: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, message: &str) {
        let message = format!("{}: {message}", self.file.display());
        self.list.push(Diagnostic { severity, message });
    }

    fn config(&mut self, config: &Config) {
        for pattern in &config.rule_files {
            let shown = pattern.display().to_string();
            let is_pattern = shown.contains('*');
            match glob::expand(pattern) {
                Ok(found) if !found.is_empty() => {}
                Ok(_) if is_pattern => {
                    self.add(Severity::Warning, &format!("rule_files: {shown:?} matches no file"));
                }
                Ok(_) => {
                    let text = format!("rule_files: {shown:?} does not point to an existing file");
                    self.add(Severity::Error, &text);
                }
                Err(e) => self.add(Severity::Error, &format!("rule_files: {shown:?}: {e}")),
            }
        }
        for job in config.jobs() {
            let of = format!("scrape job {:?}", job.job_name);
            self.http_files(&job.http, &of);
            self.discovery(&job.discovery, &of, |groups| job_failures(job, groups));
        }
        for (i, manager) in config.alerting.alertmanagers.iter().enumerate() {
            let of = format!("alertmanagers[{i}]");
            self.http_files(&manager.http, &of);
            self.discovery(&manager.discovery, &of, address_failures);
        }
        for (what, http) in (config.remote_write.iter().map(|r| ("remote_write", &r.http)))
            .chain(config.remote_read.iter().map(|r| ("remote_read", &r.http)))
        {
            self.http_files(http, what);
        }
    }

    /// promtool asks for credentials and the client's certificate; other files are as necessary, but it passes them.
    fn http_files(&mut self, http: &HttpClientConfig, of: &str) {
        for (key, file) in http.files() {
            if file.is_file() {
                continue;
            }
            let asked = ["authorization.credentials_file", "tls_config.cert_file", "tls_config.key_file"];
            let severity = if asked.contains(&key) { Severity::Error } else { Severity::Warning };
            self.add(severity, &format!("{of}: {key}: {:?} does not exist", file.display().to_string()));
        }
    }

    fn discovery(
        &mut self,
        config: &DiscoveryConfig,
        of: &str,
        failures: impl Fn(&[TargetGroup]) -> Vec<String>,
    ) {
        for failure in failures(&discovery::static_groups(config)) {
            self.add(Severity::Error, &format!("{of}: static_configs: {failure}"));
        }
        for (kind, http) in config.http_clients() {
            for (key, file) in http.files().into_iter().filter(|(_, f)| !f.is_file()) {
                let text = format!("{of}: {kind}: {key}: {:?} does not exist", file.display().to_string());
                // promtool asks for the client's certificate only here.
                let asked = kind == "kubernetes_sd_configs"
                    && matches!(key, "tls_config.cert_file" | "tls_config.key_file");
                self.add(if asked { Severity::Error } else { Severity::Warning }, &text);
            }
        }
        for pattern in config.files.iter().flat_map(|f| &f.files) {
            let shown = pattern.display().to_string();
            match glob::expand(pattern) {
                Ok(found) if found.is_empty() => {
                    let text = format!("{of}: file {shown:?} for file_sd does not exist");
                    self.add(Severity::Warning, &text);
                }
                Ok(found) => {
                    for file in found {
                        let problems = discovery::file::read(&file).map(|groups| failures(&groups));
                        for problem in problems.unwrap_or_else(|e| vec![e]) {
                            let text = format!("{of}: checking SD file {shown:?}: {problem}");
                            self.add(Severity::Error, &text);
                        }
                    }
                }
                Err(e) => self.add(Severity::Error, &format!("{of}: {shown:?}: {e}")),
            }
        }
    }
}

fn job_failures(job: &ScrapeConfig, groups: &[TargetGroup]) -> Vec<String> {
    sort(job, groups, true).failures
}

fn address_failures(groups: &[TargetGroup]) -> Vec<String> {
    let addresses = groups.iter().flat_map(|g| &g.targets).map(|t| t.value(discovery::ADDRESS_LABEL));
    addresses.filter(|a| a.contains('/')).map(|a| format!("{a:?} is not a valid hostname")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn findings(files: &[(&str, &str)], config: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let prefix = format!("{}/", dir.path().display());
        check(&file).iter().map(|d| d.to_string().replace(&prefix, "")).collect()
    }

    #[test]
    fn a_good_configuration_has_no_findings() {
        let config = "rule_files: [a.yml, b*.yml]\nscrape_configs:\n- job_name: j\n  authorization: {credentials_file: t}\n  \
                      file_sd_configs: [{files: [t.json]}]\n";
        let files = [("a.yml", ""), ("b1.yml", ""), ("t", "x"), ("t.json", "[]")];
        assert_eq!(findings(&files, config), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_said_with_the_job() {
        let config = "rule_files: [a.yml, b*.yml]\nscrape_configs:\n- job_name: j\n  authorization: {credentials_file: t}\n  \
                      tls_config: {ca_file: ca}\n  file_sd_configs: [{files: [t.json, u.yml]}]\n  static_configs: [{targets: ['']}]\n";
        let files = [("u.yml", "- targets: ['x/y']\n")];
        assert_eq!(
            findings(&files, config),
            [
                "error: prometheus.yml: rule_files: \"a.yml\" does not point to an existing file",
                "warning: prometheus.yml: rule_files: \"b*.yml\" matches no file",
                "error: prometheus.yml: scrape job \"j\": authorization.credentials_file: \"t\" does not exist",
                "warning: prometheus.yml: scrape job \"j\": tls_config.ca_file: \"ca\" does not exist",
                "error: prometheus.yml: scrape job \"j\": static_configs: instance 0 in group 0: no address",
                "warning: prometheus.yml: scrape job \"j\": file \"t.json\" for file_sd does not exist",
                "error: prometheus.yml: scrape job \"j\": checking SD file \"u.yml\": instance 0 in group u.yml:0: \
                 \"x/y:80\" is not a valid hostname",
            ]
        );
    }

    #[test]
    fn everything_that_is_not_supported_is_listed_at_once() {
        let config = "scrape_configs:\n- job_name: j\n  nerve_sd_configs: []\n  nomad_sd_configs: []\n- job_name: k\n  \
                      ec2_sd_configs: [{region: x}]\n";
        let found = findings(&[], config);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("key scrape_configs[0].nerve_sd_configs: not supported yet"));
    }
}
