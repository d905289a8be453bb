use std::collections::BTreeMap;

use reba_model::{
    Exemplar, Labels,
    spans::{AttributeValue, Attributes, Resource, Span, SpanId, SpanKind, SpanStatus, TraceId},
};
use reba_storage::{AppendMode, AppendReport, SeriesRef, WriteBatch};

use super::*;
use crate::traces::config::Variables;

const SECOND: i64 = 1_000_000_000;
const NOW: i64 = 1_700_000_000 * SECOND;

/// Writes down what it is given.
#[derive(Default)]
struct Recorder {
    series: Mutex<Vec<Labels>>,
    samples: Mutex<BTreeMap<u64, Vec<(i64, f64)>>>,
    exemplars: Mutex<Vec<Exemplar>>,
}

impl MetricAppender for Recorder {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut all = self.series.lock();
        let at = all.iter().position(|l| l == labels).unwrap_or_else(|| {
            all.push(labels.clone());
            all.len() - 1
        });
        Ok(SeriesRef(std::num::NonZeroU64::new(at as u64 + 1).unwrap()))
    }

    fn append(&self, batch: &WriteBatch, _: AppendMode) -> Result<AppendReport, AppendError> {
        let mut samples = self.samples.lock();
        for sample in &batch.floats {
            samples.entry(sample.series.0.get() - 1).or_default().push((sample.t, sample.v));
        }
        self.exemplars.lock().extend(batch.exemplars.iter().map(|(_, exemplar)| exemplar.clone()));
        Ok(AppendReport { appended: batch.samples(), rejected: Vec::new() })
    }
}

struct Bench {
    store: Arc<Recorder>,
    generator: Generator,
}

fn bench(yaml: &str) -> Bench {
    let (config, _) =
        TempoConfig::parse(yaml, std::path::Path::new("tempo.yml"), &Variables::default()).unwrap();
    let store = Arc::new(Recorder::default());
    let options = GeneratorOptions { instance: "host".to_owned() };
    let config = Arc::new(ArcSwap::from_pointee(config));
    Bench { generator: Generator::new(Arc::clone(&store) as _, config, options), store }
}

const BOTH: &str = "overrides: {metrics_generator_processors: [span-metrics, service-graphs]}\n\
                    metrics_generator: {registry: {external_labels: {source: tempo}}}";

fn span(service: &str, kind: SpanKind, id: u8, parent: u8) -> Span {
    let name = ("service.name".to_owned(), AttributeValue::Str(service.to_owned()));
    Span {
        trace_id: TraceId([7; 16]),
        span_id: SpanId([id; 8]),
        parent_id: SpanId([parent; 8]),
        name: "GET /".to_owned(),
        kind,
        start_ns: NOW - 300_000_000,
        end_ns: NOW,
        resource: Arc::new(Resource { attributes: Attributes(vec![name]) }),
        ..Span::default()
    }
}

fn with(mut span: Span, name: &str, value: &str) -> Span {
    span.attributes.0.push((name.to_owned(), AttributeValue::Str(value.to_owned())));
    span
}

impl Bench {
    fn observe(&self, spans: &[Span], now: i64) {
        self.generator.observe(&Tenant::single(), &SpanBatch::of(spans).unwrap(), now);
    }

    /// All values of the series of a name, by their labels without those that all have.
    fn values(&self, name: &str) -> BTreeMap<String, Vec<f64>> {
        let samples = self.store.samples.lock();
        let series = self.store.series.lock();
        let own = |labels: &Labels| {
            assert_eq!((labels.value("__metrics_gen_instance"), labels.value("source")), ("host", "tempo"));
            let own =
                labels.iter().filter(|(n, _)| !["__name__", "__metrics_gen_instance", "source"].contains(n));
            own.map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",")
        };
        let of = |at: usize| samples[&(at as u64)].iter().map(|(_, v)| *v).collect();
        let all = series.iter().enumerate().filter(|(_, labels)| labels.metric_name() == name);
        all.map(|(at, labels)| (own(labels), of(at))).collect()
    }

    fn counter(&self, read: impl Fn(&GeneratorCounters) -> &AtomicU64) -> u64 {
        let mut value = 0;
        self.generator.each_tenant(|_, counters| value = read(counters).load(Ordering::Relaxed));
        value
    }
}

