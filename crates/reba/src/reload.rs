//! Reading the configuration again while everything runs.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use futures::FutureExt as _;
use parking_lot::Mutex as SyncMutex;
use reba_api::{
    grafana::GrafanaApi,
    prometheus::{Reload, Runtime},
};
use reba_http::ProxyEnv;
use reba_ingest::{config::Config, otlp::metrics::OtlpReceiver, scrape::ScrapeManager};
use reba_model::Labels;
use reba_notify::alertmanager::{Alertmanagers, Notifier, NotifierSettings};
use reba_query::QueryEngine;
use reba_remote::{RemoteWrite, read::JoinedStore};
use reba_rules::{RuleFile, RuleManager, RuleSettings};
use reba_tsdb::Tsdb;
use tokio::sync::{Mutex, watch};

use crate::{
    alertmanager::AlertHandles,
    alertmanagers::{self, Home, Watching},
    args::Role,
    config::{Loaded, load},
    folder::Folder,
    loki::LogHandles,
    promtail::Promtail,
    run::{USER_AGENT, now_ms},
    shift::Demo,
    tempo::TraceHandles,
};

/// What a reload changes, role by role; absent are the roles that do not run.
pub struct Handles {
    /// `prometheus`.
    pub metrics: Option<MetricHandles>,
    /// `loki`.
    pub logs: Option<LogHandles>,
    /// `alertmanager`.
    pub alerts: Option<AlertHandles>,
    /// `grafana`.
    pub grafana: Option<Arc<GrafanaApi>>,
    /// `tempo`.
    pub traces: Option<TraceHandles>,
    /// `promtail`.
    pub promtail: Option<Arc<Promtail>>,
    /// Where data is kept.
    pub data: PathBuf,
    /// What the demo changes.
    pub demo: Demo,
}

impl Handles {
    fn roles(&self) -> Vec<Role> {
        let all = [
            (Role::Prometheus, self.metrics.is_some()),
            (Role::Loki, self.logs.is_some()),
            (Role::Tempo, self.traces.is_some()),
            (Role::Promtail, self.promtail.is_some()),
            (Role::Grafana, self.grafana.is_some()),
            (Role::Alertmanager, self.alerts.is_some()),
        ];
        all.into_iter().filter_map(|(role, runs)| runs.then_some(role)).collect()
    }
}

/// The parts that prometheus.yml concerns.
pub struct MetricHandles {
    /// Targets.
    pub scrape: ScrapeManager,
    /// Rules.
    pub rules: Arc<RuleManager>,
    /// External labels and relabelling of alerts.
    pub notifier: Arc<Notifier>,
    /// Where alerts are at home.
    pub home: Home,
    /// Alertmanagers.
    pub alertmanagers: Arc<watch::Sender<Arc<Alertmanagers>>>,
    /// The step of subqueries.
    pub engines: [Arc<QueryEngine>; 2],
    /// Receivers of what is stored.
    pub remote: Arc<RemoteWrite>,
    /// How OTLP metrics become series.
    pub otlp: Arc<OtlpReceiver>,
    /// Stores that queries ask besides ours.
    pub joined: Arc<JoinedStore>,
    /// The out-of-order window.
    pub store: Arc<Tsdb>,
    /// What the API shows.
    pub runtime: Arc<Runtime>,
    /// For federation.
    pub external_labels: Arc<ArcSwap<Labels>>,
    /// For links in alerts.
    pub external_url: String,
    /// For clients.
    pub proxies: ProxyEnv,
}

/// Applies configurations, one at a time.
pub struct Reloader {
    folder: Folder,
    handles: Handles,
    one_at_a_time: Mutex<()>,
    watching: SyncMutex<Option<Watching>>,
}

impl Reloader {
    /// A reloader of `folder`.
    pub fn new(folder: Folder, handles: Handles) -> Self {
        Reloader { folder, handles, one_at_a_time: Mutex::new(()), watching: SyncMutex::new(None) }
    }

