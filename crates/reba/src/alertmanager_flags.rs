//! Alertmanager's own command line, behind `--only alertmanager --`: what its flags say goes where it stands in `reba.yml`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use reba_collect::flags::{
    Flag, FlagError, Flags, Style,
    Takes::{self, Nothing, Text, Texts},
};

use crate::{
    args::{LogFormat, Role, RunArgs},
    settings::Settings,
    upstream,
};

const fn flag(name: &'static str, takes: Takes, default: &'static str, help: &'static str) -> Flag {
    Flag { name, env: "", takes, default, help }
}

/// The flags that have an effect, and behind them those that have none.
const FLAGS: &[Flag] = &[
    flag("config.file", Text, "", "The configuration; .env and reba.yml may stand beside it."),
    flag("storage.path", Text, "", "Where data is kept (--data)."),
    flag(
        "data.retention",
        Text,
        "120h",
        "How long silences are kept after their end (alertmanager.retention).",
    ),
    flag(
        "alerts.gc-interval",
        Text,
        "30m",
        "How often resolved alerts are forgotten (alertmanager.gc_interval).",
    ),
    flag("web.listen-address", Texts, "", "Where to listen, as :9093 (listen.alertmanager)."),
    flag("web.config.file", Text, "", "TLS, users and headers (web.config_file)."),
    flag("web.external-url", Text, "", "The address by which people reach it (alertmanager.external_url)."),
    flag("web.route-prefix", Text, "", "The path below which it answers (alertmanager.route_prefix)."),
    flag("web.get-concurrency", Text, "0", "Readers at a time; 0: 64 (alertmanager.get_concurrency)."),
    flag(
        "web.timeout",
        Text,
        "0",
        "How long a reader may take, in seconds or as 30s; 0: no limit (alertmanager.timeout).",
    ),
    flag("silences.max-silences", Text, "0", "Silences at most; 0: 10000 (alertmanager.max_silences)."),
    flag(
        "silences.max-silence-size-bytes",
        Text,
        "0",
        "Bytes of a silence; 0: 32768 (alertmanager.max_silence_bytes).",
    ),
    flag("silences.max-per-silence-bytes", Text, "0", "The same, by another name."),
    flag("log.level", Text, "", "What is logged (--log)."),
    flag("log.format", Text, "", "How it is written: logfmt or json (--log-format)."),
    flag("data.maintenance-interval", Text, "", ""),
    flag("enable-feature", Texts, "", ""),
    flag("cluster.listen-address", Text, "", ""),
    flag("cluster.advertise-address", Text, "", ""),
    flag("cluster.peer", Texts, "", ""),
    flag("cluster.peer-timeout", Text, "", ""),
    flag("cluster.peer-name", Text, "", ""),
    flag("cluster.gossip-interval", Text, "", ""),
    flag("cluster.pushpull-interval", Text, "", ""),
    flag("cluster.tcp-timeout", Text, "", ""),
    flag("cluster.probe-timeout", Text, "", ""),
    flag("cluster.probe-interval", Text, "", ""),
    flag("cluster.settle-timeout", Text, "", ""),
    flag("cluster.reconnect-interval", Text, "", ""),
    flag("cluster.reconnect-timeout", Text, "", ""),
    flag("cluster.tls-config", Text, "", ""),
    flag("cluster.label", Text, "", ""),
    flag("cluster.allow-insecure-public-advertise-address-discovery", Nothing, "", ""),
];

/// Why a flag that is taken does nothing; for the others in order.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("data.maintenance-interval", "what changes is saved at once"),
    ("enable-feature", "what upstream has behind it is on here, or not there"),
    ("cluster.", "there are no peers yet: of several Rebas with the same rules each notifies by itself"),
];

/// What Alertmanager's flags say.
#[derive(Clone, Debug, Default)]
pub struct AlertmanagerFlags(Option<Flags>);

