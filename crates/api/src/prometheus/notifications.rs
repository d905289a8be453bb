//! What people should know about this server: `/api/v1/notifications`, and the same as it happens.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::{
    PrometheusApi,
    envelope::{ApiResult, success},
    targets::rfc3339,
};

/// Who listens at the same time: a browser tab keeps its connection open, and connections are few.
const MAX_LISTENERS: usize = 16;

/// Upstream's text for a configuration that could not be loaded.
const RELOAD_FAILED: &str = "Configuration reload has failed.";

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Notification {
    text: &'static str,
    date: String,
    active: bool,
}

/// What is to be known now.
#[derive(Debug)]
pub struct Notifications {
    current: watch::Sender<Option<Notification>>,
    listeners: Arc<Semaphore>,
}

impl Default for Notifications {
    fn default() -> Self {
        let listeners = Arc::new(Semaphore::new(MAX_LISTENERS));
        Notifications { current: watch::Sender::default(), listeners }
    }
}

impl Notifications {
    /// Says how a reload ended at `now`, Unix milliseconds.
    pub fn reloaded(&self, ok: bool, now: i64) {
        self.current.send_if_modified(|current| match current {
            None if !ok => {
                *current = Some(Notification { text: RELOAD_FAILED, date: rfc3339(Some(now)), active: true });
                true
            }
            Some(_) if ok => {
                *current = None;
                true
            }
            _ => false,
        });
    }

    /// What is there, and then every change; what is over is sent with `active` false.
    fn changes(&self) -> impl Stream<Item = Notification> + use<> {
        let mut receiver = self.current.subscribe();
        receiver.mark_changed();
        stream::unfold((receiver, None), |(mut receiver, before)| async move {
            loop {
                receiver.changed().await.ok()?;
                let now: Option<Notification> = receiver.borrow_and_update().clone();
                let over = before.clone().map(|n| Notification { active: false, ..n });
                if let Some(sent) = now.clone().or(over) {
                    return Some((sent, (receiver, now)));
                }
            }
        })
    }
}

/// `/api/v1/notifications`
pub async fn list(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let current = api.runtime.notifications.current.borrow().clone();
    success(&current.into_iter().collect::<Vec<_>>())
}

/// `/api/v1/notifications/live`: server-sent events. 204 if too many listen already, as upstream has it.
pub async fn live(State(api): State<Arc<PrometheusApi>>) -> Response {
    let notifications = &api.runtime.notifications;
    let Ok(place) = Arc::clone(&notifications.listeners).try_acquire_owned() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let quit = api.quit.clone();
    let events = notifications.changes().take_until(quit.cancelled_owned()).map(move |n| {
        let _ = &place;
        Ok::<_, Infallible>(Event::default().data(serde_json::to_string(&n).unwrap_or_default()))
    });
    // Connections on which nothing moves are closed after some minutes.
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(60))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_reload_is_there_until_one_succeeds() {
        let n = Notifications::default();
        let mut changes = Box::pin(n.changes());
        n.reloaded(true, 1);
        n.reloaded(false, 1000);
        n.reloaded(false, 2000);
        let first = changes.next().await.unwrap();
        assert_eq!((first.date.as_str(), first.active), ("1970-01-01T00:00:01Z", true));
        // Who comes later sees it, too.
        assert_eq!(Box::pin(n.changes()).next().await, Some(first.clone()));
        n.reloaded(true, 3000);
        assert_eq!(changes.next().await, Some(Notification { active: false, ..first }));
        assert_eq!(*n.current.borrow(), None);
    }
}
