//! The plan of events: who wants what, and when. It depends on the seed and the time of day only.

use std::time::{Duration, SystemTime};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::clock::busyness;

/// Something that somebody outside does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A passenger asks for a ride over WhatsApp.
    RideByWhatsApp,
    /// A passenger calls for a ride.
    RideByVoice,
    /// Somebody chats with the sales agent.
    Chat,
    /// Somebody has a problem.
    SupportRequest,
    /// A buyer looks around.
    Browse,
    /// A buyer orders.
    Order,
    /// Somebody asks what an insurance costs.
    InsuranceQuote,
    /// Somebody buys one.
    InsurancePolicy,
    /// Somebody pays money in.
    TopUp,
    /// Somebody looks at a balance.
    Balance,
    /// A new user.
    Signup,
    /// One of the staff opens the dashboard.
    AdminView,
}

/// How often things happen, in events a second at mean busyness.
const RATES: [(EventKind, f64); 12] = [
    (EventKind::RideByWhatsApp, 1.05),
    (EventKind::RideByVoice, 0.35),
    (EventKind::Chat, 0.50),
    (EventKind::SupportRequest, 0.30),
    (EventKind::Browse, 2.00),
    (EventKind::Order, 0.30),
    (EventKind::InsuranceQuote, 0.40),
    (EventKind::InsurancePolicy, 0.20),
    (EventKind::TopUp, 0.40),
    (EventKind::Balance, 0.80),
    (EventKind::Signup, 0.20),
    (EventKind::AdminView, 0.50),
];

/// An event of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, after the start, in simulated time.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
    /// Decides everything about it that is left to chance.
    pub dice: u64,
}

/// The plan, without end: a Poisson process whose rate follows the time of day.
#[derive(Clone, Debug)]
pub struct Plan {
    chance: SmallRng,
    start: SystemTime,
    rate: f64,
    at: Duration,
}

impl Plan {
    /// The plan of `seed` from `start` on, at `rate` times the usual rate.
    pub fn new(seed: u64, start: SystemTime, rate: f64) -> Self {
        Self { chance: SmallRng::seed_from_u64(seed), start, rate, at: Duration::ZERO }
    }

    /// Ride requests a second at the start.
    pub(crate) fn rides_per_second(&self) -> f64 {
        let is_ride = |kind| matches!(kind, EventKind::RideByWhatsApp | EventKind::RideByVoice);
        RATES.iter().filter(|(kind, _)| is_ride(*kind)).map(|(_, rate)| rate).sum::<f64>()
            * self.rate
            * busyness(self.start)
    }
}

impl Iterator for Plan {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let all: f64 = RATES.iter().map(|(_, rate)| rate).sum();
        let per_second = all * self.rate * busyness(self.start + self.at);
        let wait = -(1.0 - self.chance.random::<f64>()).ln() / per_second;
        self.at += Duration::from_secs_f64(wait);
        let mut left = self.chance.random::<f64>() * all;
        let chosen = RATES.iter().find(|(_, rate)| {
            left -= rate;
            left < 0.0
        });
        let kind = chosen.map_or(EventKind::AdminView, |(kind, _)| *kind);
        Some(Event { at: self.at, kind, dice: self.chance.random() })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::UNIX_EPOCH};

    use super::*;

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_042_400)
    }

    #[test]
    fn equal_seeds_give_equal_plans_and_other_seeds_other_ones() {
        let plan = |seed| Plan::new(seed, noon(), 1.0).take(5_000).collect::<Vec<_>>();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn events_come_in_order_at_the_rates_of_the_table() {
        let events: Vec<Event> = Plan::new(3, noon(), 1.0).take(20_000).collect();
        assert!(events.is_sorted_by_key(|e| e.at));
        let mut counts = BTreeMap::new();
        for event in &events {
            *counts.entry(event.kind).or_insert(0.0) += 1.0;
        }
        let all: f64 = RATES.iter().map(|(_, rate)| rate).sum();
        for (kind, rate) in RATES {
            let share = counts[&kind] / 20_000.0;
            assert!((share / (rate / all) - 1.0).abs() < 0.2, "{kind:?} {share}");
        }
    }

    #[test]
    fn more_happens_in_the_evening_than_at_night() {
        let in_an_hour = |utc_hour: u64| {
            let midnight = UNIX_EPOCH + Duration::from_secs(1_700_006_400);
            let plan = Plan::new(3, midnight + Duration::from_secs(utc_hour * 3600), 1.0);
            plan.take_while(|e| e.at < Duration::from_secs(3600)).count()
        };
        assert!(in_an_hour(16) > 3 * in_an_hour(1));
    }
}