impl AlertmanagerFlags {
    /// Takes the flags behind `--`, if the role they are for runs alone, and puts those into `args` that say where things are.
    pub fn take(args: &mut RunArgs) -> Result<Self, FlagError> {
        if args.only != [Role::Alertmanager] || args.exporter_flags.is_empty() {
            return Ok(AlertmanagerFlags(None));
        }
        let given = std::mem::take(&mut args.exporter_flags);
        let flags = Flags::parse("alertmanager", FLAGS, Style::Kingpin, &given, &|_| None)?;
        if flags.given("storage.path") {
            args.data = PathBuf::from(flags.text("storage.path"));
        }
        Ok(AlertmanagerFlags(Some(flags)))
    }

    /// The configuration file, if it is named.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.given("config.file").map(PathBuf::from)
    }

    /// What is logged, if it is said.
    pub fn log(&self) -> Option<&str> {
        self.given("log.level")
    }

    /// How it is written, if it is said.
    pub fn log_format(&self) -> Option<LogFormat> {
        self.given("log.format").map(|form| if form == "json" { LogFormat::Json } else { LogFormat::Text })
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.0.as_ref().filter(|flags| flags.given(name)).map(|flags| flags.text(name))
    }

    /// Puts into `settings` what was said of the rest, and tells of flags that have no effect.
    pub fn apply(&self, settings: &mut Settings) -> Result<()> {
        let Some(flags) = &self.0 else { return Ok(()) };
        let own = &mut settings.alertmanager;
        let ms = |name: &str| flags.time(name).map(|t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        for (name, place) in
            [("data.retention", &mut own.retention_ms), ("alerts.gc-interval", &mut own.gc_interval_ms)]
        {
            if flags.given(name) {
                *place = ms(name)?;
                if *place == 0 {
                    bail!("--{name}: must be above zero");
                }
            }
        }
        let count = |name: &str| flags.number(name).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        // Nothing is unlimited here: upstream's zero is our default.
        let some = |name: &str| {
            let said = flags.given(name).then(|| count(name)).transpose();
            said.map(|n| n.filter(|n| *n > 0))
        };
        own.get_concurrency = some("web.get-concurrency")?.unwrap_or(own.get_concurrency);
        own.max_silences = some("silences.max-silences")?.unwrap_or(own.max_silences);
        for name in ["silences.max-silence-size-bytes", "silences.max-per-silence-bytes"] {
            own.max_silence_bytes = some(name)?.unwrap_or(own.max_silence_bytes);
        }
        if flags.given("web.timeout") {
            // Upstream takes seconds without a unit.
            let seconds: Option<i64> = flags.text("web.timeout").parse().ok();
            own.timeout_ms =
                seconds.map_or_else(|| ms("web.timeout"), |s| Ok(s.max(0).saturating_mul(1000)))?;
        }
        let text = |name: &str| flags.given(name).then(|| flags.text(name).trim_end_matches('/').to_owned());
        if let Some(url) = text("web.external-url") {
            own.external_url = Some(url);
        }
        if let Some(prefix) = text("web.route-prefix") {
            own.route_prefix = Some(prefix);
        }
        if flags.given("web.config.file") {
            settings.web_config_file = Some(PathBuf::from(flags.text("web.config.file")));
        }
        match flags.texts("web.listen-address") {
            [] => {}
            [one] => {
                let address =
                    upstream::address(one).map_err(|e| anyhow::anyhow!("--web.listen-address: {e}"))?;
                settings.listen.insert(Role::Alertmanager, address);
            }
            _ => bail!("--web.listen-address: a role listens on one address"),
        }
        for name in without_effect(flags) {
            let why =
                WITHOUT_EFFECT.iter().find(|(start, _)| name.starts_with(start)).map_or("", |(_, why)| why);
            tracing::warn!("--{name} has no effect here: {why}");
        }
        Ok(())
    }
}

