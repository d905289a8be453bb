//! The protocol of Redis, RESP2: commands out, replies in, both bounded.

use std::{io, io::Write as _, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
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
const MAX_LINE_BYTES: usize = 64 << 10;

/// What is read at once.
const READ_BYTES: usize = 16 << 10;

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
    stream: Box<dyn Stream>,
    incoming: Incoming,
    deadline: Instant,
    within: Duration,
    since: Instant,
    /// No reply is missing, and none is left.
    sound: bool,
}

impl Connection {
    /// Speaks over `stream` until `within` is over.
    pub fn new(stream: Box<dyn Stream>, deadline: Instant, within: Duration) -> Self {
        Connection {
            stream,
            incoming: Incoming::default(),
            deadline,
            within,
            since: Instant::now(),
            sound: true,
        }
    }

    /// Whether more can be asked: replies came as they should, and it is younger than `age`.
    pub fn is_usable(&self, age: Duration) -> bool {
        self.sound && self.since.elapsed() < age
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
        // Who gives up in between leaves replies behind.
        self.sound = false;
        let work = async {
            self.stream.write_all(&request).await?;
            self.stream.flush().await?;
            let mut replies = Vec::with_capacity(commands.len());
            for _ in commands {
                replies.push(read_reply(&mut self.incoming, &mut self.stream).await?);
            }
            Ok(replies)
        };
        let replies = timeout_at(deadline, work).await.unwrap_or(Err(RespError::Timeout(within)));
        self.sound = replies.is_ok();
        replies
    }
}

fn encode(out: &mut Vec<u8>, command: &[&[u8]]) {
    // Nothing fails that writes to memory.
    let _ = write!(out, "*{}\r\n", command.len());
    for part in command {
        let _ = write!(out, "${}\r\n", part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Bytes that have come and that nobody has read yet.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    start: usize,
}

impl Incoming {
    /// Waits for more; the end of the stream is an error.
    async fn more<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> Result<(), RespError> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(READ_BYTES);
        match reader.read_buf(&mut self.bytes).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// A line without its end.
    async fn line<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> Result<&[u8], RespError> {
        let mut seen = 0;
        let length = loop {
            let waiting = self.bytes.get(self.start..).unwrap_or_default();
            if let Some(at) = waiting.iter().skip(seen).position(|b| *b == b'\n') {
                break seen + at + 1;
            }
            seen = waiting.len();
            if seen > MAX_LINE_BYTES {
                return Err(RespError::Protocol("a line without its end"));
            }
            self.more(reader).await?;
        };
        let line = self.bytes.get(self.start..self.start + length).unwrap_or_default();
        self.start += length;
        line.strip_suffix(b"\r\n").ok_or(RespError::Protocol("a line without its end"))
    }

    /// The next `length` bytes and the end of their line; room is made as they come.
    async fn string<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        length: usize,
    ) -> Result<Vec<u8>, RespError> {
        let mut out = Vec::with_capacity(length.min(READ_BYTES));
        while out.len() < length {
            if self.start == self.bytes.len() {
                self.more(reader).await?;
            }
            let waiting = self.bytes.get(self.start..).unwrap_or_default();
            let part = waiting.get(..length - out.len()).unwrap_or(waiting);
            out.extend_from_slice(part);
            self.start += part.len();
        }
        if self.line(reader).await?.is_empty() {
            return Ok(out);
        }
        Err(RespError::Protocol("a string without its end"))
    }
}

/// A list whose values are still coming.
struct Open {
    values: Vec<Value>,
    left: usize,
}

/// What stands next: a value, or the head of a list.
enum Token {
    Value(Value),
    List(usize),
}

/// What a reply may still have.
struct Budget {
    values: usize,
    bytes: usize,
}

/// Reads one reply.
pub async fn read_reply<R: AsyncRead + Unpin>(
    incoming: &mut Incoming,
    reader: &mut R,
) -> Result<Value, RespError> {
    let mut budget = Budget { values: MAX_VALUES, bytes: MAX_REPLY_BYTES };
    let mut lists: Vec<Open> = Vec::new();
    loop {
        let value = match read_token(incoming, reader, &mut budget).await? {
            Token::Value(value) => value,
            Token::List(0) => Value::List(Vec::new()),
            Token::List(_) if lists.len() >= MAX_DEPTH => return Err(RespError::TooLarge("MAX_DEPTH")),
            Token::List(left) => {
                // What is announced is believed as it comes.
                lists.push(Open { values: Vec::with_capacity(left.min(1024)), left });
                continue;
            }
        };
        if let Some(value) = put(&mut lists, value) {
            return Ok(value);
        }
    }
}

/// Puts a value into the list that waits for it; the reply itself, if that is whole with it.
fn put(lists: &mut Vec<Open>, mut value: Value) -> Option<Value> {
    while let Some(mut list) = lists.pop() {
        list.values.push(value);
        list.left -= 1;
        if list.left > 0 {
            lists.push(list);
            return None;
        }
        value = Value::List(list.values);
    }
    Some(value)
}

async fn read_token<R: AsyncRead + Unpin>(
    incoming: &mut Incoming,
    reader: &mut R,
    budget: &mut Budget,
) -> Result<Token, RespError> {
    budget.values = budget.values.checked_sub(1).ok_or(RespError::TooLarge("MAX_VALUES"))?;
    let line = incoming.line(reader).await?;
    let (kind, rest) = line.split_first().unwrap_or((&0, &[]));
    let number = || {
        let digits = std::str::from_utf8(rest).ok().and_then(|digits| digits.parse::<i64>().ok());
        digits.ok_or(RespError::Protocol("a number was expected"))
    };
    let value = match kind {
        b'+' => Value::Text(rest.to_vec()),
        b'-' => Value::Error(String::from_utf8_lossy(rest).into_owned()),
        b':' => Value::Number(number()?),
        b'$' => match usize::try_from(number()?) {
            Err(_) => Value::Nil,
            Ok(length) if length > MAX_STRING_BYTES => return Err(RespError::TooLarge("MAX_STRING_BYTES")),
            Ok(length) => {
                let left = budget.bytes.checked_sub(length);
                budget.bytes = left.ok_or(RespError::TooLarge("MAX_REPLY_BYTES"))?;
                Value::Text(incoming.string(reader, length).await?)
            }
        },
        b'*' => match usize::try_from(number()?) {
            Err(_) => Value::Nil,
            Ok(length) => return Ok(Token::List(length)),
        },
        _ => return Err(RespError::Protocol("an unknown kind of reply")),
    };
    Ok(Token::Value(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Value, RespError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_reply(&mut Incoming::default(), &mut &bytes[..]))
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
        fn replies_in_pieces_and_one_behind_the_other_are_read(values in proptest::collection::vec(value(), 1..4), cut in 1_usize..7) {
            let mut bytes = Vec::new();
            for value in &values {
                print(value, &mut bytes);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (mut ours, mut theirs) = tokio::io::duplex(cut);
            let read = runtime.block_on(async {
                let mut incoming = Incoming::default();
                let write = async { theirs.write_all(&bytes).await.unwrap() };
                let read = async {
                    let mut read = Vec::new();
                    for _ in &values {
                        read.push(read_reply(&mut incoming, &mut ours).await.unwrap());
                    }
                    read
                };
                tokio::join!(write, read).1
            });
            prop_assert_eq!(read, values);
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
