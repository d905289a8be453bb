#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The life of an alert, against what is true of any history.

use proptest::prelude::*;
use reba_rules::{
    AlertState,
    lifecycle::{Event, Lifecycle, RESOLVED_RETENTION_MS, Timing, restored_active_at, step},
};

const STEP: i64 = 60_000;

/// Runs a history of presence, one evaluation a minute, and returns the alert after each.
fn run(history: &[bool], timing: Timing) -> Vec<Option<Lifecycle>> {
    let mut alert = None;
    let mut out = Vec::new();
    for (i, present) in history.iter().enumerate() {
        alert = step(alert, *present, i as i64 * STEP, timing).next;
        out.push(alert);
    }
    out
}

#[test]
fn an_alert_fires_once_its_hold_has_elapsed() {
    let timing = Timing { hold: 2 * STEP, keep_firing_for: 0 };
    let states: Vec<_> = run(&[true, true, true, true], timing).iter().map(|a| a.unwrap().state).collect();
    assert_eq!(states, [AlertState::Pending, AlertState::Pending, AlertState::Firing, AlertState::Firing]);
    let without_hold = step(None, true, 5, Timing::default());
    assert_eq!(without_hold.event, Some(Event::Fired));
    assert_eq!(without_hold.next.unwrap().fired_at, Some(5));
}

#[test]
fn a_pending_alert_without_its_element_is_forgotten() {
    let timing = Timing { hold: 5 * STEP, keep_firing_for: 0 };
    assert_eq!(run(&[true, true, false], timing)[2], None);
}

#[test]
fn a_longer_hold_after_a_reload_makes_a_firing_alert_wait_again() {
    let firing = step(None, true, 0, Timing::default()).next;
    let held = step(firing, true, STEP, Timing { hold: 10 * STEP, keep_firing_for: 0 });
    assert_eq!(held.event, Some(Event::Held));
    assert_eq!(held.next.unwrap().state, AlertState::Pending);
}

#[test]
fn what_was_active_before_a_restart_is_restored_as_upstream_does() {
    let (hold, grace) = (30 * STEP, 10 * STEP);
    // Fired already: unchanged.
    assert_eq!(restored_active_at(0, 30 * STEP, 35 * STEP, hold, grace), 0);
    // Would fire within the grace period: at its end.
    assert_eq!(restored_active_at(0, 25 * STEP, 28 * STEP, hold, grace), 8 * STEP);
    // Longer to wait: the outage does not count.
    assert_eq!(restored_active_at(0, 5 * STEP, 15 * STEP, hold, grace), 10 * STEP);
}

proptest! {
    #[test]
    fn an_alert_fires_exactly_while_presence_and_grace_say_so(
        history in prop::collection::vec(any::<bool>(), 1..60),
        hold in 0i64..5,
        keep in 0i64..4,
    ) {
        let timing = Timing { hold: hold * STEP, keep_firing_for: keep * STEP };
        let alerts = run(&history, timing);
        // The same said in another way: count evaluations in a row.
        let (mut row, mut firing, mut gone) = (None::<i64>, false, 0i64);
        for (i, present) in history.iter().enumerate() {
            if *present {
                gone = 0;
                let so_far = row.map_or(0, |n| n + 1);
                row = Some(so_far);
                firing = firing || so_far >= hold;
            } else {
                gone += 1;
                let kept = firing && gone <= keep;
                firing = kept;
                row = if kept { row.map(|n| n + 1) } else { None };
            }
            let state = alerts[i].map(|a| a.state);
            prop_assert_eq!(state == Some(AlertState::Firing), firing, "at {}", i);
            prop_assert_eq!(state == Some(AlertState::Pending), !firing && row.is_some(), "at {}", i);
        }
    }

    #[test]
    fn times_are_consistent_and_nothing_is_kept_for_ever(
        history in prop::collection::vec(any::<bool>(), 1..80),
        hold in 0i64..5,
        keep in 0i64..4,
    ) {
        let timing = Timing { hold: hold * STEP, keep_firing_for: keep * STEP };
        for (i, alert) in run(&history, timing).into_iter().enumerate() {
            let now = i as i64 * STEP;
            let Some(a) = alert else { continue };
            prop_assert!(a.active_at <= now);
            match a.state {
                AlertState::Pending => prop_assert!(a.fired_at.is_none() && a.resolved_at.is_none()),
                AlertState::Firing => {
                    prop_assert!(a.fired_at.unwrap() - a.active_at >= timing.hold);
                    prop_assert!(a.resolved_at.is_none());
                }
                AlertState::Inactive => {
                    prop_assert!(a.fired_at.unwrap() <= a.resolved_at.unwrap());
                    prop_assert!(now - a.resolved_at.unwrap() <= RESOLVED_RETENTION_MS);
                }
            }
        }
    }

    #[test]
    fn an_alert_is_not_sent_more_often_than_it_may(
        history in prop::collection::vec(any::<bool>(), 1..80),
        delay in 1i64..6,
    ) {
        let (mut alert, mut last, mut last_state): (Option<Lifecycle>, _, _) = (None, None::<i64>, None);
        for (i, present) in history.iter().enumerate() {
            let now = i as i64 * STEP;
            alert = step(alert, *present, now, Timing::default()).next;
            if let Some(a) = alert.as_mut().filter(|a| a.needs_sending(now, delay * STEP)) {
                // At once when something changed, else only when the delay is over.
                let changed = last_state != Some(a.state) || a.last_sent_at.is_none();
                prop_assert!(changed || now - last.unwrap() > delay * STEP);
                a.last_sent_at = Some(now);
                (last, last_state) = (Some(now), Some(a.state));
            }
        }
    }
}
