//! Units of systemd, asked over D-Bus.

mod dbus;

use std::collections::BTreeMap;

use self::dbus::{Bus, Value};
use super::{Fault, Files, Node, Outcome};
use crate::page::Page;

/// States that are counted in any case.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// Units at most that are shown.
const MAX_UNITS: usize = 20_000;

struct Unit {
    name: String,
    state: String,
    path: String,
}

/// `systemd`
pub fn systemd(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let fail = |e: std::io::Error| Fault::failed(format!("D-Bus: {e}"));
    let mut bus = Bus::open(&node.bus_path).map_err(fail)?;
    let _ = files;
    let version = bus.property(dbus::MANAGER, "org.freedesktop.systemd1.Manager", "Version").map_err(fail)?;
    let version = version.text();
    page.gauge("node_systemd_version", "The version of systemd.")
        .with(&[("version", &version)], leading_number(&version));
    let units = units(&mut bus).map_err(fail)?;
    let mut counts: BTreeMap<&str, f64> = STATES.iter().map(|state| (*state, 0.0)).collect();
    for (unit, _) in &units {
        *counts.entry(unit.state.as_str()).or_default() += 1.0;
    }
    let mut rows = page.gauge("node_systemd_units", "Units by state.");
    for (state, n) in counts {
        rows.with(&[("state", state)], n);
    }
    let options = &node.options;
    let shown = |unit: &&(Unit, String)| {
        unit.1 == "loaded"
            && options.systemd_include.is_match(&unit.0.name)
            && !options.systemd_exclude.is_match(&unit.0.name)
    };
    for (unit, _) in units.iter().filter(shown).take(MAX_UNITS) {
        one(node, &mut bus, page, unit).map_err(fail)?;
    }
    let state =
        bus.property(dbus::MANAGER, "org.freedesktop.systemd1.Manager", "SystemState").map_err(fail)?;
    let running = if state.text() == "running" { 1.0 } else { 0.0 };
    page.gauge("node_systemd_system_running", "Whether the system is in order.").value(running);
    Ok(())
}

