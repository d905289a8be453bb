//! The client's keys inside other sections.

/// Declares a serde struct that also has all keys of [`HttpClientConfig`], as upstream inlines them, and gives it
/// `http_client(&mut self, defaults) -> HttpClientConfig`. (`serde(flatten)` would lose positions and refuse to
/// refuse unknown keys.)
#[macro_export]
macro_rules! with_http_client_keys {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        $vis struct $name {
            $($fields)*
            basic_auth: Option<$crate::BasicAuth>,
            authorization: Option<$crate::Authorization>,
            oauth2: Option<$crate::OAuth2>,
            bearer_token: Option<$crate::Secret>,
            bearer_token_file: Option<::std::path::PathBuf>,
            tls_config: Option<$crate::TlsConfig>,
            follow_redirects: Option<bool>,
            enable_http2: Option<bool>,
            proxy_url: Option<$crate::Url>,
            no_proxy: Option<String>,
            proxy_from_environment: Option<bool>,
            proxy_connect_header: Option<::std::collections::BTreeMap<String, Vec<$crate::Secret>>>,
            http_headers: Option<::std::collections::BTreeMap<String, $crate::HeaderValues>>,
        }

        impl $name {
            /// Moves the client's keys out; what was left out has the value of `defaults`.
            fn http_client(&mut self, defaults: $crate::HttpClientConfig) -> $crate::HttpClientConfig {
                $crate::HttpClientConfig {
                    basic_auth: self.basic_auth.take(),
                    authorization: self.authorization.take(),
                    oauth2: self.oauth2.take(),
                    bearer_token: self.bearer_token.take(),
                    bearer_token_file: self.bearer_token_file.take(),
                    tls_config: self.tls_config.take(),
                    follow_redirects: self.follow_redirects.unwrap_or(defaults.follow_redirects),
                    enable_http2: self.enable_http2.unwrap_or(defaults.enable_http2),
                    proxy_url: self.proxy_url.take(),
                    no_proxy: self.no_proxy.take(),
                    proxy_from_environment: self
                        .proxy_from_environment
                        .unwrap_or(defaults.proxy_from_environment),
                    proxy_connect_header: self.proxy_connect_header.take().unwrap_or_default(),
                    http_headers: self.http_headers.take().unwrap_or_default(),
                }
            }
        }
    };
}
