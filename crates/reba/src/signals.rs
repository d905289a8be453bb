//! Signals that a server is sent: one has it read its configuration again, the others end it.

use std::{future::Future, io, process, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// A start that somebody has broken off may still take so long: what is up can be stopped in order.
const LEFT_TO_START: Duration = Duration::from_secs(10);

/// What a shell says of a process that SIGTERM has ended.
const TERMINATED: i32 = 128 + 15;

/// The signals of a server. They are caught since before its start: somebody who finds it ready may send one at once, and it would
/// end a process that does not expect it.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Whether one that ends the process has come.
    is_over: bool,
}

impl Signals {
    /// Catches them from now on.
    pub fn catch() -> io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            is_over: false,
        })
    }

    /// Waits for a start. If the process is to end meanwhile and the start goes on and on (reading a log may take minutes), it ends
    /// here as a kill would end it, which loses nothing.
    pub async fn wait_for<T>(&mut self, start: impl Future<Output = T>) -> T {
        tokio::pin!(start);
        tokio::select! {
            started = &mut start => return started,
            () = self.end() => {}
        }
        match timeout(LEFT_TO_START, start).await {
            Ok(started) => started,
            Err(_) => {
                tracing::warn!("told to end during a long start, which is broken off");
                process::exit(TERMINATED);
            }
        }
    }

    /// Waits until the process is to end.
    async fn end(&mut self) {
        if !self.is_over {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            self.is_over = true;
        }
    }

    /// Waits until the configuration is to be read again, or the process is to end: then `false`.
    pub async fn reload(&mut self) -> bool {
        let Signals { hangup, terminate, interrupt, is_over } = self;
        if *is_over {
            return false;
        }
        tokio::select! {
            _ = hangup.recv() => return true,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        *is_over = true;
        false
    }
}