#[test]
fn spans_are_counted_with_tempos_names_labels_and_buckets() {
    let bench = bench(BOTH);
    let mut failed = span("api", SpanKind::Server, 2, 0);
    failed.status = SpanStatus::Error;
    bench.observe(&[span("api", SpanKind::Server, 1, 0), failed], NOW);
    bench.generator.collect(NOW + 15 * SECOND);
    let ok = "service=api,span_kind=SPAN_KIND_SERVER,span_name=GET /,status_code=STATUS_CODE_UNSET";
    let calls = bench.values("traces_spanmetrics_calls_total");
    assert_eq!((calls.len(), calls[ok].as_slice()), (2, &[0.0, 1.0][..]));
    assert!(bench.values("traces_spanmetrics_size_total")[ok][1] > 50.0);
    assert_eq!(bench.values("traces_spanmetrics_latency_sum")[ok], [0.0, 0.3]);
    let buckets = bench.values("traces_spanmetrics_latency_bucket");
    let bucket = |le: &str| buckets[&format!("le={le},{ok}")][1];
    assert_eq!((bucket("0.002"), bucket("0.256"), bucket("0.512"), bucket("+Inf")), (0.0, 0.0, 1.0, 1.0));
    assert_eq!(buckets.len(), 2 * 15);
    let exemplars = bench.store.exemplars.lock();
    assert_eq!(exemplars[0].labels.value("traceID"), "7070707070707070707070707070707");
    assert_eq!((exemplars[0].value, exemplars[0].t), (0.3, NOW / 1_000_000));
}

#[test]
fn a_client_and_a_server_are_an_edge_in_whatever_order_they_come() {
    let bench = bench(BOTH);
    bench.observe(&[span("back", SpanKind::Server, 2, 1)], NOW);
    bench.observe(&[span("front", SpanKind::Client, 1, 9)], NOW);
    bench.observe(&[with(span("back", SpanKind::Client, 3, 2), "db.system", "redis")], NOW);
    bench.generator.collect(NOW + 15 * SECOND);
    let edges = bench.values("traces_service_graph_request_total");
    assert_eq!(edges["client=front,server=back"], [0.0, 1.0]);
    assert_eq!(edges["client=back,connection_type=database,server=redis"], [0.0, 1.0]);
    assert_eq!(bench.values("traces_service_graph_request_server_seconds_bucket").len(), 2 * 9);
    let failed = bench.values("traces_service_graph_request_failed_total");
    assert_eq!(failed["client=front,server=back"], [0.0, 0.0]);
    assert_eq!((bench.counter(|c| &c.edges), bench.counter(|c| &c.expired_edges)), (2, 0));
}

#[test]
fn halves_without_an_other_end_after_a_while() {
    let bench = bench(BOTH);
    bench.observe(
        &[
            span("api", SpanKind::Server, 1, 0),
            // Called by a root that is a server itself: nobody knows what lies between.
            span("inner", SpanKind::Server, 2, 1),
            with(span("api", SpanKind::Client, 3, 1), "peer.service", "whatsapp"),
            span("api", SpanKind::Client, 4, 1),
        ],
        NOW,
    );
    bench.generator.collect(NOW + 9 * SECOND);
    assert_eq!(bench.counter(|c| &c.edges), 0);
    bench.generator.collect(NOW + 25 * SECOND);
    let edges: Vec<String> = bench.values("traces_service_graph_request_total").into_keys().collect();
    assert_eq!(
        edges,
        [
            "client=api,connection_type=virtual_node,server=whatsapp",
            "client=user,connection_type=virtual_node,server=api"
        ]
    );
    assert_eq!(bench.counter(|c| &c.expired_edges), 2);
}

