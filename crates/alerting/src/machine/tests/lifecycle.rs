//! Alerts that are merged, time out, and outlive restarts and reloads.

use reba_model::GoRegex;

use crate::{
    AlertError, AlertFilter, GroupWork, Machine, Options, PostedAlert, Saved,
    matchers::{Grammar, parse_list},
    testing::{HOUR, MINUTE, SECOND, START, Sim, config, firing, resolved},
};

const PLAIN: &str = "route: {receiver: R, group_by: [alertname]}\nreceivers: [{name: R}, {name: S}]";

fn only(sim: &Sim) -> (i64, i64) {
    let alerts = sim.machine.alerts(&AlertFilter::default(), sim.now_ms);
    assert_eq!(alerts.len(), 1);
    (alerts[0].alert.starts_at_ms - START, alerts[0].alert.ends_at_ms - START)
}

fn post(sim: &mut Sim, starts: Option<i64>, ends: Option<i64>) {
    sim.post(&[PostedAlert {
        starts_at_ms: starts.map(|t| START + t),
        ends_at_ms: ends.map(|t| START + t),
        ..firing("n=a")
    }]);
}

#[test]
fn what_a_sender_leaves_open_is_filled_in() {
    let mut sim = Sim::new(PLAIN);
    post(&mut sim, None, None);
    assert_eq!(only(&sim), (0, 5 * MINUTE));
    // Sent again: the same alert, and a later end.
    sim.to(2 * MINUTE);
    post(&mut sim, None, None);
    assert_eq!(only(&sim), (0, 7 * MINUTE));
    let mut sim = Sim::new(PLAIN);
    post(&mut sim, None, Some(MINUTE));
    assert_eq!(only(&sim), (MINUTE, MINUTE));
}

#[test]
fn alerts_that_overlap_are_one_with_the_earliest_start_and_the_end_that_was_given() {
    let mut sim = Sim::new(PLAIN);
    post(&mut sim, Some(-HOUR), Some(10 * MINUTE));
    // An end that was given holds against one that is guessed.
    post(&mut sim, Some(0), None);
    assert_eq!(only(&sim), (-HOUR, 10 * MINUTE));
    post(&mut sim, Some(0), Some(20 * MINUTE));
    assert_eq!(only(&sim), (-HOUR, 20 * MINUTE));
    // Resolved: now is now.
    sim.to(MINUTE);
    post(&mut sim, Some(0), Some(MINUTE));
    assert_eq!(sim.machine.alerts(&AlertFilter::default(), sim.now_ms), []);
    // Fires again later, without overlap: an alert of its own.
    sim.to(2 * MINUTE);
    post(&mut sim, Some(2 * MINUTE), Some(HOUR));
    assert_eq!(only(&sim), (2 * MINUTE, HOUR));
}

#[test]
fn an_alert_that_is_not_sent_again_is_resolved_in_time() {
    let mut sim = Sim::new(PLAIN);
    post(&mut sim, None, Some(4 * MINUTE));
    sim.to(3 * MINUTE);
    post(&mut sim, None, Some(7 * MINUTE));
    sim.to(HOUR);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a", "10:30 R/webhook[0] -a"]);
    assert_eq!(sim.changes(), ["firing a", "timed_out a"]);
    assert_eq!(sim.machine.totals().stored, 0);
}

#[test]
fn a_bad_alert_does_not_keep_the_others_out() {
    let mut sim = Sim::new(PLAIN);
    let empty = PostedAlert { labels: vec![("n".to_owned(), String::new())], ..firing("n=x") };
    let reversed = PostedAlert { starts_at_ms: Some(START + MINUTE), ..resolved("n=y", START) };
    let huge = PostedAlert { generator_url: "x".repeat(300_000), ..firing("n=z") };
    let report = sim.machine.post(&[empty, reversed, firing("n=a"), huge], sim.now_ms);
    assert_eq!((report.firing, report.resolved), (1, 0));
    assert_eq!(
        report.refused,
        [(0, AlertError::NoLabels), (1, AlertError::Reversed), (3, AlertError::TooLarge(300_002))]
    );
    assert_eq!(sim.machine.totals().counters.invalid, 3);
}

