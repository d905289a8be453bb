//! The protocol of Redis, RESP2: commands out, replies in, both bounded.

use std::{future::Future, io, pin::Pin, time::Duration};

use thiserror::Error;
use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    time::{Instant, timeout_at},
};

/// The longest single string of a reply; `INFO` of a server with thousands of commands has a megabyte.
const MAX_STRING_BYTES: usize = 64 << 20;

/// Values in one reply, whatever their depth.
const MAX_VALUES: usize = 4 << 20;

/// Bytes of all strings of one reply.
const MAX_REPLY_BYTES: usize = 256 << 20;

/// How deep replies nest; `XINFO STREAM` has four levels.
const MAX_DEPTH: usize = 16;

/// The longest line: a status, an error, a number.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Why a command has no reply.
#[derive(Debug, Error)]
pub enum RespError {
    /// The server refuses, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The connection is lost.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {0:?} (connection-timeout, or the scraper's)")]
    Timeout(Duration),
    /// This is no Redis.
    #[error("not the protocol of Redis: {0}")]
    Protocol(&'static str),
    /// The reply is too large.
    #[error("the reply is larger than {0} allows")]
    TooLarge(&'static str),
}

/// A value in a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A text or bytes.
    Text(Vec<u8>),
    /// A refusal.
    Error(String),
    /// More values.
    List(Vec<Value>),
}

impl Value {
    /// As text.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::Number(n) => Some(n.to_string()),
            _ => None,
        }
    }

    /// As a whole number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// As a list; an empty one, if it is none.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(values) => values,
            _ => &[],
        }
    }

    /// The value behind `key` in a list of keys and values.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let pair =
            |pair: &&[Value]| matches!(pair.first(), Some(Value::Text(name)) if name == key.as_bytes());
        self.list().chunks_exact(2).find(pair)?.get(1)
    }
}

/// A stream to a server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    deadline: Instant,
    within: Duration,
}

impl Connection {
    /// Speaks over `stream` until `within` is over.
    pub fn new(stream: Box<dyn Stream>, deadline: Instant, within: Duration) -> Self {
        Connection { stream: BufReader::with_capacity(16 << 10, stream), deadline, within }
    }

    /// From now on until `deadline`, which is `within` from when it began.
    pub fn until(&mut self, deadline: Instant, within: Duration) {
        (self.deadline, self.within) = (deadline, within);
    }

    /// When the time is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long it was.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// Sends a command, and waits for its reply.
    pub async fn ask(&mut self, command: &[&[u8]]) -> Result<Value, RespError> {
        let mut replies = self.ask_all(&[command]).await?;
        match replies.pop() {
            Some(Value::Error(text)) => Err(RespError::Refused(text)),
            Some(value) => Ok(value),
            None => Err(RespError::Protocol("no reply")),
        }
    }

    /// Sends commands at once, and waits for all replies; refusals are among them.
    pub async fn ask_all(&mut self, commands: &[&[&[u8]]]) -> Result<Vec<Value>, RespError> {
        let mut request = Vec::with_capacity(64 * commands.len());
        for command in commands {
            encode(&mut request, command);
        }
        let (deadline, within) = (self.deadline, self.within);
        let work = async {
            self.stream.get_mut().write_all(&request).await?;
            self.stream.get_mut().flush().await?;
            let mut replies = Vec::with_capacity(commands.len());
            for _ in commands {
                replies.push(read_reply(&mut self.stream).await?);
            }
            Ok(replies)
        };
        timeout_at(deadline, work).await.unwrap_or(Err(RespError::Timeout(within)))
    }
}

