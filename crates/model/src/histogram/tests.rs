//! Algebra of histograms: worked examples and properties.

use proptest::prelude::*;

use super::*;

fn h(s: &str) -> Histogram {
    parse_notation(s).unwrap().0
}

fn sum(a: &str, b: &str) -> (Histogram, Combined) {
    let mut a = h(a);
    let combined = a.add(&h(b)).unwrap();
    a.compact(0);
    (a, combined)
}

#[test]
fn sums_reconcile_layouts_schemas_and_zero_buckets() {
    for (a, b, want) in [
        (
            "{{count:5 sum:1 buckets:[1 1 3]}}",
            "{{count:7 sum:2 offset:-1 buckets:[2 0 1 4]}}",
            "{{count:12 sum:3 offset:-1 buckets:[2 1 2 7]}}",
        ),
        // Schema 1 has the buckets of schema 0 in halves: (1, 1.41] and (1.41, 2] are one.
        (
            "{{schema:1 count:6 offset:1 buckets:[1 2 3]}}",
            "{{schema:0 count:3 offset:1 buckets:[1 2]}}",
            "{{schema:0 count:9 offset:1 buckets:[4 5]}}",
        ),
        // A zero bucket of 1 swallows the buckets up to 1 of the other.
        (
            "{{count:7 z_bucket:1 z_bucket_w:0.25 offset:-1 buckets:[1 2 3] n_buckets:[1]}}",
            "{{count:9 z_bucket:2 z_bucket_w:1 offset:1 buckets:[7]}}",
            "{{count:16 z_bucket:7 z_bucket_w:1 offset:1 buckets:[10]}}",
        ),
        // A zero bucket of 0.75 ends inside the populated bucket (0.5, 1], and grows to 1.
        (
            "{{count:5 z_bucket:1 z_bucket_w:0.25 buckets:[4]}}",
            "{{count:2 z_bucket:2 z_bucket_w:0.75}}",
            "{{count:7 z_bucket:7 z_bucket_w:1}}",
        ),
        (
            "{{schema:-53 count:3 custom_values:[1 2] buckets:[1 1 1]}}",
            "{{schema:-53 count:4 custom_values:[1 2] offset:1 buckets:[1 3]}}",
            "{{schema:-53 count:7 custom_values:[1 2] buckets:[1 2 4]}}",
        ),
    ] {
        let (got, combined) = sum(a, b);
        assert_eq!(got, h(want), "{a} + {b} = {got}");
        assert_eq!(sum(b, a).0, got, "sums commute");
        assert_eq!(combined, Combined::default());
        let mut kahan = HistogramSum::new(h(a));
        kahan.add(&h(b)).unwrap();
        let mut kahan = kahan.finish();
        kahan.compact(0);
        assert_eq!(kahan, got);
    }
}

#[test]
fn custom_bounds_that_differ_are_reconciled_to_those_in_common() {
    let (got, combined) = sum(
        "{{schema:-53 count:6 custom_values:[1 2 5] buckets:[1 2 3]}}",
        "{{schema:-53 count:4 custom_values:[2 5 9] buckets:[1 1 1 1] counter_reset_hint:gauge}}",
    );
    let want = h("{{schema:-53 count:10 custom_values:[2 5] buckets:[4 4 2] counter_reset_hint:gauge}}");
    assert_eq!(got, want);
    assert!(combined.bounds_reconciled);
    assert_eq!(h("{{}}").add(&want), Err(IncompatibleSchemas));
}

#[test]
fn scaling_keeps_the_layout_and_division_by_zero_drops_it() {
    let mut a = h("{{count:4 sum:8 z_bucket:2 buckets:[2]}}");
    a.mul(0.5);
    assert_eq!(a, h("{{count:2 sum:4 z_bucket:1 buckets:[1]}}"));
    a.div(-1.0);
    assert_eq!(a.hint, CounterResetHint::Gauge);
    a.div(0.0);
    assert_eq!((a.count, a.sum, a.positive_spans.len()), (f64::NEG_INFINITY, f64::NEG_INFINITY, 0));
    assert!(a.has_overflow());
}

#[test]
fn compacting_removes_or_fills_gaps() {
    let mut a = h("{{count:3 buckets:[0 1 0 0 2 0]}}");
    a.compact(2);
    assert_eq!(a, h("{{count:3 offset:1 buckets:[1 0 0 2]}}"));
    a.compact(1);
    assert_eq!(a.positive_spans, [Span { offset: 1, length: 1 }, Span { offset: 2, length: 1 }]);
    assert_eq!(a.positive_buckets, [1.0, 2.0]);
    assert!(!a.equals(&h("{{count:3 offset:1 buckets:[1 0 0 2]}}")));
    a.compact(2);
    assert!(a.equals(&h("{{count:3 offset:1 buckets:[1 0 0 2]}}")));
}

