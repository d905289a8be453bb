//! The exporters' own command lines: their flags and environment variables, as upstream spells them, so that a unit file or a
//! container's arguments can be carried over word by word.

use std::{collections::BTreeMap, fmt::Write as _};

use reba_model::duration;
use thiserror::Error;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: `--x`, `--no-x`, `-x=false`.
    Nothing,
    /// One text; the last one counts.
    Text,
    /// Texts; all count.
    Texts,
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// The environment variable that stands for it, or nothing.
    pub env: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Its value if nobody says anything; a switch is on with `true`.
    pub default: &'static str,
    /// What it is for; without it the flag is not listed.
    pub help: &'static str,
}

impl Flag {
    /// A flag; `env` is empty if no variable stands for it, `help` if it is not listed.
    pub(crate) const fn new(
        name: &'static str,
        env: &'static str,
        takes: Takes,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Flag { name, env, takes, default, help }
    }
}

/// How flags are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `--x=y`, `--x y`, `--x`, `--no-x`: node_exporter and postgres_exporter.
    Kingpin,
    /// `-x=y`, `--x=y`, `-x y`, `-x`, `-x=false`: redis_exporter.
    Go,
}

/// Why a command line is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlagError {
    /// Somebody asked what there is: the list.
    #[error("{0}")]
    Help(String),
    /// It is wrong.
    #[error("{0}")]
    Wrong(String),
}

#[derive(Clone, Debug)]
struct Value {
    texts: Vec<String>,
    /// Said on the command line or in the environment.
    given: bool,
}

