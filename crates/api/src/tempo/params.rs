//! Parameters of queries, read as upstream reads them.

use axum::extract::{FromRequest, Request};
use jiff::Timestamp;
use reba_logql::units;
use reba_model::{NanoRange, float};

use crate::{loki::Refusal, prometheus::params::Params};

const SECOND_NS: i64 = 1_000_000_000;

/// How far back queries for series look that do not say where to start.
const DEFAULT_SINCE_NS: i64 = 3600 * SECOND_NS;

/// The parameters of a request.
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
    #[cfg(test)]
    pub fn of_query(query: &str) -> Self {
        Form(Params::parse(query))
    }

    /// The first value of `name`, or the empty text.
    pub fn value(&self, name: &str) -> &str {
        self.0.value(name)
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter()
    }

    /// A number of things, or `default` where it is absent.
    pub fn count(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        let invalid = |reason: &str| Refusal::bad(format!("invalid {name}: {reason}"));
        text.parse::<u32>().map(|n| n as usize).map_err(|_| {
            invalid(&format!("strconv.ParseUint: parsing {}: invalid syntax", float::go_quote(text)))
        })
    }

    /// A number of things above zero, or `default` where it is absent.
    pub fn positive(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        match self.count(name, default)? {
            0 if self.0.get(name).is_some() => {
                Err(Refusal::bad(format!("invalid {name}: must be a positive number")))
            }
            n => Ok(n),
        }
    }

    /// A duration in nanoseconds.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let parse = |text: &str| {
            units::query_duration(text).map_err(|_| {
                let what = if text.parse::<f64>().is_ok() { "missing unit in" } else { "invalid" };
                Refusal::bad(format!("invalid {name}: time: {what} duration {}", float::go_quote(text)))
            })
        };
        self.0.get(name).map(parse).transpose()
    }

    /// `start` and `end` of a search in seconds: both or none.
    pub fn seconds(&self) -> Result<Option<NanoRange>, Refusal> {
        let time = |name: &str| {
            let parse = |text: &str| {
                text.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(|| {
                    let quoted = float::go_quote(text);
                    Refusal::bad(format!(
                        "invalid {name}: strconv.ParseUint: parsing {quoted}: invalid syntax"
                    ))
                })
            };
            self.0.get(name).map(parse).transpose()
        };
        let (start, end) = (time("start")?.unwrap_or(0), time("end")?.unwrap_or(0));
        match (start, end) {
            (0, 0) => Ok(None),
            (0, _) | (_, 0) => {
                Err(Refusal::bad("only one of start and end provided: must provide both or neither"))
            }
            (start, end) if start >= end => Err(Refusal::bad(format!(
                "http parameter start must be before end. received start={start} end={end}"
            ))),
            (start, end) => {
                let ns = |s: i64| s.saturating_mul(SECOND_NS);
                Ok(Some(NanoRange::new(ns(start), ns(end))))
            }
        }
    }

    /// `start`, `end` and `since` of a query for series, none of which is needed.
    pub fn range(&self, now_ns: i64) -> Result<NanoRange, Refusal> {
        let time = |name: &str, default: i64| {
            let parse = |text: &str| {
                parse_time(text).map_err(|e| Refusal::bad(format!("could not parse '{name}' parameter: {e}")))
            };
            self.0.get(name).map_or(Ok(default), parse)
        };
        let since = self.duration("since")?.unwrap_or(DEFAULT_SINCE_NS);
        let end = time("end", now_ns)?;
        let start = time("start", end.min(now_ns).saturating_sub(since))?;
        if start >= end {
            let (start, end) = (start / SECOND_NS, end / SECOND_NS);
            return Err(Refusal::bad(format!(
                "end must be greater than start. received start={start} end={end}"
            )));
        }
        Ok(NanoRange::new(start, end))
    }

    /// Nanoseconds between points: a number of seconds, or a duration; by default what suits the range.
    pub fn step(&self, range: NanoRange) -> Result<i64, Refusal> {
        let Some(text) = self.0.get("step") else { return Ok(default_step(range)) };
        let step = match float::parse_go(text) {
            Some(seconds) if (seconds * 1e9).abs() < 9.2e18 => Some((seconds * 1e9) as i64),
            Some(_) => None,
            None => units::query_duration(text).ok(),
        };
        match step {
            Some(step) if step > 0 => Ok(step),
            _ => Err(Refusal::bad(format!("could not parse 'step' parameter: {}", float::go_quote(text)))),
        }
    }
}

