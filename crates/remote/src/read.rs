//! Remote read, the asking side: what other stores have beside ours.
//!
//! [`JoinedStore`] is a store that asks ours and all others, and joins what they say. A remote store that fails is a warning
//! of the query and not its end, as upstream. Without remote stores it costs one atomic load a question.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderName, HeaderValue, Method, header};
use parking_lot::Mutex;
use reba_http::{Client, HttpError, ProxyEnv, Request};
use reba_ingest::{
    config::RemoteReadConfig,
    remote_read::{AnswerError, Answered, Frames, question, read_samples},
};
use reba_model::{Labels, MatchOp, Matcher, Series, Texts, TimeRange};
use reba_storage::{
    Budget, BudgetError, ChangeLog, ExemplarSeries, MetricQuerier, QueryError, SelectHints, SelectRequest,
    StoreStats,
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::login;

/// Most bytes of an answer that holds all samples at once.
const SAMPLES_LIMIT: u64 = 256 << 20;

/// Bytes of an error's text that are shown.
const ERROR_TEXT: usize = 1024;

/// How often a question looks whether its query still goes on.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// How much younger than our oldest sample a remote store is still asked for, as upstream: after a start it takes a while
/// until our store is complete.
const MARGIN_MS: i64 = 4 * 3_600_000;

/// The time of our oldest sample, Unix milliseconds; `i64::MAX` if there is none.
pub type OldestSample = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What remote stores are asked with.
pub struct RemoteReadOptions {
    /// Where requests run.
    pub runtime: Handle,
    /// What we call ourselves.
    pub user_agent: String,
    /// Proxies of the environment.
    pub proxies: ProxyEnv,
    /// What our own store has.
    pub oldest: OldestSample,
}

/// Our store and all remote ones as one.
pub struct JoinedStore {
    local: Arc<dyn MetricQuerier>,
    options: RemoteReadOptions,
    readers: ArcSwap<Vec<Reader>>,
}

/// Remote stores that are ready to be asked.
#[derive(Debug)]
pub struct Readers(Vec<Reader>);

#[derive(Debug)]
struct Reader {
    config: RemoteReadConfig,
    client: Client,
    external: Labels,
}

/// Why a remote store could not be asked.
#[derive(Debug, Error)]
enum ReadError {
    #[error("error sending request: {0}")]
    Http(#[from] HttpError),
    #[error("remote server {url} returned http status {status}: {text}")]
    Status { url: String, status: String, text: String },
    #[error("unsupported content type: {0}")]
    ContentType(String),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("{0}")]
    Request(String),
    #[error("request timed out after {0:?}")]
    Timeout(Duration),
    /// The query's fault and not the store's.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// A question to one remote store.
struct Question {
    matchers: Vec<Matcher>,
    range: TimeRange,
    /// External labels that were added to the matchers, to be taken off the answer.
    added: Vec<String>,
}

impl JoinedStore {
    /// `local` alone, until [`JoinedStore::apply`] adds others.
    pub fn new(local: Arc<dyn MetricQuerier>, options: RemoteReadOptions) -> Self {
        JoinedStore { local, options, readers: ArcSwap::default() }
    }

    /// Makes the clients of a configuration; changes nothing yet.
    pub fn prepare(&self, configs: &[RemoteReadConfig], external: &Labels) -> Result<Readers, HttpError> {
        let reader = |config: &RemoteReadConfig| {
            let login = login(&config.http, &config.url);
            let client = Client::new(&login, &self.options.user_agent, &self.options.proxies)?;
            Ok(Reader { config: config.clone(), client, external: external.clone() })
        };
        configs.iter().map(reader).collect::<Result<_, _>>().map(Readers)
    }

    /// Asks these from now on.
    pub fn apply(&self, readers: Readers) {
        self.readers.store(Arc::new(readers.0));
    }

    /// What remote stores have; those that fail are warnings.
    fn remote(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        let readers = self.readers.load_full();
        if readers.is_empty() {
            return Ok(Vec::new());
        }
        let oldest = (self.options.oldest)();
        let asked = readers.iter().filter_map(|r| Some((r, r.question(request, oldest)?)));
        let answers = asked.map(|(reader, question)| async move {
            let found = Mutex::new(Vec::new());
            let result = reader.ask(&question, request, &found).await;
            (reader, result, found.into_inner())
        });
        let all = async {
            tokio::select! {
                all = join_all(answers) => Some(all),
                () = cancelled(request.budget) => None,
            }
        };
        let Some(all) = self.options.runtime.block_on(all) else { return Err(BudgetError::Cancelled.into()) };
        let mut out = Vec::new();
        for (reader, result, found) in all {
            match result {
                Ok(()) => out.extend(found),
                Err(ReadError::Budget(e)) => return Err(e.into()),
                Err(error) => {
                    tracing::warn!(url = %reader.config.url, %error, "remote read failed");
                    request.budget.warn(format!("remote_read: {error}"));
                }
            }
        }
        Ok(out)
    }
}

/// Waits until a query is cancelled.
async fn cancelled(budget: &Budget) {
    while !budget.is_cancelled() {
        tokio::time::sleep(CANCEL_CHECK).await;
    }
}

impl Reader {
    /// What to ask; `None` if this store is not for the request.
    fn question(&self, request: &SelectRequest<'_>, oldest: i64) -> Option<Question> {
        let is_there = |(name, value): (&String, &String)| {
            request.matchers.iter().any(|m| m.op == MatchOp::Equal && m.name == *name && m.value == *value)
        };
        if !self.config.required_matchers.iter().all(is_there) {
            return None;
        }
        let mut range = request.range;
        if !self.config.read_recent {
            let complete = oldest.saturating_add(MARGIN_MS);
            if range.start > complete {
                return None;
            }
            range.end = range.end.min(complete);
        }
        let mut matchers = request.matchers.to_vec();
        let mut added = Vec::new();
        if self.config.filter_external_labels {
            for (name, value) in &self.external {
                if !request.matchers.iter().any(|m| m.name == name) {
                    matchers.push(Matcher::equal(name, value));
                    added.push(name.to_owned());
                }
            }
        }
        Some(Question { matchers, range, added })
    }

    /// Asks, and puts what it gets into `found`.
    async fn ask(
        &self,
        question: &Question,
        request: &SelectRequest<'_>,
        found: &Mutex<Vec<Series>>,
    ) -> Result<(), ReadError> {
        let take = |answered: Answered| {
            request.budget.spend(1, answered.bytes as u64)?;
            let mut series = answered.series;
            if !question.added.is_empty() {
                series.labels = series.labels.without(&question.added);
            }
            // A store may answer more than it was asked.
            if !series.chunks.is_empty() {
                found.lock().push(series);
            }
            Ok::<(), ReadError>(())
        };
        let timeout = self.config.remote_timeout.as_std();
        match tokio::time::timeout(timeout, self.exchange(question, request.hints, take)).await {
            Ok(result) => result,
            Err(_) => Err(ReadError::Timeout(timeout)),
        }
    }

    async fn exchange(
        &self,
        asked: &Question,
        hints: &SelectHints,
        mut take: impl FnMut(Answered) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let (answer, mut body) = self.client.open(self.request(asked, hints)?).await?;
        if !answer.status.is_success() {
            let mut text = Vec::new();
            while let Some(piece) = body.chunk().await?.filter(|_| text.len() < ERROR_TEXT) {
                text.extend_from_slice(&piece);
            }
            text.truncate(ERROR_TEXT);
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            return Err(ReadError::Status {
                url: self.config.url.to_string(),
                status: answer.status.to_string(),
                text,
            });
        }
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        if kind.starts_with("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse") {
            let mut frames = Frames::new(self.config.chunked_read_limit);
            while let Some(piece) = body.chunk().await? {
                frames.push(&piece, &mut take)?;
            }
            return Ok(frames.end()?);
        }
        if !kind.starts_with("application/x-protobuf") {
            return Err(ReadError::ContentType(kind.to_owned()));
        }
        let mut all = Vec::new();
        while let Some(piece) = body.chunk().await? {
            if all.len() as u64 + piece.len() as u64 > SAMPLES_LIMIT {
                return Err(AnswerError::TooLarge { len: SAMPLES_LIMIT + 1, limit: SAMPLES_LIMIT }.into());
            }
            all.extend_from_slice(&piece);
        }
        read_samples(&all, SAMPLES_LIMIT, take)
    }

    fn request(&self, asked: &Question, hints: &SelectHints) -> Result<Request, ReadError> {
        let wrong = |e: &dyn fmt::Display| ReadError::Request(e.to_string());
        let body = question(&asked.matchers, asked.range, hints).map_err(|e| wrong(&e))?;
        let uri = self.config.url.uri().clone();
        let mut request = Request::get(uri, self.config.remote_timeout.as_std(), SAMPLES_LIMIT);
        request.method = Method::POST;
        request.body = Bytes::from(body);
        for (name, value) in [
            (header::CONTENT_ENCODING, "snappy"),
            (header::ACCEPT_ENCODING, "snappy"),
            (header::CONTENT_TYPE, "application/x-protobuf"),
            (HeaderName::from_static("x-prometheus-remote-read-version"), "0.1.0"),
        ] {
            request.headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in &self.config.headers {
            let name = HeaderName::try_from(name).map_err(|e| wrong(&e))?;
            request.headers.insert(name, HeaderValue::try_from(value).map_err(|e| wrong(&e))?);
        }
        Ok(request)
    }
}

/// Joins series of equal labels. Where both have a sample of one time, one of them stays.
fn join(mut local: Vec<Series>, remote: Vec<Series>) -> Vec<Series> {
    let mut places: HashMap<Labels, usize> =
        local.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)).collect();
    let ours = local.len();
    let mut joined = Vec::new();
    for series in remote {
        match places.get(&series.labels) {
            Some(at) => {
                local[*at].chunks.extend(series.chunks);
                joined.push(*at);
            }
            None => {
                places.insert(series.labels.clone(), local.len());
                local.push(series);
            }
        }
    }
    joined.extend(ours..local.len());
    for at in joined {
        local[at].chunks.sort_by_key(|c| c.range().start);
    }
    local
}

impl MetricQuerier for JoinedStore {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        let local = self.local.select(request)?;
        let remote = self.remote(request)?;
        Ok(if remote.is_empty() { local } else { join(local, remote) })
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        let mut out = self.local.series(sets, range, budget)?;
        if self.readers.load().is_empty() {
            return Ok(out);
        }
        let hints = SelectHints { function: "series".to_owned(), ..SelectHints::default() };
        for matchers in sets {
            let found = self.remote(&SelectRequest { matchers, range, hints: &hints, budget })?;
            out.extend(found.into_iter().map(|s| s.labels));
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    // Remote read knows no names and values of labels: these are our own, as upstream.

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        self.local.label_names(sets, range, budget)
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        self.local.label_values(name, sets, range, budget)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        self.local.exemplars(sets, range)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.local.stats(limit)
    }

    /// Nobody tells when another store changes.
    fn change_log(&self) -> Option<&ChangeLog> {
        if self.readers.load().is_empty() { self.local.change_log() } else { None }
    }

    fn is_at_hand(&self) -> bool {
        self.local.is_at_hand()
    }
}

impl fmt::Debug for JoinedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedStore").field("readers", &self.readers.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
