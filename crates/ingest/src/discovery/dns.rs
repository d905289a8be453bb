//! Targets that DNS records name.

pub(super) mod message;
mod resolver;

use std::{net::IpAddr, path::PathBuf, sync::atomic::Ordering, time::Duration};

use futures::{StreamExt, stream};
use reba_model::{Labels, LabelsBuilder};

use self::message::Record;
use super::{ADDRESS_LABEL, DiscoveryMetrics, DiscoveryOptions, TargetGroup, join_host_port};
use crate::config::DnsSd;

/// As many names of one section are looked up at a time.
const CONCURRENT: usize = 16;

const NAME_LABEL: &str = "__meta_dns_name";

pub(crate) struct DnsSource {
    config: DnsSd,
    resolv_conf: PathBuf,
    /// What each name stood for when it was last looked up with success.
    known: Vec<Option<TargetGroup>>,
}

impl DnsSource {
    pub fn new(config: DnsSd, options: &DiscoveryOptions) -> Self {
        let resolv_conf = options.resolv_conf.clone().unwrap_or_else(|| PathBuf::from("/etc/resolv.conf"));
        DnsSource { known: vec![None; config.names.len()], config, resolv_conf }
    }

    pub fn interval(&self) -> Duration {
        self.config.refresh_interval.as_std()
    }

    /// Looks all names up. A name that cannot be looked up keeps its targets; that is no failure of the others.
    pub async fn refresh(&mut self, metrics: &DiscoveryMetrics) -> Vec<TargetGroup> {
        let (path, kind) = (&self.resolv_conf, self.config.kind);
        let names = self.config.names.iter().cloned();
        let lookups = names.map(|name| async move {
            let found = resolver::lookup(path, &name, kind).await;
            (name, found)
        });
        let found: Vec<_> = stream::iter(lookups).buffered(CONCURRENT).collect().await;
        for (known, (name, found)) in self.known.iter_mut().zip(found) {
            metrics.dns_lookups.fetch_add(1, Ordering::Relaxed);
            match found {
                Ok(records) => *known = Some(group(&name, self.config.port, &records)),
                Err(e) => {
                    metrics.dns_lookup_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(name, error = %e, "looking targets up failed, the last good ones stay");
                }
            }
        }
        self.known.iter().flatten().cloned().collect()
    }
}

/// The targets are sorted, since many servers answer in another order every time.
fn group(name: &str, port: u16, records: &[Record]) -> TargetGroup {
    let mut targets: Vec<Labels> = records.iter().map(|r| target(name, port, r)).collect();
    targets.sort();
    TargetGroup { source: name.to_owned(), labels: Labels::empty(), targets }
}

fn target(name: &str, port: u16, record: &Record) -> Labels {
    let mut b = LabelsBuilder::new();
    b.set(NAME_LABEL, name);
    let mut address = |host: &str, port: u16| {
        b.set(ADDRESS_LABEL, &join_host_port(host.trim_end_matches('.'), &port.to_string()));
    };
    match record {
        Record::Address(ip) => address(&IpAddr::to_string(ip), port),
        Record::Service { target, port } => {
            address(target, *port);
            b.set("__meta_dns_srv_record_target", target);
            b.set("__meta_dns_srv_record_port", &port.to_string());
        }
        Record::Mail(host) => {
            address(host, port);
            b.set("__meta_dns_mx_record_target", host);
        }
        Record::NameServer(host) => {
            address(host, port);
            b.set("__meta_dns_ns_record_target", host);
        }
    }
    b.build()
}
