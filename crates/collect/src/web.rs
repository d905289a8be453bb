//! Questions to an exporter, and its answers.

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};

use crate::page::Page;

/// An answer, its body at hand.
pub type Answer = Response<String>;

/// How much earlier than the scraper gives up we do: the answer needs time, too.
const MARGIN: Duration = Duration::from_millis(500);

/// The longest that a scrape may take if the scraper does not say.
const LONGEST: Duration = Duration::from_secs(60);

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The path.
    pub path: String,
    /// The parameters, in their order.
    pub parameters: Vec<(String, String)>,
    /// Whether OpenMetrics is all that the client takes. Upstream's exporters answer with the text format in any other case.
    pub open_metrics: bool,
    /// How long the answer may take: what the scraper says in `X-Prometheus-Scrape-Timeout-Seconds`, less half a second.
    pub within: Duration,
    /// Whether something shall be changed.
    pub post: bool,
}

impl Question {
    /// Reads a request.
    pub fn of(request: &Request<()>) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let accept = text("accept").unwrap_or_default();
        let seconds = text("x-prometheus-scrape-timeout-seconds").and_then(|s| s.trim().parse::<f64>().ok());
        let query = request.uri().query().unwrap_or_default();
        Question {
            path: request.uri().path().to_owned(),
            parameters: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            open_metrics: accept.contains("application/openmetrics-text")
                && !accept.contains("text/plain")
                && !accept.contains("*/*"),
            within: seconds.and_then(within).unwrap_or(LONGEST),
            post: request.method() == http::Method::POST,
        }
    }

    /// The first value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The page in the format that the client wants.
    pub fn answer(&self, page: &Page) -> Answer {
        if self.open_metrics {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            return answer(StatusCode::OK, kind, page.open_metrics());
        }
        answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.text())
    }
}

fn within(seconds: f64) -> Option<Duration> {
    let whole = Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero())?;
    Some(whole.saturating_sub(MARGIN).max(whole / 2).min(LONGEST))
}

/// Without `%xx`.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |ahead: usize| bytes.get(at + ahead).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer of plain words.
pub(crate) fn say(status: StatusCode, text: impl Into<String>) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.into())
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The page that people find at `/`.
pub fn index(title: &str, links: &[(&str, &str)]) -> Answer {
    let mut body = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body><h1>{title}</h1><ul>"
    );
    for (path, text) in links {
        body.extend(["<li><a href=\"", path, "\">", text, "</a></li>"]);
    }
    body.push_str("</ul></body></html>\n");
    let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", body);
    let policy = HeaderValue::from_static("default-src 'none'");
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_from_a_request() {
        let request = Request::get("/metrics?collect%5B%5D=cpu&collect[]=load%20avg&x=1")
            .header("X-Prometheus-Scrape-Timeout-Seconds", "10.0")
            .header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
            .body(())
            .unwrap();
        let question = Question::of(&request);
        assert_eq!(question.all("collect[]").collect::<Vec<_>>(), ["cpu", "load avg"]);
        assert_eq!((question.parameter("x"), question.parameter("y")), (Some("1"), None));
        assert_eq!(question.within, Duration::from_millis(9500));
        assert!(!question.open_metrics);
    }

    #[test]
    fn senseless_timeouts_are_bounded() {
        assert_eq!(within(f64::NAN), None);
        assert_eq!(within(-1.0), None);
        assert_eq!(within(0.4), Some(Duration::from_millis(200)));
        assert_eq!(within(1e9), Some(LONGEST));
    }
}
