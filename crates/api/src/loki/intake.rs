//! Bodies of those who write: read with a bound on each and on all of them together, decoded where threads may block.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use super::refusal::{Refusal, blocking};

/// Bytes of all bodies that are being read or decoded.
const MAX_TOGETHER: usize = 512 << 20;

/// Bodies that are decoded and written at the same time. Most of that time is waiting for the disk, which serves all of them
/// at once.
const DECODED_AT_ONCE: usize = 64;

/// Bytes of a refused body that are read and thrown away, at most.
const MAX_DRAINED: usize = 256 << 20;

/// How long that may take.
const DRAIN: Duration = Duration::from_secs(5);

/// When one that found no room may come again, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// The way in for bodies. Copies share the bounds.
#[derive(Clone, Debug)]
pub struct Intake {
    held: Arc<AtomicUsize>,
    decoding: Arc<Semaphore>,
}

impl Default for Intake {
    fn default() -> Self {
        Intake { held: Arc::default(), decoding: Arc::new(Semaphore::new(DECODED_AT_ONCE)) }
    }
}

/// Bytes that count as long as this lives.
struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// Counts `bytes` more; false if all bodies together are too large then.
    fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_TOGETHER
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Intake {
    /// Reads a body of at most `most` bytes and has `work` done with it.
    pub async fn take<T: Send + 'static>(
        &self,
        body: Body,
        most: usize,
        work: impl FnOnce(&[u8]) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut held = Held { all: Arc::clone(&self.held), bytes: 0 };
        let body = read(body, most, &mut held).await?;
        let decoding = Arc::clone(&self.decoding).acquire_owned().await;
        let decoding = decoding.map_err(|e| Refusal::internal(e.to_string()))?;
        blocking(move || {
            let answer = work(&body);
            // Who sent it may have left: the bytes are held until here all the same.
            drop((held, decoding));
            answer
        })
        .await
    }
}

/// Lets a refused body run out for a while: many clients look for an answer only when they have sent everything, and see a
/// broken connection instead of the reason if we close before.
async fn drain(mut body: Body) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > MAX_DRAINED {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN, rest).await;
}

async fn read(mut body: Body, most: usize, held: &mut Held) -> Result<Bytes, Refusal> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refusal::bad(e.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        length += piece.len();
        if length > most {
            drain(body).await;
            let text = format!("request body too large: the limit is {most} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        if !held.add(piece.len()) {
            drain(body).await;
            let text = "too much is being written at once";
            return Err(Refusal {
                retry_after_s: Some(RETRY_AFTER_S),
                ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, text)
            });
        }
        pieces.push(piece);
    }
    if let [only] = pieces.as_slice() {
        return Ok(only.clone());
    }
    Ok(pieces.concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_then_forgotten() {
        let intake = Intake::default();
        let length = |body: &[u8]| Ok(body.len());
        assert_eq!(intake.take(Body::from("hello"), 5, length).await, Ok(5));
        let refused = intake.take(Body::from("hello!"), 5, length).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(intake.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn bodies_together_have_a_limit() {
        let intake = Intake::default();
        intake.held.store(MAX_TOGETHER - 3, Ordering::Relaxed);
        let refused = intake.take(Body::from("hello"), 5, |_| Ok(())).await.unwrap_err();
        assert_eq!((refused.status, refused.retry_after_s), (StatusCode::TOO_MANY_REQUESTS, Some(1)));
        assert_eq!(intake.held.load(Ordering::Relaxed), MAX_TOGETHER - 3);
    }
}
