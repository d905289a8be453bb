//! Whether a histogram can be what it claims.

use super::{
    CUSTOM_BUCKETS_SCHEMA, Histogram, Span,
    error::{BucketProblem, InvalidHistogram},
    is_exponential_schema, is_known_schema,
};

const POSITIVE: &str = "positive side";
const NEGATIVE: &str = "negative side";
const CUSTOM: &str = "custom buckets";

impl Histogram {
    /// Checks that spans fit the counts, nothing is negative, and that there is nothing the schema does not have.
    /// That the count is at least the sum of all buckets is not checked: rounding would make false alarms.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            check_custom(self)?;
        } else if is_exponential_schema(self.schema) {
            check_exponential(self)?;
        } else {
            return Err(InvalidHistogram::Schema(self.schema));
        }
        if self.count < 0.0 {
            return Err(InvalidHistogram::NegativeCount(self.count));
        }
        in_side(POSITIVE, check_counts(&self.positive_buckets))
    }

    /// Brings a schema that is known but too fine (9 to 52) to the finest supported one, 8.
    pub fn normalize_schema(&mut self) -> Result<(), InvalidHistogram> {
        if !is_known_schema(self.schema) {
            return Err(InvalidHistogram::Schema(self.schema));
        }
        if self.schema > super::MAX_EXPONENTIAL_SCHEMA {
            self.reduce_resolution(super::MAX_EXPONENTIAL_SCHEMA);
        }
        Ok(())
    }
}

fn in_side(side: &'static str, r: Result<(), BucketProblem>) -> Result<(), InvalidHistogram> {
    r.map_err(|problem| InvalidHistogram::Buckets { side, problem })
}

fn check_custom(h: &Histogram) -> Result<(), InvalidHistogram> {
    in_side(CUSTOM, check_bounds(&h.custom_values, &h.positive_spans))?;
    in_side(CUSTOM, check_spans(&h.positive_spans, h.positive_buckets.len()))?;
    let refuse =
        |if_true, what| if if_true { Err(InvalidHistogram::NotForCustomBuckets(what)) } else { Ok(()) };
    refuse(h.zero_count != 0.0, "have zero count of 0")?;
    refuse(h.zero_threshold != 0.0, "have zero threshold of 0")?;
    refuse(!h.negative_spans.is_empty(), "not have negative spans")?;
    refuse(!h.negative_buckets.is_empty(), "not have negative buckets")
}

fn check_exponential(h: &Histogram) -> Result<(), InvalidHistogram> {
    in_side(POSITIVE, check_spans(&h.positive_spans, h.positive_buckets.len()))?;
    in_side(NEGATIVE, check_spans(&h.negative_spans, h.negative_buckets.len()))?;
    in_side(NEGATIVE, check_counts(&h.negative_buckets))?;
    if h.zero_count < 0.0 {
        return Err(InvalidHistogram::NegativeZeroCount(h.zero_count));
    }
    if h.custom_values.is_empty() { Ok(()) } else { Err(InvalidHistogram::CustomBounds) }
}

fn check_spans(spans: &[Span], have: usize) -> Result<(), BucketProblem> {
    let mut need = 0u64;
    for (i, s) in spans.iter().enumerate() {
        if i > 0 && s.offset < 0 {
            return Err(BucketProblem::NegativeOffset { number: i + 1, offset: s.offset });
        }
        need += u64::from(s.length);
    }
    if need == have as u64 { Ok(()) } else { Err(BucketProblem::SpansMismatch { need, have }) }
}

fn check_counts(counts: &[f64]) -> Result<(), BucketProblem> {
    match counts.iter().position(|c| *c < 0.0) {
        Some(i) => Err(BucketProblem::NegativeCount { number: i + 1, count: counts[i] }),
        None => Ok(()),
    }
}

fn check_bounds(bounds: &[f64], spans: &[Span]) -> Result<(), BucketProblem> {
    if bounds.iter().any(|b| b.is_nan()) {
        return Err(BucketProblem::NanBound);
    }
    if let Some(w) = bounds.windows(2).find(|w| w[1] <= w[0]) {
        return Err(BucketProblem::BoundsNotRising { previous: w[0], current: w[1] });
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err(BucketProblem::InfiniteBound);
    }
    if let Some(i) = spans.iter().position(|s| s.offset < 0) {
        return Err(BucketProblem::NegativeOffset { number: i + 1, offset: spans[i].offset });
    }
    let length = spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
    if (bounds.len() as i64) + 1 < length {
        return Err(BucketProblem::TooFewBounds { bounds: bounds.len(), length });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_named_as_upstream_names_them() {
        let span = |offset, length| Span { offset, length };
        let good = Histogram {
            positive_spans: vec![span(0, 2)],
            positive_buckets: vec![1.0, 2.0],
            count: 3.0,
            ..Histogram::default()
        };
        let custom = Histogram { schema: CUSTOM_BUCKETS_SCHEMA, custom_values: vec![1.0], ..good.clone() };
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(custom.validate(), Ok(()));
        let text = |h: Histogram| h.validate().unwrap_err().to_string();
        assert_eq!(
            text(Histogram { positive_spans: vec![span(0, 1), span(-1, 1)], ..good.clone() }),
            "positive side: span number 2 with offset -1: histogram has a span whose offset is negative"
        );
        assert_eq!(
            text(Histogram { negative_spans: vec![span(0, 1)], ..good.clone() }),
            "negative side: spans need 1 buckets, have 0 buckets: \
             histogram spans specify different number of buckets than provided"
        );
        assert_eq!(
            text(Histogram { positive_buckets: vec![1.0, -2.0], ..good.clone() }),
            "positive side: bucket number 2 has observation count of -2: \
             histogram has a bucket whose observation count is negative"
        );
        assert_eq!(
            text(Histogram { schema: 9, ..good.clone() }),
            "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, \
             or -53 for custom buckets, got schema 9"
        );
        assert_eq!(
            text(Histogram { zero_count: 1.0, ..custom.clone() }),
            "custom buckets: must have zero count of 0"
        );
        assert_eq!(
            text(Histogram { custom_values: vec![2.0, 1.0], ..custom.clone() }),
            "custom buckets: previous bound is 2.000000 and current is 1.000000: \
             histogram custom bounds must be in strictly increasing order"
        );
        assert_eq!(
            text(Histogram { custom_values: vec![], ..custom }),
            "custom buckets: only 0 custom bounds defined which is insufficient to cover total span length of 2: \
             histogram custom bounds are too few"
        );
        assert_eq!(
            text(Histogram { custom_values: vec![1.0], ..good }),
            "histogram with exponential schema must not have custom bounds"
        );
    }

    #[test]
    fn schemas_that_are_too_fine_are_reduced() {
        let mut h = Histogram {
            schema: 10,
            positive_spans: vec![Span { offset: 1, length: 8 }],
            positive_buckets: vec![1.0; 8],
            ..Histogram::default()
        };
        assert_eq!(h.normalize_schema(), Ok(()));
        assert_eq!((h.schema, &h.positive_buckets[..]), (8, &[4.0, 4.0][..]));
        h.schema = 53;
        assert!(h.normalize_schema().is_err());
    }
}