#[test]
fn alerts_and_groups_have_limits_with_names() {
    let (routing, integrations) =
        config("route: {receiver: R, group_by: [n]}\nreceivers: [{name: R}]").unwrap();
    let options = Options { max_alerts: 3, max_groups: 2, ..Options::default() };
    let mut machine =
        Machine::new(routing.into(), integrations.into(), options, Saved::default(), START, [0; 32]);
    let alerts: Vec<_> = ["n=1", "n=2", "n=3", "n=4"].map(firing).into();
    let report = machine.post(&alerts, START);
    assert_eq!(report.refused, [(3, AlertError::TooMany(3))]);
    assert!(report.refused[0].1.to_string().contains("max_alerts"));
    let totals = machine.totals();
    assert_eq!((totals.groups, totals.counters.group_limit_reached), (2, 1));
    // Memory is bounded, too, but what ends is always heard.
    let (routing, integrations) = config("route: {receiver: R}\nreceivers: [{name: R}]").unwrap();
    let options = Options { max_memory_bytes: 3_000, ..Options::default() };
    let mut machine =
        Machine::new(routing.into(), integrations.into(), options, Saved::default(), START, [0; 32]);
    let report = machine.post(&alerts, START);
    assert_eq!(report.firing, 2);
    assert!(report.refused[0].1.to_string().contains("max_memory_bytes"), "{report:?}");
    let longer = PostedAlert { annotations: vec![("a".to_owned(), "x".repeat(5_000))], ..firing("n=1") };
    assert_eq!(machine.post(&[longer], START).refused.len(), 1);
    assert_eq!(machine.post(&[resolved("n=1", START + 1)], START + 1).resolved, 1);
    machine.post(&[resolved("n=2", START + 1)], START + 1);
    for tick in 0..10 {
        for work in machine.poll(START + tick * HOUR) {
            machine.finished(work.group, true, START + tick * HOUR);
        }
    }
    assert_eq!((machine.totals().stored, machine.totals().memory_bytes), (0, 0));
}

#[test]
fn a_restart_repeats_nothing_and_forgets_nothing() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.fire("n=b");
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a,b"]);
    sim.resolve("n=b");
    sim.to(2 * MINUTE);
    let mut sim = sim.restart();
    // That one was resolved is still told, at the tick at which it would have been.
    sim.fire("n=a");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), ["5:30 R/webhook[0] +a -b"]);
    let mut sim = sim.restart();
    sim.to(HOUR);
    assert_eq!(sim.heard(), Vec::<String>::new());
}

#[test]
fn what_is_over_while_nobody_watches_is_told_after_the_restart() {
    let mut sim = Sim::new(PLAIN);
    post(&mut sim, None, Some(4 * MINUTE));
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a"]);
    // Reba is down for an hour; nobody sends the alert again.
    sim.now_ms += HOUR;
    let mut sim = sim.restart();
    sim.to(61 * MINUTE + 4 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new(), "its sender has a moment to say that it still fires");
    sim.to(2 * HOUR);
    assert_eq!(sim.heard(), ["66:00 R/webhook[0] -a"]);
    assert_eq!(sim.restart().machine.totals().groups, 0);
}

#[test]
fn a_crash_between_sending_and_saving_costs_one_duplicate_and_no_silence() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.to(29 * SECOND);
    // The notification leaves at 0:30; the process dies before anything is written.
    let work = sim.machine.poll(START + 30 * SECOND);
    assert_eq!(work.len(), 1);
    sim.now_ms = START + 31 * SECOND;
    let mut sim = sim.restart();
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:31 R/webhook[0] +a"]);
    let mut sim = sim.restart();
    sim.to(HOUR);
    assert_eq!(sim.heard(), Vec::<String>::new());
}

