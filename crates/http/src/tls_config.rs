//! The keys of TLS.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    config::{ConfigError, has_path, has_secret, has_text, refuse},
};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.0; as a lower bound it means 1.2, the oldest that is spoken here.
    #[serde(rename = "TLS10")]
    Tls10,
    /// 1.1; as a lower bound it means 1.2.
    #[serde(rename = "TLS11")]
    Tls11,
    /// 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// TLS of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities that are trusted instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The client's certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// The client's key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// File of authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// File of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// File of the client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must carry, instead of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// Whether a trusted certificate may carry any name, as PostgreSQL's `verify-ca` has it. No file has a key for it.
    #[serde(skip)]
    pub any_name: bool,
    /// The oldest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

impl TlsConfig {
    /// Checks that no part is given twice, and a certificate only with its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (ca_file, cert_file, key_file) = (
            has_path(self.ca_file.as_ref()),
            has_path(self.cert_file.as_ref()),
            has_path(self.key_file.as_ref()),
        );
        let (ca, cert, key) =
            (has_text(self.ca.as_ref()), has_text(self.cert.as_ref()), has_secret(self.key.as_ref()));
        if ca && ca_file {
            return refuse("at most one of ca and ca_file must be configured");
        }
        if cert && cert_file {
            return refuse("at most one of cert and cert_file must be configured");
        }
        if key && key_file {
            return refuse("at most one of key and key_file must be configured");
        }
        match (cert || cert_file, key || key_file) {
            (true, false) => refuse(
                "exactly one of key or key_file must be configured when a client certificate is configured",
            ),
            (false, true) => {
                refuse("exactly one of cert or cert_file must be configured when a client key is configured")
            }
            _ if self.max_version.is_some() && self.max_version < self.min_version => refuse(
                "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
            ),
            _ => Ok(()),
        }
    }

    /// Joins relative file names with `dir`.
    pub fn set_directory(&mut self, dir: &Path) {
        for file in self.files_mut() {
            if !file.as_os_str().is_empty() {
                *file = dir.join(&*file);
            }
        }
    }

    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.ca_file, &mut self.cert_file, &mut self.key_file].into_iter().flatten()
    }
}
