//! What the services write down: a file each, in the form that the service's logger has.
//!
//! A line is made where something happens and handed to one thread that writes. Handlers never wait for the disk: where the
//! thread does not keep up, lines are left out, and counted.

mod files;
mod form;
mod line;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::SystemTime,
};

use easymo_commons::TraceContext;

pub(crate) use line::{Level, Line, stacks};

use self::{
    files::{Message, Writer},
    form::Face,
};
use crate::{Service, dice::Dice};

/// Lines that may wait: some seconds of a fleet at its fastest.
const WAITING: usize = 8192;
/// The share of traces whose frequent lines are written at real speed. A faster fleet writes a smaller share, so that those
/// lines are about as many a second.
const SHARE: f64 = 0.5;
/// How many different people there are.
const PEOPLE: f64 = 100_000.0;

/// Where log files are written, and how much of them is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// The folder, made if it is not there: `<service>.log`, `<service>.log.1`, …
    pub dir: PathBuf,
    /// A file that would grow beyond this many bytes is renamed, and a new one begun.
    pub max_bytes: u64,
    /// How many renamed files of each service are kept.
    pub keep: usize,
}

impl LogFiles {
    /// Files below `dir` that take at most 78 MiB together (13 services, 3 files of 2 MiB).
    pub fn below(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), max_bytes: 2 << 20, keep: 2 }
    }
}

/// Writes down what happens. Clones write to the same files.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    /// In the order of [`Service::ALL`].
    faces: Arc<[Face]>,
    share: f64,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct LogThread {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl LogThread {
    /// Writes what waits and ends. Blocks as long as the disk does.
    pub(crate) fn finish(self) {
        // A thread that panicked takes nothing and has nothing left to write.
        drop(self.queue.send(Message::Stop));
        drop(self.thread.join());
    }
}

impl Logs {
    /// Opens the folder and starts the thread.
    pub(crate) fn start(
        files: &LogFiles,
        environment: &str,
        seed: u64,
        speed: f64,
    ) -> io::Result<(Self, LogThread)> {
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, messages) = sync_channel(WAITING);
        let writer = Writer::open(files.clone(), lost.clone())?;
        let thread =
            std::thread::Builder::new().name("fleet-logs".to_owned()).spawn(|| writer.run(messages))?;
        let faces = Service::ALL.into_iter().map(|s| Face::of(s, environment, seed)).collect();
        let logs = Self { queue: queue.clone(), lost, faces, share: SHARE / speed.max(1.0) };
        Ok((logs, LogThread { queue, thread }))
    }

    /// Writes a line of a service, about the request that `trace` is of.
    pub(crate) fn write(&self, service: Service, trace: Option<&TraceContext>, line: Line) {
        let dice = trace.map(Dice::of_trace);
        if line.often && !dice.is_some_and(|dice| dice.chance("written down", self.share)) {
            return;
        }
        let about = trace.zip(dice).map(|(trace, dice)| About::new(trace, dice));
        let text = self.faces[service.index()].render(&line, about.as_ref(), SystemTime::now());
        if self.queue.try_send(Message::Line(service, text)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whom and what a request is about: the same in all services that it leads through.
#[derive(Debug)]
pub(crate) struct About {
    trace_id: String,
    span_id: String,
    request_id: String,
    user_id: String,
}

impl About {
    fn new(trace: &TraceContext, dice: Dice) -> Self {
        Self {
            trace_id: trace.trace_id().to_string(),
            span_id: trace.span_id().to_string(),
            request_id: format!("req-{:013x}", (dice.roll("request") * (1u64 << 52) as f64) as u64),
            user_id: format!("usr_{:05}", (dice.roll("user") * PEOPLE) as u64),
        }
    }
}

/// A telephone number as logs may have it: nobody can be called.
pub(crate) fn masked_phone(dice: Dice) -> String {
    format!("+2507******{:02}", (dice.roll("phone") * 100.0) as u8)
}

/// An address as logs may have it: nobody can be written to.
pub(crate) fn masked_email(dice: Dice) -> String {
    let letter = char::from(b'a' + (dice.roll("email") * 26.0) as u8);
    format!("{letter}***@example.rw")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use easymo_commons::IdGenerator;

    use super::*;

    fn written(speed: f64, work: impl FnOnce(&Logs)) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let (logs, thread) = Logs::start(&LogFiles::below(dir.path()), "test", 7, speed).unwrap();
        work(&logs);
        thread.finish();
        let text = fs::read_to_string(dir.path().join("wallet-service.log")).unwrap_or_default();
        (dir, text)
    }

    #[test]
    fn what_happened_before_the_end_is_in_the_file() {
        let (_dir, text) = written(1.0, |logs| {
            for n in 0..500 {
                logs.write(Service::Wallet, None, Line::info("counted", format!("line {n}")));
            }
        });
        assert_eq!(text.lines().count(), 500);
        assert!(text.lines().last().unwrap().contains(r#""msg":"line 499""#), "{text}");
    }

    #[test]
    fn half_of_the_traces_have_their_frequent_lines_and_fewer_when_the_fleet_is_faster() {
        let share = |speed| {
            let (_dir, text) = written(speed, |logs| {
                for n in 0..2000 {
                    let ids = IdGenerator::seeded(n);
                    let trace = TraceContext::root(&ids).with_tracestate(&Dice::new(n).tracestate());
                    logs.write(Service::Wallet, Some(&trace), Line::info("seen", "seen").often());
                }
            });
            text.lines().count()
        };
        assert!((900..1100).contains(&share(1.0)));
        assert!((60..140).contains(&share(10.0)));
    }

    #[test]
    fn one_trace_is_of_one_user_wherever_it_leads() {
        let ids = IdGenerator::seeded(1);
        let trace = TraceContext::root(&ids).with_tracestate(&Dice::new(5).tracestate());
        let (here, there) = (
            About::new(&trace, Dice::of_trace(&trace)),
            About::new(&trace.child(&ids), Dice::of_trace(&trace)),
        );
        assert_eq!(
            (&here.trace_id, &here.request_id, &here.user_id),
            (&there.trace_id, &there.request_id, &there.user_id)
        );
        assert_ne!(here.span_id, there.span_id);
        assert_eq!(masked_phone(Dice::new(1)).matches('*').count(), 6);
        assert!(masked_email(Dice::new(1)).contains("***@"));
    }
}
