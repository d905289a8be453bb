//! The simulated EasyMO services and the incidents that a person can switch on.
//!
//! Thirteen real HTTP servers, each on an address of its own, driven by one seeded plan of what passengers, buyers,
//! vendors and staff do. Requests travel between the services over HTTP with W3C trace context; what happens is told
//! through `easymo-commons`, so that every metric of the contract moves, consistently. Incidents change how the
//! services behave, never the metrics themselves. The services can also write logs, of the same events.
//!
//! The crate knows nothing of Reba: it is a thing to be watched.

mod caller;
mod clock;
mod config;
mod control;
mod database;
mod dice;
mod engine;
mod fleet;
mod host;
mod inbox;
mod incident;
mod logs;
mod node;
mod plan;
mod process;
mod rides;
mod routes;
mod service;
mod traces;

pub use config::{Addressing, FleetConfig, FleetError};
pub use control::{ControlError, IncidentControl, IncidentStatus};
pub use fleet::{Endpoint, Fleet, FleetHandle};
pub use inbox::{Channel, Inbox, InboxConfig, InboxHandle, Message};
pub use incident::Incident;
pub use logs::LogFiles;
pub use plan::{Event, EventKind, Plan};
pub use service::Service;
