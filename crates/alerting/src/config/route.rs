//! The tree of routes, checked and flat.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{Labels, Matcher};

use super::{
    MAX_ROUTE_DEPTH, MAX_ROUTES, MatcherForms, Reader, RouteSection, RoutingError, Sections, TimeInterval,
};
use crate::{identity::group_labels_text, inhibition::InhibitRule, matchers::MatcherList};

/// Who hears of what, and when not.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The tree, every route before its children; the first is the root.
    pub(crate) routes: Vec<Route>,
    /// In their order.
    pub(crate) inhibit_rules: Vec<InhibitRule>,
    /// By name.
    pub(crate) intervals: BTreeMap<String, Vec<TimeInterval>>,
}

/// What makes a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Every alert is a group of its own (`...`).
    All,
    /// Alerts with the same values of these labels; sorted.
    Labels(Vec<String>),
}

/// A node of the tree, with everything it inherits.
#[derive(Clone, Debug)]
pub struct Route {
    /// Names it uniquely: its matchers and its place in the parent, from the root on.
    pub id: Arc<str>,
    /// Its matchers from the root on; the first part of the keys of its groups.
    pub key: Arc<str>,
    /// All must match; sorted.
    pub matchers: Vec<Matcher>,
    /// Whether siblings behind it may match, too.
    pub continues: bool,
    /// Whom to tell.
    pub receiver: String,
    /// What makes a group.
    pub group_by: GroupBy,
    /// How long a new group waits for more alerts, milliseconds.
    pub group_wait_ms: i64,
    /// From one tick of a group to the next, milliseconds.
    pub group_interval_ms: i64,
    /// After how long the same is said again, milliseconds.
    pub repeat_interval_ms: i64,
    /// Intervals within which it is mute. Not inherited.
    pub mute_time_intervals: Vec<String>,
    /// Intervals outside of which it is mute. Not inherited.
    pub active_time_intervals: Vec<String>,
    /// The route it belongs to.
    pub parent: Option<usize>,
    /// Its children, in order.
    pub children: Vec<usize>,
}

impl Route {
    /// The labels of the group to which an alert belongs.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.only(names),
        }
    }

    /// The key of a group.
    pub fn group_key(&self, group_labels: &Labels) -> Arc<str> {
        format!("{}:{}", self.key, group_labels_text(group_labels)).into()
    }
}

impl Routing {
    /// All routes, every route before its children; the first is the root.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The rules of inhibition.
    pub fn inhibit_rules(&self) -> &[InhibitRule] {
        &self.inhibit_rules
    }

    /// Intervals by name.
    pub fn intervals(&self) -> &BTreeMap<String, Vec<TimeInterval>> {
        &self.intervals
    }

    /// Routes that take an alert with these labels, as indexes into [`Routing::routes`], in the order in which they are found. Never
    /// empty: the root takes what nobody else does.
    pub fn matching(&self, labels: &Labels) -> Vec<usize> {
        let mut found = Vec::new();
        if !self.routes.is_empty() {
            self.collect(0, labels, &mut found);
        }
        found
    }

    /// Whether the route, or a part of its branch, takes the alert. The depth is limited by [`MAX_ROUTE_DEPTH`].
    fn collect(&self, at: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let route = &self.routes[at];
        if !Matcher::all(&route.matchers, labels) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.collect(*child, labels, found) && !self.routes[*child].continues {
                break;
            }
        }
        if found.len() == before {
            found.push(at);
        }
        true
    }

    /// Those of `names` whose interval holds at a moment.
    pub(crate) fn holding<'a>(&self, names: &'a [String], now_ms: i64) -> Vec<&'a str> {
        let holds = |name: &&String| {
            self.intervals.get(*name).is_some_and(|parts| parts.iter().any(|p| p.contains(now_ms)))
        };
        names.iter().filter(holds).map(String::as_str).collect()
    }
}

