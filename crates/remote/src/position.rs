//! How far a receiver has come: a small file, written before every window is sent.

use reba_disk::{Dir, DiskError};

use crate::queue::Place;

/// A window of the queue that is being sent, or was: everything before `start` is done with.
///
/// After a crash exactly this window is sent again, cut into the same requests, so that a receiver which has some of them
/// already refuses those and takes the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Place,
    pub(crate) end: Place,
    pub(crate) shards: usize,
}

impl Window {
    pub(crate) fn empty(at: Place, shards: usize) -> Self {
        Window { start: at, end: at, shards }
    }

    fn text(&self) -> String {
        let Window { start, end, shards } = self;
        format!("1 {} {} {} {} {shards}\n", start.segment, start.offset, end.segment, end.offset)
    }

    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let [1, start, start_offset, end, end_offset, shards] = numbers[..] else { return None };
        Some(Window {
            start: Place { segment: start, offset: start_offset },
            end: Place { segment: end, offset: end_offset },
            shards: usize::try_from(shards).ok().filter(|n| *n > 0)?,
        })
    }

    pub(crate) fn write(&self, dir: &Dir, name: &str) -> Result<(), DiskError> {
        dir.write_atomic(name, self.text().as_bytes())
    }

    /// `None` if there is no such file, or it makes no sense.
    pub(crate) fn read(dir: &Dir, name: &str) -> Option<Self> {
        Self::parse(std::str::from_utf8(&dir.read(name).ok()?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_and_nonsense_does_not() {
        let place = |segment, offset| Place { segment, offset };
        let w = Window { start: place(3, 16), end: place(4, 99), shards: 7 };
        assert_eq!(Window::parse(&w.text()), Some(w));
        for bad in ["", "1 2 3", "2 3 16 4 99 7", "1 3 16 4 99 0", "1 3 16 4 99 x"] {
            assert_eq!(Window::parse(bad), None, "{bad}");
        }
    }
}
