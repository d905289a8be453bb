use std::{collections::HashMap, num::NonZeroU64, sync::Mutex};

use proptest::prelude::*;
use reba_model::{Histogram, NameScheme, RelabelAction, RelabelSpec, is_stale_nan};
use reba_storage::{AppendMode, AppendReport};

use super::*;
use crate::wire::{put_bytes_field, put_double_field, put_varint, put_varint_field};

/// Gives out references, and knows their labels.
#[derive(Default)]
struct Names {
    known: Mutex<Vec<Labels>>,
    index: Mutex<HashMap<Labels, SeriesRef>>,
}

impl MetricAppender for Names {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut known = self.known.lock().unwrap();
        let mut index = self.index.lock().unwrap();
        Ok(*index.entry(labels.clone()).or_insert_with(|| {
            known.push(labels.clone());
            SeriesRef(NonZeroU64::new(known.len() as u64).unwrap())
        }))
    }

    fn append(&self, _: &WriteBatch, _: AppendMode) -> Result<AppendReport, AppendError> {
        Ok(AppendReport::default())
    }
}

fn options() -> PageOptions {
    PageOptions {
        target_labels: Labels::from_pairs([("instance", "i"), ("job", "j")]),
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

/// One target with its cache.
struct Target {
    cache: ScrapeCache,
    options: PageOptions,
    names: Names,
    batch: WriteBatch,
    content_type: &'static str,
    t: i64,
}

impl Target {
    fn new() -> Self {
        Target {
            cache: ScrapeCache::new(),
            options: options(),
            names: Names::default(),
            batch: WriteBatch::default(),
            content_type: "text/plain",
            t: 0,
        }
    }

    fn scrape(&mut self, bytes: impl AsRef<[u8]>) -> Result<PageReport, PageError> {
        self.t += 1000;
        let page = Page { bytes: bytes.as_ref(), content_type: self.content_type, t: self.t };
        self.cache.apply(&page, &self.options, &self.names, &mut self.batch)
    }

    /// The floats of the batch as texts, sorted; the labels of the target left out.
    fn floats(&self) -> Vec<String> {
        let known = self.names.known.lock().unwrap();
        let mut all: Vec<String> = self
            .batch
            .floats
            .iter()
            .map(|s| {
                let labels = known[s.series.0.get() as usize - 1].without(&["instance", "job"]);
                let value = if is_stale_nan(s.v) { "stale".to_owned() } else { s.v.to_string() };
                let at = if s.t == self.t { String::new() } else { format!(" @{}", s.t) };
                format!("{labels} {value}{at}")
            })
            .collect();
        all.sort();
        all
    }
}

#[test]
fn values_change_series_come_and_go() {
    let mut target = Target::new();
    let report = target.scrape("# TYPE a counter\na 1\nb{x=\"1\"} 2\nc 3\n").unwrap();
    assert_eq!(report, PageReport { scraped: 3, post_relabel: 3, series_added: 3, ..PageReport::default() });
    assert_eq!(target.cache.metadata()["a"].kind, reba_model::MetricType::Counter);
    // Nothing changes but the time.
    let report = target.scrape("# TYPE a counter\na 1\nb{x=\"1\"} 2\nc 3\n").unwrap();
    assert_eq!(report, PageReport { scraped: 3, post_relabel: 3, ..PageReport::default() });
    assert_eq!(target.floats(), ["{__name__=\"a\"} 1", "{__name__=\"b\", x=\"1\"} 2", "{__name__=\"c\"} 3"]);
    // A value changes, a series comes in the middle, one goes, the order changes.
    let report = target.scrape("# TYPE a gauge\na 15\nab 7\nc 3\nb{x=\"2\"} 2\n").unwrap();
    assert_eq!(report.series_added, 2);
    assert_eq!(
        target.floats(),
        [
            "{__name__=\"a\"} 15",
            "{__name__=\"ab\"} 7",
            "{__name__=\"b\", x=\"1\"} stale",
            "{__name__=\"b\", x=\"2\"} 2",
            "{__name__=\"c\"} 3"
        ]
    );
    assert_eq!(target.cache.metadata()["a"].kind, reba_model::MetricType::Gauge);
    // The marker is written once.
    target.scrape("# TYPE a gauge\na 15\nab 7\nc 3\nb{x=\"2\"} 2\n").unwrap();
    assert_eq!(target.batch.floats.len(), 4);
    // A page that cannot be read ends all series, and so does none at all.
    assert!(matches!(target.scrape("a 1\nb{ 2\n"), Err(PageError::Parse(e)) if e.line == 2));
    assert!(target.batch.is_empty());
    target.cache.fail(target.t, &mut target.batch);
    assert_eq!(target.batch.floats.len(), 4);
    assert!(target.batch.floats.iter().all(|s| is_stale_nan(s.v)));
    target.cache.fail(target.t, &mut target.batch);
    assert!(target.batch.is_empty());
}

#[test]
fn the_last_line_may_lack_its_end_and_grow() {
    let mut target = Target::new();
    target.scrape("a 1").unwrap();
    target.scrape("a 15").unwrap();
    assert_eq!(target.floats(), ["{__name__=\"a\"} 15"]);
    target.scrape("a 1\n").unwrap();
    target.scrape("a {x=\"1\"} 1\n").unwrap();
    assert_eq!(target.floats(), ["{__name__=\"a\", x=\"1\"} 1", "{__name__=\"a\"} stale"]);
}

#[test]
fn labels_that_clash_are_renamed_or_honored() {
    let page = "a{job=\"x\",exported_job=\"y\",instance=\"\"} 1\n";
    let mut target = Target::new();
    target.scrape(page).unwrap();
    let all = target.names.known.lock().unwrap()[0].to_string();
    let renamed = r#"{__name__="a", exported_exported_job="x", exported_job="y", instance="i", job="j"}"#;
    assert_eq!(all, renamed);
    let mut target = Target::new();
    target.options.honor_labels = true;
    target.scrape(page).unwrap();
    let all = target.names.known.lock().unwrap()[0].to_string();
    assert_eq!(all, r#"{__name__="a", exported_job="y", job="x"}"#);
}

fn relabel(action: RelabelAction, source: &str, regex: &str, target: &str) -> Relabel {
    let spec = RelabelSpec {
        source_labels: Some(vec![source.to_owned()]),
        regex: Some(regex.to_owned()),
        target_label: target.to_owned(),
        replacement: Some(String::new()),
        action,
        ..RelabelSpec::default()
    };
    Relabel::new(spec, NameScheme::Utf8).unwrap()
}

#[test]
fn relabelling_drops_series_and_must_leave_a_name() {
    let mut target = Target::new();
    target.options.metric_relabel = Arc::from([relabel(RelabelAction::Drop, "__name__", "b.*", "")]);
    let report = target.scrape("a 1\nb 2\nbc 3\n").unwrap();
    assert_eq!((report.scraped, report.post_relabel, report.series_added), (3, 1, 1));
    assert_eq!(target.floats(), ["{__name__=\"a\"} 1"]);
    target.scrape("a 1\n").unwrap();
    assert_eq!(target.batch.floats.len(), 1, "a dropped series leaves no marker");
    target.options.metric_relabel = Arc::from([relabel(RelabelAction::Replace, "__name__", "c", "__name__")]);
    assert_eq!(target.scrape("a 1\nc 2\n"), Err(PageError::NameMissing));
}

#[test]
fn limits_refuse_the_page_and_create_no_series_beyond() {
    let mut target = Target::new();
    target.options.sample_limit = 2;
    let Err(PageError::SampleLimit(report)) = target.scrape("a 1\nb 2\nc 3\nd 4\n") else { panic!() };
    assert_eq!((report.scraped, report.post_relabel), (4, 4));
    assert!(target.batch.is_empty());
    assert_eq!(target.names.known.lock().unwrap().len(), 2);
    assert!(target.scrape("a 1\nb 2\n").is_ok());

    let mut target = Target::new();
    target.options.label_limit = 3;
    assert!(target.scrape("a 1\n").is_ok());
    let error = target.scrape("a{b=\"c\"} 1\n").unwrap_err().to_string();
    assert_eq!(error, "label_limit exceeded (metric: a, number of labels: 4, limit: 3)");
    target.options.label_limit = 0;
    target.options.label_value_length_limit = 3;
    assert!(matches!(target.scrape("a{b=\"cccc\"} 1\n"), Err(PageError::LabelLimit(_))));
    target.options.label_name_length_limit = 10;
    assert!(matches!(target.scrape("a{b2345678901=\"c\"} 1\n"), Err(PageError::LabelLimit(_))));
    target.options.names = NameScheme::Legacy;
    assert!(matches!(target.scrape("{\"a b\"} 1\n"), Err(PageError::InvalidName(_))));
    assert!(matches!(target.scrape("a{b=\"1\",b=\"2\"} 1\n"), Err(PageError::Labels(_))));
}

#[test]
fn own_timestamps_count_unless_they_are_not_honored_or_lie_ahead() {
    let mut target = Target::new();
    let page = "a 1 500\nb 2\nc 3 99999999999\n";
    let report = target.scrape(page).unwrap();
    assert_eq!(report.out_of_bounds, 1);
    assert_eq!(target.floats(), ["{__name__=\"a\"} 1 @500", "{__name__=\"b\"} 2"]);
    target.scrape(page).unwrap();
    assert_eq!(target.floats(), ["{__name__=\"a\"} 1 @500", "{__name__=\"b\"} 2"]);
    target.scrape("x 1\n").unwrap();
    assert_eq!(
        target.floats(),
        ["{__name__=\"b\"} stale", "{__name__=\"x\"} 1"],
        "own times leave no marker"
    );
    target.options.track_timestamps_staleness = true;
    target.scrape(page).unwrap();
    target.scrape("x 1\n").unwrap();
    assert_eq!(target.batch.floats.len(), 4);
    target.options.honor_timestamps = false;
    target.scrape(page).unwrap();
    assert_eq!(target.batch.floats.iter().filter(|s| s.t == target.t).count(), 4);
    // A series that takes a time of its own gets its marker then.
    target.options.track_timestamps_staleness = false;
    target.options.honor_timestamps = true;
    target.scrape("z 1\n").unwrap();
    target.scrape("z 1 4\n").unwrap();
    assert_eq!(target.floats(), ["{__name__=\"z\"} 1 @4", "{__name__=\"z\"} stale"]);
}

#[test]
fn a_series_that_stands_twice_counts_once() {
    let mut target = Target::new();
    for _ in 0..3 {
        let report = target.scrape("a 1\nb 2\na 3\na 4 500\n").unwrap();
        assert_eq!((report.scraped, report.post_relabel, report.duplicates), (4, 4, 1));
        assert_eq!(target.floats(), ["{__name__=\"a\"} 1", "{__name__=\"a\"} 4 @500", "{__name__=\"b\"} 2"]);
    }
    target.scrape("b 2\n").unwrap();
    assert_eq!(target.floats(), ["{__name__=\"a\"} stale", "{__name__=\"b\"} 2"]);
}

#[test]
fn openmetrics_exemplars_are_kept_and_unchanged_ones_are_not_written_again() {
    let mut target = Target::new();
    target.content_type = "application/openmetrics-text; version=1.0.0";
    let page = "# TYPE a counter\na_total 1 # {id=\"x\"} 0.5\n# EOF\n";
    target.scrape(page).unwrap();
    assert_eq!(target.cache.metadata()["a"].kind, reba_model::MetricType::Counter);
    let (_, exemplar) = &target.batch.exemplars[0];
    assert_eq!((exemplar.labels.get("id"), exemplar.value, exemplar.t), (Some("x"), 0.5, target.t));
    target.scrape(page).unwrap();
    assert!(target.batch.exemplars.is_empty());
    assert!(matches!(target.scrape("a_total 1\n"), Err(PageError::Parse(_))));
    let long = format!("a_total 2 # {{id=\"{}\"}} 1 2.5\n# EOF\n", "x".repeat(130));
    target.scrape(long).unwrap();
    assert!(target.batch.exemplars.is_empty());
}

#[test]
fn another_format_goes_on_with_the_same_series() {
    let mut target = Target::new();
    target.scrape("a 1\nb 2\n").unwrap();
    target.content_type = "application/openmetrics-text";
    target.scrape("a 2\n# EOF\n").unwrap();
    assert_eq!(target.floats(), ["{__name__=\"a\"} 2", "{__name__=\"b\"} stale"]);
    target.content_type = "application/json";
    assert!(matches!(target.scrape("{}"), Err(PageError::ContentType(_))));
}

fn message(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    out
}

fn label(n: &str, v: &str) -> Vec<u8> {
    message(|m| {
        put_bytes_field(1, n.as_bytes(), m);
        put_bytes_field(2, v.as_bytes(), m);
    })
}

fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let body = message(|m| {
        put_bytes_field(1, name.as_bytes(), m);
        put_bytes_field(2, b"help", m);
        put_varint_field(3, kind, m);
        for metric in metrics {
            put_bytes_field(4, metric, m);
        }
    });
    let mut out = Vec::new();
    put_varint(body.len() as u64, &mut out);
    out.extend(body);
    out
}

fn protobuf_page(counter: f64, native: bool) -> Vec<u8> {
    let metric = message(|m| {
        put_bytes_field(1, &label("x", "1"), m);
        put_bytes_field(3, &message(|c| put_double_field(1, counter, c)), m);
    });
    let histogram = message(|m| {
        let h = message(|h| {
            put_varint_field(1, 6, h);
            put_double_field(2, 1.5, h);
            for (bound, count) in [(0.5, 2), (1.0, 4)] {
                let bucket = message(|b| {
                    put_varint_field(1, count, b);
                    put_double_field(2, bound, b);
                });
                put_bytes_field(3, &bucket, h);
            }
            if native {
                put_varint_field(5, 6, h); // schema 3
                let span = message(|s| {
                    put_varint_field(1, 1, s); // offset -1
                    put_varint_field(2, 2, s);
                });
                put_bytes_field(12, &span, h);
                put_bytes_field(13, &[4, 4], h); // +2 +2: 2, 4
            }
        });
        put_bytes_field(7, &h, m);
    });
    let mut page = family("c_total", 0, &[metric]);
    page.extend(family("h", 4, &[histogram]));
    page
}

#[test]
fn protobuf_pages_give_classic_series_and_native_histograms() {
    let mut target = Target::new();
    target.content_type =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for _ in 0..2 {
        target.scrape(protobuf_page(7.0, false)).unwrap();
        assert_eq!(
            target.floats(),
            [
                "{__name__=\"c_total\", x=\"1\"} 7",
                "{__name__=\"h_bucket\", le=\"+Inf\"} 6",
                "{__name__=\"h_bucket\", le=\"0.5\"} 2",
                "{__name__=\"h_bucket\", le=\"1.0\"} 4",
                "{__name__=\"h_count\"} 6",
                "{__name__=\"h_sum\"} 1.5",
            ]
        );
    }
    assert_eq!(target.cache.metadata()["h"].help, "help");
    let report = target.scrape(protobuf_page(8.0, true)).unwrap();
    assert_eq!((report.scraped, report.series_added), (2, 1));
    assert_eq!(target.batch.floats.iter().filter(|s| is_stale_nan(s.v)).count(), 5);
    let h: &Histogram = &target.batch.histograms[0].2;
    assert_eq!((h.schema, h.count, h.positive_buckets.as_slice()), (3, 6.0, &[2.0, 4.0][..]));
    target.options.bucket_limit = 1;
    target.scrape(protobuf_page(8.0, true)).unwrap();
    let h: &Histogram = &target.batch.histograms[0].2;
    assert_eq!((h.schema < 3, h.positive_buckets.as_slice()), (true, &[6.0][..]));
    assert!(target.scrape(&protobuf_page(8.0, true)[..40]).is_err());
}

#[test]
fn labels_that_every_bucket_repeats_are_bounded() {
    let metric = message(|m| {
        put_bytes_field(1, &label("x", &"y".repeat((1 << 20) - 1000)), m);
        let buckets = message(|h| {
            for bound in 0..300 {
                put_bytes_field(3, &message(|b| put_double_field(2, f64::from(bound), b)), h);
            }
        });
        put_bytes_field(7, &buckets, m);
    });
    let mut target = Target::new();
    target.content_type = "application/vnd.google.protobuf";
    assert_eq!(target.scrape(family("h", 4, &[metric])), Err(PageError::TooLarge));
    let labels = message(|m| (0..1025).for_each(|i| put_bytes_field(1, &label(&format!("l{i}"), "v"), m)));
    assert_eq!(target.scrape(family("c", 0, &[labels])), Err(PageError::Labels(LabelsError::TooMany)));
}

/// Pages over a few series, in any order, with values and times that change now and then.
fn pages() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        8 => (0..6u8, 0..3u8).prop_map(|(s, v)| format!("m{s}{{x=\"{s}\"}} {v}\n")),
        2 => (0..6u8, 0..3u8).prop_map(|(s, v)| format!("m{s} {v}\n")),
        1 => (0..3u8, 0..3u8).prop_map(|(s, v)| format!("m{s} {v} {v}00\n")),
        1 => (0..3u8).prop_map(|s| format!("# TYPE m{s} gauge\n")),
        1 => (0..3u8).prop_map(|s| format!("# HELP m{s} text {s}\n")),
        1 => Just("\n".to_owned()),
        1 => Just(" m1{x=\"1\"}  1 \n".to_owned()),
        1 => Just("m2 {x=\"2\"} 1\n".to_owned()),
    ];
    proptest::collection::vec(proptest::collection::vec(line, 0..8).prop_map(|l| l.concat()), 1..6)
}

