//! Syslog over TCP and UDP: RFC 5424, and what came before it (RFC 3164).

use std::{
    io::{self, Read as _},
    net::{IpAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reba_model::{LabelsBuilder, Relabel};

use super::tls::{Connection, TlsFiles};
use crate::{client::wait, config::SyslogConfig, entry::Entry, job::Job, stage::syslog_ns};

/// Connections at once.
const MAX_CONNECTIONS: usize = 512;

/// How long a read waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(500);

pub(super) const SEVERITIES: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];

const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// A message taken apart; what it does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub facility: usize,
    pub severity: usize,
    pub time: String,
    pub host: String,
    pub app: String,
    pub process: String,
    pub id: String,
    /// Id of the element, name, value.
    pub data: Vec<(String, String, String)>,
    pub text: String,
}

impl Message {
    /// Reads a message; a text without a priority is a message of its own.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_end_matches(['\r', '\n', '\0']);
        let (priority, rest) = priority(text).unwrap_or((13, text));
        let mut message = match rest.strip_prefix("1 ").and_then(new_form) {
            Some(message) => message,
            None => old_form(rest),
        };
        (message.facility, message.severity) = (priority / 8, priority % 8);
        message
    }
}

fn priority(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let number: usize = number.parse().ok().filter(|n| *n < 192)?;
    Some((number, rest))
}

/// `TIME HOST APP PROCESS ID DATA TEXT`, `-` for what is not said.
fn new_form(text: &str) -> Option<Message> {
    let mut rest = text;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        (!word.is_empty()).then(|| if word == "-" { String::new() } else { word.to_owned() })
    };
    let (time, host, app, process, id) = (word()?, word()?, word()?, word()?, word()?);
    let (data, rest) = structured(rest)?;
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    Some(Message { time, host, app, process, id, data, text, ..Message::default() })
}

type Elements = Vec<(String, String, String)>;

/// `[id name="value" …][…]`, and what follows.
fn structured(text: &str) -> Option<(Elements, &str)> {
    let mut out = Vec::new();
    if let Some(rest) = text.strip_prefix('-') {
        return Some((out, rest));
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let id = &element[..end];
        rest = &element[end..];
        while let Some(pair) = rest.strip_prefix(' ') {
            let (name, after) = pair.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let close = loop {
                match chars.next()? {
                    (i, '"') => break i,
                    (_, '\\') => match chars.next()?.1 {
                        c @ ('"' | '\\' | ']') => value.push(c),
                        c => value.extend(['\\', c]),
                    },
                    (_, c) => value.push(c),
                }
            };
            out.push((id.to_owned(), name.to_owned(), value));
            rest = &after[close + 1..];
        }
        rest = rest.strip_prefix(']')?;
    }
    (!text.is_empty() && rest.len() < text.len()).then_some((out, rest))
}

/// `Jan  2 15:04:05 HOST TAG[PROCESS]: TEXT`, of which anything may be missing.
fn old_form(text: &str) -> Message {
    let mut message = Message { text: text.to_owned(), ..Message::default() };
    let Some((time, rest)) = text.split_at_checked(15) else { return message };
    let looks_like_time = time.as_bytes().get(3) == Some(&b' ')
        && time.as_bytes().get(9) == Some(&b':')
        && time.as_bytes().get(12) == Some(&b':');
    let (Some(rest), true) = (rest.strip_prefix(' '), looks_like_time) else { return message };
    time.clone_into(&mut message.time);
    let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    host.clone_into(&mut message.host);
    rest.clone_into(&mut message.text);
    let tag_end =
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c))).unwrap_or(rest.len());
    let (tag, after) = rest.split_at(tag_end);
    let (process, after) = match after.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((process, after)) => (process, after),
        None => ("", after),
    };
    if let Some(text) = after.strip_prefix(':').filter(|_| !tag.is_empty()) {
        tag.clone_into(&mut message.app);
        process.clone_into(&mut message.process);
        text.trim_start().clone_into(&mut message.text);
    }
    message
}

/// Takes a connection apart into messages: `LENGTH MESSAGE`, or lines.
#[derive(Debug)]
pub(crate) struct Framing {
    rest: Vec<u8>,
    max: usize,
    /// Messages that were too long and are cut.
    pub cut: u64,
    /// Inside of a line whose beginning was handed out.
    skipping: bool,
}

impl Framing {
    pub fn new(max: usize) -> Self {
        Framing { rest: Vec::new(), max, cut: 0, skipping: false }
    }

