//! What alerts would be told of, without telling anybody: for previews, and for tests of receivers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use reba_model::Labels;

use super::{Machine, flush::notified};
use crate::{
    alert::{Alert, AlertError, PostedAlert},
    identity::compare_alerts,
    notification::{Notification, Reason},
};

/// A notification as alerts would make it if there were no others, and nobody had heard of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// Whether a route leads these alerts to the receiver. If not, they stand in a group of the first route that tells it, or of
    /// the root.
    pub routed: bool,
    /// What would be said. Resolved alerts are in it, whether its integrations want to hear of them or not.
    pub note: Notification,
}

/// Routes and groups by which alerts are gathered: the place of the route in the order of finding, and the group's labels.
type Groups = BTreeMap<(usize, usize, Labels), (bool, Vec<Arc<Alert>>)>;

impl Machine {
    /// The notifications of these alerts, in the order in which routes take them; those of one `receiver` if it is named. Silences,
    /// inhibition, times and the notification log are not asked, and nothing changes.
    pub fn rehearse(
        &self,
        alerts: &[PostedAlert],
        receiver: Option<&str>,
        now_ms: i64,
    ) -> Result<Vec<Rehearsal>, AlertError> {
        let mut groups = Groups::new();
        let mut order: HashMap<usize, usize> = HashMap::new();
        for posted in alerts {
            let alert = Arc::new(Alert::new(posted, now_ms, self.options.resolve_timeout_ms)?);
            let (routed, routes) = self.routes_to(&alert.labels, receiver);
            for index in routes {
                let Some(route) = self.routing.routes().get(index) else { continue };
                let next = order.len();
                let place = *order.entry(index).or_insert(next);
                let labels = route.group_labels(&alert.labels);
                let group = groups.entry((place, index, labels)).or_insert_with(|| (routed, Vec::new()));
                group.1.push(Arc::clone(&alert));
            }
        }
        let mut rehearsals = Vec::new();
        for ((_, index, labels), (routed, alerts)) in groups {
            let note = self.told_by(index, receiver, labels, alerts, now_ms);
            rehearsals.extend(note.map(|note| Rehearsal { routed, note }));
        }
        Ok(rehearsals)
    }

    /// The routes that lead an alert to a receiver, and whether any does; else the one by which it may be told of it all the same.
    fn routes_to(&self, labels: &Labels, receiver: Option<&str>) -> (bool, Vec<usize>) {
        let found = self.routing.matching(labels);
        let Some(name) = receiver else { return (true, found) };
        let tells = |index: &usize| self.routing.routes().get(*index).is_some_and(|r| r.receiver == name);
        let found: Vec<usize> = found.into_iter().filter(tells).collect();
        if !found.is_empty() {
            return (true, found);
        }
        let first = self.routing.routes().iter().position(|r| r.receiver == name);
        (false, vec![first.unwrap_or(0)])
    }

    fn told_by(
        &self,
        index: usize,
        receiver: Option<&str>,
        group_labels: Labels,
        mut alerts: Vec<Arc<Alert>>,
        now_ms: i64,
    ) -> Option<Notification> {
        let route = self.routing.routes().get(index)?;
        alerts.sort_by(|a, b| compare_alerts(&a.labels, &b.labels));
        alerts.dedup_by(|a, b| a.fingerprint == b.fingerprint);
        let alerts: Vec<_> = alerts.iter().map(|a| notified(a, !a.is_resolved(now_ms))).collect();
        Some(Notification {
            receiver: receiver.unwrap_or(&route.receiver).to_owned(),
            group_key: route.group_key(&group_labels),
            group_labels,
            alerts: alerts.into(),
            route_id: route.id.clone(),
            reason: Reason::First,
            remembered: BTreeMap::new(),
            now_ms,
            deadline_ms: now_ms.saturating_add(route.group_interval_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MINUTE, START, Sim, firing, resolved};

    const TREE: &str = "route: {receiver: R, group_by: [job], routes: [\n\
        {receiver: A, matchers: [team=a], continue: true, group_by: [n]}, {receiver: B, matchers: ['team=~\"a|b\"']}]}\n\
        receivers: [{name: R}, {name: A}, {name: B}, {name: nowhere}]";

    fn said(sim: &Sim, alerts: &[&str], receiver: Option<&str>) -> Vec<String> {
        let alerts: Vec<_> = alerts.iter().map(|labels| firing(labels)).collect();
        let all = sim.machine.rehearse(&alerts, receiver, START).unwrap();
        let one = |r: super::Rehearsal| {
            let names: Vec<&str> = r.note.alerts.iter().map(|a| a.labels.value("n")).collect();
            format!("{} {} {} {}", r.note.receiver, r.note.group_key, names.join(","), r.routed)
        };
        all.into_iter().map(one).collect()
    }

    #[test]
    fn alerts_are_put_into_the_groups_that_they_would_make() {
        let sim = Sim::new(TREE);
        assert_eq!(
            said(&sim, &["team=a n=1 job=x", "team=b n=2 job=x", "team=a n=3 job=x", "n=4 job=y"], None),
            [
                r#"A {}/{team="a"}:{n="1"} 1 true"#,
                r#"A {}/{team="a"}:{n="3"} 3 true"#,
                r#"B {}/{team=~"a|b"}:{job="x"} 1,2,3 true"#,
                r#"R {}:{job="y"} 4 true"#,
            ]
        );
        // The same alert twice is one.
        assert_eq!(said(&sim, &["n=4", "n=4"], None), ["R {}:{} 4 true"]);
    }

    #[test]
    fn a_receiver_that_would_not_hear_of_it_is_shown_what_it_would_look_like() {
        let sim = Sim::new(TREE);
        assert_eq!(said(&sim, &["team=a n=1"], Some("A")), [r#"A {}/{team="a"}:{n="1"} 1 true"#]);
        assert_eq!(said(&sim, &["team=c n=1"], Some("A")), [r#"A {}/{team="a"}:{n="1"} 1 false"#]);
        assert_eq!(said(&sim, &["team=c n=1"], Some("nowhere")), ["nowhere {}:{} 1 false"]);
    }

    #[test]
    fn what_is_over_is_resolved_and_nothing_changes() {
        let sim = Sim::new(TREE);
        let alerts = [firing("n=1"), resolved("n=2", START - MINUTE)];
        let all = sim.machine.rehearse(&alerts, None, START).unwrap();
        let firing: Vec<bool> = all[0].note.alerts.iter().map(|a| a.firing).collect();
        assert_eq!((all.len(), firing), (1, vec![true, false]));
        assert_eq!(sim.machine.totals().stored, 0);
        assert!(sim.machine.rehearse(&[crate::PostedAlert::default()], None, START).is_err());
    }
}
