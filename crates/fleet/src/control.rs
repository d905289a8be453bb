//! Incidents switched on and off: by a handle, and over HTTP.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    Endpoint, Incident, Service,
    clock::SimClock,
    host::Host,
    incident::{Active, Board, Target},
    logs::{Level, Line, Logs, stacks},
};

/// Commands that may wait: a person and a few tests switch incidents, nobody floods them.
const WAITING: usize = 16;

/// Why an incident was not switched.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no such incident.
    #[error("unknown incident {0:?}; there are: {list}", list = Incident::ALL.map(Incident::name).join(", "))]
    UnknownIncident(String),
    /// There is no such service.
    #[error("unknown service {0:?}; there are: {list}", list = Service::ALL.map(Service::name).join(", "))]
    UnknownService(String),
    /// The incident strikes all services.
    #[error("{incident} strikes all services: it takes none")]
    TakesNoService {
        /// The incident's name.
        incident: &'static str,
    },
    /// Somebody else took the address of the service that should come back.
    #[error("{service} cannot listen again")]
    Rebind {
        /// The service's name.
        service: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The fleet has stopped.
    #[error("the fleet has stopped")]
    Stopped,
}

impl ControlError {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownIncident(_) => StatusCode::NOT_FOUND,
            Self::UnknownService(_) | Self::TakesNoService { .. } => StatusCode::BAD_REQUEST,
            Self::Rebind { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How an incident stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentStatus {
    /// Its name.
    pub name: String,
    /// What happens, in one line.
    pub summary: String,
    /// The alert that it leads to.
    pub alert: String,
    /// Whether it is on.
    pub active: bool,
    /// The service that it strikes or would strike; nothing for one that strikes all.
    pub service: Option<String>,
    /// For how many simulated seconds it has been on.
    pub active_seconds: Option<f64>,
}

/// Switches incidents. Clones switch the same fleet.
#[derive(Clone, Debug)]
pub struct IncidentControl {
    commands: mpsc::Sender<Command>,
    board: Arc<Board>,
    clock: SimClock,
}

#[derive(Debug)]
struct Command {
    incident: Incident,
    /// Whom it should strike; nobody switches it off.
    wanted: Option<Target>,
    done: oneshot::Sender<Result<(), ControlError>>,
}

impl IncidentControl {
    /// Switches an incident on, for `service` instead of its usual one. On already, it moves to that service or
    /// stays as it is. Once this returns, a service that went down refuses connections.
    pub async fn start(&self, name: &str, service: Option<&str>) -> Result<IncidentStatus, ControlError> {
        let incident = find(name)?;
        let named =
            service.map(|s| Service::from_name(s).ok_or_else(|| ControlError::UnknownService(s.to_owned())));
        let target = match (named.transpose()?, incident.default_service()) {
            (Some(_), None) => return Err(ControlError::TakesNoService { incident: incident.name() }),
            (named, usual) => named.or(usual),
        };
        self.command(incident, Some(target.into())).await
    }

    /// Switches an incident off. Off already, it stays off. Once this returns, a service that was down listens.
    pub async fn stop(&self, name: &str) -> Result<IncidentStatus, ControlError> {
        self.command(find(name)?, None).await
    }

    /// How all incidents stand.
    pub fn list(&self) -> Vec<IncidentStatus> {
        Incident::ALL.iter().map(|incident| self.status(*incident)).collect()
    }

    async fn command(
        &self,
        incident: Incident,
        wanted: Option<Target>,
    ) -> Result<IncidentStatus, ControlError> {
        let (done, answer) = oneshot::channel();
        let command = Command { incident, wanted, done };
        self.commands.send(command).await.map_err(|_| ControlError::Stopped)?;
        answer.await.map_err(|_| ControlError::Stopped)??;
        Ok(self.status(incident))
    }

    fn status(&self, incident: Incident) -> IncidentStatus {
        let active = self.board.get(incident);
        let service = active.map_or(incident.default_service(), |active| active.target.service());
        IncidentStatus {
            name: incident.name().to_owned(),
            summary: incident.summary().to_owned(),
            alert: incident.alert().to_owned(),
            active: active.is_some(),
            service: service.map(|s| s.name().to_owned()),
            active_seconds: active.map(|a| self.clock.now().saturating_sub(a.since).as_secs_f64()),
        }
    }
}

fn find(name: &str) -> Result<Incident, ControlError> {
    Incident::from_name(name).ok_or_else(|| ControlError::UnknownIncident(name.to_owned()))
}

/// Owns the hosts of all services and carries out commands one by one.
pub(crate) struct Supervisor {
    hosts: Vec<Host>,
    board: Arc<Board>,
    clock: SimClock,
    commands: mpsc::Receiver<Command>,
    logs: Option<Logs>,
}

impl Supervisor {
    /// `hosts` stand in the order of [`Service::ALL`].
    pub(crate) fn new(
        hosts: Vec<Host>,
        board: Arc<Board>,
        clock: SimClock,
        logs: Option<Logs>,
    ) -> (Self, IncidentControl) {
        let (sender, commands) = mpsc::channel(WAITING);
        let control = IncidentControl { commands: sender, board: board.clone(), clock };
        (Self { hosts, board, clock, commands, logs }, control)
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let command = tokio::select! {
                () = stop.cancelled() => break,
                command = self.commands.recv() => command,
            };
            let Some(Command { incident, wanted, done }) = command else { break };
            let outcome = self.switch(incident, wanted).await;
            // Whoever asked may have left; the incident is switched all the same.
            drop(done.send(outcome));
        }
        join_all(self.hosts.iter_mut().map(Host::down)).await;
    }

    async fn switch(&mut self, incident: Incident, wanted: Option<Target>) -> Result<(), ControlError> {
        let now = self.board.get(incident).map(|active| active.target);
        if now == wanted {
            return Ok(());
        }
        if let (Incident::ServiceDown, Some(Target::One(service))) = (incident, now) {
            let up = self.hosts[service.index()].up().await;
            up.map_err(|source| ControlError::Rebind { service: service.name(), source })?;
            self.log(service, Line::info("server_started", "listening again"));
        }
        if let (Incident::ServiceDown, Some(Target::One(service))) = (incident, wanted) {
            self.hosts[service.index()].down().await;
            let line = Line::new(Level::Fatal, "process_exit", "uncaught exception, the process ends");
            self.log(
                service,
                line.because("RangeError", "Maximum call stack size exceeded", stacks::HANDLER),
            );
        }
        let active = wanted.map(|target| Active { target, since: self.clock.now() });
        self.board.set(incident, active);
        let service = wanted.and_then(Target::service).map(Service::name);
        tracing::info!(incident = incident.name(), on = wanted.is_some(), service, "incident switched");
        Ok(())
    }
}

impl Supervisor {
    fn log(&self, service: Service, line: Line) {
        if let Some(logs) = &self.logs {
            logs.write(service, None, line);
        }
    }
}

#[derive(Clone)]
struct ControlState {
    control: IncidentControl,
    endpoints: Arc<[Endpoint]>,
}

/// The control server's routes.
pub(crate) fn router(control: IncidentControl, endpoints: Arc<[Endpoint]>) -> Router {
    Router::new()
        .route("/incidents", get(list))
        .route("/incidents/{name}/start", post(start))
        .route("/incidents/{name}/stop", post(stop))
        .route("/services", get(services))
        .with_state(ControlState { control, endpoints })
}

#[derive(Deserialize)]
struct StartParams {
    service: Option<String>,
}

async fn list(State(state): State<ControlState>) -> Json<Vec<IncidentStatus>> {
    Json(state.control.list())
}

async fn start(
    State(state): State<ControlState>,
    Path(name): Path<String>,
    Query(params): Query<StartParams>,
) -> Result<Json<IncidentStatus>, ControlError> {
    state.control.start(&name, params.service.as_deref()).await.map(Json)
}

async fn stop(
    State(state): State<ControlState>,
    Path(name): Path<String>,
) -> Result<Json<IncidentStatus>, ControlError> {
    state.control.stop(&name).await.map(Json)
}

async fn services(State(state): State<ControlState>) -> Json<Vec<Endpoint>> {
    Json(state.endpoints.to_vec())
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}
