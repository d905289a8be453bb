//! What a fleet is started with.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::SystemTime,
};

use thiserror::Error;

use crate::{LogFiles, Service};

/// How a fleet is set up.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Decides the plan of events: equal seeds give equal plans.
    pub seed: u64,
    /// When the simulation begins; the time of day in Kigali decides how much is going on.
    pub start: SystemTime,
    /// Simulated seconds for each second of the wall clock, above zero. 1 is real time.
    pub speed: f64,
    /// How much is going on, as a factor of the usual 20 to 40 requests a second.
    pub rate: f64,
    /// Where the services listen.
    pub addressing: Addressing,
    /// The label `environment` of all series.
    pub environment: String,
    /// Where the services write their logs; they write none without it.
    pub logs: Option<LogFiles>,
    /// The address (`http://127.0.0.1:4318/v1/traces`) to which the services send their spans over OTLP; they send none without.
    pub traces: Option<String>,
}

impl FleetConfig {
    /// The usual fleet at real speed on the documented addresses.
    pub fn new(seed: u64, start: SystemTime) -> Self {
        let addressing = Addressing::Documented { port_offset: 0 };
        let environment = "demo".to_owned();
        Self { seed, start, speed: 1.0, rate: 1.0, addressing, environment, logs: None, traces: None }
    }

    pub(crate) fn check(&self) -> Result<(), FleetError> {
        for (name, value) in [("speed", self.speed), ("rate", self.rate)] {
            if !(value > 0.0 && value <= 1000.0) {
                return Err(FleetError::OutOfRange { name, value });
            }
        }
        Ok(())
    }
}

/// Where the services listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// 127.0.1.N with the documented ports, each raised by the offset; the control server on 127.0.1.100:3999.
    Documented {
        /// Added to every port.
        port_offset: u16,
    },
    /// Any free port of 127.0.0.1, so that tests run side by side.
    FreePorts,
}

impl Addressing {
    pub(crate) fn of(self, service: Service) -> Result<SocketAddr, FleetError> {
        self.place(service.documented_addr())
    }

    pub(crate) fn control(self) -> Result<SocketAddr, FleetError> {
        self.place((Ipv4Addr::new(127, 0, 1, 100), 3999).into())
    }

    fn place(self, mut documented: SocketAddr) -> Result<SocketAddr, FleetError> {
        match self {
            Self::Documented { port_offset } => {
                let port = documented.port().checked_add(port_offset);
                documented.set_port(port.ok_or(FleetError::PortOffset { port_offset })?);
                Ok(documented)
            }
            Self::FreePorts => Ok((Ipv4Addr::LOCALHOST, 0).into()),
        }
    }
}

/// Why a fleet did not start.
#[derive(Debug, Error)]
pub enum FleetError {
    /// Somebody else listens there, or the address is not this host's.
    #[error("cannot listen on {addr} for {name}")]
    Bind {
        /// The service, or `control`.
        name: &'static str,
        /// The address that was tried.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the logs cannot be made.
    #[error("cannot write logs to {}", dir.display())]
    Logs {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A factor is zero, negative, not a number, or above 1000.
    #[error("{name} must be above 0 and at most 1000, not {value}")]
    OutOfRange {
        /// `speed` or `rate`.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// The offset leads beyond the last port.
    #[error("port offset {port_offset} leads beyond port 65535")]
    PortOffset {
        /// What was given.
        port_offset: u16,
    },
}
