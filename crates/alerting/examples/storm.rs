#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
//! What a storm costs: ten thousand alerts at once, each a group of its own, or all in one.
//!
//!     cargo run --release -p reba-alerting --example storm -- 10000

use std::{collections::BTreeMap, fs, sync::Arc, time::Instant};

use reba_alerting::{
    Integration, IntegrationKey, Integrations, Machine, Options, PostedAlert, Saved,
    config::{InhibitSection, RouteSection, Routing, Sections},
    matchers::Grammar,
};

const MINUTE: i64 = 60_000;

fn machine(group_by: &str) -> Machine {
    let equal = |value: &str| Some(BTreeMap::from([("severity".to_owned(), Some(value.to_owned()))]));
    let sections = Sections {
        route: Some(RouteSection {
            receiver: Some("team".to_owned()),
            group_by: Some(vec![group_by.to_owned()]),
            ..RouteSection::default()
        }),
        inhibit_rules: Some(vec![InhibitSection {
            source_match: equal("critical"),
            target_match: equal("warning"),
            equal: Some(vec!["instance".to_owned()]),
            ..InhibitSection::default()
        }]),
        ..Sections::default()
    };
    let routing = Routing::new(&sections, &["team"], Grammar::Fallback).unwrap().routing;
    let key = IntegrationKey { receiver: "team".to_owned(), integration: "webhook", index: 0 };
    let integrations =
        Integrations::from([("team".to_owned(), vec![Integration { key, send_resolved: true }])]);
    Machine::new(Arc::new(routing), Arc::new(integrations), Options::default(), Saved::default(), 0, [1; 32])
}

fn alert(i: usize) -> PostedAlert {
    let label = |name: &str, value: String| (name.to_owned(), value);
    PostedAlert {
        labels: vec![
            label("alertname", "ServiceDown".to_owned()),
            label("instance", format!("10.1.{}.{}:9100", i / 250, i % 250)),
            label("job", format!("service-{}", i % 40)),
            label("severity", if i.is_multiple_of(10) { "critical" } else { "warning" }.to_owned()),
            label("n", i.to_string()),
        ],
        annotations: vec![label("summary", format!("Service {i} has been down for more than a minute"))],
        starts_at_ms: Some(0),
        ends_at_ms: Some(1_000 * MINUTE),
        generator_url: "http://localhost:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
    }
}

/// Resident memory, MiB.
fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / f64::from(1 << 20)
}

fn tick(machine: &mut Machine, now_ms: i64) -> (usize, usize) {
    let (mut groups, mut alerts) = (0, 0);
    while machine.next_wake() <= now_ms {
        for work in machine.poll(now_ms) {
            groups += 1;
            for send in &work.sends {
                alerts += send.note.alerts.len();
                machine.sent(&send.log, None, now_ms);
            }
            machine.finished(work.group, true, now_ms);
        }
        machine.take_events();
    }
    (groups, alerts)
}

fn main() {
    let count: usize = std::env::args().nth(1).map_or(10_000, |n| n.parse().unwrap());
    for (group_by, what) in [("...", "a group each"), ("alertname", "one group")] {
        let mut machine = machine(group_by);
        let before = resident();
        let alerts: Vec<PostedAlert> = (0..count).map(alert).collect();
        let step = |name: &str, machine: &mut Machine, run: &mut dyn FnMut(&mut Machine) -> String| {
            let began = Instant::now();
            let said = run(machine);
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            println!("{what}, {name}: {took:.1} ms {said}");
        };
        step("posted", &mut machine, &mut |m| format!("{} taken", m.post(&alerts, 0).firing));
        step("posted again", &mut machine, &mut |m| format!("{} taken", m.post(&alerts, MINUTE / 4).firing));
        step("first tick", &mut machine, &mut |m| format!("{:?} groups and alerts", tick(m, MINUTE / 2)));
        step("quiet tick", &mut machine, &mut |m| format!("{:?} groups and alerts", tick(m, 6 * MINUTE)));
        step("saved", &mut machine, &mut |m| {
            format!("{} documents", m.take_unsaved(usize::MAX, 0).changes.len())
        });
        step("listed", &mut machine, &mut |m| {
            format!("{} alerts", m.alerts(&reba_alerting::AlertFilter::default(), 6 * MINUTE).len())
        });
        println!("{what}: {:.0} MiB more than before, alerts as posted included", resident() - before);
    }
}
