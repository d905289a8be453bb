use std::net::SocketAddr;

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use reba_ingest::{
    config::Config,
    remote_read::{ReadRequest, ReadResponse, put_frames},
};
use reba_model::SampleColumns;
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_testkit::{MemConfig, MemStore};

use super::*;

/// Questions that a server got.
type Asked = Arc<Mutex<Vec<ReadRequest>>>;

/// A store that answers with one series, streamed or not.
async fn server(streamed: bool) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let answer = move |State(asked): State<Asked>, headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["x-prometheus-remote-read-version"], "0.1.0");
        asked.lock().push(ReadRequest::decode(&body).unwrap());
        let labels = Labels::from_pairs([("__name__", "up"), ("cluster", "c"), ("job", "far")]);
        let samples = SampleColumns { t: vec![10, 20], v: vec![1.0, 2.0], h: Vec::new() };
        if streamed {
            let mut out = Vec::new();
            put_frames(&labels, &samples, 0, 1 << 20, &mut out);
            let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
            return ([(header::CONTENT_TYPE, kind)], out).into_response();
        }
        let mut out = ReadResponse::new();
        out.series(&labels, &samples);
        out.end_query();
        let kind = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
        (kind, out.body().unwrap()).into_response()
    };
    let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&asked));
    (serve(app).await, asked)
}

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Our own store with `up{job="far"}` at 15 and 20, joined with others.
fn joined(remote_read: &str, oldest: i64) -> JoinedStore {
    let store = MemStore::new(MemConfig::default());
    let series = store.series_ref(&Labels::from_pairs([("__name__", "up"), ("job", "far")])).unwrap();
    let mut batch = WriteBatch::default();
    batch.floats.extend([(15, 1.5), (20, 2.0)].map(|(t, v)| FloatSample { series, t, v }));
    store.append(&batch, AppendMode::Partial).unwrap();
    let options = RemoteReadOptions {
        runtime: Handle::current(),
        user_agent: "test".to_owned(),
        proxies: ProxyEnv::default(),
        oldest: Arc::new(move || oldest),
    };
    let joined = JoinedStore::new(Arc::new(store), options);
    let text = format!("remote_read: [{remote_read}]");
    let config = Config::parse(&text, std::path::Path::new("prometheus.yml")).unwrap();
    let external = Labels::from_pairs([("cluster", "c")]);
    joined.apply(joined.prepare(&config.remote_read, &external).unwrap());
    joined
}

/// Labels, times, warnings.
type Answer = (Vec<(String, Vec<i64>)>, Vec<String>);

/// Asks on a thread where waiting is allowed, as queries do.
async fn select(joined: &Arc<JoinedStore>, range: TimeRange) -> Answer {
    let joined = Arc::clone(joined);
    let ask = move || {
        let budget = Budget::unlimited();
        let matchers = [Matcher::equal("__name__", "up")];
        let request =
            SelectRequest { matchers: &matchers, range, hints: &SelectHints::default(), budget: &budget };
        let found = joined.select(&request).unwrap();
        let read = |s: Series| {
            let mut columns = SampleColumns::default();
            s.read_into(range, &mut columns).unwrap();
            (s.labels.to_string(), columns.t)
        };
        (found.into_iter().map(read).collect(), budget.take_warnings())
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_is_joined_with_what_we_have() {
    for streamed in [false, true] {
        let (address, asked) = server(streamed).await;
        let joined = Arc::new(joined(&format!("{{url: 'http://{address}/', read_recent: true}}"), 0));
        let (series, warnings) = select(&joined, TimeRange::new(0, 100)).await;
        assert_eq!(series, [(r#"{__name__="up", job="far"}"#.to_owned(), vec![10, 15, 20])]);
        assert!(warnings.is_empty());
        let questions = asked.lock();
        assert_eq!(
            questions[0].queries[0].matchers,
            [Matcher::equal("__name__", "up"), Matcher::equal("cluster", "c")]
        );
        assert!(joined.change_log().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_is_a_warning() {
    let app = Router::new().route("/", post(|| async { (http::StatusCode::BAD_GATEWAY, "no luck\n") }));
    let address = serve(app).await;
    let joined = Arc::new(joined(&format!("{{url: 'http://{address}/', read_recent: true}}"), 0));
    let (series, warnings) = select(&joined, TimeRange::new(0, 100)).await;
    assert_eq!(series, [(r#"{__name__="up", job="far"}"#.to_owned(), vec![15, 20])]);
    let text =
        format!("remote_read: remote server http://{address} returned http status 502 Bad Gateway: no luck");
    assert_eq!(warnings, [text]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_asked_only_for_what_is_theirs() {
    let (address, asked) = server(true).await;
    let url = format!("url: 'http://{address}/'");
    // Our store is complete from four hours after its oldest sample on.
    let ours = MARGIN_MS;
    let old = Arc::new(joined(&format!("{{{url}, filter_external_labels: false}}"), 0));
    select(&old, TimeRange::new(ours + 1, ours + 5)).await;
    assert!(asked.lock().is_empty());
    let (series, _) = select(&old, TimeRange::new(0, ours + 5)).await;
    assert_eq!(asked.lock()[0].queries[0].range, TimeRange::new(0, ours));
    let labels: Vec<_> = series.iter().map(|(l, _)| l.as_str()).collect();
    assert_eq!(labels, [r#"{__name__="up", job="far"}"#, r#"{__name__="up", cluster="c", job="far"}"#]);
    asked.lock().clear();
    let required = joined(&format!("{{{url}, read_recent: true, required_matchers: {{__name__: down}}}}"), 0);
    select(&Arc::new(required), TimeRange::new(0, 100)).await;
    assert!(asked.lock().is_empty());
    let required = joined(&format!("{{{url}, read_recent: true, required_matchers: {{__name__: up}}}}"), 0);
    select(&Arc::new(required), TimeRange::new(0, 100)).await;
    assert_eq!(asked.lock().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_cancelled_waits_for_nobody() {
    let app = Router::new().route("/", post(|| async { std::future::pending::<()>().await }));
    let address = serve(app).await;
    let joined = Arc::new(joined(&format!("{{url: 'http://{address}/', read_recent: true}}"), 0));
    let budget = Arc::new(Budget::unlimited());
    let used = Arc::clone(&budget);
    let asking = tokio::task::spawn_blocking(move || {
        let (matchers, hints) = ([Matcher::equal("a", "b")], SelectHints::default());
        let range = TimeRange::new(0, 1);
        joined
            .select(&SelectRequest { matchers: &matchers, range, hints: &hints, budget: &used })
            .map(|s| s.len())
    });
    budget.cancel();
    assert!(matches!(asking.await.unwrap(), Err(QueryError::Budget(BudgetError::Cancelled))));
}
