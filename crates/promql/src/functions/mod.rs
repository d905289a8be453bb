//! What the functions of PromQL compute.
//!
//! A kernel is a plain function over slices: the evaluator finds samples, moves windows, evaluates arguments and drops
//! names. Three shapes exist (see `eval::value`): over a window of samples, over one element, over a whole vector.
//! For many windows over one column of floats some functions have a faster form with the same results, see [`rolling`];
//! for downsampled data some have a form of their own, see [`rollups`].

mod classic;
mod counters;
mod element;
mod extended;
mod histogram_vector;
mod instant;
mod notes;
mod over_time;
mod over_time_histograms;
mod quantile;
mod rate;
mod rate_histograms;
mod regression;
pub mod rolling;
pub mod rollups;
mod time;

pub use classic::{ClassicBucket, Repair, bucket_fraction, bucket_quantile};
pub use quantile::quantile;

use crate::{
    eval::value::{ElementKernel, RangeKernel, VectorKernel},
    syntax::Func,
};

/// The kernel of a function whose vector argument is a range vector.
pub fn range_kernel(func: Func) -> Option<RangeKernel> {
    Some(match func {
        Func::Rate => rate::rate,
        Func::Increase => rate::increase,
        Func::Delta => rate::delta,
        Func::Irate => instant::irate,
        Func::Idelta => instant::idelta,
        Func::Changes => counters::changes,
        Func::Resets => counters::resets,
        Func::Deriv => regression::deriv,
        Func::PredictLinear => regression::predict_linear,
        Func::DoubleExponentialSmoothing | Func::HoltWinters => regression::double_exponential_smoothing,
        Func::AvgOverTime => over_time::avg,
        Func::SumOverTime => over_time::sum,
        Func::MinOverTime => over_time::min,
        Func::MaxOverTime => over_time::max,
        Func::CountOverTime => over_time::count,
        Func::PresentOverTime | Func::AbsentOverTime => over_time::present,
        Func::FirstOverTime => over_time::first,
        Func::LastOverTime => over_time::last,
        Func::StddevOverTime => over_time::stddev,
        Func::StdvarOverTime => over_time::stdvar,
        Func::TsOfFirstOverTime => over_time::ts_of_first,
        Func::TsOfLastOverTime => over_time::ts_of_last,
        Func::TsOfMinOverTime => over_time::ts_of_min,
        Func::TsOfMaxOverTime => over_time::ts_of_max,
        Func::QuantileOverTime => quantile::quantile_over_time,
        Func::MadOverTime => quantile::mad_over_time,
        _ => return None,
    })
}

/// Whether a function of ranges accepts these scalar arguments; if not, the query fails with upstream's text.
pub fn check_arguments(func: Func, args: &[f64]) -> Result<(), String> {
    if !matches!(func, Func::DoubleExponentialSmoothing | Func::HoltWinters) {
        return Ok(());
    }
    for (v, name, short) in args.iter().zip(["smoothing", "trend"]).map(|(v, name)| (*v, name, &name[..1])) {
        if v <= 0.0 || v >= 1.0 {
            return Err(format!("invalid {name} factor. Expected: 0 < {short}f < 1, got: {v:.6}"));
        }
    }
    Ok(())
}

/// The kernel of a function that looks at one element at a time.
pub fn element_kernel(func: Func) -> Option<ElementKernel> {
    element::kernel(func).or_else(|| time::kernel(func))
}

/// The kernel of a function that needs the whole vector.
pub fn vector_kernel(func: Func) -> Option<VectorKernel> {
    Some(match func {
        Func::HistogramQuantile => histogram_vector::histogram_quantile,
        Func::HistogramQuantiles => histogram_vector::histogram_quantiles,
        Func::HistogramFraction => histogram_vector::histogram_fraction,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
