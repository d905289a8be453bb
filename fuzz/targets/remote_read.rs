//! Any question is refused or read, compressed or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_ingest::{prometheus_chunk, remote_read::ReadRequest};
use reba_model::SampleColumns;

fuzz_target!(|data: &[u8]| {
    let _ = ReadRequest::decode(data);
    if let Some((encoding, chunk)) = data.split_first() {
        let _ = prometheus_chunk::decode(*encoding, chunk, &mut SampleColumns::default());
    }
    if let Ok(body) = snap::raw::Encoder::new().compress_vec(data) {
        if let Ok(request) = ReadRequest::decode(&body) {
            assert!(!request.accepted.is_empty());
        }
    }
});
