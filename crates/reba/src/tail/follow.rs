//! Following: history first, then lines as they come, over lost connections too.

use std::time::Duration;

use anyhow::Result;

use super::{Output, seen::Seen, show::Place, socket::Socket};
use crate::query::loki::{Direction, Refused, Row, Server, Span};

/// How far beyond our own clock lines are asked for: clocks differ, and nothing is newer than the newest line.
const AHEAD_NS: i64 = 24 * 3600 * 1_000_000_000;
/// Pauses between attempts to connect again: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What is followed.
pub struct Follow<'a> {
    /// The server.
    pub server: &'a Server,
    /// The query.
    pub query: &'a str,
    /// How far back lines are shown before the first new one.
    pub since_ns: i64,
    /// How many of them, at most.
    pub limit: usize,
}

impl Follow<'_> {
    /// Shows lines until the reader or the server has had enough. `now_ns` is now.
    pub async fn run(&self, now_ns: i64, out: &mut Output) -> Result<()> {
        // The connection comes before the history, so that nothing is lost between them.
        let mut socket = Socket::open(self.server, self.query, now_ns).await?;
        let mut seen = self.history(now_ns, out).await?;
        loop {
            let lost = match self.listen(&mut socket, &mut seen, out).await {
                Ok(()) => "the server has ended the connection".to_owned(),
                Err(e) if is_final(&e) => return Err(e),
                Err(e) => format!("{e:#}"),
            };
            out.remark(&format!("{lost}; connecting again"));
            socket = self.connect_again(&mut seen, out).await?;
            out.remark("connected again");
        }
    }

    /// Shows the last lines; remembers them.
    async fn history(&self, now_ns: i64, out: &mut Output) -> Result<Seen> {
        let span = Span { start: now_ns.saturating_sub(self.since_ns), end: now_ns.saturating_add(AHEAD_NS) };
        if self.limit == 0 {
            return Ok(Seen::new(now_ns));
        }
        let mut rows = self.server.rows(self.query, span, self.limit, Direction::Backward).await?;
        rows.reverse();
        // Lines before the first one that is shown are not wanted later either.
        let cut = rows.len() >= self.limit;
        let mut seen = Seen::new(rows.first().filter(|_| cut).map_or(span.start, |row| row.ns));
        show(rows, &mut seen, out)?;
        Ok(seen)
    }

    async fn listen(&self, socket: &mut Socket, seen: &mut Seen, out: &mut Output) -> Result<()> {
        while let Some(frame) = socket.next().await? {
            show(frame.rows, seen, out)?;
            let times = (frame.missed.iter().min(), frame.missed.iter().max());
            if let (Some(first), Some(last)) = times {
                out.remark("lines came faster than they could be sent: fetching the rest");
                let span = Span { start: *first, end: last.saturating_add(1) };
                self.fetch(span, seen, out).await?;
            }
        }
        Ok(())
    }

    /// Connects, however long that takes, and shows what was missed.
    async fn connect_again(&self, seen: &mut Seen, out: &mut Output) -> Result<Socket> {
        let mut pause = PAUSE.0;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
            let from = seen.resume_at();
            let attempt = async {
                let socket = Socket::open(self.server, self.query, from).await?;
                let end = super::now_ns().saturating_add(AHEAD_NS);
                self.fetch(Span { start: from, end }, seen, out).await?;
                Ok(socket)
            };
            match attempt.await {
                Ok(socket) => return Ok(socket),
                Err(e) if is_final(&e) => return Err(e),
                Err(_) => {}
            }
        }
    }

    async fn fetch(&self, span: Span, seen: &mut Seen, out: &mut Output) -> Result<()> {
        let mut pages = self.server.pages(self.query, span, usize::MAX, Direction::Forward);
        while let Some(rows) = pages.next().await? {
            show(rows, seen, out)?;
        }
        Ok(())
    }
}

fn show(rows: Vec<Row>, seen: &mut Seen, out: &mut Output) -> Result<()> {
    for row in rows.iter().filter(|row| seen.first_time(row)) {
        out.row(row, Place::Alone);
    }
    out.flush()
}

/// Whether connecting again would not help: the server does not want it, or nobody reads what is shown.
fn is_final(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>().is_some_and(|refused| !refused.may_pass());
    refused || super::is_broken_pipe(error)
}
