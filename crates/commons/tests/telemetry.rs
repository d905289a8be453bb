//! Lines, spans and metrics of a service, and that they lead to each other.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    convert::Infallible,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body, extract::Path, routing::get};
use easymo_commons::{
    Clock, Format, IdGenerator, InitError, PaymentMethod, PaymentOutcome, Telemetry, TelemetryBuilder,
    TraceContext,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tracing::{Dispatch, Instrument, dispatcher};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PATIENCE: Duration = Duration::from_secs(30);

/// What was written, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn all(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A receiver of OTLP that answers the statuses it was given, then 200, and keeps what it took.
struct Receiver {
    address: String,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = taken.clone();
        std::thread::spawn(move || {
            let mut statuses = statuses.iter().copied();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (head, body) = read_request(&stream);
                let status = statuses.next().unwrap_or(200);
                if status == 200 {
                    keep.lock().unwrap().push((head, body));
                }
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}")
                    .unwrap();
            }
        });
        Self { address, taken }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.taken.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Value> {
        let scopes = |request: &Value| {
            request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
        };
        self.requests().iter().flat_map(|(_, request)| scopes(request)).collect()
    }

    fn span(&self, name: &str) -> Value {
        self.spans()
            .into_iter()
            .find(|span| span["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {:?}", self.spans()))
    }
}

fn read_request(stream: &std::net::TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    all.iter().find(|attribute| attribute["key"] == key).map_or(Value::Null, |found| found["value"].clone())
}

fn builder(lines: &Lines) -> TelemetryBuilder {
    let clock =
        Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123), || Duration::ZERO);
    Telemetry::builder("wallet-service")
        .environment("test")
        .output(lines.clone())
        .clock(clock)
        .ids(IdGenerator::seeded(7))
}

fn silent(lines: &Lines) -> Dispatch {
    builder(lines).without_spans().build().unwrap().1
}

#[test]
fn a_line_is_one_json_object_in_pinos_shape() {
    let lines = Lines::default();
    dispatcher::with_default(&silent(&lines), || {
        tracing::info!(target: "payments", amount = 12.5, payment_method = "momo", ok = true, "paid by {}", "momo");
        tracing::debug!("not written");
    });
    let mut line = lines.all().remove(0);
    assert_eq!(lines.all().len(), 1);
    assert!(line["pid"].as_u64().unwrap() > 0 && !line["hostname"].as_str().unwrap().is_empty());
    line["pid"] = 1.into();
    line["hostname"] = "h".into();
    assert_eq!(
        line,
        json!({
            "level": 30, "time": 1_700_000_000_123_u64, "pid": 1, "hostname": "h", "module": "payments",
            "service": "wallet-service", "environment": "test", "amount": 12.5, "payment_method": "momo", "ok": true,
            "msg": "paid by momo",
        })
    );
    let text = lines.text();
    assert!(text.starts_with("{\"level\":30,\"time\":1700000000123,\"pid\":"), "{text}");
    assert!(text.ends_with("\"msg\":\"paid by momo\"}\n"), "{text}");
}

