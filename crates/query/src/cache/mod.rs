//! Results of range queries, kept for the next refresh of the same panel (`docs/adr/0012-result-cache.md`).
//!
//! A point is taken from here only if no sample that it could depend on has changed since it was computed: the store says
//! how far back anything has changed ([`ChangeLog`]), the expression how far ahead of its steps it looks
//! ([`reba_promql::eval::reach`]). There is no guess about how late samples may be. What is not kept: results with
//! warnings or infos, with native histograms, and expressions whose value at a step depends on other steps.

mod entry;
mod table;

use reba_promql::eval::{
    QueryTimes,
    value::{Steps, VectorSeries},
};
use reba_storage::ChangeLog;

pub use self::table::CacheTotals;
pub(crate) use self::table::ResultCache;
use self::{entry::Entry, table::Key};
use crate::{
    ExecError, QueryData, QueryOutput, QueryStats,
    run::{Context, Facts, Task},
};

impl ResultCache {
    /// Answers a task: as much as possible from what is kept, the rest from the store.
    pub(crate) fn answer(
        &self,
        task: &Task,
        context: Context<'_>,
        stats: &mut QueryStats,
    ) -> Result<QueryOutput, ExecError> {
        let Some((key, log)) = Key::of(task).zip(context.store.change_log()) else {
            return Ok(task.run(context, stats)?.0);
        };
        let steps = task.times.steps();
        if let Some(entry) = self.get(&key) {
            let request = Request { task, context, log, key: &key, steps };
            if let Some(output) = self.refresh(&request, &entry, stats)? {
                return Ok(output);
            }
            // What was fetched for nothing is gone, and does not count.
            context.budget.start_over();
        }
        self.count_miss();
        // Before anything is read: what changes from here on is found changed the next time.
        let generation = log.generation();
        let (output, facts) = task.run(context, stats)?;
        if self.is_wanted(&key)
            && let Some(series) = keepable(&output, facts)
            && let Some(ahead) = facts.reach
        {
            self.put(key, Entry::new(generation, ahead, steps, series));
        }
        Ok(output)
    }

    /// Answers from an entry and, for the steps it does not cover, from the store; `None` if the entry does not help.
    fn refresh(
        &self,
        request: &Request<'_>,
        entry: &Entry,
        stats: &mut QueryStats,
    ) -> Result<Option<QueryOutput>, ExecError> {
        let Request { task, context, log, key, steps } = *request;
        let (now, oldest) = log.since(entry.generation());
        let reused = entry.usable(steps, oldest);
        if reused == 0 {
            return Ok(None);
        }
        let Some(tail) = task.tail(steps, reused) else {
            self.count_hit(steps.count, 0);
            let data = QueryData::Range { steps, series: entry.part(steps) };
            return Ok(Some(plain(data, *stats)));
        };
        let (output, facts) = tail.run(context, stats)?;
        let Some(rest) = keepable(&output, facts) else {
            // Which notes belong to the whole range only the whole range can tell.
            self.remove(key);
            return Ok(None);
        };
        // What was taken from the entry must still hold now that the rest was read, or the two parts do not fit.
        if entry.usable(steps, earliest(oldest, log.since(now).1)) < reused {
            return Ok(None);
        }
        self.count_hit(reused, steps.count - reused);
        let merged = entry.extended(now, steps, reused, rest);
        let series = merged.part(steps);
        self.put(key.clone(), merged);
        let data = QueryData::Range { steps, series };
        Ok(Some(plain(data, output.stats)))
    }
}

/// An answer of which nothing is noted.
fn plain(data: QueryData, stats: QueryStats) -> QueryOutput {
    QueryOutput { data, warnings: Vec::new(), infos: Vec::new(), stats, samples_per_step: Vec::new() }
}

/// What is asked of an entry.
#[derive(Clone, Copy)]
struct Request<'a> {
    task: &'a Task,
    context: Context<'a>,
    log: &'a ChangeLog,
    key: &'a Key,
    steps: Steps,
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    [a, b].into_iter().flatten().min()
}

/// The series of a result that may be kept, or extend what is kept.
fn keepable(output: &QueryOutput, facts: Facts) -> Option<&[VectorSeries]> {
    match &output.data {
        QueryData::Range { series, .. }
            if facts.only_floats && output.warnings.is_empty() && output.infos.is_empty() =>
        {
            Some(series)
        }
        _ => None,
    }
}

impl Task {
    /// The same for the steps from number `first` on; `None` if there is none.
    fn tail(&self, steps: Steps, first: usize) -> Option<Task> {
        let QueryTimes::Range { end, step, .. } = self.times else { return None };
        let times = QueryTimes::Range { start: steps.at(first), end, step };
        (first < steps.count).then(|| Task { times, ..self.clone() })
    }
}
