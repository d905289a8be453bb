//! Any message, compressed as a sender would, is refused or written; so are any bytes that claim to be compressed.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_ingest::remote_write::{RemoteWriteLimits, RemoteWriteReceiver};
use reba_testkit::{MemConfig, MemStore};

fuzz_target!(|data: &[u8]| {
    let store = Arc::new(MemStore::new(MemConfig::default()));
    let receiver = RemoteWriteReceiver::new(store, RemoteWriteLimits::with_seed(7));
    let _ = receiver.handle_v1(data, 1_700_000_000_000);
    if let Ok(body) = snap::raw::Encoder::new().compress_vec(data) {
        let _ = receiver.handle_v1(&body, 1_700_000_000_000);
    }
});
