//! Any push of logs is refused or taken: its first byte says in which form. What is refused as malformed names a byte of it, and
//! nothing of it is stored.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_ingest::loki::{
    LokiReceiver, PushHead,
    config::{LokiConfig, Variables},
    decode::{LabelsText, Pairs, PushFault, PushSink, push_json, push_legacy_json, push_protobuf},
    limits::TenantLimits,
};
use reba_model::{LogBatchFull, NanoRange, Tenant};
use reba_testkit::{MemLogStore, log_rows};

const NOW: i64 = 1_700_000_000_000_000_000;

/// Every limit is there to be reached.
const LIMITS: &str = "limits_config: {max_line_size: 20B, max_label_names_per_series: 3, max_label_value_length: 9, \
    increment_duplicate_timestamp: true, max_global_streams_per_user: 3, per_stream_rate_limit: 30B, \
    per_stream_rate_limit_burst: 30B, discover_service_name: [app], high_cardinality_values_per_hour: 2}";

struct Nothing;

impl PushSink for Nothing {
    fn stream(&mut self, _: LabelsText<'_>) {}

    fn entry(&mut self, _: i64, _: &str, _: &Pairs) -> Result<(), LogBatchFull> {
        Ok(())
    }
}

fn decoded(form: u8, body: &[u8]) -> Result<(), PushFault> {
    match form {
        b'j' => push_json(&String::from_utf8_lossy(body), &mut Nothing),
        b'l' => push_legacy_json(&String::from_utf8_lossy(body), &mut Nothing),
        _ => push_protobuf(body, &mut Nothing),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    let config = LokiConfig::parse(LIMITS, std::path::Path::new("loki.yml"), &Variables::default());
    let limits = Arc::new(TenantLimits::new(&config.expect("the configuration is valid").0));
    let store = Arc::new(MemLogStore::default());
    let receiver = LokiReceiver::new(Arc::clone(&store) as _, limits, Arc::new(|| NOW), 7);
    let tenant = Tenant::single();
    let head = |content_type| PushHead { content_type, content_encoding: None };
    let json = head(Some("application/json"));
    let malformed = match form {
        b'o' => receiver.push_otlp(&tenant, head(Some("application/x-protobuf")), body).is_err(),
        b'O' => receiver.push_otlp(&tenant, json, body).is_err(),
        b'p' => {
            let block = snap::raw::Encoder::new().compress_vec(body).expect("small enough");
            let _ = receiver.push(&tenant, head(None), &block);
            decoded(*form, body).inspect_err(|e| assert!(e.offset <= body.len())).is_err()
        }
        b'l' => {
            let _ = receiver.push_legacy(&tenant, json, body);
            decoded(*form, body).is_err()
        }
        _ => {
            let _ = receiver.push(&tenant, json, body);
            decoded(b'j', body).is_err()
        }
    };
    let stored = log_rows(&*store, &tenant, &[], NanoRange::ALL).expect("the store can be read");
    assert!(!malformed || stored.is_empty());
    let mut metrics = String::new();
    receiver.write_metrics(&mut metrics);
});
