//! Custom buckets with different bounds, brought onto the bounds they share.

use super::{
    kahan,
    sides::{Side, SideRef},
    spans::{Indexed, SpanBuilder},
};

/// The bounds that occur in both, rising.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        if x == y {
            out.push(*x);
            i += 1;
            j += 1;
        } else if x < y {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

/// `a + sign · b` in buckets with the given bounds, each input with its own. Empty buckets are left out.
pub(super) fn combine_on(
    bounds: &[f64],
    a: (SideRef<'_>, &[f64]),
    b: (SideRef<'_>, &[f64]),
    sign: f64,
) -> Side {
    let mut totals = vec![(0.0, 0.0); bounds.len() + 1];
    for ((side, own_bounds), sign) in [(a, 1.0), (b, sign)] {
        for (i, (index, count)) in Indexed::new(side.spans, side.counts).enumerate() {
            let own = usize::try_from(index).ok().and_then(|i| own_bounds.get(i));
            let target = own.map_or(bounds.len(), |bound| bounds.partition_point(|x| x < bound));
            let (sum, c) = &mut totals[target];
            (*sum, *c) = kahan::add(sign * count, *sum, *c);
            if let Some(rest) = side.compensation.get(i) {
                (*sum, *c) = kahan::add(sign * rest, *sum, *c);
            }
        }
    }
    let mut out = Side::default();
    let mut spans = SpanBuilder::default();
    for (i, (sum, c)) in totals.into_iter().enumerate() {
        if sum != 0.0 || c != 0.0 {
            spans.push(i as i32);
            out.counts.push(sum);
            out.compensation.push(c);
        }
    }
    out.spans = spans.finish();
    out
}

/// Whether a bucket on the shared bounds holds less in `current` than in `previous`.
pub(super) fn any_decreased(current: (SideRef<'_>, &[f64]), previous: (SideRef<'_>, &[f64])) -> bool {
    let bounds = shared_bounds(current.1, previous.1);
    let empty = SideRef { spans: &[], counts: &[], compensation: &[] };
    let on = |x| dense(&combine_on(&bounds, x, (empty, &[]), 1.0), bounds.len() + 1);
    on(current).iter().zip(on(previous)).any(|(c, p)| *c < p)
}

fn dense(side: &Side, len: usize) -> Vec<f64> {
    let mut out = vec![0.0; len];
    for (i, count) in Indexed::new(&side.spans, &side.counts) {
        if let Some(x) = usize::try_from(i).ok().and_then(|i| out.get_mut(i)) {
            *x = count;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn only_shared_bounds_are_left() {
        assert_eq!(shared_bounds(&[1.0, 2.0, 5.0], &[2.0, 3.0, 5.0, 9.0]), [2.0, 5.0]);
        assert_eq!(shared_bounds(&[], &[2.0]), [0.0; 0]);
        let spans = [Span { offset: 0, length: 4 }];
        let a = SideRef { spans: &spans, counts: &[1.0, 2.0, 3.0, 4.0], compensation: &[] };
        let b = SideRef { spans: &spans, counts: &[10.0, 20.0, 30.0, 40.0], compensation: &[] };
        let sum = combine_on(&[2.0, 5.0], (a, &[1.0, 2.0, 5.0]), (b, &[2.0, 3.0, 5.0]), 1.0);
        assert_eq!(sum.counts, [13.0, 53.0, 44.0]);
        assert!(any_decreased((a, &[1.0, 2.0, 5.0]), (b, &[2.0, 3.0, 5.0])));
        assert!(!any_decreased((b, &[1.0, 2.0, 5.0]), (a, &[2.0, 3.0, 5.0])));
    }
}