#[test]
fn quantiles_and_fractions_interpolate() {
    let exponential = h("{{count:12 sum:20 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[4 6]}}");
    assert_eq!(exponential.quantile(0.0), (0.0, None));
    // Half of (1, 2] on a logarithmic scale.
    let (median_of_first, _) = exponential.quantile(4.0 / 12.0);
    assert!((median_of_first - 2f64.sqrt()).abs() < 1e-12);
    assert_eq!(exponential.quantile(1.0), (4.0, None));
    assert_eq!(exponential.quantile(-0.1).0, f64::NEG_INFINITY);
    assert_eq!(exponential.quantile(1.1).0, f64::INFINITY);
    assert!(exponential.quantile(f64::NAN).0.is_nan());
    let (half, _) = exponential.fraction(2f64.sqrt(), f64::INFINITY);
    assert!((half - 8.0 / 12.0).abs() < 1e-12);
    assert_eq!(exponential.fraction(2.0, 1.0), (0.0, false));
    let custom = h("{{schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[2 1 1]}}");
    assert_eq!(custom.quantile(0.25).0, 2.5);
    assert_eq!(custom.quantile(0.99).0, 10.0);
    assert_eq!(custom.fraction(0.0, 7.5).0, 0.625);
    assert_eq!((custom.avg(), custom.stdvar().is_infinite()), (2.25, true));
    assert!(h("{{}}").quantile(0.5).0.is_nan());
}

#[test]
fn the_deviation_takes_observations_as_the_middle_of_their_bucket() {
    let a = h("{{count:4 sum:10 buckets:[1 2] z_bucket:1}}");
    // 0, sqrt(0.5), and twice sqrt(2), around a mean of 2.5.
    let square = |x: f64| (x - 2.5) * (x - 2.5);
    let want = (square(0.0) + square(0.5f64.sqrt()) + 2.0 * square(2f64.sqrt())) / 4.0;
    assert!((a.stdvar() - want).abs() < 1e-12);
    assert!((a.stddev() - want.sqrt()).abs() < 1e-12);
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let side = || (-6i32..6, proptest::collection::vec(0u32..5, 0..10));
    (-4i32..=8, 0u32..4, 0u32..3, side(), side()).prop_map(|(schema, zero, width, positive, negative)| {
        let mut a = Histogram { schema, ..Histogram::default() };
        let spans = |(offset, counts): &(i32, Vec<u32>)| {
            if counts.is_empty() {
                Vec::new()
            } else {
                vec![Span { offset: *offset, length: counts.len() as u32 }]
            }
        };
        a.positive_spans = spans(&positive);
        a.negative_spans = spans(&negative);
        a.positive_buckets = positive.1.iter().copied().map(f64::from).collect();
        a.negative_buckets = negative.1.iter().copied().map(f64::from).collect();
        if width > 0 {
            (a.zero_count, a.zero_threshold) = (f64::from(zero), f64::from(width) * 1e-3);
            // A side does not begin below the zero bucket.
            a.positive_spans
                .iter_mut()
                .chain(&mut a.negative_spans)
                .for_each(|s| s.offset = s.offset.abs() + 1);
        }
        a.count = a.zero_count + a.positive_buckets.iter().chain(&a.negative_buckets).sum::<f64>();
        a.sum = a.count * 1.5;
        a
    })
}

