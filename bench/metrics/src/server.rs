//! The servers under test: started fresh, watched through /proc, stopped by their process id.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use bench_common::process::folder_bytes;
pub use bench_common::process::{Running, Usage, free_port};

use crate::client::Client;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Reba,
    /// Debian's.
    Prometheus,
    /// The binary named by `VICTORIA_METRICS`, or Debian's.
    VictoriaMetrics,
}

impl Kind {
    /// The column's title.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reba => "reba",
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria-metrics",
        }
    }
}

/// Where the programs are.
pub struct Programs {
    /// `target/release/reba`.
    pub reba: PathBuf,
    /// `prometheus`.
    pub prometheus: PathBuf,
    /// `victoria-metrics`.
    pub victoria_metrics: PathBuf,
}

impl Programs {
    /// The version of a server, as it says itself or as its Debian package is called.
    pub fn version(&self, kind: Kind) -> String {
        let path = self.path(kind);
        let said = Command::new(path).arg("--version").output().map(|o| {
            let text = if o.stdout.is_empty() { o.stderr } else { o.stdout };
            String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
        });
        match said {
            Ok(text) if !text.is_empty() => text,
            // Debian's VictoriaMetrics does not know: the package does, which lies where it was unpacked.
            _ => package(path, kind.name()).unwrap_or_else(|| format!("{} (version unknown)", kind.name())),
        }
    }

    /// The binary of a server.
    pub fn path(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Reba => &self.reba,
            Kind::Prometheus => &self.prometheus,
            Kind::VictoriaMetrics => &self.victoria_metrics,
        }
    }
}

fn package(binary: &Path, name: &str) -> Option<String> {
    let folder = binary.ancestors().nth(3)?;
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let file = entry.file_name().into_string().ok()?;
        let version = file.strip_prefix(name)?.strip_prefix('_')?.split('_').next()?;
        Some(format!("{name} {version} (Debian)"))
    })
}

/// A running server with its own folder and port.
pub struct Server {
    /// Which program.
    pub kind: Kind,
    /// Its HTTP port.
    pub port: u16,
    /// Its data folder.
    pub data: PathBuf,
    folder: PathBuf,
    child: Running,
}

impl Server {
    /// Starts `kind` in a new folder below `scratch`, scraping `targets` (none: only remote write).
    pub async fn start(kind: Kind, programs: &Programs, scratch: &Path, targets: &[String]) -> Result<Self> {
        Self::start_with_rules(kind, programs, scratch, targets, "").await
    }

    /// The same with a file of rules.
    pub async fn start_with_rules(
        kind: Kind,
        programs: &Programs,
        scratch: &Path,
        targets: &[String],
        rules: &str,
    ) -> Result<Self> {
        let folder = scratch.join(kind.name());
        let _ = fs::remove_dir_all(&folder);
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        fs::create_dir_all(folder.join("prometheus"))?;
        let config = folder.join("prometheus/prometheus.yml");
        let mut text = config_text(targets);
        if !rules.is_empty() {
            text.push_str("rule_files: [rules.yml]\n");
            fs::write(folder.join("prometheus/rules.yml"), rules)?;
        }
        fs::write(&config, text)?;
        let port = free_port()?;
        let child = launch(kind, programs, &folder, port)?;
        let mut server = Server { kind, port, data, folder, child };
        server.wait_ready(Duration::from_secs(60)).await?;
        Ok(server)
    }

    /// Kills the server as a crash would, starts it again on its data, and waits until it is ready.
    pub async fn restart_after_kill(&mut self, programs: &Programs) -> Result<()> {
        // On Unix this is SIGKILL.
        self.child.0.kill()?;
        self.child.0.wait()?;
        self.child = launch(self.kind, programs, &self.folder, self.port)?;
        self.wait_ready(Duration::from_secs(300)).await
    }

    /// Waits until the server answers that it is ready.
    pub async fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        let client = Client::new(self.port);
        loop {
            if let Ok((200, _)) = client.get(self.ready_path()).await {
                return Ok(());
            }
            if let Some(status) = self.child.0.try_wait()? {
                bail!("{} ended with {status}", self.kind.name());
            }
            if started.elapsed() > patience {
                bail!("{} is not ready after {patience:?}", self.kind.name());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn ready_path(&self) -> &'static str {
        if self.kind == Kind::VictoriaMetrics { "/health" } else { "/-/ready" }
    }

    /// CPU and memory of the process.
    pub fn usage(&self) -> Result<Usage> {
        self.child.usage()
    }

    /// Bytes of all files in the data folder.
    pub fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.data)
    }
}

fn launch(kind: Kind, programs: &Programs, folder: &Path, port: u16) -> Result<Running> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    command(kind, programs, folder, port)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(Running)
        .with_context(|| format!("start {}", kind.name()))
}

fn command(kind: Kind, programs: &Programs, folder: &Path, port: u16) -> Command {
    let (data, config) = (folder.join("data"), folder.join("prometheus/prometheus.yml"));
    let address = format!("127.0.0.1:{port}");
    match kind {
        Kind::Reba => {
            let mut c = Command::new(&programs.reba);
            c.arg("--log=warn").args(["run", "--only=prometheus"]);
            c.arg("--config").arg(folder).arg("--data").arg(&data);
            c.arg(format!("--port-offset={}", port.wrapping_sub(9090)));
            c
        }
        Kind::Prometheus => {
            let mut c = Command::new(&programs.prometheus);
            c.arg(format!("--config.file={}", config.display()));
            c.arg(format!("--storage.tsdb.path={}", data.display()));
            c.arg(format!("--web.listen-address={address}"));
            c.args([
                "--web.enable-remote-write-receiver",
                "--storage.tsdb.retention.time=30d",
                "--log.level=warn",
                "--query.max-samples=500000000",
            ]);
            c
        }
        Kind::VictoriaMetrics => {
            let mut c = Command::new(&programs.victoria_metrics);
            c.arg(format!("-storageDataPath={}", data.display()));
            c.arg(format!("-httpListenAddr={address}"));
            c.arg(format!("-promscrape.config={}", config.display()));
            c.args(["-retentionPeriod=12", "-search.disableCache", "-loggerLevel=ERROR"]);
            // A million series are more than its limits for a query.
            c.args([
                "-search.maxUniqueTimeseries=5000000",
                "-search.maxTagValues=5000000",
                "-search.maxSeries=5000000",
                "-search.maxQueryDuration=5m",
            ]);
            c
        }
    }
}

fn config_text(targets: &[String]) -> String {
    let mut text = String::from("global:\n  scrape_interval: 2s\n  scrape_timeout: 2s\n");
    if targets.is_empty() {
        return text;
    }
    text.push_str("scrape_configs:\n");
    // A page for each target stands on one listener: one job a page.
    for (i, target) in targets.iter().enumerate() {
        text.push_str(&format!(
            "- job_name: t{i}\n  metrics_path: /t/{i}\n  static_configs:\n  - targets: [\"{target}\"]\n"
        ));
    }
    text
}