/// Native histograms of the batch: series without the target's labels, bounds, counts between them, count and sum.
fn natives(target: &Target) -> Vec<String> {
    let known = target.names.known.lock().unwrap();
    let text = |(series, t, h): &(SeriesRef, i64, Arc<reba_model::Histogram>)| {
        assert_eq!(*t, target.t);
        let labels = known[series.0.get() as usize - 1].without(&["instance", "job"]);
        format!("{labels} {:?} {:?} {} {}", h.custom_values, h.positive_buckets, h.count, h.sum)
    };
    target.batch.histograms.iter().map(text).collect()
}

#[test]
fn classic_histograms_become_native_ones_and_keep_their_series_only_if_asked_to() {
    let page = |n: u32| {
        format!(
            "# TYPE h histogram\nh_bucket{{a=\"1\",le=\"0.5\"}} {n}\nh_bucket{{a=\"1\",le=\"+Inf\"}} 7\nh_sum{{a=\"1\"}} 3.5\n\
             h_count{{a=\"1\"}} 7\nh_bucket{{le=\"0.5\",a=\"2\"}} 2\nh_count{{a=\"2\"}} 1\nh_other 1\n\
             # TYPE g gauge\ng_bucket{{le=\"1\"}} 4\n"
        )
    };
    let mut target = Target::new();
    target.options.convert_classic = true;
    let report = target.scrape(page(3)).unwrap();
    assert_eq!((report.scraped, report.series_added), (3, 3));
    // The second one contradicts itself: nothing is left of it.
    assert_eq!(natives(&target), ["{__name__=\"h\", a=\"1\"} [0.5] [3.0, 4.0] 7 3.5"]);
    let floats = ["{__name__=\"g_bucket\", le=\"1\"} 4", "{__name__=\"h_other\"} 1"];
    assert_eq!(target.floats(), floats);
    let report = target.scrape(page(4)).unwrap();
    assert_eq!((report.series_added, target.floats()), (0, floats.map(str::to_owned).to_vec()));
    assert_eq!(natives(&target), ["{__name__=\"h\", a=\"1\"} [0.5] [4.0, 3.0] 7 3.5"]);
    target.options.always_classic = true;
    let report = target.scrape(page(4)).unwrap();
    assert_eq!((report.scraped, report.series_added, natives(&target).len()), (9, 6, 1));
    // What is gone goes stale.
    target.scrape("g 1\n").unwrap();
    let stale = target.floats().iter().filter(|f| f.ends_with("stale")).count();
    assert_eq!((stale, natives(&target).len()), (9, 0));
    assert_eq!(target.cache.metadata().len(), 0);
}

