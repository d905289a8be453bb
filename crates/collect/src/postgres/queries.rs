//! Queries whose columns say what they are: those of postgres_exporter that are older than its collectors, and those that people
//! write themselves (`--extend.query-path`). Their series carry the label `server`.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::{
    session::{Patience, QueryError, Session},
    table::{Row, Table},
};
use crate::page::{Kind, Page};

/// What a column is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Usage {
    /// Nothing.
    #[default]
    Discard,
    /// A label.
    Label,
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
    /// A gauge whose texts stand for numbers.
    MappedMetric,
    /// A text such as `1h5m`, shown in milliseconds.
    Duration,
    /// Bounds, beside columns with `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A column in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Column {
    usage: Usage,
    description: String,
    metric_mapping: BTreeMap<String, f64>,
    #[serde(rename = "pg_version")]
    _versions: Option<String>,
}

/// A namespace in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNamespace {
    query: String,
    metrics: Vec<BTreeMap<String, Column>>,
    master: bool,
    cache_seconds: u64,
    runonserver: String,
}

/// A query and what becomes of it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    query: String,
    columns: BTreeMap<String, Column>,
    /// Asked once, not in every database.
    pub master: bool,
    /// For how long its answer is kept.
    pub cache_seconds: u64,
    versions: Vec<Vec<Bound>>,
}

/// A version must be …
#[derive(Clone, Copy, Debug)]
struct Bound {
    sign: &'static str,
    version: u64,
}

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    name: String,
    kind: Kind,
    help: String,
    suffix: &'static str,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    /// Adds it to a page.
    pub fn write(&self, page: &mut Page) {
        let labels: Vec<(&str, &str)> = self.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        page.family(self.name.clone(), self.kind, self.help.clone()).suffixed(
            self.suffix,
            &labels,
            self.value,
        );
    }
}

/// Reads a file of queries.
pub fn load(file: &str) -> Result<Vec<Namespace>, String> {
    let text = fs::read_to_string(Path::new(file)).map_err(|e| format!("{file}: {e}"))?;
    parse(&text).map_err(|e| format!("{file}: {e}"))
}

fn parse(text: &str) -> Result<Vec<Namespace>, String> {
    let raw: BTreeMap<String, RawNamespace> = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    raw.into_iter().map(|(name, raw)| understood(name, raw)).collect()
}

fn understood(name: String, raw: RawNamespace) -> Result<Namespace, String> {
    if !reba_model::is_legacy_metric_name(&name) {
        return Err(format!("{name:?} is no name for metrics"));
    }
    if raw.query.trim().is_empty() {
        return Err(format!("{name}: there is no query"));
    }
    let versions = ranges(&raw.runonserver)
        .ok_or_else(|| format!("{name}: runonserver: {:?} is no range", raw.runonserver))?;
    Ok(Namespace {
        query: raw.query,
        columns: raw.metrics.into_iter().flatten().collect(),
        master: raw.master,
        cache_seconds: raw.cache_seconds,
        versions,
        name,
    })
}

/// Reads `>=10.0.0 <12.0.0 || >14.0.0`: alternatives of what must all hold.
fn ranges(text: &str) -> Option<Vec<Vec<Bound>>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split("||").map(|part| part.split_whitespace().map(bound).collect()).collect()
}

fn bound(text: &str) -> Option<Bound> {
    let sign = [">=", "<=", "!=", "==", ">", "<", "=", ""].into_iter().find(|sign| text.starts_with(sign))?;
    let mut parts = text.get(sign.len()..)?.trim_start_matches('v').split('.').map(str::parse::<u64>);
    let mut next = || parts.next().unwrap_or(Ok(0)).ok();
    let (major, minor, patch) = (next()?, next()?, next()?);
    Some(Bound { sign, version: major * 1_000_000 + minor * 1000 + patch })
}

/// A server's version number as bounds have it: 150004 is 15.4.0, 90624 is 9.6.24.
fn comparable(number: u32) -> u64 {
    let number = u64::from(number);
    if number >= 100_000 {
        (number / 10_000) * 1_000_000 + (number % 10_000) * 1000
    } else {
        (number / 10_000) * 1_000_000 + (number / 100 % 100) * 1000 + number % 100
    }
}

