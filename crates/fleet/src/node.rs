//! A service as its handlers see it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use easymo_commons::{BusinessMetrics, DbQuery, MetricsRegistry, TraceContext};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Incident, Service,
    caller::{Answer, Caller},
    clock::SimClock,
    database::Database,
    dice::Dice,
    incident::Board,
    process::SimProcess,
    rides::Rides,
};

/// What all services share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: SimClock,
    pub(crate) incidents: Arc<Board>,
    pub(crate) caller: Caller,
    pub(crate) rides: Mutex<Rides>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl World {
    /// Does something beside what goes on, until the fleet stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => {}, () = work => {} }
        });
    }
}

/// One service.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) metrics: MetricsRegistry,
    pub(crate) database: Database,
    pub(crate) process: SimProcess,
    pub(crate) world: Arc<World>,
}

impl Node {
    pub(crate) fn business(&self) -> &BusinessMetrics {
        self.metrics.business()
    }
}

/// A request to a service: the service, the span that handles the request, and its dice.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) node: Arc<Node>,
    pub(crate) dice: Dice,
    trace: TraceContext,
}

impl Call {
    fn new(node: &Arc<Node>, trace: Option<&TraceContext>) -> Self {
        let trace = trace.cloned().unwrap_or_else(|| TraceContext::root(node.metrics.ids()));
        let dice = Dice::of_trace(&trace).for_asker(node.service.name());
        Self { node: node.clone(), dice, trace }
    }

    pub(crate) fn business(&self) -> BusinessMetrics {
        self.node.business().traced(&self.trace)
    }

    /// Works for a log-normal time around `median` milliseconds.
    pub(crate) async fn work(&self, what: &str, median: u64) {
        self.node.world.clock.take(self.dice.time(what, Duration::from_millis(median), 0.4)).await;
    }

    pub(crate) async fn query(&self, query_type: &'static str, table: &'static str) {
        let Node { service, database, world, .. } = &*self.node;
        database.query(world, *service, &self.business(), self.dice, DbQuery { query_type, table }).await;
    }

    /// Asks another service.
    pub(crate) async fn get(&self, service: Service, path: &str) -> Option<Answer> {
        let span = self.trace.child(self.node.metrics.ids());
        self.node.world.caller.get(&span, service, path).await
    }

    /// Sends something to another service.
    pub(crate) async fn post<T: Serialize>(&self, service: Service, path: &str, body: &T) -> Option<Answer> {
        let span = self.trace.child(self.node.metrics.ids());
        self.node.world.caller.post(&span, service, path, body).await
    }

    /// Goes on with the request after it was answered.
    pub(crate) fn afterwards<F: Future<Output = ()> + Send + 'static>(self, work: impl FnOnce(Self) -> F) {
        let world = self.node.world.clone();
        world.spawn(work(self));
    }

    pub(crate) fn suffers(&self, incident: Incident) -> bool {
        self.node.world.incidents.strikes(incident, self.node.service).is_some()
    }
}

impl FromRequestParts<Arc<Node>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Infallible> {
        Ok(Self::new(node, parts.extensions.get()))
    }
}

/// Answers some requests with an error: very few as services do, a third of them during an error burst.
pub(crate) async fn fail_sometimes(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let call = Call::new(&node, request.extensions().get());
    let path = request.uri().path();
    let probability = if call.suffers(Incident::ErrorBurst) { 0.35 } else { 0.0006 };
    if path != "/health" && call.dice.for_asker(path).chance("error", probability) {
        call.work("fail", 8).await;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    next.run(request).await
}
