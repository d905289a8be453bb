//! Pipelines: what is done to each line between its source and the store.
//!
//! A stage is a function of the entry, the time and what it has kept of entries before (blocks of lines, token buckets). It
//! neither sleeps nor reads a clock: whoever runs the pipeline hands in the time and obeys [`Context::delay`].

mod auto;
mod config;
mod digest;
mod extract;
mod inspect;
mod jmespath;
mod join;
mod labels;
mod level;
mod metrics;
mod moment;
mod select;
mod template;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub(crate) use config::{Reading, pipeline};
pub(crate) use join::nanos;

pub use inspect::Inspector;
pub use level::level_name;
pub use metrics::CustomMetrics;
pub(crate) use moment::{moment_ns, syslog_ns};
pub(crate) use select::Bucket;

use crate::{entry::Entry, metrics::Counters};

/// What a pipeline is run with.
#[derive(Debug)]
pub struct Context<'a> {
    /// Unix nanoseconds.
    pub now_ns: i64,
    /// The name of the job, for counters.
    pub job: &'a str,
    /// Where drops are counted.
    pub counters: &'a Counters,
    /// How long the source has to pause before it reads on (`limit` without `drop`).
    pub delay: Duration,
}

impl<'a> Context<'a> {
    /// A context without a delay.
    pub fn new(now_ns: i64, job: &'a str, counters: &'a Counters) -> Self {
        Context { now_ns, job, counters, delay: Duration::ZERO }
    }
}

/// What becomes of an entry behind a stage.
pub(crate) enum Flow {
    /// It goes on.
    Next,
    /// It goes on although the stage found nothing to do in it.
    Missed,
    /// It is dropped, for this reason.
    Drop(Arc<str>),
    /// The stage has taken it; these go on in its place.
    Instead(Vec<Entry>),
}

/// One stage, ready to run.
#[derive(Debug)]
pub(crate) enum Stage {
    Json(extract::Json),
    Logfmt(extract::Logfmt),
    Regex(extract::Regex),
    Replace(template::Replace),
    Template(template::TemplateStage),
    Timestamp(moment::Timestamp),
    Output { source: String },
    Labels(Vec<(String, String)>),
    Metadata(Vec<(String, String)>),
    StaticLabels(Vec<(String, String)>),
    LabelDrop(Vec<String>),
    LabelAllow(Vec<String>),
    Tenant(labels::TenantFrom),
    Match(select::Match),
    Drop(select::Drop),
    Limit(select::Limit),
    Sampling(select::Sampling),
    Multiline(join::Multiline),
    Docker(join::Docker),
    Cri(join::Cri),
    Metrics(Arc<CustomMetrics>),
    Pack(labels::Pack),
    Decolorize,
    EventLogMessage(labels::EventLogMessage),
    Auto(auto::Auto),
}

impl Stage {
    /// Runs the stage. An entry that is taken ([`Flow::Instead`]) leaves an empty one behind.
    fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        match self {
            Stage::Json(stage) => stage.apply(entry),
            Stage::Logfmt(stage) => stage.apply(entry),
            Stage::Regex(stage) => stage.apply(entry),
            Stage::Replace(stage) => stage.apply(entry),
            Stage::Template(stage) => stage.apply(entry),
            Stage::Timestamp(stage) => stage.apply(entry, cx),
            Stage::Output { source } => labels::output(entry, source),
            Stage::Labels(pairs) => labels::labels(entry, pairs),
            Stage::Metadata(pairs) => labels::metadata(entry, pairs),
            Stage::StaticLabels(pairs) => labels::static_labels(entry, pairs),
            Stage::LabelDrop(names) => labels::retain(entry, |n| !names.iter().any(|d| d == n)),
            Stage::LabelAllow(names) => labels::retain(entry, |n| names.iter().any(|k| k == n)),
            Stage::Tenant(from) => from.apply(entry),
            Stage::Match(stage) => stage.apply(entry, cx),
            Stage::Drop(stage) => stage.apply(entry, cx.now_ns),
            Stage::Limit(stage) => stage.apply(entry, cx),
            Stage::Sampling(stage) => stage.apply(),
            Stage::Multiline(stage) => stage.apply(entry, cx.now_ns),
            Stage::Docker(stage) => stage.apply(entry, cx),
            Stage::Cri(stage) => stage.apply(entry, cx),
            Stage::Metrics(metrics) => metrics.apply(entry, cx.now_ns),
            Stage::Pack(stage) => stage.apply(entry, cx.now_ns),
            Stage::Decolorize => labels::decolorize(entry),
            Stage::EventLogMessage(stage) => stage.apply(entry),
            Stage::Auto(stage) => stage.apply(entry, cx),
        }
    }

    /// What the stage has kept for longer than it may, or all of it.
    fn release(&mut self, cx: &mut Context<'_>, all: bool) -> Vec<Entry> {
        match self {
            Stage::Match(stage) => stage.release(cx, all),
            Stage::Multiline(stage) => stage.release(cx.now_ns, all),
            Stage::Docker(stage) => stage.release(cx.now_ns, all),
            Stage::Cri(stage) => stage.release(cx.now_ns, all),
            Stage::Auto(stage) => stage.release(cx.now_ns, all),
            _ => Vec::new(),
        }
    }
}

