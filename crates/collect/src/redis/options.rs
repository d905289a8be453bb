//! The flags of redis_exporter.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reba_http::TlsConfig;

use super::keys::{self, Key};
use crate::flags::{
    Flag, FlagError, Flags, Style,
    Takes::{Nothing, Text},
    wrong,
};

/// All of them. Those without help have no effect here.
pub const FLAGS: &[Flag] = &[
    Flag::new(
        "redis.addr",
        "REDIS_ADDR",
        Text,
        "redis://localhost:6379",
        "Where Redis is; empty: only /scrape answers.",
    ),
    Flag::new("redis.user", "REDIS_USER", Text, "", "The user, where Redis has several."),
    Flag::new("redis.password", "REDIS_PASSWORD", Text, "", "The password."),
    Flag::new(
        "redis.password-file",
        "REDIS_PASSWORD_FILE",
        Text,
        "",
        "A JSON file of addresses and their passwords.",
    ),
    Flag::new("namespace", "REDIS_EXPORTER_NAMESPACE", Text, "redis", "What names begin with."),
    Flag::new(
        "check-keys",
        "REDIS_EXPORTER_CHECK_KEYS",
        Text,
        "",
        "Patterns of keys to show, as db0=a*,db1=b*.",
    ),
    Flag::new("check-single-keys", "REDIS_EXPORTER_CHECK_SINGLE_KEYS", Text, "", "Keys to show."),
    Flag::new(
        "check-key-groups",
        "REDIS_EXPORTER_CHECK_KEY_GROUPS",
        Text,
        "",
        "Lua patterns that put keys into groups.",
    ),
    Flag::new(
        "max-distinct-key-groups",
        "REDIS_EXPORTER_MAX_DISTINCT_KEY_GROUPS",
        Text,
        "100",
        "Groups at most that are shown by themselves.",
    ),
    Flag::new("check-streams", "REDIS_EXPORTER_CHECK_STREAMS", Text, "", "Patterns of streams to show."),
    Flag::new("check-single-streams", "REDIS_EXPORTER_CHECK_SINGLE_STREAMS", Text, "", "Streams to show."),
    Flag::new("count-keys", "REDIS_EXPORTER_COUNT_KEYS", Text, "", "Patterns of keys to count."),
    Flag::new(
        "check-keys-batch-size",
        "REDIS_EXPORTER_CHECK_KEYS_BATCH_SIZE",
        Text,
        "1000",
        "Keys that the server looks at at once.",
    ),
    Flag::new("script", "REDIS_EXPORTER_SCRIPT", Text, "", "Files with Lua scripts whose results are shown."),
    Flag::new("config-command", "REDIS_EXPORTER_CONFIG_COMMAND", Text, "CONFIG", "What CONFIG is called."),
    Flag::new(
        "connection-timeout",
        "REDIS_EXPORTER_CONNECTION_TIMEOUT",
        Text,
        "15s",
        "How long connecting may take.",
    ),
    Flag::new(
        "web.listen-address",
        "REDIS_EXPORTER_WEB_LISTEN_ADDRESS",
        Text,
        "",
        "Where to listen, as :9121.",
    ),
    Flag::new(
        "web.telemetry-path",
        "REDIS_EXPORTER_WEB_TELEMETRY_PATH",
        Text,
        "/metrics",
        "The path of the page.",
    ),
    Flag::new(
        "tls-client-key-file",
        "REDIS_EXPORTER_TLS_CLIENT_KEY_FILE",
        Text,
        "",
        "Our key, if Redis wants a certificate.",
    ),
    Flag::new("tls-client-cert-file", "REDIS_EXPORTER_TLS_CLIENT_CERT_FILE", Text, "", "Our certificate."),
    Flag::new(
        "tls-ca-cert-file",
        "REDIS_EXPORTER_TLS_CA_CERT_FILE",
        Text,
        "",
        "Who may have signed Redis' certificate.",
    ),
    Flag::new("tls-server-key-file", "REDIS_EXPORTER_TLS_SERVER_KEY_FILE", Text, "", ""),
    Flag::new("tls-server-cert-file", "REDIS_EXPORTER_TLS_SERVER_CERT_FILE", Text, "", ""),
    Flag::new("tls-server-ca-cert-file", "REDIS_EXPORTER_TLS_SERVER_CA_CERT_FILE", Text, "", ""),
    Flag::new("tls-server-min-version", "REDIS_EXPORTER_TLS_SERVER_MIN_VERSION", Text, "TLS1.2", ""),
    Flag::new(
        "skip-tls-verification",
        "REDIS_EXPORTER_SKIP_TLS_VERIFICATION",
        Nothing,
        "",
        "Take any certificate.",
    ),
    Flag::new(
        "set-client-name",
        "REDIS_EXPORTER_SET_CLIENT_NAME",
        Nothing,
        "true",
        "Be redis_exporter in CLIENT LIST.",
    ),
    Flag::new("is-tile38", "REDIS_EXPORTER_IS_TILE38", Nothing, "", ""),
    Flag::new(
        "is-cluster",
        "REDIS_EXPORTER_IS_CLUSTER",
        Nothing,
        "",
        "Look for keys on all masters of the cluster.",
    ),
    Flag::new("export-client-list", "REDIS_EXPORTER_EXPORT_CLIENT_LIST", Nothing, "", "Show every client."),
    Flag::new(
        "export-client-port",
        "REDIS_EXPORTER_EXPORT_CLIENT_PORT",
        Nothing,
        "",
        "Show the clients' ports, too.",
    ),
    Flag::new(
        "redis-only-metrics",
        "REDIS_EXPORTER_REDIS_ONLY_METRICS",
        Nothing,
        "",
        "Leave out process_ and go_ metrics.",
    ),
    Flag::new(
        "ping-on-connect",
        "REDIS_EXPORTER_PING_ON_CONNECT",
        Nothing,
        "",
        "Show how long a PING takes.",
    ),
    Flag::new(
        "include-config-metrics",
        "REDIS_EXPORTER_INCL_CONFIG_METRICS",
        Nothing,
        "",
        "Show the configuration.",
    ),
    Flag::new(
        "redact-config-metrics",
        "REDIS_EXPORTER_REDACT_CONFIG_METRICS",
        Nothing,
        "true",
        "But not its passwords.",
    ),
    Flag::new(
        "include-system-metrics",
        "REDIS_EXPORTER_INCL_SYSTEM_METRICS",
        Nothing,
        "",
        "Show the host's memory.",
    ),
    Flag::new(
        "disable-exporting-key-values",
        "REDIS_EXPORTER_DISABLE_EXPORTING_KEY_VALUES",
        Nothing,
        "",
        "Show no values of keys.",
    ),
    Flag::new("log-format", "REDIS_EXPORTER_LOG_FORMAT", Text, "txt", ""),
    Flag::new("debug", "REDIS_EXPORTER_DEBUG", Nothing, "", ""),
];

