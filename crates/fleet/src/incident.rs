//! Incidents: things that go wrong because somebody switched them on.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::RwLock;

use crate::Service;

/// Something that can go wrong. Each leads to one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// One service stops listening.
    ServiceDown,
    /// The payment provider refuses most payments.
    PaymentsDown,
    /// Every query takes more than a second.
    SlowDatabase,
    /// WhatsApp delivers only half of the messages.
    WhatsappDeliveryFailures,
    /// Drivers refuse most rides.
    LowRideAcceptance,
    /// One service does not give its database connections back.
    PoolExhaustion,
    /// One service answers a third of its requests with an error.
    ErrorBurst,
    /// One service holds more and more memory, and says so.
    MemoryLeak,
    /// One service uses a whole core, and says so.
    CpuBurn,
}

impl Incident {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ServiceDown,
        Self::PaymentsDown,
        Self::SlowDatabase,
        Self::WhatsappDeliveryFailures,
        Self::LowRideAcceptance,
        Self::PoolExhaustion,
        Self::ErrorBurst,
        Self::MemoryLeak,
        Self::CpuBurn,
    ];

    /// Its name in commands and paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceDown => "service-down",
            Self::PaymentsDown => "payments-down",
            Self::SlowDatabase => "slow-database",
            Self::WhatsappDeliveryFailures => "whatsapp-delivery-failures",
            Self::LowRideAcceptance => "low-ride-acceptance",
            Self::PoolExhaustion => "pool-exhaustion",
            Self::ErrorBurst => "error-burst",
            Self::MemoryLeak => "memory-leak",
            Self::CpuBurn => "cpu-burn",
        }
    }

    /// The incident of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|i| i.name() == name)
    }

    /// The alert that it leads to.
    pub fn alert(self) -> &'static str {
        match self {
            Self::ServiceDown => "ServiceDown",
            Self::PaymentsDown => "HighPaymentFailureRate",
            Self::SlowDatabase => "HighResponseTime",
            Self::WhatsappDeliveryFailures => "WhatsAppDeliveryFailures",
            Self::LowRideAcceptance => "LowRideAcceptanceRate",
            Self::PoolExhaustion => "DatabaseConnectionPoolHigh",
            Self::ErrorBurst => "HighErrorRate",
            Self::MemoryLeak => "HighMemoryUsage",
            Self::CpuBurn => "HighCPUUsage",
        }
    }

    /// What happens, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::ServiceDown => "one service stops listening",
            Self::PaymentsDown => "the payment provider refuses most payments",
            Self::SlowDatabase => "every database query takes more than a second",
            Self::WhatsappDeliveryFailures => "WhatsApp delivers only half of the messages",
            Self::LowRideAcceptance => "drivers refuse most rides",
            Self::PoolExhaustion => "one service does not give its database connections back",
            Self::ErrorBurst => "one service answers a third of its requests with an error",
            Self::MemoryLeak => "one service holds more and more memory",
            Self::CpuBurn => "one service uses a whole core",
        }
    }

    /// The service that it strikes unless another is named; nothing for an incident that strikes all.
    pub fn default_service(self) -> Option<Service> {
        match self {
            Self::ServiceDown | Self::PoolExhaustion => Some(Service::Wallet),
            Self::ErrorBurst => Some(Service::Buyer),
            Self::MemoryLeak => Some(Service::AgentCore),
            Self::CpuBurn => Some(Service::Ranking),
            Self::PaymentsDown
            | Self::SlowDatabase
            | Self::WhatsappDeliveryFailures
            | Self::LowRideAcceptance => None,
        }
    }
}

/// Whom an incident strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    One(Service),
}

impl Target {
    pub(crate) fn service(self) -> Option<Service> {
        match self {
            Self::All => None,
            Self::One(service) => Some(service),
        }
    }
}

impl From<Option<Service>> for Target {
    fn from(service: Option<Service>) -> Self {
        service.map_or(Self::All, Self::One)
    }
}

/// An incident that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) target: Target,
    /// Simulated time since the fleet's start.
    pub(crate) since: Duration,
}

/// Which incidents are on.
#[derive(Debug, Default)]
pub(crate) struct Board(RwLock<BTreeMap<Incident, Active>>);

impl Board {
    pub(crate) fn get(&self, incident: Incident) -> Option<Active> {
        self.0.read().get(&incident).copied()
    }

    /// Since when `incident` strikes `service`.
    pub(crate) fn strikes(&self, incident: Incident, service: Service) -> Option<Duration> {
        let active = self.get(incident)?;
        active.target.service().is_none_or(|struck| struck == service).then_some(active.since)
    }

    pub(crate) fn set(&self, incident: Incident, active: Option<Active>) {
        let mut board = self.0.write();
        match active {
            Some(active) => board.insert(incident, active),
            None => board.remove(&incident),
        };
    }
}
