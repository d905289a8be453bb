//! The queue on a disk that fails, fills up, loses power or changes bits.

use std::{num::NonZeroU64, path::Path};

use proptest::prelude::*;
use reba_disk::{Fault, FaultFs, FaultKind, FaultOp, Fs as _, ManualClock};
use reba_storage::FloatSample;

use super::*;
use crate::{
    follow::{Follower, Value},
    position::{Found, Window},
};

const SERIES: u64 = 3;

struct Disk {
    fs: FaultFs,
    clock: Arc<ManualClock>,
}

impl Disk {
    fn new(fs: FaultFs) -> Self {
        Disk { fs, clock: Arc::new(ManualClock::new(0)) }
    }

    fn env(&self) -> Env {
        Env { fs: Arc::new(self.fs.clone()), clock: Arc::clone(&self.clock) as _ }
    }

    fn dir(&self) -> Dir {
        self.env().dir("/queue").unwrap()
    }

    fn open(&self) -> Queue {
        let limits = QueueLimits { segment_bytes: 400, ..QueueLimits::default() };
        Queue::open(&self.env(), self.dir(), limits, 1).unwrap()
    }

    /// The samples of every series that a receiver gets from the first segment on.
    fn follow(&self) -> Vec<Vec<i64>> {
        let segment = segments(&self.dir()).unwrap().first().copied().unwrap_or(1);
        let place = Place { segment, offset: SEGMENT_HEADER as u64 };
        let mut follower = Follower::new(self.dir(), place, Box::new(|l| Some(l.clone()))).unwrap();
        let mut items = Vec::new();
        follower.read(&mut items, usize::MAX, None).unwrap();
        let mut out = vec![Vec::new(); SERIES as usize];
        for item in items {
            let Value::Float(t, v) = item.value else { panic!("only floats were queued") };
            let i: usize = item.labels.value("i").parse().unwrap();
            assert_eq!(v, t as f64 + i as f64 / 4.0, "series {i} at {t}");
            out[i].push(t);
        }
        out
    }
}

/// Queues a sample of every series; whether the queue took them.
fn push(queue: &Queue, t: i64) -> bool {
    let labels: LabelsOf = Arc::new(|r| Some(Labels::from_pairs([("i", (r.0.get() - 1).to_string())])));
    let float = |i| FloatSample {
        series: SeriesRef(NonZeroU64::new(i + 1).unwrap()),
        t,
        v: t as f64 + i as f64 / 4.0,
    };
    let batch = WriteBatch { floats: (0..SERIES).map(float).collect(), ..WriteBatch::default() };
    let before = queue.refused.load(Ordering::Relaxed);
    queue.push(&batch, AppendMode::Partial, &AppendReport::default(), &labels);
    queue.refused.load(Ordering::Relaxed) == before
}

