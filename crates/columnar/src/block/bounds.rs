//! Comparisons of a column's numbers, asked of the integers that stand for them.

use reba_storage::Comparison;

use super::typed::Format;

/// The integers of a column whose numbers compare so with one number: those from `first` on, or all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    first: i64,
    /// How many integers behind the first belong to it; without any nothing is inside.
    more: Option<u64>,
    inside: bool,
}

impl Bounds {
    /// Finds them by halving: numbers never fall while their integers rise. Nothing if the column has no numbers, or the
    /// comparison is with what is none.
    pub(super) fn of(format: Format, comparison: Comparison, with: f64) -> Option<Self> {
        if with.is_nan() || format == Format::Ipv4 {
            return None;
        }
        let not_less = first(format, |n| n >= with)?;
        let greater = first(format, |n| n > with)?;
        Some(match comparison {
            Comparison::Equal => Self::between(not_less, greater, true),
            Comparison::NotEqual => Self::between(not_less, greater, false),
            Comparison::Less => Self::between(LEAST, not_less, true),
            Comparison::LessOrEqual => Self::between(LEAST, greater, true),
            Comparison::Greater => Self::between(greater, END, true),
            Comparison::GreaterOrEqual => Self::between(not_less, END, true),
        })
    }

    /// From `first` to before `end`.
    fn between(first: i128, end: i128, inside: bool) -> Self {
        let more = (first < end).then(|| (end - 1 - first) as u64);
        Bounds { first: first as i64, more, inside }
    }

    #[inline]
    pub(super) fn holds(self, n: i64) -> bool {
        let is_inside = self.more.is_some_and(|more| n.wrapping_sub(self.first) as u64 <= more);
        is_inside == self.inside
    }
}

/// The least integer, and what lies behind the greatest.
const LEAST: i128 = i64::MIN as i128;
const END: i128 = i64::MAX as i128 + 1;

/// The least integer whose number is such, if numbers stay so once they are; [`END`] without any. Nothing if there are no numbers.
fn first(format: Format, is_such: impl Fn(f64) -> bool) -> Option<i128> {
    let (mut low, mut high) = (LEAST, END);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_such(format.number(middle as i64)?) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::{
        select::compare,
        typed::{Decimal, Zeros},
    };

    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];

    proptest! {
        #[test]
        fn an_integer_lies_between_them_as_its_number_compares(
            scale in prop::option::of(0u8..18),
            integers in prop::collection::vec(prop_oneof![any::<i64>(), -3000i64..3000, Just(i64::MIN), Just(i64::MAX)], 1..20),
            with in prop_oneof![any::<f64>(), (-3000i64..3000).prop_map(|n| n as f64 / 10.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        ) {
            let decimal = |scale| Format::Decimal(Decimal { scale, zeros: Zeros::Cut });
            let format = scale.map_or(Format::Int, decimal);
            for comparison in ALL {
                let bounds = Bounds::of(format, comparison, with);
                prop_assert_eq!(bounds.is_none(), with.is_nan());
                for n in &integers {
                    let number = format.number(*n).unwrap();
                    // The column's own number is where bounds lie closest.
                    for with in [Some(with), Some(number)].into_iter().flatten().filter(|w| !w.is_nan()) {
                        let bounds = Bounds::of(format, comparison, with).unwrap();
                        prop_assert_eq!(bounds.holds(*n), compare(comparison, number, with), "{} {:?} {}", number, comparison, with);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_has_no_bounds() {
        assert_eq!(Bounds::of(Format::Int, Comparison::Less, f64::NAN), None);
        assert_eq!(Bounds::of(Format::Ipv4, Comparison::Less, 1.0), None);
    }
}
