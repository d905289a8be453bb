use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use reba_model::{Exemplar, Histogram, Labels, STALE_NAN, Sample, Span};
use reba_storage::{Rejection, SeriesRef};

use super::*;
use crate::wire::{put_bytes_field, put_double_field, put_varint_field};

/// Takes what it is given, but rejects what it is told to.
#[derive(Default)]
struct Store {
    known: Mutex<HashMap<Labels, SeriesRef>>,
    lookups: AtomicUsize,
    reject: Mutex<Vec<Vec<Rejection>>>,
    batches: Mutex<Vec<WriteBatch>>,
}

impl MetricAppender for Store {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let mut known = self.known.lock();
        let next = SeriesRef(NonZeroU64::new(known.len() as u64 + 1).unwrap());
        Ok(*known.entry(labels.clone()).or_insert(next))
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        let mut reject = self.reject.lock();
        let rejected = if reject.is_empty() { Vec::new() } else { reject.remove(0) };
        if rejected.is_empty() || mode == AppendMode::Partial {
            self.batches.lock().push(batch.clone());
            return Ok(AppendReport { appended: batch.samples() - rejected.len(), rejected });
        }
        Ok(AppendReport { appended: 0, rejected })
    }
}

fn receiver() -> (Arc<Store>, RemoteWriteReceiver) {
    let store = Arc::new(Store::default());
    let limits = RemoteWriteLimits { max_decompressed_bytes: 10_000, ..RemoteWriteLimits::with_seed(1) };
    (Arc::clone(&store), RemoteWriteReceiver::new(store, limits))
}

fn labels(name: &str, x: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("x", x)])
}

fn request(series: &[(&Labels, f64)]) -> Vec<u8> {
    let mut r = WriteRequest::new();
    for (labels, v) in series {
        r.begin_series(labels).sample(Sample { t: 5, v: *v }).end_series();
    }
    r.body().unwrap()
}

#[test]
fn a_request_is_written_and_its_series_are_looked_up_once() {
    let (store, receiver) = receiver();
    let (a, b) = (labels("a", "1"), labels("a", "2"));
    let body = request(&[(&a, 1.5), (&b, STALE_NAN), (&a, 2.0)]);
    for _ in 0..3 {
        assert_eq!(receiver.handle_v1(&body, 0), Ok(Written { samples: 3, ..Written::default() }));
    }
    assert_eq!(store.lookups.load(Ordering::Relaxed), 2);
    let batch = &store.batches.lock()[2];
    assert_eq!((batch.floats[0].t, batch.floats[0].v), (5, 1.5));
    assert_eq!(batch.floats[1].v.to_bits(), STALE_NAN.to_bits());
    assert_eq!(batch.floats[0].series, batch.floats[2].series);
}

