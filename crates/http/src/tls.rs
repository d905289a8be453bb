//! TLS as the configuration asks for it, on rustls with ring.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
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

/// Builds the TLS side of connections. The system's roots are read if the configuration names none: milliseconds
/// of work, so it is done at the first connection that needs it.
pub(crate) fn client_config(
    tls: &TlsConfig,
    material: &Material,
    http2: bool,
) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let bad = |e: &dyn std::fmt::Display| HttpError::Config(format!("tls_config: {e}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls)?)
        .map_err(|e| bad(&e))?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone { provider }))
    } else {
        builder.with_root_certificates(roots(tls, material)?)
    };
    let mut config = match (&material.cert, &material.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert).ok_or_else(|| bad(&"unable to use specified client cert"))?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|_| bad(&"unable to use specified client key"))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| bad(&e))?
        }
        _ => builder.with_no_client_auth(),
    };
    if http2 {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Ok(config)
}

fn versions(tls: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, HttpError> {
    let min = tls.min_version.unwrap_or(TlsVersion::Tls12);
    let max = tls.max_version.unwrap_or(TlsVersion::Tls13);
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let allowed: Vec<_> = known.into_iter().filter(|(v, _)| min <= *v && *v <= max).map(|(_, v)| v).collect();
    if allowed.is_empty() {
        return Err(HttpError::Config("tls_config: versions below TLS 1.2 are not supported".to_owned()));
    }
    Ok(allowed)
}

fn roots(tls: &TlsConfig, material: &Material) -> Result<RootCertStore, HttpError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &material.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let name = tls.ca_file.as_ref().map_or_else(|| "inline".to_owned(), |f| format!("file {}", f.display()));
    let unusable = || HttpError::Config(format!("unable to use specified CA cert {name}"));
    let (added, _) = roots.add_parsable_certificates(certificates(ca).ok_or_else(unusable)?);
    if added == 0 { Err(unusable()) } else { Ok(roots) }
}

/// The certificates of a PEM text; `None` if there is none.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certs.ok().filter(|c| !c.is_empty())
}

/// `insecure_skip_verify`: any certificate will do, but the handshake's signatures must still be right.
#[derive(Debug)]
struct TrustAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
