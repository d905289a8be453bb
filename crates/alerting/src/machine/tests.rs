//! Weeks of alerting, at the speed of a test.

mod lifecycle;
mod silencing;
mod timing;
