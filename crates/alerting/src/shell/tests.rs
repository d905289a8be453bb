//! The shell with a clock that stands still until everybody waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use reba_storage::{Document, StateChange, StateError, StateStore};
use reba_testkit::RamState;
use tokio::time::{Instant, sleep};

use super::{Alerting, Setup};
use crate::{
    Deliver, DeliverError, Delivered, FailureReason, IntegrationKey, Notification, Options, PostedAlert,
    PostedSilence, SilenceError,
    event::{Attempt, Event, Outcome, What},
    matchers::{Grammar, parse_list},
    testing::{START, config, firing, resolved},
};

/// What a receiver does with what it gets.
#[derive(Clone, Debug)]
enum Manner {
    Takes,
    Hangs,
    Panics,
    Fails(DeliverError),
    /// So many times, then it takes.
    FailsFirst(u32, DeliverError),
}

/// Receivers that remember when they got what.
struct Outbox {
    manners: Mutex<BTreeMap<String, Manner>>,
    /// Seconds since the start, receiver, number of alerts.
    got: Mutex<Vec<(u64, String, usize)>>,
    tries: Mutex<BTreeMap<String, u32>>,
    in_flight: Mutex<(usize, usize)>,
    began: Instant,
}

impl Outbox {
    fn new() -> Arc<Self> {
        Arc::new(Outbox {
            manners: Mutex::default(),
            got: Mutex::default(),
            tries: Mutex::default(),
            in_flight: Mutex::default(),
            began: Instant::now(),
        })
    }

    fn set(&self, receiver: &str, manner: Manner) {
        self.manners.lock().insert(receiver.to_owned(), manner);
    }

    fn got(&self) -> Vec<(u64, String, usize)> {
        std::mem::take(&mut self.got.lock())
    }

    fn tries(&self, receiver: &str) -> u32 {
        self.tries.lock().get(receiver).copied().unwrap_or(0)
    }
}

impl Deliver for Outbox {
    fn deliver<'a>(
        &'a self,
        integration: &'a IntegrationKey,
        note: &'a Notification,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        Box::pin(async move {
            let receiver = integration.receiver.clone();
            let tries = {
                let mut tries = self.tries.lock();
                let count = tries.entry(receiver.clone()).or_default();
                *count += 1;
                *count
            };
            {
                let mut in_flight = self.in_flight.lock();
                in_flight.0 += 1;
                in_flight.1 = in_flight.1.max(in_flight.0);
            }
            let manner = self.manners.lock().get(&receiver).cloned().unwrap_or(Manner::Takes);
            sleep(Duration::from_millis(50)).await;
            let result = match manner {
                Manner::Hangs => std::future::pending().await,
                Manner::Panics => panic!("a receiver's fault"),
                Manner::Fails(error) => Err(error),
                Manner::FailsFirst(n, error) if tries <= n => Err(error),
                Manner::Takes | Manner::FailsFirst(..) => {
                    let second = self.began.elapsed().as_secs();
                    self.got.lock().push((second, receiver, note.alerts.len()));
                    Ok(Delivered { answer: "200 OK".to_owned(), remember: None })
                }
            };
            self.in_flight.lock().0 -= 1;
            result
        })
    }
}

/// A state store whose disk can be full.
#[derive(Default)]
struct Disk {
    state: RamState,
    full: Mutex<bool>,
    /// Writes go nowhere: the store in memory copies itself with each.
    forgets: bool,
}

impl StateStore for Disk {
    fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError> {
        self.state.get(space, key)
    }

    fn list(&self, space: &str) -> Result<Vec<Document>, StateError> {
        self.state.list(space)
    }

    fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError> {
        if *self.full.lock() {
            return Err(StateError::Unavailable("no space left on device".to_owned()));
        }
        if self.forgets { Ok(vec![0; changes.len()]) } else { self.state.write(changes) }
    }

    fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError> {
        self.state.history(space, key, limit)
    }
}

struct Bench {
    alerting: Alerting,
    outbox: Arc<Outbox>,
    disk: Arc<Disk>,
    events: Arc<Mutex<Vec<Event>>>,
}

async fn start(text: &str, outbox: Arc<Outbox>, disk: Arc<Disk>) -> Bench {
    let (routing, integrations) = config(text).unwrap();
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let began = outbox.began;
    let (sink, deliver): (_, Arc<dyn Deliver>) = (events.clone(), outbox.clone());
    let alerting = Alerting::start(Setup {
        routing: Arc::new(routing),
        integrations,
        options: Options::default(),
        store: disk.clone(),
        deliver,
        on_event: Arc::new(move |event| sink.lock().push(event)),
        clock: Arc::new(move || START + began.elapsed().as_millis() as i64),
    })
    .await
    .unwrap();
    Bench { alerting, outbox, disk, events }
}