/// A 240th of the range, floored to a whole number of the largest unit that fits.
pub fn default_step(range: NanoRange) -> i64 {
    let length = range.end.saturating_sub(range.start);
    if length < 60 * SECOND_NS {
        return SECOND_NS / 20;
    }
    let part = length / 240;
    let unit = [3600, 300, 60, 15, 5, 1].map(|s| s * SECOND_NS).into_iter().find(|unit| part >= *unit);
    unit.map_or(SECOND_NS, |unit| part / unit * unit)
}

/// A time: seconds with a point, whole seconds of up to ten digits, whole nanoseconds of more, or RFC 3339. In Unix nanoseconds.
fn parse_time(text: &str) -> Result<i64, String> {
    if text.contains('.')
        && let Some(seconds) = float::parse_go(text)
    {
        let ns = seconds * 1e9;
        return if ns.abs() < 9.2e18 { Ok(ns as i64) } else { Err(format!("{text:?} is no time")) };
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if text.len() <= 10 { number.saturating_mul(SECOND_NS) } else { number });
    }
    let time: Timestamp = text.parse().map_err(|_| {
        format!("strconv.ParseInt: parsing {}: invalid syntax: it is no time either", float::go_quote(text))
    })?;
    i64::try_from(time.as_nanosecond()).map_err(|_| format!("{} is too far away", float::go_quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_step_suits_the_range() {
        let hours = |h: i64| NanoRange::new(0, h * 3600 * SECOND_NS);
        for (range, seconds) in [(hours(1), 15), (hours(24), 300), (hours(24 * 30), 10_800)] {
            assert_eq!(default_step(range), seconds * SECOND_NS, "{range:?}");
        }
        assert_eq!(default_step(NanoRange::new(0, 30 * SECOND_NS)), SECOND_NS / 20);
        assert_eq!(default_step(NanoRange::new(0, 100 * SECOND_NS)), SECOND_NS);
        assert_eq!(Form::of_query("step=0.5").step(hours(1)), Ok(SECOND_NS / 2));
        assert_eq!(Form::of_query("step=1m").step(hours(1)), Ok(60 * SECOND_NS));
        assert!(Form::of_query("step=0").step(hours(1)).is_err());
    }

    #[test]
    fn a_search_has_both_ends_or_none() {
        let range = |query: &str| Form::of_query(query).seconds();
        assert_eq!(range(""), Ok(None));
        assert_eq!(range("start=1&end=2"), Ok(Some(NanoRange::new(SECOND_NS, 2 * SECOND_NS))));
        for (query, want) in [
            ("start=1", "only one of start and end provided: must provide both or neither"),
            ("start=2&end=2", "http parameter start must be before end. received start=2 end=2"),
            ("start=x&end=2", "invalid start: strconv.ParseUint: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(range(query).unwrap_err().text, want);
        }
    }

    #[test]
    fn counts_and_times_are_read_by_their_form() {
        assert_eq!(Form::of_query("limit=7").positive("limit", 20), Ok(7));
        assert_eq!(Form::of_query("").positive("limit", 20), Ok(20));
        assert_eq!(
            Form::of_query("limit=0").positive("limit", 20).unwrap_err().text,
            "invalid limit: must be a positive number"
        );
        for (text, ns) in [
            ("1700000000", 1_700_000_000 * SECOND_NS),
            ("1700000000.5", 1_700_000_000 * SECOND_NS + SECOND_NS / 2),
            ("1700000000000000001", 1_700_000_000_000_000_001),
            ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND_NS),
        ] {
            assert_eq!(parse_time(text), Ok(ns), "{text}");
        }
        assert_eq!(Form::of_query("minDuration=1.5s").duration("minDuration"), Ok(Some(1_500_000_000)));
    }
}
