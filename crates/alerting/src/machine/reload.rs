//! New routes while alerts are there.

use std::{collections::HashMap, sync::Arc};

use super::{
    Machine, Options,
    groups::{Group, GroupId},
};
use crate::{config::Routing, inhibition::Inhibitor, notification::Integrations};

impl Machine {
    /// Puts another configuration in force. Silences and the notification log stay; alerts find their groups anew, which are looked at
    /// at once if they have waited long enough. What is on its way stays on its way: the same group for the same receiver waits for
    /// it.
    pub fn reload(
        &mut self,
        routing: Arc<Routing>,
        integrations: Arc<Integrations>,
        options: Options,
        now_ms: i64,
    ) {
        let in_flight = self.take_in_flight();
        self.inhibitor = Inhibitor::new(routing.inhibit_rules());
        self.counters.routes.retain(|id, _| routing.routes().iter().any(|r| r.id == *id));
        self.routing = routing;
        self.integrations = integrations;
        self.options = options;
        let mut fingerprints: Vec<u64> = self.alerts.keys().copied().collect();
        fingerprints.sort_unstable();
        for fingerprint in fingerprints {
            let Some(stored) = self.alerts.get_mut(&fingerprint) else { continue };
            let alert = stored.alert.clone();
            stored.routes = self.routing.matching(&alert.labels).into();
            let routes = stored.routes.clone();
            self.inhibitor.set(&alert.labels, fingerprint, None, alert.ends_at_ms);
            for route in routes.iter() {
                self.regroup(*route, alert.clone(), now_ms);
            }
        }
        self.adopt(in_flight);
    }

    /// Takes all groups out; those with a notification on its way are kept by key and receiver.
    fn take_in_flight(&mut self) -> HashMap<(Arc<str>, String), (GroupId, Group)> {
        let routing = self.routing.clone();
        let receiver =
            |g: &Group| routing.routes().get(g.route).map(|r| r.receiver.clone()).unwrap_or_default();
        let groups = self.groups.drain().into_iter().filter(|(_, g)| g.in_flight.is_some());
        groups.map(|(id, g)| ((g.key.clone(), receiver(&g)), (id, g))).collect()
    }

    /// Gives groups that wait for a notification of theirs its result.
    fn adopt(&mut self, mut in_flight: HashMap<(Arc<str>, String), (GroupId, Group)>) {
        if in_flight.is_empty() {
            return;
        }
        let routing = self.routing.clone();
        for (id, mut group) in self.groups.drain() {
            let receiver = routing.routes().get(group.route).map(|r| r.receiver.clone()).unwrap_or_default();
            let old = in_flight.remove(&(group.key.clone(), receiver));
            let id = match old {
                None => id,
                Some((id, old)) => {
                    group.in_flight = old.in_flight;
                    id
                }
            };
            self.groups.add(group, Some(id));
        }
    }
}
