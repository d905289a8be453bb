//! Guessing passwords must take for ever: attempts are counted by who makes them and whom they are about.

use std::{collections::BTreeMap, net::IpAddr};

use parking_lot::Mutex;

/// Attempts at one user from one address within [`WINDOW_MS`].
const PER_USER_AND_ADDRESS: u32 = 5;

/// Attempts from one address, whomever they are about.
const PER_ADDRESS: u32 = 30;

/// Attempts at one user, wherever they come from. It is high, for whoever reaches it locks the user out.
const PER_USER: u32 = 100;

/// How long an attempt counts.
const WINDOW_MS: i64 = 5 * 60_000;

/// Counters that are kept; beyond that the oldest go.
const KEPT: usize = 20_000;

/// What attempts are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Both(String, IpAddr),
    Address(IpAddr),
    User(String),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    attempts: u32,
    /// When the first of them was made.
    since_ms: i64,
}

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<BTreeMap<Key, Count>>);

impl Throttle {
    /// Counts an attempt before it is looked at, so that many at once are not more than so many; or says after how many seconds
    /// to come again.
    pub(crate) fn admit(&self, user: &str, from: IpAddr, now_ms: i64) -> Result<(), u64> {
        let mut counts = self.0.lock();
        let keys = keys(user, from);
        for (key, most) in &keys {
            if let Some(count) = counts.get(key).filter(|c| c.is_current(now_ms) && c.attempts >= *most) {
                let left = (count.since_ms + WINDOW_MS - now_ms).max(1000);
                return Err(left.unsigned_abs().div_ceil(1000));
            }
        }
        make_room(&mut counts, now_ms);
        for (key, _) in keys {
            let count = counts.entry(key).or_insert(Count { attempts: 0, since_ms: now_ms });
            if !count.is_current(now_ms) {
                *count = Count { attempts: 0, since_ms: now_ms };
            }
            count.attempts += 1;
        }
        Ok(())
    }

    /// Takes back the attempts of somebody who knew the password after all.
    pub(crate) fn succeeded(&self, user: &str, from: IpAddr) {
        let mut counts = self.0.lock();
        let mut gone = 1;
        for (key, _) in keys(user, from) {
            if let Key::Both(..) = key {
                gone = counts.remove(&key).map_or(1, |count| count.attempts);
            } else if let Some(count) = counts.get_mut(&key) {
                count.attempts = count.attempts.saturating_sub(gone);
            }
        }
    }
}

impl Count {
    fn is_current(&self, now_ms: i64) -> bool {
        // A clock that was set back must not lock people out for years.
        (0..WINDOW_MS).contains(&(now_ms - self.since_ms))
    }
}

/// What an attempt is counted by, and how many there may be of each; the pair first.
fn keys(user: &str, from: IpAddr) -> [(Key, u32); 3] {
    let (user, from) = (user.to_lowercase(), network(from));
    [
        (Key::Both(user.clone(), from), PER_USER_AND_ADDRESS),
        (Key::Address(from), PER_ADDRESS),
        (Key::User(user), PER_USER),
    ]
}

/// The address, or the network that one subscriber has of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn make_room(counts: &mut BTreeMap<Key, Count>, now_ms: i64) {
    if counts.len() < KEPT {
        return;
    }
    counts.retain(|_, count| count.is_current(now_ms));
    if counts.len() >= KEPT {
        let mut times: Vec<i64> = counts.values().map(|c| c.since_ms).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        counts.retain(|_, count| count.since_ms > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn five_attempts_are_looked_at_and_the_next_ones_wait_five_minutes() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.admit("Ann", HOME, 1000).unwrap();
        }
        assert_eq!(throttle.admit("ann", HOME, 61_000), Err(240));
        throttle.admit("bob", HOME, 61_000).unwrap();
        throttle.admit("ann", "192.0.2.1".parse().unwrap(), 61_000).unwrap();
        throttle.admit("ann", HOME, 1000 + WINDOW_MS).unwrap();
        // The clock was set back.
        throttle.admit("ann", HOME, -5_000_000).unwrap();
    }

    #[test]
    fn whoever_knows_the_password_begins_anew() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            for _ in 0..5 {
                throttle.admit("ann", HOME, 0).unwrap();
            }
            throttle.succeeded("ann", HOME);
        }
    }

    #[test]
    fn one_address_may_not_try_every_user() {
        let throttle = Throttle::default();
        let tried = (0..100).filter(|i| throttle.admit(&format!("user{i}"), HOME, 0).is_ok()).count();
        assert_eq!(tried, 30);
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let tried = (0..100).filter(|i| throttle.admit(&format!("v{i}"), v6(*i), 0).is_ok()).count();
        assert_eq!(tried, 30);
    }

    #[test]
    fn counters_do_not_grow_without_end() {
        let throttle = Throttle::default();
        for i in 0..30_000_u32 {
            let _ = throttle.admit(&i.to_string(), IpAddr::from(i.to_be_bytes()), i64::from(i));
        }
        assert!(throttle.0.lock().len() <= KEPT + 3);
    }
}
