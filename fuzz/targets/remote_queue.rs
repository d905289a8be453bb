//! Segments of the remote-write queue with any frames behind right checksums, then any bytes: following them from any
//! place ends. The same bytes as the file of a position are refused or make sense. Three bytes say where to begin;
//! frames follow, each behind its length in two bytes.
#![no_main]

#[path = "common/store_in_memory.rs"]
mod store_in_memory;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_disk::{Env, FaultFs, ManualClock, push_frame, segment_header, segment_name};
use store_in_memory::put;

fuzz_target!(|data: &[u8]| {
    let _ = reba_remote::fuzzing::is_position(data);
    let Some(([segment, low, high], mut data)) = data.split_first_chunk::<3>() else { return };
    let fs = FaultFs::new();
    let mut number = 1;
    let mut file = segment_header(number).to_vec();
    while let Some((len, rest)) = data.split_first_chunk::<2>() {
        let len = u16::from_le_bytes(*len);
        // The highest lengths end a segment; what is cut short stands there as it is.
        if len >= 0xfff0 {
            put(&fs, &format!("/queue/{}", segment_name(number)), &file);
            number += 1 + u64::from(len & 1);
            file = segment_header(number).to_vec();
            data = rest;
            continue;
        }
        let Some((frame, rest)) = rest.split_at_checked(usize::from(len)) else {
            file.extend(rest);
            break;
        };
        push_frame(&mut file, frame);
        data = rest;
    }
    put(&fs, &format!("/queue/{}", segment_name(number)), &file);
    let env = Env { fs: Arc::new(fs), clock: Arc::new(ManualClock::new(0)) };
    let dir = env.dir("/queue").unwrap();
    let offset = u64::from(u16::from_le_bytes([*low, *high]));
    reba_remote::fuzzing::follow(dir, u64::from(*segment), offset).unwrap();
});
