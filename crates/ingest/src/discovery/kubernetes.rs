//! Targets that are objects of a Kubernetes cluster.
//!
//! Every kind of object that a role needs is listed and watched by a task of its own; what they tell comes together in
//! one [`World`], from which the groups are made anew, not too often.

mod access;
mod endpoints;
mod labels;
mod object;
mod targets;
mod watch;
mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};

use self::{
    access::Access,
    object::Kind,
    watch::{Subject, Watch},
    world::World,
};
use super::{
    DiscoveryOptions,
    board::Slot,
    refresh::{MAX_TARGETS, PUBLISH_INTERVAL},
    restart::{blocking, restarting},
};
use crate::config::{KubernetesRole, KubernetesSd};

/// How long it is waited for files that say how the cluster is reached.
const RETRY: Duration = Duration::from_secs(15);

/// Changes that wait to be told; who has more waits.
const QUEUE: usize = 256;

/// Making the groups may take this part of the time.
const EFFORT: u32 = 20;

/// Watches without end.
pub(crate) async fn run(config: KubernetesSd, options: DiscoveryOptions, slot: Arc<Slot>) {
    let metrics = slot.metrics_handle();
    let access = loop {
        match Access::open(&config, &options).await {
            Ok(access) => break Arc::new(access),
            Err(e) => {
                metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(error = %e, "no way to the Kubernetes cluster");
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    let subjects = subjects(&config, access.own_namespace.as_deref());
    let (sender, mut changes) = mpsc::channel(QUEUE);
    // The watches end with this task.
    let mut watches = JoinSet::new();
    for (number, subject) in subjects.iter().cloned().enumerate() {
        let (access, sender, metrics) = (Arc::clone(&access), sender.clone(), Arc::clone(&metrics));
        let watch = Watch { access, subject, number, sender, metrics };
        watches.spawn(async move { restarting("kubernetes", &watch.metrics, || watch.run()).await });
    }
    drop(sender);
    let config = Arc::new(config);
    let mut world = World::new(subjects);
    while let Some(first) = changes.recv().await {
        world.apply(first, &metrics);
        while let Ok(next) = changes.try_recv() {
            world.apply(next, &metrics);
        }
        if !world.is_complete() {
            continue;
        }
        let began = Instant::now();
        let config = Arc::clone(&config);
        let work = blocking(move || {
            let groups = targets::groups(&config, &world);
            (world, groups)
        });
        let Some((back, groups)) = work.await else { return };
        world = back;
        if groups.iter().map(|g| g.targets.len()).sum::<usize>() > MAX_TARGETS {
            metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("more than {MAX_TARGETS} targets in Kubernetes, the last good ones stay");
        } else {
            slot.publish(groups);
        }
        tokio::time::sleep(PUBLISH_INTERVAL.max(began.elapsed() * EFFORT)).await;
    }
}

/// What must be watched for a section.
fn subjects(config: &KubernetesSd, own_namespace: Option<&str>) -> Vec<Subject> {
    let mut namespaces = config.namespaces.names.clone();
    namespaces.extend(own_namespace.map(str::to_owned));
    namespaces.sort();
    namespaces.dedup();
    if namespaces.is_empty() {
        namespaces.push(String::new());
    }
    let selector = |role: KubernetesRole| config.selectors.iter().find(|s| s.role == role);
    let mut out = Vec::new();
    let mut add = |kind: Kind, role: Option<KubernetesRole>, namespaces: &[String]| {
        let selector = role.and_then(selector);
        out.extend(namespaces.iter().map(|namespace| Subject {
            kind,
            namespace: namespace.clone(),
            label_selector: selector.map(|s| s.label.clone()).unwrap_or_default(),
            field_selector: selector.map(|s| s.field.clone()).unwrap_or_default(),
        }));
    };
    let (everywhere, attach) = ([String::new()], &config.attach_metadata);
    use KubernetesRole as Role;
    let has_pods = matches!(config.role, Role::Pod | Role::Endpoints | Role::EndpointSlice);
    match config.role {
        Role::Node => add(Kind::Node, Some(Role::Node), &everywhere),
        Role::Pod => {}
        Role::Service => add(Kind::Service, Some(Role::Service), &namespaces),
        Role::Ingress => add(Kind::Ingress, Some(Role::Ingress), &namespaces),
        Role::Endpoints => add(Kind::Endpoints, Some(Role::Endpoints), &namespaces),
        Role::EndpointSlice => add(Kind::EndpointSlice, Some(Role::EndpointSlice), &namespaces),
    }
    if has_pods {
        add(Kind::Pod, Some(Role::Pod), &namespaces);
        if config.role != Role::Pod {
            add(Kind::Service, Some(Role::Service), &namespaces);
        }
        if attach.node {
            add(Kind::Node, Some(Role::Node), &everywhere);
        }
        if attach.deployment {
            add(Kind::ReplicaSet, None, &namespaces);
        }
        if attach.job || attach.cronjob {
            add(Kind::Job, None, &namespaces);
        }
    }
    if attach.namespace && config.role != Role::Node {
        add(Kind::Namespace, None, &everywhere);
    }
    out
}

/// What lists of objects, one for each watch, and then some that are gone, are made of.
#[cfg(any(test, fuzzing))]
pub(super) fn read(config: &KubernetesSd, json: &[u8]) -> Option<Vec<super::TargetGroup>> {
    let lists: Vec<object::List> = serde_json::from_slice(json).ok()?;
    let mut world = World::new(subjects(config, None));
    let metrics = super::DiscoveryMetrics::default();
    for (i, list) in lists.into_iter().enumerate() {
        world.apply((i, watch::Change::Listed(list.items)), &metrics);
    }
    Some(targets::groups(config, &world))
}
