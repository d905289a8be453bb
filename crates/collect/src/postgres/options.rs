//! The flags, variables and the configuration file of postgres_exporter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde::Deserialize;

use super::{
    collectors::COLLECTORS,
    dsn::Dsn,
    queries::{self, Namespace},
};
use crate::flags::{
    Flag, FlagError, Flags, Style,
    Takes::{Nothing, Text},
    WEB, refuse_web, wrong,
};

/// Flags beside those that switch collectors.
const FLAGS: &[Flag] = &[
    Flag::new("web.listen-address", "", Text, "", "Where to listen, as :9187."),
    Flag::new(
        "web.telemetry-path",
        "PG_EXPORTER_WEB_TELEMETRY_PATH",
        Text,
        "/metrics",
        "The path of the page.",
    ),
    Flag::new("config.file", "", Text, "postgres_exporter.yml", "A file of logins for /probe."),
    Flag::new(
        "disable-default-metrics",
        "PG_EXPORTER_DISABLE_DEFAULT_METRICS",
        Nothing,
        "",
        "Ask no built-in queries but those of collectors.",
    ),
    Flag::new(
        "disable-settings-metrics",
        "PG_EXPORTER_DISABLE_SETTINGS_METRICS",
        Nothing,
        "",
        "Leave out settings.",
    ),
    Flag::new(
        "auto-discover-databases",
        "PG_EXPORTER_AUTO_DISCOVER_DATABASES",
        Nothing,
        "",
        "Ask queries that are not for the master in every database.",
    ),
    Flag::new(
        "exclude-databases",
        "PG_EXPORTER_EXCLUDE_DATABASES",
        Text,
        "",
        "Databases to leave out, separated by commas.",
    ),
    Flag::new(
        "include-databases",
        "PG_EXPORTER_INCLUDE_DATABASES",
        Text,
        "",
        "The only databases to ask in.",
    ),
    Flag::new(
        "extend.query-path",
        "PG_EXPORTER_EXTEND_QUERY_PATH",
        Text,
        "",
        "A file of queries of your own.",
    ),
    Flag::new(
        "constantLabels",
        "PG_EXPORTER_CONSTANT_LABELS",
        Text,
        "",
        "Labels of what queries find, as a=b,c=d.",
    ),
    Flag::new("metric-prefix", "PG_EXPORTER_METRIC_PREFIX", Text, "pg", "What names of queries begin with."),
    Flag::new(
        "compat.old-names",
        "PG_EXPORTER_COMPAT_OLD_NAMES",
        Nothing,
        "true",
        "Show families that were renamed under their old names as well.",
    ),
    Flag::new("log.level", "", Text, "info", ""),
    Flag::new("log.format", "", Text, "logfmt", ""),
];

fn all() -> Vec<Flag> {
    let switches = COLLECTORS.iter().map(|collector| Flag {
        name: collector.flag,
        env: "",
        takes: Nothing,
        default: if collector.default { "true" } else { "false" },
        help: collector.help,
    });
    FLAGS.iter().copied().chain(WEB).chain(switches).collect()
}

/// A login for probes.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthModule {
    #[serde(rename = "type")]
    kind: String,
    userpass: UserPass,
    options: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserPass {
    username: String,
    password: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    auth_modules: BTreeMap<String, AuthModule>,
}

impl AuthModule {
    /// Whether it has both of a login.
    pub fn is_complete(&self) -> bool {
        !self.userpass.username.is_empty() && !self.userpass.password.is_empty()
    }

    /// Puts the login and the options into an address.
    pub fn apply(&self, dsn: &mut Dsn) {
        if self.kind == "userpass" {
            dsn.set("user", &self.userpass.username);
            dsn.set("password", &self.userpass.password);
        }
        self.options.iter().for_each(|(key, value)| dsn.set(key, value));
    }
}

/// What the flags say, understood. Holds passwords: it is not printed.
pub struct Options {
    pub listen: Option<String>,
    pub telemetry_path: String,
    pub sources: Vec<Dsn>,
    pub collectors: BTreeSet<&'static str>,
    pub default_metrics: bool,
    pub settings_metrics: bool,
    /// Whether families that were renamed have their old names as well.
    pub old_names: bool,
    pub discover: bool,
    pub excluded: Vec<String>,
    pub included: Vec<String>,
    pub constant_labels: Vec<(String, String)>,
    pub prefix: String,
    /// The file of queries, and whether it could be read.
    pub queries_file: Option<(String, bool)>,
    pub namespaces: Vec<Namespace>,
    pub auth_modules: BTreeMap<String, AuthModule>,
    /// Whether the configuration file was read.
    pub config_loaded: bool,
}

