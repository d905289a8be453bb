//! A server with Loki's API, as the commands that read logs ask it.

use std::{collections::HashSet, fmt, hash::Hasher as _};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue};
use reba_model::Labels;
use serde::Deserialize;
use serde_json::Value;

use super::escape;
use crate::client::{self, Refused};

/// Lines that are asked for at once.
const PAGE: usize = 1000;
/// Lines of one nanosecond that a page may have to repeat; a server's own limit is not far above.
const EDGE: usize = 4000;
/// Makes the server tell a stream's labels from those that a query has found.
const ENCODING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-loki-response-encoding-flags"),
    HeaderValue::from_static("categorize-labels"),
);

/// The order of lines in an answer, and those that a limit keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// The newest first.
    Backward,
    /// The oldest first.
    Forward,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Backward => "backward",
            Direction::Forward => "forward",
        })
    }
}

/// The times of lines, Unix nanoseconds: from the first, to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: i64,
    /// The second.
    pub end: i64,
}

/// A line that the server gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line as it was stored, or as the query has made it.
    pub line: String,
    /// All its labels.
    pub labels: Labels,
    /// Those of the stream that it was stored in, if the server tells them apart.
    pub stream: Option<Labels>,
}

impl Row {
    /// Equal for a line that comes a second time.
    pub fn identity(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_i64(self.ns);
        hasher.write_u64(self.labels.hash64());
        hasher.write(self.line.as_bytes());
        hasher.finish()
    }
}

/// A server with Loki's API.
#[derive(Clone, Debug)]
pub struct Server(client::Server);

impl Server {
    /// A server, asked for what is a tenant's.
    pub fn new(server: client::Server, tenant: Option<&str>) -> Result<Self> {
        server.for_tenant(tenant).map(Server)
    }

    /// Where it is, and what every request carries.
    pub fn place(&self) -> &client::Server {
        &self.0
    }

    /// The body of a successful answer. A server's refusal is a [`Refused`] in the error.
    pub async fn get(&self, path: &str, params: &[(&str, String)]) -> Result<Vec<u8>> {
        self.send(path, params, self.0.headers().clone()).await
    }

    async fn send(&self, path: &str, params: &[(&str, String)], headers: HeaderMap) -> Result<Vec<u8>> {
        let (status, body) = self.0.get(&format!("{path}?{}", query_string(params)), headers).await?;
        if !status.is_success() {
            bail!(Refused::of(status, &body));
        }
        Ok(body)
    }

    /// Lines of a query, page by page.
    pub fn pages<'a>(&'a self, query: &'a str, span: Span, limit: usize, direction: Direction) -> Pages<'a> {
        Pages { server: self, query, span, left: limit, direction, edge: HashSet::new(), edge_ns: None }
    }

