//! Histograms as text: Go's notation, the JSON of the HTTP API, and the notation of test scripts.

use std::fmt::{self, Write as _};

use super::{CounterResetHint, Histogram, spans::Indexed};
use crate::float::{format_g, format_json};

/// `{count:3, sum:5, (1,2]:3}`: what queries print. Empty buckets are left out.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        for b in self.negative().rev().filter(|b| b.count != 0.0) {
            write!(f, ", {b}")?;
        }
        if self.zero_count != 0.0 {
            write!(f, ", {}", self.zero_bucket())?;
        }
        for b in self.positive().filter(|b| b.count != 0.0) {
            write!(f, ", {b}")?;
        }
        f.write_char('}')
    }
}

impl Histogram {
    /// Appends the JSON of the HTTP API: `{"count":"3","sum":"5","buckets":[[0,"1","2","3"]]}`; `buckets` is missing if
    /// all are empty.
    pub fn write_json(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, r#"{{"count":"{}","sum":"{}""#, format_json(self.count), format_json(self.sum));
        let mut separator = r#","buckets":["#;
        for b in self.all_buckets().filter(|b| b.count != 0.0) {
            let [lower, upper, count] = [b.lower, b.upper, b.count].map(format_json);
            let _ = write!(out, r#"{separator}[{},"{lower}","{upper}","{count}"]"#, b.boundary_rule());
            separator = ",";
        }
        out.push_str(if separator == "," { "]}" } else { "}" });
    }

    /// The notation of test scripts, `{{schema:1 count:3 buckets:[1 2]}}`; the inverse of
    /// [`parse_notation`](super::parse_notation). Gaps between buckets are written as zeros, which must be few enough
    /// (else the rest is left out).
    pub fn notation(&self) -> String {
        let mut parts = Vec::new();
        if self.schema != 0 {
            parts.push(format!("schema:{}", self.schema));
        }
        for (name, v) in [
            ("count", self.count),
            ("sum", self.sum),
            ("z_bucket", self.zero_count),
            ("z_bucket_w", self.zero_threshold),
        ] {
            if v != 0.0 {
                parts.push(format!("{name}:{}", format_g(v)));
            }
        }
        if self.uses_custom_buckets() {
            parts.push(format!("custom_values:{}", list(&self.custom_values)));
        }
        match self.hint {
            CounterResetHint::Unknown => {}
            CounterResetHint::CounterReset => parts.push("counter_reset_hint:reset".to_owned()),
            CounterResetHint::NotCounterReset => parts.push("counter_reset_hint:not_reset".to_owned()),
            CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
        }
        for (positive, offset_key, buckets_key) in
            [(true, "offset", "buckets"), (false, "n_offset", "n_buckets")]
        {
            let (offset, counts) = self.dense(positive);
            if offset != 0 {
                parts.push(format!("{offset_key}:{offset}"));
            }
            if !counts.is_empty() {
                parts.push(format!("{buckets_key}:{}", list(&counts)));
            }
        }
        format!("{{{{{}}}}}", parts.join(" "))
    }

    /// The index of the first populated bucket, and all counts from there on with gaps filled.
    fn dense(&self, positive: bool) -> (i32, Vec<f64>) {
        /// More buckets than any test writes.
        const LIMIT: i64 = 100_000;
        let side = self.side(positive);
        let mut populated = Indexed::new(side.spans, side.counts).filter(|(_, c)| *c != 0.0).peekable();
        let Some((first, _)) = populated.peek().copied() else { return (0, Vec::new()) };
        let mut counts = Vec::new();
        for (index, count) in populated {
            let at = i64::from(index) - i64::from(first);
            if !(counts.len() as i64..LIMIT).contains(&at) {
                break;
            }
            counts.resize(at as usize, 0.0);
            counts.push(count);
        }
        (first, counts)
    }
}

fn list(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|v| format_g(*v)).collect();
    format!("[{}]", values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{super::parse_notation, *};

    #[test]
    fn histograms_are_printed_as_upstream_prints_them() {
        let h = parse_notation(
            "{{count:12 sum:-1.5 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 3] n_offset:-1 n_buckets:[4 2]}}",
        )
        .unwrap()
        .0;
        assert_eq!(
            h.to_string(),
            "{count:12, sum:-1.5, [-1,-0.5):2, [-0.5,-0.25):4, [-0.001,0.001]:2, (0.5,1]:1, (2,4]:3}"
        );
        let mut json = String::new();
        h.write_json(&mut json);
        assert_eq!(
            json,
            r#"{"count":"12","sum":"-1.5","buckets":[[1,"-1","-0.5","2"],[1,"-0.5","-0.25","4"],"#.to_owned()
                + r#"[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"2","4","3"]]}"#
        );
        let mut json = String::new();
        Histogram { sum: f64::NAN, count: 1e21, ..Histogram::default() }.write_json(&mut json);
        assert_eq!(json, r#"{"count":"1e+21","sum":"NaN"}"#);
    }
}
