//! Rules about logs: the ruler, and where its alerts go.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use reba_config::Variables;
use reba_http::{Client, HttpClientConfig, ProxyEnv};
use reba_ingest::loki::{config::LokiConfig, limits::TenantLimits};
use reba_model::{AlertBatch, Labels, Tenant};
use reba_notify::alertmanager::{
    ALERTS_PATH, AlertmanagerTarget, Alertmanagers, Notifier, NotifierOptions, NotifierSettings,
};
use reba_query::logs::LogQueryEngine;
use reba_rules::{
    ALERT_QUEUE_BATCHES, ManagerOptions,
    logs::{LogRuler, LogRulerOptions, LogRulerParts, LogRulerSettings, RulerLimits},
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alertmanagers::Home,
    prometheus,
    run::{USER_AGENT, now_ms},
};

/// The ruler and its alerts' way out.
pub struct LogRules {
    ruler: Arc<LogRuler>,
    own: Option<Own>,
}

/// Alertmanagers that only the ruler knows.
struct Own {
    notifier: Arc<Notifier>,
    targets: watch::Sender<Arc<Alertmanagers>>,
    batches: parking_lot::Mutex<Option<mpsc::Receiver<AlertBatch>>>,
    proxies: ProxyEnv,
    home: Home,
}

impl LogRules {
    /// A ruler over `engine` that writes its results into `metrics`, and its posted groups below `data`.
    pub fn new(
        config: &LokiConfig,
        engine: &Arc<LogQueryEngine>,
        limits: &Arc<TenantLimits>,
        metrics: &prometheus::Built,
        data: &Path,
    ) -> Result<Self> {
        let own = (!config.ruler.alertmanager_url.is_empty()).then(|| {
            let (sender, batches) = mpsc::channel(ALERT_QUEUE_BATCHES);
            (sender, Own::new(config, metrics.proxies(), metrics.home(), batches))
        });
        let (alerts, own) = match own {
            Some((sender, own)) => (sender, Some(own?)),
            None => (metrics.alerts(), None),
        };
        let limits = Arc::clone(limits);
        let parts = LogRulerParts {
            engine: Arc::clone(engine),
            store: metrics.store(),
            appender: metrics.appender(),
            alerts,
            clock: Arc::new(now_ms),
            limits: Arc::new(move |tenant: &Tenant| {
                let limits = limits.of(tenant);
                RulerLimits {
                    max_rules_per_group: limits.ruler_max_rules_per_rule_group,
                    max_groups: limits.ruler_max_rule_groups_per_tenant,
                    evaluation_delay_ms: limits.ruler_evaluation_delay_duration.as_ns() / 1_000_000,
                }
            }),
            env: reba_disk::Env::real(),
        };
        let ms = |span: reba_ingest::loki::config::Span| span.as_ns() / 1_000_000;
        let options = LogRulerOptions {
            manager: ManagerOptions {
                resend_delay: ms(config.ruler.resend_delay),
                outage_tolerance: ms(config.ruler.for_outage_tolerance),
                for_grace_period: ms(config.ruler.for_grace_period),
            },
            datasource_uid: config.ruler.datasource_uid.clone(),
            posted: data.join("log-rules"),
        };
        let ruler = LogRuler::open(parts, options, settings(config, &Variables::default()))
            .context("open the rules about logs")?;
        Ok(LogRules { ruler: Arc::new(ruler), own })
    }

    /// The ruler, for its API.
    pub fn ruler(&self) -> Arc<LogRuler> {
        Arc::clone(&self.ruler)
    }

    /// Whether a configuration can be put in force.
    pub fn check(&self, config: &LokiConfig) -> Result<()> {
        self.own.as_ref().map_or(Ok(()), |own| own.alertmanagers(config).map(drop))
    }

    /// Puts a configuration in force.
    pub async fn apply(&self, config: &LokiConfig, variables: &Variables) -> Result<()> {
        match &self.own {
            Some(own) => own.apply(config)?,
            None if !config.ruler.alertmanager_url.is_empty() => {
                tracing::warn!(
                    "ruler.alertmanager_url was empty when Reba started: the new one counts after a restart"
                );
            }
            None => {}
        }
        // What is wrong with rule files was told; the groups that were there go on.
        self.ruler.configure(settings(config, variables)).await;
        Ok(())
    }

