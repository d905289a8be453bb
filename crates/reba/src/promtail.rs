//! The role `promtail`: the shipper, and its pages.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use http::Uri;
use parking_lot::Mutex;
use reba_api::promtail::{self, PromtailApi, Target};
use reba_disk::Env;
use reba_ship::{IsOurs, ShipConfig, Shipper, Surroundings, TargetStatus, system_now_ns};

use crate::{config::Loaded, door::Door, loki, reload::Reloader, run::USER_AGENT};

/// The name of Loki's container in the owner's compose file, and thus in client URLs.
const CONTAINER: &str = "loki";

/// The role. Without a configuration file it ships nothing.
pub struct Promtail {
    around: Surroundings,
    shipper: Mutex<Option<Shipper>>,
    enable_reload: AtomicBool,
}

impl Promtail {
    /// The role beside `logs`, our own store, if that is here.
    pub fn new(logs: Option<&loki::Built>, loaded: &Loaded) -> Self {
        let store = logs.map(|logs| (logs.appender(), ours(logs.port())));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let around = Surroundings {
            env: Env::real(),
            store,
            host: host.trim().to_owned(),
            now_ns: Arc::new(system_now_ns),
            user_agent: USER_AGENT.to_owned(),
            proxies: loaded.proxies(),
        };
        Promtail { around, shipper: Mutex::new(None), enable_reload: AtomicBool::new(false) }
    }

    /// Ships as `config` says from now on. The places in files are handed over through the positions file.
    pub async fn apply(&self, config: ShipConfig) -> Result<()> {
        self.stop().await;
        self.enable_reload.store(config.server.enable_reload, Ordering::Relaxed);
        let shipper = Shipper::start(config, &self.around).context("start the shipper")?;
        *self.shipper.lock() = Some(shipper);
        Ok(())
    }

    /// Stops reading, and lets what was read arrive.
    pub async fn stop(&self) {
        let shipper = self.shipper.lock().take();
        if let Some(shipper) = shipper {
            shipper.stop().await;
        }
    }
}

impl Promtail {
    /// Opens the pages.
    pub fn open(self: &Arc<Self>, door: &Door, reloader: &Arc<Reloader>) {
        door.readiness().set_ready();
        let api = PromtailApi {
            ready: self.show(|_| true, || false),
            targets: self.show(targets, Vec::new),
            dropped: self.show(Shipper::dropped_samples, BTreeMap::new),
            config: self
                .show(|s| s.config_text().to_owned(), || "# There is no promtail-config.yml.\n".to_owned()),
            metrics: {
                let this = Arc::clone(self);
                Arc::new(move |out: &mut String| {
                    if let Some(shipper) = &*this.shipper.lock() {
                        shipper.write_metrics(out);
                    }
                })
            },
            reload: self.enable_reload.load(Ordering::Relaxed).then(|| reload(reloader)),
        };
        door.open(promtail::router(api));
    }

    /// What `look` sees of the shipper; what `none` says while there is none.
    fn show<T: 'static>(
        self: &Arc<Self>,
        look: impl Fn(&Shipper) -> T + Send + Sync + 'static,
        none: impl Fn() -> T + Send + Sync + 'static,
    ) -> Arc<dyn Fn() -> T + Send + Sync> {
        let this = Arc::clone(self);
        Arc::new(move || this.shipper.lock().as_ref().map_or_else(&none, &look))
    }
}

fn targets(shipper: &Shipper) -> Vec<Target> {
    let one = |t: TargetStatus| Target {
        job: t.job,
        kind: t.kind.to_owned(),
        discovered: t.discovered,
        labels: t.labels,
        details: t.details,
        ready: t.ready,
    };
    shipper.targets().into_iter().map(one).collect()
}

fn reload(reloader: &Arc<Reloader>) -> Arc<dyn Fn() -> promtail::Work + Send + Sync> {
    let reloader = Arc::clone(reloader);
    Arc::new(move || {
        let reloader = Arc::clone(&reloader);
        Box::pin(async move { reloader.reload().await.map_err(|e| format!("{e:#}")) })
    })
}

/// Whether a client's URL means the store in this process: this host, or Loki's container, with Loki's port or ours.
fn ours(port: u16) -> IsOurs {
    Arc::new(move |uri: &Uri| {
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
        let local = host == CONTAINER
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        local && matches!(uri.port_u16(), Some(p) if p == port || p == crate::args::Role::Loki.port())
    })
}
