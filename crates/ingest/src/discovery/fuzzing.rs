//! What the fuzz target of discovery calls: answers of others as bytes.

use std::path::Path;

use super::{consul, dns::message, docker, file, kubernetes};
use crate::config::{Config, DiscoveryConfig, DnsRecordKind};

/// A section of every kind, as far as it says how answers are read.
const SECTIONS: &str = "
scrape_configs:
- job_name: all
  docker_sd_configs: [{host: 'unix:///docker.sock'}]
  consul_sd_configs: [{server: 'h:1'}]
  kubernetes_sd_configs:
  - {api_server: 'http://h', role: node}
  - {api_server: 'http://h', role: pod, attach_metadata: {node: true, namespace: true}}
  - {api_server: 'http://h', role: service}
  - {api_server: 'http://h', role: endpoints, attach_metadata: {node: true}}
  - {api_server: 'http://h', role: endpointslice}
  - {api_server: 'http://h', role: ingress}
";

/// Answers of all kinds.
#[derive(Debug)]
pub struct Answers(DiscoveryConfig);

impl Answers {
    /// With sections of its own.
    pub fn new() -> Option<Self> {
        let config = Config::parse(SECTIONS, Path::new("prometheus.yml")).ok()?;
        config.scrape_configs.into_iter().next().map(|c| Answers(c.discovery))
    }

    /// Reads an answer; `kind` chooses from whom. The number of targets or records in it, or none if it is refused.
    pub fn read(&self, kind: u8, data: &[u8]) -> Option<usize> {
        match kind {
            0..5 => {
                use DnsRecordKind::{A, Aaaa, Mx, Ns, Srv};
                let kind = [A, Aaaa, Mx, Ns, Srv][usize::from(kind)];
                let query = message::query(7, "h.", kind, false)?;
                message::parse(data, &query, kind).map(|a| a.records.len())
            }
            5 => docker::read(self.0.docker.first()?, data).map(|t| t.len()),
            6 => consul::read(self.0.consul.first()?, data).map(|g| g.targets.len()),
            7 | 8 => {
                let text = std::str::from_utf8(data).ok()?;
                let name = if kind == 7 { "targets.json" } else { "targets.yml" };
                file::parse(text, Path::new(name)).ok().map(|g| g.iter().map(|g| g.targets.len()).sum())
            }
            _ => {
                let section = self.0.kubernetes.get(usize::from(kind) - 9)?;
                kubernetes::read(section, data).map(|g| g.iter().map(|g| g.targets.len()).sum())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_every_kind_is_read() {
        let answers = Answers::new().unwrap();
        let a = b"\x00\x07\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01h\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04abcd";
        assert_eq!(answers.read(0, a), Some(1));
        let docker = br#"[[{"Id":"c","Names":["/c"],"NetworkSettings":{"Networks":{"n":{"NetworkID":"n"}}}}],[{"Id":"n"}]]"#;
        assert_eq!(answers.read(5, docker), Some(1));
        assert_eq!(answers.read(6, br#"[{"Node":{"Address":"a"},"Service":{"Port":1}}]"#), Some(1));
        assert_eq!(answers.read(7, br#"[{"targets":["a:1","b:1"]}]"#), Some(2));
        assert_eq!(answers.read(8, b"- targets: ['a:1']"), Some(1));
        let node = br#"[{"items":[{"metadata":{"name":"n"},"status":{"addresses":[{"type":"InternalIP","address":"1.2.3.4"}]}}]}]"#;
        assert_eq!(answers.read(9, node), Some(1));
        assert_eq!(answers.read(14, b"[{\"items\":[{}]}]"), Some(0));
        assert_eq!(answers.read(10, b"{"), None);
    }
}