impl Options {
    /// Reads a command line, variables, and the files that they name.
    pub fn parse(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        let flags = Flags::parse("postgres", &all(), Style::Kingpin, args, env)?;
        refuse_web(&flags)?;
        let default_metrics = !flags.on("disable-default-metrics");
        let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
        let builtin = if default_metrics { queries::builtin() } else { Vec::new() };
        namespaces.extend(builtin.into_iter().map(|n| (n.name().to_owned(), n)));
        let file = flags.text("extend.query-path");
        let queries_file = (!file.is_empty()).then(|| match queries::load(file) {
            Ok(own) => {
                namespaces.extend(own.into_iter().map(|n| (n.name().to_owned(), n)));
                (file.to_owned(), true)
            }
            Err(reason) => {
                tracing::error!(reason, "the queries of --extend.query-path are left out");
                (file.to_owned(), false)
            }
        });
        let (auth_modules, config_loaded) = auth_modules(&flags)?;
        let list = |flag: &str| {
            flags.text(flag).split(',').filter(|d| !d.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        Ok(Options {
            listen: flags.texts("web.listen-address").last().cloned(),
            telemetry_path: flags.text("web.telemetry-path").to_owned(),
            sources: sources(env)?,
            collectors: COLLECTORS.iter().filter(|c| flags.on(c.flag)).map(|c| c.name).collect(),
            default_metrics,
            settings_metrics: !flags.on("disable-settings-metrics"),
            old_names: flags.on("compat.old-names"),
            discover: flags.on("auto-discover-databases"),
            excluded: list("exclude-databases"),
            included: list("include-databases"),
            constant_labels: constant_labels(flags.text("constantLabels"))?,
            prefix: flags.text("metric-prefix").to_owned(),
            queries_file,
            namespaces: namespaces.into_values().collect(),
            auth_modules,
            config_loaded,
        })
    }
}

fn auth_modules(flags: &Flags) -> Result<(BTreeMap<String, AuthModule>, bool), FlagError> {
    let file = flags.text("config.file");
    match fs::read_to_string(Path::new(file)) {
        Ok(text) => match serde_saphyr::from_str::<ConfigFile>(&text) {
            Ok(config) => Ok((config.auth_modules, true)),
            // What is wrong may be a part of a password: only the place is told.
            Err(e) => {
                let line = e.location().map(|at| at.line()).unwrap_or_default();
                Err(wrong(format!("--config.file: {file}:{line}: not a file of auth_modules")))
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound && !flags.given("config.file") => {
            Ok((BTreeMap::new(), false))
        }
        Err(e) => Err(wrong(format!("--config.file: {file}: {e}"))),
    }
}

/// Where databases are: `DATA_SOURCE_NAME`, or `DATA_SOURCE_URI`, `_USER` and `_PASS`; each may stand in a file.
fn sources(env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Dsn>, FlagError> {
    let read = |name: &str| -> Result<String, FlagError> {
        let file = env(&format!("{name}_FILE")).filter(|file| !file.is_empty());
        match file {
            Some(file) => match fs::read_to_string(&file) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(e) => Err(wrong(format!("{name}_FILE: {file}: {e}"))),
            },
            None => Ok(env(name).unwrap_or_default()),
        }
    };
    let parse = |name: &str, text: &str| Dsn::parse(text).map_err(|e| wrong(format!("{name}: {e}")));
    let names = read("DATA_SOURCE_NAME")?;
    if !names.is_empty() {
        return names.split(',').map(|text| parse("DATA_SOURCE_NAME", text)).collect();
    }
    let uri = read("DATA_SOURCE_URI")?;
    if uri.is_empty() {
        return Ok(Vec::new());
    }
    let mut dsn = parse("DATA_SOURCE_URI", &format!("postgresql://{uri}"))?;
    for (key, name) in [("user", "DATA_SOURCE_USER"), ("password", "DATA_SOURCE_PASS")] {
        let value = read(name)?;
        if !value.is_empty() {
            dsn.set(key, &value);
        }
    }
    Ok(vec![dsn])
}

fn constant_labels(text: &str) -> Result<Vec<(String, String)>, FlagError> {
    let one = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if reba_model::is_legacy_label_name(name.trim()) => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(wrong(format!("--constantLabels: not a label and its value: {pair:?}"))),
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Options, FlagError> {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        Options::parse(&args, &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn sources_come_from_variables_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pass");
        fs::write(&file, "s3cret/@\n").unwrap();
        let env = [
            ("DATA_SOURCE_URI", "db:5433/x?sslmode=disable"),
            ("DATA_SOURCE_USER", "u"),
            ("DATA_SOURCE_PASS_FILE", file.to_str().unwrap()),
        ];
        let options = parse(&[], &env).ok().unwrap();
        assert_eq!(options.sources[0].server(), "db:5433");
        assert_eq!(options.sources[0].config().unwrap().get_password(), Some(b"s3cret/@".as_slice()));
        let two = [("DATA_SOURCE_NAME", "postgresql://a/x,host=b"), ("DATA_SOURCE_URI", "c/x")];
        let servers: Vec<_> = parse(&[], &two).ok().unwrap().sources.iter().map(Dsn::server).collect();
        assert_eq!(servers, ["a:5432", "b:5432"]);
    }

    #[test]
    fn logins_of_probes_are_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yml");
        let text = "auth_modules:\n  m:\n    type: userpass\n    userpass: {username: u, password: p}\n    options: {sslmode: disable}\n";
        fs::write(&file, text).unwrap();
        let options = parse(&["--config.file", file.to_str().unwrap()], &[]).ok().unwrap();
        let mut dsn = Dsn::parse_target("h/x").ok().unwrap();
        options.auth_modules["m"].apply(&mut dsn);
        assert!(dsn == Dsn::parse("postgres://u:p@h/x?sslmode=disable").ok().unwrap());
        fs::write(&file, "auth_modules:\n  m: {password: s3cret}\n").unwrap();
        let error = parse(&["--config.file", file.to_str().unwrap()], &[]).err().unwrap().to_string();
        assert!(error.contains("p.yml:2") && !error.contains("s3cret"), "{error}");
        assert!(
            parse(&["--config.file=/nope"], &[]).is_err() && !parse(&[], &[]).ok().unwrap().config_loaded
        );
    }

    #[test]
    fn collectors_are_switched_by_their_names() {
        let options = parse(&["--no-collector.wal", "--collector.postmaster"], &[]).ok().unwrap();
        assert!(!options.collectors.contains("wal") && options.collectors.contains("postmaster"));
        assert!(options.collectors.contains("locks") && !options.collectors.contains("stat_statements"));
        assert!(parse(&["--constantLabels=a"], &[]).is_err());
        assert!(parse(&["--web.config.file=x"], &[]).is_err());
    }
}