    /// Evaluates, and sends alerts, until `until` is cancelled.
    pub fn start(&self, until: &CancellationToken, tasks: &TaskTracker) {
        let (ruler, stop) = (Arc::clone(&self.ruler), until.clone());
        tasks.spawn(async move { ruler.run(stop).await });
        let Some(own) = &self.own else { return };
        if let Some(batches) = own.batches.lock().take() {
            let (notifier, stop) = (Arc::clone(&own.notifier), until.clone());
            tasks.spawn(async move { notifier.run(batches, stop).await });
        }
    }
}

impl Own {
    fn new(
        config: &LokiConfig,
        proxies: ProxyEnv,
        home: Home,
        batches: mpsc::Receiver<AlertBatch>,
    ) -> Result<Self> {
        let (targets, receiver) = watch::channel(Arc::default());
        let options = NotifierOptions {
            queue_capacity: config.ruler.notification_queue_capacity,
            ..NotifierOptions::default()
        };
        let notifier = Arc::new(Notifier::new(receiver, options));
        let own = Own { notifier, targets, batches: parking_lot::Mutex::new(Some(batches)), proxies, home };
        own.apply(config)?;
        Ok(own)
    }

    fn alertmanagers(&self, config: &LokiConfig) -> Result<Vec<AlertmanagerTarget>> {
        let all = alertmanagers(config, &self.proxies).context("ruler.alertmanager_url")?;
        Ok(all.into_iter().filter_map(|target| self.home.admit(target)).collect())
    }

    fn apply(&self, config: &LokiConfig) -> Result<()> {
        let active = self.alertmanagers(config)?;
        self.targets.send_replace(Arc::new(Alertmanagers { active, dropped: Vec::new() }));
        let external_labels = Labels::from_pairs(&config.ruler.external_labels);
        self.notifier.apply(NotifierSettings { external_labels, alert_relabel: Vec::new() });
        Ok(())
    }
}

/// What `ruler.alertmanager_url` names, with commas between them.
fn alertmanagers(config: &LokiConfig, proxies: &ProxyEnv) -> Result<Vec<AlertmanagerTarget>> {
    let ruler = &config.ruler;
    let user = &ruler.alertmanager_client.basic_auth_username;
    let http = HttpClientConfig {
        basic_auth: (!user.is_empty()).then(|| reba_http::BasicAuth {
            username: Some(user.clone()),
            password: Some(reba_http::Secret::new(&ruler.alertmanager_client.basic_auth_password.0)),
            ..reba_http::BasicAuth::default()
        }),
        ..HttpClientConfig::default()
    };
    let client = Client::new(&http, USER_AGENT, proxies)?;
    let urls = ruler.alertmanager_url.split(',').map(str::trim).filter(|url| !url.is_empty());
    let target = |url: &str| {
        let url = format!("{}{ALERTS_PATH}", url.trim_end_matches('/'));
        Ok(AlertmanagerTarget {
            url: url.parse().with_context(|| url.clone())?,
            client: client.clone(),
            timeout: ruler.notification_timeout.as_std(),
            alert_relabel: Arc::new([]),
            inside: None,
        })
    };
    urls.map(target).collect()
}

/// The folder of rule files, if the configuration names one.
pub fn folder(config: &LokiConfig) -> Option<PathBuf> {
    let named = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    named(&config.ruler.storage.local.directory)
        .or_else(|| named(&config.common.storage.filesystem.rules_directory))
}

fn settings(config: &LokiConfig, variables: &Variables) -> LogRulerSettings {
    let ruler = &config.ruler;
    LogRulerSettings {
        folder: folder(config),
        poll_interval: ruler.poll_interval.as_std(),
        interval: ruler.evaluation_interval.as_ns() / 1_000_000,
        external_labels: Labels::from_pairs(&ruler.external_labels),
        external_url: ruler.external_url.trim_end_matches('/').to_owned(),
        variables: variables.clone(),
    }
}
