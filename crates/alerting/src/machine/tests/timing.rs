//! When groups speak.

use crate::{
    PostedAlert,
    testing::{HOUR, MINUTE, SECOND, START, Sim, firing, resolved},
};

const PLAIN: &str = "route: {receiver: R, group_by: [alertname]}\nreceivers: [{name: R}]";

#[test]
fn a_group_speaks_at_its_ticks_and_says_everything() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(20 * SECOND);
    sim.fire("n=a2");
    sim.to(29 * SECOND);
    assert_eq!(sim.heard(), Vec::<String>::new());
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1,a2"]);
    sim.fire("n=a3");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), ["5:30 R/webhook[0] +a1,a2,a3"]);
    sim.resolve("n=a1");
    sim.to(15 * MINUTE);
    assert_eq!(sim.heard(), ["10:30 R/webhook[0] +a2,a3 -a1"]);
    // The log was written just after 10:30, so the tick at 4:10:30 comes a moment too early.
    sim.to(5 * HOUR);
    assert_eq!(sim.heard(), ["255:30 R/webhook[0] +a2,a3"]);
}

#[test]
fn alerts_that_come_and_go_between_ticks_are_told_only_beside_others() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(MINUTE);
    sim.fire("n=a4");
    sim.to(2 * MINUTE);
    sim.resolve("n=a4");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1", "5:30 R/webhook[0] +a1 -a4"]);
    // Alone in its group it is told to nobody.
    sim.fire("alertname=other n=b");
    sim.resolve("alertname=other n=b");
    sim.to(20 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
    assert_eq!(sim.machine.totals().groups, 1);
}

#[test]
fn an_alert_that_flaps_between_ticks_never_stopped() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(MINUTE);
    sim.resolve("n=a1");
    sim.to(2 * MINUTE);
    sim.fire("n=a1");
    sim.to(HOUR);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1"]);
    assert_eq!(sim.changes(), ["firing a1", "resolved a1", "firing a1"]);
}

#[test]
fn the_end_of_a_group_is_told_and_the_next_alert_begins_it_anew() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(MINUTE);
    sim.resolve("n=a1");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1", "5:30 R/webhook[0] -a1"]);
    assert_eq!(sim.machine.totals().groups, 0);
    // Prometheus says for a quarter of an hour that it is over: nobody is told again, and no group is made for it.
    sim.post(&[resolved("n=a1", START + 2 * MINUTE)]);
    assert_eq!(sim.machine.totals().groups, 0);
    sim.to(20 * MINUTE);
    sim.fire("n=a1");
    sim.to(25 * MINUTE);
    assert_eq!(sim.heard(), ["20:30 R/webhook[0] +a1"]);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(30 * SECOND);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1"]);
    // The shell looks every few seconds, whatever is due: so it sees the leap.
    sim.now_ms -= 2 * HOUR;
    assert_eq!(sim.machine.poll(sim.now_ms).len(), 0);
    sim.fire("n=a2");
    sim.to(-2 * HOUR + 10 * MINUTE);
    assert_eq!(sim.heard(), ["-114:-30 R/webhook[0] +a1,a2"]);
    // Nor does garbage wait for two hours more than it should.
    sim.post(&[resolved("n=a1", sim.now_ms), resolved("n=a2", sim.now_ms)]);
    sim.to(-HOUR);
    assert_eq!(sim.machine.totals().stored, 0);
}

#[test]
fn an_old_alert_does_not_wait() {
    let mut sim = Sim::new(PLAIN);
    sim.post(&[PostedAlert { starts_at_ms: Some(START - 31 * SECOND), ..firing("n=a1") }]);
    assert_eq!(sim.heard(), ["0:00 R/webhook[0] +a1"]);
    // Once a group has spoken, its ticks hold for old alerts, too.
    sim.to(MINUTE);
    sim.post(&[PostedAlert { starts_at_ms: Some(START - HOUR), ..firing("n=a2") }]);
    sim.to(10 * MINUTE);
    assert_eq!(sim.heard(), ["5:00 R/webhook[0] +a1,a2"]);
}

