//! Metric queries: series of numbers from rows.

use std::ops::ControlFlow;

use reba_logql::{
    Answer, Grid, GridSeries, Parsed, RangeEval, RangeOptions, RowNeeds, evaluate, extremes_wanted, leaves,
    syntax::{MetricExpr, RangeAggregation, VectorAggregation},
};
use reba_model::{LogBlock, NanoRange};
use reba_storage::{Extract, LineParser, LogHead, LogWant, MetadataWant, ValueForm};

use super::{
    LogData, LogError, LogStats, MatrixSeries,
    engine::Times,
    limits, plan,
    scans::{Context, Worker},
};

/// Answers a metric query.
pub(super) fn answer(
    expr: &MetricExpr,
    times: Times,
    context: Context<'_>,
    stats: &mut LogStats,
) -> Result<LogData, LogError> {
    let Some(grid) = grid(times, context)? else {
        return Ok(match times {
            Times::Instant(ns) => LogData::Vector { ns, samples: Vec::new() },
            Times::Range { .. } => LogData::Matrix(Vec::new()),
        });
    };
    let around = leaves(expr);
    let mut done: Vec<(Leaf<'_>, Vec<GridSeries>)> = Vec::new();
    let answer = evaluate(expr, grid, &mut |aggregation| {
        let parent = around.iter().find(|(a, _)| std::ptr::eq(*a, aggregation)).and_then(|(_, p)| *p);
        let leaf = Leaf { aggregation, around: parent, extremes: extremes_wanted(expr, aggregation) };
        if let Some((_, series)) = done.iter().find(|(other, _)| leaf.is_same(other)) {
            return Ok(series.clone());
        }
        let series = leaf.series(grid, context, stats)?;
        if around.len() > 1 {
            // An expression can name one aggregation twice, above and below a line.
            if let Some(here) = around.iter().find(|(a, _)| std::ptr::eq(*a, aggregation)) {
                done.push((
                    Leaf { aggregation: here.0, around: here.1, extremes: leaf.extremes },
                    series.clone(),
                ));
            }
        }
        Ok::<_, LogError>(series)
    })?;
    data(answer, grid, context)
}

/// The times of the answer; none if they are all too long ago to be seen.
fn grid(times: Times, context: Context<'_>) -> Result<Option<Grid>, LogError> {
    let config = context.config;
    match times {
        Times::Instant(ns) => {
            let seen =
                limits::visible(context.limits, NanoRange::new(ns, ns.saturating_add(1)), context.now_ns)?;
            Ok((!seen.is_empty()).then(|| Grid::instant(ns)))
        }
        Times::Range { start, end, step, .. } => {
            if step <= 0 {
                return Err(LogError::bad(
                    "zero or negative query resolution step widths are not accepted. Try a positive integer",
                ));
            }
            // Too many points are refused as they are asked for, before the range is moved.
            Grid::range(start, end, step)?;
            let seen = limits::visible(context.limits, NanoRange::new(start, end), context.now_ns)?;
            if seen.is_empty() {
                return Ok(None);
            }
            let (mut start, mut end) = (seen.start, seen.end);
            if config.align_to_step {
                start = start.saturating_sub(start.rem_euclid(step));
                end = end.saturating_add((step - end.rem_euclid(step)) % step);
            }
            Ok(Some(Grid::range(start, end, step)?))
        }
    }
}

fn data(answer: Answer, grid: Grid, context: Context<'_>) -> Result<LogData, LogError> {
    let limit = context.limits.max_query_series;
    Ok(match answer {
        Answer::Scalar(value) if grid.instant => LogData::Scalar { ns: grid.start, value },
        Answer::Scalar(value) => {
            let points = (0..grid.count).map(|k| (grid.time(k), value)).collect();
            LogData::Matrix(vec![MatrixSeries { labels: reba_model::Labels::empty(), points }])
        }
        Answer::Series(series) if limit != 0 && series.len() > limit => {
            return Err(LogError::BadRequest(format!(
                "maximum of series ({limit}) reached for a single query"
            )));
        }
        Answer::Series(series) if grid.instant => {
            let sample = |s: GridSeries| Some((s.labels, s.values.first().copied().flatten()?));
            LogData::Vector { ns: grid.start, samples: series.into_iter().filter_map(sample).collect() }
        }
        Answer::Series(series) => LogData::Matrix(series.into_iter().map(|s| matrix(s, grid)).collect()),
    })
}

fn matrix(series: GridSeries, grid: Grid) -> MatrixSeries {
    let values = series.values.iter().enumerate();
    MatrixSeries {
        points: values.filter_map(|(k, value)| Some((grid.time(k), (*value)?))).collect(),
        labels: series.labels,
    }
}

/// One range aggregation of the query, and the aggregation directly around it.
#[derive(Clone, Copy)]
struct Leaf<'e> {
    aggregation: &'e RangeAggregation,
    around: Option<&'e VectorAggregation>,
    /// See [`extremes_wanted`].
    extremes: Option<(usize, bool)>,
}

