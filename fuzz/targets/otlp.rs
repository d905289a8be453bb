//! Any OTLP request, in JSON if it looks like it, is refused or written; what is refused as malformed names a byte of it.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_ingest::{
    config::Config,
    otlp::{
        OtlpError,
        body::Encoding,
        metrics::{OtlpOptions, OtlpReceiver},
    },
};
use reba_testkit::{MemConfig, MemStore};

fuzz_target!(|data: &[u8]| {
    let encoding = if data.first() == Some(&b'{') { Encoding::Json } else { Encoding::Protobuf };
    let options = OtlpOptions { lookback_ms: 300_000, max_cached_series: 1000, hash_seed: 7 };
    for otlp in [
        "{}",
        "{promote_all_resource_attributes: true, convert_histograms_to_nhcb: true, promote_scope_metadata: true, translation_strategy: NoTranslation}",
    ] {
        let config = Config::parse(&format!("otlp: {otlp}"), std::path::Path::new("prometheus.yml"));
        let store = Arc::new(MemStore::new(MemConfig::default()));
        let receiver = OtlpReceiver::new(store, options, config.expect("the configuration is valid").otlp);
        match receiver.handle(encoding, data, "", 1_700_000_000_000) {
            Err(OtlpError::Malformed { offset, .. }) => assert!(offset <= data.len()),
            Ok(_) | Err(_) => {}
        }
    }
});
