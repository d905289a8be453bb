//! `http_sd_configs`.

use reba_http::{HttpClientConfig, Url};
use serde::{Deserialize, Serialize};

use crate::config::{Millis, yaml::Invalid};

/// Targets that an HTTP server lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpSd {
    /// Where the list is.
    #[serde(serialize_with = "show_url")]
    pub url: Url,
    /// How often it is asked for.
    pub refresh_interval: Millis,
    /// The client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
}

pub(crate) fn show_url<S: serde::Serializer>(url: &Url, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(url)
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct HttpSdYaml {
        url: Option<String>,
        refresh_interval: Option<Millis>,
    }
}

impl HttpSdYaml {
    pub fn build(mut self) -> Result<HttpSd, Invalid> {
        let url = self.url.take().unwrap_or_default();
        let refuse = |text: &str| Err(Invalid::new(text).within("url", None));
        if url.is_empty() {
            return refuse("URL is missing");
        }
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        if !["http", "https"].iter().any(|s| s.eq_ignore_ascii_case(scheme)) {
            return refuse("URL scheme must be 'http' or 'https'");
        }
        if rest.split(['/', '?', '#']).next().is_none_or(|host| host.is_empty() || host.ends_with('@')) {
            return refuse("host is missing in URL");
        }
        let url = url.parse::<Url>().map_err(|e| Invalid::new(e.to_string()).within("url", None))?;
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        let refresh_interval = self.refresh_interval.unwrap_or_default().or(Millis::seconds(60));
        Ok(HttpSd { url, refresh_interval, http })
    }
}