/// Upstream's values for what no route sets.
fn defaults() -> Route {
    Route {
        id: Arc::from("{}"),
        key: Arc::from("{}"),
        matchers: Vec::new(),
        continues: false,
        receiver: String::new(),
        group_by: GroupBy::Labels(Vec::new()),
        group_wait_ms: 30_000,
        group_interval_ms: 5 * 60_000,
        repeat_interval_ms: 4 * 3_600_000,
        mute_time_intervals: Vec::new(),
        active_time_intervals: Vec::new(),
        parent: None,
        children: Vec::new(),
    }
}

/// Checks the whole tree.
pub(super) fn tree<S: AsRef<str>>(
    sections: &Sections,
    receivers: &[S],
    intervals: &BTreeMap<String, Vec<TimeInterval>>,
    reader: &mut Reader,
) -> Result<Vec<Route>, RoutingError> {
    let root = sections.route.as_ref().ok_or_else(|| RoutingError::new("route", "no routes provided"))?;
    check_root(root)?;
    let mut builder = Builder {
        receivers: receivers.iter().map(AsRef::as_ref).collect(),
        intervals,
        reader,
        routes: Vec::new(),
    };
    builder.add(root, &defaults(), None, "route", 0)?;
    Ok(builder.routes)
}

fn check_root(root: &RouteSection) -> Result<(), RoutingError> {
    let fails = |key: &str, reason: &str| Err(RoutingError::new(key, reason));
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
    if root.receiver.as_deref().unwrap_or_default().is_empty() {
        return fails("route", "root route must specify a default receiver");
    }
    let maps = [&root.equal, &root.regex];
    if some(&root.matchers) || maps.iter().any(|m| m.as_ref().is_some_and(|m| !m.is_empty())) {
        return fails("route", "root route must not have any matchers");
    }
    if some(&root.mute_time_intervals) {
        return fails("route.mute_time_intervals", "root route must not have any mute time intervals");
    }
    if some(&root.active_time_intervals) {
        return fails("route.active_time_intervals", "root route must not have any active time intervals");
    }
    if root.continues == Some(true) {
        return fails("route.continue", "cannot have continue in root route");
    }
    Ok(())
}

struct Builder<'a> {
    receivers: Vec<&'a str>,
    intervals: &'a BTreeMap<String, Vec<TimeInterval>>,
    reader: &'a mut Reader,
    routes: Vec<Route>,
}