#[test]
fn what_was_counted_since_the_last_time_is_written_at_the_end() {
    let bench = bench(BOTH);
    bench.observe(&[span("api", SpanKind::Server, 1, 0)], NOW);
    bench.generator.collect(NOW + 15 * SECOND);
    bench.observe(&[span("api", SpanKind::Server, 2, 0)], NOW + 16 * SECOND);
    bench.generator.collect(NOW + 17 * SECOND);
    bench.generator.finish(NOW + 18 * SECOND);
    let calls = bench.values("traces_spanmetrics_calls_total");
    assert_eq!(calls.values().next().unwrap(), &[0.0, 1.0, 2.0]);
}

#[test]
fn late_and_repeated_spans_do_not_count() {
    let bench = bench(BOTH);
    let one = span("api", SpanKind::Server, 1, 0);
    bench.observe(std::slice::from_ref(&one), NOW + 60 * SECOND);
    bench.observe(&[one.clone(), one.clone()], NOW);
    bench.observe(&[one], NOW + SECOND);
    assert_eq!((bench.counter(|c| &c.outside_slack), bench.counter(|c| &c.repeated)), (1, 2));
}

#[test]
fn series_beyond_the_limit_are_not_made_and_old_ones_end() {
    let bench = bench(
        "overrides: {metrics_generator_processors: [span-metrics-count], metrics_generator_max_active_series: 1}
metrics_generator: {registry: {external_labels: {source: tempo}, stale_duration: 1m}}",
    );
    bench.observe(&[span("a", SpanKind::Server, 1, 0), span("b", SpanKind::Server, 2, 0)], NOW);
    assert_eq!((bench.counter(|c| &c.limited), bench.counter(|c| &c.active_series)), (1, 1));
    bench.generator.collect(NOW + 15 * SECOND);
    bench.generator.collect(NOW + 75 * SECOND);
    let calls = bench.values("traces_spanmetrics_calls_total");
    assert_eq!(calls.len(), 1);
    let values = calls.values().next().unwrap();
    assert_eq!(values[..2], [0.0, 1.0]);
    assert!(reba_model::is_stale_nan(values[2]));
    assert_eq!(bench.counter(|c| &c.active_series), 0);
}

#[test]
fn dimensions_policies_and_multipliers_are_as_configured() {
    let bench = bench(
        "
overrides: {defaults: {metrics_generator: {processors: [span-metrics-count]}}}
metrics_generator:
  registry: {external_labels: {source: tempo}}
  processor:
    span_metrics:
      dimensions: [http.method, service]
      span_multiplier_key: rate
      filter_policies:
        - include: {match_type: strict, attributes: [{key: kind, value: SPAN_KIND_SERVER}]}
          exclude: {match_type: regex, attributes: [{key: span.http.method, value: ^O}]}
",
    );
    let mut get = with(span("api", SpanKind::Server, 1, 0), "http.method", "GET");
    get.attributes.0.push(("rate".to_owned(), AttributeValue::Int(4)));
    bench.observe(
        &[
            get,
            with(span("api", SpanKind::Server, 2, 0), "http.method", "OPTIONS"),
            span("api", SpanKind::Client, 3, 0),
        ],
        NOW,
    );
    bench.generator.collect(NOW + 15 * SECOND);
    let calls = bench.values("traces_spanmetrics_calls_total");
    let [(labels, values)] = calls.iter().collect::<Vec<_>>()[..] else { panic!("{calls:?}") };
    assert!(labels.contains("http_method=GET") && labels.contains("service=api"), "{labels}");
    assert_eq!((values[1], bench.counter(|c| &c.filtered)), (4.0, 2));
}
