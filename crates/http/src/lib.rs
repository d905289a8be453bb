//! Outbound HTTP as upstream configures it: TLS, authentication, proxies, redirects, limits.