async fn bench(text: &str) -> Bench {
    start(text, Outbox::new(), Arc::default()).await
}

impl Bench {
    fn fire(&self, labels: &str) {
        self.post(PostedAlert { starts_at_ms: Some(self.now_ms()), ..firing(labels) });
    }

    fn resolve(&self, labels: &str) {
        self.post(PostedAlert { starts_at_ms: Some(START), ..resolved(labels, self.now_ms()) });
    }

    fn post(&self, alert: PostedAlert) {
        assert_eq!(self.alerting.post(&[alert]).refused, []);
    }

    fn now_ms(&self) -> i64 {
        self.alerting.read(|_, now_ms| now_ms)
    }

    fn attempts(&self) -> Vec<Attempt> {
        let events = self.events.lock();
        let attempt = |e: &Event| match &e.what {
            What::Attempt(attempt) => Some(attempt.clone()),
            _ => None,
        };
        events.iter().filter_map(attempt).collect()
    }
}

async fn seconds(n: u64) {
    sleep(Duration::from_secs(n)).await;
}

const PLAIN: &str = "route: {receiver: R, group_by: [n]}\nreceivers: [{name: R}]";
const TWO: &str = "route: {receiver: R, group_by: [n], routes: [{receiver: A, continue: true}, {receiver: B}]}\n\
    receivers: [{name: R}, {name: A}, {name: B}]";

