//! From the `alerting` section to the Alertmanagers that the notifier knows.

use std::{net::IpAddr, sync::Arc};

use anyhow::{Context, Result};
use http::Uri;
use reba_api::grafana::OwnRole;
use reba_http::ProxyEnv;
use reba_ingest::{
    config::{AlertingConfig, AlertmanagerConfig},
    discovery::{self, ADDRESS_LABEL, DiscoveryMetrics, DiscoveryOptions, TargetGroups},
};
use reba_model::LabelsBuilder;
use reba_notify::alertmanager::{ALERTS_PATH, AlertmanagerTarget, Alertmanagers, Inside};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

/// Where alerts are at home.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// The role `alertmanager` of this process, if it runs.
    pub own: Option<OwnRole>,
    /// Whether alerts must not leave this host: those of a demo wake nobody.
    pub stays: bool,
}

impl Home {
    /// The target as alerts reach it: without a detour through the network if it is our own role, whose port a configuration may
    /// name as it is before `--port-offset`. None if they may not go there.
    pub fn admit(&self, target: AlertmanagerTarget) -> Option<AlertmanagerTarget> {
        if let Some(own) = self.own.as_ref().filter(|own| own.is_meant(&target.url)) {
            let url: Uri = format!("http://127.0.0.1:{}{}", own.port, target.url.path()).parse().ok()?;
            return Some(AlertmanagerTarget { inside: Some(inside(own, &url)), url, ..target });
        }
        if self.stays && !is_here(&target.url) {
            tracing::warn!(alertmanager = %target.url, "a demo sends no alerts to other hosts: left out");
            return None;
        }
        Some(target)
    }
}

