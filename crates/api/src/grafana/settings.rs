//! `grafana.ini` and the variables `GF_SECTION_KEY`, as far as they have a meaning here.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use reba_http::Secret;

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 3_600_000;

/// Bytes that a file named by `$__file{…}` or `…__FILE` may have.
const MAX_SECRET_FILE: u64 = 1 << 20;

/// What the role is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `security.admin_user`: the login of the first user.
    pub admin_user: String,
    /// `security.admin_password`, or `GRAFANA_ADMIN_PASSWORD`; generated at the first start if nobody says it.
    pub admin_password: Option<Secret>,
    /// `server.root_url`: where people reach the role, if a proxy stands before it.
    pub root_url: Option<String>,
    /// `server.serve_from_sub_path`: whether that proxy leaves the path of `root_url` on requests.
    pub serve_from_sub_path: bool,
    /// `server.http_addr`.
    pub http_address: Option<IpAddr>,
    /// `server.http_port`.
    pub http_port: Option<u16>,
    /// `auth.basic.enabled`.
    pub basic_auth: bool,
    /// Not `auth.disable_login_form`.
    pub login_form: bool,
    /// `auth.login_cookie_name`.
    pub cookie_name: String,
    /// `security.cookie_secure`; always where `root_url` or the listener speaks TLS.
    pub cookie_secure: bool,
    /// `security.allow_embedding`: whether other sites may show this one in a frame.
    pub allow_embedding: bool,
    /// `auth.login_maximum_inactive_lifetime_duration`, in milliseconds.
    pub session_idle_ms: i64,
    /// `auth.login_maximum_lifetime_duration`, in milliseconds.
    pub session_ms: i64,
    /// `users.viewers_can_edit`.
    pub viewers_can_edit: bool,
    /// `users.default_theme`.
    pub default_theme: String,
    /// `dashboards.min_refresh_interval`.
    pub min_refresh_interval: String,
    /// `dashboards.default_home_dashboard_path`.
    pub home_dashboard: Option<PathBuf>,
    /// `dataproxy.timeout`: for data sources outside of this process.
    pub proxy_timeout: Duration,
    /// `metrics.enabled`: whether `/metrics` answers.
    pub metrics: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            admin_user: "admin".to_owned(),
            admin_password: None,
            root_url: None,
            serve_from_sub_path: false,
            http_address: None,
            http_port: None,
            basic_auth: true,
            login_form: true,
            cookie_name: "grafana_session".to_owned(),
            cookie_secure: false,
            allow_embedding: false,
            session_idle_ms: 7 * DAY_MS,
            session_ms: 30 * DAY_MS,
            viewers_can_edit: false,
            default_theme: "dark".to_owned(),
            min_refresh_interval: "5s".to_owned(),
            home_dashboard: None,
            proxy_timeout: Duration::from_secs(30),
            metrics: true,
        }
    }
}

