//! The objects of a cluster as far as they are watched.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{
    object::{Kind, Object},
    watch::{Change, Subject},
};
use crate::{config::KubernetesRole, discovery::DiscoveryMetrics};

/// Namespace, which is empty for objects that are in none, and name.
type Key = (String, String);

/// What one watch has told.
struct Store {
    subject: Subject,
    /// None until it has listed them.
    objects: Option<BTreeMap<Key, Object>>,
}

/// What all watches of a section have told.
pub(crate) struct World {
    stores: Vec<Store>,
}

impl World {
    pub fn new(subjects: Vec<Subject>) -> Self {
        let stores = subjects.into_iter().map(|subject| Store { subject, objects: None }).collect();
        World { stores }
    }

    /// Whether every watch has listed its objects.
    pub fn is_complete(&self) -> bool {
        self.stores.iter().all(|s| s.objects.is_some())
    }

    /// Takes what the watch with this number tells.
    pub fn apply(&mut self, (number, change): (usize, Change), metrics: &DiscoveryMetrics) {
        let Some(store) = self.stores.get_mut(number) else { return };
        let role = role(store.subject.kind);
        let count = |event: usize, n: usize| {
            if let Some(role) = role {
                metrics.kubernetes_events[role as usize][event].fetch_add(n as u64, Ordering::Relaxed);
            }
        };
        let [add, delete, update] = [0, 1, 2];
        match change {
            Change::Listed(objects) => {
                let before = store.objects.take().unwrap_or_default();
                let now: BTreeMap<Key, Object> = objects.into_iter().map(|o| (key(&o), o)).collect();
                let kept = now.keys().filter(|k| before.contains_key(*k)).count();
                count(add, now.len() - kept);
                count(delete, before.len() - kept);
                count(update, now.iter().filter(|(k, o)| before.get(*k).is_some_and(|b| b != *o)).count());
                store.objects = Some(now);
            }
            Change::Put(object) => {
                let before = store.objects.get_or_insert_default().insert(key(&object), *object);
                count(if before.is_some() { update } else { add }, 1);
            }
            Change::Gone(object) => {
                store.objects.get_or_insert_default().remove(&key(&object));
                count(delete, 1);
            }
        }
    }

    /// All objects of a kind, in order.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let stores = self.stores.iter().filter(move |s| s.subject.kind == kind);
        stores.flat_map(|s| s.objects.iter().flat_map(BTreeMap::values))
    }

    /// An object by its name.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut stores = self.stores.iter().filter(|s| s.subject.kind == kind);
        stores.find_map(|s| s.objects.as_ref()?.get(&key))
    }
}

fn key(object: &Object) -> Key {
    (object.metadata.namespace.clone(), object.metadata.name.clone())
}

/// The role whose objects are of this kind.
fn role(kind: Kind) -> Option<KubernetesRole> {
    Some(match kind {
        Kind::Node => KubernetesRole::Node,
        Kind::Pod => KubernetesRole::Pod,
        Kind::Service => KubernetesRole::Service,
        Kind::Endpoints => KubernetesRole::Endpoints,
        Kind::EndpointSlice => KubernetesRole::EndpointSlice,
        Kind::Ingress => KubernetesRole::Ingress,
        Kind::Namespace | Kind::ReplicaSet | Kind::Job => return None,
    })
}
