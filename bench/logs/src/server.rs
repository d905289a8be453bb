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
use bytes::Bytes;

use crate::wire::Form;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Reba,
    /// The binary named by `VICTORIA_LOGS`.
    VictoriaLogs,
    /// The binary named by `LOKI`.
    Loki,
}

impl Kind {
    /// All of them, ours first.
    pub const ALL: [Kind; 3] = [Kind::Reba, Kind::VictoriaLogs, Kind::Loki];

    /// The column's title.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reba => "reba",
            Kind::VictoriaLogs => "victoria-logs",
            Kind::Loki => "loki",
        }
    }

    /// The form in which lines are pushed, unless JSON is what is measured.
    pub fn form(self) -> Form {
        if self == Kind::VictoriaLogs { Form::Lines } else { Form::Protobuf }
    }

    fn ready_path(self) -> &'static str {
        if self == Kind::VictoriaLogs { "/health" } else { "/ready" }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `target/release/reba`.
    pub reba: PathBuf,
    /// VictoriaLogs, if there is one.
    pub victoria_logs: Option<PathBuf>,
    /// Loki, if there is one.
    pub loki: Option<PathBuf>,
}

impl Programs {
    /// The binary of a server; why there is none, otherwise.
    pub fn path(&self, kind: Kind) -> Result<&Path, String> {
        let (path, variable) = match kind {
            Kind::Reba => (Some(self.reba.as_path()), "REBA"),
            Kind::VictoriaLogs => (self.victoria_logs.as_deref(), "VICTORIA_LOGS"),
            Kind::Loki => (self.loki.as_deref(), "LOKI"),
        };
        match path {
            Some(path) if path.exists() => Ok(path),
            Some(path) => Err(format!("{}: there is no {}", kind.name(), path.display())),
            None => Err(format!("{}: {variable} names no binary, skipped", kind.name())),
        }
    }
}

/// A running server with its own folder and port.
pub struct Server {
    /// Which program.
    pub kind: Kind,
    /// Its HTTP port.
    pub port: u16,
    programs: Programs,
    folder: PathBuf,
    child: Running,
}

impl Server {
    /// Starts `kind` in a new folder below `scratch`.
    pub async fn start(kind: Kind, programs: &Programs, scratch: &Path) -> Result<Self> {
        let folder = scratch.join(kind.name());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("data"))?;
        fs::create_dir_all(folder.join("loki"))?;
        let port = free_port()?;
        fs::write(folder.join("loki/loki-config.yml"), config(kind, port, &folder))?;
        let child = launch(kind, programs, &folder, port)?;
        let mut server = Server { kind, port, programs: programs.clone(), folder, child };
        server.wait_ready(Duration::from_secs(120)).await?;
        Ok(server)
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        // On Unix this is SIGKILL.
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Starts it again on its data.
    pub async fn start_again(&mut self) -> Result<()> {
        self.child = launch(self.kind, &self.programs, &self.folder, self.port)?;
        self.wait_ready(Duration::from_secs(300)).await
    }

    async fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        let client = Client::new(self.port);
        loop {
            if let Ok((200, _)) = client.get(self.kind.ready_path()).await {
                return Ok(());
            }
            if let Some(status) = self.child.0.try_wait()? {
                bail!("{} ended with {status}; see {}/log", self.kind.name(), self.folder.display());
            }
            if started.elapsed() > patience {
                bail!("{} is not ready after {patience:?}", self.kind.name());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// CPU and memory of the process.
    pub fn usage(&self) -> Result<Usage> {
        self.child.usage()
    }

    /// Bytes of all files in the data folder.
    pub fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.folder.join("data"))
    }

    /// Has it write what is in memory to where it stays.
    pub async fn flush(&self) -> Result<()> {
        let client = Client::new(self.port);
        let (status, _) = match self.kind {
            Kind::VictoriaLogs => client.get("/internal/force_flush").await?,
            _ => client.post("/flush", &[], Bytes::new()).await?,
        };
        if status / 100 == 2 { Ok(()) } else { bail!("flushing was answered with {status}") }
    }

    /// Waits until the server has stopped working: merges belong to the bill.
    pub async fn settle(&self, most: Duration) -> Result<()> {
        let mut last = self.usage()?.cpu;
        let mut quiet = 0;
        for _ in 0..most.as_secs() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let cpu = self.usage()?.cpu;
            quiet = if cpu - last < 0.03 { quiet + 1 } else { 0 };
            if quiet == 3 {
                return Ok(());
            }
            last = cpu;
        }
        Ok(())
    }
}

fn launch(kind: Kind, programs: &Programs, folder: &Path, port: u16) -> Result<Running> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let path = programs.path(kind).map_err(anyhow::Error::msg)?;
    let data = folder.join("data");
    let mut c = Command::new(path);
    match kind {
        Kind::Reba => {
            c.args(["--log=warn", "run", "--only=loki", "--config"]).arg(folder);
            c.arg("--data").arg(&data).arg(format!("--port-offset={}", port.wrapping_sub(3100)));
        }
        Kind::VictoriaLogs => {
            c.arg(format!("-storageDataPath={}", data.display()));
            c.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
            c.args(["-retentionPeriod=30d", "-loggerLevel=ERROR", "-search.maxQueryDuration=5m"]);
        }
        Kind::Loki => {
            c.arg(format!("-config.file={}", folder.join("loki/loki-config.yml").display()));
        }
    }
    c.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(Running)
        .with_context(|| format!("start {}", kind.name()))
}

/// The same for Reba and Loki: limits so high that none is met, no caches of results.
fn config(kind: Kind, port: u16, folder: &Path) -> String {
    let data = folder.join("data");
    let data = data.display();
    // Where Loki 3 keeps chunks; without it they lie in the folder that it was started from.
    let objects = match kind {
        Kind::Loki => format!(", object_store: {{filesystem: {{dir: {data}/chunks}}}}"),
        _ => String::new(),
    };
    // Reba's port is moved by its command line.
    let server = match kind {
        Kind::Loki => {
            // Answers with millions of series go from one part of it to another.
            let most = 1 << 30;
            format!(
                "server:\n  http_listen_port: {port}\n  grpc_listen_port: 0\n  log_level: error\n  \
                 grpc_server_max_recv_msg_size: {most}\n  grpc_server_max_send_msg_size: {most}\n"
            )
        }
        _ => String::new(),
    };
    format!(
        "auth_enabled: false
{server}common:
  instance_addr: 127.0.0.1
  path_prefix: {data}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
  storage: {{filesystem: {{chunks_directory: {data}/chunks, rules_directory: {data}/rules}}{objects}}}
schema_config:
  configs:
  - {{from: \"2024-01-01\", store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}
query_range: {{cache_results: false}}
analytics: {{reporting_enabled: false}}
limits_config:
  reject_old_samples: false
  allow_structured_metadata: true
  ingestion_rate_mb: 10000
  ingestion_burst_size_mb: 10000
  per_stream_rate_limit: 10GB
  per_stream_rate_limit_burst: 10GB
  max_query_series: 5000000
  max_query_length: 0
  query_timeout: 10m
"
    )
}
