//! OpenMetrics 1.0, as strict and as lax as Prometheus is about it.

use reba_model::MetricType;

use super::{
    Event, ParseError, TextExemplar, TextSample,
    labels::unescape,
    scan::{Blanks, Scan},
    text::{family_name, invalid_type, utf8},
    value::{parse_seconds, parse_value},
};

/// Reads OpenMetrics.
#[derive(Clone, Debug)]
pub struct OpenMetrics<'a> {
    pub(super) scan: Scan<'a>,
    pub(super) done: bool,
}

impl<'a> OpenMetrics<'a> {
    pub(super) fn next_event(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        if self.done {
            return Ok(None);
        }
        match self.scan.peek() {
            None => Err(self.scan.error("data does not end with # EOF")),
            Some(b'#') => self.comment(),
            Some(_) => {
                let series = self.scan.series(Blanks::None)?;
                self.rest_of_sample(series).map(|s| Some(Event::Sample(s)))
            }
        }
    }

    pub(super) fn rest_of_sample(&mut self, series: &'a [u8]) -> Result<TextSample<'a>, ParseError> {
        let v = self.value("value after metric")?;
        let mut t = None;
        if self.scan.peek() == Some(b' ') && !self.scan.rest().starts_with(b" # {") {
            t = Some(self.timestamp()?);
        }
        let mut exemplar = None;
        if self.scan.eat_all(b" # {") {
            let labels = self.scan.exemplar_labels()?;
            let v = self.value("value after exemplar labels")?;
            let t = if self.scan.peek() == Some(b' ') { Some(self.timestamp()?) } else { None };
            exemplar = Some(TextExemplar { labels, v, t });
        }
        if self.scan.eat(b'\n') {
            return Ok(TextSample { series, t, v, exemplar });
        }
        Err(match self.scan.peek() {
            None => self.scan.error("data does not end with # EOF"),
            Some(_) => self.scan.expected("next entry"),
        })
    }

    /// One blank, and what stands before the next one.
    fn token(&mut self, what: &str) -> Result<&'a [u8], ParseError> {
        if self.scan.eat(b' ') {
            let token = self.scan.take_while(|b| !matches!(b, b' ' | b'\n'));
            if !token.is_empty() {
                return Ok(token);
            }
        }
        Err(self.scan.expected(what))
    }

    fn value(&mut self, what: &str) -> Result<f64, ParseError> {
        let at = self.scan.at + 1;
        let token = self.token(what)?;
        parse_value(token).ok_or_else(|| ParseError::new(self.scan.page, at, "value is no float"))
    }

    fn timestamp(&mut self) -> Result<i64, ParseError> {
        let at = self.scan.at + 1;
        let token = self.token("timestamp")?;
        parse_seconds(token).ok_or_else(|| ParseError::new(self.scan.page, at, "invalid timestamp"))
    }

    fn comment(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        if self.scan.eat_all(b"# EOF") {
            self.scan.eat(b'\n');
            self.done = true;
            if self.scan.peek().is_some() {
                return Err(self.scan.error("unexpected data after # EOF"));
            }
            return Ok(None);
        }
        if self.scan.eat_all(b"# HELP ") {
            let (family, at, text) = self.metadata("metric name after HELP")?;
            return Ok(Some(Event::Help { family, text: unescape(utf8(&self.scan, at, text)?, true) }));
        }
        if self.scan.eat_all(b"# TYPE ") {
            let (family, at, text) = self.metadata("metric name after TYPE")?;
            let kind = kind_of(text).ok_or_else(|| invalid_type(&self.scan, at, text))?;
            return Ok(Some(Event::Type { family, kind }));
        }
        if self.scan.eat_all(b"# UNIT ") {
            let (family, at, text) = self.metadata("metric name after UNIT")?;
            let unit = utf8(&self.scan, at, text)?;
            let suffix = family.strip_suffix(unit).is_some_and(|f| f.ends_with('_'));
            if !unit.is_empty() && !suffix {
                let what = format!("unit {unit:?} not a suffix of metric {family:?}");
                return Err(ParseError::new(self.scan.page, at, what));
            }
            return Ok(Some(Event::Unit { family, unit: unit.into() }));
        }
        Err(self.scan.error("expected HELP, TYPE, UNIT or EOF after '#'"))
    }

    /// Family and text of a line of metadata, with the place of the text.
    fn metadata(&mut self, what: &str) -> Result<(std::borrow::Cow<'a, str>, usize, &'a [u8]), ParseError> {
        let family = family_name(&mut self.scan, what)?;
        if !self.scan.eat(b' ') {
            return Err(self.scan.expected("' ' and text after metric name"));
        }
        let at = self.scan.at;
        let rest = self.scan.rest();
        let Some(n) = memchr::memchr(b'\n', rest) else {
            return Err(self.scan.error("data does not end with # EOF"));
        };
        self.scan.at += n + 1;
        Ok((family, at, &rest[..n]))
    }
}

fn kind_of(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        _ => return None,
    })
}