/// What a command line says.
#[derive(Clone, Debug)]
pub struct Flags(BTreeMap<&'static str, Value>);

impl Flags {
    /// Reads `args`; what they do not say may stand in the environment, which is asked through `env`.
    pub fn parse(
        name: &str,
        flags: &[Flag],
        style: Style,
        args: &[String],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, FlagError> {
        let mut found = Flags(flags.iter().map(|flag| (flag.name, by_default(flag, env))).collect());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (flag, said) = understood(name, flags, style, arg)?;
            let text = match (flag.takes, said) {
                (_, Some(text)) => text,
                (Takes::Nothing, None) => "true".to_owned(),
                (_, None) => match args.next() {
                    Some(text) => text.clone(),
                    None => return Err(wrong(format!("{name}: --{} needs a value", flag.name))),
                },
            };
            found.put(name, flag, text)?;
        }
        Ok(found)
    }

    fn put(&mut self, name: &str, flag: &Flag, text: String) -> Result<(), FlagError> {
        if flag.takes == Takes::Nothing && truth(&text).is_none() {
            return Err(wrong(format!("{name}: --{}: true or false is expected, not {text:?}", flag.name)));
        }
        if let Some(value) = self.0.get_mut(flag.name) {
            match flag.takes {
                Takes::Texts if value.given => value.texts.push(text),
                _ => value.texts = vec![text],
            }
            value.given = true;
        }
        Ok(())
    }

    /// Whether a switch is on.
    pub fn on(&self, flag: &str) -> bool {
        truth(self.text(flag)).unwrap_or_default()
    }

    /// The text of a flag; empty if it has none.
    pub fn text(&self, flag: &str) -> &str {
        self.0.get(flag).and_then(|value| value.texts.last()).map_or("", String::as_str)
    }

    /// All texts of a flag.
    pub fn texts(&self, flag: &str) -> &[String] {
        self.0.get(flag).map_or(&[], |value| &value.texts)
    }

    /// Whether somebody said it, on the command line or in the environment.
    pub fn given(&self, flag: &str) -> bool {
        self.0.get(flag).is_some_and(|value| value.given)
    }

    /// A whole number.
    pub fn number(&self, flag: &str) -> Result<u64, FlagError> {
        let text = self.text(flag);
        text.parse().map_err(|_| wrong(format!("--{flag}: a whole number is expected, not {text:?}")))
    }

    /// A length of time.
    pub fn time(&self, flag: &str) -> Result<std::time::Duration, FlagError> {
        let text = self.text(flag);
        match duration::parse(text) {
            Ok(ms) if ms >= 0 => Ok(std::time::Duration::from_millis(ms.unsigned_abs())),
            _ => Err(wrong(format!("--{flag}: a duration as 5s is expected, not {text:?}"))),
        }
    }
}

/// Flags of upstream's programs whose place is another one here.
pub(crate) const WEB: [Flag; 2] = [
    Flag::new("web.config.file", "", Takes::Text, "", ""),
    Flag::new("web.systemd-socket", "", Takes::Nothing, "", ""),
];

/// Refuses them, if they are used.
pub(crate) fn refuse_web(flags: &Flags) -> Result<(), FlagError> {
    if !flags.text("web.config.file").is_empty() {
        return Err(wrong("--web.config.file: say it in web.config_file of reba.yml, for all roles at once"));
    }
    if flags.on("web.systemd-socket") {
        return Err(wrong("--web.systemd-socket is not supported here: listen in reba.yml says where"));
    }
    Ok(())
}

/// A fault of the command line.
pub(crate) fn wrong(text: impl Into<String>) -> FlagError {
    FlagError::Wrong(text.into())
}

fn by_default(flag: &Flag, env: &dyn Fn(&str) -> Option<String>) -> Value {
    let said = Some(flag.env).filter(|name| !name.is_empty()).and_then(env);
    // An empty variable is none, as in a container's file of variables; so is one that a switch cannot be.
    let said =
        said.filter(|text| !text.is_empty() && (flag.takes != Takes::Nothing || truth(text).is_some()));
    let given = said.is_some();
    let default = || (!flag.default.is_empty()).then(|| flag.default.to_owned());
    Value { texts: said.or_else(default).into_iter().collect(), given }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The flag that `arg` names, and the value if that stands beside it.
fn understood<'f>(
    name: &str,
    flags: &'f [Flag],
    style: Style,
    arg: &str,
) -> Result<(&'f Flag, Option<String>), FlagError> {
    let short = arg.strip_prefix('-').filter(|_| style == Style::Go || arg == "-h");
    let Some(body) = arg.strip_prefix("--").or(short).filter(|body| !body.is_empty()) else {
        return Err(wrong(format!("{name}: unexpected {arg:?}: only flags are taken")));
    };
    if matches!(body, "help" | "h") {
        return Err(FlagError::Help(help(name, flags, style)));
    }
    let (word, said) = match body.split_once('=') {
        Some((word, text)) => (word, Some(text.to_owned())),
        None => (body, None),
    };
    if let Some(flag) = flags.iter().find(|flag| flag.name == word) {
        return Ok((flag, said));
    }
    let denied = word.strip_prefix("no-").filter(|_| style == Style::Kingpin && said.is_none());
    let switch = |word: &str| flags.iter().find(|flag| flag.name == word && flag.takes == Takes::Nothing);
    match denied.and_then(switch) {
        Some(flag) => Ok((flag, Some("false".to_owned()))),
        None => Err(wrong(format!("{name}: unknown flag {arg:?}; --help lists what there is"))),
    }
}

/// What `--help` prints.
pub fn help(name: &str, flags: &[Flag], style: Style) -> String {
    let dashes = if style == Style::Go { "-" } else { "--" };
    let mut out = format!("Flags of {name}:\n");
    for flag in flags.iter().filter(|flag| !flag.help.is_empty()) {
        let value = match flag.takes {
            Takes::Nothing if style == Style::Kingpin && flag.default == "true" => {
                " (--no-… switches it off)"
            }
            Takes::Nothing => "",
            Takes::Text => "=TEXT",
            Takes::Texts => "=TEXT …",
        };
        let _ = write!(out, "  {dashes}{}{value}\n        {}", flag.name, flag.help);
        if !flag.default.is_empty() && flag.takes != Takes::Nothing {
            let _ = write!(out, " ({})", flag.default);
        }
        if !flag.env.is_empty() {
            let _ = write!(out, " [{}]", flag.env);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAGS: &[Flag] = &[
        Flag { name: "a", env: "A", takes: Takes::Text, default: "x", help: "A." },
        Flag { name: "on", env: "", takes: Takes::Nothing, default: "true", help: "On." },
        Flag { name: "many", env: "", takes: Takes::Texts, default: "1", help: "Many." },
        Flag { name: "t", env: "", takes: Takes::Text, default: "5s", help: "" },
    ];

    fn parse(style: Style, line: &str, env: &[(&str, &str)]) -> Result<Flags, FlagError> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let get = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Flags::parse("x", FLAGS, style, &args, &get)
    }

    #[test]
    fn kingpins_and_gos_spellings_are_taken() {
        let flags = parse(Style::Kingpin, "--a=b=c --no-on --many 1 --many=2", &[("A", "env")]).unwrap();
        assert_eq!((flags.text("a"), flags.on("on")), ("b=c", false));
        assert_eq!(flags.texts("many"), ["1", "2"]);
        let flags = parse(Style::Go, "-a y --on=false -many=3", &[]).unwrap();
        assert_eq!((flags.text("a"), flags.on("on"), flags.texts("many").len()), ("y", false, 1));
        assert!(parse(Style::Go, "-no-on", &[]).is_err() && parse(Style::Kingpin, "-a=b", &[]).is_err());
    }

    #[test]
    fn the_environment_stands_in_for_what_is_not_said() {
        assert_eq!(parse(Style::Kingpin, "", &[("A", "env")]).unwrap().text("a"), "env");
        let flags = parse(Style::Kingpin, "", &[("A", "")]).unwrap();
        assert!(flags.text("a") == "x" && !flags.given("a") && flags.on("on"));
        assert_eq!(flags.time("t").unwrap().as_secs(), 5);
    }

    #[test]
    fn errors_name_the_flag() {
        for (line, want) in [
            ("--nope", "unknown flag \"--nope\""),
            ("--a", "--a needs a value"),
            ("--on=maybe", "--on: true or false"),
            ("word", "only flags are taken"),
        ] {
            let error = parse(Style::Kingpin, line, &[]).unwrap_err().to_string();
            assert!(error.contains(want), "{line}: {error}");
        }
        assert!(
            matches!(parse(Style::Kingpin, "--help", &[]), Err(FlagError::Help(text)) if text.contains("--a=TEXT"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_command_line_panics(args in proptest::collection::vec("[-a-z=]{0,8}", 0..5), go in any::<bool>()) {
            let style = if go { Style::Go } else { Style::Kingpin };
            let _ = Flags::parse("x", FLAGS, style, &args, &|_| None);
        }
    }
}
