//! `/loki/api/v1/tail`: lines as they come, over a WebSocket.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::{SinkExt as _, StreamExt as _};
use http::Uri;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

use crate::{
    client::Refused,
    query::loki::{Row, Server, query_string, streams},
};

/// For connecting, with everything that belongs to it.
const CONNECT: Duration = Duration::from_secs(15);
/// A connection on which nothing comes for so long is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(15);
/// One that does not even answer that for so long is gone.
const GONE: Duration = Duration::from_secs(45);
/// A frame has a hundred lines; a larger one is no frame.
const FRAME_BYTES: usize = 256 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that lines come over.
pub struct Socket {
    inner: WebSocketStream<Box<dyn Stream>>,
    heard: Instant,
}

/// What comes at once.
#[derive(Debug, Default, PartialEq)]
pub struct Frame {
    /// Lines.
    pub rows: Vec<Row>,
    /// The times of lines that the server could not send in time, Unix nanoseconds.
    pub missed: Vec<i64>,
}

impl Socket {
    /// Follows a query from `start_ns` on. A server's refusal is a [`Refused`] in the error.
    pub async fn open(server: &Server, query: &str, start_ns: i64) -> Result<Self> {
        let params =
            [("query", query.to_owned()), ("start", start_ns.to_string()), ("limit", "1".to_owned())];
        let base = server.place().url();
        let url = format!("{base}/loki/api/v1/tail?{}", query_string(&params));
        let uri: Uri = url.parse().with_context(|| format!("{base:?} is no URL"))?;
        match timeout(CONNECT, connect(server, &uri)).await {
            Ok(Err(e)) if e.downcast_ref::<Refused>().is_none() => {
                bail!("no answer from {base}: {}{}", reason(&e), server.place().hint())
            }
            Ok(opened) => opened,
            Err(_) => bail!("no answer from {base} within {} s", CONNECT.as_secs()),
        }
    }

    /// The next lines; nothing when the server ends it. An error means that the connection is lost.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let Ok(message) = timeout(QUIET, self.inner.next()).await else {
                if self.heard.elapsed() >= GONE {
                    bail!("the server has fallen silent");
                }
                self.inner.send(Message::Ping(Vec::new().into())).await?;
                continue;
            };
            self.heard = Instant::now();
            match message {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Err(Error::ConnectionClosed)) => return Ok(None),
                Some(Err(e)) => return Err(e.into()),
                Some(Ok(Message::Text(text))) => return read_frame(text.as_bytes()).map(Some),
                Some(Ok(Message::Binary(bytes))) => return read_frame(&bytes).map(Some),
                // The library answers pings by itself.
                Some(Ok(_)) => {}
            }
        }
    }
}

async fn connect(server: &Server, uri: &Uri) -> Result<Socket> {
    let host = uri.host().context("the URL names no host")?.trim_matches(['[', ']']).to_owned();
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => bail!("the URL begins neither with http:// nor with https://"),
    };
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let tcp = TcpStream::connect((host.as_str(), port)).await?;
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Stream> = if tls {
        let name = ServerName::try_from(host).context("the host's name")?;
        Box::new(TlsConnector::from(Arc::new(tls_config()?)).connect(name, tcp).await?)
    } else {
        Box::new(tcp)
    };
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let authority = uri.authority().map_or("", |a| a.as_str());
    let scheme = if tls { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{authority}{path}").into_client_request()?;
    for (name, value) in server.place().headers() {
        request.headers_mut().insert(name, value.clone());
    }
    let limits =
        WebSocketConfig::default().max_message_size(Some(FRAME_BYTES)).max_frame_size(Some(FRAME_BYTES));
    match client_async_with_config(request, stream, Some(limits)).await {
        Ok((inner, _)) => Ok(Socket { inner, heard: Instant::now() }),
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            bail!(Refused::of(answer.status(), body))
        }
        Err(e) => Err(e.into()),
    }
}

/// Why there is no connection, in a few words.
fn reason(error: &anyhow::Error) -> String {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        _ => format!("{error:#}"),
    }
}

/// Trusts whom the host trusts.
fn tls_config() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        bail!("this host has no certificates of authorities");
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[derive(Deserialize)]
struct WireFrame {
    #[serde(default)]
    streams: Value,
    #[serde(default)]
    dropped_entries: Option<Vec<WireDropped>>,
}

/// The labels of missed lines are not looked at: everything of their times is asked for again.
#[derive(Deserialize)]
struct WireDropped {
    timestamp: Value,
}

fn read_frame(text: &[u8]) -> Result<Frame> {
    let frame: WireFrame =
        serde_json::from_slice(text).context("the server sent what is no frame of lines")?;
    let mut rows = streams(frame.streams, false)?;
    rows.sort_by_key(|row| row.ns);
    let dropped = frame.dropped_entries.unwrap_or_default();
    let missed = dropped.iter().filter_map(|entry| nanoseconds(&entry.timestamp)).collect();
    Ok(Frame { rows, missed })
}

/// Loki writes the times of missed lines as RFC 3339, the documentation has nanoseconds.
fn nanoseconds(time: &Value) -> Option<i64> {
    let text = time.as_str()?;
    let rfc3339 = || text.parse::<jiff::Timestamp>().ok().and_then(|t| t.as_nanosecond().try_into().ok());
    text.parse().ok().or_else(rfc3339)
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;

    #[test]
    fn frames_are_read_with_what_was_missed() {
        let text = r#"{"streams":[{"stream":{"a":"1"},"values":[["7","y"],["5","x"]]}],
            "dropped_entries":[{"timestamp":"9","labels":{"a":"1"}},{"timestamp":"1970-01-01T00:00:01Z","labels":{}}]}"#;
        let frame = read_frame(text.as_bytes()).unwrap();
        let rows: Vec<(i64, &str)> = frame.rows.iter().map(|row| (row.ns, row.line.as_str())).collect();
        assert_eq!(rows, [(5, "x"), (7, "y")]);
        assert_eq!(frame.rows[0].labels, Labels::from_pairs([("a", "1")]));
        assert_eq!(frame.missed, [9, 1_000_000_000]);
        assert_eq!(read_frame(br#"{"streams":null}"#).unwrap(), Frame::default());
        assert_eq!(read_frame(b"{}").unwrap(), Frame::default());
        assert!(read_frame(b"hello").is_err());
    }
}
