//! What every metric store must do: the same operations on it and on the RAM store must give the same.

mod checks;
mod dice;
mod pair;

use reba_storage::{MetricAppender, MetricQuerier};

use crate::store::MemConfig;

/// Both halves of a store.
pub trait MetricStore: MetricAppender + MetricQuerier {}

impl<T: MetricAppender + MetricQuerier> MetricStore for T {}

/// How a store is to be set up for a check; it starts empty.
#[derive(Clone, Copy, Debug)]
pub struct SuiteConfig {
    /// How much older than the newest sample of the store an out-of-order sample may be, milliseconds; 0: none may be.
    pub out_of_order_window: i64,
    /// How much older than the newest sample of the store an in-order sample may be, milliseconds.
    pub accept_back: i64,
}

impl SuiteConfig {
    const IN_ORDER: SuiteConfig = SuiteConfig { out_of_order_window: 0, accept_back: HOUR };

    fn oracle(self) -> MemConfig {
        MemConfig { out_of_order_window: self.out_of_order_window, accept_back: self.accept_back }
    }
}

/// An hour in milliseconds.
const HOUR: i64 = 3_600_000;

/// Makes a store; what keeps its files alive may live inside of it.
type MakeStore<'a> = &'a dyn Fn(SuiteConfig) -> Box<dyn MetricStore>;

/// One check: its name is the sentence it proves.
type Check = (&'static str, fn(MakeStore<'_>) -> Result<(), String>);

/// Every check, from the simplest.
const CHECKS: [Check; 12] = [
    ("floats come back bit by bit", checks::floats_come_back),
    ("older and repeated samples are refused with their index", checks::older_samples_are_refused),
    ("all or nothing means nothing", checks::all_or_nothing),
    ("an out-of-order window admits what lies in it", checks::out_of_order_window),
    ("a reference that names no series is reported", checks::unknown_references),
    ("histograms come back, and contradictory ones are refused", checks::histograms),
    ("a series may change between floats and histograms", checks::mixed_series),
    ("matchers select what they say", checks::matchers),
    ("long series come back from any range", checks::long_series),
    ("exemplars come back in order", checks::exemplars),
    ("random batches give what the RAM store gives", checks::random_batches),
    ("a query sees all of a batch or nothing, and stops when told to", checks::isolation_and_budget),
];

/// Runs all checks on stores that `make` sets up; the error lists every check that failed and why.
pub fn metric_suite(make: &dyn Fn(SuiteConfig) -> Box<dyn MetricStore>) -> Result<(), String> {
    let failures: Vec<String> =
        CHECKS.iter().filter_map(|(name, check)| check(make).err().map(|e| format!("{name}: {e}"))).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemStore;

    #[test]
    fn the_ram_store_passes_its_own_suite() {
        metric_suite(&|config| Box::new(MemStore::new(config.oracle()))).unwrap();
    }

    #[test]
    fn a_store_that_accepts_too_much_does_not_pass() {
        let lax = MemConfig { out_of_order_window: HOUR, accept_back: i64::MAX };
        let failures = metric_suite(&|_| Box::new(MemStore::new(lax))).unwrap_err();
        assert!(failures.contains("older and repeated samples are refused"), "{failures}");
    }
}
