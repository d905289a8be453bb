//! Runs that are for looking: lines of standard input, and entries printed instead of sent.

use std::{
    io::BufRead,
    sync::{Arc, mpsc},
    time::Duration,
};

use reba_model::{Labels, LogBatch, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};

use crate::{
    config::ShipConfig,
    entry::Entry,
    run::{IsOurs, Shipper, StartError, Surroundings},
    stage::Inspector,
};

/// Lines handed on together.
const BATCH: usize = 512;

/// Takes a piece of text, to be shown.
pub type Print = Arc<dyn Fn(&str) + Send + Sync>;

/// Prints entries as `TIME{labels}<tab>line`, and takes them all.
struct Printer(Print);

impl LogAppender for Printer {
    fn append_logs(&self, _: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        for stream in batch.streams() {
            for entry in stream.entries() {
                let time = jiff::Timestamp::from_nanosecond(i128::from(entry.ns));
                let time = time.map_or_else(|_| entry.ns.to_string(), |t| t.to_string());
                let mut text = format!("{time}{}\t{}", stream.labels(), entry.line);
                let metadata: Vec<String> = entry.metadata().map(|(n, v)| format!("{n}={v:?}")).collect();
                if !metadata.is_empty() {
                    text.push_str(&format!("\t{}", metadata.join(" ")));
                }
                text.push('\n');
                (self.0)(&text);
            }
        }
        Ok(LogReport { appended: batch.len(), duplicates: 0 })
    }
}

/// A store that prints what it is given, for [`Surroundings::store`]; every client's URL means it.
pub fn printer(print: Print) -> (Arc<dyn LogAppender>, IsOurs) {
    (Arc::new(Printer(print)), Arc::new(|_| true))
}

impl ShipConfig {
    /// Makes it a run that changes nothing: positions are read and not written, and no client is sent anything. To be started
    /// with a [`printer`].
    pub fn dry(&mut self) {
        self.positions.read_only = true;
        self.clients.clear();
    }

    /// Tells what every stage does to every entry.
    pub fn inspect(&mut self, inspector: &Inspector) {
        for job in &mut self.jobs {
            job.pipeline.inspect(inspector);
        }
    }
}

impl Shipper {
    /// Runs the lines of `input` through the first job of the configuration, whose own sources are left alone, and waits until
    /// all is delivered. Lines have the job's static labels, or `job="stdin"` and the name of the host.
    pub async fn ship_lines(
        mut config: ShipConfig,
        around: &Surroundings,
        input: Box<dyn BufRead + Send>,
    ) -> Result<Shipper, StartError> {
        if config.jobs.len() > 1 {
            tracing::warn!(jobs = config.jobs.len(), "standard input goes through the first job only");
        }
        config.jobs.truncate(1);
        let mut builder = Labels::empty().to_builder();
        for group in config.jobs.iter_mut().flat_map(|j| j.leave_sources()) {
            for (name, value) in group.labels.iter().filter(|(n, _)| !n.starts_with("__")) {
                builder.set(name, value);
            }
        }
        if builder.is_empty() {
            builder.set("job", "stdin").set("hostname", &around.host);
        }
        if config.jobs.is_empty() {
            config.jobs.push(crate::config::JobConfig::named("stdin"));
        }
        let shipper = Shipper::start(config, around)?;
        let (labels, now_ns) = (builder.build(), Arc::clone(&around.now_ns));
        let Some(job) = shipper.first_job() else { return Ok(shipper) };
        let work = tokio::task::spawn_blocking(move || {
            let (send, lines) = mpsc::sync_channel::<String>(BATCH);
            // A line that was typed is not to wait for the next one.
            std::thread::spawn(move || read(input, &send));
            while let Ok(first) = lines.recv() {
                let more = lines.try_iter().take(BATCH - 1);
                let entry = |line| Entry::new(now_ns(), line, labels.clone());
                if !job.handle(std::iter::once(first).chain(more).map(entry).collect()) {
                    return;
                }
            }
            job.release(true);
        });
        let _ = work.await;
        while !shipper.is_drained() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(shipper)
    }
}

/// Reads lines; a line longer than a file's may be is handed on in pieces.
fn read(mut input: Box<dyn BufRead + Send>, send: &mpsc::SyncSender<String>) {
    loop {
        let mut line = Vec::new();
        let most = crate::tail::MAX_LINE as u64;
        match std::io::Read::take(&mut input, most).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if send.send(text.strip_suffix('\r').unwrap_or(text).to_owned()).is_err() {
            return;
        }
    }
}
