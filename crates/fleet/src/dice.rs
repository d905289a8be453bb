//! Chance that repeats: what a roll gives depends on the event and on what is asked, not on when it is asked.

use std::{f64::consts::TAU, time::Duration};

use easymo_commons::TraceContext;

const STATE_KEY: &str = "easymo=";

/// The dice of one event. Every service derives its own from the trace that the event started, so that the outcome
/// of an event is the same whatever else goes on at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The dice that a trace carries in its `tracestate`, or for somebody else's trace those of its id.
    pub(crate) fn of_trace(trace: &TraceContext) -> Self {
        let carried = trace.tracestate().and_then(|state| {
            let member = state.split(',').find_map(|member| member.trim().strip_prefix(STATE_KEY))?;
            u64::from_str_radix(member, 16).ok()
        });
        let of_id = || mix(u128::from_be_bytes(trace.trace_id().to_bytes()) as u64);
        Self(carried.unwrap_or_else(of_id))
    }

    /// The member of a `tracestate` that carries these dice from service to service.
    pub(crate) fn tracestate(self) -> String {
        format!("{STATE_KEY}{:016x}", self.0)
    }

    /// Dice of their own for one asker.
    pub(crate) fn for_asker(self, asker: &str) -> Self {
        Self(self.hash(asker))
    }

    /// A number from 0 to below 1, always the same for the same question.
    pub(crate) fn roll(self, what: &str) -> f64 {
        (self.hash(what) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(self, what: &str, probability: f64) -> bool {
        self.roll(what) < probability
    }

    /// One of the choices, by their weights.
    pub(crate) fn pick<'a>(self, what: &str, choices: &[(&'a str, f64)]) -> &'a str {
        let mut left = self.roll(what) * choices.iter().map(|(_, weight)| weight).sum::<f64>();
        for (choice, weight) in choices {
            left -= weight;
            if left < 0.0 {
                return choice;
            }
        }
        choices.last().map_or("", |(choice, _)| choice)
    }

    /// A log-normal number: half are below `median`, and `sigma` is the spread of the logarithm (Box-Muller).
    pub(crate) fn log_normal(self, what: &str, median: f64, sigma: f64) -> f64 {
        let dice = self.for_asker(what);
        let (u, v) = (1.0 - dice.roll("radius"), dice.roll("angle"));
        let normal = (-2.0 * u.ln()).sqrt() * (TAU * v).cos();
        median * (sigma * normal).exp()
    }

    /// A log-normal time.
    pub(crate) fn time(self, what: &str, median: Duration, sigma: f64) -> Duration {
        median.mul_f64(self.log_normal(what, 1.0, sigma).min(20.0))
    }

    /// FNV-1a over the question, then mixed with the event.
    fn hash(self, what: &str) -> u64 {
        let fnv = what
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        mix(self.0 ^ fnv)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_gets_the_same_answer() {
        let dice = Dice::new(7);
        assert_eq!(dice.roll("fare"), dice.roll("fare"));
        assert_ne!(dice.roll("fare"), dice.roll("distance"));
        assert_ne!(dice.roll("fare"), Dice::new(8).roll("fare"));
    }

    #[test]
    fn rolls_are_spread_evenly_and_log_normal_times_lie_around_their_median() {
        let below = (0..10_000).filter(|&n| Dice::new(n).chance("x", 0.3)).count();
        assert!((2_850..3_150).contains(&below), "{below}");
        let mut times: Vec<f64> = (0..10_001).map(|n| Dice::new(n).log_normal("t", 20.0, 0.5)).collect();
        times.sort_by(f64::total_cmp);
        assert!((19.0..21.0).contains(&times[5_000]), "{}", times[5_000]);
        let p95 = times[9_500];
        assert!((42.0..49.0).contains(&p95), "{p95}: expected 20 * exp(0.5 * 1.645) = 45.5");
    }

    #[test]
    fn dice_travel_in_the_tracestate_beside_those_of_others() {
        let ids = easymo_commons::IdGenerator::seeded(1);
        let dice = Dice::new(u64::MAX - 5);
        let state = format!("other=1, {}", dice.tracestate());
        let trace = TraceContext::root(&ids).with_tracestate(&state);
        assert_eq!(Dice::of_trace(&trace), dice);
        assert_ne!(Dice::of_trace(&TraceContext::root(&ids)), Dice::of_trace(&TraceContext::root(&ids)));
    }

    #[test]
    fn choices_come_by_their_weights() {
        let heads =
            (0..1_000).filter(|&n| Dice::new(n).pick("coin", &[("head", 3.0), ("tail", 1.0)]) == "head");
        assert!((700..800).contains(&heads.count()));
    }
}