/// Passwords by address.
pub type Passwords = BTreeMap<String, String>;

/// What the flags say, understood. Holds secrets: it is not printed.
#[derive(Clone)]
pub struct Options {
    pub address: String,
    pub user: String,
    pub password: String,
    pub password_file: String,
    pub namespace: String,
    pub check_keys: Vec<Key>,
    pub single_keys: Vec<Key>,
    pub key_groups: Vec<String>,
    pub max_groups: usize,
    pub check_streams: Vec<Key>,
    pub single_streams: Vec<Key>,
    pub count_keys: Vec<Key>,
    pub batch: u64,
    /// Names and texts.
    pub scripts: Vec<(String, String)>,
    pub config_command: String,
    pub connection_timeout: Duration,
    pub listen: Option<String>,
    pub telemetry_path: String,
    pub tls: TlsConfig,
    pub set_client_name: bool,
    pub is_cluster: bool,
    pub client_list: bool,
    pub client_port: bool,
    pub redis_only: bool,
    pub ping: bool,
    pub config_metrics: bool,
    pub redact: bool,
    pub system: bool,
    pub hide_values: bool,
}

impl Options {
    /// Understands `flags`; reads the files that they name.
    pub fn new(flags: &Flags) -> Result<Self, FlagError> {
        refuse(flags)?;
        let text = |flag: &str| flags.text(flag).to_owned();
        let key_list =
            |flag: &str| keys::parse(flags.text(flag)).map_err(|e| wrong(format!("--{flag}: {e}")));
        let file = |flag: &str| Some(flags.text(flag)).filter(|f| !f.is_empty()).map(PathBuf::from);
        let tls = TlsConfig {
            ca_file: file("tls-ca-cert-file"),
            cert_file: file("tls-client-cert-file"),
            key_file: file("tls-client-key-file"),
            insecure_skip_verify: flags.on("skip-tls-verification"),
            ..TlsConfig::default()
        };
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            return Err(wrong("--tls-client-key-file and --tls-client-cert-file go together"));
        }
        Ok(Options {
            address: text("redis.addr"),
            user: text("redis.user"),
            password: text("redis.password"),
            password_file: text("redis.password-file"),
            namespace: text("namespace"),
            check_keys: key_list("check-keys")?,
            single_keys: key_list("check-single-keys")?,
            key_groups: comma_list(flags.text("check-key-groups")),
            max_groups: flags.number("max-distinct-key-groups")? as usize,
            check_streams: key_list("check-streams")?,
            single_streams: key_list("check-single-streams")?,
            count_keys: key_list("count-keys")?,
            batch: flags.number("check-keys-batch-size")?.max(1),
            scripts: scripts(flags.text("script"))?,
            config_command: text("config-command"),
            connection_timeout: flags.time("connection-timeout")?,
            listen: flags.texts("web.listen-address").last().cloned(),
            telemetry_path: text("web.telemetry-path"),
            tls,
            set_client_name: flags.on("set-client-name"),
            is_cluster: flags.on("is-cluster"),
            client_list: flags.on("export-client-list"),
            client_port: flags.on("export-client-port"),
            redis_only: flags.on("redis-only-metrics"),
            ping: flags.on("ping-on-connect"),
            config_metrics: flags.on("include-config-metrics"),
            redact: flags.on("redact-config-metrics"),
            system: flags.on("include-system-metrics"),
            hide_values: flags.on("disable-exporting-key-values"),
        })
    }

    /// Whether a scrape leaves another database chosen than the one it found.
    pub fn chooses_databases(&self) -> bool {
        let keys = [
            &self.check_keys,
            &self.single_keys,
            &self.check_streams,
            &self.single_streams,
            &self.count_keys,
        ];
        keys.iter().any(|keys| !keys.is_empty()) || !self.key_groups.is_empty() || !self.scripts.is_empty()
    }

    /// Reads a command line.
    pub fn parse(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        // Two variables are called otherwise in upstream's documents than in its program.
        let env = |name: &str| {
            let other = match name {
                "REDIS_EXPORTER_INCL_CONFIG_METRICS" => "INCL_CONFIG_METRICS",
                "REDIS_EXPORTER_INCL_SYSTEM_METRICS" => "INCL_SYSTEM_METRICS",
                _ => "",
            };
            env(name).or_else(|| env(other).filter(|_| !other.is_empty()))
        };
        // An empty address has a meaning: there is no server but those that /scrape names.
        let mut options = Self::new(&Flags::parse("redis", FLAGS, Style::Go, args, &env)?)?;
        if env("REDIS_ADDR").is_some_and(|a| a.is_empty()) && !args.iter().any(|a| a.contains("redis.addr")) {
            options.address.clear();
        }
        Ok(options)
    }

    /// Reads the file of passwords.
    pub fn passwords(&self) -> Result<Passwords, String> {
        if self.password_file.is_empty() || !self.password.is_empty() {
            return Ok(Passwords::new());
        }
        let name = &self.password_file;
        let text = fs::read_to_string(Path::new(name)).map_err(|e| format!("{name}: {e}"))?;
        // What is wrong in it is not told: it may be part of a password.
        serde_json::from_str(&text).map_err(|e| format!("{name}: line {}: not an object of texts", e.line()))
    }
}

