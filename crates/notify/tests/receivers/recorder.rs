//! A server that keeps what it is sent and answers as it was told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{Response, StatusCode},
};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer for requests whose path contains a text.
#[derive(Clone, Debug)]
pub struct Reply {
    pub on: &'static str,
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

impl Reply {
    pub fn json(on: &'static str, body: &str) -> Self {
        Reply {
            on,
            status: 200,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub fn text(on: &'static str, status: u16, body: &str) -> Self {
        Reply { on, status, content_type: "text/plain", headers: Vec::new(), body: body.to_owned() }
    }
}

#[derive(Clone, Default)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Mutex<Vec<Reply>>>,
}

/// The server.
pub struct Recorder {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    shared: Shared,
}

impl Recorder {
    pub async fn start(replies: Vec<Reply>) -> Self {
        let shared = Shared { replies: Arc::new(Mutex::new(replies)), ..Shared::default() };
        let app = Router::new().fallback(take).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Recorder { url, shared }
    }

    /// Forgets what came and takes other answers.
    pub fn reset(&self, replies: Vec<Reply>) {
        self.shared.seen.lock().unwrap().clear();
        *self.shared.replies.lock().unwrap() = replies;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until what came is enough.
    pub async fn wait_for(&self, what: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.seen();
            if enough(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "waited for {what}, came: {seen:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

async fn take(State(shared): State<Shared>, request: Request) -> Response<String> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let headers = parts
        .headers
        .iter()
        .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
    let seen = Seen {
        method: parts.method.to_string(),
        path: path.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    shared.seen.lock().unwrap().push(seen);
    let reply = shared.replies.lock().unwrap().iter().find(|r| path.contains(r.on)).cloned();
    let mut response = Response::new(String::new());
    let Some(reply) = reply else { return response };
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    response.headers_mut().insert("content-type", reply.content_type.parse().unwrap());
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    *response.body_mut() = reply.body;
    response
}
