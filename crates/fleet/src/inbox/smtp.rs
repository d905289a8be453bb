//! A mail server that takes everything and delivers nothing (RFC 5321, as far as senders of alerts use it).
//!
//! It offers AUTH and takes any password. It offers no STARTTLS: it is for the loopback.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{Inbox, MESSAGE_LIMIT, mail};

/// Senders at a time.
const CONNECTIONS: usize = 64;

/// Bytes of a line; longer ones end the connection.
const LINE_LIMIT: u64 = 64 << 10;

/// How long a sender may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes mail until `stop`.
pub async fn serve(listener: TcpListener, inbox: Inbox, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (inbox, stop) = (inbox.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // A sender that breaks off is its own business.
                talked = talk(stream, &inbox) => drop(talked),
            }
            drop(place);
        });
    }
}

async fn talk(stream: TcpStream, inbox: &Inbox) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 reba-inbox ESMTP\r\n").await?;
    let mut session = Session::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stream).take(LINE_LIMIT);
        let read = limited.read_until(b'\n', &mut line);
        let n = tokio::time::timeout(PATIENCE, read).await.map_err(std::io::Error::other)??;
        if n == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        let answer = session.line(&line);
        if let Some(arrived) = session.arrived.take() {
            inbox.keep(mail::read(&arrived.to, &arrived.data));
        }
        match answer {
            Answer::Say(text) => stream.get_mut().write_all(text.as_bytes()).await?,
            Answer::Nothing => {}
            Answer::Bye => return stream.get_mut().write_all(b"221 bye\r\n").await,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Say(&'static str),
    Nothing,
    Bye,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Command,
    /// More lines of AUTH LOGIN or AUTH PLAIN.
    Secrets(u8),
    Data,
}

/// A mail with its envelope.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    to: Vec<String>,
    data: Vec<u8>,
}

/// One conversation: lines in, answers out.
#[derive(Debug, Default)]
struct Session {
    expected: Expected,
    sender: Option<String>,
    to: Vec<String>,
    data: Vec<u8>,
    too_long: bool,
    arrived: Option<Arrived>,
}

impl Session {
    /// What is answered to a line, its end included.
    fn line(&mut self, line: &[u8]) -> Answer {
        match self.expected {
            Expected::Data => self.data(line),
            Expected::Secrets(1) => {
                self.expected = Expected::Command;
                Answer::Say("235 2.7.0 whoever you are, welcome\r\n")
            }
            Expected::Secrets(n) => {
                self.expected = Expected::Secrets(n - 1);
                Answer::Say("334 UGFzc3dvcmQ6\r\n")
            }
            Expected::Command => self.command(&String::from_utf8_lossy(line)),
        }
    }

