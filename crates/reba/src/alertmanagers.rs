//! From the `alerting` section to the Alertmanagers that the notifier knows.

use std::sync::Arc;

use anyhow::{Context, Result};
use reba_http::ProxyEnv;
use reba_ingest::{
    config::{AlertingConfig, AlertmanagerConfig},
    discovery::{self, ADDRESS_LABEL, DiscoveryMetrics, DiscoveryOptions, TargetGroups},
};
use reba_model::LabelsBuilder;
use reba_notify::alertmanager::{ALERTS_PATH, AlertmanagerTarget, Alertmanagers};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

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
}

/// Makes the clients of all sections; what is wrong with one is found here, before anything changes.
pub fn prepare(config: &AlertingConfig, user_agent: &str, proxies: &ProxyEnv) -> Result<Prepared> {
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
    Ok(Prepared { sections, discovery })
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
        sender.send_replace(Arc::new(collect(&mut sections)));
        tokio::spawn(follow(sections, sender, cancel.clone()));
        Watching { cancel }
    }
}

/// Ends with `cancel`, or when nothing can change any more: a section of static targets has no sender.
async fn follow(
    mut sections: Vec<Section>,
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
        let found = Arc::new(collect(&mut sections));
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

fn collect(sections: &mut [Section]) -> Alertmanagers {
    let mut all = Alertmanagers::default();
    for section in sections {
        let groups = Arc::clone(&section.groups.borrow_and_update());
        for labels in groups.iter().flat_map(discovery::file::merged) {
            let mut builder = labels.to_builder();
            builder.set(SCHEME, &section.config.scheme);
            builder.set(PATH, &format!("{}{ALERTS_PATH}", prefix(&section.config.path_prefix)));
            let discovered = url(&builder);
            let kept = section.config.relabel_configs.iter().all(|r| r.apply(&mut builder));
            match url(&builder) {
                Some(url) if kept => all.active.push(AlertmanagerTarget {
                    url,
                    client: section.client.clone(),
                    timeout: section.config.timeout.as_std(),
                    alert_relabel: section.config.alert_relabel_configs.clone().into(),
                }),
                _ => all.dropped.extend(discovered.map(|u| u.to_string())),
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
