use std::path::Path;

use http::StatusCode;
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::SmallRng};
use reba_disk::{FaultFs, ManualClock};
use reba_ingest::wire::Fields;
use reba_testkit::MemLogStore;

use super::{
    push::{Pushed, decode},
    queue::records,
    send::{Verdict, verdict},
    *,
};

fn entry(ns: i64, line: &str, app: &str) -> Entry {
    Entry::new(ns, line, Labels::from_pairs([("app", app)]))
}

fn env(fs: &FaultFs) -> reba_disk::Env {
    reba_disk::Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(0)) }
}

fn open(fs: &FaultFs, max: u64) -> Queue {
    let env = env(fs);
    let dir = env.dir(Path::new("/q")).unwrap();
    Queue::open(&env, dir, max).unwrap()
}

fn lines_of(request: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    decode(request, |e| out.push(e.line.to_owned())).unwrap();
    out
}

/// All lines from the sender's place on.
fn waiting(queue: &Queue) -> Vec<String> {
    let (mut place, mut out) = (queue.start(), Vec::new());
    loop {
        let read = queue.read(place, 1000).unwrap();
        let Some((_, end)) = read.last() else { return out };
        place = *end;
        out.extend(read.iter().flat_map(|(r, _)| lines_of(&r.request)));
    }
}

fn push_line(queue: &Queue, n: u32) -> Result<(), QueueError> {
    let entries = [entry(i64::from(n), &n.to_string(), "a")];
    let tenants = by_tenant(&entries, None, &Labels::empty());
    records(None, &tenants[&None]).iter().try_for_each(|r| queue.push(r))
}

#[test]
fn what_was_queued_survives_a_loss_of_power() {
    for seed in 0..20 {
        let fs = FaultFs::new();
        let queue = open(&fs, 1 << 30);
        for n in 0..50 {
            push_line(&queue, n).unwrap();
        }
        let fs = fs.power_loss(seed);
        let queue = open(&fs, 1 << 30);
        push_line(&queue, 50).unwrap();
        assert_eq!(waiting(&queue), (0..=50).map(|n| n.to_string()).collect::<Vec<_>>(), "seed {seed}");
        // What was sent is not sent again.
        let read = queue.read(queue.start(), 1).unwrap();
        queue.done(read[0].1, 1).unwrap();
        drop(queue);
        let queue = open(&fs.power_loss(seed), 1 << 30);
        assert_eq!(waiting(&queue).len(), 50, "seed {seed}");
    }
}

#[test]
fn a_full_queue_takes_nothing_until_something_is_sent() {
    let fs = FaultFs::new();
    let queue = open(&fs, 500);
    let mut n = 0;
    while push_line(&queue, n).is_ok() {
        n += 1;
    }
    assert!(matches!(push_line(&queue, n), Err(QueueError::Full)));
    assert!((5..30).contains(&n), "{n}");
    let read = queue.read(queue.start(), usize::MAX).unwrap();
    assert_eq!(read.len() as u32, n);
    let (place, bytes) = (read.last().unwrap().1, queue.waiting());
    queue.done(place, bytes).unwrap();
    push_line(&queue, n).unwrap();
    assert_eq!(waiting(&queue), [n.to_string()]);
}

#[test]
fn records_larger_than_a_read_and_many_segments_come_back() {
    let fs = FaultFs::new();
    let queue = open(&fs, 1 << 30);
    let line = "x".repeat(3 << 20);
    for n in 0..5 {
        let entries = [entry(n, &line, "a"), entry(n, "small", "b")];
        let tenants = by_tenant(&entries, None, &Labels::empty());
        for record in records(None, &tenants[&None]) {
            queue.push(&record).unwrap();
        }
    }
    let lines = waiting(&queue);
    assert_eq!(lines.len(), 10);
    assert_eq!(lines.iter().filter(|l| l.len() == line.len()).count(), 5);
    // Segments that are done with go.
    let (mut place, before) = (queue.start(), fs.used());
    while let Some((_, end)) = queue.read(place, 10 << 20).unwrap().last() {
        place = *end;
    }
    queue.done(place, queue.waiting()).unwrap();
    assert!(fs.used() < before / 2);
}

#[test]
fn batches_are_of_one_tenant_and_streams_get_external_labels() {
    let mut other = entry(2, "b", "a");
    other.tenant = Some("t2".to_owned());
    let entries = [entry(1, "a", "a"), other, entry(3, "c", "a")];
    let external = Labels::from_pairs([("app", "external"), ("host", "h")]);
    let default = Tenant::new("t1").unwrap();
    let tenants = by_tenant(&entries, Some(&default), &external);
    let labels = Labels::from_pairs([("app", "a"), ("host", "h")]);
    assert_eq!(tenants[&Some(default)][&labels].len(), 2);
    assert_eq!(tenants[&Some(Tenant::new("t2").unwrap())][&labels].len(), 1);
    let store = MemLogStore::default();
    let batch = &batches(&tenants[&Some(Tenant::new("t1").unwrap())])[0];
    assert_eq!(store.append_logs(&Tenant::single(), batch).unwrap().appended, 2);
}

#[test]
fn statuses_mean_what_promtail_takes_them_for() {
    for (status, expected) in [
        (204, Verdict::Taken),
        (400, Verdict::Refused),
        (401, Verdict::Refused),
        (429, Verdict::Later),
        (500, Verdict::Later),
        (503, Verdict::Later),
    ] {
        assert_eq!(verdict(StatusCode::from_u16(status).unwrap(), false), expected, "{status}");
    }
    assert_eq!(verdict(StatusCode::TOO_MANY_REQUESTS, true), Verdict::Refused);
}

#[test]
fn pauses_double_up_to_the_longest_and_end_when_they_are_to() {
    let backoff = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(4), retries: Some(6) };
    let mut pauses = Pauses::new(backoff);
    let mut dice = SmallRng::seed_from_u64(1);
    let all: Vec<Duration> = std::iter::from_fn(|| pauses.next(&mut dice)).collect();
    let longest = [500, 1000, 2000, 4000, 4000].map(Duration::from_millis);
    assert_eq!(all.len(), longest.len());
    assert!(all.iter().zip(longest).all(|(p, most)| *p <= most && *p >= most / 2), "{all:?}");
    let mut forever = Pauses::new(Backoff { retries: None, ..backoff });
    assert!((0..1000).all(|_| forever.next(&mut dice).is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn requests_round_trip(rows in prop::collection::vec((any::<i64>(), ".{0,40}", prop::collection::vec(("[a-z]{1,5}", ".{0,9}"), 0..3)), 1..10)) {
        let labels = Labels::from_pairs([("app", "q\"x\\"), ("b", "\u{e9}")]);
        let entries: Vec<Entry> = rows.iter().map(|(ns, line, metadata)| {
            Entry { metadata: metadata.clone(), ..Entry::new(*ns, line.as_str(), labels.clone()) }
        }).collect();
        let mut request = Vec::new();
        // Two messages, one behind the other, are one.
        encode(&mut request, &labels, &entries[..1]);
        encode(&mut request, &labels, &entries[1..]);
        prop_assert_eq!(Fields::new(&request).count(), 2);
        let mut seen = Vec::new();
        decode(&request, |e| seen.push((e.labels.to_owned(), e.ns, e.line.to_owned(), e.metadata.len()))).unwrap();
        let expected: Vec<_> = rows.iter().map(|(ns, line, m)| (labels.to_string(), *ns, line.clone(), m.len())).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&bytes, |_: Pushed<'_>| {});
    }
}
