//! How far a receiver has come: a small file, written before every window is sent.

use reba_disk::{Dir, DiskError, checksum};

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
        let line = format!("2 {} {} {} {} {shards}", start.segment, start.offset, end.segment, end.offset);
        format!("{line} {:08x}\n", checksum(line.as_bytes()))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (line, sum) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.rsplit_once(' ')?;
        if sum != format!("{:08x}", checksum(line.as_bytes())) {
            return None;
        }
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let [2, start, start_offset, end, end_offset, shards] = numbers[..] else { return None };
        Some(Window {
            start: Place { segment: start, offset: start_offset },
            end: Place { segment: end, offset: end_offset },
            shards: usize::try_from(shards).ok().filter(|n| *n > 0)?,
        })
    }

    pub(crate) fn write(&self, dir: &Dir, name: &str) -> Result<(), DiskError> {
        dir.write_atomic(name, self.text().as_bytes())
    }

    pub(crate) fn read(dir: &Dir, name: &str) -> Found {
        match dir.read(name) {
            Ok(bytes) => Self::parse(&bytes)
                .map_or_else(|| Found::Damaged("it makes no sense".to_owned()), Found::Window),
            Err(e) if e.is_not_found() => Found::Nothing,
            Err(e) => Found::Damaged(e.to_string()),
        }
    }
}

/// What the file of a position says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is none: the receiver is new.
    Nothing,
    /// There is one, but what it said is not known.
    Damaged(String),
    Window(Window),
}

impl Found {
    pub(crate) fn window(self) -> Option<Window> {
        if let Found::Window(window) = self { Some(window) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_and_nonsense_does_not() {
        let place = |segment, offset| Place { segment, offset };
        let w = Window { start: place(3, 16), end: place(4, 99), shards: 7 };
        let bytes = w.text().into_bytes();
        assert_eq!(Window::parse(&bytes), Some(w));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(Window::parse(&damaged), None, "bit {bit} of byte {at}");
            }
            assert_eq!(Window::parse(&bytes[..at]), None, "{at} bytes of it");
        }
        for bad in ["", "2 3", "1 3 16 4 99 7", "2 3 16 4 99 0", "2 3 16 4 99 x"] {
            let sealed = format!("{bad} {:08x}\n", checksum(bad.as_bytes()));
            assert_eq!(Window::parse(sealed.as_bytes()), None, "{bad}");
        }
    }
}