impl Leaf<'_> {
    /// Whether the other has the same series.
    fn is_same(&self, other: &Leaf<'_>) -> bool {
        let pushed = |leaf: &Leaf<'_>| leaf.options(0, 0, 1).grouping;
        self.aggregation == other.aggregation
            && self.extremes == other.extremes
            && pushed(self) == pushed(other)
    }

    fn options(&self, now_ns: i64, max_memory: usize, threads: usize) -> RangeOptions {
        let mut options = RangeOptions::of(self.around, self.aggregation);
        options.now_ns = now_ns;
        options.max_memory = max_memory / threads.max(1);
        options
    }

    fn series(
        &self,
        grid: Grid,
        context: Context<'_>,
        stats: &mut LogStats,
    ) -> Result<Vec<GridSeries>, LogError> {
        let aggregation = self.aggregation;
        let (max_memory, cores) = (context.limits.max_memory, context.config.cores);
        let make = || {
            let options = self.options(context.now_ns, max_memory, cores);
            Ok(MetricWorker { eval: RangeEval::new(aggregation, grid, options)?, stats: LogStats::default() })
        };
        let wanted = want(aggregation, make()?.eval.needs());
        let range = grid.rows(aggregation.range, aggregation.offset);
        let scans = context.scans(&aggregation.log.matchers, range, &wanted)?;
        let workers = context.run_scans(scans.into_iter().enumerate().collect(), &make)?;
        stats.splits += 1;
        let mut all = make()?.eval;
        for worker in workers {
            let (seen, passed) = worker.eval.rows_seen();
            stats.add(&LogStats { lines: seen, lines_passed: passed, ..worker.stats });
            all.merge(worker.eval)?;
        }
        if let Some((k, largest)) = self.extremes {
            all.keep_extremes(k, largest);
        }
        Ok(all.finish()?)
    }
}

/// What a store is told about an aggregation.
fn want(aggregation: &RangeAggregation, needs: &RowNeeds) -> LogWant {
    let parser = |parser: Parsed| match parser {
        Parsed::Json => LineParser::Json,
        Parsed::Logfmt => LineParser::Logfmt,
    };
    let form = |number: bool| if number { ValueForm::Number } else { ValueForm::Text };
    LogWant {
        lines: needs.lines,
        metadata: needs.metadata.clone().map_or(MetadataWant::All, MetadataWant::Names),
        extract: needs.extract.as_ref().map(|e| Extract {
            parser: parser(e.parser),
            names: e.names.iter().map(|(name, number)| (name.clone(), form(*number))).collect(),
            errors: true,
        }),
        conditions: plan::conditions(&aggregation.log, aggregation.unwrap.as_ref()),
    }
}

/// One thread's share of an aggregation.
struct MetricWorker {
    eval: RangeEval,
    stats: LogStats,
}

impl Worker for MetricWorker {
    fn block(&mut self, _: usize, block: &LogBlock) -> Result<ControlFlow<()>, LogError> {
        self.eval.feed(block)?;
        Ok(ControlFlow::Continue(()))
    }

    fn counts(&self) -> Option<bool> {
        self.eval.counts()
    }

    fn count(&mut self, head: &LogHead<'_>) -> Result<bool, LogError> {
        Ok(self.eval.count(head.stream, (head.rows, head.line_bytes), (head.first_ns, head.last_ns))?)
    }

    fn stats(&mut self) -> &mut LogStats {
        &mut self.stats
    }
}
