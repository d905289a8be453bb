//! One side of a histogram: which bucket indexes the counts belong to.

use super::Span;

/// Iterates over the buckets of one side as pairs of index and count, by rising index, from either end.
///
/// Spans that promise more buckets than there are, or fewer, end the iteration early.
#[derive(Clone)]
pub(super) struct Indexed<'a> {
    spans: &'a [Span],
    counts: &'a [f64],
    front: Cursor,
    back: Cursor,
}

/// A place between two buckets.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The span.
    span: usize,
    /// Buckets of the span on the near side that are not yet visited.
    left: u32,
    /// The index on the far side of this place.
    index: i64,
    /// The position in the counts.
    at: usize,
}

impl<'a> Indexed<'a> {
    pub(super) fn new(spans: &'a [Span], counts: &'a [f64]) -> Self {
        let front = match spans.first() {
            Some(s) => Cursor { span: 0, left: s.length, index: i64::from(s.offset), at: 0 },
            None => Cursor::default(),
        };
        let mut back = Cursor::default();
        let mut index = 0;
        for (i, s) in spans.iter().enumerate() {
            index += i64::from(s.offset);
            let take = (s.length as usize).min(counts.len() - back.at);
            if take > 0 {
                back = Cursor { span: i, left: take as u32, index: index + take as i64, at: back.at + take };
            }
            index += i64::from(s.length);
        }
        Indexed { spans, counts, front, back }
    }
}

fn clamped(index: i64) -> i32 {
    index.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

impl Iterator for Indexed<'_> {
    type Item = (i32, f64);

    #[inline]
    fn next(&mut self) -> Option<(i32, f64)> {
        let c = &mut self.front;
        if c.at >= self.back.at {
            return None;
        }
        while c.left == 0 {
            c.span += 1;
            let span = self.spans.get(c.span)?;
            c.left = span.length;
            c.index += i64::from(span.offset);
        }
        let item = (clamped(c.index), *self.counts.get(c.at)?);
        c.index += 1;
        c.left -= 1;
        c.at += 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.back.at.saturating_sub(self.front.at);
        (n, Some(n))
    }
}

impl DoubleEndedIterator for Indexed<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<(i32, f64)> {
        let c = &mut self.back;
        if c.at <= self.front.at {
            return None;
        }
        while c.left == 0 {
            c.index -= i64::from(self.spans.get(c.span)?.offset);
            c.span = c.span.checked_sub(1)?;
            c.left = self.spans.get(c.span)?.length;
        }
        c.index -= 1;
        c.left -= 1;
        c.at -= 1;
        Some((clamped(c.index), *self.counts.get(c.at)?))
    }
}

/// Builds spans from rising indexes.
#[derive(Default)]
pub(super) struct SpanBuilder {
    spans: Vec<Span>,
    next: i64,
}

impl SpanBuilder {
    /// Adds the bucket `index`, which is larger than all before.
    pub(super) fn push(&mut self, index: i32) {
        let gap = i64::from(index) - self.next;
        match self.spans.last_mut() {
            Some(last) if gap == 0 => last.length += 1,
            _ => self.spans.push(Span { offset: clamped(gap), length: 1 }),
        }
        self.next = i64::from(index) + 1;
    }

    /// How many buckets lie between the last one and `index`; 0 if there is none yet.
    pub(super) fn gap_before(&self, index: i32) -> i64 {
        if self.spans.is_empty() { 0 } else { i64::from(index) - self.next }
    }

    pub(super) fn finish(self) -> Vec<Span> {
        self.spans
    }
}

/// The bucket that holds bucket `index` after halving the resolution `shift` times.
pub(super) fn coarser_index(index: i32, shift: u32) -> i32 {
    let index = i64::from(index) - 1;
    clamped((index >> shift.min(62)) + 1)
}

/// Whether both describe the same bucket indexes, however they are cut into spans.
pub(super) fn same_layout(a: &[Span], b: &[Span]) -> bool {
    a == b || Runs::new(a).eq(Runs::new(b))
}

/// Runs of consecutive indexes as (first, end), with empty and adjacent spans merged.
struct Runs<'a> {
    spans: std::slice::Iter<'a, Span>,
    index: i64,
    pending: Option<(i64, i64)>,
}

impl<'a> Runs<'a> {
    fn new(spans: &'a [Span]) -> Self {
        Runs { spans: spans.iter(), index: 0, pending: None }
    }
}

impl Iterator for Runs<'_> {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        for s in self.spans.by_ref() {
            let first = self.index + i64::from(s.offset);
            self.index = first + i64::from(s.length);
            if s.length == 0 {
                continue;
            }
            match &mut self.pending {
                Some((_, end)) if *end == first => *end = self.index,
                pending => {
                    if let Some(run) = pending.replace((first, self.index)) {
                        return Some(run);
                    }
                }
            }
        }
        self.pending.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_spans() -> impl Strategy<Value = (Vec<Span>, Vec<f64>)> {
        let span = (prop_oneof![-3i32..6, any::<i32>()], prop_oneof![0u32..4, any::<u32>()]);
        (proptest::collection::vec(span, 0..5), 0usize..8).prop_map(|(s, n)| {
            (
                s.into_iter().map(|(offset, length)| Span { offset, length }).collect(),
                (0..n).map(|i| i as f64).collect(),
            )
        })
    }

    #[test]
    fn indexes_follow_from_offsets_and_lengths() {
        let spans = [
            Span { offset: -2, length: 2 },
            Span { offset: 0, length: 0 },
            Span { offset: 3, length: 1 },
            Span { offset: 0, length: 1 },
        ];
        let got: Vec<_> = Indexed::new(&spans, &[1.0, 2.0, 3.0, 4.0]).collect();
        assert_eq!(got, [(-2, 1.0), (-1, 2.0), (3, 3.0), (4, 4.0)]);
        assert!(same_layout(&spans, &[Span { offset: -2, length: 2 }, Span { offset: 3, length: 2 }]));
        assert!(!same_layout(&spans, &[Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }]));
    }

    proptest! {
        #[test]
        fn backwards_is_the_reverse_of_forwards((spans, counts) in any_spans()) {
            let forwards: Vec<_> = Indexed::new(&spans, &counts).collect();
            let mut backwards: Vec<_> = Indexed::new(&spans, &counts).rev().collect();
            backwards.reverse();
            prop_assert_eq!(&forwards, &backwards);
            let mut both = Indexed::new(&spans, &counts);
            let mut n = 0;
            while both.next().is_some() && both.next_back().is_some() {
                n += 2;
            }
            prop_assert!(n <= forwards.len() && n + 1 >= forwards.len());
        }

        #[test]
        fn built_spans_hold_the_indexes_they_were_built_from(
            indexes in proptest::collection::btree_set(-50i32..50, 0..20)
        ) {
            let mut b = SpanBuilder::default();
            for i in &indexes {
                b.push(*i);
            }
            let spans = b.finish();
            let counts = vec![1.0; indexes.len()];
            let back: Vec<i32> = Indexed::new(&spans, &counts).map(|(i, _)| i).collect();
            prop_assert_eq!(back, indexes.into_iter().collect::<Vec<_>>());
        }
    }
}
