//! A service from its first request to its last span.

use std::{future::IntoFuture, io, time::Duration};

use axum::Router;
use futures::future::{Either, select};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
    time::sleep,
};

use crate::Telemetry;

/// How long requests under way may take once the service was told to end: less than the 30 seconds after which
/// container runtimes kill.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Waits until the process is told to end, by SIGTERM or SIGINT.
pub async fn shutdown_signal() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await;
    Ok(())
}

impl Telemetry {
    /// Serves `app` until the process is told to end ([`shutdown_signal`]); then answers what is under way, for up to
    /// 10 seconds, and sends the last spans.
    pub async fn serve(self, listener: TcpListener, app: Router) -> io::Result<()> {
        let (told, ending) = oneshot::channel();
        let until_told = async move {
            // Without signals the service runs until it is killed.
            if shutdown_signal().await.is_err() {
                std::future::pending::<()>().await;
            }
            let _ = told.send(());
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(until_told).into_future();
        let too_long = async move {
            if ending.await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(LAST_REQUESTS).await;
        };
        let served = match select(Box::pin(serving), Box::pin(too_long)).await {
            Either::Left((served, _)) => served,
            Either::Right(((), _)) => Ok(()),
        };
        // The last spans are waited for where that holds up nobody.
        let _ = spawn_blocking(move || drop(self)).await;
        served
    }
}
