//! A way in for the fuzz targets, which is not there otherwise.

use reba_disk::{Dir, DiskError};

use crate::{follow::Follower, position::Window, queue::Place};

/// Follows the queue in `dir` from a place to its end; returns how many samples and exemplars are sent.
pub fn follow(dir: Dir, segment: u64, offset: u64) -> Result<usize, DiskError> {
    let mut follower =
        Follower::new(dir, Place { segment, offset }, Box::new(|labels| Some(labels.clone())))?;
    let (mut items, mut sent) = (Vec::new(), 0);
    loop {
        let before = follower.place();
        follower.read(&mut items, 100, None)?;
        if follower.place() == before {
            return Ok(sent);
        }
        sent += items.len();
        items.clear();
    }
}

/// Whether the file of a position with these bytes says where to go on.
pub fn is_position(bytes: &[u8]) -> bool {
    Window::parse(bytes).is_some()
}