#[test]
fn histograms_and_exemplars_arrive_as_they_were_sent() {
    let (store, receiver) = receiver();
    let h = Histogram {
        schema: 2,
        hint: reba_model::CounterResetHint::Gauge,
        zero_threshold: 0.25,
        zero_count: 1.0,
        count: 10.0,
        sum: -3.5,
        positive_spans: vec![Span { offset: -3, length: 1 }, Span { offset: 2, length: 1 }],
        positive_buckets: vec![4.0, 2.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![3.0],
        custom_values: Vec::new(),
    };
    let e = Exemplar { labels: Labels::from_pairs([("trace_id", "ab")]), value: 0.5, t: 7 };
    let mut r = WriteRequest::new();
    r.begin_series(&labels("h", "1")).histogram(9, &h).exemplar(&e).end_series();
    let written = receiver.handle_v1(&r.body().unwrap(), 0).unwrap();
    assert_eq!((written.samples, written.histograms, written.exemplars), (1, 1, 1));
    let batch = &store.batches.lock()[0];
    assert_eq!((batch.histograms[0].1, &*batch.histograms[0].2), (9, &h));
    assert_eq!(batch.exemplars[0].1, e);
}

#[test]
fn invalid_labels_are_skipped_and_counted() {
    let (store, receiver) = receiver();
    let mut message = Vec::new();
    for pairs in [
        vec![("x", "1")],
        vec![("__name__", "a"), ("__name__", "b")],
        vec![("__name__", "a"), ("", "b")],
        vec![("__name__", "good")],
    ] {
        let mut series = Vec::new();
        for (n, v) in pairs {
            let mut pair = Vec::new();
            put_bytes_field(1, n.as_bytes(), &mut pair);
            put_bytes_field(2, v.as_bytes(), &mut pair);
            put_bytes_field(1, &pair, &mut series);
        }
        let mut sample = Vec::new();
        put_double_field(1, 1.0, &mut sample);
        put_varint_field(2, 3, &mut sample);
        put_bytes_field(2, &sample, &mut series);
        put_bytes_field(2, &sample, &mut series);
        put_bytes_field(1, &series, &mut message);
    }
    let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let written = receiver.handle_v1(&body, 0).unwrap();
    assert_eq!((written.samples, written.invalid_labels), (2, 6));
    assert_eq!(store.known.lock().keys().next().unwrap().metric_name(), "good");
}

#[test]
fn a_bad_sample_refuses_the_request_with_upstreams_words() {
    let (store, receiver) = receiver();
    let body = request(&[(&labels("a", "1"), 1.0)]);
    for (reason, text, status) in [
        (RejectReason::OutOfOrder, "out of order sample", 400),
        (RejectReason::DuplicateTimestamp, "duplicate sample for timestamp", 400),
        (RejectReason::TooOld, "too old sample", 400),
    ] {
        store.reject.lock().push(vec![Rejection { index: 0, reason }]);
        let error = receiver.handle_v1(&body, 0).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.status()), (text, status));
    }
    let error = receiver.handle_v1(&body, -600_000).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.status()),
        ("out of bounds: timestamp is too far in the future", 400)
    );
    assert!(store.batches.lock().is_empty());
}

#[test]
fn a_series_that_the_store_dropped_is_asked_for_again() {
    let (store, receiver) = receiver();
    let body = request(&[(&labels("a", "1"), 1.0)]);
    receiver.handle_v1(&body, 0).unwrap();
    let unknown = Rejection { index: 0, reason: RejectReason::UnknownSeries };
    store.reject.lock().push(vec![unknown]);
    assert_eq!(receiver.handle_v1(&body, 0).unwrap().samples, 1);
    assert_eq!(store.lookups.load(Ordering::Relaxed), 2);
    // If that does not help, it is not the sender's fault.
    store.reject.lock().extend([vec![unknown], vec![unknown]]);
    assert_eq!(receiver.handle_v1(&body, 0).unwrap_err().status(), 500);
}

#[test]
fn metadata_says_what_a_family_is() {
    let mut r = WriteRequest::new();
    let kind = reba_model::MetricType::Counter;
    r.metadata("a_total", &reba_model::Metadata { kind, help: "Help.".to_owned(), unit: "s".to_owned() });
    let entry = crate::wire::Fields::new(r.message()).next().unwrap().unwrap();
    assert_eq!(entry.number, 3);
    let fields: Vec<_> = crate::wire::Fields::new(entry.bytes().unwrap()).map(Result::unwrap).collect();
    assert_eq!(fields[0].varint(), Ok(1));
    let texts: Vec<_> = fields[1..].iter().map(|f| (f.number, f.string().unwrap())).collect();
    assert_eq!(texts, [(2, "a_total"), (4, "Help."), (5, "s")]);
    let (_, receiver) = receiver();
    assert_eq!(receiver.handle_v1(&r.body().unwrap(), 0), Ok(Written::default()));
    let metadata = reba_model::Metadata { kind, help: "Help.".to_owned(), unit: "s".to_owned() };
    assert_eq!(receiver.metadata().all(), [("a_total".to_owned(), metadata)].into());
}

