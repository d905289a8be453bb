//! TLS as the configuration asks for it, on rustls with ring.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::{HttpError, TlsConfig, TlsVersion, files};

/// What the TLS keys hold or point to, read.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Material {
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Material {
    /// Reads inline texts and files.
    pub async fn read(tls: &TlsConfig) -> Result<Self, HttpError> {
        Ok(Material {
            ca: part(tls.ca.as_deref(), tls.ca_file.as_deref()).await?,
            cert: part(tls.cert.as_deref(), tls.cert_file.as_deref()).await?,
            key: part(tls.key.as_ref().map(|k| k.expose()), tls.key_file.as_deref()).await?,
        })
    }
}

async fn part(text: Option<&str>, file: Option<&Path>) -> Result<Option<Vec<u8>>, HttpError> {
    match (text.filter(|t| !t.is_empty()), file.filter(|f| !f.as_os_str().is_empty())) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(file)) => files::read(file).await.map(Some),
        (None, None) => Ok(None),
    }
}

/// Whether the keys name files, which may change while we run.
pub(crate) fn has_files(tls: &TlsConfig) -> bool {
    [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten().any(|f| !f.as_os_str().is_empty())
}

/// The TLS side of connections that carry something else than HTTP, files read. There is no ALPN in it.
pub async fn tls_client(tls: &TlsConfig) -> Result<Arc<ClientConfig>, HttpError> {
    let material = Material::read(tls).await?;
    build_aside(tls.clone(), material, false).await.map(Arc::new)
}

/// Reading the system's certificates takes milliseconds, which a worker of the runtime has not.
pub(crate) async fn build_aside(
    tls: TlsConfig,
    material: Material,
    http2: bool,
) -> Result<ClientConfig, HttpError> {
    let built = tokio::task::spawn_blocking(move || client_config(&tls, &material, http2)).await;
    built.map_err(|e| HttpError::Config(e.to_string()))?
}

/// Builds the TLS side of connections. The system's roots are read if the configuration names none: milliseconds
/// of work, so it is done at the first connection that needs it.
pub(crate) fn client_config(
    tls: &TlsConfig,
    material: &Material,
    http2: bool,
) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls)?)
        .map_err(|e| bad(&e))?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain: None }))
    } else if tls.any_name {
        let chain = Some(chain_verifier(roots(tls, material)?, &provider)?);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain }))
    } else {
        builder.with_root_certificates(roots(tls, material)?)
    };
    let mut config = match (&material.cert, &material.key) {
        (Some(cert), Some(key)) => {
            let unusable = |what: &str, file: &Option<PathBuf>| unusable(what, file.as_deref());
            let chain = certificates(cert).ok_or_else(|| unusable("client cert", &tls.cert_file))?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|_| unusable("client key", &tls.key_file))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| bad(&e))?
        }
        _ => builder.with_no_client_auth(),
    };
    if http2 {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok(config)
}

fn bad(reason: &dyn std::fmt::Display) -> HttpError {
    HttpError::Config(format!("tls_config: {reason}"))
}

/// Says which file, or that the text stands in the configuration itself.
fn unusable(what: &str, file: Option<&Path>) -> HttpError {
    let name = file.map_or_else(|| "inline".to_owned(), |f| format!("file {}", f.display()));
    HttpError::Config(format!("unable to use specified {what} {name}"))
}

fn versions(tls: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, HttpError> {
    let min = tls.min_version.unwrap_or(TlsVersion::Tls12);
    let max = tls.max_version.unwrap_or(TlsVersion::Tls13);
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let allowed: Vec<_> = known.into_iter().filter(|(v, _)| min <= *v && *v <= max).map(|(_, v)| v).collect();
    if allowed.is_empty() {
        return Err(bad(&"versions below TLS 1.2 are not supported"));
    }
    Ok(allowed)
}

fn roots(tls: &TlsConfig, material: &Material) -> Result<RootCertStore, HttpError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &material.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unusable = || unusable("CA cert", tls.ca_file.as_deref());
    let (added, _) = roots.add_parsable_certificates(certificates(ca).ok_or_else(unusable)?);
    if added == 0 { Err(unusable()) } else { Ok(roots) }
}

/// The certificates of a PEM text; `None` if there is none.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certs.ok().filter(|c| !c.is_empty())
}

fn chain_verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, HttpError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().map_err(|e| bad(&e))
}

/// Looks at less than everything; the handshake's signatures must be right in any case.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// Who must have signed (`any_name`); nobody, if it is absent (`insecure_skip_verify`).
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is looked at before the name.
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
