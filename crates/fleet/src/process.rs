//! What each simulated service says that its process uses.

use std::{sync::Arc, time::Duration};

use easymo_commons::{ProcessReader, ProcessStats};
use parking_lot::Mutex;

use crate::{
    Service,
    dice::{Dice, mix},
};

const MIB: f64 = 1024.0 * 1024.0;
/// A leak grows this fast, and stops before anybody would believe it no more.
const LEAK_PER_SECOND: f64 = 40.0 * MIB;
const LEAK_MOST: f64 = 2_600.0 * MIB;

/// The figures of one simulated process. All services live in one real process, whose own figures would be theirs
/// thirteen times over.
#[derive(Clone, Debug)]
pub(crate) struct SimProcess {
    stats: Arc<Mutex<ProcessStats>>,
    dice: Dice,
}

/// What strikes a process while time passes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Strain {
    /// Since how long it has leaked memory, in simulated time.
    pub(crate) leaking: Option<Duration>,
    /// Whether it burns a core.
    pub(crate) burning: bool,
    /// How busy the time of day is.
    pub(crate) busyness: f64,
}

impl SimProcess {
    pub(crate) fn new(service: Service, seed: u64, started_unix: f64) -> Self {
        let dice = Dice::new(mix(seed)).for_asker(service.name());
        let stats =
            ProcessStats { start_time_seconds: started_unix, max_fds: 65_536.0, ..ProcessStats::default() };
        let process = Self { stats: Arc::new(Mutex::new(stats)), dice };
        process.advance(Duration::ZERO, 0, Strain { busyness: 1.0, ..Strain::default() });
        process
    }

    pub(crate) fn reader(&self) -> ProcessReader {
        let stats = self.stats.clone();
        Arc::new(move || Some(*stats.lock()))
    }

    /// Lets real time pass; `tick` counts the calls. Processor time runs with the wall clock even where the fleet
    /// runs faster, since its rate is read as cores.
    pub(crate) fn advance(&self, passed: Duration, tick: u64, strain: Strain) {
        let wobble = self.dice.roll(&format!("tick {tick}"));
        let base = (90.0 + 160.0 * self.dice.roll("size") + 8.0 * wobble) * MIB;
        let leaked =
            strain.leaking.map_or(0.0, |since| (LEAK_PER_SECOND * since.as_secs_f64()).min(LEAK_MOST));
        let idle = 0.01 + (0.05 + 0.05 * wobble) * strain.busyness;
        let cores = if strain.burning { 0.97 } else { idle };
        let mut stats = self.stats.lock();
        stats.cpu_seconds += cores * passed.as_secs_f64();
        stats.resident_bytes = base + leaked;
        stats.virtual_bytes = 4.0 * base + leaked;
        stats.open_fds = 24.0 + (30.0 * wobble * strain.busyness).floor();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64, strain: Strain) -> ProcessStats {
        let process = SimProcess::new(Service::Wallet, 1, 1.7e9);
        process.advance(Duration::from_secs(seconds), 1, strain);
        process.reader()().unwrap()
    }

    #[test]
    fn a_healthy_process_stays_far_from_its_alerts() {
        let stats = after(100, Strain { busyness: 1.45, ..Strain::default() });
        assert!(stats.resident_bytes < 300.0 * MIB && stats.resident_bytes > 80.0 * MIB);
        assert!(stats.cpu_seconds > 1.0 && stats.cpu_seconds < 20.0, "{}", stats.cpu_seconds);
    }

    #[test]
    fn a_leak_passes_two_gigabytes_within_a_minute_and_stops_growing() {
        let leaking = |s| Strain { leaking: Some(Duration::from_secs(s)), ..Strain::default() };
        assert!(after(1, leaking(60)).resident_bytes > 2.2e9);
        assert!(after(1, leaking(1_000_000)).resident_bytes < 3.2e9);
    }

    #[test]
    fn burning_takes_nearly_a_whole_core() {
        let cpu = after(100, Strain { burning: true, ..Strain::default() }).cpu_seconds;
        assert!((80.0..100.0).contains(&cpu), "{cpu}");
    }
}
