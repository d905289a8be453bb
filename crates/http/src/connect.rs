//! Connections: TCP, perhaps through a proxy, perhaps with TLS.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::{OnceCell, Semaphore},
};
use tokio_rustls::TlsConnector;

use crate::{HttpError, Secret, TlsConfig, Url, auth::basic, proxy::Proxies, tls};

/// How connections of one client are made.
pub(crate) struct Connect {
    pub proxies: Proxies,
    pub proxy_headers: Vec<(String, Vec<Secret>)>,
    pub tls: TlsConfig,
    pub material: tls::Material,
    pub http2: bool,
    /// Names are looked up by blocking threads; many dead names must not take all of them.
    pub lookups: Semaphore,
    /// Made at the first connection that needs it.
    pub tls_connector: OnceCell<TlsConnector>,
}

/// What hyper-util takes for a connector.
#[derive(Clone)]
pub(crate) struct Connector(pub Arc<Connect>);

/// A proxy's answer to `CONNECT` may be this long.
const MAX_PROXY_HEAD: usize = 16 << 10;

impl Connect {
    async fn connect(&self, uri: &Uri) -> Result<Conn, HttpError> {
        let tls = uri.scheme_str() == Some("https");
        let host = host_of(uri)?;
        let port = port_of(uri);
        let Some(proxy) = self.proxies.choose(uri) else {
            let stream = self.dial(host, port).await?;
            return if tls { self.secure(stream, host).await } else { Ok(Conn::plain(stream, false)) };
        };
        let proxy_host = host_of(proxy.uri())?;
        let stream = self.dial(proxy_host, port_of(proxy.uri())).await?;
        let mut conn = if proxy.uri().scheme_str() == Some("https") {
            // HTTP/1.1 towards the proxy: CONNECT over HTTP/2 is another protocol.
            let config = tls::client_config(&self.tls, &self.material, false)?;
            secure(&TlsConnector::from(Arc::new(config)), stream, proxy_host).await?
        } else {
            Conn::plain(stream, false)
        };
        if !tls {
            conn.proxied = true;
            return Ok(conn);
        }
        self.tunnel(&mut conn, proxy, host, port).await?;
        self.secure(conn, host).await
    }

    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, HttpError> {
        let fail = |e: io::Error| {
            let reason = match e.kind() {
                io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
                _ => e.to_string(),
            };
            HttpError::Connect(format!("dial tcp {host}:{port}: {reason}"))
        };
        let addresses = self.resolve(host, port).await?;
        let stream = TcpStream::connect(&addresses[..]).await.map_err(fail)?;
        stream.set_nodelay(true).map_err(fail)?;
        Ok(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, HttpError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let fail = |e: &dyn std::fmt::Display| HttpError::Connect(format!("dial tcp: lookup {host}: {e}"));
        let _permit = self.lookups.acquire().await.map_err(|e| fail(&e))?;
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((host, port)).await.map_err(|e| fail(&e))?.collect();
        if found.is_empty() { Err(fail(&"no such host")) } else { Ok(found) }
    }

    async fn secure<S: Stream>(&self, stream: S, host: &str) -> Result<Conn, HttpError> {
        let connector = self
            .tls_connector
            .get_or_try_init(|| async {
                let config = tls::build_aside(self.tls.clone(), self.material.clone(), self.http2).await?;
                Ok::<_, HttpError>(TlsConnector::from(Arc::new(config)))
            })
            .await?;
        let name = self.tls.server_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(host);
        secure(connector, stream, name).await
    }

    /// Asks the proxy for a tunnel to the target.
    async fn tunnel(&self, conn: &mut Conn, proxy: &Url, host: &str, port: u16) -> Result<(), HttpError> {
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some((name, password)) = proxy.user() {
            let password = password.map_or("", Secret::expose);
            head.push_str(&format!("Proxy-Authorization: {}\r\n", basic(name, password)));
        }
        for (name, values) in &self.proxy_headers {
            for value in values.iter().filter(|v| !v.expose().contains(['\r', '\n'])) {
                head.push_str(&format!("{name}: {}\r\n", value.expose()));
            }
        }
        head.push_str("\r\n");
        let broken = |e: io::Error| HttpError::Connect(format!("proxyconnect tcp: {e}"));
        conn.io.write_all(head.as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        // One byte at a time, so that nothing of the tunnel is taken: this happens once a connection.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == MAX_PROXY_HEAD {
                return Err(HttpError::Connect("proxyconnect tcp: answer is too long".to_owned()));
            }
            answer.push(conn.io.read_u8().await.map_err(broken)?);
        }
        let text = String::from_utf8_lossy(&answer);
        let status = text.lines().next().unwrap_or_default();
        match status.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => Err(HttpError::Connect(status.split_once(' ').map_or(status, |(_, s)| s).to_owned())),
        }
    }
}

async fn secure<S: Stream>(connector: &TlsConnector, stream: S, name: &str) -> Result<Conn, HttpError> {
    let server = ServerName::try_from(name.to_owned())
        .map_err(|e| HttpError::Connect(format!("tls: server name {name:?}: {e}")))?;
    let stream = connector
        .connect(server, stream)
        .await
        .map_err(|e| HttpError::Connect(format!("tls: {}", crate::error::root_cause(&e))))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Conn { io: Box::new(stream), proxied: false, http2 })
}

fn host_of(uri: &Uri) -> Result<&str, HttpError> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() { Err(HttpError::Config("no Host in request URL".to_owned())) } else { Ok(host) }
}

fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Conn>;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Conn>, HttpError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = Arc::clone(&self.0);
        Box::pin(async move { connect.connect(&uri).await.map(TokioIo::new) })
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection that is ready for HTTP.
pub(crate) struct Conn {
    io: Box<dyn Stream>,
    /// Requests go to a proxy and name their whole URL.
    proxied: bool,
    http2: bool,
}

impl Conn {
    fn plain(stream: TcpStream, proxied: bool) -> Self {
        Conn { io: Box::new(stream), proxied, http2: false }
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.proxied);
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
