//! What receivers send: against expectations, against the real Alertmanager, and through a real mail server.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mail;
mod recorder;
mod requests;
mod scene;
mod upstream;
