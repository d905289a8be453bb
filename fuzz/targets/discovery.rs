//! Any answer of whoever names targets is refused or read. The first byte chooses who answers.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use reba_ingest::discovery::fuzzing::Answers;

static ANSWERS: LazyLock<Answers> = LazyLock::new(|| Answers::new().unwrap());

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let _ = ANSWERS.read(kind % 15, data);
});