    /// Reads the folder and applies it. What is wrong in it leaves everything as it was.
    pub async fn reload(&self) -> Result<()> {
        // Held while the files are read, too: of two reloads at once, the one that read last must be applied last.
        let _one = self.one_at_a_time.lock().await;
        let result = self.read_and_apply().await;
        if let Some(metrics) = &self.handles.metrics {
            metrics.runtime.reload_ok.store(result.is_ok(), Ordering::Relaxed);
            metrics.runtime.notifications.reloaded(result.is_ok(), now_ms());
        }
        if let (Some(alerts), Err(_)) = (&self.handles.alerts, &result) {
            alerts.reload_failed();
        }
        match &result {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "configuration not reloaded, the old one stays"
                );
            }
        }
        result
    }

    async fn read_and_apply(&self) -> Result<()> {
        let (folder, roles) = (self.folder.clone(), self.handles.roles());
        let (data, demo) = (self.handles.data.clone(), self.handles.demo.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&folder, &roles, &data, &demo)).await??;
        Box::pin(self.apply(loaded)).await
    }

    /// Applies the configuration with which Reba starts.
    pub async fn start(&self, loaded: Loaded) -> Result<()> {
        let _one = self.one_at_a_time.lock().await;
        Box::pin(self.apply(loaded)).await
    }

    async fn apply(&self, loaded: Loaded) -> Result<()> {
        let Loaded { prometheus, rules, loki, tempo, promtail, alertmanager, variables, .. } = loaded;
        // What is wrong with one role's file must not leave another's half in force.
        if let Some(logs) = &self.handles.logs {
            logs.check(&loki).context("loki")?;
        }
        if let Some(metrics) = &self.handles.metrics {
            self.apply_metrics(metrics, prometheus, rules).await?;
        }
        if let Some(logs) = &self.handles.logs {
            logs.apply(loki, &variables).await.context("loki")?;
        }
        if let Some(traces) = &self.handles.traces {
            traces.apply(tempo, &variables);
        }
        if let (Some(shipper), Some(config)) = (&self.handles.promtail, promtail) {
            shipper.apply(config).await.context("promtail")?;
        }
        if let (Some(alerts), Some(file)) = (&self.handles.alerts, alertmanager) {
            alerts.apply(file);
        }
        if let Some(grafana) = self.handles.grafana.clone() {
            tokio::task::spawn_blocking(move || grafana.reload(&variables)).await?;
        }
        Ok(())
    }

    async fn apply_metrics(&self, h: &MetricHandles, config: Config, rules: Vec<RuleFile>) -> Result<()> {
        // What can still fail comes first, and changes nothing that runs.
        let alertmanagers =
            alertmanagers::prepare(&config.alerting, USER_AGENT, &h.proxies, &h.home).context("alerting")?;
        let external = Labels::from_pairs(&config.global.external_labels);
        let log = config.global.query_log_file.as_deref();
        h.runtime.query_log.reopen(log).with_context(|| format!("query_log_file: {log:?}"))?;
        let readers = h.joined.prepare(&config.remote_read, &external).context("remote_read")?;
        h.remote.prepare(&config.remote_write).context("remote_write")?;
        h.scrape.apply_config(&config).inspect_err(|_| h.remote.abandon())?;
        h.remote.apply(&config.remote_write, &external).await.context("remote_write")?;
        // The old watch ends before the new one speaks: it must not have the last word.
        drop(self.watching.lock().take());
        *self.watching.lock() = Some(alertmanagers.watch(Arc::clone(&h.alertmanagers)));
        h.notifier.apply(NotifierSettings {
            external_labels: external.clone(),
            alert_relabel: config.alerting.alert_relabel_configs.clone(),
        });
        let settings = RuleSettings {
            interval: config.global.evaluation_interval.0,
            query_offset: config.global.rule_query_offset.0,
            external_labels: external.clone(),
            external_url: h.external_url.clone(),
        };
        h.rules.apply(&rules, &settings).await;
        h.engines.iter().for_each(|e| e.set_subquery_step(config.global.evaluation_interval.0));
        h.store.set_out_of_order_window(config.storage.tsdb.out_of_order_time_window.0);
        h.otlp.apply(&config.otlp);
        h.joined.apply(readers);
        h.external_labels.store(Arc::new(external));
        h.runtime.config.store(Some(Arc::new(config)));
        h.runtime.reloaded_ms.store(now_ms().unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }

    /// The reload as the API calls it.
    pub fn as_callback(self: &Arc<Self>) -> Reload {
        let this = Arc::clone(self);
        Box::new(move || {
            let this = Arc::clone(&this);
            async move { this.reload().await.map_err(|e| format!("{e:#}")) }.boxed()
        })
    }
}
