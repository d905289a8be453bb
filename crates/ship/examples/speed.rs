//! How many megabytes a CPU-second the shipper takes: a file of JSON lines, through a pipeline, into memory.
//!
//!     cargo run --release -p reba-ship --example speed [MEGABYTES]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures")]

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reba_config::Variables;
use reba_disk::Env;
use reba_http::ProxyEnv;
use reba_model::{LogBatch, Tenant};
use reba_ship::{ShipConfig, Shipper, Surroundings, system_now_ns};
use reba_storage::{AppendError, LogAppender, LogReport};

/// Counts what it is given.
#[derive(Default)]
struct Ram(AtomicUsize);

impl LogAppender for Ram {
    fn append_logs(&self, _: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        self.0.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(LogReport { appended: batch.len(), duplicates: 0 })
    }
}

const PLAIN: &str = "[]";

const JSON: &str = "
  - json: {expressions: {level: , time: , trace_id: , event: , msg: }}
  - timestamp: {source: time, format: UnixMs}
  - template: {source: level, template: '{{ if eq .Value \"30\" }}info{{ else if eq .Value \"50\" }}error{{ else }}{{ .Value }}{{ end }}'}
  - labels: {level: }
  - structured_metadata: {trace_id: , event: }
";

const DOCKER: &str = "
  - docker: {}
  - json: {expressions: {level: , time: , trace_id: , event: }}
  - timestamp: {source: time, format: UnixMs}
  - labels: {level: }
  - structured_metadata: {trace_id: , event: }
";

fn service_line(n: usize) -> String {
    format!(
        r#"{{"level":{},"time":{},"pid":1,"hostname":"rides-7c9","service":"rides","trace_id":"{:032x}","span_id":"{:016x}","request_id":"req-{n}","user_id":"u{}","event":"ride.matched","msg":"matched a driver in {} ms","duration_ms":{}}}"#,
        if n.is_multiple_of(50) { 50 } else { 30 },
        1_767_323_040_000_u64 + n as u64,
        n * 7919,
        n * 31,
        n % 5000,
        n % 300,
        n % 300,
    )
}

fn docker_line(n: usize) -> String {
    let log = serde_json::Value::from(service_line(n) + "\n");
    format!(r#"{{"log":{log},"stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}}"#)
}

fn measure(name: &str, stages: &str, bytes: usize, line: impl Fn(usize) -> String) {
    let dir = tempfile::tempdir().unwrap();
    let (mut text, mut lines) = (String::new(), 0);
    while text.len() < bytes {
        let _ = writeln!(text, "{}", line(lines));
        lines += 1;
    }
    std::fs::write(dir.path().join("a.log"), &text).unwrap();
    let config = format!(
        "positions: {{filename: {0}/p.yaml}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{labels: {{job: j, __path__: '{0}/*.log'}}}}]\n  pipeline_stages: {stages}\n",
        dir.path().display()
    );
    let config = ShipConfig::parse(&config, Path::new("p.yml"), &Variables::default()).unwrap();
    let ram = Arc::new(Ram::default());
    let around = Surroundings {
        env: Env::real(),
        store: Some((Arc::clone(&ram) as Arc<dyn LogAppender>, Arc::new(|_| true))),
        host: "h".to_owned(),
        now_ns: Arc::new(system_now_ns),
        user_agent: "speed".to_owned(),
        proxies: ProxyEnv::default(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let shipper = Shipper::start(config, &around).unwrap();
        while ram.0.load(Ordering::Relaxed) < lines {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let megabytes = text.len() as f64 / 1e6;
        println!("{name:8} {lines} lines: {:.0} MB/CPU-s, {:.0} MB/s", megabytes / cpu, megabytes / wall);
        shipper.stop().await;
    });
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let megabytes: usize = std::env::args().nth(1).map_or(200, |n| n.parse().unwrap());
    let bytes = megabytes << 20;
    measure("plain", PLAIN, bytes, service_line);
    measure("json", JSON, bytes, service_line);
    measure("docker", DOCKER, bytes, docker_line);
    measure("auto", "[{auto: {}}]", bytes, service_line);
}
