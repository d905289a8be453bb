//! Stops work that nobody waits for any more.

use std::sync::Arc;

use reba_storage::Budget;

/// Cancels a budget when it is dropped: the future of a query that is dropped before it ends (the client left, the
/// deadline passed) takes its evaluation with it.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) Arc<Budget>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // After the end of an evaluation this does nothing.
        self.0.cancel();
    }
}
