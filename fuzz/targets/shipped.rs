//! Any bytes that a source of the shipper may meet: the journal's export, Docker's frames, syslog, GELF. The first byte says which,
//! the second how large the pieces are in which the rest arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let [form, size, rest @ ..] = data {
        reba_ship::fuzzing::read(*form, rest.chunks(usize::from(*size).max(1)));
    }
});
