//! Recording and alerting rule groups.
