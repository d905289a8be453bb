//! Weeks of alerting, at the speed of a test.

mod lifecycle;
mod model;
mod silencing;
mod timing;