/// Histograms as a broken or hostile sender may write them.
fn malformed() -> impl Strategy<Value = Histogram> {
    let spans = || {
        let span = (prop_oneof![-3i32..6, any::<i32>()], prop_oneof![0u32..4, any::<u32>()]);
        proptest::collection::vec(span.prop_map(|(offset, length)| Span { offset, length }), 0..4)
    };
    let counts = || {
        let count = prop_oneof![0.0..9.0, Just(f64::NAN), Just(f64::INFINITY), -5.0..0.0];
        proptest::collection::vec(count, 0..6)
    };
    let schema = prop_oneof![-4i32..=8, Just(-53), any::<i32>()];
    let width = prop_oneof![0.0..2.0, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)];
    (schema, width, spans(), counts(), spans(), counts(), counts()).prop_map(
        |(schema, width, ps, pc, ns, nc, custom)| Histogram {
            schema,
            zero_threshold: width,
            zero_count: 1.0,
            count: pc.iter().sum(),
            positive_spans: ps,
            positive_buckets: pc,
            negative_spans: ns,
            negative_buckets: nc,
            custom_values: custom,
            ..Histogram::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn subtracting_what_was_added_leaves_the_rest(a in any_histogram(), b in any_histogram()) {
        let mut both = a.clone();
        both.add(&b).unwrap();
        let total = both.all_buckets().map(|x| x.count).sum::<f64>();
        prop_assert_eq!(total, a.count + b.count, "no observation is lost");
        prop_assert_eq!(both.count, a.count + b.count);
        let mut rest = both.clone();
        rest.sub(&b).unwrap();
        // What is left is `a` in the shape of the sum.
        let mut want = a.clone();
        let empty = Histogram { count: 0.0, sum: 0.0, ..both.clone() };
        let mut shape = empty;
        shape.mul(0.0);
        want.add(&shape).unwrap();
        rest.compact(0);
        want.compact(0);
        prop_assert!(rest.equals(&want), "{rest} {want}");
    }

    #[test]
    fn kahan_sums_of_integers_equal_plain_sums(parts in proptest::collection::vec(any_histogram(), 2..6)) {
        let mut plain = parts[0].clone();
        let mut kahan = HistogramSum::new(parts[0].clone());
        for p in &parts[1..] {
            plain.add(p).unwrap();
            kahan.add(p).unwrap();
        }
        let mut kahan = kahan.finish();
        kahan.compact(0);
        plain.compact(0);
        prop_assert!(kahan.equals(&plain), "{kahan} {plain}");
    }

    #[test]
    fn a_grown_histogram_was_not_reset_and_a_shrunk_one_was(a in any_histogram(), b in any_histogram()) {
        let mut grown = a.clone();
        grown.add(&b).unwrap();
        prop_assert!(!grown.detect_reset(&a), "{grown} after {a}");
        prop_assert!(!a.detect_reset(&a));
        if b.count > 0.0 && grown.schema == a.schema && grown.zero_threshold == a.zero_threshold {
            prop_assert!(a.detect_reset(&grown), "{a} after {grown}");
        }
    }

    #[test]
    fn quantiles_rise_and_are_numbers(a in any_histogram(), qs in proptest::collection::vec(0.0..=1.0f64, 2..8)) {
        prop_assume!(a.count > 0.0);
        let mut qs = qs;
        qs.sort_by(f64::total_cmp);
        let values: Vec<f64> = qs.iter().map(|q| a.quantile(*q).0).collect();
        prop_assert!(values.iter().all(|v| v.is_finite()), "{a}: {values:?}");
        prop_assert!(values.windows(2).all(|w| w[0] <= w[1] + 1e-9 * w[1].abs()), "{a}: {qs:?} {values:?}");
    }

    #[test]
    fn a_quantile_is_the_inverse_of_a_fraction(a in any_histogram(), q in 0.01..0.99f64) {
        prop_assume!(a.count > 0.0);
        let at = a.quantile(q).0;
        let (below, _) = a.fraction(f64::NEG_INFINITY, at);
        let (below_and_at, _) = a.fraction(f64::NEG_INFINITY, at + at.abs() * 1e-6 + 1e-9);
        prop_assert!(below <= q + 1e-6 && q <= below_and_at + 1e-6, "{a}: {q} {at} {below} {below_and_at}");
    }

    #[test]
    fn reducing_the_resolution_keeps_all_observations(a in any_histogram(), steps in 0i32..6) {
        let b = a.copy_to_schema((a.schema - steps).max(MIN_EXPONENTIAL_SCHEMA));
        prop_assert_eq!(b.all_buckets().map(|x| x.count).sum::<f64>(), a.count);
        prop_assert!(!b.detect_reset(&a));
        prop_assert_eq!(b.validate(), Ok(()));
    }

    #[test]
    fn nothing_panics_on_malformed_histograms(a in malformed(), b in malformed(), q in any::<f64>()) {
        let _ = (a.validate(), a.detect_reset(&b), a.quantile(q), a.fraction(q, b.sum), a.stddev(), a.to_string());
        let _ = (a.notation(), a.equals(&b));
        let (mut sum, mut difference, mut trimmed) = (a.clone(), a.clone(), a.clone());
        let _ = (sum.add(&b), difference.sub(&b));
        let mut kahan = HistogramSum::new(a.clone());
        let _ = kahan.add(&b);
        kahan.div(2.0);
        kahan.finish().compact(3);
        trimmed.trim(q, Trim::KeepBelow);
        trimmed.trim(q, Trim::KeepAbove);
        sum.reduce_resolution(-4);
        let _ = sum.normalize_schema();
        let mut json = String::new();
        difference.write_json(&mut json);
    }
}

#[test]
fn a_zero_bucket_that_grows_to_the_end_of_a_bucket_holds_its_observations_once() {
    let mut fine = h("{{schema:-1 count:1 n_offset:-4 n_buckets:[1]}}");
    fine.add(&h("{{schema:-4 z_bucket_w:0.001}}")).unwrap();
    assert_eq!(fine, h("{{schema:-4 count:1 z_bucket:1 z_bucket_w:0.00390625}}"));
}
