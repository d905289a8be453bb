//! Who keeps whom silent.

use crate::{
    PostedRecurring, PostedSilence, ScheduleSection, SilenceError, SilenceState,
    matchers::{Grammar, parse_list},
    testing::{HOUR, MINUTE, SECOND, START, Sim},
};

const PLAIN: &str = "route: {receiver: R, group_by: [n]}\nreceivers: [{name: R}]";

fn silence(matchers: &str, from_ms: i64, to_ms: i64) -> PostedSilence {
    PostedSilence {
        matchers: parse_list(matchers, Grammar::Fallback).unwrap().matchers,
        starts_at_ms: START + from_ms,
        ends_at_ms: START + to_ms,
        created_by: "me".to_owned(),
        ..PostedSilence::default()
    }
}

#[test]
fn a_silence_holds_from_its_beginning_to_its_end_for_what_matches() {
    let mut sim = Sim::new(PLAIN);
    sim.machine.set_silence(&silence("n=~a.*,n!=a9", 0, 20 * MINUTE), sim.now_ms).unwrap();
    sim.fire("n=a1");
    sim.fire("n=a9");
    sim.to(19 * MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a9"]);
    sim.to(21 * MINUTE);
    assert_eq!(sim.heard(), ["20:30 R/webhook[0] +a1"]);
    assert_eq!(
        sim.changes(),
        ["silence created", "firing a1", "firing a9", "suppressed a1", "silence ended", "unsuppressed a1"]
    );
}

#[test]
fn a_silence_holds_again_after_a_clock_that_was_ahead_is_set_back() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.machine.set_silence(&silence("n=a1", 0, HOUR), sim.now_ms).unwrap();
    sim.to(MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
    sim.to(2 * HOUR);
    assert_eq!(sim.heard().len(), 1);
    sim.now_ms = START + 2 * MINUTE;
    assert_eq!(sim.machine.poll(sim.now_ms).len(), 0);
    sim.resolve("n=a1");
    sim.to(30 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
}

#[test]
fn what_is_resolved_under_a_silence_is_told_to_nobody() {
    let mut sim = Sim::new(PLAIN);
    sim.fire("n=a1");
    sim.to(MINUTE);
    sim.machine.set_silence(&silence("n=a1", 0, HOUR), sim.now_ms).unwrap();
    sim.resolve("n=a1");
    sim.to(2 * HOUR);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +a1"]);
    assert_eq!(sim.machine.totals().groups, 0);
}

#[test]
fn silences_are_changed_in_place_only_where_the_past_stays_the_past() {
    let mut sim = Sim::new(PLAIN);
    let posted = silence("n=a1", -MINUTE, HOUR);
    let id = sim.machine.set_silence(&posted, sim.now_ms).unwrap();
    assert_eq!(sim.machine.silence(&id).unwrap().starts_at_ms, START, "a silence begins now at the earliest");
    sim.to(MINUTE);
    // Longer: the same one.
    let longer = PostedSilence {
        id: Some(id.clone()),
        starts_at_ms: START + 999,
        ends_at_ms: START + 2 * HOUR,
        ..posted.clone()
    };
    assert_eq!(sim.machine.set_silence(&longer, sim.now_ms).unwrap(), id);
    // Other matchers: another one, and the old one has ended.
    let other = PostedSilence { matchers: silence("n=a2", 0, 0).matchers, ..longer.clone() };
    let second = sim.machine.set_silence(&other, sim.now_ms).unwrap();
    assert_ne!(second, id);
    let now_ms = sim.now_ms;
    let state = |sim: &Sim, id: &str| sim.machine.silence(id).unwrap().state(now_ms);
    assert_eq!((state(&sim, &id), state(&sim, &second)), (SilenceState::Expired, SilenceState::Active));
    // One that has ended is not brought back, but followed by another.
    let third = sim.machine.set_silence(&longer, now_ms).unwrap();
    assert!(third != id && third != second);
    // One that has not begun may move within the future.
    let pending = sim.machine.set_silence(&silence("n=a3", 2 * HOUR, 3 * HOUR), now_ms).unwrap();
    let moved = PostedSilence { id: Some(pending.clone()), ..silence("n=a3", HOUR, 3 * HOUR) };
    assert_eq!(sim.machine.set_silence(&moved, now_ms).unwrap(), pending);
    let order: Vec<String> = sim.machine.silence_list(&[], now_ms).iter().map(|s| s.id.clone()).collect();
    assert_eq!(order.len(), 4);
    assert_eq!(order[2..], [pending, id]);
}

#[test]
fn ending_a_silence_is_the_same_however_often() {
    let mut sim = Sim::new(PLAIN);
    let active = sim.machine.set_silence(&silence("n=a1", 0, HOUR), sim.now_ms).unwrap();
    let pending = sim.machine.set_silence(&silence("n=a1", HOUR, 2 * HOUR), sim.now_ms).unwrap();
    sim.to(SECOND);
    for id in [&active, &pending, &active] {
        sim.machine.expire_silence(id, sim.now_ms).unwrap();
    }
    let (a, p) = (sim.machine.silence(&active).unwrap(), sim.machine.silence(&pending).unwrap());
    assert_eq!((a.starts_at_ms, a.ends_at_ms), (START, START + SECOND));
    assert_eq!((p.starts_at_ms, p.ends_at_ms), (START + SECOND, START + SECOND));
    assert_eq!(sim.machine.expire_silence("nobody", sim.now_ms), Err(SilenceError::NotFound));
    // It is kept for reference, then forgotten.
    sim.to(120 * HOUR);
    assert_eq!(sim.machine.silence_list(&[], sim.now_ms).len(), 2);
    sim.to(121 * HOUR);
    assert_eq!(sim.machine.silence_list(&[], sim.now_ms).len(), 0);
    assert_eq!(sim.restart().machine.silence_list(&[], START).len(), 0);
}

#[test]
fn silences_that_make_no_sense_are_refused_and_change_nothing() {
    let mut sim = Sim::new(PLAIN);
    let id = sim.machine.set_silence(&silence("n=a1", 0, HOUR), sim.now_ms).unwrap();
    let with = |edit: fn(&mut PostedSilence)| {
        let mut posted = silence("n=a2", 0, HOUR);
        edit(&mut posted);
        posted
    };
    for (posted, want) in [
        (with(|s| s.matchers.clear()), "at least one matcher required"),
        (silence("n!=a,m=~\"|x\"", 0, HOUR), "at least one matcher must not match the empty string"),
        (silence("n=a", HOUR, HOUR), "start time must be before end time"),
        (silence("n=a", -HOUR, -MINUTE), "end time can't be in the past"),
        (with(|s| s.id = Some("nobody".to_owned())), "silence not found"),
        (with(|s| s.comment = "x".repeat(70_000)), "silence exceeded maximum size"),
        (silence("n=~\"(?:a{100}){600}\"", 0, HOUR), "regular expressions compile to"),
    ] {
        let error = sim.machine.set_silence(&posted, sim.now_ms).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
    // A change that is refused does not end the silence it was to change.
    let broken = PostedSilence { id: Some(id.clone()), ..with(|s| s.comment = "x".repeat(70_000)) };
    assert!(sim.machine.set_silence(&broken, sim.now_ms).is_err());
    assert_eq!(sim.machine.silence(&id).unwrap().state(sim.now_ms), SilenceState::Active);
}

#[test]
fn a_silence_until_resolved_ends_once_its_alerts_have_been_resolved_for_a_while() {
    let mut sim = Sim::new(PLAIN);
    let posted = PostedSilence { until_resolved: true, ..silence("n=a1", 0, 24 * HOUR) };
    let id = sim.machine.set_silence(&posted, sim.now_ms).unwrap();
    // Nothing has fired yet: it waits.
    sim.to(HOUR);
    let state = |sim: &Sim| sim.machine.silence(&id).unwrap().state(sim.now_ms);
    assert_eq!(state(&sim), SilenceState::Active);
    sim.fire("n=a1");
    sim.to(2 * HOUR);
    sim.resolve("n=a1");
    sim.to(2 * HOUR + 2 * MINUTE);
    // It flaps: the silence holds.
    sim.fire("n=a1");
    sim.to(2 * HOUR + 10 * MINUTE);
    assert_eq!(state(&sim), SilenceState::Active);
    // A restart does not make it forget what it has seen.
    let mut sim = sim.restart();
    sim.resolve("n=a1");
    sim.to(2 * HOUR + 14 * MINUTE);
    assert_eq!(state(&sim), SilenceState::Active);
    sim.to(2 * HOUR + 16 * MINUTE);
    assert_eq!(state(&sim), SilenceState::Expired);
    assert!(sim.changes().contains(&"silence alerts_resolved".to_owned()));
    assert_eq!(sim.heard(), Vec::<String>::new());
}

fn nightly() -> PostedRecurring {
    PostedRecurring {
        matchers: silence("n=a1", 0, 0).matchers,
        schedule: ScheduleSection {
            at: "22:00".to_owned(),
            duration: "4h".to_owned(),
            weekdays: Some(vec!["monday:friday".to_owned()]),
            location: Some("Europe/Berlin".to_owned()),
            ..ScheduleSection::default()
        },
        created_by: "me".to_owned(),
        comment: "backups".to_owned(),
        ..PostedRecurring::default()
    }
}

#[test]
fn a_schedule_makes_ordinary_silences_a_day_ahead() {
    // Monday noon in UTC; 22:00 in Berlin is 21:00.
    let mut sim = Sim::new(PLAIN);
    let id = sim.machine.set_recurring(&nightly(), sim.now_ms).unwrap();
    sim.to(MINUTE);
    let made = sim.machine.silence_list(&[], sim.now_ms);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].state(sim.now_ms), SilenceState::Pending);
    assert_eq!((made[0].starts_at_ms, made[0].ends_at_ms), (START + 9 * HOUR, START + 13 * HOUR));
    assert_eq!(made[0].recurring.as_deref(), Some(id.as_str()));
    // A silence that was ended by hand is not made again, not even after a restart.
    sim.machine.expire_silence(&made[0].id, sim.now_ms).unwrap();
    sim.to(2 * MINUTE);
    let mut sim = sim.restart();
    sim.to(10 * HOUR);
    sim.fire("n=a1");
    sim.to(11 * HOUR);
    assert_eq!(sim.heard(), ["600:30 R/webhook[0] +a1"]);
    sim.resolve("n=a1");
    // Five nights a week, and none at the weekend.
    sim.to(7 * 24 * HOUR + HOUR);
    let starts: Vec<i64> = sim
        .machine
        .silence_list(&[], sim.now_ms)
        .iter()
        .map(|s| (s.starts_at_ms - START).div_euclid(HOUR))
        .collect();
    // What ended five days ago is forgotten; next Monday's is pending.
    assert_eq!(starts, [7 * 24 + 9, 4 * 24 + 9, 3 * 24 + 9, 2 * 24 + 9]);
    sim.machine.delete_recurring(&id, sim.now_ms).unwrap();
    let now_ms = sim.now_ms;
    assert!(sim.machine.silence_list(&[], now_ms).iter().all(|s| s.state(now_ms) == SilenceState::Expired));
    assert!(sim.machine.recurring_list().is_empty());
    assert_eq!(sim.machine.delete_recurring(&id, now_ms), Err(SilenceError::NotFound));
}

#[test]
fn a_schedule_that_begins_within_its_time_silences_the_rest_of_it() {
    let mut sim = Sim::new(PLAIN);
    sim.to(10 * HOUR);
    sim.machine.set_recurring(&nightly(), sim.now_ms).unwrap();
    sim.to(10 * HOUR + MINUTE);
    let made = sim.machine.silence_list(&[], sim.now_ms);
    assert_eq!(made[0].state(sim.now_ms), SilenceState::Active);
    assert_eq!((made[0].starts_at_ms, made[0].ends_at_ms), (START + 10 * HOUR, START + 13 * HOUR));
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    let mut sim = Sim::new(PLAIN);
    for edit in [
        |s: &mut ScheduleSection| s.at = "24:00".to_owned(),
        |s: &mut ScheduleSection| s.at = "soon".to_owned(),
        |s: &mut ScheduleSection| s.duration = "5s".to_owned(),
        |s: &mut ScheduleSection| s.duration = "32d".to_owned(),
        |s: &mut ScheduleSection| s.location = Some("Middle/Earth".to_owned()),
        |s: &mut ScheduleSection| s.weekdays = Some(vec!["noday".to_owned()]),
    ] {
        let mut posted = nightly();
        edit(&mut posted.schedule);
        let error = sim.machine.set_recurring(&posted, sim.now_ms);
        assert!(matches!(error, Err(SilenceError::Schedule(_))), "{error:?}");
    }
    // A day that never comes makes none, and looking for it ends.
    let mut never = nightly();
    never.schedule.days_of_month = Some(vec!["31".to_owned()]);
    never.schedule.months = Some(vec!["june".to_owned()]);
    sim.machine.set_recurring(&never, sim.now_ms).unwrap();
    assert_eq!(sim.machine.recurring_list()[0].next, None);
}

const INHIBITED: &str = r"
route: {receiver: R, group_by: [n]}
receivers: [{name: R}]
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [host]
";

#[test]
fn a_target_is_told_at_its_first_tick_after_the_source_is_resolved() {
    let mut sim = Sim::new(INHIBITED);
    sim.fire("n=c host=h severity=critical");
    sim.fire("n=w host=h severity=warning");
    sim.fire("n=o host=other severity=warning");
    sim.to(MINUTE);
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +c", "0:30 R/webhook[0] +o"]);
    // A source inhibits even if it is silenced itself.
    sim.machine.set_silence(&silence("n=c", 0, 12 * MINUTE), sim.now_ms).unwrap();
    sim.to(12 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
    let views =
        sim.machine.alerts(&crate::AlertFilter { active: false, ..Default::default() }, sim.now_ms - 1);
    let mut names: Vec<_> =
        views.iter().map(|v| (v.alert.labels.value("n"), v.status.inhibited_by.is_some())).collect();
    names.sort_unstable();
    assert_eq!(names, [("c", false), ("w", true)]);
    sim.resolve("n=c host=h severity=critical");
    sim.to(16 * MINUTE);
    assert_eq!(sim.heard(), ["15:30 R/webhook[0] -c", "15:30 R/webhook[0] +w"]);
}

#[test]
fn after_a_restart_a_source_inhibits_before_anybody_sends_it_again() {
    let mut sim = Sim::new(INHIBITED);
    sim.fire("n=c host=h severity=critical");
    sim.to(MINUTE);
    sim.heard();
    let mut sim = sim.restart();
    sim.fire("n=w host=h severity=warning");
    sim.to(5 * MINUTE);
    assert_eq!(sim.heard(), Vec::<String>::new());
}

const MUTED: &str = r"
route:
  receiver: R
  routes:
  - matchers: [n=m]
    mute_time_intervals: [lunch]
    routes:
    - matchers: [child=yes]
  - matchers: [n=x]
    active_time_intervals: [lunch]
receivers: [{name: R}]
time_intervals:
- name: lunch
  time_intervals: [{times: [{start_time: '12:00', end_time: '13:00'}]}]
";

#[test]
fn time_intervals_hold_back_whole_groups_of_their_own_route_only() {
    let mut sim = Sim::new(MUTED);
    sim.fire("n=m");
    sim.fire("n=x");
    sim.fire("n=m child=yes");
    sim.to(59 * MINUTE);
    // Muting is not inherited.
    assert_eq!(sim.heard(), ["0:30 R/webhook[0] +x", "0:30 R/webhook[0] +m"]);
    let muted = sim.machine.alerts(&crate::AlertFilter::default(), sim.now_ms);
    let names: Vec<_> =
        muted.iter().filter(|v| !v.status.muted_by.is_empty()).map(|v| v.status.muted_by.clone()).collect();
    assert_eq!(names, [["lunch"]]);
    // The first tick after lunch tells.
    sim.to(61 * MINUTE);
    assert_eq!(sim.heard(), ["60:30 R/webhook[0] +m"]);
    sim.fire("n=x second=1");
    sim.to(3 * HOUR);
    assert_eq!(sim.heard(), Vec::<String>::new());
    let suppressed = sim.machine.totals().counters.suppressed;
    assert!(suppressed["mute_time_interval"] > 0 && suppressed["active_time_interval"] > 0);
}
