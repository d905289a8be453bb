//! Query results as JSON, written straight into the body: an answer may hold a million samples.

use std::io::Write as _;

use reba_model::{Histogram, Labels, SampleColumns, float};
use reba_promql::eval::value::{MatrixSeries, Steps, VectorSeries, is_absent};
use reba_query::QueryData;

use crate::json::{write_digits, write_list};
pub use crate::json::{write_labels, write_string};

/// Writes milliseconds as seconds with exactly three decimals, or none if they would be zero.
pub fn write_timestamp(out: &mut Vec<u8>, t: i64) {
    if t < 0 {
        out.push(b'-');
    }
    let t = t.unsigned_abs();
    write_digits(out, t / 1000);
    if !t.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", t % 1000);
    }
}

/// Writes a sample's value: a string with the shortest decimal.
pub fn write_value(out: &mut Vec<u8>, v: f64) {
    out.push(b'"');
    // Whole numbers are most of what counters yield, and printing them as such is several times faster.
    if v.abs() < 1e15 && v.trunc() == v && (v != 0.0 || v.is_sign_positive()) {
        if v < 0.0 {
            out.push(b'-');
        }
        write_digits(out, (v as i64).unsigned_abs());
    } else {
        float::push_json(out, v);
    }
    out.push(b'"');
}

fn write_float_point(out: &mut Vec<u8>, t: i64, v: f64) {
    out.push(b'[');
    write_timestamp(out, t);
    out.push(b',');
    write_value(out, v);
    out.push(b']');
}

fn write_histogram_point(out: &mut Vec<u8>, t: i64, h: &Histogram) {
    out.push(b'[');
    write_timestamp(out, t);
    out.push(b',');
    write_histogram(out, h);
    out.push(b']');
}

/// Writes `{count, sum, buckets: [[rule, lower, upper, count], …]}`; buckets without observations are left out, and the key where
/// none is left.
pub fn write_histogram(out: &mut Vec<u8>, h: &Histogram) {
    out.extend_from_slice(br#"{"count":"#);
    write_value(out, h.count);
    out.extend_from_slice(br#","sum":"#);
    write_value(out, h.sum);
    let mut first = true;
    for bucket in h.all_buckets().filter(|b| b.count != 0.0) {
        out.extend_from_slice(if first { br#","buckets":["# as &[u8] } else { b"," });
        first = false;
        let _ = write!(out, "[{},", bucket.boundary_rule());
        write_value(out, bucket.lower);
        out.push(b',');
        write_value(out, bucket.upper);
        out.push(b',');
        write_value(out, bucket.count);
        out.push(b']');
    }
    out.extend_from_slice(if first { b"}" as &[u8] } else { b"]}" });
}

/// Writes `"resultType":…,"result":…`.
pub fn write_data(out: &mut Vec<u8>, data: &QueryData) {
    let _ = write!(out, r#""resultType":"{}","result":"#, data.result_type());
    match data {
        QueryData::Scalar { t, v } => {
            out.push(b'[');
            write_short_timestamp(out, *t);
            // Upstream prints scalars without an exponent, whatever their size.
            let _ = write!(out, r#","{}"]"#, float::format_f(*v));
        }
        QueryData::String { t, v } => {
            out.push(b'[');
            write_short_timestamp(out, *t);
            out.push(b',');
            write_string(out, v);
            out.push(b']');
        }
        QueryData::Vector { t, series } => write_list(out, series, |out, s| write_vector_element(out, s, *t)),
        QueryData::Matrix(series) => write_list(out, series, write_matrix_series),
        QueryData::Range { steps, series } => {
            write_list(out, series, |out, s| write_range_series(out, s, *steps));
        }
    }
}

/// Scalars and strings carry the shortest form of their time, `1.3` and not `1.300`; upstream is not consistent here.
fn write_short_timestamp(out: &mut Vec<u8>, t: i64) {
    out.extend_from_slice(float::format_json(t as f64 / 1000.0).as_bytes());
}

fn write_vector_element(out: &mut Vec<u8>, series: &VectorSeries, t: i64) -> bool {
    let column = &series.column;
    if column.is_empty() || !column.is_present(0) {
        return false;
    }
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &series.labels);
    if let Some(h) = column.histogram(0) {
        out.extend_from_slice(br#","histogram":"#);
        write_histogram_point(out, t, h);
    } else {
        out.extend_from_slice(br#","value":"#);
        write_float_point(out, t, column.v[0]);
    }
    out.push(b'}');
    true
}

fn write_matrix_series(out: &mut Vec<u8>, series: &MatrixSeries) -> bool {
    write_samples(out, &series.labels, &series.samples)
}

fn write_samples(out: &mut Vec<u8>, labels: &Labels, samples: &SampleColumns) -> bool {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, labels);
    if !samples.t.is_empty() {
        out.extend_from_slice(br#","values":"#);
        write_list(out, samples.t.iter().zip(&samples.v), |out, (t, v)| {
            write_float_point(out, *t, *v);
            true
        });
    }
    if !samples.h.is_empty() {
        out.extend_from_slice(br#","histograms":"#);
        write_list(out, &samples.h, |out, s| {
            write_histogram_point(out, s.t, &s.h);
            true
        });
    }
    out.push(b'}');
    !samples.is_empty()
}

fn write_range_series(out: &mut Vec<u8>, series: &VectorSeries, steps: Steps) -> bool {
    let column = &series.column;
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &series.labels);
    let mut any = false;
    if column.v.iter().any(|v| !is_absent(*v)) {
        any = true;
        out.extend_from_slice(br#","values":"#);
        write_list(out, column.v.iter().enumerate(), |out, (i, v)| {
            if is_absent(*v) {
                return false;
            }
            write_float_point(out, steps.at(i), *v);
            true
        });
    }
    if column.has_histograms() && column.h.iter().any(Option::is_some) {
        any = true;
        out.extend_from_slice(br#","histograms":"#);
        write_list(out, column.h.iter().enumerate(), |out, (i, h)| {
            let Some(h) = h else { return false };
            write_histogram_point(out, steps.at(i), h);
            true
        });
    }
    out.push(b'}');
    any
}

#[cfg(test)]
mod tests {
    use reba_promql::eval::value::Column;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        for (t, want) in
            [(1_700_000_000_050, "1700000000.050"), (1300, "1.300"), (0, "0"), (-1500, "-1.500"), (5000, "5")]
        {
            assert_eq!(text(|o| write_timestamp(o, t)), want);
        }
    }

    #[test]
    fn values_are_printed_as_upstream_prints_them() {
        for (v, want) in [
            (1.0, r#""1""#),
            (-0.0, r#""-0""#),
            (0.1, r#""0.1""#),
            (1e21, r#""1e+21""#),
            (1e-7, r#""1e-07""#),
            (f64::INFINITY, r#""+Inf""#),
            (f64::NAN, r#""NaN""#),
            (123456789012345680.0, r#""123456789012345680""#),
        ] {
            assert_eq!(text(|o| write_value(o, v)), want);
        }
    }

    #[test]
    fn a_range_leaves_out_empty_slots_and_empty_series() {
        let mut column = Column::absent(3);
        column.v[0] = 1.0;
        column.v[2] = 2.5;
        let series =
            |column| VectorSeries { labels: Labels::from_pairs([("a", "b")]), drop_name: false, column };
        let steps = Steps { start: 0, interval: 1000, count: 3 };
        let data = QueryData::Range { steps, series: vec![series(Column::absent(3)), series(column)] };
        assert_eq!(
            text(|o| write_data(o, &data)),
            r#""resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[0,"1"],[2,"2.5"]]}]"#
        );
    }
}
