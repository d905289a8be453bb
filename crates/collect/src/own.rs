//! What an exporter tells about itself: its build, its process, and how it is asked.

use std::{
    fs,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use rustix::process::{Resource, getrlimit};

use crate::page::Page;

/// Who we are, and whose place we take.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The upstream's version that dashboards expect.
    pub version: &'static str,
    /// Reba's own.
    pub revision: &'static str,
}

impl Build {
    /// The exporter that is compatible with `version`.
    pub const fn like(version: &'static str) -> Self {
        Build { version, revision: concat!("reba-", env!("CARGO_PKG_VERSION")) }
    }

    /// Adds `NAME_build_info`.
    pub fn write(self, page: &mut Page, name: &'static str) {
        let labels = [
            ("branch", "HEAD"),
            ("goarch", arch()),
            ("goos", std::env::consts::OS),
            ("goversion", "none"),
            ("revision", self.revision),
            ("tags", "reba"),
            ("version", self.version),
        ];
        page.gauge(name, "Which program answers here; always 1.").with(&labels, 1.0);
    }
}

/// The machine's architecture in Go's words.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// How an exporter is asked, under the names of upstream's HTTP library.
#[derive(Debug, Default)]
pub struct Promhttp {
    ok: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    in_flight: AtomicI64,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Promhttp);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Promhttp {
    /// Takes a request, unless `most` are being answered already (0: no limit).
    pub fn begin(&self, most: u64) -> Option<InFlight<'_>> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let guard = InFlight(self);
        if most > 0 && now.unsigned_abs() >= most {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(guard)
    }

    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        let counter = if status == 200 { &self.ok } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the counts.
    pub fn write(&self, page: &mut Page) {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
        page.counter("promhttp_metric_handler_requests_total", "Scrapes answered, by status.")
            .with(&[("code", "200")], read(&self.ok))
            .with(&[("code", "500")], read(&self.failed))
            .with(&[("code", "503")], read(&self.refused));
        page.gauge("promhttp_metric_handler_requests_in_flight", "Scrapes that are being answered.")
            .value(self.in_flight.load(Ordering::Relaxed) as f64);
        page.counter("promhttp_metric_handler_errors_total", "Errors while a page was put together.")
            .with(&[("cause", "encoding")], 0.0)
            .with(&[("cause", "gathering")], 0.0);
    }
}

/// Ticks of a second in `/proc`: USER_HZ is 100 on every architecture that Linux still has.
pub(crate) const USER_HZ: f64 = 100.0;

/// This process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    boot: f64,
}

impl Process {
    /// This process.
    pub(crate) fn new() -> Self {
        Process { boot: boot_time() }
    }

    /// Adds what is known of it, and those of the Go runtime's names that dashboards of exporters draw.
    pub(crate) fn write(self, page: &mut Page) {
        process(page, self.boot);
    }
}

fn process(page: &mut Page, boot: f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold anything; behind its closing parenthesis there are only numbers.
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_ascii_whitespace().skip(1).map(|f| f.parse().unwrap_or(0.0)).collect())
        .unwrap_or_default();
    let field = |n: usize| fields.get(n).copied().unwrap_or(0.0);
    let (cpu, threads, start) = ((field(10) + field(11)) / USER_HZ, field(16), field(18) / USER_HZ);
    let (virtual_bytes, resident) = (field(19), field(20) * rustix::param::page_size() as f64);
    page.counter("process_cpu_seconds_total", "CPU time of this process.").value(cpu);
    page.gauge("process_virtual_memory_bytes", "Virtual memory of this process.").value(virtual_bytes);
    page.gauge("process_resident_memory_bytes", "Resident memory of this process.").value(resident);
    page.gauge("process_start_time_seconds", "When this process started, in Unix time.").value(boot + start);
    page.gauge("process_open_fds", "Open file descriptors.").value(open_files());
    page.gauge("process_max_fds", "Open file descriptors at most.").value(limit(Resource::Nofile));
    page.gauge("process_virtual_memory_max_bytes", "Virtual memory at most.").value(limit(Resource::As));
    page.gauge("go_info", "The runtime: none, this is not Go.").with(&[("version", "none")], 1.0);
    page.gauge("go_goroutines", "Threads, which do the work of goroutines here.").value(threads);
    page.gauge("go_threads", "Threads.").value(threads);
    page.gauge("go_memstats_alloc_bytes", "Resident memory, in the place of Go's heap.").value(resident);
    page.gauge("go_memstats_sys_bytes", "Resident memory, in the place of Go's.").value(resident);
}

fn limit(resource: Resource) -> f64 {
    // Upstream prints the largest number for a limit that is none.
    getrlimit(resource).current.map_or(u64::MAX as f64, |n| n as f64)
}

fn open_files() -> f64 {
    // Since Linux 6.2 the folder's size is their number; before, it is 0.
    match fs::metadata("/proc/self/fd").map_or(0, |m| m.len()) {
        0 => fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count()) as f64,
        count => count as f64,
    }
}

/// When the system started, in Unix seconds.
fn boot_time() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_time_and_descriptors() {
        let mut page = Page::new();
        Process::new().write(&mut page);
        Build::like("1.7.0").write(&mut page, "node_exporter_build_info");
        let text = page.text();
        let value = |name: &str| {
            let line =
                text.lines().find(|l| l.starts_with(name) && l.as_bytes()[name.len()] == b' ').unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5 && value("process_open_fds") >= 3.0);
        assert!(value("process_start_time_seconds") > 1.6e9 && value("go_threads") >= 1.0);
        assert!(text.contains("version=\"1.7.0\""));
    }

    #[test]
    fn more_requests_than_allowed_are_refused() {
        let http = Promhttp::default();
        let one = http.begin(1).unwrap();
        assert!(http.begin(1).is_none() && http.begin(0).is_some());
        drop(one);
        assert!(http.begin(1).is_some());
    }
}
