//! Any lines are written or refused by their number, and no more of them than there are.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_ingest::influx::{InfluxConfig, InfluxReceiver, InfluxRequest, Precision};
use reba_testkit::{MemConfig, MemStore};

fuzz_target!(|data: &[u8]| {
    let store = Arc::new(MemStore::new(MemConfig::default()));
    let receiver = InfluxReceiver::new(store, InfluxConfig::default(), 1000, 7);
    let request = InfluxRequest {
        db: "db",
        precision: Precision::Unknown,
        content_encoding: "",
        now: 1_700_000_000_000,
    };
    if let Ok(written) = receiver.handle(data, request) {
        let lines = data.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        assert!(written.refused <= lines, "{} of {lines}", written.refused);
    }
});
