//! Outbound HTTP as upstream configures it: TLS, authentication, proxies, redirects, limits.
//!
//! [`HttpClientConfig`] is upstream's `http_config` (and the same keys where upstream inlines them, through
//! [`with_http_client_keys!`]).
//!
//! This crate reads no environment and keeps no global state: what a proxy variable says is passed in.

mod config;
mod secret;
mod url;

pub use config::{
    Authorization, BasicAuth, ConfigError, HeaderValues, HttpClientConfig, OAuth2, ProxyConfig, TlsConfig,
    TlsVersion,
};
pub use secret::{SECRET_TEXT, Secret};
pub use url::{Url, UrlError};