/// The value of an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads `ini` (the text of a `grafana.ini`; may be empty); `lookup` answers for environment variables, which win. Returns what
    /// was set and has no effect here, too, one line each.
    pub fn read(ini: &str, lookup: Lookup<'_>) -> Result<(Self, Vec<String>), String> {
        let source = Source { ini: parse(ini)?, lookup };
        let default = Settings::default();
        let password = source.text("security", "admin_password")?;
        let password = match source.variable("GF_SECURITY_ADMIN_PASSWORD")? {
            None => lookup("GRAFANA_ADMIN_PASSWORD").or(password),
            given => given,
        };
        let text = |section: &str, key: &str, default: &str| -> Result<String, String> {
            Ok(source.text(section, key)?.unwrap_or_else(|| default.to_owned()))
        };
        let settings = Settings {
            admin_user: text("security", "admin_user", &default.admin_user)?,
            admin_password: password.filter(|p| !p.is_empty()).map(Secret::new),
            root_url: source.root_url()?,
            serve_from_sub_path: source.truth("server", "serve_from_sub_path", false)?,
            http_address: source.parsed("server", "http_addr")?,
            http_port: source.parsed("server", "http_port")?,
            basic_auth: source.truth("auth.basic", "enabled", true)?,
            login_form: !source.truth("auth", "disable_login_form", false)?,
            cookie_name: text("auth", "login_cookie_name", &default.cookie_name)?,
            cookie_secure: source.truth("security", "cookie_secure", false)?,
            allow_embedding: source.truth("security", "allow_embedding", false)?,
            session_idle_ms: source.ms(
                "auth",
                "login_maximum_inactive_lifetime_duration",
                default.session_idle_ms,
            )?,
            session_ms: source.ms("auth", "login_maximum_lifetime_duration", default.session_ms)?,
            viewers_can_edit: source.truth("users", "viewers_can_edit", false)?,
            default_theme: text("users", "default_theme", &default.default_theme)?,
            min_refresh_interval: text("dashboards", "min_refresh_interval", &default.min_refresh_interval)?,
            home_dashboard: source.text("dashboards", "default_home_dashboard_path")?.map(PathBuf::from),
            proxy_timeout: Duration::from_secs(source.parsed("dataproxy", "timeout")?.unwrap_or(30)),
            metrics: source.truth("metrics", "enabled", true)?,
        };
        if !is_token(&settings.cookie_name) {
            return Err("auth.login_cookie_name: only letters, digits, - and _ are allowed".to_owned());
        }
        Ok((settings, source.without_effect()?))
    }

    /// The path below which people see the role: it begins and ends with a slash.
    pub fn base(&self) -> String {
        let uri: Option<http::Uri> = self.root_url.as_deref().and_then(|url| url.parse().ok());
        let path = uri.as_ref().map_or("", |uri| uri.path()).trim_matches('/');
        if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
    }

    /// The path that requests carry and routes do not: empty, or with a slash at its start and none at its end.
    pub fn prefix(&self) -> String {
        if self.serve_from_sub_path { self.base().trim_end_matches('/').to_owned() } else { String::new() }
    }

    /// Whether the browser must send the session's cookie over TLS only.
    pub(super) fn needs_tls(&self) -> bool {
        self.cookie_secure || self.root_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Values by section and key.
type Ini = BTreeMap<(String, String), String>;

/// Reads the format of `grafana.ini`.
fn parse(text: &str) -> Result<Ini, String> {
    let mut all = Ini::new();
    let mut section = String::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value.trim().trim_matches('"').trim_matches('`');
            all.insert((section.clone(), key.trim().to_owned()), value.to_owned());
        } else {
            return Err(format!("line {}: neither a section, nor `key = value`, nor a comment", i + 1));
        }
    }
    Ok(all)
}

struct Source<'a> {
    ini: Ini,
    lookup: Lookup<'a>,
}

