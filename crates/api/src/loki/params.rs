//! Parameters of queries, read as upstream reads them.

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use jiff::Timestamp;
use reba_logql::syntax::parse_matchers;
use reba_model::{GoRegex, Matcher, NanoRange, duration, float};
use reba_query::logs::Direction;

use super::refusal::Refusal;
use crate::prometheus::params::Params;

/// How far back requests look that do not say where to start.
const DEFAULT_SINCE_NS: i64 = 3_600_000_000_000;

/// Most lines, or series, of an answer to a request that does not say.
pub const DEFAULT_LIMIT: usize = 100;

const SECOND_NS: i64 = 1_000_000_000;

/// The parameters of a request, from its address and from a form in its body.
#[derive(Clone, Debug, Default)]
pub struct Form(Params);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Params::from_request(request, state).await.map(Form).map_err(|e| Refusal::bad(e.message))
    }
}

impl Form {
    /// Reads what stands in an address behind the question mark.
    pub fn of_query(query: &str) -> Self {
        Form(Params::parse(query))
    }

    /// The first value of `name`, or the empty text.
    pub fn value(&self, name: &str) -> &str {
        self.0.value(name)
    }

    /// The first value of `name`, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// A time in Unix nanoseconds, or `default` where it is absent.
    pub fn time(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        self.get(name).map_or(Ok(default), parse_time).map_err(Refusal::bad)
    }

    /// `start`, `end` and `since`, none of which is needed.
    pub fn range(&self, now_ns: i64) -> Result<NanoRange, Refusal> {
        let bad = |name: &str, e: String| Refusal::bad(format!("could not parse '{name}' parameter: {e}"));
        let since = match self.get("since") {
            None => DEFAULT_SINCE_NS,
            Some(text) => {
                duration::parse(text).map_err(|e| bad("since", e.to_string()))?.saturating_mul(1_000_000)
            }
        };
        let time = |name: &str, default: i64| {
            self.get(name).map_or(Ok(default), parse_time).map_err(|e| bad(name, e))
        };
        let end = time("end", now_ns)?;
        let start = time("start", end.min(now_ns).saturating_sub(since))?;
        Ok(NanoRange::new(start, end))
    }

    /// Nanoseconds between points: a number of seconds, or a duration.
    pub fn step(&self, range: NanoRange) -> Result<i64, Refusal> {
        match self.get("step") {
            Some(text) => seconds_or_duration(text).map_err(Refusal::bad),
            None => {
                let length = range.end.saturating_sub(range.start);
                Ok((length / 250 / SECOND_NS * SECOND_NS).max(SECOND_NS))
            }
        }
    }

    /// Fewest nanoseconds between lines of a stream; 0: all lines.
    pub fn interval(&self) -> Result<i64, Refusal> {
        self.get("interval").map_or(Ok(0), seconds_or_duration).map_err(Refusal::bad)
    }

    /// Most lines of the answer. Zero and less are refused.
    pub fn limit(&self) -> Result<usize, Refusal> {
        match self.number("limit", DEFAULT_LIMIT as i64)? {
            n if n > 0 => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
            _ => Err(Refusal::bad("limit must be a positive value")),
        }
    }

    /// A whole number, or `default` where it is absent.
    pub fn number(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            Refusal::bad(format!("strconv.Atoi: parsing {}: invalid syntax", float::go_quote(text)))
        })
    }

    /// A number of things that must be positive, or `default` where it is absent.
    pub fn count(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        match self.number(name, default as i64)? {
            n if n > 0 => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
            _ => Err(Refusal::bad(format!("{name} must be a positive value"))),
        }
    }

    /// Which lines come first.
    pub fn direction(&self) -> Result<Direction, Refusal> {
        match self.value("direction").to_ascii_lowercase().as_str() {
            "" | "backward" => Ok(Direction::Backward),
            "forward" => Ok(Direction::Forward),
            other => Err(Refusal::bad(format!("invalid direction '{}'", other.to_ascii_uppercase()))),
        }
    }

    /// A selector without a pipeline; absent and `{}` are every stream.
    pub fn selector(&self, name: &str) -> Result<Vec<Matcher>, Refusal> {
        self.get(name)
            .map_or(Ok(Vec::new()), |text| parse_matchers(text).map_err(|e| Refusal::bad(e.to_string())))
    }

    /// The selectors of `match[]` and `match`.
    pub fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Refusal> {
        let (mut all, mut size) = (Vec::new(), 0usize);
        for text in self.0.all("match[]").chain(self.0.all("match")) {
            let matchers = parse_matchers(text).map_err(|e| Refusal::bad(e.to_string()))?;
            size += matchers.iter().filter_map(Matcher::regex).map(GoRegex::size).sum::<usize>();
            if size > GoRegex::MAX_TOGETHER {
                return Err(Refusal::bad("regular expressions are too large"));
            }
            all.push(matchers);
        }
        Ok(all)
    }

    /// Names with commas between them.
    pub fn names(&self, name: &str) -> Vec<String> {
        let names = self.value(name).split(',').map(str::trim).filter(|n| !n.is_empty());
        names.map(str::to_owned).collect()
    }
}

