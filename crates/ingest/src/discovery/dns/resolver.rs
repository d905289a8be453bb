//! Looking a name up as resolv.conf says: UDP first, TCP for what does not fit.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::message::{self, Answer, MAX_UDP, NO_SUCH_NAME, OK, Record};
use crate::config::DnsRecordKind;

/// How long one server has for one answer, as upstream has it.
const TIMEOUT: Duration = Duration::from_secs(2);

const PORT: u16 = 53;

/// More servers and search domains than this are ignored, as other resolvers do.
const MAX_ENTRIES: usize = 32;

/// What resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Settings {
    /// Reads the text of a resolv.conf. Unlike elsewhere, a server may have a port: `127.0.0.1:5353`, `[::1]:5353`.
    fn parse(text: &str) -> Self {
        let mut out = Settings { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => out.servers.extend(words.next().and_then(server)),
                Some("domain") => out.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => out.search = words.take(MAX_ENTRIES).map(str::to_owned).collect(),
                Some("options") => {
                    for n in words.filter_map(|w| w.strip_prefix("ndots:")?.parse::<usize>().ok()) {
                        out.ndots = n.min(15);
                    }
                }
                _ => {}
            }
        }
        out.servers.truncate(MAX_ENTRIES);
        out
    }

    /// The full names that a name may stand for, in the order in which they are tried.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let full = format!("{name}.");
        let first = name.split('.').count() > self.ndots;
        let found = self.search.iter().map(|s| format!("{full}{}.", s.trim_end_matches('.')));
        let mut out: Vec<String> = found.map(|n| n.replace("..", ".")).collect();
        let at = if first { 0 } else { out.len() };
        out.insert(at, full);
        out
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let ip = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    ip.or_else(|| text.parse().ok())
}

/// Looks a name up. That it does not exist, which all servers must agree on, is an empty answer; that one cannot know
/// is an error.
pub(crate) async fn lookup(
    resolv_conf: &Path,
    name: &str,
    kind: DnsRecordKind,
) -> Result<Vec<Record>, String> {
    let text = tokio::fs::read_to_string(resolv_conf).await;
    let text = text.map_err(|e| format!("could not load resolv.conf: {e}"))?;
    let settings = Settings::parse(&text);
    let mut failed = None;
    for candidate in settings.candidates(name) {
        match ask_any(&settings.servers, &candidate, kind).await {
            Ok(answer) if answer.code == OK => return Ok(answer.records),
            Ok(_) => {}
            Err(e) => failed = Some(e),
        }
    }
    match failed {
        None => Ok(Vec::new()),
        Some(e) => Err(format!("could not resolve {name:?}: {e}")),
    }
}

/// The first answer that says whether the name exists.
async fn ask_any(servers: &[SocketAddr], name: &str, kind: DnsRecordKind) -> Result<Answer, String> {
    let mut failed = "no servers in resolv.conf".to_owned();
    for server in servers {
        match ask(*server, name, kind).await {
            Ok(answer) if matches!(answer.code, OK | NO_SUCH_NAME) => return Ok(answer),
            Ok(answer) => failed = format!("{server} answered with code {}", answer.code),
            Err(e) => failed = format!("{server}: {e}"),
        }
    }
    Err(failed)
}

async fn ask(server: SocketAddr, name: &str, kind: DnsRecordKind) -> io::Result<Answer> {
    let query = |edns| {
        message::query(random_id(), name, kind, edns)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("bad name {name:?}")))
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout");
    let answer = timeout(TIMEOUT, by_udp(server, &query(true)?, kind)).await.map_err(late)??;
    if !answer.truncated {
        return Ok(answer);
    }
    let answer = timeout(TIMEOUT, by_tcp(server, &query(false)?, kind)).await.map_err(late)??;
    if answer.truncated {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "got truncated message on TCP"));
    }
    Ok(answer)
}

/// An id that others cannot guess: with the random port of the socket it keeps them from answering for the server.
fn random_id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

async fn by_udp(server: SocketAddr, query: &[u8], kind: DnsRecordKind) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; MAX_UDP];
    // What is no answer to this question is passed over until the time is up.
    loop {
        let n = socket.recv(&mut buffer).await?;
        if let Some(answer) = message::parse(&buffer[..n], query, kind) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, query: &[u8], kind: DnsRecordKind) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let mut message = (query.len() as u16).to_be_bytes().to_vec();
    message.extend(query);
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    message::parse(&answer, query, kind)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "answer cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_others_read_it() {
        let text = "# x\nnameserver 10.0.0.1\nnameserver ::1\nnameserver 127.0.0.1:5353\nnameserver x\n\
                    domain a\nsearch svc.local cluster.local.\noptions timeout:1 ndots:5\n";
        let s = Settings::parse(text);
        let servers: Vec<SocketAddr> =
            ["10.0.0.1:53", "[::1]:53", "127.0.0.1:5353"].iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!((s.servers.clone(), s.ndots), (servers, 5));
        assert_eq!(s.candidates("web"), ["web.svc.local.", "web.cluster.local.", "web."]);
        assert_eq!(s.candidates("web.x.")[..], ["web.x."]);
        let plain = Settings::parse("search a\n");
        assert_eq!(plain.candidates("b.c"), ["b.c.", "b.c.a."]);
        assert_eq!(plain.candidates("b"), ["b.a.", "b."]);
    }
}
