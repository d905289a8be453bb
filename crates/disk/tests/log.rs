//! The log under concurrency, failure and power loss.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use reba_disk::{
    DiskError, Env, Fault, FaultFs, FaultKind, FaultOp, Log, LogConfig, ManualClock, SegmentEnd,
    read_segment, segments,
};

const DURABLE: LogConfig = LogConfig { segment_bytes: 400, fsync_interval: Duration::ZERO };

fn env(fs: &FaultFs) -> Env {
    Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(0)) }
}

fn open(fs: &FaultFs, config: LogConfig) -> Log {
    Log::open(&env(fs), env(fs).dir("/log").unwrap(), config, 1).unwrap()
}

fn read(fs: &FaultFs) -> Vec<String> {
    let dir = env(fs).dir("/log").unwrap();
    let mut out = Vec::new();
    for n in segments(&dir).unwrap() {
        let end = read_segment(&dir, n, |p| {
            out.push(String::from_utf8(p.to_vec()).unwrap());
            true
        });
        assert!(!matches!(end.unwrap(), SegmentEnd::Corrupt { .. }));
    }
    out
}

fn write(log: &Log, text: &str) -> Result<(), DiskError> {
    log.ready()?;
    log.commit(log.push(text.as_bytes()))
}

#[test]
fn many_appenders_share_writes_and_every_frame_is_there_in_order() {
    let fs = FaultFs::new();
    let log = open(&fs, DURABLE);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for i in 0..50 {
                    write(log, &format!("{thread} {i:03}")).unwrap();
                }
            });
        }
    });
    let found = read(&fs);
    assert_eq!(found.len(), 400);
    for thread in 0..8 {
        let own: Vec<_> = found.iter().filter(|f| f.starts_with(&format!("{thread} "))).collect();
        assert!(own.is_sorted() && own.len() == 50);
    }
    let stats = log.stats();
    assert!(stats.segment > 5 && stats.writes <= 400, "{stats:?}");
}

#[test]
fn a_full_disk_refuses_and_what_was_queued_is_written_first_when_space_returns() {
    let fs = FaultFs::new();
    let log = open(&fs, LogConfig::default());
    write(&log, "a").unwrap();
    fs.set_capacity(fs.used() + 3);
    let queued = log.push(b"b");
    assert!(log.commit(queued).unwrap_err().is_full());
    assert!(log.ready().unwrap_err().is_full());
    fs.set_capacity(u64::MAX);
    write(&log, "c").unwrap();
    assert_eq!(read(&fs), ["a", "b", "c"]);
}

#[test]
fn a_failed_fsync_or_a_torn_write_poisons_the_log() {
    for (op, kind) in [(FaultOp::Sync, FaultKind::Eio), (FaultOp::Write, FaultKind::Torn)] {
        let fs = FaultFs::new();
        let log = open(&fs, DURABLE);
        write(&log, "a").unwrap();
        fs.inject(Fault { op, after: 0, kind, forever: false });
        assert!(write(&log, "b").is_err());
        assert!(matches!(write(&log, "c"), Err(DiskError::Poisoned { .. })));
        assert!(matches!(log.sync(), Err(DiskError::Poisoned { .. })));
        assert_eq!(log.stats().failures, 1);
        drop(log);
        assert_eq!(read(&fs)[0], "a");
        write(&open(&fs, DURABLE), "d").unwrap();
        assert_eq!(read(&fs).last().unwrap(), "d");
    }
}

#[test]
fn power_loss_costs_nothing_that_was_committed_durably() {
    for seed in 0..100 {
        let fs = FaultFs::new();
        let log = open(&fs, DURABLE);
        let want: Vec<String> = (0..30).map(|i| format!("frame {i}")).collect();
        for text in &want {
            write(&log, text).unwrap();
        }
        log.push(b"never committed");
        let found = read(&fs.power_loss(seed));
        assert_eq!(found[..30], want, "seed {seed}");
    }
}

#[test]
fn the_interval_bounds_what_power_loss_can_cost() {
    let fs = FaultFs::new();
    let clock = Arc::new(ManualClock::new(0));
    let env = Env { fs: Arc::new(fs.clone()), clock: clock.clone() };
    let config = LogConfig { fsync_interval: Duration::from_secs(1), ..LogConfig::default() };
    let log = Log::open(&env, env.dir("/log").unwrap(), config, 1).unwrap();
    write(&log, "a").unwrap();
    assert_eq!(log.stats().fsyncs, 0);
    log.sync_if_due().unwrap();
    assert_eq!(log.stats().fsyncs, 0, "not due yet");
    clock.advance(1000);
    log.sync_if_due().unwrap();
    assert_eq!(log.stats().fsyncs, 1);
    clock.advance(1000);
    log.sync_if_due().unwrap();
    assert_eq!(log.stats().fsyncs, 1, "nothing new was written");
    for seed in 0..20 {
        assert_eq!(read(&fs.power_loss(seed)), ["a"]);
    }
}