/// Whether a client wants labels told apart by where they come from (`X-Loki-Response-Encoding-Flags: categorize-labels`).
pub fn wants_categories(headers: &HeaderMap) -> bool {
    headers
        .get_all("X-Loki-Response-Encoding-Flags")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|flag| flag.trim() == "categorize-labels")
}

/// A time: seconds with a point, whole seconds of up to ten digits, whole nanoseconds of more, or RFC 3339. In Unix nanoseconds.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if text.contains('.')
        && let Some(seconds) = float::parse_go(text)
    {
        // Upstream rounds to milliseconds here.
        let ms = (seconds * 1000.0).round();
        if ms.is_nan() || ms.abs() > 9.2e12 {
            return Err(format!("cannot parse {text:?} to a valid timestamp"));
        }
        return Ok(ms as i64 * 1_000_000);
    }
    if let Ok(number) = text.parse::<i64>() {
        if text.len() <= 10 {
            return Ok(number.saturating_mul(SECOND_NS));
        }
        if text.len() == 13 {
            tracing::info!(
                time = text,
                "a time of 13 digits is one in nanoseconds, as for Loki: milliseconds are not known"
            );
        }
        return Ok(number);
    }
    let invalid = || format!("strconv.ParseInt: parsing {}: invalid syntax", float::go_quote(text));
    let time: Timestamp = text.parse().map_err(|_| invalid())?;
    i64::try_from(time.as_nanosecond()).map_err(|_| invalid())
}

/// A number of seconds, or a duration such as `1m30s`; in nanoseconds.
fn seconds_or_duration(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float::parse_go(text) {
        let ns = seconds * 1e9;
        if ns.is_nan() || ns.abs() >= 9.2e18 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ns as i64);
    }
    let ms = duration::parse(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))?;
    Ok(ms.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Form {
        Form::of_query(query)
    }

    #[test]
    fn a_time_is_read_by_how_many_digits_it_has() {
        for (text, ns) in [
            ("123456789", 123_456_789_000_000_000),
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000000", 1_700_000_000_000),
            ("1700000000000000001", 1_700_000_000_000_000_001),
            ("1700000000.1239", 1_700_000_000_124_000_000),
            ("2023-11-14T22:13:20.000000001Z", 1_700_000_000_000_000_001),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000),
        ] {
            assert_eq!(parse_time(text), Ok(ns), "{text}");
        }
        assert_eq!(parse_time("x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert!(parse_time("1.2.3").is_err() && parse_time("1e300.").is_err());
    }

    #[test]
    fn a_range_without_a_start_looks_back_from_its_end_or_from_now() {
        let now = 10_000 * SECOND_NS;
        assert_eq!(form("").range(now), Ok(NanoRange::new(6_400 * SECOND_NS, now)));
        assert_eq!(
            form("end=9000&since=10m").range(now),
            Ok(NanoRange::new(8_400 * SECOND_NS, 9_000 * SECOND_NS))
        );
        // An end in the future does not move the start.
        assert_eq!(form("end=20000").range(now).unwrap().start, 6_400 * SECOND_NS);
        assert_eq!(
            form("since=x").range(now).unwrap_err().text,
            "could not parse 'since' parameter: not a valid duration string: \"x\""
        );
        assert!(
            form("end=x")
                .range(now)
                .unwrap_err()
                .text
                .starts_with("could not parse 'end' parameter: strconv")
        );
    }

    #[test]
    fn a_step_is_seconds_or_a_duration_and_a_250th_of_the_range_by_default() {
        let hour = NanoRange::new(0, 3_600 * SECOND_NS);
        for (query, ms) in [("step=0.5", 500), ("step=15000ms", 15_000), ("step=1m", 60_000), ("", 14_000)] {
            assert_eq!(form(query).step(hour), Ok(ms * 1_000_000), "{query}");
        }
        assert_eq!(form("").step(NanoRange::new(0, 5)), Ok(SECOND_NS));
        assert_eq!(form("step=x").step(hour).unwrap_err().text, "cannot parse \"x\" to a valid duration");
        assert!(form("step=1e300").step(hour).is_err());
    }

    #[test]
    fn limits_are_positive_and_directions_are_two() {
        assert_eq!((form("").limit(), form("limit=7").limit()), (Ok(100), Ok(7)));
        for query in ["limit=0", "limit=-1"] {
            assert_eq!(form(query).limit().unwrap_err().text, "limit must be a positive value");
        }
        assert_eq!(form("limit=x").limit().unwrap_err().text, "strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(form("direction=FORWARD").direction(), Ok(Direction::Forward));
        assert_eq!(form("direction=up").direction().unwrap_err().text, "invalid direction 'UP'");
    }
}
