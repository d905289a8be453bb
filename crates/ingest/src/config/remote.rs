//! The `remote_write` and `remote_read` sections.

use std::collections::BTreeMap;

use reba_http::{HttpClientConfig, Url};
use reba_model::{NameScheme, Relabel};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_saphyr::Spanned;

use super::{
    Millis,
    relabel::{self, RelabelYaml},
    scrape::show_rules,
    yaml::{Invalid, List},
};

/// A receiver of all samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemoteWriteConfig {
    /// Where to.
    pub url: Url,
    /// How long a request may take.
    pub remote_timeout: Millis,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Rules for series.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<Relabel>,
    /// The name in logs and metrics; empty for one that is made up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether exemplars are sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_exemplars: bool,
    /// Whether native histograms are sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_native_histograms: bool,
    /// Whether every address of the host's name is used in turn.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub round_robin_dns: bool,
    /// The message, `prometheus.WriteRequest` (1.0) or `io.prometheus.write.v2.Request`.
    pub protobuf_message: String,
    /// The HTTP client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
    /// Queues and retries.
    pub queue_config: QueueConfig,
    /// Metadata.
    pub metadata_config: MetadataConfig,
}

/// Queues and retries of remote write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueConfig {
    /// Samples that wait, per shard.
    pub capacity: i64,
    /// Requests at a time, at most.
    pub max_shards: i64,
    /// Requests at a time, at least.
    pub min_shards: i64,
    /// Samples of a request.
    pub max_samples_per_send: i64,
    /// How long a sample waits for others.
    pub batch_send_deadline: Millis,
    /// First pause before another attempt.
    pub min_backoff: Millis,
    /// Longest pause.
    pub max_backoff: Millis,
    /// Whether 429 is tried again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_on_http_429: bool,
    /// Older samples are dropped; zero means none.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub sample_age_limit: Millis,
}

/// Metadata of remote write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetadataConfig {
    /// Whether it is sent.
    pub send: bool,
    /// How often.
    pub send_interval: Millis,
    /// Entries of a request.
    pub max_samples_per_send: i64,
}