#[test]
fn a_queue_that_the_disk_failed_goes_on_in_another_segment() {
    for op in [FaultOp::Write, FaultOp::Sync, FaultOp::Create, FaultOp::SyncDir] {
        for (after, kind) in [(0, FaultKind::Eio), (0, FaultKind::Torn), (1, FaultKind::Eio)] {
            let disk = Disk::new(FaultFs::new());
            let queue = disk.open();
            let mut taken: Vec<i64> = (0..5).filter(|t| push(&queue, *t)).collect();
            disk.fs.inject(Fault { op, after, kind, forever: false });
            taken.extend((5..60).filter(|t| push(&queue, *t)));
            disk.clock.advance(REOPEN_PAUSE.as_millis() as i64);
            taken.extend((60..70).filter(|t| push(&queue, *t)));
            assert!(taken.ends_with(&(60..70).collect::<Vec<_>>()), "{op:?} {after} {kind:?}: {taken:?}");
            for times in disk.follow() {
                assert!(taken.iter().all(|t| times.contains(t)), "{op:?} {after} {kind:?}: {times:?}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Fail(Fault),
    Fill(u64),
    Heal,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let op =
        prop_oneof![Just(FaultOp::Write), Just(FaultOp::Sync), Just(FaultOp::Create), Just(FaultOp::SyncDir)];
    let kind = prop_oneof![Just(FaultKind::Eio), Just(FaultKind::Enospc), Just(FaultKind::Torn)];
    let fault = (op, 0u64..5, kind, any::<bool>())
        .prop_map(|(op, after, kind, forever)| Step::Fail(Fault { op, after, kind, forever }));
    prop_oneof![
        10 => (1u8..20).prop_map(Step::Push),
        2 => fault,
        1 => (0u64..900).prop_map(Step::Fill),
        3 => Just(Step::Heal),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn what_the_queue_took_is_sent_once_and_in_order_whatever_the_disk_does(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let disk = Disk::new(FaultFs::new());
        let mut queue = disk.open();
        let (mut now, mut taken) = (0, Vec::new());
        let heal = || {
            disk.fs.heal();
            disk.fs.set_capacity(u64::MAX);
            disk.clock.advance(REOPEN_PAUSE.as_millis() as i64);
        };
        for step in steps {
            match step {
                Step::Push(n) => {
                    taken.extend((now..now + i64::from(n)).filter(|t| push(&queue, *t)));
                    now += i64::from(n);
                }
                Step::Fail(fault) => disk.fs.inject(fault),
                Step::Fill(room) => disk.fs.set_capacity(disk.fs.used() + room),
                Step::Heal => heal(),
                Step::Restart => {
                    heal();
                    queue = disk.open();
                }
            }
        }
        heal();
        prop_assert!(push(&queue, now), "a disk that is well takes samples");
        taken.push(now);
        for times in disk.follow() {
            prop_assert!(times.is_sorted_by(|a, b| a < b), "{:?}", times);
            prop_assert!(taken.iter().all(|t| times.contains(t)), "{:?} of {:?}", times, taken);
        }
    }

    #[test]
    fn what_was_synced_is_sent_after_a_power_loss(n in 1i64..80, more in 0i64..40, seed in any::<u64>()) {
        let disk = Disk::new(FaultFs::new());
        let queue = disk.open();
        (0..n).for_each(|t| assert!(push(&queue, t)));
        queue.sync().unwrap();
        (n..n + more).for_each(|t| assert!(push(&queue, t)));
        let after = Disk::new(disk.fs.power_loss(seed));
        let queue = after.open();
        prop_assert!(push(&queue, n + more));
        for times in after.follow() {
            prop_assert!(times.is_sorted_by(|a, b| a < b), "{:?}", times);
            prop_assert!(times.starts_with(&(0..n).collect::<Vec<_>>()), "{:?}", times);
            prop_assert_eq!(times.last(), Some(&(n + more)));
        }
    }
}

#[test]
fn a_flipped_bit_costs_the_rest_of_its_segment_at_most() {
    let disk = Disk::new(FaultFs::new());
    let queue = disk.open();
    (0..60).for_each(|t| assert!(push(&queue, t)));
    queue.sync().unwrap();
    let all = disk.follow();
    let numbers = segments(&disk.dir()).unwrap();
    assert!(numbers.len() > 3, "{numbers:?}");
    for number in &numbers {
        let path = format!("/queue/{}", segment_name(*number));
        let size = disk.fs.read(Path::new(&path)).unwrap().len();
        let own = |t: &i64| {
            // What is in this segment: all that is missing without it.
            let fs = disk.fs.power_loss(0);
            fs.remove_file(Path::new(&path)).unwrap();
            !Disk::new(fs).follow()[0].contains(t)
        };
        let others: Vec<i64> = all[0].iter().copied().filter(|t| !own(t)).collect();
        for offset in SEGMENT_HEADER..size {
            let damaged = Disk::new(disk.fs.power_loss(0));
            damaged.fs.corrupt(Path::new(&path), offset, 1 << (offset % 8)).unwrap();
            for times in damaged.follow() {
                assert!(times.is_sorted_by(|a, b| a < b), "segment {number}, byte {offset}: {times:?}");
                assert!(
                    others.iter().all(|t| times.contains(t)),
                    "segment {number}, byte {offset}: {times:?}"
                );
            }
        }
    }
}

#[test]
fn a_position_survives_a_disk_that_fails_or_is_known_to_be_lost() {
    let place = |segment| Place { segment, offset: 16 };
    let old = Window { start: place(1), end: place(2), shards: 1 };
    let new = Window { start: place(2), end: place(3), shards: 2 };
    for op in [FaultOp::Create, FaultOp::Write, FaultOp::Sync, FaultOp::Rename, FaultOp::SyncDir] {
        for kind in [FaultKind::Eio, FaultKind::Enospc, FaultKind::Torn] {
            let disk = Disk::new(FaultFs::new());
            old.write(&disk.dir(), "a").unwrap();
            disk.fs.inject(Fault { op, after: 0, kind, forever: false });
            let written = new.write(&disk.dir(), "a");
            for seed in 0..4 {
                let after = Disk::new(disk.fs.power_loss(seed));
                let found = Window::read(&after.dir(), "a");
                let either = [Found::Window(old), Found::Window(new)].contains(&found);
                assert!(
                    either && (written.is_err() || found == Found::Window(new)),
                    "{op:?} {kind:?}: {found:?}"
                );
            }
        }
    }
    let disk = Disk::new(FaultFs::new());
    assert_eq!(Window::read(&disk.dir(), "a"), Found::Nothing);
    old.write(&disk.dir(), "a").unwrap();
    disk.fs.inject(Fault { op: FaultOp::Read, after: 0, kind: FaultKind::Eio, forever: false });
    assert!(matches!(Window::read(&disk.dir(), "a"), Found::Damaged(_)));
}