#[test]
fn classic_histograms_of_protobuf_pages_are_converted_too() {
    let mut target = Target::new();
    target.content_type = "application/vnd.google.protobuf";
    target.options.native_histograms = false;
    let classic = target.scrape(protobuf_page(1.0, true)).unwrap().scraped;
    target.options.convert_classic = true;
    let converted = target.scrape(protobuf_page(1.0, true)).unwrap().scraped;
    assert!(converted < classic && target.batch.histograms.iter().all(|h| h.2.uses_custom_buckets()));
    assert!(!target.batch.histograms.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_page_read_beside_the_one_before_says_the_same_as_alone(pages in pages()) {
        let mut target = Target::new();
        let mut before: Vec<SeriesRef> = Vec::new();
        for page in pages {
            target.scrape(&page).unwrap();
            // The same page, read by a cache that has seen nothing.
            let mut fresh = ScrapeCache::new();
            let mut batch = WriteBatch::default();
            let page = Page { bytes: page.as_bytes(), content_type: "text/plain", t: target.t };
            fresh.apply(&page, &target.options, &target.names, &mut batch).unwrap();
            let key = |s: &FloatSample| (s.series, s.t, s.v.to_bits());
            let (marked, written): (Vec<_>, Vec<_>) =
                target.batch.floats.iter().partition(|s| is_stale_nan(s.v));
            prop_assert_eq!(written.into_iter().map(key).collect::<Vec<_>>(), batch.floats.iter().map(key).collect::<Vec<_>>());
            // An empty page leaves the metadata as it was.
            prop_assert!(page.bytes.is_empty() || target.cache.metadata() == fresh.metadata());
            let now: Vec<SeriesRef> = fresh.lines.iter().filter(|l| l.is_tracked()).filter_map(Line::series_ref).collect();
            let mut gone: Vec<SeriesRef> = before.iter().copied().filter(|s| !now.contains(s)).collect();
            gone.sort();
            gone.dedup();
            let mut marked: Vec<SeriesRef> = marked.into_iter().map(|s| s.series).collect();
            marked.sort();
            prop_assert_eq!(marked, gone);
            before = now;
        }
    }

    #[test]
    fn a_damaged_protobuf_page_is_answered(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut target = Target::new();
        target.content_type = "application/vnd.google.protobuf";
        target.options.bucket_limit = 3;
        target.options.always_classic = true;
        let mut page = protobuf_page(1.0, true);
        target.scrape(&page).unwrap();
        for (at, x) in damage {
            let at = at.index(page.len());
            page[at] ^= x;
        }
        let _ = target.scrape(&page);
        let _ = target.scrape(&page[..cut.index(page.len())]);
        let _ = target.scrape(&noise);
        prop_assert!(target.scrape(protobuf_page(1.0, true)).is_ok());
    }
}
