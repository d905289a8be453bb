//! The rides under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// How long after a failed attempt to finish a ride the next one comes.
const RETRY: Duration = Duration::from_secs(20);

/// The kinds of rides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RideType {
    Moto,
    Cab,
    Delivery,
}

impl RideType {
    /// As labels have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Moto => "moto",
            Self::Cab => "cab",
            Self::Delivery => "delivery",
        }
    }

    /// Seven in ten rides are on a motorcycle.
    pub(crate) fn draw(dice: Dice) -> Self {
        match dice.roll("ride type") {
            ..0.72 => Self::Moto,
            0.72..0.92 => Self::Cab,
            _ => Self::Delivery,
        }
    }
}

/// A ride under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ride {
    pub(crate) kind: RideType,
    pub(crate) duration: Duration,
    /// Decides what it costs and how it is paid.
    pub(crate) dice: Dice,
}

/// Mean of the durations below, for how many rides are under way at the start.
pub(crate) const MEAN_DURATION: Duration = Duration::from_secs(820);

impl Ride {
    /// A ride that starts now: half take less than twelve minutes, few more than an hour.
    pub(crate) fn draw(kind: RideType, dice: Dice) -> Self {
        Self { kind, duration: dice.time("ride", Duration::from_secs(720), 0.5), dice }
    }
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    ride: Ride,
    /// How often it was named as due.
    attempts: u32,
}

/// A ride that should have ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DueRide {
    pub(crate) id: u64,
    pub(crate) ride: Ride,
    /// Counts the attempts to end it, from 1: each has luck of its own, or a ride once unlucky would never end.
    pub(crate) attempt: u32,
}

/// Rides under way, by their ids, and when each is due to end.
#[derive(Debug, Default)]
pub(crate) struct Rides {
    next_id: u64,
    under_way: BTreeMap<u64, UnderWay>,
    due: BTreeSet<(Duration, u64)>,
}

impl Rides {
    /// Starts a ride that is due to end at a simulated time; returns its id.
    pub(crate) fn start(&mut self, ride: Ride, ends: Duration) -> u64 {
        self.next_id += 1;
        self.under_way.insert(self.next_id, UnderWay { ride, attempts: 0 });
        self.due.insert((ends, self.next_id));
        self.next_id
    }

    /// Takes a ride off those under way; nothing if it ended before.
    pub(crate) fn finish(&mut self, id: u64) -> Option<Ride> {
        Some(self.under_way.remove(&id)?.ride)
    }

    /// How many rides are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// The rides that should have ended by now. Each is named again a little later unless it was finished, so that
    /// none is forgotten when the service that finishes them is down.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<DueRide> {
        let later = self.due.split_off(&(now + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut self.due, later);
        let mut rides = Vec::with_capacity(due.len());
        for (_, id) in due {
            if let Some(UnderWay { ride, attempts }) = self.under_way.get_mut(&id) {
                *attempts += 1;
                rides.push(DueRide { id, ride: *ride, attempt: *attempts });
                self.due.insert((now + RETRY, id));
            }
        }
        rides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ride_is_due_until_it_is_finished() {
        let mut rides = Rides::default();
        let ride = Ride::draw(RideType::Moto, Dice::new(1));
        let at = Duration::from_secs;
        let id = rides.start(ride, at(10));
        assert_eq!(rides.due(at(9)), []);
        assert_eq!(rides.due(at(10)), [DueRide { id, ride, attempt: 1 }]);
        assert_eq!(rides.due(at(11)), [], "the first attempt is under way");
        assert_eq!(rides.due(at(30)), [DueRide { id, ride, attempt: 2 }], "it failed");
        assert_eq!(rides.finish(id), Some(ride));
        assert_eq!(rides.finish(id), None);
        assert_eq!(rides.due(at(1_000)), []);
    }

    #[test]
    fn rides_last_as_long_as_the_mean_says() {
        let mean =
            (0..5_000).map(|n| Ride::draw(RideType::Moto, Dice::new(n)).duration.as_secs_f64()).sum::<f64>()
                / 5_000.0;
        assert!((mean / MEAN_DURATION.as_secs_f64() - 1.0).abs() < 0.05, "{mean}");
    }
}