#[test]
fn old_exemplars_hold_up_no_samples() {
    let (store, receiver) = receiver();
    let e = Exemplar { labels: Labels::from_pairs([("trace_id", "ab")]), value: 0.5, t: 7 };
    let mut r = WriteRequest::new();
    r.begin_series(&labels("a", "1")).sample(Sample { t: 1, v: 2.0 }).exemplar(&e).end_series();
    store.reject.lock().push(vec![Rejection { index: 1, reason: RejectReason::ExemplarOutOfOrder }]);
    let written = receiver.handle_v1(&r.body().unwrap(), 0).unwrap();
    assert_eq!((written.samples, written.exemplars, written.exemplars_out_of_order), (1, 0, 1));
}

#[test]
fn a_block_that_declares_too_much_is_refused_before_memory_is_taken() {
    let (_, receiver) = receiver();
    // Four gigabytes, and nothing behind.
    let error = receiver.handle_v1(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], 0).unwrap_err();
    assert_eq!(error, RemoteWriteError::TooLarge { len: u32::MAX as usize, limit: 10_000 });
    assert_eq!(error.status(), 413);
    assert_eq!(receiver.handle_v1(b"", 0).unwrap_err().status(), 400);
    assert_eq!(receiver.handle_v1(b"\x05hello", 0).unwrap_err().status(), 400);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_body_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, receiver) = receiver();
        let _ = receiver.handle_v1(&bytes, 0);
        let _ = receiver.handle_v1(&snap::raw::Encoder::new().compress_vec(&bytes).unwrap(), 0);
    }

    #[test]
    fn a_damaged_request_is_answered(at in any::<prop::sample::Index>(), x in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut r = WriteRequest::new();
        let h = Histogram { schema: 1, positive_buckets: vec![1.0], positive_spans: vec![Span { offset: 0, length: 1 }], ..Histogram::default() };
        r.begin_series(&labels("a", "1")).sample(Sample { t: 1, v: 2.0 }).histogram(2, &h).end_series();
        let mut message = r.message().to_vec();
        let at = at.index(message.len());
        message[at] ^= x;
        message.truncate(1 + cut.index(message.len()));
        let (_, receiver) = receiver();
        let _ = receiver.handle_v1(&snap::raw::Encoder::new().compress_vec(&message).unwrap(), i64::MAX);
    }

    #[test]
    fn what_is_sent_arrives(series in proptest::collection::vec((".{1,9}", ".{1,9}", proptest::collection::vec(any::<(i64, u64)>(), 0..4)), 0..5)) {
        let (store, receiver) = receiver();
        let mut r = WriteRequest::new();
        for (name, x, samples) in &series {
            r.begin_series(&labels(name, x));
            for (t, v) in samples {
                r.sample(Sample { t: *t, v: f64::from_bits(*v) });
            }
            r.end_series();
        }
        receiver.handle_v1(&r.body().unwrap(), i64::MAX).unwrap();
        let sent: Vec<(i64, u64)> = series.iter().flat_map(|s| s.2.clone()).collect();
        let batches = store.batches.lock();
        let arrived: Vec<(i64, u64)> = batches[0].floats.iter().map(|s| (s.t, s.v.to_bits())).collect();
        prop_assert_eq!(arrived, sent);
        for (name, x, _) in &series {
            prop_assert!(store.known.lock().contains_key(&labels(name, x)));
        }
    }
}

mod v2 {
    use reba_model::{Metadata, MetricType};

    use super::*;

    fn histogram() -> Histogram {
        Histogram {
            schema: 1,
            count: 3.0,
            sum: 2.5,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![3.0],
            ..Histogram::default()
        }
    }