fn is_here(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Our own role behind its socket.
fn inside(own: &OwnRole, url: &Uri) -> Inside {
    let (own, url) = (own.clone(), url.clone());
    Inside::new(move |body| {
        let (own, url) = (own.clone(), url.clone());
        Box::pin(async move { own.post(&url, body).await })
    })
}

/// One section with its client and what discovery finds for it.
struct Section {
    config: AlertmanagerConfig,
    client: reba_http::Client,
    groups: watch::Receiver<TargetGroups>,
}

/// The Alertmanagers of one configuration; watches discovery until it is dropped.
pub struct Watching {
    cancel: CancellationToken,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The sections of a configuration, valid but not yet in use.
pub struct Prepared {
    sections: Vec<(AlertmanagerConfig, reba_http::Client)>,
    discovery: DiscoveryOptions,
    home: Home,
}

/// Makes the clients of all sections; what is wrong with one is found here, before anything changes.
pub fn prepare(
    config: &AlertingConfig,
    user_agent: &str,
    proxies: &ProxyEnv,
    home: &Home,
) -> Result<Prepared> {
    let client = |(i, section): (usize, &AlertmanagerConfig)| {
        let client = reba_http::Client::new(&section.http, user_agent, proxies)
            .with_context(|| format!("alerting.alertmanagers[{i}]"))?;
        Ok((section.clone(), client))
    };
    let sections = config.alertmanagers.iter().enumerate().map(client).collect::<Result<_>>()?;
    let discovery = DiscoveryOptions {
        user_agent: user_agent.to_owned(),
        proxies: proxies.clone(),
        ..DiscoveryOptions::default()
    };
    Ok(Prepared { sections, discovery, home: home.clone() })
}

impl Prepared {
    /// Starts to tell `sender` which Alertmanagers there are.
    pub fn watch(self, sender: Arc<watch::Sender<Arc<Alertmanagers>>>) -> Watching {
        let cancel = CancellationToken::new();
        let metrics = Arc::new(DiscoveryMetrics::default());
        let start = |(config, client): (AlertmanagerConfig, reba_http::Client)| {
            let metrics = Arc::clone(&metrics);
            let groups = discovery::start(&config.discovery, &self.discovery, metrics, &cancel);
            Section { config, client, groups }
        };
        let mut sections: Vec<Section> = self.sections.into_iter().map(start).collect();
        sender.send_replace(Arc::new(collect(&mut sections, &self.home)));
        tokio::spawn(follow(sections, self.home, sender, cancel.clone()));
        Watching { cancel }
    }
}

/// Ends with `cancel`, or when nothing can change any more: a section of static targets has no sender.
async fn follow(
    mut sections: Vec<Section>,
    home: Home,
    sender: Arc<watch::Sender<Arc<Alertmanagers>>>,
    cancel: CancellationToken,
) {
    loop {
        let open = sections.iter_mut().filter(|s| s.groups.has_changed().is_ok());
        let changes: Vec<_> = open.map(|s| Box::pin(s.groups.changed())).collect();
        if changes.is_empty() {
            return;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = futures::future::select_all(changes) => {}
        }
        let found = Arc::new(collect(&mut sections, &home));
        sender.send_if_modified(|current| {
            // Asked under the sender's lock: what a successor has said since is not overwritten.
            let ours = !cancel.is_cancelled();
            if ours {
                *current = found;
            }
            ours
        });
    }
}

fn collect(sections: &mut [Section], home: &Home) -> Alertmanagers {
    let mut all = Alertmanagers::default();
    for section in sections {
        let groups = Arc::clone(&section.groups.borrow_and_update());
        for labels in groups.iter().flat_map(discovery::file::merged) {
            let mut builder = labels.to_builder();
            builder.set(SCHEME, &section.config.scheme);
            builder.set(PATH, &format!("{}{ALERTS_PATH}", prefix(&section.config.path_prefix)));
            let discovered = url(&builder);
            let kept = section.config.relabel_configs.iter().all(|r| r.apply(&mut builder));
            let target = url(&builder).filter(|_| kept).and_then(|url| {
                home.admit(AlertmanagerTarget {
                    url,
                    client: section.client.clone(),
                    timeout: section.config.timeout.as_std(),
                    alert_relabel: section.config.alert_relabel_configs.clone().into(),
                    inside: None,
                })
            });
            match target {
                Some(target) => all.active.push(target),
                None => all.dropped.extend(discovered.map(|u| u.to_string())),
            }
        }
    }
    all
}

/// `/x` for `x`, `/x` and `/x/`; nothing for `/`.
fn prefix(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

fn url(labels: &LabelsBuilder) -> Option<http::Uri> {
    let (scheme, address, path) = (labels.value(SCHEME), labels.value(ADDRESS_LABEL), labels.value(PATH));
    if address.is_empty() || address.contains('/') {
        return None;
    }
    // As for scrape targets: an address without a port has that of its scheme.
    let has_port = address.rsplit(']').next().is_some_and(|a| a.contains(':'));
    let port = match (has_port, scheme) {
        (true, _) => "",
        (false, "https") => ":443",
        (false, _) => ":80",
    };
    format!("{scheme}://{address}{port}{path}").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reba_api::server::Router;
    use reba_http::{Client, HttpClientConfig};

    use super::*;

    fn target(url: &str) -> AlertmanagerTarget {
        AlertmanagerTarget {
            url: url.parse().unwrap(),
            client: Client::new(&HttpClientConfig::default(), "test", &ProxyEnv::default()).unwrap(),
            timeout: Duration::from_secs(1),
            alert_relabel: Arc::new([]),
            inside: None,
        }
    }

    fn own() -> OwnRole {
        let (name, prefix) = ("alertmanager", "/am".to_owned());
        OwnRole { name, port: 9193, port_offset: 100, prefix, router: Router::new() }
    }

    #[test]
    fn our_own_role_is_reached_inside_wherever_the_offset_put_it() {
        let home = Home { own: Some(own()), stays: false };
        for url in ["http://127.0.0.1:9093/am/api/v2/alerts", "http://localhost:9193/am/api/v2/alerts"] {
            let found = home.admit(target(url)).unwrap();
            assert!(found.inside.is_some(), "{url}");
            assert_eq!(found.url.port_u16(), Some(9193), "{url}");
        }
        // Another one on this host, and one on another, stay what they are.
        for url in ["http://127.0.0.1:9094/api/v2/alerts", "http://10.0.0.1:9093/api/v2/alerts"] {
            let found = home.admit(target(url)).unwrap();
            assert!(found.inside.is_none() && found.url == url, "{url}");
        }
        let without = Home::default().admit(target("http://127.0.0.1:9093/api/v2/alerts")).unwrap();
        assert!(without.inside.is_none());
    }

    #[test]
    fn a_demo_sends_alerts_to_no_other_host() {
        let home = Home { own: None, stays: true };
        assert!(home.admit(target("http://127.0.0.1:9093/api/v2/alerts")).is_some());
        for url in ["http://alertmanager.example:9093/api/v2/alerts", "https://10.0.0.1/api/v2/alerts"] {
            assert!(home.admit(target(url)).is_none(), "{url}");
        }
    }
}
