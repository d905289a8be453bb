//! The open chunk of a series: appended to sample by sample.

use crate::{Chunk, ChunkBytes, Sample, chunk::encode_floats};

/// Floats of one series that are still being appended.
#[derive(Clone, Debug, Default)]
pub struct OpenChunk {
    samples: Vec<Sample>,
}

impl OpenChunk {
    /// Samples that fit.
    pub const MAX_SAMPLES: usize = 120;

    /// An empty chunk; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; `t` must be above the last one's. `false`: the chunk is full and unchanged.
    pub fn append(&mut self, t: i64, v: f64) -> bool {
        if self.samples.len() == Self::MAX_SAMPLES {
            return false;
        }
        self.samples.push(Sample { t, v });
        true
    }

    /// How many samples the chunk holds.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        self.samples.last().copied()
    }

    /// Time of the oldest sample.
    pub fn start(&self) -> Option<i64> {
        self.samples.first().map(|s| s.t)
    }

    /// A copy of the samples so far as a chunk, for readers. `None` if there are none.
    pub fn snapshot(&self) -> Option<Chunk> {
        let mut bytes = Vec::new();
        let (t, v): (Vec<i64>, Vec<f64>) = self.samples.iter().map(|s| (s.t, s.v)).unzip();
        encode_floats(&t, &v, &mut bytes);
        Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).ok().filter(|c| c.samples() > 0)
    }

    /// Appends the samples to the columns, which is how a head seals: decode, then [`encode_floats`].
    pub fn read_into(&self, t: &mut Vec<i64>, v: &mut Vec<f64>) {
        t.extend(self.samples.iter().map(|s| s.t));
        v.extend(self.samples.iter().map(|s| s.v));
    }

    /// Removes the samples, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.samples.capacity() * size_of::<Sample>()
    }
}
