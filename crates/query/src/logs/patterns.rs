//! Which lines are alike: shapes of lines, and how many of each there are over time.
//!
//! The method is Drain's (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): lines of the same
//! number of words and with the same first words are compared with each other, word by word; where those that are alike differ
//! stands `<_>`.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
};

use reba_logql::{
    Grid,
    pipeline::{LineState, Pipeline, Wanted},
    syntax::parse_log,
};
use reba_model::{LogBlock, NanoRange, Tenant};
use reba_storage::LogWant;

use super::{
    LogError, LogQueryEngine, LogStats, demoted, limits, plan,
    scans::{Context, Worker},
};

/// A shape of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePattern {
    /// The words, `<_>` where they differ.
    pub pattern: String,
    /// Beginnings of buckets (Unix nanoseconds), and the lines in each.
    pub samples: Vec<(i64, u64)>,
}

/// A question about shapes of lines.
#[derive(Clone, Debug)]
pub struct PatternsQuery {
    /// Whose logs.
    pub tenant: Tenant,
    /// A log query.
    pub query: String,
    /// The range.
    pub range: NanoRange,
    /// Nanoseconds of a bucket.
    pub step: i64,
}

/// Most shapes that are told, those of most lines.
const MAX_PATTERNS: usize = 300;

/// Most shapes that are held.
const MAX_CLUSTERS: usize = 5000;

/// Most words of a line that are looked at; the rest counts as one.
const MAX_WORDS: usize = 80;

/// Part of the words that must be the same for two lines to be alike.
const ALIKE: f64 = 0.5;

/// Shapes that a line is compared with at most.
const MAX_COMPARED: usize = 50;

/// A word that differs.
const ANY: &str = "<_>";

impl LogQueryEngine {
    /// The shapes of the lines that a log query selects, those of most lines first.
    pub async fn patterns(&self, query: PatternsQuery, now_ns: i64) -> Result<Vec<LinePattern>, LogError> {
        let tenant = query.tenant.clone();
        self.ask(tenant, now_ns, move |context| patterns(&query, context)).await
    }
}

