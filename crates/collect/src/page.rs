//! A page of metrics in the making: families sorted by name, their rows by labels, as scrapers expect them.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use reba_model::float;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Nobody knows.
    Untyped,
    /// Buckets.
    Histogram,
    /// Quantiles.
    Summary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Untyped => "untyped",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }

    /// Whether the order of rows has a meaning that labels do not show.
    fn keeps_order(self) -> bool {
        matches!(self, Kind::Histogram | Kind::Summary)
    }
}

#[derive(Debug)]
struct Row {
    /// Where its labels stand in the family's text.
    labels: std::ops::Range<u32>,
    suffix: &'static str,
    value: f64,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: Cow<'static, str>,
    /// The labels of all rows, escaped, each as `a="b",c="d"`.
    text: String,
    rows: Vec<Row>,
}

impl Family {
    fn labels(&self, row: &Row) -> &str {
        self.text.get(row.labels.start as usize..row.labels.end as usize).unwrap_or_default()
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        self.labels(a).cmp(self.labels(b)).then_with(|| a.suffix.cmp(b.suffix))
    }
}

/// A page in the making. Families may be written in any order, and in pieces.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<Cow<'static, str>, Family>,
}

/// Takes the rows of one family.
#[derive(Debug)]
pub struct Rows<'a>(&'a mut Family);

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a family. If it exists its kind and help stay as they are.
    pub fn family(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        help: impl Into<Cow<'static, str>>,
    ) -> Rows<'_> {
        let family = self.families.entry(name.into()).or_insert_with(|| Family {
            kind,
            help: help.into(),
            text: String::new(),
            rows: Vec::new(),
        });
        Rows(family)
    }

    /// Opens a counter.
    pub fn counter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Rows<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// Opens a gauge.
    pub fn gauge(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Rows<'_> {
        self.family(name, Kind::Gauge, help)
    }

    /// Opens a family without a type.
    pub fn untyped(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Rows<'_> {
        self.family(name, Kind::Untyped, help)
    }

    /// Whether there is such a family, and of which kind.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        self.families.get(name).map(|family| family.kind)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.families.values().map(|family| family.rows.len()).sum()
    }

    /// The page in the text format 0.0.4. Of two rows with the same labels the second is left out.
    pub fn text(&self) -> String {
        self.print(false)
    }

    /// The page as OpenMetrics 1.0. A counter whose name lacks `_total` has the type unknown there, so that it keeps its name.
    pub fn open_metrics(&self) -> String {
        let mut out = self.print(true);
        out.push_str("# EOF\n");
        out
    }

    fn print(&self, open: bool) -> String {
        let size = self.families.iter().map(|(name, family)| {
            2 * name.len()
                + family.help.len()
                + 32
                + family.text.len()
                + family.rows.len() * (name.len() + 24)
        });
        let mut out = String::with_capacity(size.sum());
        for (name, family) in self.families.iter().filter(|(_, family)| !family.rows.is_empty()) {
            let (shown, kind) = match family.kind {
                Kind::Counter if open => match name.strip_suffix("_total") {
                    Some(base) => (base, "counter"),
                    None => (name.as_ref(), "unknown"),
                },
                Kind::Untyped if open => (name.as_ref(), "unknown"),
                kind => (name.as_ref(), kind.name()),
            };
            out.extend(["# HELP ", shown, " "]);
            escape(&mut out, &family.help, open);
            out.extend(["\n# TYPE ", shown, " ", kind, "\n"]);
            family.print(name, &mut out);
        }
        out
    }
}

impl Family {
    fn print(&self, name: &str, out: &mut String) {
        let sorted =
            self.kind.keeps_order() || self.rows.is_sorted_by(|a, b| self.compare(a, b) == Ordering::Less);
        if sorted {
            for row in &self.rows {
                self.print_row(name, row, out);
            }
            return;
        }
        let mut order: Vec<&Row> = self.rows.iter().collect();
        order.sort_by(|a, b| self.compare(a, b));
        order.dedup_by(|b, a| self.compare(a, b) == Ordering::Equal);
        for row in order {
            self.print_row(name, row, out);
        }
    }

    fn print_row(&self, name: &str, row: &Row, out: &mut String) {
        out.push_str(name);
        out.push_str(row.suffix);
        let labels = self.labels(row);
        if !labels.is_empty() {
            out.extend(["{", labels, "}"]);
        }
        out.push(' ');
        push_value(out, row.value);
        out.push('\n');
    }
}