#[test]
fn repeat_interval_takes_effect_at_ticks_only() {
    let mut sim =
        Sim::new("route: {receiver: R, group_interval: 7m, repeat_interval: 1m}\nreceivers: [{name: R}]");
    sim.fire("n=a1");
    sim.to(15 * MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1", "7:30 R/webhook[0] +a1", "14:30 R/webhook[0] +a1"]);
}

#[test]
fn each_integration_is_told_by_its_own_log() {
    let mut sim = Sim::new("route: {receiver: R}\nreceivers: [{name: R, kinds: [webhook, email-, webhook]}]");
    sim.fire("n=a1");
    sim.fire("n=a2");
    sim.to(MINUTE);
    assert_eq!(
        sim.heard(),
        ["0:30 R/webhook[0] +a1,a2", "0:30 R/email[0] +a1,a2", "0:30 R/webhook[1] +a1,a2"]
    );
    // Mail does not want to hear of what is resolved, but hears of what is new without it.
    sim.resolve("n=a1");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), ["5:30 R/webhook[0] +a2 -a1", "5:30 R/webhook[1] +a2 -a1"]);
    sim.fire("n=a3");
    sim.resolve("n=a2");
    sim.to(11 * MINUTE);
    assert_eq!(
        sim.heard(),
        ["10:30 R/webhook[0] +a3 -a2", "10:30 R/email[0] +a3", "10:30 R/webhook[1] +a3 -a2"]
    );
    // When all is over its log is written all the same: what fires again is new.
    sim.resolve("n=a3");
    sim.to(16 * MINUTE);
    assert_eq!(sim.heard(), ["15:30 R/webhook[0] -a3", "15:30 R/webhook[1] -a3"]);
    sim.fire("n=a3");
    sim.to(17 * MINUTE);
    assert!(sim.heard().contains(&"16:30 R/email[0] +a3".to_owned()));
}

#[test]
fn several_routes_are_several_groups() {
    let mut sim = Sim::new(
        "route:\n  receiver: R\n  routes:\n  - {receiver: A, continue: true, group_wait: 10s}\n  - {receiver: B}\n\
         receivers: [{name: R}, {name: A}, {name: B}]",
    );
    sim.fire("n=a1");
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:10 A/webhook[0] +a1", "0:30 B/webhook[0] +a1"]);
    assert_eq!(sim.notes[0].group_key.as_ref(), "{}/{}:{}");
    let views = sim.machine.routes();
    assert_eq!(views.iter().map(|v| v.groups).collect::<Vec<_>>(), [0, 1, 1]);
    let told: Vec<(u64, u64)> = views.iter().map(|v| (v.counters.ticks, v.counters.notifications)).collect();
    assert_eq!(told, [(0, 0), (1, 1), (1, 1)]);
}

#[test]
fn a_receiver_without_integrations_is_told_nothing_and_groups_go() {
    let mut sim = Sim::new("route: {receiver: R}\nreceivers: [{name: R, kinds: []}]");
    sim.fire("n=a1");
    sim.to(MINUTE);
    sim.resolve("n=a1");
    sim.to(10 * MINUTE);
    assert_eq!((sim.heard(), sim.machine.totals().groups), (vec![], 0));
}

#[test]
fn a_receiver_that_fails_is_told_at_the_next_tick_and_nothing_is_forgotten() {
    let mut sim = Sim::new(PLAIN);
    sim.broken.insert("R".to_owned());
    sim.fire("n=a1");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
    sim.broken.clear();
    sim.to(11 * MINUTE);
    assert_eq!(sim.heard(), ["10:30 R/webhook[0] +a1"]);
    // That an alert is resolved waits as patiently, past the garbage collection.
    sim.broken.insert("R".to_owned());
    sim.resolve("n=a1");
    sim.to(2 * HOUR);
    sim.broken.clear();
    sim.to(2 * HOUR + 6 * MINUTE);
    assert_eq!(sim.heard(), ["120:30 R/webhook[0] -a1"]);
    sim.to(3 * HOUR);
    assert_eq!(sim.machine.totals().stored, 0);
}

#[test]
fn ten_thousand_alerts_cost_ten_thousand_steps() {
    let mut sim = Sim::new(
        "route: {receiver: R, group_by: ['...']}\nreceivers: [{name: R}]\n\
         inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [host]}]",
    );
    let alerts: Vec<PostedAlert> = (0..10_000)
        .map(|i| PostedAlert {
            starts_at_ms: Some(START),
            ..firing(&format!("alertname=Down n={i} host=h{} severity=warning", i % 100))
        })
        .collect();
    sim.post(&alerts);
    sim.to(MINUTE);
    assert_eq!(sim.notes.len(), 10_000);
    assert_eq!(sim.machine.totals().groups, 10_000);
    // All of them resolved, told, and gone.
    let over: Vec<PostedAlert> =
        alerts.iter().map(|a| PostedAlert { ends_at_ms: Some(START + MINUTE), ..a.clone() }).collect();
    sim.post(&over);
    sim.to(HOUR);
    assert_eq!(sim.notes.len(), 20_000);
    let totals = sim.machine.totals();
    assert_eq!((totals.groups, totals.stored), (0, 0));
}

#[test]
fn one_group_of_ten_thousand_alerts_is_one_notification() {
    let mut sim = Sim::new(PLAIN);
    let alerts: Vec<PostedAlert> = (0..10_000)
        .map(|i| PostedAlert { starts_at_ms: Some(START), ..firing(&format!("alertname=Down n={i}")) })
        .collect();
    sim.post(&alerts);
    sim.to(10 * MINUTE);
    assert_eq!(sim.notes.len(), 1);
    assert_eq!(sim.notes[0].alerts.len(), 10_000);
}
