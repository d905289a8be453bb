//! Any question is refused or read, compressed or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_ingest::remote_read::{ReadRequest, decode_xor};

fuzz_target!(|data: &[u8]| {
    let _ = ReadRequest::decode(data);
    let _ = decode_xor(data);
    if let Ok(body) = snap::raw::Encoder::new().compress_vec(data) {
        if let Ok(request) = ReadRequest::decode(&body) {
            assert!(!request.accepted.is_empty());
        }
    }
});
