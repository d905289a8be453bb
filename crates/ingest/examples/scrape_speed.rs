//! Prints what reading a scraped page costs: nanoseconds and million samples a second, for a first, an unchanged, a
//! changed and a churning page of 1,000 series.
//!
//! `cargo run --release -p reba-ingest --example scrape_speed`

#![expect(clippy::print_stdout, reason = "a table is what this program is for")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::HashMap, fmt::Write as _, num::NonZeroU64, sync::Arc, sync::Mutex, time::Instant};

use reba_ingest::{
    remote_write::{RemoteWriteLimits, RemoteWriteReceiver, WriteRequest},
    scrape::page::{Page, PageOptions, ScrapeCache},
};
use reba_model::{Labels, NameScheme, Sample};
use reba_storage::{AppendError, AppendMode, AppendReport, MetricAppender, SeriesRef, WriteBatch};

const SERIES: usize = 1000;
const ROUNDS: usize = 2000;

/// Gives out references and forgets samples: only the reading is measured.
#[derive(Default)]
struct Names(Mutex<HashMap<Labels, SeriesRef>>);

impl MetricAppender for Names {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut known = self.0.lock().unwrap();
        let next = SeriesRef(NonZeroU64::new(known.len() as u64 + 1).unwrap());
        Ok(*known.entry(labels.clone()).or_insert(next))
    }

    fn append(&self, batch: &WriteBatch, _: AppendMode) -> Result<AppendReport, AppendError> {
        Ok(AppendReport { appended: batch.samples(), rejected: Vec::new() })
    }
}

fn options() -> PageOptions {
    PageOptions {
        target_labels: Labels::from_pairs([("instance", "10.0.0.1:9100"), ("job", "node")]),
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        metric_relabel: Arc::from([]),
        sample_limit: 0,
        bucket_limit: 0,
        max_schema: i32::MAX,
        label_limit: 0,
        label_name_length_limit: 0,
        label_value_length_limit: 0,
        names: NameScheme::Utf8,
        native_histograms: true,
        always_classic: false,
        convert_classic: false,
        fallback: None,
    }
}

/// A page; every `changing`-th value depends on the round, every `churning`-th series too.
fn page(round: usize, changing: usize, churning: usize) -> String {
    let mut out = String::new();
    for i in 0..SERIES {
        if i % 20 == 0 {
            let _ = write!(
                out,
                "# HELP http_requests_{i}_total Requests.\n# TYPE http_requests_{i}_total counter\n"
            );
        }
        let family = i / 20 * 20;
        let value = if (i + 1) % changing == 0 { (round * 977 + i * 31) as f64 / 100.0 } else { i as f64 };
        let pod = if (i + 1) % churning == 0 { round } else { 0 };
        let _ = writeln!(
            out,
            "http_requests_{family}_total{{method=\"GET\",handler=\"/api/v1/things/{i}\",code=\"200\",pod=\"web-{pod}\"}} {value}"
        );
    }
    out
}

fn report(what: &str, samples: usize, seconds: f64) {
    let ns = seconds * 1e9 / samples as f64;
    println!("| {what} | {ns:.0} | {:.1} |", 1e3 / ns);
}

fn scrape(what: &str, changing: usize, churning: usize, fresh: bool) {
    let pages: Vec<String> = (0..16).map(|round| page(round, changing, churning)).collect();
    let (names, options, mut batch) = (Names::default(), options(), WriteBatch::default());
    let mut cache = ScrapeCache::new();
    let (mut samples, mut seconds) = (0, 0.0);
    for round in 0..ROUNDS {
        if fresh {
            cache = ScrapeCache::new();
        }
        let bytes = pages[round % pages.len()].as_bytes();
        let page = Page { bytes, content_type: "text/plain; version=0.0.4", t: round as i64 * 15_000 };
        let start = Instant::now();
        let report = cache.apply(&page, &options, &names, &mut batch).unwrap();
        names.append(&batch, AppendMode::Partial).unwrap();
        seconds += start.elapsed().as_secs_f64();
        samples += report.scraped;
    }
    report(what, samples, seconds);
    if changing == 1 && churning > SERIES {
        println!(
            "(page of {} bytes; the cache holds {} bytes a series)",
            pages[0].len(),
            cache.memory_bytes() / SERIES
        );
    }
}

fn remote_write(what: &str, samples_per_series: usize) {
    let store = Arc::new(Names::default());
    let receiver = RemoteWriteReceiver::new(store, RemoteWriteLimits::with_seed(1));
    let mut request = WriteRequest::new();
    for i in 0..SERIES {
        let labels = Labels::from_pairs([
            ("__name__", "http_requests_total"),
            ("method", "GET"),
            ("handler", &format!("/api/v1/things/{i}")),
            ("code", "200"),
            ("instance", "10.0.0.1:9100"),
            ("job", "node"),
        ]);
        request.begin_series(&labels);
        for k in 0..samples_per_series {
            request.sample(Sample { t: 1_700_000_000_000 + k as i64 * 15_000, v: (i * k) as f64 / 7.0 });
        }
        request.end_series();
    }
    let body = request.body().unwrap();
    receiver.handle_v1(&body, i64::MAX).unwrap();
    let rounds = ROUNDS / samples_per_series;
    let start = Instant::now();
    for _ in 0..rounds {
        receiver.handle_v1(&body, i64::MAX).unwrap();
    }
    report(what, rounds * request.samples(), start.elapsed().as_secs_f64());
}

fn main() {
    println!("| | ns a sample | million samples a second |");
    println!("|---|---|---|");
    scrape("page, nothing changed", SERIES * 2, SERIES * 2, false);
    scrape("page, one value in ten changed", 10, SERIES * 2, false);
    scrape("page, every value changed", 1, SERIES * 2, false);
    scrape("page, one series in ten replaced", 1, 10, false);
    scrape("page, never seen before", 1, SERIES * 2, true);
    remote_write("remote write, 1 sample a series", 1);
    remote_write("remote write, 10 samples a series", 10);
}
