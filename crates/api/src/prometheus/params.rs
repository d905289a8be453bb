//! Request parameters: the query string and a form body, read as Go's `FormValue` reads them.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{Method, header},
};
use jiff::Timestamp;
use reba_model::{GoRegex, Matcher, duration, float};

use super::envelope::ApiError;

/// Upstream's smallest and largest times, which clients send back as they got them.
const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";
/// Those two times in milliseconds.
const MIN_TIME_MS: i64 = (i64::MIN / 1000 + 62_135_596_801) * 1000;
const MAX_TIME_MS: i64 = (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999;

/// Parameters in order, the body's before the query string's, names possibly repeated.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads an encoded query string.
    pub fn parse(query: &str) -> Self {
        Params(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of `name`; an empty one counts as absent, as upstream has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first value of `name`, or the empty text.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// A time in milliseconds, or `default` where it is absent.
    pub fn time(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        let fail = |e: String| invalid(name, &format!("Invalid time value for '{name}': {e}"));
        self.get(name).map_or(Ok(default), |text| parse_time(text).map_err(fail))
    }

    /// A time that must be there.
    pub fn required_time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.value(name)).map_err(|e| invalid(name, &e))
    }

    /// A duration in milliseconds.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name).map(|text| parse_duration(text).map_err(|e| invalid(name, &e))).transpose()
    }

    /// A duration that must be there, in milliseconds.
    pub fn required_duration(&self, name: &str) -> Result<i64, ApiError> {
        parse_duration(self.value(name)).map_err(|e| invalid(name, &e))
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(n) => Ok(usize::try_from(n).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        }
    }

    /// How many results are asked for at most; 0: all.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(0) };
        match text.parse::<i64>() {
            Ok(n) => usize::try_from(n).map_err(|_| invalid("limit", "limit must be non-negative")),
            Err(_) => {
                let reason = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
                Err(invalid("limit", &reason))
            }
        }
    }

    /// A truth value in the words that Go's `strconv.ParseBool` takes; an error begins with `complaint`.
    pub fn truth(&self, name: &str, complaint: &str) -> Result<bool, ApiError> {
        match self.value(name) {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            text => {
                let reason = format!("{complaint}: strconv.ParseBool: parsing {text:?}: invalid syntax");
                Err(invalid(name, &reason))
            }
        }
    }

    /// The selectors of `match[]`.
    pub fn matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut size = 0usize;
        let mut all = Vec::new();
        for text in self.all("match[]") {
            let matchers = parse_selector("match[]", text)?;
            size += matchers.iter().filter_map(Matcher::regex).map(GoRegex::size).sum::<usize>();
            if size > GoRegex::MAX_TOGETHER {
                return Err(invalid("match[]", "regular expressions are too large"));
            }
            all.push(matchers);
        }
        Ok(all)
    }
}

/// Reads one selector of the parameter `name`; it must have a matcher that refuses the empty text.
pub fn parse_selector(name: &str, text: &str) -> Result<Vec<Matcher>, ApiError> {
    let matchers = reba_promql::syntax::parse_selector(text).map_err(|e| invalid(name, &e.to_string()))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(invalid(name, "match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

/// `invalid parameter "start": …`
pub fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::bad_data(format!("invalid parameter {name:?}: {reason}"))
}

/// Seconds since 1970 as a float, or RFC 3339; rounded to milliseconds.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float::parse_go(text) {
        let ms = (seconds * 1000.0).round();
        if ms.is_nan() || ms.abs() > 9.2e18 {
            return Err(format!("cannot parse {text:?} to a valid timestamp"));
        }
        return Ok(ms as i64);
    }
    match text {
        MIN_TIME_TEXT => return Ok(MIN_TIME_MS),
        MAX_TIME_TEXT => return Ok(MAX_TIME_MS),
        _ => {}
    }
    // The last day of the year 9999 is many a client's end of all times, and beyond the calendar at hand.
    if text.starts_with("9999-12-31T") && text.ends_with('Z') {
        let day_before = format!("9999-12-29T{}", &text["9999-12-31T".len()..]);
        return parse_time(&day_before).map(|ms| ms + 2 * 86_400_000);
    }
    // jiff takes a blank or a lower-case `t` between date and time, Go does not; nobody is hurt.
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Seconds as a float, or a duration such as `1h30m`; in milliseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    if let Some(seconds) = float::parse_go(text) {
        let ms = seconds * 1000.0;
        if ms.is_nan() || ms.abs() > 9.2e12 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ms as i64);
    }
    duration::parse(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

/// Largest form body: Grafana sends long queries, nobody sends more than this.
const MAX_FORM: usize = 10 << 20;

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or("").to_owned();
        let is_form = matches!(*request.method(), Method::POST | Method::PUT)
            && request
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|v| v.to_str().ok())
                .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
        let mut all = Vec::new();
        if is_form {
            let body: Bytes = axum::body::to_bytes(request.into_body(), MAX_FORM)
                .await
                .map_err(|e| ApiError::bad_data(format!("error parsing form values: {e}")))?;
            all.extend(form_urlencoded::parse(&body).into_owned());
        }
        all.extend(Params::parse(&query).0);
        Ok(Params(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc3339() {
        assert_eq!(parse_time("1700000000.0501"), Ok(1_700_000_000_050));
        assert_eq!(parse_time("2015-06-03T13:21:58.555Z"), Ok(1_433_337_718_555));
        assert_eq!(parse_time("2015-06-03T14:21:58.555+01:00"), Ok(1_433_337_718_555));
        assert!(parse_time(MIN_TIME_TEXT).unwrap() < -1_000_000_000_000_000);
        assert_eq!(parse_time("x").unwrap_err(), "cannot parse \"x\" to a valid timestamp");
        assert_eq!(parse_time("9999-12-31T23:59:59.999Z"), Ok(253_402_300_799_999));
        assert!(parse_time("9999-12-31Tx9Z").is_err());
        assert!(parse_time("").is_err() && parse_time("NaN").is_err());
    }

    #[test]
    fn durations_are_seconds_or_units() {
        assert_eq!(parse_duration("1.5"), Ok(1500));
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000));
        assert!(parse_duration("1e300").is_err() && parse_duration("5x").is_err());
    }

    #[test]
    fn repeated_names_are_kept_and_empty_ones_are_absent() {
        let p = Params::parse("match[]=a&match%5B%5D=b&start=&limit=5");
        assert_eq!(p.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(p.get("start"), None);
        assert_eq!(p.number("limit").unwrap(), Some(5));
    }
}
