//! The services of EasyMO.

use std::net::{Ipv4Addr, SocketAddr};

/// A service of EasyMO, in the order of the owner's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// AI agents: conversations and ride requests.
    AgentCore,
    /// Telephone calls.
    VoiceBridge,
    /// Payments and balances.
    Wallet,
    /// Finds a driver for a ride.
    Ranking,
    /// Vendors, their products and orders.
    Vendor,
    /// Buyers and their baskets.
    Buyer,
    /// Decides how to tell somebody something.
    Notification,
    /// WhatsApp in and out.
    Message,
    /// Quotes and policies.
    Insurance,
    /// Drivers on the road and the rides they drive.
    Simulator,
    /// Events and reports.
    Analytics,
    /// Tickets.
    Support,
    /// The staff's web application.
    AdminApp,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::AgentCore,
        Self::VoiceBridge,
        Self::Wallet,
        Self::Ranking,
        Self::Vendor,
        Self::Buyer,
        Self::Notification,
        Self::Message,
        Self::Insurance,
        Self::Simulator,
        Self::Analytics,
        Self::Support,
        Self::AdminApp,
    ];

    /// Its name, as the label `service` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentCore => "agent-core",
            Self::VoiceBridge => "voice-bridge",
            Self::Wallet => "wallet-service",
            Self::Ranking => "ranking-service",
            Self::Vendor => "vendor-service",
            Self::Buyer => "buyer-service",
            Self::Notification => "notification-service",
            Self::Message => "message-service",
            Self::Insurance => "insurance-service",
            Self::Simulator => "simulator-service",
            Self::Analytics => "analytics-service",
            Self::Support => "support-service",
            Self::AdminApp => "admin-app",
        }
    }

    /// The service of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Where its metrics are.
    pub fn metrics_path(self) -> &'static str {
        if self == Self::AdminApp { "/api/metrics" } else { "/metrics" }
    }

    /// Its loopback address and documented port: services count up from `127.0.1.1:3000`, and the admin app shares
    /// the first port.
    pub fn documented_addr(self) -> SocketAddr {
        let index = self.index() as u8;
        let port = if self == Self::AdminApp { 3000 } else { 3000 + u16::from(index) };
        (Ipv4Addr::new(127, 0, 1, index + 1), port).into()
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The database that it keeps its tables in.
    pub(crate) fn database(self) -> &'static str {
        if self == Self::Wallet { "easymo_wallet" } else { "easymo" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_stand_where_the_owners_table_has_them() {
        let addr = |name| Service::from_name(name).unwrap().documented_addr().to_string();
        assert_eq!(addr("agent-core"), "127.0.1.1:3000");
        assert_eq!(addr("wallet-service"), "127.0.1.3:3002");
        assert_eq!(addr("support-service"), "127.0.1.12:3011");
        assert_eq!(addr("admin-app"), "127.0.1.13:3000");
        assert_eq!(Service::from_name("nobody"), None);
    }
}