    /// Takes more; `false` if this is no syslog and the connection has to end.
    pub fn take(&mut self, data: &[u8], out: &mut Vec<String>) -> bool {
        self.rest.extend_from_slice(data);
        let mut pos = 0;
        while pos < self.rest.len() {
            let rest = &self.rest[pos..];
            if rest[0].is_ascii_digit() && !self.skipping {
                let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                let Some(space) = rest.get(digits) else {
                    if digits > 9 {
                        return false;
                    }
                    break;
                };
                let len = std::str::from_utf8(&rest[..digits]).ok().and_then(|d| d.parse::<usize>().ok());
                let Some(len) = len.filter(|_| *space == b' ').filter(|l| *l <= 16 << 20) else {
                    return false;
                };
                let Some(message) = rest.get(digits + 1..digits + 1 + len) else { break };
                pos += digits + 1 + len;
                let end = message.len().min(self.max);
                self.cut += u64::from(end < message.len());
                out.push(String::from_utf8_lossy(&message[..end]).into_owned());
                continue;
            }
            let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | 0)) else {
                if rest.len() > self.max {
                    if !std::mem::replace(&mut self.skipping, true) {
                        self.cut += 1;
                        out.push(String::from_utf8_lossy(&rest[..self.max]).into_owned());
                    }
                    pos = self.rest.len();
                }
                break;
            };
            if !std::mem::take(&mut self.skipping) && end > 0 {
                let kept = end.min(self.max);
                self.cut += u64::from(kept < end);
                out.push(String::from_utf8_lossy(&rest[..kept]).into_owned());
            }
            pos += end + 1;
        }
        self.rest.drain(..pos);
        true
    }
}

/// A receiver.
pub(crate) struct Syslog {
    pub config: SyslogConfig,
    pub relabel: Vec<Relabel>,
    pub job: Arc<Job>,
    pub connections: AtomicUsize,
}

impl Syslog {
    /// Listens until the job is stopped.
    pub fn run(self: &Arc<Self>) {
        while !self.job.stop.is_cancelled() {
            let result = if self.config.udp { self.datagrams() } else { self.connections() };
            if let Err(error) = result {
                tracing::warn!(address = %self.config.address, %error, "syslog cannot be received; it is tried again");
                wait(&self.job.stop, Duration::from_secs(10));
            }
        }
    }

    fn datagrams(&self) -> io::Result<()> {
        super::datagrams::receive(&self.job, "syslog", &self.config.address, |packet, from| {
            let text = String::from_utf8_lossy(&packet[..packet.len().min(self.config.max_message_length)]);
            self.entries(&[text.into_owned()], from)
        })
    }

