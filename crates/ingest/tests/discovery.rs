//! Discovery against servers that behave and servers that do not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{sync::Arc, time::Duration};

use reba_ingest::{
    config::Config,
    discovery::{self, ADDRESS_LABEL, DiscoveryMetrics, DiscoveryOptions, TargetGroups},
};
use reba_model::Labels;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[path = "discovery/consul.rs"]
mod consul;
#[path = "discovery/dns.rs"]
mod dns;
#[path = "discovery/docker.rs"]
mod docker;
#[path = "discovery/http.rs"]
mod http;
#[path = "discovery/kubernetes.rs"]
mod kubernetes;
#[path = "discovery/peer.rs"]
mod peer;

/// The discovery of one job whose section is `yaml`.
struct Running {
    groups: watch::Receiver<TargetGroups>,
    metrics: Arc<DiscoveryMetrics>,
    cancel: CancellationToken,
}

impl Running {
    fn start(yaml: &str) -> Self {
        Self::start_with(yaml, DiscoveryOptions { user_agent: "test/1".to_owned(), ..Default::default() })
    }

    fn start_with(yaml: &str, options: DiscoveryOptions) -> Self {
        let config = load(yaml).unwrap();
        let cancel = CancellationToken::new();
        let metrics = Arc::new(DiscoveryMetrics::default());
        let section = &config.scrape_configs[0].discovery;
        let groups = discovery::start(section, &options, Arc::clone(&metrics), &cancel);
        Running { groups, metrics, cancel }
    }

    /// The targets, with the labels of their groups, as soon as `wanted` holds for them.
    async fn until(&mut self, wanted: impl Fn(&[Labels]) -> bool) -> Vec<Labels> {
        let found = self.groups.wait_for(|groups| wanted(&merged(groups)));
        let found = tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time").unwrap();
        merged(&found)
    }

    fn now(&self) -> Vec<Labels> {
        merged(&self.groups.borrow())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A configuration with one job `j` that has the lines of `yaml`.
fn load(yaml: &str) -> Result<Config, String> {
    let text = format!("scrape_configs:\n- job_name: j\n  {}\n", yaml.replace('\n', "\n  "));
    Config::parse(&text, std::path::Path::new("p.yml")).map_err(|e| e.to_string())
}

fn merged(groups: &TargetGroups) -> Vec<Labels> {
    groups.iter().flat_map(discovery::file::merged).collect()
}

fn addresses(targets: &[Labels]) -> Vec<&str> {
    targets.iter().map(|t| t.value(ADDRESS_LABEL)).collect()
}

/// Waits until `condition` holds.
async fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen in time");
}

/// Serves `router` on a free port of this host and says which.
async fn serve(router: axum::Router) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}