/// A store that is read besides our own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemoteReadConfig {
    /// Where from.
    pub url: Url,
    /// How long a request may take.
    pub remote_timeout: Millis,
    /// Largest frame of a streamed answer, in bytes.
    pub chunked_read_limit: u64,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it is asked for times that our own store has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_recent: bool,
    /// The name in logs and metrics.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The HTTP client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
    /// Matchers that a selector must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required_matchers: BTreeMap<String, String>,
    /// Whether external labels are added to selectors.
    pub filter_external_labels: bool,
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct RemoteWriteYaml {
        url: Option<Url>,
        remote_timeout: Option<Millis>,
        headers: Option<BTreeMap<String, String>>,
        write_relabel_configs: List<RelabelYaml>,
        name: Option<String>,
        send_exemplars: Option<bool>,
        send_native_histograms: Option<bool>,
        round_robin_dns: Option<bool>,
        protobuf_message: Option<String>,
        failed_request_logging: Option<bool>,
        queue_config: Option<QueueYaml>,
        metadata_config: Option<MetadataYaml>,
        sigv4: Option<Spanned<IgnoredAny>>,
        azuread: Option<Spanned<IgnoredAny>>,
        google_iam: Option<Spanned<IgnoredAny>>,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QueueYaml {
    capacity: Option<i64>,
    max_shards: Option<i64>,
    min_shards: Option<i64>,
    max_samples_per_send: Option<i64>,
    batch_send_deadline: Option<Millis>,
    min_backoff: Option<Millis>,
    max_backoff: Option<Millis>,
    retry_on_http_429: Option<bool>,
    sample_age_limit: Option<Millis>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MetadataYaml {
    send: Option<bool>,
    send_interval: Option<Millis>,
    max_samples_per_send: Option<i64>,
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct RemoteReadYaml {
        url: Option<Url>,
        remote_timeout: Option<Millis>,
        chunked_read_limit: Option<u64>,
        headers: Option<BTreeMap<String, String>>,
        read_recent: Option<bool>,
        name: Option<String>,
        required_matchers: Option<BTreeMap<String, String>>,
        filter_external_labels: Option<bool>,
    }
}

const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";

impl RemoteWriteYaml {
    pub fn build(
        mut self,
        scheme: NameScheme,
        unsupported: &mut Vec<Invalid>,
    ) -> Result<RemoteWriteConfig, Invalid> {
        let Some(url) = self.url.take() else { return Err(Invalid::new("url for remote_write is empty")) };
        let headers = self.headers.take().unwrap_or_default();
        check_headers(&headers)?;
        let protobuf_message = self.protobuf_message.take().unwrap_or_else(|| MESSAGE_V1.to_owned());
        if ![MESSAGE_V1, MESSAGE_V2].contains(&protobuf_message.as_str()) {
            let text = format!(
                "invalid protobuf_message value: unknown type for remote write protobuf message {protobuf_message}, \
                 supported: {MESSAGE_V1}, {MESSAGE_V2}"
            );
            return Err(Invalid::new(text).within("protobuf_message", None));
        }
        let mut http = self.http_client(HttpClientConfig { enable_http2: false, ..Default::default() });
        http.validate()?;
        let queue_config = self.queue_config.take().unwrap_or_default().build()?;
        self.check_auth(&http, unsupported)?;
        let metadata = self.metadata_config.take().unwrap_or_default();
        Ok(RemoteWriteConfig {
            url,
            remote_timeout: self.remote_timeout.unwrap_or(Millis::seconds(30)),
            headers,
            write_relabel_configs: relabel::rules(
                self.write_relabel_configs.take(),
                "write_relabel_configs",
                "empty or null relabeling rule in remote write config",
                scheme,
            )?,
            name: self.name.take().unwrap_or_default(),
            send_exemplars: self.send_exemplars.unwrap_or(false),
            send_native_histograms: self.send_native_histograms.unwrap_or(false),
            round_robin_dns: self.round_robin_dns.unwrap_or(false),
            protobuf_message,
            http,
            queue_config,
            metadata_config: MetadataConfig {
                send: metadata.send.unwrap_or(true),
                send_interval: metadata.send_interval.unwrap_or(Millis::seconds(60)),
                max_samples_per_send: metadata.max_samples_per_send.unwrap_or(2000),
            },
        })
    }

    /// At most one way to authenticate; the clouds' own ways are for later.
    fn check_auth(&self, http: &HttpClientConfig, unsupported: &mut Vec<Invalid>) -> Result<(), Invalid> {
        let clouds = [("sigv4", &self.sigv4), ("azuread", &self.azuread), ("google_iam", &self.google_iam)];
        let mut set = Vec::new();
        set.extend(http.basic_auth.as_ref().map(|_| "basic_auth"));
        set.extend(http.authorization.as_ref().map(|_| "authorization"));
        set.extend(http.oauth2.as_ref().map(|_| "oauth2"));
        set.extend(clouds.iter().filter(|(_, v)| v.is_some()).map(|(k, _)| *k));
        if set.len() > 1 {
            return Err(Invalid::new(format!(
                "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. \
                 Currently configured: [{}]",
                set.join(" ")
            )));
        }
        for (key, found) in clouds {
            unsupported.extend(found.as_ref().map(|f| Invalid::unsupported(key, f.referenced)));
        }
        Ok(())
    }
}

impl QueueYaml {
    fn build(self) -> Result<QueueConfig, Invalid> {
        let q = QueueConfig {
            capacity: self.capacity.unwrap_or(10_000),
            max_shards: self.max_shards.unwrap_or(50),
            min_shards: self.min_shards.unwrap_or(1),
            max_samples_per_send: self.max_samples_per_send.unwrap_or(2000),
            batch_send_deadline: self.batch_send_deadline.unwrap_or(Millis::seconds(5)),
            min_backoff: self.min_backoff.unwrap_or(Millis(30)),
            max_backoff: self.max_backoff.unwrap_or(Millis::seconds(5)),
            retry_on_http_429: self.retry_on_http_429.unwrap_or(false),
            sample_age_limit: self.sample_age_limit.unwrap_or_default(),
        };
        let fail =
            |text: &str| Err(Invalid::new(format!("remote write queue {text}")).within("queue_config", None));
        if q.max_shards <= 0 {
            return fail("max_shards must be positive");
        }
        if q.min_shards <= 0 {
            return fail("min_shards must be positive");
        }
        if q.min_shards > q.max_shards {
            return fail("min_shards must not be greater than max_shards");
        }
        if q.max_samples_per_send <= 0 {
            return fail("max_samples_per_send must be positive");
        }
        if q.capacity <= 0 {
            return fail("capacity must be positive");
        }
        if q.max_backoff < q.min_backoff {
            return fail("max_backoff must not be less than min_backoff");
        }
        Ok(q)
    }
}

impl RemoteReadYaml {
    pub fn build(mut self) -> Result<RemoteReadConfig, Invalid> {
        let Some(url) = self.url.take() else { return Err(Invalid::new("url for remote_read is empty")) };
        let headers = self.headers.take().unwrap_or_default();
        check_headers(&headers)?;
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        Ok(RemoteReadConfig {
            url,
            remote_timeout: self.remote_timeout.unwrap_or(Millis::seconds(60)),
            chunked_read_limit: self.chunked_read_limit.unwrap_or(50_000_000),
            headers,
            read_recent: self.read_recent.unwrap_or(false),
            name: self.name.take().unwrap_or_default(),
            http,
            required_matchers: self.required_matchers.take().unwrap_or_default(),
            filter_external_labels: self.filter_external_labels.unwrap_or(true),
        })
    }
}

/// Headers that the protocol itself sets.
const RESERVED: [&str; 16] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// The first header that may not be set, if any.
pub(crate) fn reserved_header(headers: &BTreeMap<String, String>) -> Option<&str> {
    headers.keys().map(String::as_str).find(|h| RESERVED.contains(&h.to_ascii_lowercase().as_str()))
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), Invalid> {
    if headers.keys().any(|h| h.eq_ignore_ascii_case("authorization")) {
        return Err(Invalid::new(
            "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or \
             google_iam parameter",
        ));
    }
    match reserved_header(headers) {
        Some(h) => {
            let text = format!("{h} is a reserved header. It must not be changed");
            Err(Invalid::new(text).within("headers", None))
        }
        None => Ok(()),
    }
}
