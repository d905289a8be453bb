//! Simulated time: the wall clock's, made faster.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Kigali is two hours ahead of UTC all year.
const KIGALI_OFFSET: Duration = Duration::from_secs(2 * 3600);
const DAY: u64 = 24 * 3600;

/// How much goes on in Kigali at each full hour of the day, by the day's mean: a morning and an evening peak.
const BY_HOUR: [f64; 24] = [
    0.45, 0.40, 0.38, 0.38, 0.42, 0.60, 0.95, 1.30, 1.35, 1.15, 1.05, 1.05, 1.15, 1.10, 1.05, 1.05, 1.20,
    1.40, 1.45, 1.30, 1.10, 0.90, 0.70, 0.55,
];

/// Beyond this factor latencies are not made faster: what a request really costs, and the millisecond that timers
/// are exact to, would count as simulated time and drown them.
const FASTEST_LATENCY: f64 = 4.0;

/// Two times since the fleet's start: that of events, at full speed, and that of latencies, at a pace that keeps
/// measured durations honest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimClock {
    origin: Instant,
    speed: f64,
}

impl SimClock {
    pub(crate) fn starting_now(speed: f64) -> Self {
        Self { origin: Instant::now(), speed }
    }

    /// Simulated time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.on_the_wall().mul_f64(self.speed)
    }

    /// Real time since the start.
    pub(crate) fn on_the_wall(&self) -> Duration {
        self.origin.elapsed()
    }

    /// How long to wait, really, until a simulated time; nothing once it is over.
    pub(crate) fn until(&self, simulated: Duration) -> Duration {
        simulated.saturating_sub(self.now()).div_f64(self.speed)
    }

    /// The time that durations are measured by.
    pub(crate) fn pace(&self) -> f64 {
        self.speed.min(FASTEST_LATENCY)
    }

    /// Lets a latency pass.
    pub(crate) async fn take(&self, latency: Duration) {
        tokio::time::sleep(latency.div_f64(self.pace())).await;
    }
}

/// How busy Kigali is at a time of day, by the day's mean.
pub(crate) fn busyness(time: SystemTime) -> f64 {
    let local = time.duration_since(UNIX_EPOCH).unwrap_or_default() + KIGALI_OFFSET;
    let hours = (local.as_secs() % DAY) as f64 / 3600.0;
    let (hour, part) = (hours as usize, hours.fract());
    BY_HOUR[hour % 24] * (1.0 - part) + BY_HOUR[(hour + 1) % 24] * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kigali_is_busiest_in_the_evening_and_quiet_before_dawn() {
        let at_utc =
            |hour: u64| busyness(UNIX_EPOCH + Duration::from_secs(1_700_006_400 / DAY * DAY + hour * 3600));
        assert_eq!(at_utc(16), 1.45);
        assert_eq!(at_utc(0), 0.38);
        assert!(at_utc(5) > 1.2, "seven in the morning");
        let mean: f64 = BY_HOUR.iter().sum::<f64>() / 24.0;
        assert!((0.9..=1.1).contains(&mean), "{mean}");
    }
}
