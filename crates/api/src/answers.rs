//! Memory for answers that are being sent.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Kilobytes of large answers that may be on their way at once: one gigabyte.
const KILOBYTES: u32 = 1 << 20;

/// How long an answer waits for others to be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// A slow reader keeps its whole answer in memory until it has read it; so their sum is bounded, and the next one waits.
#[derive(Debug)]
pub struct Answers {
    room: Arc<Semaphore>,
}

/// Room for one answer.
#[derive(Debug)]
pub(crate) struct Room(OwnedSemaphorePermit);

impl Default for Answers {
    fn default() -> Self {
        Answers { room: Arc::new(Semaphore::new(KILOBYTES as usize)) }
    }
}

impl Answers {
    /// Waits for room for `bytes`; `None` if there is none for too long. What is larger than all the room takes all of it.
    pub(crate) async fn room(&self, bytes: usize) -> Option<Room> {
        let kilobytes = u32::try_from(bytes / 1024).unwrap_or(KILOBYTES).min(KILOBYTES);
        let permit = Arc::clone(&self.room).acquire_many_owned(kilobytes);
        tokio::time::timeout(PATIENCE, permit).await.ok()?.ok().map(Room)
    }
}

impl Room {
    /// The same body; the room is free again when it was sent or dropped.
    pub(crate) fn keep_until_sent(self, body: Body) -> Body {
        Body::new(body.map_frame(move |frame| {
            let _ = &self.0;
            frame
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_taken_until_the_body_is_gone() {
        let answers = Answers::default();
        let body = answers.room(usize::MAX).await.unwrap().keep_until_sent(Body::from("x"));
        assert_eq!(answers.room.available_permits(), 0);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert_eq!(answers.room.available_permits(), KILOBYTES as usize);
    }
}
