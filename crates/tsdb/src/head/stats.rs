//! Figures of the head for the metrics page.

use std::sync::atomic::Ordering;

use super::Head;
use crate::metrics::HeadMetrics;

impl Head {
    pub(crate) fn metrics(&self) -> HeadMetrics {
        let c = &self.counters;
        let get = |a: &std::sync::atomic::AtomicU64| a.load(Ordering::Relaxed);
        let mut out = HeadMetrics {
            series: self.series_count(),
            max_time: self.max_time(),
            floats_appended: get(&c.floats),
            histograms_appended: get(&c.histograms),
            exemplars_appended: get(&c.exemplars),
            duplicates: get(&c.duplicates),
            out_of_order_appended: get(&c.out_of_order_appended),
            rejected_out_of_order: get(&c.rejected_out_of_order),
            rejected_duplicate: get(&c.rejected_duplicate),
            rejected_too_old: get(&c.rejected_too_old),
            rejected_out_of_bounds: get(&c.rejected_out_of_bounds),
            series_created: get(&c.series_created),
            series_removed: get(&c.series_removed),
            series_not_found: get(&c.series_not_found),
            truncations: get(&c.truncations),
            min_time: i64::MAX,
            ..HeadMetrics::default()
        };
        for lock in &self.shards {
            let shard = lock.read();
            out.memory_bytes += shard.memory_bytes();
            out.symbol_bytes += shard.pairs.text_bytes();
            out.sealed_memory_bytes += shard.sealed_bytes;
            for (_, series) in shard.iter() {
                out.chunks += series.chunk_count();
                if let Some(range) = series.range() {
                    out.min_time = out.min_time.min(range.start);
                }
            }
        }
        let ring = self.exemplars.lock();
        out.exemplars = ring.len() as u64;
        out.exemplar_series = ring.series() as u64;
        out
    }
}
