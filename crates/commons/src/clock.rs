//! Time as a value.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Where the library gets the time from, so that tests and simulations can set their own.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    monotonic: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The clocks of the operating system.
    pub fn system() -> Self {
        let origin = Instant::now();
        Self::new(SystemTime::now, move || origin.elapsed())
    }

    /// A clock of one's own: `wall` stamps exemplars, `monotonic` (time since any fixed moment) measures durations.
    pub fn new(
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
        monotonic: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), monotonic: Arc::new(monotonic) }
    }

    /// The time of day.
    pub fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// Time since the clock's fixed moment; never goes back.
    pub fn monotonic(&self) -> Duration {
        (self.monotonic)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
