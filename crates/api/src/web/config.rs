//! Reading and checking a web configuration file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::http::{HeaderName, HeaderValue};
use reba_config::ConfigError;
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::Deserialize;

use super::{Settings, Stamp, stamp};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    tls_server_config: Option<RawTls>,
    http_server_config: Option<RawHttp>,
    basic_auth_users: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_auth_type: Option<String>,
    client_ca_file: Option<PathBuf>,
    client_allowed_sans: Option<Vec<String>>,
    min_version: Option<String>,
    max_version: Option<String>,
    cipher_suites: Option<Vec<String>>,
    curve_preferences: Option<Vec<String>>,
    /// Has no meaning any more, upstream either.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

/// The policy by which nobody comes in without a certificate.
const REQUIRED: &str = "RequireAndVerifyClientCert";

/// Headers that may be set, and their values where only some are allowed.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The settings, and the files that they name as they were when they were read.
pub(super) fn parse(text: &str, file: &Path) -> Result<(Settings, Vec<(PathBuf, Stamp)>), ConfigError> {
    let raw: Raw = reba_config::read(text, file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    build(raw, folder).map_err(|reason| ConfigError::invalid(file, None, "", reason))
}

fn build(raw: Raw, folder: &Path) -> Result<(Settings, Vec<(PathBuf, Stamp)>), String> {
    let http = raw.http_server_config.unwrap_or_default();
    let users = raw.basic_auth_users.unwrap_or_default();
    for (user, hash) in &users {
        if hash.parse::<bcrypt::HashParts>().is_err() {
            return Err(format!("basic_auth_users: the password of {user:?} is no bcrypt hash"));
        }
    }
    let mut files = Vec::new();
    let policy = raw.tls_server_config.as_ref().and_then(|tls| tls.client_auth_type.as_deref());
    let certificates = policy == Some(REQUIRED);
    let tls = match raw.tls_server_config {
        Some(tls) => server_config(&tls, folder, http.http2.unwrap_or(true), &mut files)?,
        None => None,
    };
    let headers = headers(&http.headers.unwrap_or_default())?;
    Ok((Settings { tls, certificates, headers, users }, files))
}

fn headers(raw: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut out = Vec::new();
    for (name, value) in raw {
        let known = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, values) = known.ok_or_else(|| format!("HTTP header {name:?} can not be configured"))?;
        if value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.iter().any(|v| v.eq_ignore_ascii_case(value)) {
            return Err(format!("invalid value for {name}: expected one of {values:?}, got {value:?}"));
        }
        let bad = || format!("HTTP header {name:?}: malformed value");
        let value = HeaderValue::from_str(value).map_err(|_| bad())?;
        out.push((HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value));
    }
    Ok(out)
}

/// TLS as the keys ask for it; `None` if they name neither certificate nor key.
fn server_config(
    raw: &RawTls,
    folder: &Path,
    http2: bool,
    files: &mut Vec<(PathBuf, Stamp)>,
) -> Result<Option<Arc<ServerConfig>>, String> {
    for (key, given) in [
        ("client_allowed_sans", &raw.client_allowed_sans),
        ("cipher_suites", &raw.cipher_suites),
        ("curve_preferences", &raw.curve_preferences),
    ] {
        if given.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(format!("tls_server_config: {key} is not supported"));
        }
    }
    let mut read = |path: &Path| {
        let path = folder.join(path);
        files.push((path.clone(), stamp(&path)));
        fs::read(&path).map_err(|e| format!("tls_server_config: {}: {e}", path.display()))
    };
    let (cert, key) = match (&raw.cert_file, &raw.key_file) {
        (Some(cert), Some(key)) => (read(cert)?, read(key)?),
        (None, None) if raw.client_ca_file.is_none() && raw.client_auth_type.is_none() => return Ok(None),
        (None, _) => return Err("tls_server_config: missing cert_file".to_owned()),
        (_, None) => return Err("tls_server_config: missing key_file".to_owned()),
    };
    let ca = raw.client_ca_file.as_deref().map(&mut read).transpose()?;
    let bad = |what: &str, e: &dyn std::fmt::Display| format!("tls_server_config: {what}: {e}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(raw)?)
        .map_err(|e| bad("versions", &e))?;
    let verify = |optional: bool| {
        let ca =
            ca.as_deref().ok_or("tls_server_config: client_auth_type needs client_ca_file".to_owned())?;
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_slice_iter(ca) {
            let cert = cert.map_err(|e| bad("client_ca_file", &e))?;
            roots.add(cert).map_err(|e| bad("client_ca_file", &e))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
        verifier.build().map_err(|e| bad("client_ca_file", &e))
    };
    let builder = match raw.client_auth_type.as_deref().unwrap_or("") {
        "" | "NoClientCert" if ca.is_some() => {
            return Err(
                "tls_server_config: client CA's have been configured without a client auth policy".to_owned()
            );
        }
        // A certificate that is asked for and not looked at makes no difference.
        "" | "NoClientCert" | "RequestClientCert" => builder.with_no_client_auth(),
        "VerifyClientCertIfGiven" => builder.with_client_cert_verifier(verify(true)?),
        REQUIRED => builder.with_client_cert_verifier(verify(false)?),
        other => return Err(format!("tls_server_config: client_auth_type {other:?} is not supported")),
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&cert).collect::<Result<_, _>>().map_err(|e| bad("cert_file", &e))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| bad("key_file", &e))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|e| bad("cert_file and key_file", &e))?;
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Some(Arc::new(config)))
}

fn versions(raw: &RawTls) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let number = |key: &str, text: &Option<String>, default: u8| match text.as_deref() {
        None | Some("") => Ok(default),
        Some("TLS10") => Ok(10),
        Some("TLS11") => Ok(11),
        Some("TLS12") => Ok(12),
        Some("TLS13") => Ok(13),
        Some(other) => Err(format!("tls_server_config: {key}: unknown TLS version: {other}")),
    };
    let (min, max) =
        (number("min_version", &raw.min_version, 12)?, number("max_version", &raw.max_version, 13)?);
    let all = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)];
    let chosen: Vec<_> = all.iter().filter(|(n, _)| (min..=max).contains(n)).map(|(_, v)| *v).collect();
    if chosen.is_empty() {
        return Err(
            "tls_server_config: no version between min_version and max_version is spoken here".to_owned()
        );
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_or_not_supported_is_named() {
        for (text, reason) in [
            ("nope: 1", "nope"),
            ("basic_auth_users: {a: plain}", "no bcrypt hash"),
            ("http_server_config: {headers: {Server: x}}", "\"Server\" can not be configured"),
            ("http_server_config: {headers: {X-Frame-Options: allow}}", "invalid value for X-Frame-Options"),
            ("tls_server_config: {cert_file: a}", "missing key_file"),
            ("tls_server_config: {key_file: a}", "missing cert_file"),
            ("tls_server_config: {cert_file: /nonexistent, key_file: a}", "/nonexistent"),
            ("tls_server_config: {cipher_suites: [X]}", "cipher_suites is not supported"),
        ] {
            let error = parse(text, Path::new("web.yml")).map(drop).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let (empty, files) = parse("", Path::new("web.yml")).unwrap();
        assert!(
            empty.tls.is_none() && empty.users.is_empty() && empty.headers.is_empty() && files.is_empty()
        );
    }
}