fn leading_number(text: &str) -> f64 {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text.get(..end).and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// Units, and whether they are loaded.
fn units(bus: &mut Bus) -> std::io::Result<Vec<(Unit, String)>> {
    let reply = bus.call(dbus::MANAGER, "org.freedesktop.systemd1.Manager", "ListUnits", &[])?;
    let Some(Value::List(list)) = reply.into_iter().next() else { return Ok(Vec::new()) };
    // name, description, load state, active state, sub state, followed, path, …
    let one = |value: Value| {
        let Value::List(fields) = value else { return None };
        let text = |n: usize| fields.get(n).map(Value::text);
        Some((Unit { name: text(0)?, state: text(3)?, path: text(6)? }, text(2)?))
    };
    Ok(list.into_iter().filter_map(one).collect())
}

fn one(node: &Node, bus: &mut Bus, page: &mut Page, unit: &Unit) -> std::io::Result<()> {
    let (_, suffix) = unit.name.rsplit_once('.').unwrap_or(("", ""));
    let interface = match suffix {
        "service" => "org.freedesktop.systemd1.Service",
        "mount" => "org.freedesktop.systemd1.Mount",
        "timer" => "org.freedesktop.systemd1.Timer",
        "socket" => "org.freedesktop.systemd1.Socket",
        _ => "",
    };
    // A property that this version lacks, or a unit that is gone, leaves out itself.
    let mut get = |interface: &str, name: &str| bus.property(&unit.path, interface, name).ok();
    let kind = if matches!(suffix, "service" | "mount") { get(interface, "Type") } else { None };
    let kind = kind.map(|value| value.text()).unwrap_or_default();
    let mut rows = page.gauge("node_systemd_unit_state", "The state of each unit: 1 for the one it is in.");
    for state in STATES {
        let is = if state == unit.state { 1.0 } else { 0.0 };
        rows.with(&[("name", &unit.name), ("state", state), ("type", &kind)], is);
    }
    let labels = [("name", unit.name.as_str())];
    let options = &node.options;
    if suffix == "service"
        && options.systemd_restarts
        && let Some(n) = get(interface, "NRestarts").and_then(|v| v.number())
    {
        page.counter("node_systemd_service_restart_total", "Restarts of each service.").with(&labels, n);
    }
    if suffix == "service" && options.systemd_tasks {
        for (property, name) in
            [("TasksCurrent", "node_systemd_unit_tasks_current"), ("TasksMax", "node_systemd_unit_tasks_max")]
        {
            // All bits set means that there is no number.
            if let Some(n) =
                get(interface, property).and_then(|v| v.number()).filter(|n| *n < u64::MAX as f64)
            {
                page.gauge(name, "Tasks of each service.").with(&labels, n);
            }
        }
    }
    if options.systemd_start_times {
        let active = unit.state == "active";
        let entered =
            if active { get("org.freedesktop.systemd1.Unit", "ActiveEnterTimestamp") } else { None };
        let seconds = entered.and_then(|v| v.number()).unwrap_or(0.0) / 1e6;
        page.gauge("node_systemd_unit_start_time_seconds", "When each unit started, in Unix time.")
            .with(&labels, seconds);
    }
    match suffix {
        "timer" => {
            if let Some(us) = get(interface, "LastTriggerUSec").and_then(|v| v.number()) {
                page.gauge(
                    "node_systemd_timer_last_trigger_seconds",
                    "When each timer last went off, in Unix time.",
                )
                .with(&labels, us / 1e6);
            }
        }
        "socket" => {
            if let Some(n) = get(interface, "NAccepted").and_then(|v| v.number()) {
                page.counter(
                    "node_systemd_socket_accepted_connections_total",
                    "Connections taken by each socket.",
                )
                .with(&labels, n);
            }
            for (property, name) in [
                ("NConnections", "node_systemd_socket_current_connections"),
                ("NRefused", "node_systemd_socket_refused_connections_total"),
            ] {
                if let Some(n) = get(interface, property).and_then(|v| v.number()) {
                    page.gauge(name, "Connections of each socket.").with(&labels, n);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a manager of three units answers to a call.
    fn manager(call: &[u8]) -> dbus::fake::Said {
        let is = |words: &str| call.windows(words.len()).any(|part| part == words.as_bytes());
        let number = |n: u64| Some(("v", dbus::fake::variant("t", &n.to_le_bytes())));
        let small = |n: u32| Some(("v", dbus::fake::variant("u", &n.to_le_bytes())));
        let text = |text: &str| Some(("v", dbus::fake::variant("s", &dbus::fake::text(text))));
        match () {
            () if is("Hello") => Some(("s", dbus::fake::text(":1.7"))),
            () if is("ListUnits") => {
                let unit = |name, load, active, path| [name, "", load, active, "", "", path];
                let rows = [
                    unit("ssh.service", "loaded", "active", "/ssh"),
                    unit("backup.timer", "loaded", "active", "/backup"),
                    unit("api.socket", "loaded", "inactive", "/api"),
                    unit("rides.service", "loaded", "failed", "/rides"),
                    unit("gone.service", "not-found", "inactive", "/gone"),
                    unit("dev-sda.device", "loaded", "active", "/sda"),
                ];
                let rows: Vec<&[&str]> = rows.iter().map(<[&str; 7]>::as_slice).collect();
                Some(("a(sssssss)", dbus::fake::texts(&rows)))
            }
            () if is("Version") => text("252.39-1~deb12u2"),
            () if is("SystemState") => text("degraded"),
            () if is("NRestarts") => small(if is("/rides") { 5 } else { 0 }),
            () if is("TasksCurrent") => number(3),
            // There is no limit.
            () if is("TasksMax") => number(u64::MAX),
            () if is("ActiveEnterTimestamp") => number(1_700_000_000_000_000),
            () if is("LastTriggerUSec") => number(1_700_000_100_000_000),
            () if is("NAccepted") => small(7),
            () if is("NConnections") => small(1),
            () if is("Type") => text("notify"),
            // NRefused is newer than this one.
            () => None,
        }
    }

    #[test]
    fn units_are_told_with_their_states_restarts_tasks_timers_and_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus");
        dbus::fake::serve(&path, manager);
        let flags = ["", ".enable-restarts-metrics", ".enable-task-metrics", ".enable-start-time-metrics"];
        let flags: Vec<String> = flags.iter().map(|flag| format!("--collector.systemd{flag}")).collect();
        let mut node = Node::new(&flags, &|_| None).unwrap();
        node.bus_path = path.to_str().unwrap().to_owned();
        let text = node.page(&BTreeSet::from(["systemd"])).text();
        for line in [
            "node_scrape_collector_success{collector=\"systemd\"} 1",
            "node_systemd_version{version=\"252.39-1~deb12u2\"} 252.39",
            "node_systemd_system_running 0",
            "node_systemd_units{state=\"active\"} 3",
            "node_systemd_units{state=\"failed\"} 1",
            "node_systemd_units{state=\"inactive\"} 2",
            "node_systemd_unit_state{name=\"ssh.service\",state=\"active\",type=\"notify\"} 1",
            "node_systemd_unit_state{name=\"ssh.service\",state=\"failed\",type=\"notify\"} 0",
            "node_systemd_unit_state{name=\"rides.service\",state=\"failed\",type=\"notify\"} 1",
            "node_systemd_service_restart_total{name=\"rides.service\"} 5",
            "node_systemd_unit_tasks_current{name=\"ssh.service\"} 3",
            "node_systemd_unit_start_time_seconds{name=\"ssh.service\"} 1.7e+09",
            "node_systemd_unit_start_time_seconds{name=\"rides.service\"} 0",
            "node_systemd_timer_last_trigger_seconds{name=\"backup.timer\"} 1.7000001e+09",
            "node_systemd_socket_accepted_connections_total{name=\"api.socket\"} 7",
            "node_systemd_socket_current_connections{name=\"api.socket\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        for absent in ["dev-sda", "gone.service", "tasks_max", "refused"] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
    }

    #[test]
    fn a_host_without_a_bus_is_a_failed_collector_and_not_a_failed_scrape() {
        let mut node = Node::new(&["--collector.systemd".to_owned()], &|_| None).unwrap();
        node.bus_path = "/nope/bus".to_owned();
        let text = node.page(&BTreeSet::from(["systemd"])).text();
        assert!(text.contains("node_scrape_collector_success{collector=\"systemd\"} 0\n"), "{text}");
    }
}