    fn exemplar() -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", "ab")]), value: 0.5, t: 7 }
    }

    fn request() -> WriteRequestV2 {
        let mut r = WriteRequestV2::new();
        let sample = |t| Sample { t, v: t as f64 };
        let what = Metadata { kind: MetricType::Counter, help: "Help.".to_owned(), unit: String::new() };
        r.begin_series(&labels("a", "1")).sample(sample(1)).sample(sample(2)).exemplar(&exemplar());
        r.metadata(&what).end_series();
        r.begin_series(&labels("b", "1")).histogram(5, &histogram()).end_series();
        r
    }

    #[test]
    fn floats_histograms_and_exemplars_arrive_and_are_counted() {
        let (store, receiver) = receiver();
        for _ in 0..3 {
            let done = receiver.handle_v2(&request().body().unwrap(), 0).unwrap();
            let expected = Written { samples: 3, histograms: 1, exemplars: 1, ..Written::default() };
            assert_eq!(done, WrittenInPart { written: expected, refused: Refused::default() });
        }
        assert_eq!(store.lookups.load(Ordering::Relaxed), 2, "the cache knows series by their texts");
        let batch = &store.batches.lock()[2];
        assert_eq!(batch.floats.iter().map(|s| (s.t, s.v)).collect::<Vec<_>>(), [(1, 1.0), (2, 2.0)]);
        assert_eq!(*batch.histograms[0].2, histogram());
        assert_eq!(batch.exemplars[0].1, exemplar());
        assert!(store.known.lock().contains_key(&labels("b", "1")));
    }

    #[test]
    fn what_series_say_of_their_families_is_kept_with_what_was_written() {
        let (_, receiver) = receiver();
        let what = |kind, help: &str| Metadata { kind, help: help.to_owned(), unit: "s".to_owned() };
        let mut r = WriteRequestV2::new();
        let mut series = |name: &str, metadata: &Metadata, sample: bool| {
            r.begin_series(&labels(name, "1")).metadata(metadata);
            if sample {
                r.sample(Sample { t: 1, v: 1.0 });
            }
            r.end_series();
        };
        series("h_bucket", &what(MetricType::Histogram, "Latency."), true);
        series("h_count", &what(MetricType::Histogram, "Latency."), true);
        series("c_total", &what(MetricType::Counter, "Requests."), true);
        series("untold", &Metadata::default(), true);
        series("refused", &what(MetricType::Gauge, "No samples."), false);
        let done = receiver.handle_v2(&r.body().unwrap(), 0).unwrap();
        assert_eq!((done.written.samples, done.refused.count), (4, 1));
        let all = receiver.metadata().all();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["c_total", "h"]);
        assert_eq!(all["h"], what(MetricType::Histogram, "Latency."));
    }

    #[test]
    fn when_a_counter_began_is_passed_over() {
        let (store, receiver) = receiver();
        // A sample with value, time and start, and the start as drafts of version 2.0 put it into the series.
        let mut sample = Vec::new();
        put_double_field(1, 2.5, &mut sample);
        put_varint_field(2, 7, &mut sample);
        put_varint_field(3, 6, &mut sample);
        let mut series = Vec::new();
        put_bytes_field(1, &[1, 2], &mut series);
        put_bytes_field(2, &sample, &mut series);
        put_varint_field(6, 6, &mut series);
        let mut message = Vec::new();
        for symbol in ["", "__name__", "a"] {
            put_bytes_field(4, symbol.as_bytes(), &mut message);
        }
        put_bytes_field(5, &series, &mut message);
        let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let done = receiver.handle_v2(&body, 0).unwrap();
        assert_eq!((done.written.samples, done.refused.count), (1, 0));
        let batch = &store.batches.lock()[0];
        assert_eq!(batch.floats.iter().map(|s| (s.t, s.v)).collect::<Vec<_>>(), [(7, 2.5)]);
    }

    #[test]
    fn both_versions_share_the_store_but_no_keys_of_the_cache() {
        let (store, receiver) = receiver();
        receiver.handle_v1(&super::request(&[(&labels("a", "1"), 1.0)]), 0).unwrap();
        receiver.handle_v2(&request().body().unwrap(), 0).unwrap();
        let batches = store.batches.lock();
        assert_eq!(batches[0].floats[0].series, batches[1].floats[0].series);
    }

    #[test]
    fn the_good_part_is_written_and_the_rest_is_named() {
        let (store, receiver) = receiver();
        let bad = vec![
            Rejection { index: 1, reason: RejectReason::OutOfOrder },
            Rejection { index: 2, reason: RejectReason::TooOld },
            Rejection { index: 3, reason: RejectReason::ExemplarOutOfOrder },
        ];
        store.reject.lock().extend([bad.clone(), bad]);
        let done = receiver.handle_v2(&request().body().unwrap(), 0).unwrap();
        assert_eq!((done.written.samples, done.written.histograms, done.written.exemplars), (1, 0, 0));
        assert_eq!(
            done.refused.text().unwrap(),
            "out of order sample for series {__name__=\"a\", x=\"1\"}\n\
             too old sample for series {__name__=\"b\", x=\"1\"}\n\
             out of order exemplar for series {__name__=\"a\", x=\"1\"}"
        );
    }

    #[test]
    fn bad_series_do_not_hold_up_good_ones() {
        let (store, receiver) = receiver();
        let mut r = request();
        r.begin_series(&Labels::from_pairs([("x", "1")])).sample(Sample { t: 1, v: 1.0 }).end_series();
        r.begin_series(&labels("empty", "1")).end_series();
        r.begin_series(&labels("future", "1")).sample(Sample { t: 600_001, v: 1.0 }).end_series();
        let mut message = r.message();
        let mut series = Vec::new();
        put_bytes_field(1, &[1, 2, 99, 1], &mut series);
        put_bytes_field(2, &[], &mut series);
        put_bytes_field(5, &series, &mut message);
        let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let done = receiver.handle_v2(&body, 0).unwrap();
        assert_eq!((done.written.samples, done.written.invalid_labels), (3, 2));
        assert_eq!(receiver.invalid_labels_samples(), 2);
        assert_eq!(
            done.refused.reasons,
            [
                "invalid metric name or labels, got {x=\"1\"}",
                "TimeSeries must contain at least one sample or histogram for series {__name__=\"empty\", x=\"1\"}",
                "out of bounds: timestamp is too far in the future for series {__name__=\"future\", x=\"1\"}",
                "parsing labels for series [1, 2, 99, 1]: labelRefs 99 (name) = 1 (value) outside of symbols table \
                 (size 11)",
            ]
        );
        assert_eq!(store.batches.lock()[0].samples(), 3);
    }

    #[test]
    fn a_million_bad_series_are_counted_not_spelt_out() {
        let (_, receiver) = receiver();
        let mut r = WriteRequestV2::new();
        for _ in 0..100 {
            r.begin_series(&Labels::from_pairs([("x", "1")])).sample(Sample { t: 1, v: 1.0 }).end_series();
        }
        let done = receiver.handle_v2(&r.body().unwrap(), 0).unwrap();
        assert_eq!((done.refused.reasons.len(), done.refused.count), (20, 100));
        assert!(done.refused.text().unwrap().ends_with("\nand 80 more"));
    }

    #[test]
    fn a_table_of_symbols_must_begin_with_the_empty_text_and_end_somewhere() {
        let (_, receiver) = receiver();
        let body = |message: &[u8]| snap::raw::Encoder::new().compress_vec(message).unwrap();
        let mut message = Vec::new();
        put_bytes_field(4, b"x", &mut message);
        assert_eq!(receiver.handle_v2(&body(&message), 0).unwrap_err().status(), 400);
        let store = Arc::new(Store::default());
        let wide = RemoteWriteReceiver::new(store, RemoteWriteLimits::with_seed(1));
        let many = [0x22, 0].repeat((1 << 20) + 1);
        assert_eq!(wide.handle_v2(&body(&many), 0).unwrap_err().status(), 413);
    }

    #[test]
    fn a_symbol_that_is_named_a_million_times_takes_no_more_memory_for_it() {
        let store = Arc::new(Store::default());
        let receiver = RemoteWriteReceiver::new(Arc::clone(&store) as _, RemoteWriteLimits::with_seed(1));
        let mut message = Vec::new();
        let long = "x".repeat(2 << 20);
        for symbol in ["", "__name__", "m", "a", long.as_str()] {
            put_bytes_field(4, symbol.as_bytes(), &mut message);
        }
        let mut sample = Vec::new();
        put_varint_field(2, 1, &mut sample);
        let mut exemplar = Vec::new();
        put_bytes_field(1, &[4, 4].repeat(1_000_000), &mut exemplar);
        for refs in [[1, 2].to_vec(), [3, 4].repeat(1_000_000), [1, 2, 3, 4].to_vec()] {
            let mut series = Vec::new();
            put_bytes_field(1, &refs, &mut series);
            put_bytes_field(2, &sample, &mut series);
            put_bytes_field(4, &exemplar, &mut series);
            put_bytes_field(5, &series, &mut message);
        }
        let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let done = receiver.handle_v2(&body, 0).unwrap();
        assert_eq!((done.written.samples, done.written.exemplars, done.written.invalid_labels), (1, 0, 2));
        assert_eq!(
            done.refused.reasons,
            ["more than 1024 labels in one series", "labels of a series take more than 1048576 bytes"]
        );
    }

    #[test]
    fn a_series_that_the_store_dropped_is_asked_for_again() {
        let (store, receiver) = receiver();
        let body = request().body().unwrap();
        receiver.handle_v2(&body, 0).unwrap();
        let unknown = vec![Rejection { index: 0, reason: RejectReason::UnknownSeries }];
        store.reject.lock().push(unknown.clone());
        assert_eq!(receiver.handle_v2(&body, 0).unwrap().written.samples, 3);
        store.reject.lock().extend([unknown.clone(), unknown]);
        assert_eq!(receiver.handle_v2(&body, 0).unwrap_err().status(), 500);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_message_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (_, receiver) = receiver();
            let _ = receiver.handle_v2(&snap::raw::Encoder::new().compress_vec(&bytes).unwrap(), 0);
        }

        #[test]
        fn a_damaged_request_is_answered(at in any::<prop::sample::Index>(), x in any::<u8>()) {
            let mut message = request().message();
            let at = at.index(message.len());
            message[at] ^= x;
            let (_, receiver) = receiver();
            let _ = receiver.handle_v2(&snap::raw::Encoder::new().compress_vec(&message).unwrap(), i64::MAX);
        }

        #[test]
        fn what_is_sent_arrives(series in proptest::collection::vec((".{1,9}", ".{1,9}", proptest::collection::vec(any::<(i64, u64)>(), 1..4)), 0..5)) {
            let (store, receiver) = receiver();
            let mut r = WriteRequestV2::new();
            for (name, x, samples) in &series {
                r.begin_series(&labels(name, x));
                for (t, v) in samples {
                    r.sample(Sample { t: *t, v: f64::from_bits(*v) });
                }
                r.end_series();
            }
            let done = receiver.handle_v2(&r.body().unwrap(), i64::MAX).unwrap();
            prop_assert_eq!(done.refused, Refused::default());
            let sent: Vec<(i64, u64)> = series.iter().flat_map(|s| s.2.clone()).collect();
            let arrived: Vec<(i64, u64)> =
                store.batches.lock()[0].floats.iter().map(|s| (s.t, s.v.to_bits())).collect();
            prop_assert_eq!(arrived, sent);
        }
    }
}

