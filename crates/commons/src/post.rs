//! One HTTP request over a connection of its own: all that sending spans to a neighbour needs.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    str::FromStr,
    time::Duration,
};

use ::http::{HeaderMap, Uri};
use thiserror::Error;

/// The path of spans in OTLP over HTTP.
const TRACES_PATH: &str = "/v1/traces";
/// No more of an answer than this is read: only its status matters.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// Why spans cannot be sent to an address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    /// Not `http://host:port`.
    #[error("{0:?} is not an address such as http://127.0.0.1:4318")]
    Malformed(String),
    /// Over TLS, which this library leaves to a collector.
    #[error("{0:?}: spans are sent over plain HTTP only, to a collector on this host or in its network")]
    Tls(String),
}

/// Where spans are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `http://host:port`, with or without `/v1/traces`.
    fn from_str(address: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| malformed())?;
        let host = uri.host().ok_or_else(malformed)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(EndpointError::Tls(address.to_owned())),
            _ => return Err(malformed()),
        }
        let base = uri.path().trim_end_matches('/');
        let path = if base.ends_with(TRACES_PATH) { base.to_owned() } else { format!("{base}{TRACES_PATH}") };
        // Addresses of IPv6 stand in brackets, which only addresses have.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), path })
    }
}

/// Sends `body` as JSON and reads the status of the answer. Each step may take `patience`.
pub(crate) fn post(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: &[u8],
    patience: Duration,
) -> io::Result<u16> {
    let mut stream = connect(endpoint, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let Endpoint { host, port, path } = endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let length = body.len();
    head.extend(format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n").into_bytes());
    stream.write_all(&head)?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer)?;
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer of HTTP"))
}

fn connect(endpoint: &Endpoint, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The status in `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_path() {
        let read = |text: &str| text.parse::<Endpoint>();
        let whole = Endpoint { host: "tempo".into(), port: 4318, path: "/v1/traces".into() };
        for text in [
            "http://tempo:4318",
            "http://tempo:4318/",
            "http://tempo:4318/v1/traces",
            "http://tempo:4318/v1/traces/",
        ] {
            assert_eq!(read(text), Ok(whole.clone()), "{text}");
        }
        assert_eq!(read("http://[::1]:4318/otlp").unwrap().path, "/otlp/v1/traces");
        assert_eq!(read("http://[::1]:4318").unwrap().host, "::1");
        assert_eq!(read("http://tempo").unwrap().port, 80);
        assert!(matches!(read("https://tempo:4318"), Err(EndpointError::Tls(_))));
        for text in ["", "tempo:4318", "/v1/traces", "ftp://tempo", "http://"] {
            assert!(matches!(read(text), Err(EndpointError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_request_has_its_headers_and_body_and_the_status_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.ends_with(b"{\"a\":1}") {
                let read = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8(seen).unwrap()
        });
        let headers = HeaderMap::from_iter([("x-scope-orgid".parse().unwrap(), "easymo".parse().unwrap())]);
        assert_eq!(post(&endpoint, &headers, b"{\"a\":1}", Duration::from_secs(10)).unwrap(), 429);
        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /base/v1/traces HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nx-scope-orgid: easymo\r\n") && seen.contains("\r\ncontent-length: 7\r\n"),
            "{seen}"
        );
    }
}