    fn command(&mut self, line: &str) -> Answer {
        let line = line.trim();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                Answer::Say("250-reba-inbox\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
            }
            "HELO" | "NOOP" => Answer::Say("250 ok\r\n"),
            "AUTH" => self.auth(rest),
            "MAIL" => {
                self.sender = Some(address(rest));
                self.to.clear();
                Answer::Say("250 2.1.0 ok\r\n")
            }
            "RCPT" if self.sender.is_none() => Answer::Say("503 5.5.1 MAIL first\r\n"),
            "RCPT" => {
                self.to.push(address(rest));
                Answer::Say("250 2.1.5 ok\r\n")
            }
            "DATA" if self.to.is_empty() => Answer::Say("503 5.5.1 RCPT first\r\n"),
            "DATA" => {
                self.expected = Expected::Data;
                Answer::Say("354 go ahead, end with a dot\r\n")
            }
            "RSET" => {
                *self = Session::default();
                Answer::Say("250 ok\r\n")
            }
            "QUIT" => Answer::Bye,
            _ => Answer::Say("502 5.5.2 not known here\r\n"),
        }
    }

    fn auth(&mut self, rest: &str) -> Answer {
        let mut words = rest.split_whitespace();
        let method = words.next().unwrap_or("").to_ascii_uppercase();
        match (method.as_str(), words.next()) {
            ("PLAIN", Some(_)) => Answer::Say("235 2.7.0 whoever you are, welcome\r\n"),
            ("PLAIN", None) => {
                self.expected = Expected::Secrets(1);
                Answer::Say("334 \r\n")
            }
            ("LOGIN", first) => {
                self.expected = Expected::Secrets(if first.is_some() { 1 } else { 2 });
                Answer::Say(if first.is_some() { "334 UGFzc3dvcmQ6\r\n" } else { "334 VXNlcm5hbWU6\r\n" })
            }
            _ => Answer::Say("504 5.5.4 PLAIN or LOGIN\r\n"),
        }
    }

    fn data(&mut self, line: &[u8]) -> Answer {
        if line != b".\r\n" && line != b".\n" {
            // A dot at the start of a line was doubled by the sender.
            let line = if line.starts_with(b"..") { &line[1..] } else { line };
            self.too_long |= self.data.len() + line.len() > MESSAGE_LIMIT;
            if !self.too_long {
                self.data.extend_from_slice(line);
            }
            return Answer::Nothing;
        }
        let Session { to, data, too_long, .. } = std::mem::take(self);
        if too_long {
            return Answer::Say("552 5.3.4 more than 1048576 bytes (MESSAGE_LIMIT)\r\n");
        }
        self.arrived = Some(Arrived { to, data });
        Answer::Say("250 2.0.0 kept\r\n")
    }
}

/// The address in `FROM:<a@b> SIZE=1`.
fn address(rest: &str) -> String {
    let behind = rest.split_once(':').map_or(rest, |(_, behind)| behind).trim();
    let bare = behind.split_whitespace().next().unwrap_or("");
    bare.trim_matches(['<', '>']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(session: &mut Session, lines: &[&str]) -> Vec<String> {
        let answer = |line: &&str| match session.line(line.as_bytes()) {
            Answer::Say(text) => text[..3].to_owned(),
            Answer::Nothing => String::new(),
            Answer::Bye => "221".to_owned(),
        };
        lines.iter().map(answer).collect()
    }

    #[test]
    fn a_mail_is_taken_with_its_dots_after_a_login_with_any_password() {
        let mut session = Session::default();
        let codes = say(
            &mut session,
            &[
                "EHLO x\r\n",
                "AUTH LOGIN\r\n",
                "dQ==\r\n",
                "cA==\r\n",
                "AUTH PLAIN AHUAcA==\r\n",
                "MAIL FROM:<a@x> SIZE=9\r\n",
                "RCPT TO:<b@y>\r\n",
                "rcpt to:<c@z>\r\n",
                "DATA\r\n",
                "Subject: s\r\n",
                "\r\n",
                "..\r\n",
                ".\r\n",
            ],
        );
        assert_eq!(codes, ["250", "334", "334", "235", "235", "250", "250", "250", "354", "", "", "", "250"]);
        let arrived = session.arrived.take().unwrap();
        assert_eq!(arrived.to, ["b@y", "c@z"]);
        assert_eq!(arrived.data, b"Subject: s\r\n\r\n.\r\n");
        // The next one on the same connection starts anew.
        assert_eq!(say(&mut session, &["DATA\r\n", "RCPT TO:<x>\r\n", "QUIT\r\n"]), ["503", "503", "221"]);
    }

    #[test]
    fn a_mail_beyond_the_limit_is_refused_and_takes_no_memory() {
        let mut session = Session::default();
        say(&mut session, &["MAIL FROM:<a>\r\n", "RCPT TO:<b>\r\n", "DATA\r\n"]);
        let line = format!("{}\r\n", "x".repeat(1000));
        for _ in 0..2000 {
            session.line(line.as_bytes());
        }
        assert!(session.data.len() <= MESSAGE_LIMIT);
        assert_eq!(say(&mut session, &[".\r\n"]), ["552"]);
        assert_eq!(session.arrived, None);
    }
}