#[test]
fn a_reload_keeps_the_log_and_tells_new_receivers() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.to(MINUTE);
    sim.heard();
    sim.reload(PLAIN);
    assert_eq!(sim.heard(), Vec::<String>::new());
    // Another receiver has heard of nothing yet.
    sim.reload(&PLAIN.replace("receiver: R", "receiver: S"));
    assert_eq!(sim.heard(), ["1:00 S/webhook[0] +a"]);
}

fn take_one(sim: &mut Sim, at_ms: i64) -> GroupWork {
    sim.now_ms = at_ms;
    sim.machine.poll(at_ms).into_iter().next().expect("a group is due")
}

#[test]
fn a_reload_does_not_send_what_is_on_its_way_twice() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.to(29 * SECOND);
    let work = take_one(&mut sim, START + 30 * SECOND);
    sim.to(40 * SECOND);
    sim.reload(PLAIN);
    assert_eq!(sim.heard(), Vec::<String>::new());
    sim.machine.sent(&work.sends[0].log, None, START + 41 * SECOND);
    sim.machine.finished(work.group, true, START + 41 * SECOND);
    sim.to(HOUR);
    assert_eq!(sim.heard(), Vec::<String>::new());
    assert_eq!(sim.machine.totals().groups, 1);
}

#[test]
fn a_tick_that_finds_its_group_busy_comes_as_soon_as_it_is_free() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.to(29 * SECOND);
    let work = take_one(&mut sim, START + 30 * SECOND);
    sim.fire("n=b");
    sim.to(6 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
    sim.machine.finished(work.group, false, sim.now_ms);
    sim.to(7 * MINUTE);
    assert_eq!(sim.heard(), ["6:00 R/webhook[0] +a,b"]);
}

#[test]
fn an_alert_that_fires_again_while_its_end_is_told_stays() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a");
    sim.to(MINUTE);
    sim.resolve("n=a");
    sim.to(5 * MINUTE);
    let work = take_one(&mut sim, START + 5 * MINUTE + 30 * SECOND);
    sim.fire("n=a");
    sim.machine.sent(&work.sends[0].log, None, sim.now_ms);
    sim.machine.finished(work.group, true, sim.now_ms);
    sim.to(11 * MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a", "10:30 R/webhook[0] +a"]);
}

#[test]
fn filters_choose_alerts_and_groups_as_upstream_does() {
    let mut sim = Sim::new(
        "route: {receiver: R, routes: [{receiver: S, matchers: [team=s], continue: true}, {matchers: [n=~.+]}]}\n\
         receivers: [{name: R}, {name: S}]",
    );
    sim.fire("n=a team=s");
    sim.fire("n=b");
    let count = |sim: &Sim, filter: &AlertFilter| sim.machine.alerts(filter, sim.now_ms).len();
    let with = |text: &str| AlertFilter {
        matchers: parse_list(text, Grammar::Fallback).unwrap().matchers,
        ..AlertFilter::default()
    };
    for (text, want) in
        [("", 2), ("n=a", 1), ("team=\"\"", 1), ("team!=\"\"", 1), ("team=~.+", 1), ("team!=s", 1)]
    {
        assert_eq!(count(&sim, &with(text)), want, "{text}");
    }
    let receiver = AlertFilter { receiver: Some(GoRegex::anchored("S").unwrap()), ..AlertFilter::default() };
    assert_eq!(count(&sim, &receiver), 1);
    assert_eq!(count(&sim, &AlertFilter { active: false, ..AlertFilter::default() }), 0);
    let groups = sim.machine.groups(&AlertFilter::default(), sim.now_ms);
    let shown: Vec<_> = groups.iter().map(|g| (g.receiver.as_str(), g.alerts.len())).collect();
    assert_eq!(shown, [("R", 2), ("S", 1)]);
    assert_eq!(groups[1].alerts[0].receivers, ["R", "S"]);
    let alerts = sim.machine.alerts(&receiver, sim.now_ms);
    assert_eq!(alerts[0].receivers, ["S", "R"]);
}
