//! What `reba demo` changes of a configuration: the fleet's targets move by the port offset, and alerts go to the demo's inbox.

use std::net::{IpAddr, SocketAddr};

use reba_ingest::config::Config;
use reba_notify::Inbox;

use crate::args::Role;

/// What the demo changes. Nothing, for everybody else.
#[derive(Clone, Debug, Default)]
pub struct Demo {
    /// Added to the ports of the fleet's targets, and to our own.
    pub ports: u16,
    /// In the place of the environment's and of `.env`'s: no demo shall wake anybody.
    pub variables: Vec<(String, String)>,
    /// Where receivers' messages end, whatever their addresses are.
    pub inbox: Option<Inbox>,
    /// Ports of exporters that do not run, for nothing is there that they could watch: they are not scraped.
    pub absent: Vec<u16>,
    /// Data sources of the web app, by kind: where the demo's inbox and its incidents are.
    pub sources: Vec<(&'static str, String)>,
}

impl Demo {
    /// Whether anything is changed.
    pub fn is_demo(&self) -> bool {
        !self.variables.is_empty()
    }
}

/// Takes the static targets with these ports on loopback addresses out of a configuration.
pub fn leave_out(config: &mut Config, ports: &[u16]) {
    let is_absent = |target: &str| {
        let address = target.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>();
        address.is_ok_and(|address| address.ip().is_loopback() && ports.contains(&address.port()))
    };
    for group in config.scrape_configs.iter_mut().flat_map(|job| &mut job.discovery.statics) {
        group.targets.retain(|target| !is_absent(target));
    }
}

/// Adds the offset to the port of every static target of the simulated fleet (127.0.1.N), and to Reba's own ports.
pub fn loopback_ports(config: &mut Config, shift: u16) {
    if shift == 0 {
        return;
    }
    let jobs = config.scrape_configs.iter_mut().chain(&mut config.included);
    let scraped = jobs.map(|j| &mut j.discovery);
    let told = config.alerting.alertmanagers.iter_mut().map(|a| &mut a.discovery);
    for target in scraped.chain(told).flat_map(|d| &mut d.statics).flat_map(|g| &mut g.targets) {
        if let Some(moved) = moved(target, shift) {
            *target = moved;
        }
    }
}

fn moved(target: &str, shift: u16) -> Option<String> {
    let local = target.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr = local.parse().ok()?;
    let IpAddr::V4(ip) = address.ip() else { return None };
    let fleet = matches!(ip.octets(), [127, 0, 1, _]);
    let own = ip.is_loopback() && Role::ALL.iter().any(|role| role.port() == address.port());
    (fleet || own).then_some(())?;
    Some(SocketAddr::new(address.ip(), address.port().checked_add(shift)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fleet_and_reba_itself_move() {
        assert_eq!(moved("127.0.1.3:3002", 100).as_deref(), Some("127.0.1.3:3102"));
        assert_eq!(moved("localhost:9090", 100).as_deref(), Some("127.0.0.1:9190"));
        assert_eq!(moved("127.0.0.1:9093", 100).as_deref(), Some("127.0.0.1:9193"));
        for other in ["127.0.0.1:9094", "10.0.0.1:9090", "wallet-service:3002", "127.0.1.3:65535"] {
            assert_eq!(moved(other, 100), None, "{other}");
        }
    }
}