/// A version as upstream writes it: 15.4.0.
pub fn short_version(number: u32) -> String {
    let version = comparable(number);
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

impl Namespace {
    /// Its name, and where its errors belong.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is meant for a server.
    pub fn runs_on(&self, number: u32) -> bool {
        let version = comparable(number);
        let holds = |bound: &Bound| match bound.sign {
            ">=" => version >= bound.version,
            "<=" => version <= bound.version,
            ">" => version > bound.version,
            "<" => version < bound.version,
            "!=" => version != bound.version,
            _ => version == bound.version,
        };
        self.versions.is_empty() || self.versions.iter().any(|all| all.iter().all(holds))
    }

    /// Asks a server. `prefix` stands in the place of `pg`, `fixed` are labels of every series.
    pub async fn ask(
        &self,
        session: &Session,
        prefix: &str,
        fixed: &[(String, String)],
        patience: Patience,
    ) -> Result<Vec<Sample>, QueryError> {
        let types = session.types(&self.query, patience).await;
        let table = session.table(&self.query, patience).await?;
        let name = self.name.replacen("pg", prefix, 1);
        let mut samples = Vec::new();
        for row in table.rows() {
            let reader = Reader { namespace: self, name: &name, table: &table, types: &types, row };
            reader.samples(fixed, &mut samples);
        }
        Ok(samples)
    }
}

/// Reads a row.
struct Reader<'a> {
    namespace: &'a Namespace,
    name: &'a str,
    table: &'a Table,
    types: &'a [Type],
    row: Row<'a>,
}

impl Reader<'_> {
    fn samples(&self, fixed: &[(String, String)], out: &mut Vec<Sample>) {
        let labels = self.labels(fixed);
        for (i, column) in self.table.columns().iter().enumerate() {
            let known = self.namespace.columns.get(column);
            let name = format!("{}_{column}", self.name);
            let one = |name: String, kind, help: &str, value| Sample {
                name,
                kind,
                help: help.to_owned(),
                suffix: "",
                labels: labels.clone(),
                value,
            };
            let help = known.map_or("", |known| &known.description);
            let sample = match known.map(|known| known.usage) {
                Some(Usage::Discard | Usage::Label) => None,
                Some(Usage::Counter) => self.number(i).map(|v| one(name, Kind::Counter, help, v)),
                Some(Usage::Gauge) => self.number(i).map(|v| one(name, Kind::Gauge, help, v)),
                Some(Usage::MappedMetric) => {
                    let mapped = self.value(i).and_then(|text| known?.metric_mapping.get(text).copied());
                    mapped.map(|v| one(name, Kind::Gauge, help, v))
                }
                Some(Usage::Duration) => {
                    let ms = self.value(i).and_then(milliseconds);
                    ms.map(|v| one(format!("{name}_milliseconds"), Kind::Gauge, help, v))
                }
                Some(Usage::Histogram) => {
                    self.histogram(i, &name, help, &labels, out);
                    None
                }
                None if self.belongs_to_a_histogram(column) => None,
                None => {
                    self.number(i).map(|v| one(name, Kind::Untyped, "A column that nobody described.", v))
                }
            };
            out.extend(sample);
        }
    }

    fn labels(&self, fixed: &[(String, String)]) -> Vec<(String, String)> {
        let is_label = |(_, column): &(&String, &Column)| column.usage == Usage::Label;
        let mut labels: Vec<(String, String)> = self
            .namespace
            .columns
            .iter()
            .filter(is_label)
            .map(|(name, _)| (name.clone(), self.index(name).map(|i| self.label(i)).unwrap_or_default()))
            .chain(fixed.iter().cloned())
            .collect();
        labels.sort();
        labels.dedup_by(|b, a| a.0 == b.0);
        labels
    }

    fn index(&self, column: &str) -> Option<usize> {
        self.table.columns().iter().position(|c| c == column)
    }

    fn value(&self, i: usize) -> Option<&str> {
        self.row.get(i)
    }

    /// As upstream's driver shows it: truth in words, moments in seconds.
    fn label(&self, i: usize) -> String {
        let text = self.value(i).unwrap_or_default();
        match self.types.get(i) {
            Some(&Type::BOOL) => if text == "t" { "true" } else { "false" }.to_owned(),
            Some(kind) if is_moment(kind) => seconds(text).map_or_else(String::new, |s| s.to_string()),
            _ => text.to_owned(),
        }
    }

    fn number(&self, i: usize) -> Option<f64> {
        let Some(text) = self.value(i) else { return Some(f64::NAN) };
        match self.types.get(i) {
            Some(kind) if is_moment(kind) => seconds(text),
            _ => match text {
                "t" | "true" => Some(1.0),
                "f" | "false" => Some(0.0),
                text => text.trim().parse().ok(),
            },
        }
    }

    fn belongs_to_a_histogram(&self, column: &str) -> bool {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| column.strip_suffix(suffix));
        let is_one = |base| self.namespace.columns.get(base).is_some_and(|c| c.usage == Usage::Histogram);
        base.is_some_and(is_one)
    }

    fn histogram(
        &self,
        i: usize,
        name: &str,
        help: &str,
        labels: &[(String, String)],
        out: &mut Vec<Sample>,
    ) {
        let Some(column) = self.table.columns().get(i) else { return };
        let part = |suffix: &str| self.index(&format!("{column}{suffix}"));
        let (Some(buckets), Some(sum), Some(count)) = (part("_bucket"), part("_sum"), part("_count")) else {
            tracing::warn!(column, "a histogram needs columns with _bucket, _sum and _count");
            return;
        };
        let (bounds, buckets) = (array(self.value(i)), array(self.value(buckets)));
        let (sum, count) = (self.number(sum).unwrap_or(0.0), self.number(count).unwrap_or(0.0));
        let mut push = |suffix: &'static str, le: Option<String>, value: f64| {
            let mut labels = labels.to_vec();
            labels.extend(le.map(|le| ("le".to_owned(), le)));
            labels.sort();
            let (name, help) = (name.to_owned(), help.to_owned());
            out.push(Sample { name, kind: Kind::Histogram, help, suffix, labels, value });
        };
        for (bound, n) in bounds.iter().zip(buckets) {
            push("_bucket", Some(reba_model::float::format_g(*bound)), n);
        }
        push("_bucket", Some("+Inf".to_owned()), count);
        push("_sum", None, sum);
        push("_count", None, count);
    }
}

