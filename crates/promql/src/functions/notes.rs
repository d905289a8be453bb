//! Warnings and infos of functions, in upstream's words.

use reba_model::{
    float::{format_g, go_quote},
    histogram::Combined,
};

use crate::eval::value::KernelContext;

/// What is done to histograms when a note about their combination is due.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        }
    }
}

/// `text`, with the metric's name behind it if it has one.
pub(super) fn for_metric(text: &str, name: &str) -> String {
    if name.is_empty() { text.to_owned() } else { format!("{text} for metric name {}", go_quote(name)) }
}

pub(super) fn mixed_floats_histograms(cx: &mut KernelContext<'_>) {
    let text =
        format!("encountered a mix of histograms and floats for metric name {}", go_quote(cx.metric_name()));
    cx.annotations.warn(cx.pos(0), text);
}

pub(super) fn histograms_ignored(cx: &mut KernelContext<'_>) {
    let text = format!(
        "ignored histograms in a range containing both floats and histograms for metric name {}",
        go_quote(cx.metric_name())
    );
    cx.annotations.info(cx.pos(0), text);
}

pub(super) fn mixed_exponential_custom(cx: &mut KernelContext<'_>) {
    let text = format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
        go_quote(cx.metric_name())
    );
    cx.annotations.warn(cx.pos(0), text);
}

pub(super) fn not_a_counter(cx: &mut KernelContext<'_>) {
    let text = format!("this native histogram metric is not a counter: {}", go_quote(cx.metric_name()));
    cx.annotations.warn(cx.pos(0), text);
}

pub(super) fn not_a_gauge(cx: &mut KernelContext<'_>) {
    let text = format!("this native histogram metric is not a gauge: {}", go_quote(cx.metric_name()));
    cx.annotations.warn(cx.pos(0), text);
}

pub(super) fn bounds_reconciled(cx: &mut KernelContext<'_>, operation: Operation) {
    let text = format!("mismatched custom buckets were reconciled during {}", operation.as_str());
    cx.annotations.info(cx.pos(0), text);
}

pub(super) fn hint_collision(cx: &mut KernelContext<'_>, operation: Operation) {
    let text = format!("conflicting counter resets during histogram {}", operation.as_str());
    cx.annotations.warn(cx.pos(0), text);
}

/// Notes only that bounds were reconciled: where resets are treated one by one, hints may collide.
pub(super) fn combined(cx: &mut KernelContext<'_>, combined: Combined, operation: Operation) {
    if combined.bounds_reconciled {
        bounds_reconciled(cx, operation);
    }
}

/// Warns of quantiles outside 0 to 1, given as argument `arg`.
pub(super) fn check_quantiles(cx: &mut KernelContext<'_>, qs: &[f64], arg: usize) {
    let mut last = None;
    for q in qs.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        // Most arguments are constant: say it once.
        if last.replace(q.to_bits()) != Some(q.to_bits()) {
            let text = format!("quantile value should be between 0 and 1, got {}", format_g(*q));
            cx.annotations.warn(cx.pos(arg), text);
        }
    }
}
