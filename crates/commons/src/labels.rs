//! The values that labels of the business metrics may have: closed sets, so that no typing error makes a series.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A name that is in none of the closed sets; the message tells those that are.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} is no {what}: it is one of {}", known.join(", "))]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: Vec<&'static str>,
}

/// No more of an unknown name than this stands in an error: it may come from outside.
const NAME_SHOWN: usize = 40;

macro_rules! closed_set {
    ($(#[$doc:meta])* $set:ident, $what:literal: $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $set {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $set {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As labels have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $set {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.chars().take(NAME_SHOWN).collect(),
                    known: Self::ALL.iter().map(|one| one.as_str()).collect(),
                })
            }
        }
    };
}

closed_set! {
    /// How a ride request stands when it is counted. A request is counted once.
    RideStatus, "status of a ride request":
    /// Waits for a driver.
    Pending = "pending",
    /// A driver took it.
    Accepted = "accepted",
    /// Nobody took it.
    Rejected = "rejected",
    /// The passenger gave up.
    Cancelled = "cancelled",
    /// Could not be handled.
    Failed = "failed",
}

closed_set! {
    /// Why nobody took a ride.
    RejectReason, "reason to reject a ride":
    /// No driver was near.
    NoDriver = "no_driver",
    /// The drivers asked said no.
    DriverDeclined = "driver_declined",
    /// The passenger stands too far away.
    TooFar = "too_far",
    /// No driver answered in time.
    Timeout = "timeout",
}

closed_set! {
    /// By what means money moves. What a request names is checked by `"momo".parse()`, whose error tells the known
    /// ones; `unwrap_or(PaymentMethod::Other)` counts whatever it is.
    PaymentMethod, "payment method":
    /// MTN Mobile Money.
    Momo = "momo",
    /// M-Pesa.
    Mpesa = "mpesa",
    /// Airtel Money.
    AirtelMoney = "airtel_money",
    /// A credit or debit card.
    Card = "card",
    /// The balance that people keep with EasyMO.
    Wallet = "wallet",
    /// Banknotes, handed to the driver.
    Cash = "cash",
    /// From account to account.
    BankTransfer = "bank_transfer",
    /// Something that this list does not know.
    Other = "other",
}

closed_set! {
    /// What a database query did.
    QueryType, "type of query":
    /// Read.
    Select = "select",
    /// Added rows.
    Insert = "insert",
    /// Changed rows.
    Update = "update",
    /// Removed rows.
    Delete = "delete",
    /// Something else, such as a change of tables.
    Other = "other",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_what_it_names() {
        for method in PaymentMethod::ALL {
            assert_eq!(method.as_str().parse(), Ok(*method));
        }
        for status in RideStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(*status));
        }
    }

    #[test]
    fn a_payment_method_that_nobody_knows_is_refused_with_those_that_are() {
        let refused = "bitcoin".parse::<PaymentMethod>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "\"bitcoin\" is no payment method: it is one of momo, mpesa, airtel_money, card, wallet, cash, bank_transfer, other"
        );
        let long = "x".repeat(1_000).parse::<PaymentMethod>().unwrap_err();
        assert!(long.to_string().len() < 200, "{long}");
    }
}
