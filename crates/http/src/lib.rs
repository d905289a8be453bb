//! Outbound HTTP as upstream configures it: TLS, authentication, proxies, redirects, limits.
//!
//! [`HttpClientConfig`] is upstream's `http_config` (and the same keys where upstream inlines them, through
//! [`with_http_client_keys!`]); [`Client`] is what it describes. [`tls_client`] is its TLS for what is not HTTP. A request has one deadline for everything and one
//! limit for its body, counted while decompressing, so that no peer can hold or fill us up.
//!
//! This crate reads no environment and keeps no global state: what a proxy variable says is passed in.

mod auth;
mod body;
mod client;
mod config;
mod connect;
mod error;
mod files;
mod inline;
mod memory;
mod proxy;
mod secret;
mod tls;
mod tls_config;
mod transport;
mod url;

pub use body::{BodyBuffer, BodyStream};
pub use client::{Client, Request, Response};
pub use config::{
    Authorization, BasicAuth, ConfigError, HeaderValues, HttpClientConfig, OAuth2, ProxyConfig,
};
pub use error::HttpError;
pub use memory::{HeldMemory, MemoryExceeded, SharedMemory};
pub use proxy::ProxyEnv;
pub use secret::{SECRET_TEXT, Secret};
pub use tls::tls_client;
pub use tls_config::{TlsConfig, TlsVersion};
pub use url::{Url, UrlError};
