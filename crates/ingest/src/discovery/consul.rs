//! Targets that are services in Consul.
//!
//! The list of services and the instances of each are watched with blocking queries: Consul answers once something has
//! changed, or after two minutes.

mod api;
mod labels;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::MissedTickBehavior,
};

use self::api::Consul;
use super::{
    DiscoveryOptions, TargetGroup,
    board::Slot,
    refresh::{MAX_TARGETS, PUBLISH_INTERVAL},
    restart::restarting,
};
use crate::config::{ConsulSd, Millis};

/// How long a failed request is waited after.
const RETRY: Duration = Duration::from_secs(15);

/// More services of one section are an accident: each is watched by a request of its own.
const MAX_SERVICES: usize = 10_000;

/// Changes that wait to be told; who has more waits.
const QUEUE: usize = 64;

/// The instances of a service as they are now, or that it is gone.
type Change = (String, Option<TargetGroup>);

/// Watches without end.
pub(crate) async fn run(config: ConsulSd, options: DiscoveryOptions, slot: Arc<Slot>) {
    let (sender, changes) = mpsc::channel(QUEUE);
    let section = Section {
        consul: Arc::new(Consul::new(config, options, slot.metrics_handle())),
        sender,
        tasks: JoinSet::new(),
        watched: BTreeMap::new(),
    };
    tokio::select! {
        () = section.run() => {}
        () = tell(changes, &slot) => {}
    }
}

/// Publishes what changes, not too often.
async fn tell(mut changes: mpsc::Receiver<Change>, slot: &Slot) {
    let mut known: BTreeMap<String, TargetGroup> = BTreeMap::new();
    let mut count = 0;
    while let Some(first) = changes.recv().await {
        let mut next = Some(first);
        while let Some((service, group)) = next {
            let before = known.get(&service).map_or(0, |g| g.targets.len());
            let after = group.as_ref().map_or(0, |g| g.targets.len());
            if count - before + after > MAX_TARGETS {
                tracing::warn!(service, "more than {MAX_TARGETS} targets in Consul, the last good ones stay");
            } else {
                count = count - before + after;
                match group {
                    Some(group) => known.insert(service, group),
                    None => known.remove(&service),
                };
            }
            next = changes.try_recv().ok();
        }
        slot.publish(known.values().cloned().collect());
        tokio::time::sleep(PUBLISH_INTERVAL).await;
    }
}

/// The watches of one section; they end with it.
struct Section {
    consul: Arc<Consul>,
    sender: mpsc::Sender<Change>,
    tasks: JoinSet<()>,
    watched: BTreeMap<String, AbortHandle>,
}

impl Section {
    async fn run(mut self) {
        let datacenter: Arc<str> = loop {
            match self.consul.datacenter().await {
                Ok(name) => break name.into(),
                Err(e) => tracing::error!(error = %e, "retrieving the datacenter of Consul failed"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let config = &self.consul.config;
        if config.services.is_empty() || !config.tags.is_empty() || !config.filter.is_empty() {
            return self.watch_catalog(&datacenter).await;
        }
        for service in config.services.clone() {
            self.watch(service, &datacenter);
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Follows the list of services.
    async fn watch_catalog(&mut self, datacenter: &Arc<str>) {
        let mut ticks = ticks(self.consul.config.refresh_interval);
        let mut index = 0;
        loop {
            ticks.tick().await;
            match self.consul.services(index).await {
                Ok((next, _)) if next == index => {}
                Ok((next, services)) => {
                    index = next;
                    self.sync(&services, datacenter).await;
                }
                Err(e) => {
                    tracing::warn!(error = %e, "listing the services of Consul failed, the last good ones stay");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Starts and ends watches so that they are those of `services`, whose values are tags.
    async fn sync(&mut self, services: &BTreeMap<String, Option<Vec<String>>>, datacenter: &Arc<str>) {
        for (name, tags) in services {
            if !self.consul.wants(name, tags.as_deref().unwrap_or_default())
                || self.watched.contains_key(name)
            {
                continue;
            }
            if self.watched.len() == MAX_SERVICES {
                tracing::warn!("more than {MAX_SERVICES} services in Consul, the others are left out");
                break;
            }
            self.watch(name.clone(), datacenter);
        }
        let gone: Vec<String> = self.watched.keys().filter(|n| !services.contains_key(*n)).cloned().collect();
        for name in gone {
            if let Some(task) = self.watched.remove(&name) {
                task.abort();
            }
            // The task that reads goes only with this one.
            let _ = self.sender.send((name, None)).await;
        }
        if self.watched.is_empty() {
            let _ = self.sender.send((String::new(), None)).await;
        }
        // Those that were aborted.
        while self.tasks.try_join_next().is_some() {}
    }

    fn watch(&mut self, service: String, datacenter: &Arc<str>) {
        let (consul, sender) = (Arc::clone(&self.consul), self.sender.clone());
        let (name, datacenter) = (service.clone(), Arc::clone(datacenter));
        let watch = async move {
            let watch = || watch_service(&consul, &name, &datacenter, &sender);
            restarting("consul", &consul.metrics, watch).await;
        };
        let task = self.tasks.spawn(watch);
        if let Some(before) = self.watched.insert(service, task) {
            before.abort();
        }
    }
}

/// Follows the instances of one service.
async fn watch_service(consul: &Consul, service: &str, datacenter: &str, sender: &mpsc::Sender<Change>) {
    let mut ticks = ticks(consul.config.refresh_interval);
    let mut index = 0;
    loop {
        ticks.tick().await;
        match consul.instances(service, index).await {
            Ok((next, _)) if next == index => {}
            Ok((next, instances)) => {
                index = next;
                let group = labels::group(&consul.config, service, datacenter, &instances);
                if sender.send((service.to_owned(), Some(group))).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                tracing::warn!(service, error = %e, "asking Consul for a service failed, its last good targets stay");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn ticks(every: Millis) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every.as_std().max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What the instances of a service are made of.
#[cfg(any(test, fuzzing))]
pub(super) fn read(config: &ConsulSd, json: &[u8]) -> Option<TargetGroup> {
    let instances: Vec<api::Instance> = serde_json::from_slice(json).ok()?;
    Some(labels::group(config, "service", "dc", &instances))
}
