//! Any bytes decode to at most as many samples as the chunk says it has, or are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_model::{Chunk, ChunkBytes, SampleColumns, TimeRange};

fuzz_target!(|data: &[u8]| {
    if let Ok(chunk) = Chunk::from_bytes(ChunkBytes::from(data)) {
        let mut out = SampleColumns::default();
        if chunk.decode_into(TimeRange::ALL, &mut out).is_ok() {
            assert!(out.len() <= chunk.samples() as usize);
        }
    }
});
