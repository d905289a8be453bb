//! As much of D-Bus as it takes to ask systemd: method calls with texts, replies of any shape, over the system's bus.
//!
//! Source: the D-Bus specification 0.38, sections "Type System", "Message Protocol" and "Authentication Protocol".

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// systemd's manager.
pub const MANAGER: &str = "/org/freedesktop/systemd1";

const DESTINATION: &str = "org.freedesktop.systemd1";

/// How long a reply, or all of them together, may take.
const TIMEOUT: Duration = Duration::from_secs(5);
const TOGETHER: Duration = Duration::from_secs(15);

/// The largest message that is taken; the specification allows 128 MiB.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// How deep values nest; the specification allows 64.
const MAX_DEPTH: usize = 16;

const LITTLE_ENDIAN: u8 = b'l';
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text, a path or a signature.
    Text(String),
    /// A number or a truth.
    Number(f64),
    /// An array, a structure or an entry of a dictionary.
    List(Vec<Value>),
}

impl Value {
    /// As text; a number in its digits.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(n) => n.to_string(),
            Value::List(_) => String::new(),
        }
    }

    /// As a number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A connection to the bus.
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    until: Instant,
}

impl Bus {
    /// Connects to the socket at `path`, and says who we are.
    pub fn open(path: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let user = rustix::process::getuid().as_raw().to_string();
        // Digits are 0x30 and so on.
        let hex: String = user.chars().flat_map(|digit| ['3', digit]).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 1024 {
                return Err(broken("no end of the answer to AUTH"));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the bus does not let us in"));
        }
        stream.write_all(b"BEGIN\r\n")?;
        let mut bus = Bus { stream, serial: 0, until: Instant::now() + TOGETHER };
        bus.send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", &[])?;
        Ok(bus)
    }

    /// Calls a method of systemd.
    pub fn call(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        texts: &[&str],
    ) -> io::Result<Vec<Value>> {
        self.send(DESTINATION, path, interface, method, texts)
    }

    /// Asks for a property.
    pub fn property(&mut self, path: &str, interface: &str, name: &str) -> io::Result<Value> {
        let reply = self.call(path, "org.freedesktop.DBus.Properties", "Get", &[interface, name])?;
        reply.into_iter().next().ok_or_else(|| broken("an empty reply"))
    }

    fn send(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        method: &str,
        texts: &[&str],
    ) -> io::Result<Vec<Value>> {
        if Instant::now() >= self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "systemd takes too long (TOGETHER)"));
        }
        self.serial += 1;
        let message = encode(self.serial, [destination, path, interface, method], texts);
        self.stream.write_all(&message)?;
        loop {
            let (kind, reply_to, body) = self.receive()?;
            // Signals come in between.
            match kind {
                METHOD_RETURN if reply_to == self.serial => return Ok(body),
                ERROR if reply_to == self.serial => {
                    let reason = body.first().map(Value::text).unwrap_or_default();
                    return Err(io::Error::other(reason));
                }
                _ => {}
            }
        }
    }

    /// A message: its kind, whose answer it is, its body.
    fn receive(&mut self) -> io::Result<(u8, u32, Vec<Value>)> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        if head[0] != LITTLE_ENDIAN {
            return Err(broken("a message that is not little-endian"));
        }
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (body, fields) = (number(4), number(12));
        let rest = fields.div_ceil(8) * 8 + body;
        if body > MAX_MESSAGE_BYTES || fields > MAX_MESSAGE_BYTES {
            return Err(broken("a message that is too large (MAX_MESSAGE_BYTES)"));
        }
        let mut bytes = head.to_vec();
        bytes.resize(16 + rest, 0);
        self.stream.read_exact(bytes.get_mut(16..).unwrap_or_default())?;
        decode(&bytes).ok_or_else(|| broken("a message that cannot be read"))
    }
}

/// A method call whose arguments are texts.
fn encode(serial: u32, [destination, path, interface, method]: [&str; 4], texts: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for text in texts {
        push_text(&mut body, text);
    }
    let mut out = vec![LITTLE_ENDIAN, METHOD_CALL, 0, 1];
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&serial.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for (code, kind, text) in [(1, "o", path), (2, "s", interface), (3, "s", method), (6, "s", destination)] {
        pad(&mut out, 8);
        out.push(code);
        push_signature(&mut out, kind);
        push_text(&mut out, text);
    }
    if !texts.is_empty() {
        pad(&mut out, 8);
        out.push(8);
        push_signature(&mut out, "g");
        push_signature(&mut out, &"s".repeat(texts.len()));
    }
    let fields = (out.len() as u32 - 16).to_le_bytes();
    if let Some(place) = out.get_mut(12..16) {
        place.copy_from_slice(&fields);
    }
    pad(&mut out, 8);
    out.extend_from_slice(&body);
    out
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().div_ceil(to) * to, 0);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    pad(out, 4);
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn push_signature(out: &mut Vec<u8>, signature: &str) {
    out.push(signature.len() as u8);
    out.extend_from_slice(signature.as_bytes());
    out.push(0);
}

