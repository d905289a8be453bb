//! The role `otlp`: the ports of OpenTelemetry, before the roles that store what comes.

use std::sync::Arc;

use anyhow::{Result, bail};
use reba_api::{
    loki::Intake,
    otlp::{self as api, OtlpApi},
};
use reba_model::GoRegex;

use crate::{args::Role, door::Door, loki, prometheus, run::now_ms, settings::Settings, tempo};

/// The role, its doors still closed.
pub struct Otlp(Arc<OtlpApi>);

/// Refuses the role where nobody is beside it who stores what comes.
pub fn check(roles: &[Role]) -> Result<()> {
    let runs = |role| roles.contains(&role);
    if runs(Role::OtlpGrpc) && ![Role::Prometheus, Role::Loki, Role::Tempo].into_iter().any(runs) {
        bail!("the role otlp stores nothing itself: start it with the roles prometheus, loki or tempo");
    }
    Ok(())
}

impl Otlp {
    /// The role beside those that store metrics, logs and traces, as far as they are here.
    pub fn new(
        metrics: Option<&prometheus::Built>,
        logs: Option<&loki::Built>,
        traces: Option<&tempo::Built>,
        settings: &Settings,
    ) -> Result<Self> {
        Ok(Otlp(Arc::new(OtlpApi {
            metrics: metrics.map(|built| api::Metrics { receiver: built.otlp(), clock: Arc::new(now_ms) }),
            logs: logs.map(loki::Built::otlp),
            traces: traces.map(tempo::Built::otlp),
            intake: logs.map(loki::Built::intake).unwrap_or_default(),
            cors_origin: GoRegex::anchored(&settings.cors_origin)?,
        })))
    }

    /// Memory for bodies on their way, whatever port they come by.
    pub fn intake(&self) -> Intake {
        self.0.intake.clone()
    }

    /// Opens the door of gRPC and that of HTTP.
    pub fn open(self, grpc: Option<&Door>, http: Option<&Door>) {
        let routers = [(grpc, api::grpc_router(Arc::clone(&self.0))), (http, api::http_router(self.0))];
        for (door, router) in routers {
            if let Some(door) = door {
                door.readiness().set_ready();
                door.open(router);
            }
        }
    }
}
