//! Opening the span store, and what a configuration makes of it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use reba_columnar::{ColumnarConfig, Periods, Retention, SpanStore};
use reba_disk::{Env, LogConfig};
use reba_ingest::traces::config::TempoConfig;

use crate::settings::Settings;

/// Opens the store in `DATA/traces`; replays the write-ahead log.
pub async fn open(data: &Path, settings: &Settings, config: &TempoConfig) -> Result<Arc<SpanStore>> {
    let path = data.join("traces");
    let fsync_interval = Duration::from_millis(settings.fsync_interval_ms.unsigned_abs());
    let columnar = ColumnarConfig {
        wal: LogConfig { fsync_interval, ..LogConfig::default() },
        retention: retention(config, settings.trace_retention_bytes()),
        ..SpanStore::default_config()
    };
    let store = tokio::task::spawn_blocking(move || {
        SpanStore::open(&Env::real(), path.clone(), columnar)
            .with_context(|| format!("open {}", path.display()))
    });
    Ok(Arc::new(store.await??))
}

/// How long the spans of each tenant are kept. `max_bytes` is for all of them.
pub fn retention(config: &TempoConfig, max_bytes: Option<u64>) -> Retention {
    let keep = config.retention();
    let own = config.tenants.iter().filter(|(_, limits)| !limits.block_retention.is_zero());
    let tenants = own.map(|(tenant, limits)| {
        (tenant.clone(), Periods { keep: Some(limits.block_retention.as_std()), rules: Vec::new() })
    });
    Retention { periods: Periods { keep, rules: Vec::new() }, tenants: tenants.collect(), max_bytes }
}
