//! Where a PostgreSQL is, and how one gets in: addresses as libpq writes them, as URLs or as `key=value` pairs.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reba_http::TlsConfig;
use tokio_postgres::{Config, config::SslMode};

use crate::web::percent_decoded;

const PORT: &str = "5432";

/// An address. Holds a password: it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn(BTreeMap<String, String>);

impl Dsn {
    /// Reads `postgresql://user:password@host:port/db?option=value`, or `host=… port=… user='…'`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let pairs = match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => of_url(rest)?,
            None => of_pairs(text)?,
        };
        let dsn = Dsn(pairs);
        dsn.config()?;
        Ok(dsn)
    }

    /// Reads the target of a probe, which may lack the scheme: `host:port/db?sslmode=disable`.
    pub fn parse_target(text: &str) -> Result<Self, String> {
        let is_key = |key: &str| key.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_pairs = text.split_once('=').is_some_and(|(key, _)| is_key(key));
        if text.contains("://") || is_pairs {
            return Dsn::parse(text);
        }
        Dsn::parse(&format!("postgresql://{text}"))
    }

    /// With another value for a key.
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The label `server`: host and port.
    pub fn server(&self) -> String {
        let or = |key: &str, default: &str| match self.get(key) {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        format!("{}:{}", or("host", "localhost"), or("port", PORT))
    }

    /// How it is shown: without the login.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.server(), self.get("dbname"))
    }

    /// How the connection is protected. `prefer` is known here as well.
    pub fn tls(&self) -> TlsConfig {
        let file = |key: &str| Some(self.get(key)).filter(|f| !f.is_empty()).map(PathBuf::from);
        let (trusted, any_name) = match self.get("sslmode") {
            "verify-full" => (true, false),
            "verify-ca" => (true, true),
            // As libpq does it: whoever names a root wants it to be asked.
            "require" | "" if file("sslrootcert").is_some() => (true, true),
            _ => (false, true),
        };
        TlsConfig {
            ca_file: file("sslrootcert").filter(|_| trusted),
            cert_file: file("sslcert"),
            key_file: file("sslkey"),
            insecure_skip_verify: !trusted,
            any_name,
            ..TlsConfig::default()
        }
    }

    /// For the client.
    pub fn config(&self) -> Result<Config, String> {
        let mut config = Config::new();
        config.application_name("postgres_exporter");
        config.ssl_mode(match self.get("sslmode") {
            "disable" => SslMode::Disable,
            "prefer" | "allow" => SslMode::Prefer,
            "" | "require" | "verify-ca" | "verify-full" => SslMode::Require,
            other => return Err(format!("sslmode: {other:?} is unknown")),
        });
        config.host(if self.get("host").is_empty() { "localhost" } else { self.get("host") });
        let mut options = Vec::new();
        for (key, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "host" | "sslmode" | "sslrootcert" | "sslcert" | "sslkey" | "sslinline" | "sslsni" => {}
                "port" => {
                    config.port(value.parse().map_err(|_| format!("port: not a port: {value:?}"))?);
                }
                "user" => {
                    config.user(value);
                }
                "password" => {
                    config.password(value);
                }
                "dbname" => {
                    config.dbname(value);
                }
                "application_name" | "fallback_application_name" => {
                    config.application_name(value);
                }
                "connect_timeout" => {
                    let seconds =
                        value.parse().map_err(|_| "connect_timeout: not a number of seconds".to_owned())?;
                    config.connect_timeout(Duration::from_secs(seconds));
                }
                "options" => options.push(value.clone()),
                "passfile" | "service" | "target_session_attrs" | "krbsrvname" | "krbspn" | "gssencmode" => {
                    return Err(format!("{key} is not supported here"));
                }
                // What is not for the client is for the server.
                other if other.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b)) => {
                    options.push(format!("-c {other}={}", value.replace('\\', "\\\\").replace(' ', "\\ ")));
                }
                other => return Err(format!("{other:?} is no option")),
            }
        }
        if !options.is_empty() {
            config.options(options.join(" "));
        }
        Ok(config)
    }
}

fn of_url(rest: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            pairs.insert(key.to_owned(), value);
        }
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    put("user", percent_decoded(user));
    put("password", percent_decoded(password));
    put("dbname", percent_decoded(database));
    if place.contains(',') {
        return Err("several hosts in one address are not supported here".to_owned());
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a bracket is open in the address")?;
            (host, rest.trim_start_matches(':'))
        }
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    put("host", percent_decoded(host));
    put("port", port.to_owned());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        put(&key, value.into_owned());
    }
    Ok(pairs)
}

/// `key = value`, where values with spaces stand in single quotes, and a backslash takes the next character as it is.
fn of_pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            return Err("neither a URL nor pairs of keys and values".to_owned());
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                None if quoted => return Err(format!("{key}: a quote is open")),
                None => break,
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
            }
        }
        pairs.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_and_pairs_mean_the_same() {
        let url =
            Dsn::parse("postgresql://u%40:p%3Aw%20@[::1]:5433/d%62?sslmode=disable&x.y=1").ok().unwrap();
        let pairs =
            Dsn::parse("host=::1 port=5433 user='u@' password='p:w ' dbname = db sslmode=disable x.y=1");
        assert!(url == pairs.ok().unwrap());
        assert_eq!((url.server().as_str(), url.shown().as_str()), ("::1:5433", "::1:5433/db"));
        let config = url.config().unwrap();
        assert_eq!((config.get_user(), config.get_password()), (Some("u@"), Some(b"p:w ".as_slice())));
        assert_eq!(config.get_options(), Some("-c x.y=1"));
    }

    #[test]
    fn sockets_are_named_by_their_folder() {
        let dsn = Dsn::parse("postgresql://u@/db?host=/run/postgresql&sslmode=disable").ok().unwrap();
        assert_eq!(dsn.server(), "/run/postgresql:5432");
        assert!(matches!(dsn.config().unwrap().get_hosts(), [tokio_postgres::config::Host::Unix(_)]));
    }

    #[test]
    fn targets_may_lack_a_scheme() {
        assert_eq!(Dsn::parse_target("db:5432/x?sslmode=disable").ok().unwrap().server(), "db:5432");
        assert_eq!(Dsn::parse_target("host=a sslmode=disable").ok().unwrap().server(), "a:5432");
        for bad in ["db:5432/x?sslmode=maybe", "a,b/c", "host=a passfile=/x", "host='a", "db:x"] {
            assert!(Dsn::parse_target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ssl_modes_say_how_much_must_be_right() {
        for (mode, expected) in [
            ("disable", (false, true)),
            ("require", (false, true)),
            ("require sslrootcert=/ca.pem", (true, true)),
            ("verify-ca", (true, true)),
            ("verify-full", (true, false)),
        ] {
            let tls = Dsn::parse(&format!("host=a sslmode={mode}")).ok().unwrap().tls();
            assert_eq!((!tls.insecure_skip_verify, tls.any_name), expected, "{mode}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_panics(text in "\\PC{0,40}", url in any::<bool>()) {
            let _ = Dsn::parse(&if url { format!("postgres://{text}") } else { text });
        }
    }
}