fn unavailable() -> DeliverError {
    DeliverError::transient("503 Service Unavailable").because(FailureReason::ServerError)
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_once_and_its_answer_is_told() {
    let b = bench(PLAIN).await;
    b.fire("n=a");
    seconds(3600).await;
    assert_eq!(b.outbox.got(), [(30, "R".to_owned(), 1)]);
    let attempts = b.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, Outcome::Delivered("200 OK".to_owned()));
    assert_eq!((attempts[0].number, attempts[0].took_ms, attempts[0].firing_total), (1, 50, 1));
    let metrics = b.alerting.metrics();
    let webhook = &metrics.integrations["webhook"];
    assert_eq!((webhook.notifications, webhook.requests, webhook.requests_failed), (1, 1, 0));
    assert_eq!((webhook.latency[0], webhook.failed.len()), (1, 0));
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let b = bench(TWO).await;
    b.outbox.set("A", Manner::Hangs);
    for i in 0..50 {
        b.fire(&format!("n={i}"));
    }
    seconds(31).await;
    let got = b.outbox.got();
    assert_eq!(got.len(), 50);
    assert!(got.iter().all(|(second, receiver, _)| *second == 30 && receiver == "B"), "{got:?}");
    // Nothing is forgotten: once it answers again, it hears of everything.
    b.outbox.set("A", Manner::Takes);
    seconds(1200).await;
    let got = b.outbox.got();
    assert_eq!(got.len(), 50);
    assert!(got.iter().all(|(_, receiver, _)| receiver == "A"));
    let failed = &b.alerting.metrics().integrations["webhook"];
    assert!(failed.requests_failed > 0);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_pass_are_tried_again_with_growing_pauses_until_the_next_tick() {
    let b = bench(PLAIN).await;
    b.outbox.set("R", Manner::Fails(unavailable()));
    b.fire("n=a");
    seconds(30 + 299).await;
    let tries = b.outbox.tries("R");
    // 0.5 s, 0.75 s, … 60 s: a dozen or two in five minutes, however the pauses fall.
    assert!((10..=30).contains(&tries), "{tries} tries");
    let attempts = b.attempts();
    let pauses: Vec<i64> = attempts
        .iter()
        .filter_map(|a| match &a.outcome {
            Outcome::Retrying { in_ms, .. } => Some(*in_ms),
            _ => None,
        })
        .collect();
    assert!(
        pauses[0] <= 750 && pauses.iter().all(|p| *p <= 90_000) && pauses.iter().any(|p| *p > 20_000),
        "{pauses:?}"
    );
    // After an hour it recovers, and the next try arrives.
    seconds(3300).await;
    b.outbox.set("R", Manner::Takes);
    seconds(330).await;
    assert_eq!(b.outbox.got().len(), 1);
    let metrics = b.alerting.metrics().integrations["webhook"].clone();
    assert_eq!(metrics.notifications - 1, metrics.failed.values().sum::<u64>());
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_broken_for_an_hour_delays_nobody_and_hears_of_everything_at_last() {
    let b = bench(TWO).await;
    b.outbox.set("A", Manner::Fails(unavailable()));
    b.fire("n=a");
    seconds(600).await;
    b.fire("n=b");
    seconds(600).await;
    b.resolve("n=a");
    seconds(2400).await;
    // The other one heard of each within its group's waiting: 30 s, and 30 s after the tenth minute; and of the end.
    let got = b.outbox.got();
    assert!(got.iter().all(|(_, receiver, _)| receiver == "B"), "{got:?}");
    let when: Vec<u64> = got.iter().map(|(second, ..)| *second).collect();
    assert_eq!(when, [30, 630, 1230]);
    let tries = b.outbox.tries("A");
    assert!(tries > 100, "{tries}");
    b.outbox.set("A", Manner::Takes);
    seconds(360).await;
    // What fires, and what was resolved meanwhile and was never told of: once each, and then nothing more.
    let heard: Vec<(String, usize)> = b.outbox.got().into_iter().map(|(_, r, n)| (r, n)).collect();
    assert_eq!(heard, [("A".to_owned(), 1)]);
    seconds(600).await;
    assert_eq!(b.outbox.got(), []);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    let b = bench(PLAIN).await;
    let error = DeliverError { retry_after_ms: Some(100_000), ..unavailable() };
    b.outbox.set("R", Manner::FailsFirst(1, error));
    b.fire("n=a");
    seconds(300).await;
    assert_eq!(b.outbox.got(), [(130, "R".to_owned(), 1)]);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again_before_the_next_tick() {
    let b = bench(PLAIN).await;
    let error = DeliverError::permanent("400 Bad Request").because(FailureReason::ClientError);
    b.outbox.set("R", Manner::Fails(error));
    b.fire("n=a");
    seconds(200).await;
    assert_eq!(b.outbox.tries("R"), 1);
    assert_eq!(b.attempts()[0].outcome, Outcome::Failed("400 Bad Request".to_owned()));
    assert_eq!(b.alerting.metrics().integrations["webhook"].failed[&FailureReason::ClientError], 1);
    seconds(200).await;
    assert_eq!(b.outbox.tries("R"), 2);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_groups_are_told_within_the_group_interval_a_few_at_a_time() {
    let b = start(PLAIN, Outbox::new(), Arc::new(Disk { forgets: true, ..Disk::default() })).await;
    let alerts: Vec<PostedAlert> = (0..10_000)
        .map(|i| PostedAlert { starts_at_ms: Some(START), ..firing(&format!("alertname=Down n={i}")) })
        .collect();
    assert_eq!(b.alerting.post(&alerts).firing, 10_000);
    seconds(30 + 300).await;
    let got = b.outbox.got();
    assert_eq!(got.len(), 10_000);
    assert!(got.iter().all(|(second, ..)| *second < 330));
    assert!(b.outbox.in_flight.lock().1 <= 16, "{:?}", b.outbox.in_flight.lock());
    b.alerting.stop().await;
    // All of that in a few transactions, not ten thousand.
    let saves = b.alerting.metrics();
    assert!(saves.saved_documents >= 20_000 && saves.saves < 5_000, "{saves:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_repeats_nothing() {
    let b = bench(PLAIN).await;
    b.fire("n=a");
    seconds(60).await;
    assert_eq!(b.outbox.got().len(), 1);
    b.alerting.stop().await;
    let b = start(PLAIN, b.outbox, b.disk).await;
    b.fire("n=a");
    seconds(600).await;
    assert_eq!(b.outbox.got(), []);
    b.resolve("n=a");
    seconds(600).await;
    assert_eq!(b.outbox.got().len(), 1);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_reba_ends_may_arrive_and_is_recorded() {
    let b = bench(PLAIN).await;
    b.fire("n=a");
    sleep(Duration::from_millis(30_020)).await;
    assert_eq!((b.outbox.tries("R"), b.outbox.got()), (1, vec![]));
    b.alerting.stop().await;
    assert_eq!(b.outbox.got().len(), 1);
    let b = start(PLAIN, b.outbox, b.disk).await;
    b.fire("n=a");
    seconds(600).await;
    assert_eq!(b.outbox.got(), []);
    // What hangs is not waited for.
    b.outbox.set("R", Manner::Hangs);
    b.fire("n=b");
    seconds(31).await;
    let before = Instant::now();
    b.alerting.stop().await;
    assert!(before.elapsed() < Duration::from_secs(6));
}

fn silence() -> PostedSilence {
    PostedSilence {
        matchers: parse_list("n=a", Grammar::Fallback).unwrap().matchers,
        starts_at_ms: START,
        ends_at_ms: START + 10 * 3_600_000,
        ..PostedSilence::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_saved_when_its_maker_hears_of_it() {
    let b = bench(PLAIN).await;
    let id = b.alerting.set_silence(&silence()).await.unwrap();
    assert!(b.disk.get("alerting.silences", &id).unwrap().is_some());
    let (outbox, disk) = (b.outbox.clone(), b.disk.clone());
    // No stop: the process is gone.
    drop(b);
    let b = start(PLAIN, outbox, disk).await;
    b.fire("n=a");
    seconds(600).await;
    assert_eq!(b.outbox.got(), []);
    b.alerting.expire_silence(&id).await.unwrap();
    seconds(600).await;
    assert_eq!(b.outbox.got().len(), 1);
    assert_eq!(b.alerting.expire_silence("nobody").await, Err(SilenceError::NotFound));
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_stops_no_notification_and_is_told() {
    let b = bench(PLAIN).await;
    *b.disk.full.lock() = true;
    let other = PostedSilence { matchers: vec![reba_model::Matcher::equal("n", "z")], ..silence() };
    let error = b.alerting.set_silence(&other).await;
    let why = "the state store: no space left on device".to_owned();
    assert_eq!(error, Err(SilenceError::NotSaved(why)));
    b.fire("n=b");
    seconds(60).await;
    assert_eq!(b.outbox.got().len(), 1);
    assert!(b.alerting.metrics().save_errors > 0);
    // Once there is room, everything is written.
    *b.disk.full.lock() = false;
    seconds(5).await;
    let spaces =
        ["alerting.silences", "alerting.log", "alerting.alerts"].map(|s| b.disk.list(s).unwrap().len());
    assert_eq!(spaces, [1, 1, 1]);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_story_in_order() {
    let b = bench(PLAIN).await;
    b.fire("n=a");
    seconds(60).await;
    b.resolve("n=a");
    seconds(600).await;
    let story: Vec<String> = b
        .events
        .lock()
        .iter()
        .map(|e| match &e.what {
            What::Alert { change, .. } => change.as_str().to_owned(),
            What::Attempt(a) => format!("{} {} {}", a.reason, a.firing_total, a.resolved_total),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(story, ["firing", "first notification 1 0", "resolved", "all alerts resolved 0 1"]);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_hands_what_comes_to_the_new_receivers() {
    let b = bench(PLAIN).await;
    b.fire("n=a");
    seconds(60).await;
    let (routing, integrations) = config(&PLAIN.replace('R', "S")).unwrap();
    let second = Outbox::new();
    b.alerting.reload(Arc::new(routing), integrations, Options::default(), second.clone());
    seconds(60).await;
    let receivers = |got: Vec<(u64, String, usize)>| got.into_iter().map(|g| g.1).collect::<BTreeSet<_>>();
    assert_eq!(receivers(b.outbox.got()), BTreeSet::from(["R".to_owned()]));
    assert_eq!(receivers(second.got()), BTreeSet::from(["S".to_owned()]));
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_is_tried_again_at_the_next_tick() {
    let b = bench(TWO).await;
    b.outbox.set("A", Manner::Panics);
    b.fire("n=a");
    seconds(60).await;
    assert_eq!(b.outbox.got(), [(30, "B".to_owned(), 1)]);
    b.outbox.set("A", Manner::Takes);
    seconds(300).await;
    assert_eq!(b.outbox.got(), [(330, "A".to_owned(), 1)]);
    b.alerting.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_test_of_a_receiver_is_one_try_that_the_log_does_not_hear_of() {
    let b = bench(PLAIN).await;
    let key = IntegrationKey { receiver: "R".to_owned(), integration: "webhook", index: 0 };
    let note = |b: &Bench| {
        let all = b.alerting.read(|m, now_ms| m.rehearse(&[firing("n=a")], Some("R"), now_ms)).unwrap();
        Notification { reason: crate::Reason::Test, ..all[0].note.clone() }
    };
    assert!(b.alerting.try_once(&key, &note(&b)).await.is_ok());
    b.outbox.set("R", Manner::Fails(unavailable()));
    for _ in 0..2 {
        assert_eq!(b.alerting.try_once(&key, &note(&b)).await.unwrap_err(), unavailable());
    }
    assert_eq!(b.attempts().iter().map(|a| a.reason).collect::<Vec<_>>(), ["test of the receiver"; 3]);
    let health = &b.alerting.health()[&key];
    assert_eq!((health.failures, health.took_ms), (2, 50));
    assert_eq!(health.outcome, Outcome::Failed("503 Service Unavailable".to_owned()));
    assert!(health.delivered_ms.is_some_and(|at| at < health.at_ms));
    assert_eq!(b.alerting.metrics().integrations.len(), 0);
    // The real thing is told of as if nothing had been.
    b.outbox.set("R", Manner::Takes);
    b.outbox.got();
    b.fire("n=a");
    seconds(60).await;
    assert_eq!(b.outbox.got().len(), 1);
    assert_eq!(b.alerting.health()[&key].failures, 0);
    b.outbox.set("R", Manner::Hangs);
    let hung = b.alerting.try_once(&key, &note(&b)).await.unwrap_err();
    assert_eq!(hung.message, "no answer within 60 s");
    b.alerting.stop().await;
}