    fn connections(self: &Arc<Self>) -> io::Result<()> {
        let tls = self.config.tls.as_ref().map(TlsFiles::open).transpose()?;
        let listener = TcpListener::bind(&self.config.address)?;
        listener.set_nonblocking(true)?;
        while !self.job.stop.is_cancelled() {
            match listener.accept() {
                Ok((stream, from)) if self.connections.load(Ordering::Relaxed) < MAX_CONNECTIONS => {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(LOOK))?;
                    stream.set_write_timeout(Some(self.config.idle_timeout.max(LOOK)))?;
                    let stream = Connection::new(stream, tls.as_ref())?;
                    let receiver = Arc::clone(self);
                    receiver.connections.fetch_add(1, Ordering::Relaxed);
                    let builder = std::thread::Builder::new().name("ship-syslog".to_owned());
                    let started = builder.spawn(move || {
                        if let Err(error) = receiver.connection(stream, from.ip()) {
                            tracing::debug!(%error, "a connection of syslog ended");
                        }
                        receiver.connections.fetch_sub(1, Ordering::Relaxed);
                    });
                    if started.is_err() {
                        self.connections.fetch_sub(1, Ordering::Relaxed);
                    }
                }
                Ok(_) => tracing::warn!(most = MAX_CONNECTIONS, "too many connections of syslog"),
                Err(e) if super::is_pause(&e) => drop(wait(&self.job.stop, Duration::from_millis(50))),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn connection(&self, mut stream: Connection, from: IpAddr) -> io::Result<()> {
        let mut framing = Framing::new(self.config.max_message_length);
        let mut buffer = vec![0; 64 << 10];
        let mut last = Instant::now();
        while !self.job.stop.is_cancelled() {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    let mut messages = Vec::new();
                    framing.take(b"\n", &mut messages);
                    self.cut(&mut framing);
                    self.emit(&messages, from);
                    return Ok(());
                }
                Ok(n) => {
                    last = Instant::now();
                    let mut messages = Vec::new();
                    let good = framing.take(&buffer[..n], &mut messages);
                    self.cut(&mut framing);
                    if !good {
                        let counters = &self.job.outlet.counters;
                        counters.add("promtail_syslog_target_parsing_errors_total", &[], 1);
                    }
                    if !self.emit(&messages, from) || !good {
                        return Ok(());
                    }
                }
                Err(e) if super::is_pause(&e) && last.elapsed() < self.config.idle_timeout => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn cut(&self, framing: &mut Framing) {
        let cut = std::mem::take(&mut framing.cut);
        if cut > 0 {
            let counters = &self.job.outlet.counters;
            counters.add("promtail_mutated_entries_total", &[("reason", "line_too_long")], cut);
        }
    }

    fn emit(&self, messages: &[String], from: IpAddr) -> bool {
        let entries = self.entries(messages, from);
        entries.is_empty() || self.job.handle(entries)
    }

    fn entries(&self, messages: &[String], from: IpAddr) -> Vec<Entry> {
        let (now_ns, counters) = ((self.job.outlet.now_ns)(), &self.job.outlet.counters);
        let said = |m: &&String| !m.trim().is_empty();
        let empty = messages.iter().filter(|m| !said(m)).count();
        if empty > 0 {
            counters.add("promtail_syslog_empty_messages_total", &[], empty as u64);
        }
        let entries: Vec<Entry> =
            messages.iter().filter(said).filter_map(|m| self.entry(m, from, now_ns)).collect();
        if !entries.is_empty() {
            counters.add("promtail_syslog_target_entries_total", &[], entries.len() as u64);
        }
        entries
    }

    fn entry(&self, text: &str, from: IpAddr, now_ns: i64) -> Option<Entry> {
        let message = Message::parse(text);
        let mut b: LabelsBuilder = self.config.labels.to_builder();
        for (name, value) in [
            ("connection_ip_address", from.to_string().as_str()),
            ("message_severity", SEVERITIES[message.severity % 8]),
            ("message_facility", FACILITIES[message.facility % 24]),
            ("message_hostname", &message.host),
            ("message_app_name", &message.app),
            ("message_proc_id", &message.process),
            ("message_msg_id", &message.id),
        ] {
            b.set(&format!("__syslog_{name}"), value);
        }
        let plain = |s: &str| -> String {
            s.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
        };
        for (id, name, value) in message.data.iter().filter(|_| self.config.structured_data) {
            b.set(&format!("__syslog_message_sd_{}_{}", plain(id), plain(name)), value);
        }
        if !Relabel::apply_all(&self.relabel, &mut b) {
            return None;
        }
        b.retain(|n, _| !n.starts_with("__"));
        let sent = self.config.use_incoming_timestamp.then(|| syslog_ns(&message.time, now_ns)).flatten();
        let line = if self.config.whole_message { text.trim_end().to_owned() } else { message.text };
        Some(Entry::new(sent.unwrap_or(now_ns), line, b.build()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_of_both_forms_are_read() {
        let m = Message::parse(
            "<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [ex@1 a=\"x \\\"y\\\"\" b=\"2\"][o c=\"3\"] \u{feff}text here",
        );
        assert_eq!((m.facility, m.severity), (20, 5));
        assert_eq!([&m.host, &m.app, &m.process, &m.id, &m.text], ["host", "app", "12", "ID47", "text here"]);
        assert_eq!(m.data[0], ("ex@1".to_owned(), "a".to_owned(), "x \"y\"".to_owned()));
        assert_eq!(m.data.len(), 3);
        let m = Message::parse("<34>1 - - - - - - only text");
        assert_eq!((m.text.as_str(), m.host.as_str()), ("only text", ""));
        let m = Message::parse("<34>Oct 11 22:14:15 mymachine su[42]: 'su root' failed");
        assert_eq!([&m.host, &m.app, &m.process, &m.text], ["mymachine", "su", "42", "'su root' failed"]);
        assert_eq!(Message::parse("just a line").text, "just a line");
    }

    #[test]
    fn frames_by_length_and_by_line_may_be_mixed() {
        let data = b"5 <1>ab<2>line\n<3>second\r\n3 xyz";
        for size in [1, 4, 100] {
            let (mut framing, mut out) = (Framing::new(8192), Vec::new());
            assert!(data.chunks(size).all(|part| framing.take(part, &mut out)));
            assert_eq!(out, ["<1>ab", "<2>line", "<3>second\r", "xyz"]);
        }
        let (mut framing, mut out) = (Framing::new(4), Vec::new());
        assert!(framing.take(b"<1>abcdef", &mut out) && framing.take(b"gh\n<2>x\n", &mut out));
        assert_eq!((out, framing.cut), (vec!["<1>a".to_owned(), "<2>x".to_owned()], 1));
        assert!(!Framing::new(100).take(b"99999999999 x", &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(<[0-9]{1,4}>)?(1 )?[a-z0-9 \\[\\]=\"\\\\:-]{0,60}|.{0,40}", max in 1usize..20) {
            Message::parse(&text);
            Framing::new(max).take(text.as_bytes(), &mut Vec::new());
        }
    }
}