/// Flags that were given and do nothing. `--cluster.listen-address=` says what holds here anyway.
fn without_effect(flags: &Flags) -> impl Iterator<Item = &'static str> {
    let idle = |name: &str| WITHOUT_EFFECT.iter().any(|(start, _)| name.starts_with(start));
    let names = FLAGS.iter().map(|flag| flag.name).filter(move |name| idle(name));
    names.filter(move |name| {
        flags.given(name) && !(*name == "cluster.listen-address" && flags.text(name).is_empty())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use reba_config::Variables;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(line: &str) -> RunArgs {
        let Command::Run(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("not run")
        };
        args
    }

    fn applied(line: &str) -> Result<(AlertmanagerFlags, RunArgs, Settings)> {
        let mut args = args(line);
        let flags = AlertmanagerFlags::take(&mut args)?;
        let mut settings = Settings::read(Path::new("/nonexistent"), &Variables::default()).unwrap();
        flags.apply(&mut settings)?;
        Ok((flags, args, settings))
    }

    #[test]
    fn the_flags_of_a_unit_file_mean_the_same_here() {
        let line = "reba run --only alertmanager -- --config.file=/etc/prometheus/alertmanager.yml --storage.path /var/lib/am \
                    --data.retention=5d --alerts.gc-interval 1m --web.listen-address=:9094 --web.external-url=http://a/am/ \
                    --web.route-prefix=/ --web.get-concurrency=9 --web.timeout=30 --web.config.file=/etc/web.yml \
                    --silences.max-silences=7 --silences.max-per-silence-bytes=99 --cluster.listen-address= --log.level=debug \
                    --log.format=json";
        let (flags, args, settings) = applied(line).unwrap();
        let own = &settings.alertmanager;
        assert_eq!(flags.config_file().as_deref(), Some(Path::new("/etc/prometheus/alertmanager.yml")));
        assert_eq!((args.data.to_str(), args.exporter_flags.len()), (Some("/var/lib/am"), 0));
        assert_eq!((own.retention_ms, own.gc_interval_ms, own.timeout_ms), (5 * 86_400_000, 60_000, 30_000));
        assert_eq!((own.get_concurrency, own.max_silences, own.max_silence_bytes), (9, 7, 99));
        assert_eq!((own.external_url.as_deref(), own.prefix().as_str()), (Some("http://a/am"), ""));
        assert_eq!(settings.listen.get(&Role::Alertmanager), Some(&"0.0.0.0:9094".parse().unwrap()));
        assert_eq!(settings.web_config_file.as_deref(), Some(Path::new("/etc/web.yml")));
        assert_eq!((flags.log(), flags.log_format()), (Some("debug"), Some(LogFormat::Json)));
        assert_eq!(without_effect(flags.0.as_ref().unwrap()).count(), 0);
    }

    #[test]
    fn what_is_not_said_stays_and_what_has_no_effect_is_named() {
        let (flags, _, settings) = applied(
            "reba run --only alertmanager -- --cluster.peer=a:9094 --cluster.peer=b:9094 --enable-feature=classic-mode \
             --web.get-concurrency=0 --silences.max-silences=0",
        )
        .unwrap();
        let plain = Settings::read(Path::new("/nonexistent"), &Variables::default()).unwrap();
        assert_eq!(settings, plain);
        let idle: Vec<&str> = without_effect(flags.0.as_ref().unwrap()).collect();
        assert_eq!(idle, ["enable-feature", "cluster.peer"]);
        for name in FLAGS.iter().filter(|flag| flag.help.is_empty()).map(|flag| flag.name) {
            assert!(WITHOUT_EFFECT.iter().any(|(start, _)| name.starts_with(start)), "{name}");
        }
    }

    #[test]
    fn wrong_flags_are_errors_and_those_of_others_are_left_alone() {
        for line in [
            "--web.listen-address=:1 --web.listen-address=:2",
            "--data.retention=soon",
            "--data.retention=0s",
            "--nope",
            "--web.listen-address=here",
        ] {
            assert!(applied(&format!("reba run --only alertmanager -- {line}")).is_err(), "{line}");
        }
        let mut node = args("reba run --only node -- --collector.systemd");
        assert!(AlertmanagerFlags::take(&mut node).unwrap().0.is_none());
        assert_eq!(node.exporter_flags.len(), 1);
        let mut help = args("reba run --only alertmanager -- --help");
        assert!(
            matches!(AlertmanagerFlags::take(&mut help), Err(FlagError::Help(text)) if text.contains("--storage.path"))
        );
    }
}