/// A stage with its name and how often it found something to do.
#[derive(Debug)]
struct Step {
    /// Where it stands: `pipeline_stages[2].regex`.
    path: String,
    stage: Stage,
    seen: u64,
    missed: u64,
}

/// How much a stage found to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageReport {
    /// Where it stands in its file.
    pub path: String,
    /// Entries it was given.
    pub seen: u64,
    /// Those in which it found nothing to do.
    pub missed: u64,
}

/// Stages in their order.
#[derive(Debug, Default)]
pub struct Pipeline {
    steps: Vec<Step>,
    inspector: Option<Inspector>,
}

impl Pipeline {
    pub(crate) fn new(stages: Vec<(String, Stage)>) -> Self {
        let step = |(path, stage)| Step { path, stage, seen: 0, missed: 0 };
        Pipeline { steps: stages.into_iter().map(step).collect(), inspector: None }
    }

    /// Tells what each stage does to each entry from now on.
    pub fn inspect(&mut self, inspector: &Inspector) {
        self.inspector = Some(inspector.clone());
        for step in &mut self.steps {
            if let Stage::Match(inner) = &mut step.stage {
                inner.inspect(inspector);
            }
        }
    }

    /// Runs the stages over an entry; what comes out is added to `out`, in order.
    pub fn process(&mut self, entry: Entry, cx: &mut Context<'_>, out: &mut Vec<Entry>) {
        self.from(0, entry, cx, out);
    }

    /// Hands out what stages have waited long enough to complete. To be called every second or so.
    pub fn tick(&mut self, cx: &mut Context<'_>, out: &mut Vec<Entry>) {
        self.release(cx, false, out);
    }

    /// Hands out everything that stages still hold.
    pub fn drain(&mut self, cx: &mut Context<'_>, out: &mut Vec<Entry>) {
        self.release(cx, true, out);
    }

    /// What each stage has found so far, those inside of `match` behind it.
    pub fn report(&self) -> Vec<StageReport> {
        let mut out = Vec::new();
        for step in &self.steps {
            out.push(StageReport { path: step.path.clone(), seen: step.seen, missed: step.missed });
            if let Stage::Match(inner) = &step.stage {
                out.extend(inner.report());
            }
        }
        out
    }

    fn release(&mut self, cx: &mut Context<'_>, all: bool, out: &mut Vec<Entry>) {
        for i in 0..self.steps.len() {
            for entry in self.steps[i].stage.release(cx, all) {
                self.from(i + 1, entry, cx, out);
            }
        }
    }

    /// Runs an entry through the stages from `first` on. It calls itself once a stage at most.
    fn from(&mut self, first: usize, mut entry: Entry, cx: &mut Context<'_>, out: &mut Vec<Entry>) {
        for i in first..self.steps.len() {
            let step = &mut self.steps[i];
            step.seen += 1;
            let before = self.inspector.as_ref().map(|_| inspect::seen(&entry));
            let flow = step.stage.apply(&mut entry, cx);
            if let (Some(before), Some(inspector)) = (before, &self.inspector) {
                (inspector.0)(&inspect::changes(&step.path, &before, &flow, &entry));
            }
            match flow {
                Flow::Next => {}
                Flow::Missed => step.missed += 1,
                Flow::Drop(reason) => return cx.counters.dropped(&reason, &entry.line),
                Flow::Instead(entries) => {
                    for entry in entries {
                        self.from(i + 1, entry, cx, out);
                    }
                    return;
                }
            }
        }
        out.push(entry);
    }
}
