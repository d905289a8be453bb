//! `reba export` and `reba import`: between files and a store that is not in use.

use std::{
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use reba_disk::Env;
use reba_model::{MatchOp, Matcher, TimeRange};
use reba_transfer::{Imported, openmetrics, prometheus};
use reba_tsdb::{Tsdb, TsdbConfig};

use crate::{
    args::{ExportArgs, ImportArgs, ImportSource},
    progress::Progress,
    query::parse_time,
    transfer_alerts,
};

/// Imported blocks are merged every so many batches, so that their number stays small.
const BATCHES_PER_MERGE: u32 = 8;

/// How long `reba run` keeps samples unless it is told otherwise.
const DEFAULT_RETENTION_MS: i64 = 30 * 24 * 3_600_000;

/// Writes samples to standard output; returns what to say about it.
pub fn export(args: &ExportArgs) -> Result<String> {
    let time = |name, text: &Option<String>, default| match text {
        Some(text) => parse_time(name, text),
        None => Ok(default),
    };
    let all = TimeRange::ALL;
    let range = TimeRange::new(time("--start", &args.start, all.start)?, time("--end", &args.end, all.end)?);
    let mut sets = Vec::new();
    for text in &args.selectors {
        let matchers = reba_promql::syntax::parse_selector(text);
        sets.push(matchers.with_context(|| format!("--match {text:?}"))?);
    }
    if sets.is_empty() {
        sets.push(vec![Matcher::new(MatchOp::Regex, "__name__", ".+")?]);
    }
    if !args.data.join("metrics").is_dir() {
        bail!("{}: no store is there (--data)", args.data.display());
    }
    let store = open(&args.data)?;
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let exported = openmetrics::export(&store, &sets, range, &mut out)?;
    out.flush()?;
    let mut text = format!("{} samples of {} series", exported.samples, exported.series);
    for (n, what) in [
        (exported.histograms_left_out, "native histograms"),
        (exported.markers_left_out, "staleness markers"),
    ] {
        if n > 0 {
            text.push_str(&format!("; {n} {what} were left out: OpenMetrics has no form for them"));
        }
    }
    Ok(text)
}

/// Reads samples into the store; returns what to say about it.
pub fn import(args: &ImportArgs) -> Result<String> {
    if let ImportSource::Alertmanager { dir } = &args.source {
        return transfer_alerts::alertmanager(dir, &args.data);
    }
    let store = open(&args.data)?;
    let mut batches = 0u32;
    let mut sink = |batch| {
        store.import(batch).map_err(|e| e.to_string())?;
        batches += 1;
        if batches.is_multiple_of(BATCHES_PER_MERGE) {
            store.merge_imported().map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    let mut progress = Progress::new();
    let mut report = |done, total| progress.show(done, total);
    let imported = match &args.source {
        ImportSource::Openmetrics { file } => openmetrics::import(file, &mut sink, &mut report),
        ImportSource::Prometheus { dir } => prometheus::import(dir, &mut sink, &mut report),
        ImportSource::Alertmanager { .. } => bail!("silences are no samples"),
    };
    progress.clear();
    let imported = imported?;
    store.merge_imported()?;
    store.close().context("close the metric store")?;
    Ok(describe(&imported, Timestamp::now().as_millisecond()))
}

/// A store that nobody else uses, without retention: a tool does not drop what it was not asked to.
pub fn open(data: &Path) -> Result<Tsdb> {
    let path = data.join("metrics");
    let shards = std::thread::available_parallelism().map_or(1, usize::from);
    let config = TsdbConfig { shards, ..TsdbConfig::unbounded() };
    Tsdb::open(&Env::real(), &path, config, &|_, _| {}).with_context(|| format!("open {}", path.display()))
}

fn describe(imported: &Imported, now: i64) -> String {
    let mut text = format!("{} samples imported", imported.samples());
    if let Some(range) = imported.range {
        let time =
            |ms| Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string());
        text.push_str(&format!(", from {} to {}", time(range.start), time(range.end)));
        if range.start < now.saturating_sub(DEFAULT_RETENTION_MS) {
            text.push_str("\nsome are older than 30 days: raise metrics.retention in reba.yml to keep them");
        }
    }
    for remark in &imported.remarks {
        text.push_str(&format!("\n{remark}"));
    }
    text
}
