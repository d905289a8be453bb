//! From a search to the newest traces that match.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reba_model::{NanoRange, Tenant, spans::TraceId};
use reba_traceql::{FetchPlan, Search, Trace, TraceMatch, syntax::parse_valid, units::format_duration};

use super::{
    Parts, TraceError, TraceStats,
    scans::{Context, Onlooker, Worker},
    want,
};

/// A search for traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSearch {
    /// Whose.
    pub tenant: Tenant,
    /// TraceQL.
    pub query: String,
    /// A trace must have a span that starts here; `None`: everything there is.
    pub range: Option<NanoRange>,
    /// Most traces of the answer; 0: all.
    pub limit: usize,
    /// Spans shown of each spanset; 0: all.
    pub spans_per_spanset: usize,
    /// The shortest trace of the answer, in nanoseconds.
    pub min_duration_ns: Option<i64>,
    /// The longest trace of the answer, in nanoseconds.
    pub max_duration_ns: Option<i64>,
}

/// Traces that match.
#[derive(Clone, Debug, Default)]
pub struct SearchOutput {
    /// The newest first; of those that began at one time, by id.
    pub traces: Vec<TraceMatch>,
    /// What it cost.
    pub stats: TraceStats,
    /// What could not be had.
    pub warnings: Vec<String>,
}

/// Answers a search; with `parts`, with what was not told of there.
pub(super) fn answer(
    asked: &TraceSearch,
    parts: Option<&Parts<SearchOutput>>,
    context: Context<'_>,
) -> Result<SearchOutput, TraceError> {
    let query = parse_valid(&asked.query)?;
    check(asked, &context)?;
    let options = context.options(asked.spans_per_spanset);
    // The first one says what is wrong with the query before anything is read.
    Search::new(&query, &options)?;
    let Some(plan) = FetchPlan::of(&query).pop() else {
        return Err(TraceError::bad("invalid TraceQL query: nothing to search for"));
    };
    let want = want::of_search(&plan, options.anchored_regex);
    let newest = Arc::new(Mutex::new(Newest { limit: asked.limit, traces: BTreeMap::new() }));
    let range = asked.range.unwrap_or(NanoRange::ALL);
    let make = || Ok(Searcher { search: Search::new(&query, &options)?, asked, newest: Arc::clone(&newest) });
    let teller = parts.map(|parts| Teller { parts, newest: Arc::clone(&newest), told: Mutex::default() });
    let onlooker = teller.as_ref().map(|teller| teller as &dyn Onlooker);
    let (_, stats) = context.run(&want, range, &make, onlooker)?;
    let mut traces = std::mem::take(&mut newest.lock().traces);
    if let Some(last) = teller.and_then(|teller| teller.told.into_inner().last) {
        traces = traces.split_off(&last);
        traces.remove(&last);
    }
    let traces = traces.into_values().collect();
    Ok(SearchOutput { traces, stats: context.finished(stats), warnings: context.budget.take_warnings() })
}

fn check(asked: &TraceSearch, context: &Context<'_>) -> Result<(), TraceError> {
    let (most, limit) = (context.limits.max_traces, asked.limit);
    if most != 0 && (limit > most || limit == 0) {
        return Err(TraceError::BadRequest(format!("limit {limit} exceeds max limit {most}")));
    }
    match asked.range {
        Some(range) => check_range(range, context.limits.max_search_range),
        None => Ok(()),
    }
}

/// Refuses ranges that are empty or too long, in upstream's words.
pub(super) fn check_range(range: NanoRange, limit: Duration) -> Result<(), TraceError> {
    let (start, end) = (range.start.div_euclid(1_000_000_000), range.end.div_euclid(1_000_000_000));
    if range.is_empty() {
        return Err(TraceError::BadRequest(format!(
            "http parameter start must be before end. received start={start} end={end}"
        )));
    }
    let most = i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX);
    if most != 0 && range.end.saturating_sub(range.start) > most {
        return Err(TraceError::BadRequest(format!(
            "range specified by start and end exceeds {}. received start={start} end={end}",
            format_duration(most)
        )));
    }
    Ok(())
}

/// A trace's place in the answer: by start, the newest first, then by id.
type Rank = (Reverse<i64>, TraceId);

/// The newest traces found by all threads.
struct Newest {
    limit: usize,
    traces: BTreeMap<Rank, TraceMatch>,
}

impl Newest {
    /// Whether a trace that begins then, or later, can be part of the answer.
    fn has_room(&self, start_ns: i64) -> bool {
        let oldest = self.traces.last_key_value().map(|((Reverse(start), _), _)| *start);
        self.limit == 0 || self.traces.len() < self.limit || oldest.is_none_or(|oldest| start_ns >= oldest)
    }

    fn add(&mut self, found: TraceMatch) {
        self.traces.insert((Reverse(found.start_ns), found.trace_id), found);
        if self.limit != 0 && self.traces.len() > self.limit {
            self.traces.pop_last();
        }
    }
}

struct Searcher<'a> {
    search: Search,
    asked: &'a TraceSearch,
    newest: Arc<Mutex<Newest>>,
}

impl Worker for Searcher<'_> {
    fn wants(&self, scan: NanoRange) -> bool {
        self.newest.lock().has_room(scan.end.saturating_sub(1))
    }

    fn wants_trace(&self, start_ns: i64) -> bool {
        self.newest.lock().has_room(start_ns)
    }

    fn take(&mut self, trace: &Trace) -> Result<ControlFlow<()>, TraceError> {
        let duration = trace.duration_ns();
        let is_long = self.asked.min_duration_ns.is_none_or(|least| duration >= least);
        if is_long
            && self.asked.max_duration_ns.is_none_or(|most| duration <= most)
            && let Some(found) = self.search.run(trace)?
        {
            self.newest.lock().add(found);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Tells of traces as soon as nothing newer can come.
struct Teller<'a> {
    parts: &'a Parts<SearchOutput>,
    newest: Arc<Mutex<Newest>>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// Scans that have not ended yet: where they begin to matter, by place.
    open: BTreeMap<usize, NanoRange>,
    /// The last trace of those told.
    last: Option<Rank>,
}

impl Told {
    /// What begins then or later is known: scans that still run have what begins before.
    fn known_from(&self) -> i64 {
        self.open.values().map(|range| range.end).max().unwrap_or(i64::MIN)
    }
}

impl Onlooker for Teller<'_> {
    fn begun(&self, scans: Vec<NanoRange>) {
        self.told.lock().open = scans.into_iter().enumerate().collect();
    }

    fn ended(&self, scan: usize, stats: TraceStats) {
        let mut told = self.told.lock();
        told.open.remove(&scan);
        self.parts.offer(|| {
            let (from, newest) = (told.known_from(), self.newest.lock());
            let after = told.last.map_or(Bound::Unbounded, Bound::Excluded);
            let known = newest.traces.range((after, Bound::Unbounded));
            let known: Vec<_> = known.take_while(|((Reverse(start), _), _)| *start >= from).collect();
            if let Some((rank, _)) = known.last() {
                told.last = Some(**rank);
            }
            let traces = known.into_iter().map(|(_, found)| found.clone()).collect();
            SearchOutput { traces, stats, warnings: Vec::new() }
        });
    }
}
