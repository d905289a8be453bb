//! Bytes that chunks share: a small allocation of their own, or a part of something larger (a mapped file).

use std::{fmt, ops::Range, sync::Arc};

/// A run of bytes that is cheap to clone. The owner lives as long as any of its parts.
#[derive(Clone)]
pub struct ChunkBytes(Repr);

#[derive(Clone)]
enum Repr {
    Own(Arc<[u8]>),
    Part { owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize> },
}

impl ChunkBytes {
    /// The bytes of `owner` in `range`; `None` if they are not all there. `owner.as_ref()` must return the same
    /// bytes each time.
    pub fn part(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        let inside = (*owner).as_ref().get(range.clone()).is_some();
        inside.then_some(ChunkBytes(Repr::Part { owner, range }))
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Own(bytes) => bytes,
            Repr::Part { owner, range } => (**owner).as_ref().get(range.clone()).unwrap_or_default(),
        }
    }
}

impl From<&[u8]> for ChunkBytes {
    /// Copies the bytes into one allocation of exactly their size.
    fn from(bytes: &[u8]) -> Self {
        ChunkBytes(Repr::Own(Arc::from(bytes)))
    }
}

impl From<Arc<[u8]>> for ChunkBytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        ChunkBytes(Repr::Own(bytes))
    }
}

impl fmt::Debug for ChunkBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkBytes({})", self.as_slice().len())
    }
}
