//! Properties that hold for every kernel.

use std::sync::Arc;

use proptest::prelude::*;
use reba_model::{CounterResetHint, Histogram, HistogramSample, Labels, Span};

use super::*;
use crate::eval::{
    annotations::Annotations,
    value::{Column, KernelContext, Point, RangeMode, Steps, VectorArg, VectorSeries, Window},
};

fn context<'a>(labels: &'a Labels, annotations: &'a mut Annotations) -> KernelContext<'a> {
    KernelContext { t: 500, labels, call_pos: 0, arg_pos: &[], delayed_name_removal: true, annotations }
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -9.0..9.0, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

/// Histograms of every kind, malformed ones among them.
fn any_histogram() -> impl Strategy<Value = Arc<Histogram>> {
    let spans = || {
        let length = prop_oneof![4 => 0u32..4, 1 => any::<u32>()];
        let span = (prop_oneof![4 => -2i32..4, 1 => any::<i32>()], length);
        proptest::collection::vec(span.prop_map(|(offset, length)| Span { offset, length }), 0..3)
    };
    let floats = |n| proptest::collection::vec(any_float(), 0..n);
    let schema = prop_oneof![3 => -4i32..=8, 2 => Just(-53), 1 => any::<i32>()];
    let hint = prop_oneof![
        Just(CounterResetHint::Unknown),
        Just(CounterResetHint::CounterReset),
        Just(CounterResetHint::NotCounterReset),
        Just(CounterResetHint::Gauge)
    ];
    (schema, hint, spans(), floats(6), spans(), floats(6), floats(4), any_float()).prop_map(
        |(
            schema,
            hint,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values,
            x,
        )| {
            Arc::new(Histogram {
                schema,
                hint,
                zero_threshold: x,
                zero_count: 1.0,
                count: x,
                sum: x,
                positive_spans,
                positive_buckets,
                negative_spans,
                negative_buckets,
                custom_values,
            })
        },
    )
}

proptest! {
    #[test]
    fn no_window_makes_a_kernel_panic(
        floats in proptest::collection::btree_map(0i64..1000, any_float(), 0..6),
        histograms in proptest::collection::btree_map(0i64..1000, any_histogram(), 0..5),
        start in -200i64..1000, range in 0i64..1200, args in proptest::collection::vec(any_float(), 2),
        mode in prop_oneof![Just(RangeMode::Plain), Just(RangeMode::Anchored), Just(RangeMode::Smoothed)],
    ) {
        prop_assume!(!floats.is_empty() || !histograms.is_empty());
        let inside = |t: &i64| mode != RangeMode::Plain || (start < *t && *t <= start + range);
        let (t, v): (Vec<i64>, Vec<f64>) = floats.into_iter().filter(|(t, _)| inside(t)).unzip();
        let h: Vec<HistogramSample> =
            histograms.into_iter().filter(|(t, _)| inside(t)).map(|(t, h)| HistogramSample { t, h }).collect();
        prop_assume!(!t.is_empty() || !h.is_empty());
        let labels = Labels::empty();
        for func in Func::ALL {
            let Some(kernel) = range_kernel(func) else { continue };
            let w = Window { t: &t, v: &v, h: &h, start, end: start + range, mode };
            let mut annotations = Annotations::new();
            let a = kernel(&w, &args, &mut context(&labels, &mut annotations));
            let b = kernel(&w, &args, &mut context(&labels, &mut annotations));
            prop_assert_eq!(std::mem::discriminant(&a), std::mem::discriminant(&b));
        }
    }

    #[test]
    fn no_element_makes_a_kernel_panic(
        v in any_float(), h in any_histogram(), args in proptest::collection::vec(any_float(), 0..3),
    ) {
        let labels = Labels::empty();
        for func in Func::ALL {
            let Some(kernel) = element_kernel(func) else { continue };
            for point in [Point::Float(v), Point::Histogram(Arc::clone(&h))] {
                let mut annotations = Annotations::new();
                let of_kind = matches!(point, Point::Float(_));
                let result = kernel(point, &args, &mut context(&labels, &mut annotations));
                let for_histograms = func.name().starts_with("histogram_");
                if of_kind == for_histograms {
                    prop_assert_eq!(result, Point::Absent);
                }
            }
        }
    }

    #[test]
    fn no_vector_makes_a_kernel_panic(
        classic in proptest::collection::vec((any_float(), any_float(), any_float()), 0..5),
        native in proptest::collection::vec((any_histogram(), any_float()), 0..3),
        q in any_float(), p in any_float(),
    ) {
        let steps = Steps { start: 0, interval: 1, count: 2 };
        let mut series: Vec<VectorSeries> = classic
            .into_iter()
            .map(|(le, a, b)| VectorSeries {
                labels: Labels::from_pairs([("le", le.to_string())]),
                drop_name: false,
                column: Column::floats(vec![a, b]),
            })
            .collect();
        for (h, v) in native {
            let mut column = Column::absent(2);
            column.set(0, Point::Histogram(h));
            column.set(1, Point::Float(v));
            series.push(VectorSeries { labels: Labels::empty(), drop_name: false, column });
        }
        let vector = || VectorArg::Vector(series.clone());
        let scalar = |x| VectorArg::Scalar(vec![x; 2]);
        let label = VectorArg::String("q".to_owned());
        let labels = Labels::empty();
        for (func, args) in [
            (Func::HistogramQuantile, vec![scalar(q), vector()]),
            (Func::HistogramQuantiles, vec![vector(), label, scalar(q), scalar(p)]),
            (Func::HistogramFraction, vec![scalar(q), scalar(p), vector()]),
        ] {
            let mut annotations = Annotations::new();
            let out = vector_kernel(func).unwrap()(args, &steps, &mut context(&labels, &mut annotations)).unwrap();
            prop_assert!(out.iter().all(|s| s.column.len() == 2 && !s.column.has_histograms()));
        }
    }
}

#[test]
fn factors_of_smoothing_lie_between_zero_and_one() {
    let check = |args: [f64; 2]| check_arguments(Func::HoltWinters, &args);
    assert_eq!(check([0.5, 0.1]), Ok(()));
    let error = |s: &str| Err(s.to_owned());
    assert_eq!(check([1.0, 0.1]), error("invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000"));
    assert_eq!(check([0.5, -0.1]), error("invalid trend factor. Expected: 0 < tf < 1, got: -0.100000"));
    assert_eq!(check_arguments(Func::PredictLinear, &[-7.0]), Ok(()));
}

#[test]
fn every_function_of_ranges_and_elements_has_a_kernel() {
    let elsewhere = [
        "absent",
        "end",
        "info",
        "label_join",
        "label_replace",
        "max_of",
        "min_of",
        "pi",
        "range",
        "scalar",
        "sort",
        "sort_by_label",
        "sort_by_label_desc",
        "sort_desc",
        "start",
        "start_timestamp",
        "step",
        "time",
        "timestamp",
        "vector",
    ];
    for func in Func::ALL {
        let kernels =
            [range_kernel(func).is_some(), element_kernel(func).is_some(), vector_kernel(func).is_some()];
        let expected = usize::from(!elsewhere.contains(&func.name()));
        assert_eq!(kernels.iter().filter(|k| **k).count(), expected, "{}", func.name());
    }
}
