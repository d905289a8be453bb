//! Runs a query plan: fetch, CPU pool, limits, timeout, cancellation, statistics.