    /// Lines of a query, at most `limit`, in `direction`.
    pub async fn rows(
        &self,
        query: &str,
        span: Span,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Row>> {
        let mut pages = self.pages(query, span, limit, direction);
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await? {
            rows.extend(page);
        }
        Ok(rows)
    }
}

/// `a=1&b=2`, escaped.
pub fn query_string(params: &[(&str, String)]) -> String {
    let pairs: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

/// The parameters of a query of lines.
pub fn range_params(
    query: &str,
    span: Span,
    limit: usize,
    direction: Direction,
) -> [(&'static str, String); 5] {
    [
        ("query", query.to_owned()),
        ("start", span.start.to_string()),
        ("end", span.end.to_string()),
        ("limit", limit.to_string()),
        ("direction", direction.to_string()),
    ]
}

/// Walks through the lines of a query. The API has no cursor: a page begins with the nanosecond that the one before it ended
/// with, and what is known of it already is left out.
pub struct Pages<'a> {
    server: &'a Server,
    query: &'a str,
    span: Span,
    left: usize,
    direction: Direction,
    /// The lines of the last nanosecond that were given out.
    edge: HashSet<u64>,
    edge_ns: Option<i64>,
}

impl Pages<'_> {
    /// The next lines; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        while self.left > 0 && self.span.start < self.span.end {
            let asked = self.left.min(PAGE) + self.edge.len().min(EDGE);
            let params = range_params(self.query, self.span, asked, self.direction);
            let mut headers = self.server.0.headers().clone();
            headers.insert(ENCODING.0, ENCODING.1);
            let body = self.server.send("/loki/api/v1/query_range", &params, headers).await?;
            let mut rows = read_rows(&body)?;
            sort(&mut rows, self.direction);
            let fresh = self.take(rows, asked);
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    /// What of a page is new; moves on to the next page.
    fn take(&mut self, rows: Vec<Row>, asked: usize) -> Vec<Row> {
        let (full, last) = (rows.len() >= asked, rows.last().map(|row| row.ns));
        let mut fresh = rows;
        fresh.retain(|row| !self.edge.contains(&row.identity()));
        fresh.truncate(self.left);
        self.left -= fresh.len();
        let Some(last) = last.filter(|_| full && self.left > 0) else {
            self.left = 0;
            return fresh;
        };
        if self.edge_ns != Some(last) {
            (self.edge, self.edge_ns) = (HashSet::new(), Some(last));
        }
        self.edge.extend(fresh.iter().filter(|row| row.ns == last).map(Row::identity));
        // A nanosecond with more lines than a page: what is left of it cannot be asked for.
        let stuck = i64::from(fresh.is_empty() || self.edge.len() > EDGE);
        match self.direction {
            Direction::Backward => self.span.end = last + 1 - stuck,
            Direction::Forward => self.span.start = last + stuck,
        }
        fresh
    }
}

fn sort(rows: &mut [Row], direction: Direction) {
    match direction {
        Direction::Backward => rows.sort_by_key(|row| std::cmp::Reverse(row.ns)),
        Direction::Forward => rows.sort_by_key(|row| row.ns),
    }
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
    #[serde(default)]
    encoding_flags: Vec<String>,
}

/// A stream of an answer or a frame.
#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    stream: serde_json::Map<String, Value>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

/// Reads the lines of an answer to a query, in the order of its streams.
pub fn read_rows(body: &[u8]) -> Result<Vec<Row>> {
    let Envelope { data } = serde_json::from_slice(body).context("the answer is not Loki's JSON")?;
    if data.result_type != "streams" {
        bail!("the query gives numbers ({}), not lines: ask with `reba query logql`", data.result_type);
    }
    let apart = data.encoding_flags.iter().any(|flag| flag == "categorize-labels");
    streams(data.result, apart)
}

/// Reads the field `streams` of an answer or a frame; `apart` says whether lines have labels of their own.
pub fn streams(list: Value, apart: bool) -> Result<Vec<Row>> {
    let list: Option<Vec<Stream>> = serde_json::from_value(list).context("the answer has no streams")?;
    let mut rows = Vec::new();
    for Stream { stream, values } in list.unwrap_or_default() {
        let labels = Labels::from_pairs(texts(&stream));
        for value in values {
            rows.push(row(value, &labels, apart)?);
        }
    }
    Ok(rows)
}

fn row(mut value: Vec<Value>, stream: &Labels, apart: bool) -> Result<Row> {
    let ns = value
        .first()
        .and_then(Value::as_str)
        .and_then(|t| t.parse().ok())
        .context("a line without a time")?;
    let mut labels = stream.clone();
    if let Some(own) = value.get(2).filter(|_| apart) {
        let groups = ["structuredMetadata", "parsed"].into_iter().filter_map(|group| own[group].as_object());
        let own: Vec<(&str, &str)> = groups.flat_map(texts).collect();
        if !own.is_empty() {
            let mut builder = stream.to_builder();
            for (name, value) in own {
                builder.set(name, value);
            }
            labels = builder.build();
        }
    }
    let Some(Value::String(line)) = value.get_mut(1).map(Value::take) else { bail!("a time without a line") };
    Ok(Row { ns, line, labels, stream: apart.then(|| stream.clone()) })
}

fn texts(map: &serde_json::Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_at(ns: i64, line: &str) -> Row {
        Row { ns, line: line.to_owned(), labels: Labels::empty(), stream: None }
    }

    #[test]
    fn lines_are_read_with_the_labels_of_their_streams_and_their_own() {
        let plain = br#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"a":"1"},"values":[["5","x"],["4","y",{"m":"2"}]]}]}}"#;
        let rows = read_rows(plain).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].ns, rows[0].line.as_str(), rows[0].labels.value("a")), (5, "x", "1"));
        assert_eq!(rows[0].stream, None);
        let apart = br#"{"data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{"a":"1"},"values":[["5","x",{"structuredMetadata":{"t":"7"},"parsed":{"p":"8"}}],["4","y",{}]]}]}}"#;
        let rows = read_rows(apart).unwrap();
        assert_eq!(rows[0].labels, Labels::from_pairs([("a", "1"), ("p", "8"), ("t", "7")]));
        assert_eq!(rows[0].stream, Some(Labels::from_pairs([("a", "1")])));
        assert_eq!(rows[1].labels, Labels::from_pairs([("a", "1")]));
        let numbers = br#"{"data":{"resultType":"matrix","result":[]}}"#;
        assert!(read_rows(numbers).unwrap_err().to_string().contains("reba query logql"));
        for bad in ["<html>", "{}", r#"{"data":{"resultType":"streams","result":[{"values":[["x","y"]]}]}}"#]
        {
            assert!(read_rows(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// Answers as a server that holds `all`, sorted by time, would: through pages of at most `most` lines.
    fn walk(all: &[Row], direction: Direction, limit: usize, most: usize) -> Vec<Row> {
        let server = Server::new(client::Server::new("http://x").unwrap(), None).unwrap();
        let mut pages = server.pages("q", Span { start: 0, end: 100 }, limit, direction);
        let mut out = Vec::new();
        let mut requests = 0;
        while pages.left > 0 && pages.span.start < pages.span.end {
            requests += 1;
            assert!(requests < 50, "it does not end");
            let asked = pages.left.min(most) + pages.edge.len();
            let inside = |row: &&Row| (pages.span.start..pages.span.end).contains(&row.ns);
            let mut page: Vec<Row> = all.iter().filter(inside).cloned().collect();
            sort(&mut page, direction);
            page.truncate(asked);
            out.extend(pages.take(page, asked));
        }
        out
    }

    #[test]
    fn pages_neither_repeat_nor_leave_out_lines_of_one_time() {
        let times = [1, 2, 2, 2, 3, 5, 5, 5, 5, 5, 8, 9];
        let all: Vec<Row> = times.iter().enumerate().map(|(i, ns)| row_at(*ns, &i.to_string())).collect();
        for most in 1..14 {
            let mut forward = all.clone();
            sort(&mut forward, Direction::Forward);
            assert_eq!(walk(&all, Direction::Forward, 100, most), forward, "{most} a page");
            let mut backward = all.clone();
            sort(&mut backward, Direction::Backward);
            assert_eq!(walk(&all, Direction::Backward, 100, most), backward, "{most} a page");
            assert_eq!(walk(&all, Direction::Backward, 7, most), backward[..7], "{most} a page");
        }
    }
}
