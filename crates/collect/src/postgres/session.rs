//! A connection to PostgreSQL, and tables that come over it as text.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt as _;
use parking_lot::Mutex;
use reba_http::tls_client;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage, Socket,
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
    types::Type,
};
use tokio_rustls::TlsConnector;

use super::{dsn::Dsn, table::Table};

/// Rows of one query at most; more are an error.
const MAX_ROWS: usize = 200_000;

/// Bytes of one query's result at most.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// The longest that the server works on one of our queries, whoever has given up by then.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a query has no result.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The server refuses, or the connection is lost.
    #[error("{}", words(.0))]
    Server(#[from] tokio_postgres::Error),
    /// It took too long.
    #[error("no answer within {0:?}, the scraper's patience")]
    Timeout(Duration),
    /// The result is too large.
    #[error("the result is larger than {0} allows")]
    TooLarge(&'static str),
    /// The address cannot be used.
    #[error("{0}")]
    Address(String),
}

/// What the server said; the library's own text is only `db error`.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{}: {} ({})", said.severity(), said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// How long there is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    until: Instant,
    whole: Duration,
}

impl Patience {
    /// From now on.
    pub fn of(whole: Duration) -> Self {
        Patience { until: Instant::now() + whole, whole }
    }

    async fn wait<T, E: Into<QueryError>>(
        self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, QueryError> {
        match timeout_at(self.until, work).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(QueryError::Timeout(self.whole)),
        }
    }
}

/// A connection.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    /// The server's version as a number: 150004 is 15.4.
    pub version: u32,
    /// What it says of itself.
    pub banner: String,
    /// Types of the columns of queries that were asked for them.
    types: Mutex<BTreeMap<String, Vec<Type>>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects, and asks for the version.
    pub async fn open(dsn: &Dsn, patience: Patience) -> Result<Self, QueryError> {
        let config = dsn.config().map_err(QueryError::Address)?;
        let (client, driver) = match config.get_ssl_mode() {
            SslMode::Disable => {
                let (client, connection) = patience.wait(config.connect(NoTls)).await?;
                let work = async move { note_end(connection.await) };
                (client, tokio::spawn(work))
            }
            _ => Self::open_with_tls(dsn, &config, patience).await?,
        };
        let mut session =
            Session { client, driver, version: 0, banner: String::new(), types: Mutex::default() };
        let setup = format!("SET statement_timeout = {}", STATEMENT_TIMEOUT.as_millis());
        patience.wait(session.client.batch_execute(&setup)).await?;
        let about = "SELECT current_setting('server_version_num'), version()";
        let table = session.table(about, patience).await?;
        if let Some(row) = table.rows().next() {
            session.version = row.get(0).and_then(|number| number.parse().ok()).unwrap_or(0);
            row.get(1).unwrap_or_default().clone_into(&mut session.banner);
        }
        Ok(session)
    }

    async fn open_with_tls(
        dsn: &Dsn,
        config: &Config,
        patience: Patience,
    ) -> Result<(Client, JoinHandle<()>), QueryError> {
        let tls = tls_client(&dsn.tls()).await.map_err(|e| QueryError::Address(e.to_string()))?;
        let (client, connection) = patience.wait(config.connect(Tls(tls))).await?;
        let work = async move { note_end(connection.await) };
        Ok((client, tokio::spawn(work)))
    }

    /// Whether the connection is lost.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks something; bounded in time, rows and bytes.
    pub async fn table(&self, query: &str, patience: Patience) -> Result<Table, QueryError> {
        patience.wait(self.read(query)).await
    }

    async fn read(&self, query: &str) -> Result<Table, QueryError> {
        let mut stream = pin!(self.client.simple_query_raw(query).await?);
        let mut table = Table::default();
        while let Some(message) = stream.next().await {
            match message? {
                SimpleQueryMessage::RowDescription(columns) => {
                    table.name(columns.iter().map(|column| column.name().to_owned()).collect());
                }
                SimpleQueryMessage::Row(row) => {
                    if table.len() >= MAX_ROWS {
                        return Err(QueryError::TooLarge("MAX_ROWS"));
                    }
                    table.push((0..row.len()).map(|i| row.try_get(i).ok().flatten()));
                    if table.bytes() > MAX_RESULT_BYTES {
                        return Err(QueryError::TooLarge("MAX_RESULT_BYTES"));
                    }
                }
                _ => {}
            }
        }
        Ok(table)
    }

    /// Types of a query's columns; none, if it is more than one statement. Asked for once.
    pub async fn types(&self, query: &str, patience: Patience) -> Vec<Type> {
        let known = self.types.lock().get(query).cloned();
        if let Some(types) = known {
            return types;
        }
        let prepared = patience.wait(self.client.prepare(query)).await;
        let types = prepared.map(|s| s.columns().iter().map(|c| c.type_().clone()).collect::<Vec<_>>());
        let types = types.unwrap_or_default();
        self.types.lock().insert(query.to_owned(), types.clone());
        types
    }
}

fn note_end(result: Result<(), tokio_postgres::Error>) {
    if let Err(error) = result {
        tracing::debug!(error = words(&error), "a connection to PostgreSQL ended");
    }
}

/// TLS for the client.
#[derive(Clone)]
struct Tls(Arc<rustls::ClientConfig>);

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Protected;
    type TlsConnect = Connecting;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Connecting, io::Error> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Connecting { config: Arc::clone(&self.0), name })
    }
}

/// A server whose name is known.
struct Connecting {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Connecting {
    type Stream = Protected;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Protected>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = TlsConnector::from(self.config).connect(self.name, stream).await?;
            Ok(Protected(Box::new(stream)))
        })
    }
}

/// A socket within TLS.
struct Protected(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Protected {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Protected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Protected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