fn decode(bytes: &[u8]) -> Option<(u8, u32, Vec<Value>)> {
    let mut reader = Reader { bytes, at: 12 };
    let (mut reply_to, mut signature) = (0, String::new());
    let Value::List(fields) = reader.value(&mut b"a(yv)".iter().copied().peekable(), 0)? else { return None };
    for field in fields {
        let Value::List(pair) = field else { return None };
        match pair.as_slice() {
            [Value::Number(5.0), Value::Number(n)] => reply_to = *n as u32,
            [Value::Number(8.0), Value::Text(text)] => signature.clone_from(text),
            _ => {}
        }
    }
    reader.align(8);
    let mut kinds = signature.bytes().peekable();
    let mut body = Vec::new();
    while kinds.peek().is_some() {
        body.push(reader.value(&mut kinds, 0)?);
    }
    Some((*bytes.get(1)?, reply_to, body))
}

/// Reads values by their signature.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.div_ceil(to) * to;
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N);
        let bytes = self.bytes.get(self.at..self.at.checked_add(N)?)?.try_into().ok()?;
        self.at += N;
        Some(bytes)
    }

    fn text(&mut self, length: usize) -> Option<Value> {
        let end = self.at.checked_add(length)?;
        let text = String::from_utf8_lossy(self.bytes.get(self.at..end)?).into_owned();
        self.at = end.checked_add(1)?;
        Some(Value::Text(text))
    }

    fn value<I: Iterator<Item = u8>>(
        &mut self,
        kinds: &mut std::iter::Peekable<I>,
        depth: usize,
    ) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match kinds.next()? {
            b'y' => Value::Number(f64::from(self.take::<1>()?[0])),
            b'n' => Value::Number(f64::from(i16::from_le_bytes(self.take()?))),
            b'q' => Value::Number(f64::from(u16::from_le_bytes(self.take()?))),
            b'i' => Value::Number(f64::from(i32::from_le_bytes(self.take()?))),
            b'b' | b'u' | b'h' => Value::Number(f64::from(u32::from_le_bytes(self.take()?))),
            b'x' => Value::Number(i64::from_le_bytes(self.take()?) as f64),
            b't' => Value::Number(u64::from_le_bytes(self.take()?) as f64),
            b'd' => Value::Number(f64::from_le_bytes(self.take()?)),
            b's' | b'o' => {
                let length = u32::from_le_bytes(self.take()?) as usize;
                self.text(length)?
            }
            b'g' => {
                let length = self.take::<1>()?[0] as usize;
                self.text(length)?
            }
            b'v' => {
                let length = self.take::<1>()?[0] as usize;
                let Value::Text(signature) = self.text(length)? else { return None };
                let mut inner: Vec<u8> = signature.into_bytes();
                inner.truncate(255);
                self.value(&mut inner.into_iter().peekable(), depth + 1)?
            }
            b'(' | b'{' => {
                self.align(8);
                let mut fields = Vec::new();
                while !matches!(kinds.peek(), Some(b')' | b'}')) {
                    fields.push(self.value(kinds, depth + 1)?);
                }
                kinds.next();
                Value::List(fields)
            }
            b'a' => {
                let element = element(kinds)?;
                let length = u32::from_le_bytes(self.take()?) as usize;
                if matches!(element.first()?, b'(' | b'{' | b'x' | b't' | b'd') {
                    self.align(8);
                }
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
                let mut list = Vec::new();
                while self.at < end {
                    let before = self.at;
                    list.push(self.value(&mut element.iter().copied().peekable(), depth + 1)?);
                    if self.at <= before {
                        return None;
                    }
                }
                Value::List(list)
            }
            _ => return None,
        })
    }
}

/// The signature of an array's elements.
fn element<I: Iterator<Item = u8>>(kinds: &mut std::iter::Peekable<I>) -> Option<Vec<u8>> {
    let (mut out, mut open) = (Vec::new(), 0_usize);
    loop {
        let kind = kinds.next()?;
        out.push(kind);
        match kind {
            b'(' | b'{' => open += 1,
            b')' | b'}' => open = open.checked_sub(1)?,
            b'a' => continue,
            _ => {}
        }
        if open == 0 {
            return Some(out);
        }
    }
}

/// A bus that is made up.
#[cfg(test)]
pub mod fake {
    use std::{os::unix::net::UnixListener, path::Path, thread};