fn patterns(query: &PatternsQuery, context: Context<'_>) -> Result<Vec<LinePattern>, LogError> {
    let mut log = parse_log(&query.query)?;
    limits::check_matchers(context.limits, &log.matchers)?;
    demoted::move_in_log(&mut log, &context.demoted());
    let range = limits::visible(context.limits, query.range, context.now_ns)?;
    if query.step <= 0 {
        return Err(LogError::bad(
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    Grid::range(range.start, range.end, query.step)?;
    let pipeline = Pipeline::compile(&log.stages, Wanted::All, context.now_ns)?;
    let want = LogWant { conditions: plan::conditions(&log, None), ..LogWant::everything() };
    let scans = context.scans(&log.matchers, range, &want)?;
    let make =
        || Ok(PatternWorker { pipeline: &pipeline, step: query.step, ..PatternWorker::new(&pipeline) });
    let workers = context.run_scans(scans.into_iter().enumerate().collect(), &make)?;
    let mut all = Shapes::default();
    for worker in workers {
        all.merge(worker.shapes);
    }
    Ok(all.most())
}

struct PatternWorker<'a> {
    pipeline: &'a Pipeline,
    step: i64,
    state: LineState,
    shapes: Shapes,
    stats: LogStats,
}

impl<'a> PatternWorker<'a> {
    fn new(pipeline: &'a Pipeline) -> Self {
        PatternWorker {
            pipeline,
            step: 1,
            state: LineState::default(),
            shapes: Shapes::default(),
            stats: LogStats::default(),
        }
    }
}

impl Worker for PatternWorker<'_> {
    fn block(&mut self, _: usize, block: &LogBlock) -> Result<ControlFlow<()>, LogError> {
        for (row, ns) in block.times.iter().enumerate() {
            let line = block.lines.as_ref().and_then(|lines| lines.get(row)).unwrap_or("");
            let metadata = block.metadata.iter().filter_map(|(n, column)| Some((&**n, column.get(row)?)));
            if self.pipeline.run(&mut self.state, &block.stream, (*ns, line), metadata) {
                let bucket = ns.saturating_sub(ns.rem_euclid(self.step));
                self.shapes.add(words(self.state.line(line)), &[(bucket, 1)]);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stats(&mut self) -> &mut LogStats {
        &mut self.stats
    }
}

/// The words of a line; those with digits in them differ in any case.
fn words(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    // A word ends before a blank and behind a character that parts things; those stay with the word before them.
    for word in line.split_inclusive([' ', '\t', '=', ':', ',', '"', '[', ']', '(', ')', '{', '}']) {
        let variable = word.bytes().any(|b| b.is_ascii_digit());
        let word = if variable { any_like(word) } else { word };
        if words.len() == MAX_WORDS {
            words.push(ANY);
            break;
        }
        words.push(word);
    }
    words
}

/// A word that differs, with what parts it from the next one.
fn any_like(word: &str) -> &'static str {
    match word.as_bytes().last() {
        Some(b' ' | b'\t') => "<_> ",
        Some(b'=') => "<_>=",
        Some(b':') => "<_>:",
        Some(b',') => "<_>,",
        Some(b'"') => "<_>\"",
        Some(b']') => "<_>]",
        Some(b')') => "<_>)",
        Some(b'}') => "<_>}",
        _ => ANY,
    }
}

/// The number of words and the first of them: what a line is looked up by.
type Place = (usize, String);

#[derive(Default)]
struct Shapes {
    by_place: HashMap<Place, Vec<usize>>,
    shapes: Vec<Shape>,
}

struct Shape {
    words: Vec<String>,
    lines: u64,
    samples: BTreeMap<i64, u64>,
}

impl Shapes {
    fn add(&mut self, words: Vec<&str>, samples: &[(i64, u64)]) {
        // Only the first word: the second is as often a name as not.
        let first = words.first().filter(|w| !w.starts_with(ANY)).copied().unwrap_or_default().to_owned();
        let candidates = self.by_place.entry((words.len(), first)).or_default();
        let best = candidates
            .iter()
            .map(|i| (*i, self.shapes[*i].same(&words)))
            .max_by_key(|(_, same)| *same)
            .filter(|(_, same)| *same as f64 >= words.len() as f64 * ALIKE);
        let index = match best {
            Some((index, _)) => index,
            None if self.shapes.len() == MAX_CLUSTERS || candidates.len() == MAX_COMPARED => return,
            None => {
                candidates.push(self.shapes.len());
                let words = words.iter().map(|w| (*w).to_owned()).collect();
                self.shapes.push(Shape { words, lines: 0, samples: BTreeMap::new() });
                self.shapes.len() - 1
            }
        };
        self.shapes[index].take(&words, samples);
    }

    fn merge(&mut self, other: Shapes) {
        for shape in other.shapes {
            let samples: Vec<_> = shape.samples.iter().map(|(ns, count)| (*ns, *count)).collect();
            self.add(shape.words.iter().map(String::as_str).collect(), &samples);
        }
    }

    fn most(mut self) -> Vec<LinePattern> {
        self.shapes.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.words.cmp(&b.words)));
        self.shapes.truncate(MAX_PATTERNS);
        let pattern = |s: Shape| LinePattern { pattern: s.text(), samples: s.samples.into_iter().collect() };
        self.shapes.into_iter().map(pattern).collect()
    }
}

impl Shape {
    /// How many words are the same.
    fn same(&self, words: &[&str]) -> usize {
        self.words.iter().zip(words).filter(|(mine, theirs)| *mine == *theirs).count()
    }

    fn take(&mut self, words: &[&str], samples: &[(i64, u64)]) {
        for (mine, theirs) in self.words.iter_mut().zip(words) {
            if mine != theirs && !mine.starts_with(ANY) {
                any_like(mine).clone_into(mine);
            }
        }
        for (ns, count) in samples {
            self.lines += count;
            *self.samples.entry(*ns).or_default() += count;
        }
    }

    fn text(&self) -> String {
        self.words.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_in_numbers_and_names_have_one_shape() {
        let mut shapes = Shapes::default();
        for (i, user) in ["anna", "bert", "cleo"].iter().enumerate() {
            let line = format!("user {user} logged in from 10.0.0.{i} after 3 tries");
            shapes.add(words(&line), &[(0, 1)]);
        }
        shapes.add(words("connection closed by peer"), &[(10, 1)]);
        let most = shapes.most();
        assert_eq!(most[0].pattern, "user <_> logged in from <_> after <_> tries");
        assert_eq!((most[0].samples.clone(), most.len()), (vec![(0, 3)], 2));
    }
}