impl Source<'_> {
    /// The variable, or the content of the file that its sister `…__FILE` names.
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        if let Some(value) = (self.lookup)(name) {
            return Ok(Some(value));
        }
        let Some(file) = (self.lookup)(&format!("{name}__FILE")) else { return Ok(None) };
        read_secret(&file).map(Some).map_err(|e| format!("{name}__FILE: {e}"))
    }

    /// The value of a key; an empty one counts as none.
    fn text(&self, section: &str, key: &str) -> Result<Option<String>, String> {
        let upper = |text: &str| text.to_uppercase().replace(['.', '-'], "_");
        let name = format!("GF_{}_{}", upper(section), upper(key));
        let value = match self.variable(&name)? {
            Some(value) => Some(value),
            None => match self.ini.get(&(section.to_owned(), key.to_owned())) {
                Some(text) => {
                    Some(interpolate(text, self.lookup).map_err(|e| format!("{section}.{key}: {e}"))?)
                }
                None => None,
            },
        };
        Ok(value.filter(|v| !v.is_empty()))
    }

    fn truth(&self, section: &str, key: &str, default: bool) -> Result<bool, String> {
        match self.text(section, key)?.as_deref().map(str::to_lowercase).as_deref() {
            None => Ok(default),
            Some("true" | "1" | "t" | "yes" | "on") => Ok(true),
            Some("false" | "0" | "f" | "no" | "off") => Ok(false),
            Some(_) => Err(format!("{section}.{key}: neither true nor false")),
        }
    }

    fn parsed<T: std::str::FromStr>(&self, section: &str, key: &str) -> Result<Option<T>, String> {
        self.text(section, key)?
            .map(|text| text.parse().map_err(|_| format!("{section}.{key}: {text:?} cannot be read")))
            .transpose()
    }

    fn ms(&self, section: &str, key: &str, default: i64) -> Result<i64, String> {
        let Some(text) = self.text(section, key)? else { return Ok(default) };
        match reba_model::duration::parse(&text) {
            Ok(ms) if ms > 0 => Ok(ms),
            Ok(_) => Err(format!("{section}.{key}: must be above zero")),
            Err(e) => Err(format!("{section}.{key}: {e}")),
        }
    }

    /// `root_url` with its place-holders filled in; none if it is Grafana's default.
    fn root_url(&self) -> Result<Option<String>, String> {
        let Some(url) = self.text("server", "root_url")? else { return Ok(None) };
        let part = |key: &str, default: &str| -> Result<String, String> {
            Ok(self.text("server", key)?.unwrap_or_else(|| default.to_owned()))
        };
        let url = url
            .replace("%(protocol)s", &part("protocol", "http")?)
            .replace("%(domain)s", &part("domain", "localhost")?)
            .replace("%(http_port)s", &part("http_port", "3001")?);
        let uri: http::Uri = url.parse().map_err(|_| format!("server.root_url: {url:?} is no URL"))?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let plain = uri.path().bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b));
        if !known || !plain || uri.path().contains("..") {
            return Err(format!("server.root_url: {url:?} is no plain http or https URL"));
        }
        Ok(Some(url))
    }

    /// What would change who may come in, if it had an effect.
    fn without_effect(&self) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        for (section, what) in [
            ("auth.anonymous", "everybody must log in"),
            ("auth.proxy", "names that a proxy sends are not believed"),
            ("auth.jwt", "logging in by JWT is not supported"),
            ("auth.generic_oauth", "logging in by OAuth is not supported"),
            ("auth.ldap", "logging in by LDAP is not supported"),
            ("auth.google", "logging in by OAuth is not supported"),
            ("auth.github", "logging in by OAuth is not supported"),
        ] {
            if self.truth(section, "enabled", false)? {
                out.push(format!("{section}.enabled has no effect: {what}"));
            }
        }
        if self.truth("users", "allow_sign_up", false)? {
            out.push("users.allow_sign_up has no effect: users are made by administrators".to_owned());
        }
        Ok(out)
    }
}