#[test]
fn nobodys_data_is_in_any_part_of_a_line() {
    let lines = Lines::default();
    dispatcher::with_default(&silent(&lines), || {
        let refused = io::Error::other("card 4111 1111 1111 1111 refused");
        let span =
            tracing::info_span!("ride", phone = "0788123456", ride = 7, driver = tracing::field::Empty);
        let _entered = span.enter();
        span.record("driver", "paul@example.rw");
        tracing::error!(
            error = &refused as &(dyn std::error::Error + 'static),
            token = "t-1",
            msisdn = 250_788_123_456_u64,
            caller = 250_788_123_456_i64,
            e_mail = ?Some("jeanne@example.rw"),
            level = "gold",
            "call {} of jeanne@example.rw",
            "+250788123456",
        );
    });
    let line = lines.all().remove(0);
    for secret in ["0788123456", "788123456", "jeanne@", "paul@", "4111", "t-1"] {
        assert!(!lines.text().contains(secret), "{secret}: {line}");
    }
    assert_eq!(line["msg"], "call +2507******56 of j***@example.rw");
    assert_eq!(line["phone"], "07******56");
    assert_eq!((&line["ride"], &line["driver"]), (&7.into(), &"p***@example.rw".into()));
    assert_eq!((&line["msisdn"], &line["caller"]), (&"2507******56".into(), &"2507******56".into()));
    assert_eq!(line["err"]["message"], "card ****1111 refused");
    assert_eq!((&line["level"], &line["level_"]), (&50.into(), &"gold".into()));
}

#[test]
fn levels_can_be_set_by_target() {
    let lines = Lines::default();
    let (_telemetry, dispatch) =
        builder(&lines).without_spans().level("warn,payments=debug").build().unwrap();
    dispatcher::with_default(&dispatch, || {
        tracing::info!(target: "rides", "quiet");
        tracing::warn!(target: "rides", "loud");
        tracing::debug!(target: "payments", "asked for");
    });
    let messages: Vec<Value> = lines.all().iter().map(|line| line["msg"].clone()).collect();
    assert_eq!(messages, ["loud", "asked for"]);
    for wrong in ["loud", "info,loud", "info,hyper=loud", ""] {
        assert!(matches!(builder(&lines).level(wrong).build(), Err(InitError::Level(_))), "{wrong}");
    }
}

/// A service that asks another, logs and is paid.
fn app(telemetry: &Telemetry) -> Router {
    let metrics = telemetry.metrics();
    let ledger = metrics.client().layer().layer(service_fn(async |request: Request<Body>| {
        let seen = request.headers()["traceparent"].clone();
        Ok::<_, Infallible>(Response::builder().status(201).header("seen", seen).body(Body::empty()).unwrap())
    }));
    let business = metrics.business().clone();
    let pay = move |Path(id): Path<String>| async move {
        let request = Request::post("http://user:pass@ledger:9000/entries/7").body(Body::empty()).unwrap();
        let answer = ledger.oneshot(request).await.unwrap();
        business.track_payment(PaymentMethod::Momo, 12.5, PaymentOutcome::Success);
        tracing::info!(payment = id, "paid");
        async { tracing::info!("booked") }
            .instrument(tracing::info_span!("book", phone = "0788123456"))
            .await;
        answer.headers()["seen"].to_str().unwrap().to_owned()
    };
    let fail = async || {
        tracing::error!("the provider of 0788123456 is away");
        StatusCode::SERVICE_UNAVAILABLE
    };
    metrics.instrument(Router::new().route("/payments/{id}", get(pay)).route("/fail", get(fail)))
}

async fn ask(app: &Router, path: &str, traceparent: &str) -> String {
    let request = Request::get(path).header("traceparent", traceparent).body(Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_leads_from_its_sender_through_span_line_and_metric_to_the_service_it_asks() {
    let (lines, receiver) = (Lines::default(), Receiver::start(&[]));
    let (telemetry, dispatch) = builder(&lines).endpoint(&receiver.address).version("1.2.3").build().unwrap();
    let _default = dispatcher::set_default(&dispatch);
    let sent = ask(&app(&telemetry), "/payments/0788123456", PARENT).await;
    assert!(telemetry.flush(PATIENCE));

    let (head, request) = receiver.requests().remove(0);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let resource = &request["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), json!({ "stringValue": "wallet-service" }));
    assert_eq!(attribute(resource, "deployment.environment.name"), json!({ "stringValue": "test" }));
    assert_eq!(attribute(resource, "service.version"), json!({ "stringValue": "1.2.3" }));

    let server = receiver.span("GET /payments/{id}");
    assert_eq!((&server["traceId"], &server["parentSpanId"]), (&TRACE.into(), &"00f067aa0ba902b7".into()));
    assert_eq!((&server["kind"], &server["startTimeUnixNano"]), (&2.into(), &"1700000000123000000".into()));
    assert_eq!(attribute(&server, "http.response.status_code"), json!({ "intValue": "200" }));
    assert_eq!(attribute(&server, "http.route"), json!({ "stringValue": "/payments/{id}" }));
    assert_eq!(attribute(&server, "url.path"), json!({ "stringValue": "/payments/07******56" }));
    assert_eq!(server["events"][0]["name"], "paid");

    let client = receiver.span("GET ledger:9000".replace("GET", "POST").as_str());
    assert_eq!((&client["kind"], &client["parentSpanId"]), (&3.into(), &server["spanId"]));
    assert_eq!(sent, format!("00-{TRACE}-{}-01", client["spanId"].as_str().unwrap()));
    let book = receiver.span("book");
    assert_eq!((&book["kind"], &book["parentSpanId"]), (&1.into(), &server["spanId"]));
    assert_eq!(attribute(&book, "phone"), json!({ "stringValue": "07******56" }));

    let ids: Vec<(Value, Value)> =
        lines.all().iter().map(|line| (line["trace_id"].clone(), line["span_id"].clone())).collect();
    assert_eq!(ids, [(TRACE.into(), server["spanId"].clone()), (TRACE.into(), book["spanId"].clone())]);
    assert_eq!(TraceContext::current(), None);

    let page = telemetry.metrics().expose(Format::OpenMetrics);
    let exemplar = format!("# {{trace_id=\"{TRACE}\",span_id={}}}", server["spanId"]);
    for name in ["http_requests_total", "payment_transactions_total", "http_request_duration_seconds_bucket"]
    {
        assert!(
            page.lines().any(|line| line.starts_with(name) && line.contains(&exemplar)),
            "{name}: {page}"
        );
    }
    let sent = format!(
        "http_client_requests_total{{service=\"wallet-service\",environment=\"test\",method=\"POST\",host=\"ledger:9000\",status_code=\"201\"}} 1 # {{trace_id=\"{TRACE}\""
    );
    assert!(page.contains(&sent), "{page}");
    assert!(!page.contains("user:pass"));
}

#[tokio::test]
async fn what_fails_is_a_failed_span_and_says_why_without_names() {
    let (lines, receiver) = (Lines::default(), Receiver::start(&[503, 429]));
    let (telemetry, dispatch) = builder(&lines).endpoint(&receiver.address).build().unwrap();
    let _default = dispatcher::set_default(&dispatch);
    ask(&app(&telemetry), "/fail", PARENT).await;
    // The receiver is busy twice: the request is sent again.
    assert!(telemetry.flush(PATIENCE));
    assert_eq!(telemetry.dropped_spans(), 0);
    let span = receiver.span("GET /fail");
    assert_eq!(span["status"], json!({ "code": 2, "message": "the provider of 07******56 is away" }));
    assert_eq!(attribute(&span, "http.response.status_code"), json!({ "intValue": "503" }));
}

#[tokio::test]
async fn a_trace_that_its_sender_does_not_record_is_not_sent_but_stays_in_the_lines() {
    let (lines, receiver) = (Lines::default(), Receiver::start(&[]));
    let (telemetry, dispatch) = builder(&lines).endpoint(&receiver.address).build().unwrap();
    let _default = dispatcher::set_default(&dispatch);
    let sent = ask(&app(&telemetry), "/payments/7", &PARENT.replace("-01", "-00")).await;
    assert!(sent.ends_with("-00"), "{sent}");
    assert!(telemetry.shutdown(PATIENCE));
    assert_eq!(receiver.spans().len(), 0);
    assert_eq!(lines.all()[0]["trace_id"], TRACE);
}

#[tokio::test]
async fn a_request_that_gets_no_answer_is_counted_as_an_error() {
    let telemetry = builder(&Lines::default()).without_spans().build().unwrap().0;
    let client = telemetry.metrics().client().layer();
    let away =
        client.layer(service_fn(async |_: Request<Body>| Err::<Response<Body>, _>(io::Error::other("away"))));
    let slow = client.layer(service_fn(async |_: Request<Body>| {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let request = || Request::get("http://ledger/entries").body(Body::empty()).unwrap();
    assert!(away.oneshot(request()).await.is_err());
    assert!(tokio::time::timeout(Duration::from_millis(5), slow.oneshot(request())).await.is_err());
    let page = telemetry.metrics().expose(Format::Text);
    assert!(page.contains("method=\"GET\",host=\"ledger\",status_code=\"error\"} 2\n"), "{page}");
}

#[test]
fn a_service_that_ends_sends_its_last_spans() {
    let (lines, receiver) = (Lines::default(), Receiver::start(&[]));
    let (telemetry, dispatch) = builder(&lines).endpoint(&receiver.address).build().unwrap();
    dispatcher::with_default(&dispatch, || {
        for n in 0..2_000_u64 {
            tracing::info_span!("work", n).in_scope(|| ());
        }
        let given_up: Result<(), _> = Err::<(), _>("the last one").inspect_err(|why| {
            tracing::info_span!("last").in_scope(|| tracing::error!("{why}"));
        });
        assert!(given_up.is_err());
    });
    drop(telemetry);
    assert_eq!(receiver.spans().len(), 2_001);
    assert_eq!(receiver.span("last")["status"]["message"], "the last one");
}

#[test]
fn a_receiver_that_is_away_costs_spans_and_nothing_else() {
    // Nobody listens on a port that was just given back.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines = Lines::default();
    let (telemetry, dispatch) = builder(&lines).endpoint(&format!("http://{address}")).build().unwrap();
    dispatcher::with_default(&dispatch, || tracing::info_span!("lost").in_scope(|| tracing::info!("said")));
    assert!(telemetry.flush(PATIENCE));
    assert_eq!(telemetry.dropped_spans(), 1);
    assert_eq!(lines.all()[0]["msg"], "said");
    assert!(telemetry.shutdown(PATIENCE));
}

#[test]
fn the_environment_says_where_spans_go() {
    let lines = Lines::default();
    let receiver = Receiver::start(&[]);
    let read = |variables: &[(&str, &str)]| {
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        builder(&lines).environment_variables(look)?.build()
    };
    let base = format!("{}/", receiver.address);
    let (telemetry, dispatch) = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &base),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope-orgid=easymo, authorization=Basic eA=="),
        ("ENVIRONMENT", "staging"),
        ("LOG_LEVEL", "silent"),
    ])
    .unwrap();
    dispatcher::with_default(&dispatch, || {
        tracing::info_span!("work").in_scope(|| tracing::error!("unheard"));
    });
    assert!(telemetry.shutdown(PATIENCE));
    let (head, request) = receiver.requests().remove(0);
    assert!(head.contains("\r\nx-scope-orgid: easymo\r\nauthorization: Basic eA==\r\n"), "{head}");
    let resource = &request["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "deployment.environment.name"), json!({ "stringValue": "staging" }));
    assert_eq!(lines.text(), "");

    let (_, dispatch) = read(&[("OTEL_TRACES_SAMPLER_ARG", "0"), ("OTEL_TRACES_EXPORTER", "none")]).unwrap();
    let sampled = dispatcher::with_default(&dispatch, || {
        tracing::info_span!("work").in_scope(|| TraceContext::current().unwrap().sampled())
    });
    assert!(!sampled);
    assert!(matches!(
        read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://tempo:4318")]),
        Err(InitError::Endpoint(_))
    ));
    assert!(matches!(read(&[("OTEL_EXPORTER_OTLP_HEADERS", "none")]), Err(InitError::Headers(_))));
}
