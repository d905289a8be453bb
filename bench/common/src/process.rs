//! Processes under test, watched through /proc.

use std::{fs, net::TcpListener, path::Path, process::Child};

use anyhow::Result;

/// A process that ends with the value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Figures of a process since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time in seconds.
    pub cpu: f64,
    /// Resident memory in bytes, anonymous pages only.
    pub anonymous: f64,
    /// Resident memory in bytes.
    pub resident: f64,
    /// The most it was.
    pub peak: f64,
}

impl Running {
    /// CPU and memory of the process.
    pub fn usage(&self) -> Result<Usage> {
        let pid = self.0.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The command may hold blanks; the fields after it do not.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |key: &str| {
            let line = status.lines().find(|l| l.starts_with(key));
            line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
        };
        Ok(Usage {
            cpu: (ticks(11) + ticks(12)) / 100.0,
            anonymous: kib("RssAnon:"),
            resident: kib("VmRSS:"),
            peak: kib("VmHWM:"),
        })
    }
}

/// A port that is free now, above 9090 so that Reba's offset reaches it.
pub fn free_port() -> Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if port > 9090 {
            return Ok(port);
        }
    }
}

/// Bytes of all files in a folder and those below it.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => folder_bytes(&e.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}
