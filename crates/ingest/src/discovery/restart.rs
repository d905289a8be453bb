//! What keeps the tasks of discovery going.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{DiscoveryMetrics, board::Slot};

/// After a fault of ours nothing is asked for so long: the next answer may well meet it again.
const AFTER_FAULT: Duration = Duration::from_secs(15);

/// Runs the task of a source until it ends by itself, with `cancel`, or when nobody watches any more.
pub(super) async fn run_source<F: Future<Output = ()>>(
    mechanism: &'static str,
    slot: Slot,
    cancel: CancellationToken,
    mut source: impl FnMut(Arc<Slot>) -> F,
) {
    let slot = Arc::new(slot);
    tokio::select! {
        () = cancel.cancelled() => {}
        () = slot.closed() => {}
        () = restarting(mechanism, slot.metrics(), || source(Arc::clone(&slot))) => {}
    }
}

/// Runs a task until it ends by itself. A panic, which is a fault of ours in reading what others answer, costs a pause, and not
/// the source's targets from then on: those found last stay, and the task starts anew.
pub(super) async fn restarting<F: Future<Output = ()>>(
    mechanism: &'static str,
    metrics: &DiscoveryMetrics,
    mut task: impl FnMut() -> F,
) {
    while AssertUnwindSafe(async { task().await }).catch_unwind().await.is_err() {
        metrics.faults.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            mechanism,
            "a fault of Reba's own in discovery: the last good targets stay, and it starts anew"
        );
        tokio::time::sleep(AFTER_FAULT).await;
    }
}

/// Does blocking work, whose panics are those of the caller. `None`: the runtime ends.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(e) => match e.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;
    use crate::discovery::{TargetGroup, board::Board};

    #[tokio::test(start_paused = true)]
    async fn a_source_that_panics_starts_anew_and_its_targets_stay_meanwhile() {
        let (board, mut groups) = Board::new(Vec::new(), Arc::default());
        let mut starts = 0;
        let group =
            |n: i32| TargetGroup { source: n.to_string(), labels: Labels::default(), targets: vec![] };
        let source = move |slot: Arc<Slot>| {
            starts += 1;
            async move {
                slot.publish(vec![group(starts)]);
                if starts == 2 {
                    blocking(|| panic!("in work that blocks")).await;
                }
                assert!(starts == 4, "in the task");
                std::future::pending::<()>().await;
            }
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run_source("test", board.slot(), cancel.clone(), source));
        for start in 1..=4 {
            groups.wait_for(|g| **g == [group(start)]).await.unwrap();
        }
        assert_eq!(board.metrics.faults.load(Ordering::Relaxed), 3);
        cancel.cancel();
        task.await.unwrap();
    }
}