/// An array of numbers: `{1,2.5,5}`.
fn array(text: Option<&str>) -> Vec<f64> {
    let inner = text.and_then(|text| text.strip_prefix('{')?.strip_suffix('}')).unwrap_or_default();
    inner.split(',').filter_map(|n| n.trim_matches('"').parse().ok()).collect()
}

fn is_moment(kind: &Type) -> bool {
    matches!(*kind, Type::TIMESTAMPTZ | Type::TIMESTAMP | Type::DATE)
}

/// Unix seconds of `2026-01-02 03:04:05.678+02`, of the same without an offset (UTC), or of a date.
fn seconds(text: &str) -> Option<f64> {
    let iso = text.replacen(' ', "T", 1);
    // Offsets come as +02, +02:30 or -03.
    let stamp = iso.parse::<Timestamp>().or_else(|_| format!("{iso}:00").parse());
    let stamp = stamp.or_else(|_| {
        let local = iso.parse::<DateTime>().or_else(|_| format!("{iso}T00:00:00").parse())?;
        local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    Some(stamp.ok()?.as_second() as f64)
}

/// Milliseconds of a duration as Go writes it.
fn milliseconds(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-6), ("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 36e5)];
    let (mut rest, mut total) = (text.strip_prefix('-').unwrap_or(text), 0.0);
    if rest.is_empty() || text == "-1" {
        return None;
    }
    while !rest.is_empty() && rest != "0" {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at_checked(digits)?;
        // `ms` before `m`.
        let (unit, factor) = UNITS.iter().find(|(unit, _)| {
            tail.strip_prefix(unit)
                .is_some_and(|t| t.is_empty() || t.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        })?;
        total += number.parse::<f64>().ok()? * factor;
        rest = tail.get(unit.len()..)?;
    }
    let total = total.trunc();
    Some(if text.starts_with('-') { -total } else { total })
}

/// Those of postgres_exporter that are older than its collectors.
pub fn builtin() -> Vec<Namespace> {
    let text = include_str!("builtin.yml");
    parse(text).unwrap_or_else(|reason| {
        tracing::error!(reason, "the built-in queries cannot be read");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(yaml: &str, table: &Table, types: &[Type]) -> String {
        let namespaces = parse(yaml).unwrap();
        let mut out = Vec::new();
        for row in table.rows() {
            let reader = Reader { namespace: &namespaces[0], name: "pg_x", table, types, row };
            reader.samples(&[("server".to_owned(), "h:5432".to_owned())], &mut out);
        }
        let mut page = Page::new();
        for sample in &out {
            sample.write(&mut page);
        }
        page.text()
    }

    #[test]
    fn the_built_in_queries_can_be_read() {
        let names: Vec<_> = builtin().iter().map(|n| n.name.clone()).collect();
        assert!(names.contains(&"pg_stat_activity".to_owned()) && names.len() >= 5, "{names:?}");
    }

    #[test]
    fn columns_become_what_the_file_says() {
        let yaml = "pg_x:\n  query: SELECT 1\n  metrics:\n    - a: {usage: LABEL}\n    - up: {usage: GAUGE, description: Up.}\n\
                    \x20   - at: {usage: COUNTER}\n    - d: {usage: DURATION}\n    - m: {usage: MAPPEDMETRIC, metric_mapping: {on: 7}}\n\
                    \x20   - h: {usage: HISTOGRAM}\n";
        let columns = ["a", "up", "at", "d", "m", "h", "h_bucket", "h_sum", "h_count", "extra", "text"];
        let row =
            ["t", "t", "1970-01-01 02:00:10+02", "1m1.5s", "on", "{1,2.5}", "{3,4}", "9", "5", "8", "x"];
        let types = [Type::BOOL, Type::BOOL, Type::TIMESTAMPTZ];
        let page = samples(yaml, &Table::of(&columns, &[&row.map(Some)]), &types);
        for line in [
            "pg_x_up{a=\"true\",server=\"h:5432\"} 1",
            "pg_x_at{a=\"true\",server=\"h:5432\"} 10",
            "pg_x_d_milliseconds{a=\"true\",server=\"h:5432\"} 61500",
            "pg_x_m{a=\"true\",server=\"h:5432\"} 7",
            "pg_x_h_bucket{a=\"true\",le=\"2.5\",server=\"h:5432\"} 4",
            "pg_x_h_bucket{a=\"true\",le=\"+Inf\",server=\"h:5432\"} 5",
            "pg_x_h_sum{a=\"true\",server=\"h:5432\"} 9",
            "pg_x_extra{a=\"true\",server=\"h:5432\"} 8",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
        assert!(!page.contains("pg_x_text") && page.contains("# TYPE pg_x_extra untyped"));
    }

    #[test]
    fn files_with_faults_are_refused() {
        for bad in [
            "pg_x: {query: ''}",
            "pg_x: {querry: a}",
            "'1x': {query: a}",
            "pg_x: {query: a, runonserver: new}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_compared_as_semantic_ones() {
        let on = |range: &str, number| {
            parse(&format!("pg_x: {{query: a, runonserver: '{range}'}}")).unwrap()[0].runs_on(number)
        };
        assert!(on(">=10.0.0 <15.5.0", 150_004) && !on(">=10.0.0 <15.4.0", 150_004));
        assert!(on("<9.0.0 || >=15.0.0", 150_004) && on("", 1) && on("<9.7.0", 90_624));
        assert_eq!(
            (short_version(150_004), short_version(90_624)),
            ("15.4.0".to_owned(), "9.6.24".to_owned())
        );
    }

    #[test]
    fn moments_have_offsets_or_are_utc() {
        for (text, want) in [
            ("1970-01-01 00:00:10+00", 10.0),
            ("1970-01-01 05:30:10.9+05:30", 10.0),
            ("1970-01-01 00:01:00", 60.0),
            ("1970-01-02", 86_400.0),
        ] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
        assert_eq!(seconds("infinity"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = (milliseconds(&text), seconds(&text), array(Some(&text)), ranges(&text), parse(&text));
        }
    }
}