/// What there is no place for here.
fn refuse(flags: &Flags) -> Result<(), FlagError> {
    if flags.on("is-tile38") {
        return Err(wrong("--is-tile38: Tile38 is not supported here"));
    }
    for flag in ["tls-server-key-file", "tls-server-cert-file", "tls-server-ca-cert-file"] {
        if !flags.text(flag).is_empty() {
            return Err(wrong(format!(
                "--{flag}: say it in web.config_file of reba.yml, for all roles at once"
            )));
        }
    }
    Ok(())
}

/// A line of comma-separated values, some of which may be quoted.
fn comma_list(text: &str) -> Vec<String> {
    let (mut out, mut one, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(std::mem::take(&mut one)),
            c => one.push(c),
        }
    }
    out.push(one);
    out.into_iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

fn scripts(list: &str) -> Result<Vec<(String, String)>, FlagError> {
    let files = list.split(',').filter(|file| !file.is_empty());
    files
        .map(|file| match fs::read_to_string(file) {
            Ok(text) => Ok((file.to_owned(), text)),
            Err(e) => Err(wrong(format!("--script: {file}: {e}"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_commas_stay() {
        assert_eq!(comma_list("^(a)_, \"^b{1,2}\",,"), ["^(a)_", "^b{1,2}"]);
    }

    #[test]
    fn an_empty_address_means_that_there_is_none() {
        let env = |name: &str| (name == "REDIS_ADDR").then(String::new);
        assert_eq!(Options::parse(&[], &env).ok().unwrap().address, "");
        let args = ["--redis.addr=".to_owned()];
        assert_eq!(Options::parse(&args, &|_| None).ok().unwrap().address, "");
        assert_eq!(Options::parse(&[], &|_| None).ok().unwrap().address, "redis://localhost:6379");
    }

    #[test]
    fn what_is_not_supported_is_said() {
        for arg in ["--is-tile38", "-tls-server-key-file=x", "-tls-client-key-file=x", "-check-keys=a=b=c"] {
            assert!(Options::parse(&[arg.to_owned()], &|_| None).is_err(), "{arg}");
        }
    }
}
