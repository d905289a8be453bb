//! Gets alerts out of the house: from rules to Alertmanagers ([`alertmanager`]), and from our own Alertmanager to people.
//!
//! [`config::load`] reads an `alertmanager.yml`, [`Receivers`] sends notifications as it says.

pub mod alertmanager;
pub mod config;
mod data;
mod delivery;
mod diverted;
mod receivers;
mod send;
mod templates;
mod text;

pub use delivery::{IntegrationStatus, Options, Preview, Receivers};
pub use diverted::Inbox;
