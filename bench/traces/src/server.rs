//! The servers under test: started fresh, stopped by their process id.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bench_common::{
    client::Client,
    process::{Running, Usage, folder_bytes, free_port},
};

/// A running server with its own folder and ports.
pub struct Server {
    /// `reba` or `tempo`.
    pub name: &'static str,
    /// Where questions go.
    pub queries: Client,
    /// Where spans go.
    pub spans: Client,
    folder: PathBuf,
    child: Running,
}

impl Server {
    /// Starts Reba's roles that take spans and answer for them.
    pub async fn reba(binary: &Path, scratch: &Path) -> Result<Server> {
        let folder = fresh(scratch, "reba")?;
        fs::create_dir_all(folder.join("tempo"))?;
        let limits = "overrides: {defaults: {ingestion: {rate_limit_bytes: 1000000000, burst_size_bytes: 1000000000, \
                      max_traces_per_user: 0}}}\n";
        fs::write(folder.join("tempo/tempo.yml"), limits)?;
        // One offset moves all ports.
        let offset = free_port()?.saturating_sub(9090) % 40_000;
        let mut command = Command::new(binary);
        command.args(["run", "--only", "tempo,otlp", "--port-offset", &offset.to_string()]);
        command.arg("--data").arg(folder.join("data")).arg("--config").arg(&folder);
        Self::start("reba", command, folder, 3200 + offset, 4317 + offset).await
    }

    /// Starts Tempo.
    pub async fn tempo(binary: &Path, scratch: &Path) -> Result<Server> {
        let folder = fresh(scratch, "tempo")?;
        let ports = (free_port()?, free_port()?, free_port()?);
        let file = folder.join("tempo.yml");
        // Tempo 3 has no ingester any more, and refuses what it does not know.
        for keeper in [LIVE_STORE, INGESTER] {
            fs::write(&file, tempo_config(keeper, &folder.join("data"), ports))?;
            let mut check = Command::new(binary);
            check.arg(format!("-config.file={}", file.display())).arg("-config.verify=true");
            if check.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
                break;
            }
        }
        let (http, _, otlp) = ports;
        let mut command = Command::new(binary);
        command.arg(format!("-config.file={}", file.display()));
        Self::start("tempo", command, folder, http, otlp).await
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        folder: PathBuf,
        http: u16,
        otlp: u16,
    ) -> Result<Server> {
        let log = fs::File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = Running(command.spawn().with_context(|| format!("start {name}"))?);
        let server = Server { name, queries: Client::new(http), spans: Client::of_grpc(otlp), folder, child };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !matches!(server.queries.get("/ready").await, Ok((200, _))) {
            if Instant::now() > deadline {
                bail!("{name} is not ready after two minutes: see {}", server.folder.join("log").display());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(server)
    }

    /// CPU and memory.
    pub fn usage(&self) -> Result<Usage> {
        self.child.usage()
    }

    /// Bytes of everything it keeps. Of Tempo its blocks: what its live store has besides for a while goes away again.
    pub fn disk(&self) -> u64 {
        let blocks = self.folder.join("data/blocks");
        if blocks.exists() { folder_bytes(&blocks) } else { folder_bytes(&self.folder.join("data")) }
    }
}

/// What keeps the newest spans, in Tempo 3 and before.
const LIVE_STORE: &str =
    "live_store: {wal: {path: DATA/live, ingestion_time_range_slack: 1h}, shutdown_marker_dir: DATA/marker}";
const INGESTER: &str = "ingester: {max_block_duration: 30s, trace_idle_period: 5s}";

fn tempo_config(keeper: &str, data: &Path, (http, grpc, otlp): (u16, u16, u16)) -> String {
    // Blocks are found soon after they are there, and under the times of their spans: a search for old spans asks only those.
    format!(
        "server: {{http_listen_port: {http}, grpc_listen_port: {grpc}, http_listen_address: 127.0.0.1}}\n\
         distributor: {{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}}}\n\
         {keeper}\n\
         storage: {{trace: {{backend: local, blocklist_poll: 5s, local: {{path: DATA/blocks}}, wal: {{path: DATA/wal, \
         ingestion_time_range_slack: 1h}}}}}}\n\
         usage_report: {{reporting_enabled: false}}\n\
         overrides: {{defaults: {{ingestion: {{rate_limit_bytes: 1000000000, burst_size_bytes: 1000000000, \
         max_traces_per_user: 0}}}}}}\n"
    )
    .replace("DATA", &data.display().to_string())
}

fn fresh(scratch: &Path, name: &str) -> Result<PathBuf> {
    let folder = scratch.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("data"))?;
    Ok(folder.canonicalize()?)
}