#[test]
fn a_series_of_very_many_labels_is_skipped_like_other_invalid_ones() {
    let (store, _) = receiver();
    let limits = RemoteWriteLimits { max_decompressed_bytes: 64 << 20, ..RemoteWriteLimits::with_seed(1) };
    let receiver = RemoteWriteReceiver::new(Arc::clone(&store) as _, limits);
    let mut series = Vec::new();
    // Falling names are the worst order for a list that is kept sorted.
    for i in (0..1_000_000).rev() {
        let mut pair = Vec::new();
        put_bytes_field(1, format!("l{i:07}").as_bytes(), &mut pair);
        put_bytes_field(2, b"v", &mut pair);
        put_bytes_field(1, &pair, &mut series);
    }
    let mut name = Vec::new();
    put_bytes_field(1, b"__name__", &mut name);
    put_bytes_field(2, b"m", &mut name);
    series.splice(0..0, [vec![0x0a, name.len() as u8], name].concat());
    let mut sample = Vec::new();
    put_varint_field(2, 3, &mut sample);
    put_bytes_field(2, &sample, &mut series);
    let mut message = Vec::new();
    put_bytes_field(1, &series, &mut message);
    let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    assert_eq!(receiver.handle_v1(&body, 0).unwrap().invalid_labels, 1);
    assert!(store.known.lock().is_empty());
}