impl Builder<'_> {
    /// Adds a route and its children.
    fn add(
        &mut self,
        section: &RouteSection,
        inherited: &Route,
        place: Option<(usize, usize)>,
        key: &str,
        depth: usize,
    ) -> Result<usize, RoutingError> {
        if depth > MAX_ROUTE_DEPTH {
            let reason = format!("routes are nested deeper than {MAX_ROUTE_DEPTH} (MAX_ROUTE_DEPTH)");
            return Err(RoutingError::new(key, reason));
        }
        if self.routes.len() == MAX_ROUTES {
            return Err(RoutingError::new(key, format!("more than {MAX_ROUTES} routes (MAX_ROUTES)")));
        }
        let route = self.route(section, inherited, place, key)?;
        let at = self.routes.len();
        self.routes.push(route.clone());
        let mut children = Vec::new();
        for (i, child) in section.routes.iter().flatten().enumerate() {
            children.push(self.add(
                child,
                &route,
                Some((at, i)),
                &format!("{key}.routes[{i}]"),
                depth + 1,
            )?);
        }
        self.routes[at].children = children;
        Ok(at)
    }

    fn route(
        &mut self,
        section: &RouteSection,
        inherited: &Route,
        place: Option<(usize, usize)>,
        key: &str,
    ) -> Result<Route, RoutingError> {
        let forms = MatcherForms {
            equal: ("match", section.equal.as_ref()),
            regex: ("match_re", section.regex.as_ref()),
            list: ("matchers", section.matchers.as_deref()),
        };
        let matchers = self.reader.matchers(key, &forms)?;
        let (route_key, id) = match place {
            None => (inherited.key.clone(), inherited.id.clone()),
            Some((_, i)) => {
                let own = MatcherList(&matchers);
                (format!("{}/{own}", inherited.key).into(), format!("{}/{own}/{i}", inherited.id).into())
            }
        };
        let mute =
            self.known_intervals(section.mute_time_intervals.as_deref(), key, "mute_time_intervals")?;
        let active =
            self.known_intervals(section.active_time_intervals.as_deref(), key, "active_time_intervals")?;
        Ok(Route {
            id,
            key: route_key,
            matchers,
            continues: section.continues.unwrap_or(false),
            receiver: self.receiver(section, inherited, key)?,
            group_by: self.group_by(section, inherited, key)?,
            group_wait_ms: section.group_wait.map_or(inherited.group_wait_ms, |m| m.0),
            group_interval_ms: positive(
                section.group_interval,
                inherited.group_interval_ms,
                key,
                "group_interval",
            )?,
            repeat_interval_ms: positive(
                section.repeat_interval,
                inherited.repeat_interval_ms,
                key,
                "repeat_interval",
            )?,
            mute_time_intervals: mute,
            active_time_intervals: active,
            parent: place.map(|(parent, _)| parent),
            children: Vec::new(),
        })
    }

    fn receiver(&self, section: &RouteSection, inherited: &Route, key: &str) -> Result<String, RoutingError> {
        match section.receiver.as_deref().filter(|name| !name.is_empty()) {
            None => Ok(inherited.receiver.clone()),
            Some(name) if self.receivers.contains(&name) => Ok(name.to_owned()),
            Some(name) => {
                let reason = format!("undefined receiver {name:?} used in route");
                Err(RoutingError::new(format!("{key}.receiver"), reason))
            }
        }
    }

    fn known_intervals(
        &self,
        names: Option<&[String]>,
        key: &str,
        what: &str,
    ) -> Result<Vec<String>, RoutingError> {
        let names = names.unwrap_or_default();
        match names.iter().position(|n| !self.intervals.contains_key(n)) {
            None => Ok(names.to_vec()),
            Some(i) => {
                let reason = format!("undefined time interval {:?} used in route", names[i]);
                Err(RoutingError::new(format!("{key}.{what}[{i}]"), reason))
            }
        }
    }

    fn group_by(
        &self,
        section: &RouteSection,
        inherited: &Route,
        key: &str,
    ) -> Result<GroupBy, RoutingError> {
        let fails = |reason: String| Err(RoutingError::new(format!("{key}.group_by"), reason));
        let list = section.group_by.as_deref().unwrap_or_default();
        let all = list.iter().any(|name| name == "...");
        let mut names: Vec<String> = list.iter().filter(|name| *name != "...").cloned().collect();
        if let Some(name) = names.iter().find(|name| !self.reader.is_label_name(name)) {
            return fails(format!("invalid label name {name:?} in group_by list"));
        }
        if all && !names.is_empty() {
            return fails(
                "cannot have wildcard group_by (`...`) and other labels at the same time".to_owned(),
            );
        }
        names.sort_unstable();
        if let Some([name, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return fails(format!("duplicated label {name:?} in group_by"));
        }
        Ok(match (all, names.is_empty()) {
            (true, _) => GroupBy::All,
            (false, false) => GroupBy::Labels(names),
            (false, true) => inherited.group_by.clone(),
        })
    }
}

fn positive(
    value: Option<super::Millis>,
    inherited: i64,
    key: &str,
    name: &str,
) -> Result<i64, RoutingError> {
    match value {
        None => Ok(inherited),
        Some(super::Millis(0)) => {
            Err(RoutingError::new(format!("{key}.{name}"), format!("{name} cannot be zero")))
        }
        Some(super::Millis(ms)) => Ok(ms),
    }
}
