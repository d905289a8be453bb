//! `dns_sd_configs`.

use serde::{Deserialize, Serialize};

use crate::config::{Millis, yaml::Invalid};

/// Targets that DNS records name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsSd {
    /// The names that are looked up.
    pub names: Vec<String>,
    /// How often.
    pub refresh_interval: Millis,
    /// The records that are asked for.
    #[serde(rename = "type")]
    pub kind: DnsRecordKind,
    /// The targets' port; records of kind SRV have their own.
    pub port: u16,
}

/// A kind of DNS record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecordKind {
    /// Host and port of a service.
    Srv,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A mail server.
    Mx,
    /// A name server.
    Ns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DnsSdYaml {
    names: Option<Vec<String>>,
    refresh_interval: Option<Millis>,
    #[serde(rename = "type")]
    kind: Option<String>,
    port: Option<u16>,
}

impl DnsSdYaml {
    pub fn build(self) -> Result<DnsSd, Invalid> {
        let names = self.names.unwrap_or_default();
        if names.is_empty() {
            return Err(
                Invalid::new("DNS-SD config must contain at least one SRV record name").within("names", None)
            );
        }
        let written = self.kind.unwrap_or_else(|| "SRV".to_owned());
        let kind = match written.to_uppercase().as_str() {
            "SRV" => DnsRecordKind::Srv,
            "A" => DnsRecordKind::A,
            "AAAA" => DnsRecordKind::Aaaa,
            "MX" => DnsRecordKind::Mx,
            "NS" => DnsRecordKind::Ns,
            _ => {
                let text = format!("invalid DNS-SD records type {written}");
                return Err(Invalid::new(text).within("type", None));
            }
        };
        let port = self.port.unwrap_or(0);
        if port == 0 && kind != DnsRecordKind::Srv {
            let text = "a port is required in DNS-SD configs for all record types except SRV";
            return Err(Invalid::new(text).within("port", None));
        }
        let refresh_interval = self.refresh_interval.unwrap_or_default().or(Millis::seconds(30));
        Ok(DnsSd { names, refresh_interval, kind, port })
    }
}
