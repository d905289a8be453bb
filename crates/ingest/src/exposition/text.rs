//! Text 0.0.4.

use std::borrow::Cow;

use reba_model::MetricType;

use super::{
    Event, ParseError, TextSample,
    labels::unescape,
    scan::{Blanks, Scan},
    value::parse_value,
};

/// Reads text 0.0.4.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    pub(super) scan: Scan<'a>,
}

impl<'a> Text<'a> {
    pub(super) fn next_event(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        self.scan.skip_blanks();
        match self.scan.peek() {
            // A zero byte between entries ends the page, upstream too.
            None | Some(0) => Ok(None),
            Some(b'\n') => {
                self.scan.at += 1;
                Ok(Some(Event::Comment))
            }
            Some(b'#') => {
                self.scan.at += 1;
                self.comment().map(Some)
            }
            Some(_) => {
                let series = self.scan.series(Blanks::Any)?;
                self.rest_of_sample(series).map(|s| Some(Event::Sample(s)))
            }
        }
    }

    pub(super) fn rest_of_sample(&mut self, series: &'a [u8]) -> Result<TextSample<'a>, ParseError> {
        self.scan.skip_blanks();
        let at = self.scan.at;
        let token = self.scan.take_while(|b| !matches!(b, b'{' | b' ' | b'\t' | b'\n'));
        if token.is_empty() {
            return Err(self.scan.expected("value after metric"));
        }
        let v = parse_value(token).ok_or_else(|| ParseError::new(self.scan.page, at, "value is no float"))?;
        self.scan.skip_blanks();
        let at = self.scan.at;
        let digits = self.scan.take_while(|b| b.is_ascii_digit());
        let t = if digits.is_empty() {
            None
        } else {
            let t = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
            Some(t.ok_or_else(|| ParseError::new(self.scan.page, at, "timestamp out of range"))?)
        };
        self.scan.skip_blanks();
        if self.scan.eat(b'\n') || self.scan.peek().is_none() {
            return Ok(TextSample { series, t, v, exemplar: None });
        }
        Err(self.scan.expected(if t.is_some() {
            "next entry after timestamp"
        } else {
            "timestamp or new record"
        }))
    }

    /// Reads from behind the `#`.
    fn comment(&mut self) -> Result<Event<'a>, ParseError> {
        if self.scan.skip_blanks() {
            for (word, is_help) in [(&b"HELP"[..], true), (b"TYPE", false)] {
                let at = self.scan.at;
                if self.scan.eat_all(word) && self.scan.skip_blanks() {
                    return self.metadata(is_help);
                }
                self.scan.at = at;
            }
        }
        self.rest_of_line();
        Ok(Event::Comment)
    }

    fn rest_of_line(&mut self) -> &'a [u8] {
        let rest = self.scan.rest();
        let n = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.scan.at += n;
        self.scan.eat(b'\n');
        &rest[..n]
    }

    fn metadata(&mut self, is_help: bool) -> Result<Event<'a>, ParseError> {
        let what = if is_help { "metric name after HELP" } else { "metric name after TYPE" };
        let family = family_name(&mut self.scan, what)?;
        let at = self.scan.at;
        let text = self.rest_of_line();
        // One blank separates; what follows belongs to the text.
        let text = if text.trim_ascii().is_empty() { &[] } else { &text[1..] };
        if is_help {
            let text = utf8(&self.scan, at, text)?;
            return Ok(Event::Help { family, text: unescape(text, false) });
        }
        let kind = match text {
            b"counter" => MetricType::Counter,
            b"gauge" => MetricType::Gauge,
            b"histogram" => MetricType::Histogram,
            b"summary" => MetricType::Summary,
            b"untyped" => MetricType::Unknown,
            _ => return Err(invalid_type(&self.scan, at, text)),
        };
        Ok(Event::Type { family, kind })
    }
}

pub(super) fn invalid_type(scan: &Scan<'_>, at: usize, text: &[u8]) -> ParseError {
    ParseError::new(scan.page, at, format!("invalid metric type {:?}", String::from_utf8_lossy(text)))
}

pub(super) fn utf8<'a>(scan: &Scan<'a>, at: usize, text: &'a [u8]) -> Result<&'a str, ParseError> {
    std::str::from_utf8(text).map_err(|_| ParseError::new(scan.page, at, "text is not valid UTF-8"))
}

/// The metric family that a line of metadata is about.
pub(super) fn family_name<'a>(scan: &mut Scan<'a>, what: &str) -> Result<Cow<'a, str>, ParseError> {
    let at = scan.at;
    let name = if scan.peek() == Some(b'"') { scan.quoted(true)? } else { scan.name(true) };
    if name.is_empty() {
        return Err(scan.expected(what));
    }
    Ok(unescape(utf8(scan, at, name)?, true))
}
