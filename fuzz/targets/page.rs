//! Two pages scraped one after the other, in any of the three formats: the second is read beside the first. A page is
//! refused or becomes a batch that names only series the store knows. Split at the first zero byte; the first byte
//! chooses the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_ingest::{
    exposition::ExpositionFormat,
    scrape::page::{Page, PageOptions, ScrapeCache},
};
use reba_model::{Labels, NameScheme};
use reba_storage::{AppendMode, MetricAppender, RejectReason, WriteBatch};
use reba_testkit::{MemConfig, MemStore};

const TYPES: [&str; 3] = [
    "text/plain; version=0.0.4",
    "application/openmetrics-text; version=1.0.0",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
];

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let content_type = TYPES[usize::from(*kind) % TYPES.len()];
    let options = PageOptions {
        target_labels: Labels::from_pairs([("job", "fuzz"), ("instance", "i")]),
        honor_labels: kind & 4 != 0,
        honor_timestamps: kind & 8 != 0,
        track_timestamps_staleness: kind & 16 != 0,
        metric_relabel: [].into(),
        sample_limit: 0,
        bucket_limit: 160,
        max_schema: i32::MAX,
        label_limit: 0,
        label_name_length_limit: 0,
        label_value_length_limit: 0,
        names: NameScheme::Utf8,
        native_histograms: true,
        always_classic: kind & 32 != 0,
        convert_classic: kind & 64 != 0,
        fallback: Some(ExpositionFormat::Text),
    };
    let store = MemStore::new(MemConfig::default());
    let (mut cache, mut batch) = (ScrapeCache::new(), WriteBatch::default());
    for (i, page) in rest.splitn(2, |b| *b == 0).enumerate() {
        let page = Page { bytes: page, content_type, t: 1_700_000_000_000 + 15_000 * i as i64 };
        if cache.apply(&page, &options, &store, &mut batch).is_ok() {
            let report = store.append(&batch, AppendMode::Partial).unwrap();
            assert!(report.rejected.iter().all(|r| r.reason != RejectReason::UnknownSeries));
        }
    }
});
