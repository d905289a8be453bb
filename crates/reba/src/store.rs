//! Opening the metric store and keeping it in order.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use reba_api::prometheus::{Block, Blocks, Readiness};
use reba_columnar::{Columnar, SpanStore};
use reba_disk::{Env, LogConfig};
use reba_ingest::{config::Config, traces::own::OwnSpans};
use reba_tsdb::{Tsdb, TsdbConfig};

use crate::{own_spans, run::now_ms, settings::Settings};

/// Opens the store below `data`; replays the write-ahead log.
pub async fn open(
    data: &Path,
    settings: &Settings,
    config: &Config,
    readiness: Arc<Readiness>,
) -> Result<Arc<Tsdb>> {
    let path = data.join("metrics");
    let tsdb = TsdbConfig {
        shards: std::thread::available_parallelism().map_or(1, usize::from),
        retention_ms: Some(settings.retention_ms),
        retention_bytes: (settings.retention_bytes > 0).then_some(settings.retention_bytes),
        retention_rules: settings.retention_rules.clone(),
        downsampling: settings.downsampling.clone(),
        out_of_order_window_ms: config.storage.tsdb.out_of_order_time_window.0,
        max_series: settings.max_series,
        max_exemplars: config.storage.exemplars.max_exemplars.try_into().unwrap_or(0),
        wal: LogConfig {
            fsync_interval: Duration::from_millis(settings.fsync_interval_ms.unsigned_abs()),
            ..LogConfig::default()
        },
        ..TsdbConfig::default()
    };
    let store = tokio::task::spawn_blocking(move || {
        let progress = |done, total| {
            readiness.replaying(done, total);
            tracing::info!(done, total, "replaying the write-ahead log");
        };
        Tsdb::open(&Env::real(), path.clone(), tsdb, &progress)
            .with_context(|| format!("open {}", path.display()))
    });
    Ok(Arc::new(store.await??))
}

/// What blocks of the store below `data` there are: `docs/format/block.md` says what `meta.json` holds.
pub fn blocks(data: &Path) -> Blocks {
    let folder = data.join("metrics/blocks");
    Blocks(Box::new(move || {
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = names.filter_map(|e| e.file_name().into_string().ok());
        let finished = names.filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
        let mut blocks: Vec<Block> = finished.filter_map(|name| block(&folder.join(&name), name)).collect();
        blocks.sort_by_key(|b| (b.min_time, b.max_time));
        blocks
    }))
}

/// A block, unless compaction removes it at this moment.
fn block(folder: &Path, name: String) -> Option<Block> {
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).ok()?).ok()?;
    let count = |key: &str| meta[key].as_u64();
    Some(Block {
        name,
        min_time: meta["min_time"].as_i64()?,
        max_time: meta["max_time"].as_i64()?,
        samples: count("samples")?,
        series: count("series")?,
        chunks: count("chunks")?,
        level: count("level")?.try_into().ok()?,
    })
}

/// How often stores are asked what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// How often free memory is given back to the system.
const GIVE_BACK_SECONDS: u64 = 5;

/// The allocator gives back what has been free for a second whenever a thread that used it ends, or on occasions that come
/// often under load. After a load there are none, and what it had freed would stay with the process.
fn give_memory_back() {
    let thread = std::thread::Builder::new().name("give-back".to_owned()).spawn(|| {
        std::hint::black_box(Box::new(0u64));
    });
    if let Ok(thread) = thread {
        // It cannot panic.
        let _ = thread.join();
    }
}

/// A thread that does what is due in a store: fsync, checkpoints, blocks, compaction, retention.
pub struct Maintenance {
    /// Dropping it ends the thread.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    /// Starts a thread that calls `tick` every second, and at once again while that says that there is more to do.
    pub fn start(name: &str, mut tick: impl FnMut() -> bool + Send + 'static) -> Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut pause = PAUSE;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = if tick() { Duration::ZERO } else { PAUSE };
            }
        })?;
        Ok(Maintenance { stop, thread })
    }

    /// The maintenance of the metric store, and of the memory of the whole process.
    pub fn of_metrics(store: Arc<Tsdb>, own: Option<&Arc<OwnSpans>>) -> Result<Self> {
        let own = own.cloned();
        let mut seconds = 0u64;
        Self::start("maintenance", move || {
            let work = || store.maintain(now_ms());
            if let Err(error) = own_spans::maintained(own.as_deref(), "metrics", work) {
                tracing::error!(%error, "maintenance of the metric store failed");
            }
            seconds += 1;
            if seconds.is_multiple_of(GIVE_BACK_SECONDS) {
                give_memory_back();
            }
            false
        })
    }

    /// The maintenance of the log store.
    pub fn of_logs(store: Arc<Columnar>, own: Option<&Arc<OwnSpans>>) -> Result<Self> {
        let own = own.cloned();
        Self::start("log-maintenance", move || {
            let work = || store.maintain(now_ms());
            own_spans::maintained(own.as_deref(), "logs", work).unwrap_or_else(|error| {
                tracing::error!(%error, "maintenance of the log store failed");
                false
            })
        })
    }

    /// The maintenance of the span store.
    pub fn of_spans(store: Arc<SpanStore>, own: Option<&Arc<OwnSpans>>) -> Result<Self> {
        let own = own.cloned();
        Self::start("span-maintenance", move || {
            let work = || store.maintain(now_ms());
            own_spans::maintained(own.as_deref(), "traces", work).unwrap_or_else(|error| {
                tracing::error!(%error, "maintenance of the span store failed");
                false
            })
        })
    }

    /// Ends the thread; waits for what it is doing.
    pub fn stop(self) {
        drop(self.stop);
        // It cannot have panicked without having said so.
        let _ = self.thread.join();
    }
}
