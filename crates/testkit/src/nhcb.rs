//! Classic histograms made native ones with custom buckets (`load_with_nhcb`).

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, METRIC_NAME, Span,
    float::{format_g, parse_go},
    notation::SeriesValue,
};

use crate::script::LoadedSeries;

#[derive(Clone, Debug, Default)]
struct Classic {
    /// Cumulative counts by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The native histograms of all classic ones among the series.
pub(crate) fn convert(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, String> {
    let mut by_base: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for s in series {
        let name = s.labels.metric_name();
        let suffix = ["_bucket", "_sum", "_count"].into_iter().find(|suffix| name.ends_with(suffix));
        let Some(suffix) = suffix else { continue };
        let bound = if suffix == "_bucket" {
            match parse_go(s.labels.value("le")).filter(|v| !v.is_nan()) {
                Some(bound) => bound,
                None => continue,
            }
        } else {
            0.0
        };
        let mut base = s.labels.to_builder();
        base.set(METRIC_NAME, name.strip_suffix(suffix).unwrap_or(name)).remove("le");
        let by_time = by_base.entry(base.build()).or_default();
        for (t, value) in &s.samples {
            let SeriesValue::Float(v) = value else { continue };
            let classic = by_time.entry(*t).or_default();
            match suffix {
                "_bucket" => classic.buckets.push((bound, *v)),
                "_sum" => classic.sum = *v,
                _ => classic.count = Some(*v),
            }
        }
    }
    let mut out = Vec::new();
    for (labels, by_time) in by_base {
        let mut samples = Vec::new();
        for (t, classic) in by_time {
            samples.push((t, SeriesValue::Histogram(Arc::new(classic.native()?), false)));
        }
        out.push(LoadedSeries { labels, samples, starts: Vec::new() });
    }
    Ok(out)
}

impl Classic {
    fn native(mut self) -> Result<Histogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|a, b| a.0 == b.0);
        if let Some(w) = self.buckets.windows(2).find(|w| w[1].1 < w[0].1) {
            return Err(format!("count is not cumulative: {} < {}", format_g(w[1].1), format_g(w[0].1)));
        }
        let last = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(last);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.buckets.last().is_some_and(|b| b.1 != count) {
            return Err("count mismatch".to_owned());
        }
        let mut below = 0.0;
        let counts = self.buckets.iter().map(|b| b.1 - std::mem::replace(&mut below, b.1)).collect();
        let mut h = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: self.buckets.len() as u32 }],
            positive_buckets: counts,
            custom_values: self.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect(),
            ..Histogram::default()
        };
        h.compact(0);
        Ok(h)
    }
}