impl Rows<'_> {
    /// Adds the row without labels.
    pub fn value(&mut self, value: f64) -> &mut Self {
        self.with(&[], value)
    }

    /// Adds a row. Labels stand in the order in which they shall be seen, by upstream's habit sorted by name.
    pub fn with(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.suffixed("", labels, value)
    }

    /// Adds a row whose name is the family's with a suffix (`_sum`, `_count`, `_bucket`).
    pub fn suffixed(&mut self, suffix: &'static str, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let start = self.0.text.len() as u32;
        push_labels(&mut self.0.text, labels);
        self.push(start, suffix, value)
    }

    /// Adds a row whose labels were made with [`labels`], for rows of several families have the same.
    pub fn ready(&mut self, labels: &str, value: f64) -> &mut Self {
        let start = self.0.text.len() as u32;
        self.0.text.push_str(labels);
        self.push(start, "", value)
    }

    fn push(&mut self, start: u32, suffix: &'static str, value: f64) -> &mut Self {
        let labels = start..self.0.text.len() as u32;
        self.0.rows.push(Row { labels, suffix, value });
        self
    }
}

/// Labels as they stand in a row, for [`Rows::ready`].
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    push_labels(&mut text, pairs);
    text
}

fn push_labels(text: &mut String, labels: &[(&str, &str)]) {
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.extend([name, "=\""]);
        escape(text, value, true);
        text.push('"');
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    if !text.bytes().any(|b| matches!(b, b'\\' | b'\n' | b'"')) {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// As Go prints it: whole numbers below a million, which most are, without a detour.
fn push_value(out: &mut String, value: f64) {
    if value.abs() < 1e6 && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive()) {
        let mut digits = [0_u8; 8];
        let (mut rest, mut at) = (value.abs() as u32, digits.len());
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0.0 {
            out.push('-');
        }
        out.extend(digits.iter().skip(at).map(|d| char::from(*d)));
        return;
    }
    if (1e-4..1e6).contains(&value.abs()) {
        let mut buffer = zmij::Buffer::new();
        let plain = buffer.format_finite(value);
        if !plain.contains('e') {
            return out.push_str(plain.strip_suffix(".0").unwrap_or(plain));
        }
    }
    out.push_str(&float::format_g(value));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_and_rows_are_sorted_and_the_second_of_two_equal_rows_is_left_out() {
        let mut page = Page::new();
        page.gauge("b", "B.").with(&[("x", "2")], 1.0).with(&[("x", "1")], 2.0).with(&[("x", "2")], 3.0);
        page.counter("a_total", "A\\\n\"q\".").value(1e6);
        page.gauge("empty", "Nothing.");
        assert_eq!(
            page.text(),
            "# HELP a_total A\\\\\\n\"q\".\n# TYPE a_total counter\na_total 1e+06\n\
             # HELP b B.\n# TYPE b gauge\nb{x=\"1\"} 2\nb{x=\"2\"} 1\n"
        );
    }

    #[test]
    fn open_metrics_keeps_the_names_of_counters_without_total() {
        let mut page = Page::new();
        page.counter("a_total", "A.").value(1.0);
        page.counter("pg_b", "B.").value(2.0);
        page.untyped("c", "C.").with(&[("l", "a\"b\\c\nd")], 3.5);
        assert_eq!(
            page.open_metrics(),
            "# HELP a A.\n# TYPE a counter\na_total 1\n# HELP c C.\n# TYPE c unknown\nc{l=\"a\\\"b\\\\c\\nd\"} 3.5\n\
             # HELP pg_b B.\n# TYPE pg_b unknown\npg_b 2\n# EOF\n"
        );
    }

    #[test]
    fn buckets_keep_their_order() {
        let mut page = Page::new();
        let mut rows = page.family("h", Kind::Histogram, "H.");
        rows.suffixed("_bucket", &[("le", "5")], 1.0).suffixed("_bucket", &[("le", "10")], 2.0);
        rows.suffixed("_sum", &[], 3.0).suffixed("_count", &[], 2.0);
        let text = page.text();
        assert!(
            text.ends_with("h_bucket{le=\"5\"} 1\nh_bucket{le=\"10\"} 2\nh_sum 3\nh_count 2\n"),
            "{text}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn numbers_are_printed_as_go_prints_them(bits in any::<u64>(), whole in -2_000_000_i64..2_000_000) {
            for value in [f64::from_bits(bits), whole as f64, whole as f64 / 64.0, whole as f64 / 1000.0] {
                let mut out = String::new();
                push_value(&mut out, value);
                prop_assert_eq!(out, float::format_g(value));
            }
        }
    }
}
