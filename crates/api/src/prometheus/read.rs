//! POST `/api/v1/read`: remote read.
//!
//! A stream holds in memory one piece of a megabyte, and the handles of the series that it will read: it is written as
//! fast as the reader takes it, and given up when the reader takes nothing for a minute.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use reba_ingest::remote_read::{ReadQuery, ReadRequest, ReadResponse, ResponseType, put_frames};
use reba_model::{Labels, MatchOp, Matcher, SampleColumns, Series, TimeRange};
use reba_query::ExecError;
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::PrometheusApi;

/// Reads at a time, as upstream (`--storage.remote.read-concurrent-limit`); more wait.
const CONCURRENT: usize = 10;

/// Most samples of an answer that is not streamed. Upstream allows ten times as many, and a gigabyte of memory each.
const MAX_SAMPLES: usize = 5_000_000;

/// Most bytes of a frame, as upstream (`--storage.remote.read-max-bytes-in-frame`).
const FRAME_BYTES: usize = 1 << 20;

/// Largest compressed question.
const MAX_BODY: usize = 1 << 20;

/// How long a stream waits for its reader.
const STALLED: Duration = Duration::from_secs(60);

/// Bounds remote reads, and counts them.
#[derive(Debug)]
pub struct RemoteRead {
    gate: Arc<Semaphore>,
    active: Arc<AtomicUsize>,
}

impl Default for RemoteRead {
    fn default() -> Self {
        RemoteRead { gate: Arc::new(Semaphore::new(CONCURRENT)), active: Arc::default() }
    }
}

/// A read from its arrival to its last byte.
#[derive(Debug)]
struct Active {
    count: Arc<AtomicUsize>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RemoteRead {
    /// Reads that run or wait.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    async fn enter(&self) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        let mut active = Active { count: Arc::clone(&self.active), _permit: None };
        // The gate is never closed.
        active._permit = Arc::clone(&self.gate).acquire_owned().await.ok();
        active
    }
}

/// What became of a question.
enum Answer {
    /// The body with all samples.
    Samples(Vec<u8>),
    /// Series to stream, for each selector.
    Stream(Vec<Found>),
    /// The question cannot be answered, and why.
    Refused(String),
}

/// The series of one selector.
struct Found {
    range: TimeRange,
    series: Vec<Series>,
}

