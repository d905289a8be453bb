//! Where log lines go: to standard error, coloured only on a terminal, and to our own log store.

use std::io::IsTerminal as _;

use anyhow::{Context, Result};
use reba_api::loki::LogLevel;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt,
    layer::SubscriberExt as _,
    reload::{self, Handle},
    util::SubscriberInitExt as _,
};

use crate::{
    args::LogFormat,
    own_logs::{self, OwnLogs},
};

/// What the log store does with the subscriber.
pub struct Spoken {
    /// The lines.
    pub own: OwnLogs,
    /// How much is said.
    pub level: Box<dyn LogLevel>,
}

/// Installs the process-wide subscriber.
pub fn init(filter: &str, format: LogFormat) -> Result<Spoken> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let stderr = match format {
        LogFormat::Text => stderr.with_ansi(colours).with_target(false).boxed(),
        LogFormat::Json => stderr.json().flatten_event(true).boxed(),
    };
    let (lines, own) = own_logs::channel();
    let store = fmt::layer().json().flatten_event(true).with_writer(lines);
    tracing_subscriber::registry().with(filter).with(stderr).with(store).init();
    Ok(Spoken { own, level: Box::new(Level(handle)) })
}

/// The filter in force.
struct Level(Handle<EnvFilter, Registry>);

impl LogLevel for Level {
    fn get(&self) -> String {
        let most = self.0.with_current(EnvFilter::max_level_hint).ok().flatten();
        most.map_or_else(|| "info".to_owned(), |level| level.to_string().to_lowercase())
    }

    fn set(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|e| e.to_string())?;
        self.0.reload(filter).map_err(|e| e.to_string())
    }
}
