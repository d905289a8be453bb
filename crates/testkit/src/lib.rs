//! The RAM store (the oracle), the simulated clock, the script runner and the conformance suites.
