//! Memory maps of immutable files: the one place with `unsafe`.
#![allow(unsafe_code)]

use std::{fmt, fs::File, io, ops::Deref, sync::Arc};

/// The bytes of an immutable file, mapped or (in tests) held in memory; cheap to clone.
#[derive(Clone)]
pub struct Mapped(Inner);

#[derive(Clone)]
enum Inner {
    Map(Arc<memmap2::Mmap>),
    Bytes(Arc<[u8]>),
}

impl Mapped {
    /// Maps `file`, which must never be truncated or overwritten while it is mapped.
    ///
    /// Files that are mapped here are published by a rename after they were written and are only ever unlinked, which
    /// leaves the map intact; nothing in the workspace writes into a published file.
    pub fn map(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::from_vec(Vec::new()));
        }
        // SAFETY: see the contract above. A foreign process that truncates the file could still raise SIGBUS; the data
        // directory belongs to this process alone (lock file).
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Mapped(Inner::Map(Arc::new(map))))
    }

    /// Bytes that were read or made.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Mapped(Inner::Bytes(bytes.into()))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Map(m) => m,
            Inner::Bytes(b) => b,
        }
    }
}

impl AsRef<[u8]> for Mapped {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.len())
    }
}
