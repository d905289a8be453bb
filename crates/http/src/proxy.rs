//! Which proxy a request goes through.

use http::Uri;

use crate::{HttpError, Url, config::ProxyConfig};

/// What the environment says about proxies; the binary reads it, nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyEnv {
    /// `HTTP_PROXY` or `http_proxy`.
    pub http: Option<String>,
    /// `HTTPS_PROXY` or `https_proxy`.
    pub https: Option<String>,
    /// `NO_PROXY` or `no_proxy`.
    pub no_proxy: Option<String>,
}

/// The rules by which a proxy is chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    /// A network, as address and number of leading bits.
    Network(std::net::IpAddr, u32),
    /// A host or the domain it lies in, and a port if only that one is meant.
    Host {
        name: String,
        subdomains_only: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    pub fn new(config: ProxyConfig<'_>, env: &ProxyEnv) -> Result<Self, HttpError> {
        if config.from_environment {
            return Ok(Proxies {
                http: env_url(env.http.as_deref())?,
                https: env_url(env.https.as_deref())?,
                exceptions: exceptions(env.no_proxy.as_deref().unwrap_or_default()),
            });
        }
        let url = config.url.filter(|u| u.uri().host().is_some()).cloned();
        if let Some(u) = &url {
            check_scheme(u)?;
        }
        Ok(Proxies { http: url.clone(), https: url, exceptions: exceptions(config.no_proxy) })
    }

    /// The proxy for `uri`, if any.
    pub fn choose(&self, uri: &Uri) -> Option<&Url> {
        let tls = uri.scheme_str() == Some("https");
        let proxy = if tls { &self.https } else { &self.http }.as_ref()?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        (!self.exceptions.iter().any(|e| e.covers(host, port))).then_some(proxy)
    }
}

fn check_scheme(url: &Url) -> Result<(), HttpError> {
    match url.uri().scheme_str() {
        Some("http" | "https") => Ok(()),
        other => Err(HttpError::Config(format!("unsupported proxy scheme {:?}", other.unwrap_or_default()))),
    }
}

/// A proxy of the environment may be written without a scheme.
fn env_url(text: Option<&str>) -> Result<Option<Url>, HttpError> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = text.parse().map_err(|e| HttpError::Config(format!("invalid proxy address: {e}")))?;
    check_scheme(&url)?;
    Ok(Some(url))
}

fn exceptions(text: &str) -> Vec<Exception> {
    text.split(',').map(str::trim).filter(|e| !e.is_empty()).map(exception).collect()
}

fn exception(text: &str) -> Exception {
    let text = text.to_ascii_lowercase();
    if text == "*" {
        return Exception::All;
    }
    if let Some((ip, bits)) = text.split_once('/')
        && let (Ok(ip), Ok(bits)) = (ip.parse(), bits.parse())
    {
        return Exception::Network(ip, bits);
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
        return Exception::Network(ip, 128);
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
        _ => (text.as_str(), None),
    };
    let name = name.strip_prefix('*').unwrap_or(name);
    let subdomains_only = name.starts_with('.');
    Exception::Host { name: name.trim_start_matches('.').to_owned(), subdomains_only, port }
}

impl Exception {
    fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Exception::All => true,
            Exception::Network(net, bits) => {
                host.parse().is_ok_and(|ip: std::net::IpAddr| same_network(ip, *net, *bits))
            }
            Exception::Host { name, subdomains_only, port: only } => {
                let host = host.to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (below || (!subdomains_only && host == *name)) && only.is_none_or(|p| p == port)
            }
        }
    }
}

fn same_network(a: std::net::IpAddr, b: std::net::IpAddr, bits: u32) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (a, b) {
        (V4(a), V4(b)) => {
            let shift = 32 - bits.min(32);
            u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
        }
        (V6(a), V6(b)) => {
            let shift = 128 - bits.min(128);
            u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpClientConfig;

    #[test]
    fn exceptions_are_hosts_domains_networks_and_ports() {
        let config = HttpClientConfig {
            proxy_url: Some("http://proxy:3128".parse().unwrap()),
            no_proxy: Some("plain, .sub.example, *.star.example, 10.0.0.0/8, with:81,::1".to_owned()),
            ..Default::default()
        };
        let p = Proxies::new(config.proxy(), &ProxyEnv::default()).unwrap();
        for (uri, proxied) in [
            ("http://other/", true),
            ("http://plain/", false),
            ("http://a.plain/", false),
            ("http://sub.example/", true),
            ("http://a.sub.example/", false),
            ("http://b.star.example/", false),
            ("http://10.1.2.3:9/", false),
            ("http://11.1.2.3/", true),
            ("http://with:81/", false),
            ("http://with:82/", true),
            ("http://[::1]/", false),
        ] {
            assert_eq!(p.choose(&uri.parse().unwrap()).is_some(), proxied, "{uri}");
        }
    }

    #[test]
    fn the_environment_counts_only_if_asked_for() {
        let env = ProxyEnv { http: Some("proxy:1".to_owned()), ..Default::default() };
        let uri = "http://x/".parse().unwrap();
        let off = HttpClientConfig::default();
        assert!(Proxies::new(off.proxy(), &env).unwrap().choose(&uri).is_none());
        let on = HttpClientConfig { proxy_from_environment: true, ..Default::default() };
        assert!(Proxies::new(on.proxy(), &env).unwrap().choose(&uri).is_some());
        let https = "https://x/".parse().unwrap();
        assert!(Proxies::new(on.proxy(), &env).unwrap().choose(&https).is_none());
    }
}
