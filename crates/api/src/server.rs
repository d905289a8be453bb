//! Listeners: bind, accept, serve, stop.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::Extension;
pub use axum::Router;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::web::Web;

/// Connections that one listener serves at once (upstream's `--web.max-connections`); the next ones wait.
pub const MAX_CONNECTIONS: usize = 512;

/// Connections that wait for one of those places. The system takes the smaller of this and its own limit (Linux:
/// `net.core.somaxconn`, 4,096), as with Go's listeners. Behind a short queue a crowd fares badly: who finds it full tries again
/// after ever longer pauses, and may be reset after two minutes although nobody has waited for long.
const BACKLOG: u32 = 65_535;

/// How long a client may take to send its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may stand still, with nothing read and nothing written: longer than a query may take, since that
/// is silent while it runs. Clients that say nothing, stop in the middle or do not read would fill all places for ever.
const STALL: Duration = Duration::from_secs(300);

/// How long open requests may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Where a request comes from, among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Why a role could not listen.
#[derive(Debug, Error)]
#[error("{role}: cannot listen on {address}{}", hint(source))]
pub struct BindError {
    role: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// What may help.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (another program does, or another Reba)",
        io::ErrorKind::AddrNotAvailable => " (no network interface of this host has that address: --bind)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 are for root)",
        _ => "",
    }
}

/// A bound socket of one role, not yet serving.
#[derive(Debug)]
pub struct Listener {
    role: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    stall: Duration,
    web: Option<Arc<Web>>,
    own_login: bool,
}

impl Listener {
    /// Binds `address` for `role`; called within a runtime.
    pub fn bind(role: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let fail = |source| BindError { role, address, source };
        let socket = listen(address).map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        Ok(Listener { role, socket, address, stall: STALL, web: None, own_login: false })
    }

    /// Lets connections stand still for at least `silence`, if that is longer than five minutes: the longest that a request
    /// takes before its answer begins.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Self {
        Listener { stall: STALL.max(silence), ..self }
    }

    /// Serves as a web configuration says: with TLS, for its users only, with its headers.
    #[must_use]
    pub fn with_web(self, web: Option<Arc<Web>>) -> Self {
        Listener { web, ..self }
    }

    /// Leaves the users of the web configuration aside: the role has its own.
    #[must_use]
    pub fn with_own_login(self) -> Self {
        Listener { own_login: true, ..self }
    }

    /// Where the socket listens (with the port that the system chose, if 0 was asked for).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` is cancelled, then lets open requests finish for a few seconds.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let router = match &self.web {
            Some(web) if self.own_login => Arc::clone(web).decorate(router),
            Some(web) => Arc::clone(web).protect(router),
            None => router,
        };
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
            let moved = Arc::new(AtomicU64::new(0));
            let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
            let stream = Counted { stream, moved: Arc::clone(&moved), line: FirstLine::default() };
            let (router, watcher, stall) = (from(router.clone(), peer), graceful.watcher(), self.stall);
            let tls = self.web.as_ref().and_then(|web| web.tls());
            tokio::spawn(async move {
                match tls {
                    None => talk(stream, router, watcher, &moved, stall).await,
                    Some(config) => {
                        let handshake = TlsAcceptor::from(config).accept(stream);
                        if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_TIMEOUT, handshake).await {
                            talk(stream, router, watcher, &moved, stall).await;
                        }
                    }
                }
                drop(slot);
            });
        }
        drop(self.socket);
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
}

/// A socket that listens on `address`, with as long a queue as the system allows.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Or a restart would have to wait until the last connections of the process before are forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The router for the requests of one client.
fn from(router: Router, peer: Option<Peer>) -> Router {
    match peer {
        Some(peer) => router.layer(Extension(peer)),
        None => router,
    }
}

/// Answers the requests of one connection until it ends or stands still.
async fn talk<S>(stream: S, router: Router, watcher: Watcher, moved: &AtomicU64, stall: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(
        router.map_request(|r: hyper::Request<Incoming>| r.map(axum::body::Body::new)),
    );
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        // A client that breaks off or talks nonsense is its own business.
        _ = watcher.watch(connection) => {}
        () = stands_still(moved, HEADER_TIMEOUT, stall) => {}
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

/// Returns once nothing has moved within `first` after the start, or later within `stall` (up to twice of it).
async fn stands_still(moved: &AtomicU64, first: Duration, stall: Duration) {
    tokio::time::sleep(first).await;
    let mut before = 0;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(stall).await;
    }
}

