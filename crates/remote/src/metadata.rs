//! What the metric families are: sent every minute or so (version 1.0), or with every series (version 2.0).

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use reba_ingest::remote_write::WriteRequest;
use reba_model::{Metadata, MetricType};

use crate::request::Sender;

/// The metadata of all metric families, by name.
pub type MetadataOf = Arc<dyn Fn() -> BTreeMap<String, Metadata> + Send + Sync>;

/// Sends all metadata in turn until the sender is stopped. What fails is not tried again: the next turn sends it all.
pub(crate) async fn run(sender: Sender, source: MetadataOf) {
    let config = &sender.config.metadata_config;
    let pause = config.send_interval.as_std();
    let per_request = usize::try_from(config.max_samples_per_send).unwrap_or(0).max(1);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sender.stop.cancelled() => return,
        }
        let all: Vec<(String, Metadata)> = source().into_iter().collect();
        for some in all.chunks(per_request) {
            let mut request = WriteRequest::new();
            for (name, metadata) in some {
                request.metadata(name, metadata);
            }
            let Ok(body) = request.body() else { continue };
            sender.send_metadata(body, some.len() as u64).await;
            if sender.stop.is_cancelled() {
                return;
            }
        }
    }
}

/// What is known of the families, for requests of version 2.0.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Arc<BTreeMap<String, Metadata>>>>);

impl Known {
    /// What is known now.
    pub(crate) fn get(&self) -> Arc<BTreeMap<String, Metadata>> {
        Arc::clone(&self.0.lock())
    }
}

/// Learns again and again what is to be known, until the sender is stopped.
pub(crate) async fn learn(sender: Sender, source: MetadataOf) {
    let pause = sender.config.metadata_config.send_interval.as_std();
    loop {
        let all = Arc::new(source());
        *sender.known.0.lock() = all;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sender.stop.cancelled() => return,
        }
    }
}

/// The metadata of the family of which a series with this name is a part.
pub(crate) fn of_series<'a>(all: &'a BTreeMap<String, Metadata>, name: &str) -> Option<&'a Metadata> {
    use MetricType::{Counter, GaugeHistogram, Histogram, Summary};
    let parts: [(&str, &[MetricType]); 6] = [
        ("_bucket", &[Histogram, GaugeHistogram]),
        ("_count", &[Histogram, Summary]),
        ("_sum", &[Histogram, Summary]),
        ("_gcount", &[GaugeHistogram]),
        ("_gsum", &[GaugeHistogram]),
        ("_total", &[Counter]),
    ];
    all.get(name).or_else(|| {
        let (suffix, kinds) = parts.iter().find(|(suffix, _)| name.ends_with(suffix))?;
        all.get(name.strip_suffix(suffix)?).filter(|m| kinds.contains(&m.kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_family_are_known_by_their_suffixes() {
        let of = |kind| Metadata { kind, ..Metadata::default() };
        let list = [
            ("h", MetricType::Histogram),
            ("c", MetricType::Counter),
            ("g", MetricType::Gauge),
            ("x_count", MetricType::Gauge),
        ];
        let all = list.map(|(name, kind)| (name.to_owned(), of(kind))).into();
        let kind = |name| of_series(&all, name).map(|m| m.kind);
        assert_eq!(kind("h_bucket"), Some(MetricType::Histogram));
        assert_eq!((kind("h_sum"), kind("c_total")), (kind("h"), kind("c")));
        assert_eq!(kind("x_count"), Some(MetricType::Gauge));
        assert_eq!((kind("g_count"), kind("h_total"), kind("other")), (None, None, None));
    }
}
