//! Hands a mail to its server: connection, TLS, authentication, message.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, Identity, TlsParameters, TlsVersion},
    extension::ClientId,
};
use reba_alerting::DeliverError;
use reba_http::{Secret, TlsConfig};

use super::{Auth, Ready};

/// A server that takes mails, and how it is spoken to.
pub(super) struct Server<'a> {
    pub host: String,
    pub port: u16,
    pub hello: &'a str,
    pub auth: Option<&'a Auth>,
    pub require_tls: bool,
    pub implicit_tls: bool,
    pub tls: &'a TlsConfig,
}

impl Server<'_> {
    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Sends a mail within `timeout`; what the server answered, in one line.
pub(super) async fn send(to: &Server<'_>, ready: &Ready, timeout: Duration) -> Result<String, DeliverError> {
    match tokio::time::timeout(timeout, converse(to, ready, timeout)).await {
        Ok(result) => result,
        Err(_) => Err(DeliverError::transient(format!("{}: no answer within {timeout:?}", to.name()))
            .because(reba_alerting::FailureReason::ContextDeadlineExceeded)),
    }
}

async fn converse(to: &Server<'_>, ready: &Ready, timeout: Duration) -> Result<String, DeliverError> {
    let hello = ClientId::Domain(to.hello.to_owned());
    let needs_tls = to.implicit_tls || to.require_tls;
    let tls = if needs_tls { Some(parameters(to.tls, &to.host).await?) } else { None };
    let at_once = tls.clone().filter(|_| to.implicit_tls);
    let address = (to.host.as_str(), to.port);
    let mut server = AsyncSmtpConnection::connect_tokio1(address, Some(timeout), &hello, at_once, None)
        .await
        .map_err(|e| failure("establish connection to server", &e))?;
    if let (Some(tls), false) = (tls, to.implicit_tls) {
        if !server.can_starttls() {
            server.abort().await;
            let text = format!(
                "'require_tls' is true (default) but {:?} does not advertise the STARTTLS extension",
                to.name()
            );
            return Err(DeliverError::transient(text));
        }
        server.starttls(tls, &hello).await.map_err(|e| failure("send STARTTLS command", &e))?;
    }
    if let Some(auth) = to.auth {
        authenticate(&mut server, auth, &to.host).await?;
    }
    let sent = server.send(&ready.envelope, &ready.mail.formatted()).await;
    let answer = sent.map_err(|e| failure("delivery failure", &e))?;
    // It has the mail: what it says to the farewell changes nothing.
    if server.quit().await.is_err() {
        server.abort().await;
    }
    let text: Vec<&str> = answer.message().collect();
    Ok(crate::text::excerpt(format!("{} {}", answer.code(), text.join(" ")).as_bytes()))
}

/// Introduces the sender. A server that offers no scheme that is known here is told nothing.
async fn authenticate(server: &mut AsyncSmtpConnection, auth: &Auth, host: &str) -> Result<(), DeliverError> {
    let offers = |mechanism| server.server_info().supports_auth_mechanism(mechanism);
    let (plain, login) = (offers(Mechanism::Plain), offers(Mechanism::Login));
    if !plain && !login {
        return Ok(());
    }
    let password = auth.password.read().await.map_err(DeliverError::transient)?;
    if password.is_empty() {
        return Err(DeliverError::transient("find auth mechanism: missing password for PLAIN and LOGIN"));
    }
    let safe = server.is_encrypted() || ["localhost", "127.0.0.1", "::1"].contains(&host);
    if plain && safe {
        let words = format!("{}\0{}\0{}", auth.identity, auth.username, password.expose());
        let command = format!("AUTH PLAIN {}\r\n", STANDARD.encode(words));
        server.command(command).await.map_err(|e| failure("PLAIN auth", &e))?;
        return Ok(());
    }
    if login {
        let credentials = Credentials::new(auth.username.clone(), password.expose().to_owned());
        server.auth(&[Mechanism::Login], &credentials).await.map_err(|e| failure("LOGIN auth", &e))?;
        return Ok(());
    }
    Err(DeliverError::transient("PLAIN auth: the connection is not encrypted"))
}

/// What TLS has to be like. Files are read anew for every mail.
async fn parameters(config: &TlsConfig, host: &str) -> Result<TlsParameters, DeliverError> {
    let bad =
        |what: &str, e: String| DeliverError::permanent(format!("parse TLS configuration: {what}: {e}"));
    let name = config.server_name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| host.to_owned());
    let mut tls = TlsParameters::builder(name)
        .dangerous_accept_invalid_certs(config.insecure_skip_verify)
        .dangerous_accept_invalid_hostnames(config.insecure_skip_verify);
    if let Some(pem) =
        read(config.ca.as_deref(), config.ca_file.as_ref()).await.map_err(|e| bad("ca_file", e))?
    {
        tls = tls.certificate_store(CertificateStore::None);
        for block in pem_blocks(&pem) {
            let certificate =
                Certificate::from_pem(block.as_bytes()).map_err(|e| bad("ca", e.to_string()))?;
            tls = tls.add_root_certificate(certificate);
        }
    }
    let certificate =
        read(config.cert.as_deref(), config.cert_file.as_ref()).await.map_err(|e| bad("cert_file", e))?;
    let key = config.key.as_ref().map(Secret::expose);
    let key = read(key, config.key_file.as_ref()).await.map_err(|e| bad("key_file", e))?;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes());
        tls = tls.identify_with(identity.map_err(|e| bad("cert", e.to_string()))?);
    }
    if config.min_version.is_some_and(|v| v == reba_http::TlsVersion::Tls13) {
        tls = tls.set_min_tls_version(TlsVersion::Tlsv13);
    }
    tls.build().map_err(|e| bad("TLS", cause(&e)))
}

async fn read(text: Option<&str>, file: Option<&std::path::PathBuf>) -> Result<Option<String>, String> {
    if let Some(text) = text.filter(|t| !t.is_empty()) {
        return Ok(Some(text.to_owned()));
    }
    let Some(file) = file.filter(|f| !f.as_os_str().is_empty()) else { return Ok(None) };
    let text = tokio::fs::read_to_string(file).await;
    text.map(Some).map_err(|e| format!("unable to read file {}: {e}", file.display()))
}

/// The certificates of a bundle.
fn pem_blocks(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter_map(|part| part.find("-----BEGIN CERTIFICATE-----").map(|at| part[at..].to_owned()))
        .collect()
}

fn failure(step: &str, e: &Error) -> DeliverError {
    DeliverError::transient(format!("{step}: {}", crate::text::excerpt(cause(e).as_bytes())))
}

/// The text of the innermost cause.
fn cause(e: &Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = e;
    for _ in 0..16 {
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    // An answer of the server comes with its code.
    match e.status() {
        Some(code) => format!("{code} {cause}"),
        None => cause.to_string(),
    }
}
