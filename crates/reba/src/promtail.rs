//! The role `promtail`: the shipper, and its pages.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use http::Uri;
use parking_lot::Mutex;
use reba_api::{
    promtail::{self, PromtailApi, PushApi, Target},
    server::Listener,
};
use reba_disk::Env;
use reba_ingest::loki::{LokiReceiver, PushHead, config::LokiConfig, limits::TenantLimits};
use reba_model::{GoRegex, Tenant};
use reba_ship::{IsOurs, PushReceiver, ShipConfig, Shipper, Surroundings, TargetStatus, system_now_ns};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Loaded,
    door::Door,
    loki,
    reload::Reloader,
    run::{USER_AGENT, now_ns, random},
};

/// The name of Loki's container in the owner's compose file, and thus in client URLs.
const CONTAINER: &str = "loki";

/// The role. Without a configuration file it ships nothing.
pub struct Promtail {
    around: Surroundings,
    shipper: Mutex<Option<Shipper>>,
    /// Ends the receivers of pushed entries that are open.
    receiving: Mutex<CancellationToken>,
    enable_reload: AtomicBool,
    port_offset: u16,
    /// Origins whose pages may push entries, or have the configuration read again.
    trusted: GoRegex,
}

impl Promtail {
    /// The role beside `logs`, our own store, if that is here.
    pub fn new(logs: Option<&loki::Built>, loaded: &Loaded, port_offset: u16, trusted: GoRegex) -> Self {
        let store = logs.map(|logs| (logs.appender(), ours(logs.port(), port_offset)));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let around = Surroundings {
            env: Env::real(),
            store,
            host: host.trim().to_owned(),
            now_ns: Arc::new(system_now_ns),
            user_agent: USER_AGENT.to_owned(),
            proxies: loaded.proxies(),
        };
        Promtail {
            around,
            shipper: Mutex::new(None),
            receiving: Mutex::default(),
            enable_reload: AtomicBool::new(false),
            port_offset,
            trusted,
        }
    }

    /// Ships as `config` says from now on. The places in files are handed over through the positions file.
    pub async fn apply(&self, config: ShipConfig) -> Result<()> {
        self.stop().await;
        self.enable_reload.store(config.server.enable_reload, Ordering::Relaxed);
        let shipper = Shipper::start(config, &self.around).context("start the shipper")?;
        let receivers = shipper.push_receivers().to_vec();
        *self.shipper.lock() = Some(shipper);
        for receiver in receivers {
            self.receive(receiver)?;
        }
        Ok(())
    }

    /// Opens the listener of a `loki_push_api`: on this host, unless its configuration names an address.
    fn receive(&self, receiver: PushReceiver) -> Result<()> {
        let ip = receiver.config.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = receiver.config.port.checked_add(self.port_offset);
        let port = port.context("loki_push_api: --port-offset leads beyond port 65535")?;
        let listener = Listener::bind("loki_push_api", SocketAddr::new(ip, port))?;
        let lines = receiver.clone();
        // The pipeline behind it decides what is taken; only what cannot be read is refused here.
        let decoder =
            LokiReceiver::new(Arc::new(receiver), Arc::new(unlimited()), Arc::new(now_ns), random());
        let api = PushApi {
            push: Arc::new(move |content_type, content_encoding, body| {
                let head = PushHead { content_type, content_encoding };
                decoder.push(&Tenant::single(), head, body).map_err(|e| (e.status, e.message))
            }),
            lines: Arc::new(move |text| lines.push_lines(text)),
        };
        let stop = self.receiving.lock().clone();
        tokio::spawn(listener.serve(promtail::push_router(api, self.trusted.clone()), stop));
        Ok(())
    }

    /// Stops reading, and lets what was read arrive.
    pub async fn stop(&self) {
        std::mem::take(&mut *self.receiving.lock()).cancel();
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
            cors_origin: self.trusted.clone(),
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

/// Limits of a receiver whose entries go through pipelines first.
fn unlimited() -> TenantLimits {
    let mut config = LokiConfig::default();
    let limits = &mut config.limits;
    (limits.ingestion_rate_mb, limits.ingestion_burst_size_mb) = (f64::from(u32::MAX), f64::from(u32::MAX));
    (limits.per_stream_rate_limit.0, limits.per_stream_rate_limit_burst.0) = (u64::MAX >> 1, u64::MAX >> 1);
    (limits.max_streams_per_user, limits.max_global_streams_per_user) = (0, 0);
    (limits.reject_old_samples, limits.discover_log_levels) = (false, false);
    limits.high_cardinality_labels.clear();
    limits.high_cardinality_values_per_hour = 0;
    TenantLimits::new(&config)
}

/// Whether a client's URL means the store in this process: on this host, or Loki's container, and our port, as it is or before
/// `--port-offset` moved it. Any other port is somebody else's Loki.
fn ours(port: u16, offset: u16) -> IsOurs {
    Arc::new(move |uri: &Uri| {
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
        let local = host == CONTAINER
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        local && uri.port_u16().is_some_and(|p| p == port || p.checked_add(offset) == Some(port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_our_own_store_are_written_without_http() {
        let is = |url: &str, port, offset| ours(port, offset)(&url.parse().unwrap());
        for url in [
            "http://127.0.0.1:3100/loki/api/v1/push",
            "http://localhost:3100/",
            "http://loki:3100",
            "http://[::1]:3100/",
        ] {
            assert!(is(url, 3100, 0), "{url}");
            assert!(is(url, 13_100, 10_000), "{url}");
            // Ours is elsewhere: that is another Loki on this host.
            assert!(!is(url, 4100, 0), "{url}");
        }
        assert!(is("http://127.0.0.1:13100/", 13_100, 10_000));
        for url in
            ["http://10.0.0.7:3100/", "http://loki.example:3100/", "http://loki/", "http://127.0.0.1:3101/"]
        {
            assert!(!is(url, 3100, 0), "{url}");
        }
    }
}