/// A stream that counts how often anything went through it.
struct Counted {
    stream: TcpStream,
    moved: Arc<AtomicU64>,
    line: FirstLine,
}

impl Counted {
    fn count<T>(&self, result: &Poll<io::Result<T>>) {
        if matches!(result, Poll::Ready(Ok(_))) {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(&result);
        self.line.admit_quotes(&mut buf.filled_mut()[before..]);
        result
    }
}

/// Where in its first request line a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FirstLine {
    /// Before it.
    #[default]
    Start,
    /// Before its query.
    Path,
    /// In its query.
    Query,
    /// Behind it, or the connection does not begin with a request without a body.
    Over,
}

impl FirstLine {
    /// Turns bare double quotes into single ones in the query of the first request line, however the network cuts it.
    ///
    /// People paste `curl -g '…/api/v1/series?match[]=up{job="x"}'` from upstream's documentation. Go's server takes the quotes;
    /// hyper refuses the whole request. Both kinds of quotes mean the same to the query languages, and nothing that follows
    /// moves. Only the first line: later on, a body that reads like a request line could not be told from one.
    fn admit_quotes(&mut self, piece: &mut [u8]) {
        if *self == FirstLine::Start && !piece.is_empty() {
            let bodyless = piece.starts_with(b"GET /") || piece.starts_with(b"HEAD /");
            *self = if bodyless { FirstLine::Path } else { FirstLine::Over };
        }
        for b in piece {
            match (*self, *b) {
                (FirstLine::Start | FirstLine::Over, _) => return,
                (_, b'\n') => *self = FirstLine::Over,
                (FirstLine::Path, b'?') => *self = FirstLine::Query,
                (FirstLine::Query, b'"') => *b = b'\'',
                _ => {}
            }
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_quotes_are_turned_in_the_query_of_the_first_request_line_and_nowhere_else() {
        let turned = |text: &str| {
            // However the network cuts it.
            let mut bytes = text.as_bytes().to_vec();
            let mut line = FirstLine::default();
            bytes.chunks_mut(7).for_each(|piece| line.admit_quotes(piece));
            String::from_utf8(bytes).unwrap()
        };
        for (sent, seen) in [
            (
                "GET /q?x=\"a\" HTTP/1.1\r\nif-match: \"e\"\r\n",
                "GET /q?x='a' HTTP/1.1\r\nif-match: \"e\"\r\n",
            ),
            ("GET /\"q\" HTTP/1.1\r\n", "GET /\"q\" HTTP/1.1\r\n"),
            ("POST /q?x=\"a\" HTTP/1.1\r\n", "POST /q?x=\"a\" HTTP/1.1\r\n"),
            ("body ? \"a\"", "body ? \"a\""),
            // A body that is cut where it reads like a request line.
            ("POST /\n\nGET /x?y \"z\"\n", "POST /\n\nGET /x?y \"z\"\n"),
            ("GET /\n--GET /x?y \"z\"\n", "GET /\n--GET /x?y \"z\"\n"),
        ] {
            assert_eq!(turned(sent), seen);
        }
    }

    #[tokio::test]
    async fn a_crowd_waits_in_a_queue_as_long_as_the_system_allows() {
        let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap()).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let room = limit.map_or(128, |text| text.trim().parse().unwrap()).min(400);
        let all = async {
            // Nobody accepts them.
            let mut crowd = Vec::new();
            for _ in 0..room {
                crowd.push(TcpStream::connect(listener.address()).await.unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_stands_still_is_noticed_and_one_that_moves_is_not() {
        let ms = Duration::from_millis;
        // Nothing moved at all: the first wait is enough.
        tokio::time::timeout(ms(5000), stands_still(&AtomicU64::new(0), ms(1), ms(60_000))).await.unwrap();

        let moved = Arc::new(AtomicU64::new(1));
        let writer = Arc::clone(&moved);
        let moves = tokio::spawn(async move {
            for _ in 0..30 {
                tokio::time::sleep(ms(5)).await;
                writer.fetch_add(1, Ordering::Relaxed);
            }
        });
        tokio::time::timeout(ms(5000), stands_still(&moved, ms(1), ms(100))).await.unwrap();
        assert!(moves.is_finished());
    }
}
