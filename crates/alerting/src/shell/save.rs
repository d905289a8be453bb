//! Writes what must not be forgotten: as many documents at once as wait, one transaction at a time.

use std::{sync::Arc, time::Duration};

use reba_storage::StateError;

use super::Shared;

/// Documents in one transaction.
const MAX_DOCUMENTS: usize = 1_000;

/// How long to wait after a write that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is known of writes.
#[derive(Debug, Default)]
pub(super) struct SaveState {
    /// The last ticket that was given out.
    ticket: u64,
    /// The last ticket whose changes have been written.
    done: u64,
    /// The last ticket whose changes could not be written, and why.
    failed: Option<(u64, String)>,
}

impl Shared {
    /// A ticket for what has been changed until now. Must be called with the machine locked.
    pub(super) fn ticket(&self) -> u64 {
        let mut saves = self.saves.lock();
        saves.ticket += 1;
        saves.ticket
    }

    /// Waits until the silences and notifications of a ticket are on disk; the error says why they are not.
    pub(super) async fn wait_saved(&self, ticket: u64) -> Result<(), String> {
        let mut changes = self.saved.subscribe();
        loop {
            {
                let saves = self.saves.lock();
                if saves.done >= ticket {
                    return Ok(());
                }
                if let Some((failed, why)) = &saves.failed
                    && *failed >= ticket
                {
                    return Err(why.clone());
                }
            }
            if changes.changed().await.is_err() {
                return Err("alerting has ended".to_owned());
            }
        }
    }

    /// Writes until the end, and what is left then.
    pub(super) async fn write(self: Arc<Self>) {
        loop {
            let ended = self.stopped.is_cancelled();
            let written = self.write_all().await;
            if ended {
                return;
            }
            if written {
                tokio::select! {
                    () = self.dirty.notified() => {}
                    () = self.stopped.cancelled() => {}
                }
            } else {
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = self.stopped.cancelled() => {}
                }
            }
        }
    }

    /// Writes everything that waits; whether that went well.
    async fn write_all(&self) -> bool {
        loop {
            let now_ms = (self.clock)();
            let (batch, ticket, rest) = {
                let mut machine = self.machine.lock();
                let batch = machine.take_unsaved(MAX_DOCUMENTS, now_ms);
                (batch, self.saves.lock().ticket, machine.has_urgent_unsaved())
            };
            let count = batch.changes.len();
            let result = if count == 0 { Ok(()) } else { self.write_batch(&batch.changes).await };
            if let Err(error) = &result {
                tracing::error!(%error, documents = count, "cannot save silences, notifications or alerts; trying again");
                self.machine.lock().still_unsaved(batch);
            }
            self.note_write(count, ticket, rest, &result);
            match (result, count) {
                (Err(_), _) => return false,
                (Ok(()), 0) => return true,
                (Ok(()), _) => {}
            }
        }
    }

    async fn write_batch(&self, changes: &[reba_storage::StateChange]) -> Result<(), StateError> {
        let (store, changes) = (self.store.clone(), changes.to_vec());
        let written = tokio::task::spawn_blocking(move || store.write(&changes)).await;
        written.map_err(|e| StateError::Unavailable(e.to_string()))?.map(|_| ())
    }

    /// Tells those who wait. `rest` is whether the batch left anything that somebody may wait for.
    fn note_write(&self, count: usize, ticket: u64, rest: bool, result: &Result<(), StateError>) {
        {
            let mut saves = self.saves.lock();
            match result {
                Ok(()) if !rest => saves.done = saves.done.max(ticket),
                Ok(()) => {}
                Err(error) => saves.failed = Some((ticket, error.to_string())),
            }
        }
        self.saved.send_modify(|n| *n += 1);
        if count > 0 {
            let mut metrics = self.metrics.lock();
            metrics.saves += 1;
            match result {
                Ok(()) => metrics.saved_documents += count as u64,
                Err(_) => metrics.save_errors += 1,
            }
        }
    }
}
