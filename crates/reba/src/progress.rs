//! What commands that take long say on a terminal.

use std::io::{IsTerminal as _, Write as _};

/// How much is done, for whoever waits at a terminal.
pub struct Progress {
    terminal: bool,
    percent: Option<u64>,
}

impl Progress {
    /// Nothing is done.
    pub fn new() -> Self {
        Progress { terminal: std::io::stderr().is_terminal(), percent: None }
    }

    /// Shows how much is done of how much.
    pub fn show(&mut self, done: u64, total: u64) {
        let percent = (u128::from(done) * 100 / u128::from(total.max(1))) as u64;
        if self.terminal && self.percent != Some(percent) {
            self.percent = Some(percent);
            // Nobody is waiting if it cannot be written.
            let _ = write!(std::io::stderr(), "\r{percent:3} %");
        }
    }

    /// Leaves the line empty.
    pub fn clear(&mut self) {
        if self.percent.take().is_some() {
            let _ = write!(std::io::stderr(), "\r     \r");
        }
    }
}

/// Bytes in the unit that a person would take.
pub fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if rest < 1000.0 {
            return if unit == "bytes" { format!("{bytes} {unit}") } else { format!("{rest:.1} {unit}") };
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_unit_that_a_person_would_take() {
        let sizes = [0, 999, 1000, 1_550_000, 2_000_000_000, 3_500_000_000_000].map(size);
        assert_eq!(sizes, ["0 bytes", "999 bytes", "1.0 kB", "1.6 MB", "2.0 GB", "3.5 TB"]);
    }
}
