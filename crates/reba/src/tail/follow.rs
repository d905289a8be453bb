//! Following: history first, then lines as they come, over lost connections too.

use std::time::Duration;

use anyhow::Result;

use super::{Output, seen::Seen, show::Place, socket::Socket};
use crate::{
    client::Refused,
    query::loki::{Direction, Row, Server, Span},
};

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
    /// What time it is, Unix nanoseconds.
    pub now_ns: fn() -> i64,
}

impl Follow<'_> {
    /// Shows lines until the reader or the server has had enough.
    pub async fn run(&self, out: &mut Output) -> Result<()> {
        let now_ns = (self.now_ns)();
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
                let end = (self.now_ns)().saturating_add(AHEAD_NS);
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

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use futures::SinkExt as _;
    use jiff::tz::TimeZone;
    use parking_lot::Mutex;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tokio_tungstenite::{accept_async, tungstenite::Message};

    use super::{
        super::show::{Printer, TailFormat},
        *,
    };

    use crate::client;

    const NOW: i64 = 1_800_000_000_000_000_000;

    /// A server that answers queries from `stored`, and sends each follower one of `frames` before it hangs up; the last one
    /// stays.
    #[derive(Default)]
    struct Fake {
        stored: Mutex<Vec<i64>>,
        /// What is stored before the frame is sent, and the frame.
        frames: Mutex<Vec<(Vec<i64>, Vec<i64>)>>,
    }

    fn value(n: i64) -> String {
        format!("[\"{}\",\"line {n}\"]", NOW + n)
    }

    fn streams(rows: &[i64]) -> String {
        let values: Vec<String> = rows.iter().map(|n| value(*n)).collect();
        format!("[{{\"stream\":{{\"a\":\"1\"}},\"values\":[{}]}}]", values.join(","))
    }

    impl Fake {
        async fn serve(self: Arc<Self>, listener: TcpListener) {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&self).answer(stream));
            }
        }

        async fn answer(self: Arc<Self>, mut stream: TcpStream) {
            let mut head = [0; 2048];
            let n = stream.peek(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..n]).into_owned();
            if head.contains("/loki/api/v1/tail") {
                self.tail(stream).await;
                return;
            }
            let param = |name: &str| -> i64 {
                let at = head.find(&format!("{name}=")).unwrap() + name.len() + 1;
                head[at..].chars().take_while(|c| c.is_ascii_digit()).collect::<String>().parse().unwrap()
            };
            let span = param("start")..param("end");
            let rows: Vec<i64> =
                self.stored.lock().iter().copied().filter(|n| span.contains(&(NOW + n))).collect();
            let body = format!("{{\"data\":{{\"resultType\":\"streams\",\"result\":{}}}}}", streams(&rows));
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }

        async fn tail(self: Arc<Self>, stream: TcpStream) {
            let (stored, frame, last) = {
                let mut frames = self.frames.lock();
                let (stored, frame) = frames.remove(0);
                (stored, frame, frames.is_empty())
            };
            self.stored.lock().extend(stored);
            let mut socket = accept_async(stream).await.unwrap();
            let text = format!("{{\"streams\":{}}}", self::streams(&frame));
            socket.send(Message::Text(text.into())).await.unwrap();
            if last {
                std::future::pending::<()>().await;
            }
        }
    }

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn server_at(listener: &TcpListener) -> Server {
        let place = client::Server::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        Server::new(place, None).unwrap()
    }

    /// What is shown by the time that a line is.
    async fn shown_until(fake: Fake, limit: usize, last: &str) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server_at(&listener);
        tokio::spawn(Arc::new(fake).serve(listener));
        let screen = Screen::default();
        let printer = Printer::new(TailFormat::Raw, false, false, TimeZone::UTC);
        let mut out = Output::new(printer, Box::new(screen.clone()));
        let follow = Follow { server: &server, query: "{}", since_ns: 1_000_000, limit, now_ns: || NOW };
        let lines = || String::from_utf8(screen.0.lock().clone()).unwrap();
        let arrived = async {
            while !lines().lines().any(|line| line == last) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // What should not come would be here soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            ended = follow.run(&mut out) => panic!("it ended: {ended:?}"),
            () = arrived => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("only {:?}", lines()),
        }
        lines().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn lines_are_shown_once_though_history_news_and_a_new_connection_overlap() {
        let fake = Fake::default();
        *fake.stored.lock() = vec![-9, -5];
        *fake.frames.lock() = vec![(vec![-1], vec![-1, 3]), (vec![3, 4, 5], vec![5, 6])];
        let shown = shown_until(fake, 10, "line 6").await;
        assert_eq!(shown, ["line -9", "line -5", "line -1", "line 3", "line 4", "line 5", "line 6"]);
    }

    #[tokio::test]
    async fn what_the_limit_left_out_does_not_come_after_a_lost_connection() {
        let fake = Fake::default();
        *fake.stored.lock() = vec![-9, -8, -7, -2, -1];
        *fake.frames.lock() = vec![(vec![], vec![1]), (vec![1, 2], vec![3])];
        assert_eq!(
            shown_until(fake, 2, "line 3").await,
            ["line -2", "line -1", "line 1", "line 2", "line 3"]
        );
    }

    #[tokio::test]
    async fn a_refusal_ends_it_with_the_servers_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server_at(&listener);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 2048]).await.unwrap();
            let body = "parse error at line 1, col 2";
            let answer = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let printer = Printer::new(TailFormat::Raw, false, false, TimeZone::UTC);
        let mut out = Output::new(printer, Box::new(io::sink()));
        let follow = Follow { server: &server, query: "{", since_ns: 1, limit: 1, now_ns: || NOW };
        let error = follow.run(&mut out).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "parse error at line 1, col 2");
    }
}
