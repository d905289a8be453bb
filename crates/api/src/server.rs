//! Listeners: bind, accept, serve, stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections that one listener serves at once (upstream's `--web.max-connections`); the next ones wait.
pub const MAX_CONNECTIONS: usize = 512;

/// How long a client may take to send its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open requests may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a role could not listen.
#[derive(Debug, Error)]
#[error("{role}: cannot listen on {address}")]
pub struct BindError {
    role: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// A bound socket of one role, not yet serving.
#[derive(Debug)]
pub struct Listener {
    role: &'static str,
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` for `role`.
    pub async fn bind(role: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let fail = |source| BindError { role, address, source };
        let socket = TcpListener::bind(address).await.map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        Ok(Listener { role, socket, address })
    }

    /// Where the socket listens (with the port that the system chose, if 0 was asked for).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` is cancelled, then lets open requests finish for a few seconds.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&self.socket, &slots) => accepted,
            };
            let (stream, slot) = match accepted {
                Ok(pair) => pair,
                Err(e) => {
                    // Out of descriptors, most likely: the connections that are open must end first.
                    tracing::warn!(role = self.role, error = %e, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let service = TowerToHyperService::new(
                router.clone().map_request(|r: hyper::Request<Incoming>| r.map(axum::body::Body::new)),
            );
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let watched = graceful.watch(connection);
            tokio::spawn(async move {
                // A client that breaks off or talks nonsense is its own business.
                let _ = watched.await;
                drop(slot);
            });
        }
        drop(self.socket);
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
}

async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}
