//! Measures functions over windows: the plain kernel on every window against the form over a whole column.
//!
//! `cargo run --release -p reba-promql --example rolling`
//!
//! One day of a counter and of a gauge, a sample every 15 s, a step every minute.
#![allow(clippy::print_stdout, reason = "this is a program for people")]

use std::time::Instant;

use reba_model::Labels;
use reba_promql::{
    eval::{
        annotations::Annotations,
        value::{KernelContext, Point, RangeMode, Window},
    },
    functions::{
        range_kernel,
        rolling::{Shared, Windows, rolling_kernel},
    },
    syntax::Func,
};

const STEP: i64 = 60_000;
const SAMPLES: i64 = 5_760;

fn main() {
    let t: Vec<i64> = (0..SAMPLES).map(|i| i * 15_000 + i * 7919 % 400).collect();
    // A counter of requests that is reset now and then, and a gauge with decimals.
    let counter: Vec<f64> = (0..SAMPLES).map(|i| (i % 1_900 * 7 + i % 3) as f64).collect();
    let gauge: Vec<f64> = (0..SAMPLES).map(|i| (i * 7919 % 1009) as f64 * 0.1).collect();
    println!(
        "{:<16} {:>6} {:>8} {:>14} {:>14} {:>8}",
        "function", "range", "values", "plain ns", "rolling ns", "ratio"
    );
    for func in [
        Func::Rate,
        Func::Increase,
        Func::Resets,
        Func::SumOverTime,
        Func::AvgOverTime,
        Func::MaxOverTime,
        Func::CountOverTime,
    ] {
        for range in [300_000, 3_600_000] {
            for (name, v) in [("integer", &counter), ("decimal", &gauge)] {
                measure(func, range, name, &t, v);
            }
        }
    }
}

/// Prints nanoseconds a window.
fn measure(func: Func, range: i64, name: &str, t: &[i64], v: &[f64]) {
    let (Some(plain), Some(rolling)) = (range_kernel(func), rolling_kernel(func)) else { return };
    let ends: Vec<i64> = (0..SAMPLES * 15_000 / STEP).map(|i| i * STEP).collect();
    let position = |at: i64| t.partition_point(|x| *x <= at) as u32;
    let samples: Vec<(u32, u32)> = ends.iter().map(|e| (position(e - range), position(*e))).collect();
    let labels = Labels::empty();
    let mut annotations = Annotations::new();
    let rounds = 200;
    let mut sum = 0.0;
    let begin = Instant::now();
    for _ in 0..rounds {
        for (end, (from, to)) in ends.iter().zip(&samples) {
            let (from, to) = (*from as usize, *to as usize);
            let w = Window {
                t: &t[from..to],
                v: &v[from..to],
                h: &[],
                start: end - range,
                end: *end,
                mode: RangeMode::Plain,
            };
            let mut cx = KernelContext {
                t: *end,
                labels: &labels,
                call_pos: 0,
                arg_pos: &[],
                delayed_name_removal: false,
                annotations: &mut annotations,
            };
            if let Point::Float(x) = plain(&w, &[], &mut cx) {
                sum += x;
            }
        }
    }
    let plain_time = begin.elapsed();
    let windows = Windows { t, v, samples: &samples, ends: &ends, range };
    let (mut out, mut shared) = (Vec::with_capacity(ends.len()), Shared::default());
    let begin = Instant::now();
    for _ in 0..rounds {
        out.clear();
        rolling(&windows, &mut shared, &mut out);
        sum += out[out.len() - 1];
    }
    let rolling_time = begin.elapsed();
    let ns = |d: std::time::Duration| d.as_nanos() as f64 / (rounds * ends.len()) as f64;
    let (a, b) = (ns(plain_time), ns(rolling_time));
    println!("{:<16} {:>6} {name:>8} {a:>14.1} {b:>14.1} {:>8.1}", func.name(), range / 1000, a / b);
    assert!(!sum.is_infinite());
}