/// `/api/v1/read`
pub async fn read(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    let refuse = |status: StatusCode, text: String| (status, format!("{text}\n")).into_response();
    let body = match axum::body::to_bytes(request.into_body(), MAX_BODY).await {
        Ok(body) => body,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, e.to_string()),
    };
    // Only with the whole question: who sends it slowly holds no place.
    let active = api.remote_read.enter().await;
    let mut question = match ReadRequest::decode(&body) {
        Ok(question) => question,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, e.to_string()),
    };
    let external = Arc::clone(&api.external_labels.load());
    question.queries.iter_mut().for_each(|q| without_external(&mut q.matchers, &external));
    let labels = Arc::clone(&external);
    let store = Arc::clone(&api.local);
    let answer = api.engine.ask(move |_, budget| answer(&*store, &question, &labels, budget)).await;
    match answer {
        Ok(Answer::Samples(body)) => {
            let kind =
                [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
            (kind, body).into_response()
        }
        Ok(Answer::Stream(found)) => {
            let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
            ([(header::CONTENT_TYPE, kind)], stream(found, external, active)).into_response()
        }
        Ok(Answer::Refused(text)) => refuse(StatusCode::BAD_REQUEST, text),
        Err(e @ ExecError::Execution(_)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, e.to_string()),
        Err(e @ (ExecError::Canceled(_) | ExecError::Timeout(_))) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, e.to_string())
        }
        Err(e) => refuse(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

/// No stored series has the external labels: who asks for one of ours asks for a series without it.
fn without_external(matchers: &mut [Matcher], external: &Labels) {
    for m in matchers {
        if m.op == MatchOp::Equal && external.get(&m.name) == Some(m.value.as_str()) {
            *m = Matcher::equal(m.name.as_str(), "");
        }
    }
}

/// The labels that the asker sees: external ones fill in what a series lacks.
fn with_external(labels: &Labels, external: &Labels) -> Labels {
    if external.is_empty() {
        return labels.clone();
    }
    let mut all = external.to_builder();
    for (name, value) in labels {
        all.set(name, value);
    }
    all.build()
}

fn answer(
    store: &dyn MetricQuerier,
    question: &ReadRequest,
    external: &Labels,
    budget: &Budget,
) -> Result<Answer, ExecError> {
    let mut found = Vec::with_capacity(question.queries.len());
    for ReadQuery { matchers, range } in &question.queries {
        let hints = SelectHints::default();
        let mut series = store.select(&SelectRequest { matchers, range: *range, hints: &hints, budget })?;
        // A store may give more than was asked for; streams are sorted.
        series.retain(|s| Matcher::all(matchers, &s.labels));
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        found.push(Found { range: *range, series });
    }
    match question.accepted.first() {
        Some(ResponseType::StreamedXorChunks) => Ok(Answer::Stream(found)),
        _ => samples(&found, external, budget),
    }
}

fn samples(found: &[Found], external: &Labels, budget: &Budget) -> Result<Answer, ExecError> {
    let mut response = ReadResponse::new();
    let mut columns = SampleColumns::default();
    let mut n = 0;
    for Found { range, series } in found {
        for series in series {
            budget.check()?;
            series.read_into(*range, &mut columns).map_err(|e| ExecError::Internal(e.to_string()))?;
            n += columns.len();
            if n > MAX_SAMPLES {
                return Ok(Answer::Refused(format!("exceeded sample limit ({MAX_SAMPLES})")));
            }
            if !columns.is_empty() {
                response.series(&with_external(&series.labels, external), &columns);
            }
        }
        response.end_query();
    }
    let body = response.body().map_err(|e| ExecError::Internal(e.to_string()))?;
    Ok(Answer::Samples(body))
}

/// Writes one piece after the other, each when the reader has taken the one before.
fn stream(found: Vec<Found>, external: Arc<Labels>, active: Active) -> Body {
    let (pieces, taken) = mpsc::channel::<io::Result<Bytes>>(1);
    tokio::spawn(async move {
        let _active = active;
        let mut frames = Frames { found, external, query: 0, next: 0, columns: SampleColumns::default() };
        loop {
            let piece = tokio::task::spawn_blocking(move || {
                let piece = frames.piece();
                (frames, piece)
            });
            let Ok((rest, piece)) = piece.await else { return };
            frames = rest;
            let Some(piece) = piece else { return };
            let failed = piece.is_err();
            if !matches!(tokio::time::timeout(STALLED, pieces.send(piece)).await, Ok(Ok(()))) || failed {
                return;
            }
        }
    });
    Body::from_stream(futures::stream::unfold(taken, |mut taken| async move {
        taken.recv().await.map(|piece| (piece, taken))
    }))
}

struct Frames {
    found: Vec<Found>,
    external: Arc<Labels>,
    /// The selector and the series in it that come next.
    query: usize,
    next: usize,
    columns: SampleColumns,
}

impl Frames {
    /// The next megabyte or so; `None` at the end. An error breaks the connection off, for the head of the answer said
    /// that all was well.
    fn piece(&mut self) -> Option<io::Result<Bytes>> {
        let mut out = Vec::new();
        while let Some(found) = self.found.get_mut(self.query) {
            let Some(series) = found.series.get_mut(self.next) else {
                found.series = Vec::new();
                (self.query, self.next) = (self.query + 1, 0);
                continue;
            };
            self.next += 1;
            if let Err(error) = series.read_into(found.range, &mut self.columns) {
                tracing::error!(%error, series = %series.labels, "remote read broken off: chunk cannot be read");
                return Some(Err(io::Error::other(error)));
            }
            series.chunks = Vec::new();
            let labels = with_external(&series.labels, &self.external);
            put_frames(&labels, &self.columns, self.query as u64, FRAME_BYTES, &mut out);
            if out.len() >= FRAME_BYTES {
                break;
            }
        }
        (!out.is_empty()).then(|| Ok(out.into()))
    }
}

#[cfg(test)]
mod tests {
    use reba_model::{Chunk, Histogram, HistogramSample, RawColumns};
    use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
    use reba_testkit::{MemConfig, MemStore};

    use super::*;

    fn series(name: &str, extra: &[(&str, &str)]) -> Series {
        let pairs = [("__name__", name)].into_iter().chain(extra.iter().copied());
        Series { labels: Labels::from_pairs(pairs), chunks: vec![Chunk::raw(vec![1, 2], vec![1.0, 2.0])] }
    }

    #[test]
    fn external_labels_are_taken_off_the_question_and_put_on_the_answer() {
        let external = Labels::from_pairs([("cluster", "a"), ("job", "outer")]);
        let mut matchers = vec![Matcher::equal("cluster", "a"), Matcher::equal("cluster", "b")];
        without_external(&mut matchers, &external);
        assert_eq!(matchers, [Matcher::equal("cluster", ""), Matcher::equal("cluster", "b")]);
        let labels = with_external(&Labels::from_pairs([("__name__", "up"), ("job", "own")]), &external);
        assert_eq!(labels.to_string(), r#"{__name__="up", cluster="a", job="own"}"#);
    }

    fn ask(accepted: &[ResponseType], with_histogram: bool) -> Answer {
        let store = MemStore::new(MemConfig::default());
        let (a, h) = (series("a", &[]), series("h", &[]));
        let mut batch = WriteBatch::default();
        batch.floats.push(FloatSample { series: store.series_ref(&a.labels).unwrap(), t: 5, v: 1.0 });
        if with_histogram {
            batch.histograms.push((store.series_ref(&h.labels).unwrap(), 5, Arc::new(Histogram::default())));
        }
        store.append(&batch, AppendMode::Partial).unwrap();
        let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
        let queries = vec![ReadQuery { matchers: vec![all], range: TimeRange::new(0, 10) }];
        let question = ReadRequest { queries, accepted: accepted.to_vec() };
        answer(&store, &question, &Labels::empty(), &Budget::unlimited()).unwrap()
    }

    #[test]
    fn the_asker_chooses_the_form_of_the_answer_with_histograms_or_without() {
        let both = [ResponseType::StreamedXorChunks, ResponseType::Samples];
        assert!(matches!(ask(&both, false), Answer::Stream(f) if f[0].series.len() == 1));
        assert!(matches!(ask(&both, true), Answer::Stream(f) if f[0].series.len() == 2));
        assert!(matches!(ask(&both[1..], true), Answer::Samples(_)));
        assert!(matches!(ask(&[both[1], both[0]], false), Answer::Samples(_)));
    }

    #[test]
    fn a_stream_is_cut_into_pieces_and_skips_what_has_no_samples() {
        let h = HistogramSample { t: 11, h: Arc::default() };
        let columns = RawColumns { h: vec![h], ..RawColumns::default() };
        let outside = Series { labels: Labels::empty(), chunks: vec![Chunk::raw_columns(columns)] };
        let many = || (0..20_000).map(|i| series("a", &[("i", &format!("{i:0100}"))])).collect::<Vec<_>>();
        let range = TimeRange::new(0, 10);
        let found = vec![
            Found { range, series: vec![outside] },
            Found { range, series: many() },
            Found { range, series: Vec::new() },
        ];
        let external = Arc::new(Labels::empty());
        let mut frames = Frames { found, external, query: 0, next: 0, columns: SampleColumns::default() };
        let mut sizes = Vec::new();
        while let Some(piece) = frames.piece() {
            sizes.push(piece.unwrap().len());
        }
        assert!(sizes.len() >= 3, "{sizes:?}");
        assert!(sizes.iter().all(|n| *n < FRAME_BYTES + 1000), "{sizes:?}");
    }

    #[tokio::test]
    async fn a_read_counts_until_its_last_byte_is_taken() {
        let reads = RemoteRead::default();
        let found = vec![Found { range: TimeRange::new(0, 10), series: vec![series("a", &[])] }];
        let body = stream(found, Arc::default(), reads.enter().await);
        assert_eq!(reads.active(), 1);
        assert!(!axum::body::to_bytes(body, usize::MAX).await.unwrap().is_empty());
        while reads.active() > 0 {
            tokio::task::yield_now().await;
        }
        let body = stream(vec![], Arc::default(), reads.enter().await);
        drop(body);
        while reads.active() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