    use super::*;

    /// A signature, and a body of that; none is an error.
    pub type Said = Option<(&'static str, Vec<u8>)>;

    /// Answers connections at `path`; `answer` is given a call's bytes.
    pub fn serve(path: &Path, answer: impl Fn(&[u8]) -> Said + Send + 'static) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Whoever hangs up has heard enough.
                let _ = talk(stream.unwrap(), &answer);
            }
        });
    }

    fn talk(mut stream: UnixStream, answer: &dyn Fn(&[u8]) -> Said) -> io::Result<()> {
        read_until(&mut stream, b"\r\n")?;
        stream.write_all(b"OK 1234\r\n")?;
        read_until(&mut stream, b"BEGIN\r\n")?;
        for serial in 1.. {
            let mut head = [0; 16];
            stream.read_exact(&mut head)?;
            let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
            let mut call = vec![0; number(12).div_ceil(8) * 8 + number(4)];
            stream.read_exact(&mut call)?;
            let (kind, (signature, body)) = match answer(&call) {
                Some(answer) => (METHOD_RETURN, answer),
                None => (ERROR, ("s", text("there is no such thing"))),
            };
            stream.write_all(&reply(kind, serial, signature, &body))?;
        }
        Ok(())
    }

    fn read_until(stream: &mut UnixStream, end: &[u8]) -> io::Result<()> {
        let mut seen = Vec::new();
        while !seen.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            seen.push(byte[0]);
        }
        Ok(())
    }

    /// A body of one text.
    pub fn text(text: &str) -> Vec<u8> {
        let mut body = Vec::new();
        push_text(&mut body, text);
        body
    }

    /// A body of one variant, with a value of this signature.
    pub fn variant(signature: &str, value: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        push_signature(&mut body, signature);
        pad(&mut body, if signature == "t" { 8 } else { 4 });
        body.extend_from_slice(value);
        body
    }

    /// A body of one array of structures of texts.
    pub fn texts(rows: &[&[&str]]) -> Vec<u8> {
        let mut body = vec![0; 8];
        for row in rows {
            pad(&mut body, 8);
            row.iter().for_each(|text| push_text(&mut body, text));
        }
        let length = (body.len() as u32 - 8).to_le_bytes();
        body[..4].copy_from_slice(&length);
        body
    }

    /// A reply of a kind with a body of the given signature.
    pub fn reply(kind: u8, to: u32, signature: &str, body: &[u8]) -> Vec<u8> {
        let mut out = vec![LITTLE_ENDIAN, kind, 0, 1];
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        out.push(5);
        push_signature(&mut out, "u");
        out.extend_from_slice(&to.to_le_bytes());
        pad(&mut out, 8);
        out.push(8);
        push_signature(&mut out, "g");
        push_signature(&mut out, signature);
        let fields = (out.len() as u32 - 16).to_le_bytes();
        out[12..16].copy_from_slice(&fields);
        pad(&mut out, 8);
        out.extend_from_slice(body);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_can_be_read_again() {
        let bytes = encode(7, ["d.e", "/p", "i.f", "Get"], &["one", "two"]);
        let (kind, reply_to, body) = decode(&bytes).unwrap();
        assert_eq!((kind, reply_to), (METHOD_CALL, 0));
        assert_eq!(body, [Value::Text("one".to_owned()), Value::Text("two".to_owned())]);
    }

    #[test]
    fn a_bus_is_asked_and_its_answer_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus");
        fake::serve(&path, |call| {
            let is = |method: &[u8]| call.windows(method.len()).any(|part| part == method);
            if is(b"Hello") {
                return Some(("s", fake::text(":1.7")));
            }
            // One structure of a text and a number.
            let mut list = vec![0; 8];
            push_text(&mut list, "abc");
            list.extend_from_slice(&42_u32.to_le_bytes());
            list[0] = (list.len() - 8) as u8;
            is(b"ListUnits").then_some(("a(su)", list))
        });
        let mut bus = Bus::open(path.to_str().unwrap()).unwrap();
        let answer = bus.call(MANAGER, "x.y", "ListUnits", &[]).unwrap();
        let inner = Value::List(vec![Value::Text("abc".to_owned()), Value::Number(42.0)]);
        assert_eq!(answer, [Value::List(vec![inner])]);
        let error = bus.call(MANAGER, "x.y", "Nope", &[]).unwrap_err().to_string();
        assert_eq!(error, "there is no such thing");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), signature in "[ybnqiuxtdsogva(){}]{0,8}") {
            let _ = decode(&bytes);
            let mut reader = Reader { bytes: &bytes, at: 0 };
            let _ = reader.value(&mut signature.bytes().peekable(), 0);
        }
    }
}
