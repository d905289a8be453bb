//! Rates: a bucket that fills with time and out of which bytes are taken.

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// A token bucket, full at first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// What has been taken, and is not filled up again yet.
    missing: f64,
    at_ns: i64,
}

/// How fast bytes may come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// A second. 0 is any number.
    pub(crate) bytes: f64,
    /// At once.
    pub(crate) burst: f64,
}

impl Bucket {
    /// Takes so many bytes if there are as many.
    pub(crate) fn take(&mut self, now_ns: i64, bytes: usize, rate: Rate) -> bool {
        if rate.bytes <= 0.0 {
            return true;
        }
        let passed = now_ns.saturating_sub(self.at_ns).max(0) as f64;
        let missing = (self.missing - passed / SECOND * rate.bytes).max(0.0);
        self.at_ns = self.at_ns.max(now_ns);
        let after = missing + bytes as f64;
        let fits = after <= rate.burst;
        self.missing = if fits { after } else { missing };
        fits
    }

    /// Seconds until so many bytes may come, at least one.
    pub(crate) fn wait_s(&self, bytes: usize, rate: Rate) -> u32 {
        let over = self.missing + bytes as f64 - rate.burst;
        (over / rate.bytes.max(1.0)).ceil().clamp(1.0, 60.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_its_rate_from_then_on() {
        let rate = Rate { bytes: 10.0, burst: 20.0 };
        let mut bucket = Bucket::default();
        let second = SECOND as i64;
        assert!(bucket.take(second, 20, rate) && !bucket.take(second, 1, rate));
        assert_eq!(bucket.wait_s(15, rate), 2);
        assert!(!bucket.take(2 * second, 11, rate) && bucket.take(2 * second, 10, rate));
        // Nothing is saved beyond the burst, and a clock that goes back gives nothing.
        assert!(bucket.take(1000 * second, 20, rate) && !bucket.take(0, 1, rate));
        assert!(!bucket.take(2000 * second, 21, rate));
        assert!(bucket.take(0, usize::MAX, Rate { bytes: 0.0, burst: 0.0 }));
    }
}
