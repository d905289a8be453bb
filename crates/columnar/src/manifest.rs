//! The manifest: which parts are live, and from where on the log is read. It is written whole, twice, and replaced atomically.

use reba_disk::{Dir, DiskError, next_frame, push_frame};

use crate::{
    day::Day,
    varint::{Reader, put, put_signed},
};

const MAGIC: &[u8; 8] = b"REBAMAN1";

/// Both have the same content; a bit that flips in one costs nothing.
const NAMES: [&str; 2] = ["manifest.copy", "manifest"];

/// What the store consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Counts the manifests of this store.
    pub(crate) generation: u64,
    /// Batches up to this one are in parts.
    pub(crate) flushed_seq: u64,
    /// Segments of the log before this one are not needed any more.
    pub(crate) first_segment: u64,
    /// Live parts.
    pub(crate) parts: Vec<(Day, u64)>,
}

/// What was found in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A manifest.
    Manifest(Manifest),
    /// There never was one.
    Nothing,
    /// There were some, and none can be read.
    Damaged,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for n in [self.generation, self.flushed_seq, self.first_segment, self.parts.len() as u64] {
            put(&mut body, n);
        }
        for (day, number) in &self.parts {
            put_signed(&mut body, i64::from(day.0));
            put(&mut body, *number);
        }
        let mut out = MAGIC.to_vec();
        push_frame(&mut out, &body);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let (body, end) = next_frame(bytes, MAGIC.len()).ok()??;
        let mut r = Reader(body);
        let (generation, flushed_seq, first_segment) = (r.unsigned()?, r.unsigned()?, r.unsigned()?);
        let parts = (0..r.count()?)
            .map(|_| Some((Day(i32::try_from(r.signed()?).ok()?), r.unsigned()?)))
            .collect::<Option<_>>()?;
        (r.is_empty() && end == bytes.len()).then_some(Manifest {
            generation,
            flushed_seq,
            first_segment,
            parts,
        })
    }

    /// Makes this the manifest, durably. After an error either it or the one before may be found at the next start.
    pub(crate) fn write(&self, dir: &Dir) -> Result<(), DiskError> {
        let bytes = self.encode();
        NAMES.iter().try_for_each(|name| dir.write_atomic(name, &bytes))
    }

    /// Reads the newer of the two.
    pub(crate) fn read(dir: &Dir) -> Result<Found, DiskError> {
        let (mut newest, mut damaged) = (None::<Manifest>, false);
        for name in NAMES {
            let bytes = match dir.read(name) {
                Ok(bytes) => bytes,
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(e),
            };
            match Self::decode(&bytes) {
                Some(m) if newest.as_ref().is_none_or(|n| n.generation <= m.generation) => newest = Some(m),
                Some(_) => {}
                None => {
                    damaged = true;
                    tracing::error!(file = %dir.join(name).display(), "a copy of the manifest is damaged");
                }
            }
        }
        Ok(match newest {
            Some(m) => Found::Manifest(m),
            None if damaged => Found::Damaged,
            None => Found::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use reba_disk::{Env, FaultFs, ManualClock};

    use super::*;

    fn manifest(generation: u64) -> Manifest {
        Manifest {
            generation,
            flushed_seq: 7,
            first_segment: 3,
            parts: vec![(Day(-1), 1), (Day(20_000), 900)],
        }
    }

    #[test]
    fn one_damaged_copy_costs_nothing_and_two_are_noticed() {
        let fs = FaultFs::new();
        let env =
            Env { fs: std::sync::Arc::new(fs.clone()), clock: std::sync::Arc::new(ManualClock::new(0)) };
        let dir = env.dir("/data").unwrap();
        assert_eq!(Manifest::read(&dir).unwrap(), Found::Nothing);
        manifest(1).write(&dir).unwrap();
        manifest(2).write(&dir).unwrap();
        fs.corrupt(Path::new("/data/manifest"), 20, 1).unwrap();
        assert_eq!(Manifest::read(&dir).unwrap(), Found::Manifest(manifest(2)));
        fs.corrupt(Path::new("/data/manifest.copy"), 20, 1).unwrap();
        assert_eq!(Manifest::read(&dir).unwrap(), Found::Damaged);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), junk in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut bytes = manifest(9).encode();
            prop_assert_eq!(Manifest::decode(&bytes), Some(manifest(9)));
            let at = at.index(bytes.len());
            let before = std::mem::replace(&mut bytes[at], byte);
            prop_assert_eq!(Manifest::decode(&bytes).is_some(), before == byte);
            prop_assert_eq!(Manifest::decode(&bytes[..at]), None);
            prop_assert_eq!(Manifest::decode(&junk), None);
        }
    }
}