fn encode(out: &mut Vec<u8>, command: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for part in command {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// What a reply may still have.
struct Budget {
    values: usize,
    bytes: usize,
}

/// Reads one reply.
pub async fn read_reply<R: AsyncBufRead + Unpin + Send>(reader: &mut R) -> Result<Value, RespError> {
    let mut budget = Budget { values: MAX_VALUES, bytes: MAX_REPLY_BYTES };
    read_value(reader, &mut budget, 0).await
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Value, RespError>> + Send + 'a>>;

fn read_value<'a, R: AsyncBufRead + Unpin + Send>(
    reader: &'a mut R,
    budget: &'a mut Budget,
    depth: usize,
) -> Reading<'a> {
    Box::pin(async move {
        budget.values = budget.values.checked_sub(1).ok_or(RespError::TooLarge("MAX_VALUES"))?;
        let line = read_line(reader).await?;
        let (kind, rest) = line.split_at_checked(1).unwrap_or(("", ""));
        let number = || rest.parse::<i64>().map_err(|_| RespError::Protocol("a number was expected"));
        match kind {
            "+" => Ok(Value::Text(rest.as_bytes().to_vec())),
            "-" => Ok(Value::Error(rest.to_owned())),
            ":" => number().map(Value::Number),
            "$" => match usize::try_from(number()?) {
                Ok(length) => read_string(reader, budget, length).await,
                Err(_) => Ok(Value::Nil),
            },
            "*" => {
                let Ok(length) = usize::try_from(number()?) else { return Ok(Value::Nil) };
                if depth >= MAX_DEPTH {
                    return Err(RespError::TooLarge("MAX_DEPTH"));
                }
                // What is announced is believed as it comes.
                let mut values = Vec::with_capacity(length.min(1024));
                for _ in 0..length {
                    values.push(read_value(reader, budget, depth + 1).await?);
                }
                Ok(Value::List(values))
            }
            _ => Err(RespError::Protocol("an unknown kind of reply")),
        }
    })
}

async fn read_string<R: AsyncBufRead + Unpin + Send>(
    reader: &mut R,
    budget: &mut Budget,
    length: usize,
) -> Result<Value, RespError> {
    if length > MAX_STRING_BYTES {
        return Err(RespError::TooLarge("MAX_STRING_BYTES"));
    }
    budget.bytes = budget.bytes.checked_sub(length).ok_or(RespError::TooLarge("MAX_REPLY_BYTES"))?;
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    let got = (&mut *reader).take(length as u64).read_to_end(&mut bytes).await?;
    let mut end = [0; 2];
    reader.read_exact(&mut end).await?;
    if got < length || end != *b"\r\n" {
        return Err(RespError::Protocol("a string without its end"));
    }
    Ok(Value::Text(bytes))
}

async fn read_line<R: AsyncBufRead + Unpin + Send>(reader: &mut R) -> Result<String, RespError> {
    let mut line = Vec::new();
    (&mut *reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if line.is_empty() => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        None => Err(RespError::Protocol("a line without its end")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Value, RespError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_reply(&mut &bytes[..]))
    }

    fn print(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Nil => out.extend_from_slice(b"$-1\r\n"),
            Value::Number(n) => out.extend_from_slice(format!(":{n}\r\n").as_bytes()),
            Value::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Value::Text(bytes) => {
                out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Value::List(values) => {
                out.extend_from_slice(format!("*{}\r\n", values.len()).as_bytes());
                for value in values {
                    print(value, out);
                }
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Number),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Text),
            "[A-Z a-z]{0,10}".prop_map(Value::Error),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| proptest::collection::vec(inner, 0..6).prop_map(Value::List))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn replies_are_read_as_they_were_written(value in value()) {
            let mut bytes = Vec::new();
            print(&value, &mut bytes);
            prop_assert_eq!(read(&bytes).unwrap(), value);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn lies_about_lengths_cost_no_memory() {
        assert!(matches!(read(b"$99999999999\r\n"), Err(RespError::TooLarge("MAX_STRING_BYTES"))));
        assert!(matches!(read(b"*2147483647\r\n"), Err(RespError::Io(_))));
        assert!(matches!(read("*1\r\n".repeat(40).as_bytes()), Err(RespError::TooLarge("MAX_DEPTH"))));
        assert!(matches!(read(b"HTTP/1.1 400 Bad Request\r\n"), Err(RespError::Protocol(_))));
    }

    #[test]
    fn values_are_looked_up_by_key() {
        let value = read(b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$1\r\n2\r\n").unwrap();
        assert_eq!(value.get("b").and_then(Value::number), Some(2));
        assert_eq!((value.get("a").and_then(Value::text), value.get("c")), (Some("1".to_owned()), None));
    }
}
