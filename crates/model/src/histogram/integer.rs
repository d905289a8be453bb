//! Integer histograms, as they stand in exposition and remote write: counts as differences of neighbours.

use super::{CounterResetHint, Histogram, Span, error::InvalidHistogram};

/// A native histogram with integer counts. Buckets are deltas: the first is absolute, each next one is the difference
/// to the bucket before it, across spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntegerHistogram {
    /// As in [`Histogram::schema`].
    pub schema: i32,
    /// Counter resets.
    pub hint: CounterResetHint,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Deltas of the positive buckets.
    pub positive_deltas: Vec<i64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Deltas of the negative buckets.
    pub negative_deltas: Vec<i64>,
    /// As in [`Histogram::custom_values`].
    pub custom_values: Vec<f64>,
}

/// Absolute counts from deltas, appended to `out`. Sums wrap around instead of panicking.
pub fn absolute_counts(deltas: &[i64], out: &mut Vec<f64>) {
    let mut count = 0i64;
    out.extend(deltas.iter().map(|d| {
        count = count.wrapping_add(*d);
        count as f64
    }));
}

impl IntegerHistogram {
    /// Checks the histogram, and that its counts add up: exactly, or to at most the count if there were NaN
    /// observations.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        self.to_float().validate()?;
        let mut found = self.zero_count;
        for deltas in [&self.positive_deltas, &self.negative_deltas] {
            let mut count = 0i64;
            for d in deltas {
                count = count.wrapping_add(*d);
                found = found.wrapping_add(count as u64);
            }
        }
        let exact = !self.sum.is_nan();
        if found > self.count || (exact && found != self.count) {
            return Err(InvalidHistogram::CountMismatch { found, count: self.count, exact });
        }
        Ok(())
    }

    /// The same histogram with absolute float counts.
    pub fn to_float(&self) -> Histogram {
        let absolute = |deltas: &[i64]| {
            let mut out = Vec::with_capacity(deltas.len());
            absolute_counts(deltas, &mut out);
            out
        };
        Histogram {
            schema: self.schema,
            hint: self.hint,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            positive_buckets: absolute(&self.positive_deltas),
            negative_spans: self.negative_spans.clone(),
            negative_buckets: absolute(&self.negative_deltas),
            custom_values: self.custom_values.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_become_absolute_counts() {
        let mut h = IntegerHistogram {
            count: 12,
            zero_count: 2,
            sum: 3.5,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 2 }],
            positive_deltas: vec![1, 2, -2, 4],
            ..IntegerHistogram::default()
        };
        assert_eq!(h.to_float().positive_buckets, [1.0, 3.0, 1.0, 5.0]);
        assert_eq!(h.validate(), Ok(()));
        h.count = 13;
        assert_eq!(
            h.validate().unwrap_err().to_string(),
            "12 observations found in buckets, but the Count field is 13: histogram's observation count should equal \
             the number of observations found in the buckets (in absence of NaN)"
        );
        h.sum = f64::NAN;
        assert_eq!(h.validate(), Ok(()));
        h.positive_deltas[1] = -7;
        assert!(h.validate().unwrap_err().to_string().starts_with("positive side: bucket number 2"));
    }
}