/// Fills in `$NAME`, `${NAME}`, `$__env{NAME}` and `$__file{PATH}`; `$$` is a dollar. Names that begin with two underscores belong to
/// dashboards (`${__value.raw}`) and stay, as does a dollar before anything else; a name that nobody has set is empty, as in Grafana.
pub(super) fn interpolate(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (filled, used) = reference(tail, lookup)?;
        out.push_str(&filled);
        rest = &tail[used..];
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands for the reference whose text behind the dollar begins `tail`, and how many bytes of that it took.
fn reference(tail: &str, lookup: Lookup<'_>) -> Result<(String, usize), String> {
    let braced = |open: &str| -> Option<(&str, usize)> {
        let inner = tail.strip_prefix(open)?;
        let end = inner.find('}')?;
        Some((&inner[..end], open.len() + end + 1))
    };
    if tail.starts_with('$') {
        return Ok(("$".to_owned(), 1));
    }
    if let Some((name, used)) = braced("__env{") {
        return Ok((lookup(name).unwrap_or_default(), used));
    }
    if let Some((path, used)) = braced("__file{") {
        return Ok((read_secret(path)?, used));
    }
    if let Some((name, used)) = braced("{") {
        if name.starts_with("__") || !is_name(name) {
            return Ok((format!("${{{name}}}"), used));
        }
        return Ok((lookup(name).unwrap_or_default(), used));
    }
    let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(tail.len());
    let name = &tail[..end];
    if name.starts_with("__") || !is_name(name) {
        return Ok((format!("${name}"), end));
    }
    Ok((lookup(name).unwrap_or_default(), end))
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && reba_model::is_legacy_label_name(text)
}

/// The text of a small file without the white space around it.
fn read_secret(path: &str) -> Result<String, String> {
    let fail = |e: &dyn std::fmt::Display| format!("{path}: {e}");
    let meta = std::fs::metadata(path).map_err(|e| fail(&e))?;
    if !meta.is_file() || meta.len() > MAX_SECRET_FILE {
        return Err(fail(&format!("no file of at most {MAX_SECRET_FILE} bytes")));
    }
    Ok(std::fs::read_to_string(path).map_err(|e| fail(&e))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(ini: &str, variables: &[(&str, &str)]) -> Result<(Settings, Vec<String>), String> {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Settings::read(ini, &lookup)
    }

    #[test]
    fn variables_win_over_the_file_and_grafanas_name_over_ours() {
        let ini = "# c\n[security]\nadmin_user = boss\nadmin_password = \"\"\"x\"\"\"\n[server]\n;root_url = no\nroot_url=https://h/mon/\n";
        let password = |variables: &[(&str, &str)]| {
            read(ini, variables).unwrap().0.admin_password.map(|p| p.expose().to_owned())
        };
        assert_eq!(password(&[]).as_deref(), Some("x"));
        assert_eq!(password(&[("GRAFANA_ADMIN_PASSWORD", "ours")]).as_deref(), Some("ours"));
        let both = [("GRAFANA_ADMIN_PASSWORD", "ours"), ("GF_SECURITY_ADMIN_PASSWORD", "theirs")];
        assert_eq!(password(&both).as_deref(), Some("theirs"));
        let (settings, _) = read(ini, &[("GF_SERVER_SERVE_FROM_SUB_PATH", "true")]).unwrap();
        assert_eq!((settings.admin_user.as_str(), settings.base().as_str()), ("boss", "/mon/"));
        assert_eq!((settings.prefix().as_str(), settings.needs_tls()), ("/mon", true));
        assert!(!format!("{:?}", read(ini, &both).unwrap().0).contains("theirs"));
    }

    #[test]
    fn what_would_let_people_in_is_named_and_what_is_wrong_refused() {
        let (_, warnings) = read("[auth.anonymous]\nenabled = true", &[]).unwrap();
        assert_eq!(warnings, ["auth.anonymous.enabled has no effect: everybody must log in"]);
        for (ini, want) in [
            ("[server]\nhttp_port = x", "server.http_port"),
            ("[server]\nroot_url = ftp://x/", "server.root_url"),
            ("[server]\nroot_url = http://x/\"><script>", "server.root_url"),
            ("[security]\ncookie_secure = maybe", "security.cookie_secure"),
            ("[auth]\nlogin_cookie_name = a;b", "auth.login_cookie_name"),
            ("nonsense", "line 1"),
        ] {
            let error = read(ini, &[]).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn references_are_filled_in_and_those_of_dashboards_stay() {
        let lookup = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, want) in [
            ("x$A/${A}/$__env{A}", "x1/1/1"),
            ("$${A} $$A", "${A} $A"),
            ("$${__value.raw} ${__value.raw} $__interval", "${__value.raw} ${__value.raw} $__interval"),
            ("5$ ${ $B|", "5$ ${ |"),
        ] {
            assert_eq!(interpolate(text, &lookup).unwrap(), want, "{text}");
        }
        assert!(interpolate("$__file{/nonexistent/x}", &lookup).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_never_panics(text in "[$a{}_é|A]{0,20}", ini in "[a=\\[\\]\n é;]{0,30}") {
            let _ = interpolate(&text, &|_| None);
            let _ = parse(&ini);
        }
    }
}
