//! Where a Redis is, and how one gets in.

use std::{io, time::Duration};

use reba_http::{TlsConfig, tls_client};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, UnixStream},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::resp::{Connection, RespError, Stream};
use crate::web::percent_decoded as decoded;

const PORT: u16 = 6379;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    place: Place,
    user: String,
    password: String,
    /// What is chosen before anything is asked.
    database: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(String),
}

impl Target {
    /// Reads `redis://user:password@host:port/db`, `rediss://…` (with TLS), `valkey://…`, `valkeys://…`, `unix:///path`,
    /// `host:port`, or the path of a socket.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("redis", text));
        let tls = match scheme {
            "redis" | "valkey" | "tcp" => false,
            "rediss" | "valkeys" => true,
            "unix" | "redis+unix" | "redis-socket" => return Ok(Self::socket(rest)),
            other => {
                return Err(format!(
                    "unknown scheme {other:?}: redis, rediss, valkey, valkeys and unix are known"
                ));
            }
        };
        if rest.starts_with('/') {
            return Ok(Self::socket(rest));
        }
        let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = host_and_port(place)?;
        let database = match path.trim_matches('/') {
            "" => None,
            db => Some(db.parse().map_err(|_| format!("not a database: {db:?}"))?),
        };
        let (user, password) = (decoded(user), decoded(password));
        Ok(Target { place: Place::Tcp { host, port, tls }, user, password, database })
    }

    fn socket(path: &str) -> Self {
        Target {
            place: Place::Unix(path.to_owned()),
            user: String::new(),
            password: String::new(),
            database: None,
        }
    }

    /// Without the login that stands in the address.
    #[must_use]
    pub fn without_login(self) -> Self {
        Target { user: String::new(), password: String::new(), ..self }
    }

    /// With these in the place of what stands in the address, as far as they are not empty.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        if !user.is_empty() {
            user.clone_into(&mut self.user);
        }
        if !password.is_empty() {
            password.clone_into(&mut self.password);
        }
        self
    }

    /// Another server that is got into the same way.
    pub fn at(&self, address: &str) -> Result<Self, String> {
        let (host, port) = host_and_port(address)?;
        let tls = matches!(self.place, Place::Tcp { tls: true, .. });
        Ok(Target { place: Place::Tcp { host, port, tls }, database: None, ..self.clone() })
    }

    /// How it is shown: without the login.
    pub fn shown(&self) -> String {
        match &self.place {
            Place::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                format!("{scheme}://{host}:{port}")
            }
            Place::Unix(path) => format!("unix://{path}"),
        }
    }

    /// Connects and logs in, until `deadline` at the latest.
    pub async fn connect(
        &self,
        tls: &TlsConfig,
        deadline: Instant,
        within: Duration,
    ) -> Result<Connection, RespError> {
        let opened = timeout_at(deadline, self.open(tls)).await;
        let stream = opened.unwrap_or_else(|_| Err(RespError::Timeout(within)))?;
        let mut connection = Connection::new(stream, deadline, within);
        match (self.user.as_str(), self.password.as_str()) {
            ("", "") => {}
            ("", password) => {
                connection.ask(&[b"AUTH", password.as_bytes()]).await?;
            }
            (user, password) => {
                connection.ask(&[b"AUTH", user.as_bytes(), password.as_bytes()]).await?;
            }
        }
        if let Some(database) = self.database.filter(|db| *db > 0) {
            connection.ask(&[b"SELECT", database.to_string().as_bytes()]).await?;
        }
        Ok(connection)
    }

    async fn open(&self, tls: &TlsConfig) -> Result<Box<dyn Stream>, RespError> {
        let (host, port, with_tls) = match &self.place {
            Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Place::Tcp { host, port, tls } => (host, *port, *tls),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        if !with_tls {
            return Ok(Box::new(stream));
        }
        let config = tls_client(tls).await.map_err(io::Error::other)?;
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let bad = || format!("not an address: {text:?}");
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
        let port = rest.strip_prefix(':').map_or(Ok(PORT), |p| p.parse().map_err(|_| bad()))?;
        return Ok((host.to_owned(), port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
        None => (text, PORT),
    };
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> (String, u16, bool) {
        match Target::parse(text).unwrap().place {
            Place::Tcp { host, port, tls } => (host, port, tls),
            Place::Unix(path) => panic!("{path}"),
        }
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(tcp("redis://localhost:6379"), ("localhost".into(), 6379, false));
        assert_eq!(tcp("rediss://h"), ("h".into(), 6379, true));
        assert_eq!(tcp("valkey://[::1]:7000/3"), ("::1".into(), 7000, false));
        assert_eq!(tcp("10.0.0.1:1"), ("10.0.0.1".into(), 1, false));
        let target = Target::parse("redis://u%40x:p%3Aw@h:1/2").unwrap();
        assert_eq!(
            (target.user.as_str(), target.password.as_str(), target.database),
            ("u@x", "p:w", Some(2))
        );
        assert_eq!(target.shown(), "redis://h:1");
        assert_eq!(Target::parse("unix:///run/r.sock").unwrap().shown(), "unix:///run/r.sock");
        assert_eq!(Target::parse("/run/r.sock").unwrap().shown(), "unix:///run/r.sock");
        for bad in ["http://x", "redis://h:x", "redis://h/x", "redis://[::1"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_login_of_flags_wins_and_strangers_bring_none() {
        let target = Target::parse("redis://u:p@h").unwrap();
        assert_eq!(target.clone().with_login("", "q").password, "q");
        assert_eq!(target.without_login().with_login("", ""), Target::parse("redis://h").unwrap());
    }
}
