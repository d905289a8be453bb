//! Sends alerts to Alertmanagers; receivers come with the alerting capability.

pub mod alertmanager;
