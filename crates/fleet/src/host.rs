//! Where services listen: each can be taken off its address and put back while the others go on.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long requests under way may take once a service goes down.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait when the system refuses a connection, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A service at its address.
#[derive(Debug)]
pub(crate) struct Host {
    addr: SocketAddr,
    router: Router,
    /// Stops the host for good.
    fleet_stop: CancellationToken,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Host {
    /// Serves `router` on a listener that is bound already.
    pub(crate) fn serve(
        listener: TcpListener,
        addr: SocketAddr,
        router: Router,
        fleet_stop: CancellationToken,
    ) -> Self {
        let mut host = Self { addr, router, fleet_stop, running: None };
        host.run(listener);
        host
    }

    fn run(&mut self, listener: TcpListener) {
        let stop = self.fleet_stop.child_token();
        let task = tokio::spawn(accept(listener, self.router.clone(), stop.clone()));
        self.running = Some(Running { stop, task });
    }

    /// Listens again.
    pub(crate) async fn up(&mut self) -> io::Result<()> {
        if self.running.is_none() {
            let listener = TcpListener::bind(self.addr).await?;
            self.run(listener);
        }
        Ok(())
    }

    /// Stops listening and closes all connections; when it returns, the address refuses connections.
    pub(crate) async fn down(&mut self) {
        if let Some(Running { stop, task }) = self.running.take() {
            stop.cancel();
            // A task that panicked has stopped listening as well.
            drop(task.await);
        }
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, router.clone(), stop.clone()))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Small answers should not wait for more; a socket that refuses the option works all the same.
    drop(stream.set_nodelay(true));
    let service = TowerToHyperService::new(router);
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(GRACE, connection).await);
}
