//! Warnings and infos that go with a result.

use std::collections::BTreeMap;

use reba_model::{TimeRange, float::format_g};

/// How many warnings, and how many infos, are shown; the rest is counted.
pub const MAX_SHOWN: usize = 10;

/// How much an annotation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The result is probably not what was meant.
    Warning,
    /// The result deserves a second look.
    Info,
}

/// What `histogram_quantile` had to repair in counts that do not rise with their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedMonotonicity {
    /// First step concerned.
    pub min_t: i64,
    /// Last step concerned.
    pub max_t: i64,
    /// Lowest bound repaired.
    pub min_bucket: f64,
    /// Highest bound repaired.
    pub max_bucket: f64,
    /// Largest difference.
    pub max_diff: f64,
    /// How many elements were repaired.
    pub count: u64,
}

impl ForcedMonotonicity {
    fn merge(&mut self, other: &ForcedMonotonicity) {
        self.min_t = self.min_t.min(other.min_t);
        self.max_t = self.max_t.max(other.max_t);
        self.min_bucket = self.min_bucket.min(other.min_bucket);
        self.max_bucket = self.max_bucket.max(other.max_bucket);
        self.max_diff = self.max_diff.max(other.max_diff);
        self.count += other.count;
    }

    fn text(&self) -> String {
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            format_g(self.min_bucket),
            format_g(self.max_bucket),
            two_digits(self.max_diff),
            self.count,
            rfc3339(self.min_t),
            rfc3339(self.max_t),
        )
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Annotation {
    pos: usize,
    detail: Option<ForcedMonotonicity>,
}

/// A set of annotations, each text once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    by_text: BTreeMap<(Severity, String), Annotation>,
}

impl Annotations {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a warning about the expression at byte `pos` of the query. `text` is upstream's, without its prefix.
    pub fn warn(&mut self, pos: usize, text: impl Into<String>) {
        self.add(Severity::Warning, pos, text.into());
    }

    /// Adds an info about the expression at byte `pos` of the query. `text` is upstream's, without its prefix.
    pub fn info(&mut self, pos: usize, text: impl Into<String>) {
        self.add(Severity::Info, pos, text.into());
    }

    /// Adds the info that counts of a classic histogram had to be made monotonic; details of equal texts are united.
    pub fn info_forced_monotonicity(
        &mut self,
        pos: usize,
        text: impl Into<String>,
        detail: ForcedMonotonicity,
    ) {
        self.insert((Severity::Info, text.into()), Annotation { pos, detail: Some(detail) });
    }

    /// Adds the info that samples of `span` are there in windows of `resolution` only.
    pub fn info_downsampled(&mut self, pos: usize, resolution: &str, span: TimeRange) {
        let (start, end) = (rfc3339(span.start), rfc3339(span.end));
        self.info(pos, format!("samples from {start} to {end} are downsampled to {resolution}"));
    }

    fn add(&mut self, severity: Severity, pos: usize, text: String) {
        self.insert((severity, text), Annotation { pos, detail: None });
    }

    fn insert(&mut self, key: (Severity, String), mut new: Annotation) {
        if let Some(old) = self.by_text.get(&key)
            && let (Some(a), Some(b)) = (&old.detail, &mut new.detail)
        {
            b.merge(a);
        }
        self.by_text.insert(key, new);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Annotations) {
        for (key, annotation) in other.by_text {
            self.insert(key, annotation);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Whether there is one of this severity.
    pub fn has(&self, severity: Severity) -> bool {
        self.by_text.keys().any(|(s, _)| *s == severity)
    }

    /// Warnings as they are shown for `query`: prefix, text and position, at most `max` and a line that counts the
    /// rest (0 means all).
    pub fn warnings(&self, query: &str, max: usize) -> Vec<String> {
        self.render(Severity::Warning, "PromQL warning", "warning", query, max)
    }

    /// Infos as they are shown for `query`, like [`Annotations::warnings`].
    pub fn infos(&self, query: &str, max: usize) -> Vec<String> {
        self.render(Severity::Info, "PromQL info", "info", query, max)
    }

    fn render(&self, severity: Severity, prefix: &str, noun: &str, query: &str, max: usize) -> Vec<String> {
        let all = self.by_text.iter().filter(|((s, _), _)| *s == severity);
        let total = all.clone().count();
        let shown = if max == 0 { total } else { total.min(max) };
        let mut out: Vec<String> = all
            .take(shown)
            .map(|((_, text), a)| {
                let detail = a.detail.map_or_else(String::new, |d| d.text());
                format!("{prefix}: {text}{detail} ({})", line_and_column(query, a.pos))
            })
            .collect();
        if total > shown {
            out.push(format!("{} more {noun} annotations omitted", total - shown));
        }
        out
    }
}

/// `line:column` of a byte offset, both from 1, columns in bytes.
fn line_and_column(query: &str, pos: usize) -> String {
    let Some(before) = query.as_bytes().get(..pos) else {
        return "invalid position".to_owned();
    };
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let col = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{line}:{col}")
}

/// A number with two significant digits (Go's `%.2g`).
fn two_digits(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return format_g(v);
    }
    let text = format!("{v:.1e}");
    let (mantissa, exp) = text.split_once('e').unwrap_or((&text, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    if (-4..2).contains(&exp) {
        let rounded: f64 = text.parse().unwrap_or(v);
        return format_g(rounded);
    }
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    format!("{mantissa}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.abs())
}

/// `1970-01-01T00:00:00Z` for Unix milliseconds (the fraction of a second is left out).
fn rfc3339(t: i64) -> String {
    let secs = t.div_euclid(1000);
    let (days, in_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    // Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_once_and_the_rest_is_counted() {
        let mut a = Annotations::new();
        for i in 0..13 {
            a.warn(4, format!("thing {i:02}"));
            a.warn(4, format!("thing {i:02}"));
        }
        let shown = a.warnings("sum(x)", MAX_SHOWN);
        assert_eq!(shown.len(), 11);
        assert_eq!(shown[0], "PromQL warning: thing 00 (1:5)");
        assert_eq!(shown[10], "3 more warning annotations omitted");
        assert!(a.infos("sum(x)", MAX_SHOWN).is_empty());
    }

    #[test]
    fn a_position_counts_lines_and_bytes_from_one() {
        assert_eq!(line_and_column("a +\n b", 5), "2:2");
        assert_eq!(line_and_column("a", 9), "invalid position");
    }

    #[test]
    fn repairs_of_one_histogram_are_united() {
        let detail = |t, bucket| ForcedMonotonicity {
            min_t: t,
            max_t: t,
            min_bucket: bucket,
            max_bucket: bucket,
            max_diff: 0.25,
            count: 1,
        };
        let mut a = Annotations::new();
        a.info_forced_monotonicity(0, "fixed", detail(60_000, 0.5));
        a.info_forced_monotonicity(0, "fixed", detail(1_700_000_000_000, 2.0));
        assert_eq!(
            a.infos("q", 0),
            ["PromQL info: fixed, from buckets 0.5 to 2, with a max diff of 0.25, over 2 samples \
              from 1970-01-01T00:01:00Z to 2023-11-14T22:13:20Z (1:1)"]
        );
    }

    #[test]
    fn two_digits_are_significant() {
        assert_eq!([0.123, 12.3, 123.0, 2e-9].map(two_digits), ["0.12", "12", "1.2e+02", "2e-09"]);
    }
}
