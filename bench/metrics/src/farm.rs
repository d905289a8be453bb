//! Targets to scrape: one listener, a page for each target at `/t/N`, new values every time.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

use crate::{data, wire};

/// A running farm; it ends with the process.
pub struct Farm {
    /// `host:port`.
    pub address: String,
    served: Arc<AtomicUsize>,
}

impl Farm {
    /// Starts a farm of `count` targets.
    pub async fn start(count: usize, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        // A thread and a runtime of its own: making pages must not wait for the measuring client.
        std::thread::spawn(move || serve(listener, count, seed, &counter));
        Ok(Farm { address, served })
    }

    /// Pages served so far.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

fn serve(listener: TcpListener, count: usize, seed: u64, served: &Arc<AtomicUsize>) {
    let mut rng = data::rng(seed);
    let targets: Vec<_> = (0..count).map(|n| data::target(n, &mut rng)).collect();
    let state = Arc::new(Mutex::new((targets, rng)));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let Ok(listener) = listener.into_std() else { return };
    runtime.block_on(async {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let (state, served) = (Arc::clone(&state), Arc::clone(served));
            let service = service_fn(move |request: Request<Incoming>| {
                let body = page(&state, request.uri().path());
                served.fetch_add(1, Ordering::Relaxed);
                async move { Ok::<_, Infallible>(body) }
            });
            tokio::spawn(async move {
                let io = TokioIo::new(stream);
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
            });
        }
    });
}

type State = Mutex<(Vec<Vec<data::Series>>, rand::rngs::StdRng)>;

fn page(state: &State, path: &str) -> Response<Full<Bytes>> {
    let n = path.rsplit('/').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let text = state.lock().map_or_else(
        |_| String::new(),
        |mut guard| {
            let (targets, rng) = &mut *guard;
            let Some(target) = targets.get_mut(n) else { return String::new() };
            data::step(target, rng);
            wire::page(target)
        },
    );
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
