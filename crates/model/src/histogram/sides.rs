//! Arithmetic on one side of a histogram: spans, counts, and the compensation terms of a Kahan sum if there is one.

use super::{
    CUSTOM_BUCKETS_SCHEMA, Span,
    bounds::exponential_bound,
    kahan,
    spans::{Indexed, SpanBuilder, coarser_index},
};

/// A side that can be changed. `compensation` is either empty or as long as `counts`.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) spans: Vec<Span>,
    pub(super) counts: Vec<f64>,
    pub(super) compensation: Vec<f64>,
}

/// A side that is only read.
#[derive(Clone, Copy)]
pub(super) struct SideRef<'a> {
    pub(super) spans: &'a [Span],
    pub(super) counts: &'a [f64],
    /// Empty, or as long as `counts`.
    pub(super) compensation: &'a [f64],
}

impl<'a> SideRef<'a> {
    fn indexed(&self) -> Indexed<'a> {
        Indexed::new(self.spans, self.counts)
    }

    fn compensation_at(&self, i: usize) -> f64 {
        self.compensation.get(i).copied().unwrap_or(0.0)
    }

    /// How many leading buckets lie inside a zero bucket of that width.
    pub(super) fn leading_inside(&self, schema: i32, threshold: f64) -> usize {
        if schema == CUSTOM_BUCKETS_SCHEMA || threshold == 0.0 {
            return 0;
        }
        self.indexed().take_while(|(i, _)| exponential_bound(*i, schema) <= threshold).count()
    }

    /// The same buckets, merged so that the resolution is halved `shift` times. With `with_kahan`, rounding errors
    /// are collected. The first `skipped` buckets are left out.
    pub(super) fn reduced(&self, shift: u32, with_kahan: bool, skipped: usize) -> Side {
        let mut out = Side::default();
        let mut spans = SpanBuilder::default();
        let mut last = None;
        for (i, (index, count)) in self.indexed().enumerate().skip(skipped) {
            let index = coarser_index(index, shift);
            let c = self.compensation_at(i);
            let same = last.replace(index) == Some(index);
            match (out.counts.last_mut(), out.compensation.last_mut()) {
                (Some(sum), Some(rest)) if same && with_kahan => {
                    (*sum, *rest) = kahan::add(count, *sum, *rest);
                    (*sum, *rest) = kahan::add(c, *sum, *rest);
                }
                (Some(sum), _) if same => *sum += count,
                _ => {
                    spans.push(index);
                    out.counts.push(count);
                    if with_kahan {
                        out.compensation.push(c);
                    }
                }
            }
        }
        out.spans = spans.finish();
        out
    }
}

/// Which buckets of the other side are left out, and how the rest is joined.
#[derive(Clone, Copy)]
pub(super) struct Join {
    /// The schema of both sides.
    pub(super) schema: i32,
    /// Leading buckets that end at or below this are already part of the zero bucket.
    pub(super) threshold: f64,
    /// 1 or -1.
    pub(super) sign: f64,
    /// Whether rounding errors are collected in the compensation terms.
    pub(super) kahan: bool,
}

impl Side {
    pub(super) fn as_ref(&self) -> SideRef<'_> {
        SideRef { spans: &self.spans, counts: &self.counts, compensation: &self.compensation }
    }

    /// Adds `other` bucket by bucket (or subtracts it, by the sign).
    pub(super) fn join(&mut self, other: SideRef<'_>, how: Join) {
        if how.kahan {
            self.compensation.resize(self.counts.len(), 0.0);
        }
        let skipped = other.leading_inside(how.schema, how.threshold);
        if self.spans == other.spans && self.counts.len() == other.counts.len() {
            for i in skipped..self.counts.len() {
                self.join_at(i, other, i, how);
            }
        } else {
            self.join_layouts(other, skipped, how);
        }
    }

    fn join_at(&mut self, i: usize, other: SideRef<'_>, j: usize, how: Join) {
        let count = other.counts[j] * how.sign;
        if !how.kahan {
            self.counts[i] += count;
            return;
        }
        let (mut sum, mut c) = kahan::add(count, self.counts[i], self.compensation[i]);
        let rest = other.compensation_at(j) * how.sign;
        if rest != 0.0 {
            (sum, c) = kahan::add(rest, sum, c);
        }
        self.counts[i] = sum;
        self.compensation[i] = c;
    }

    /// Joins sides whose buckets differ: a merge of two sorted lists.
    fn join_layouts(&mut self, other: SideRef<'_>, skipped: usize, how: Join) {
        let mine = std::mem::take(self);
        let mine = mine.as_ref();
        let mut spans = SpanBuilder::default();
        let mut a = mine.indexed().enumerate().peekable();
        let mut b = other.indexed().enumerate().skip(skipped).peekable();
        loop {
            let at = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some((_, (i, _))), None) | (None, Some((_, (i, _)))) => *i,
                (Some((_, (i, _))), Some((_, (j, _)))) => *i.min(j),
            };
            spans.push(at);
            let n = self.counts.len();
            let from_a = a.next_if(|(_, (i, _))| *i == at);
            let from_b = b.next_if(|(_, (i, _))| *i == at);
            match from_a {
                Some((i, (_, count))) => {
                    self.counts.push(count);
                    self.compensation.push(mine.compensation_at(i));
                    if let Some((j, _)) = from_b {
                        self.join_at(n, other, j, how);
                    }
                }
                None => {
                    let j = from_b.map_or(0, |(j, _)| j);
                    self.counts.push(other.counts[j] * how.sign);
                    self.compensation.push(other.compensation_at(j) * how.sign);
                }
            }
        }
        self.spans = spans.finish();
        if !how.kahan {
            self.compensation = Vec::new();
        }
    }

    /// Removes empty buckets, except inside gaps of at most `max_empty`, which are filled with them.
    pub(super) fn compact(&mut self, max_empty: u32) {
        let apart = |s: &Span| i64::from(s.offset) > i64::from(max_empty);
        let clean = self.counts.iter().all(|c| *c != 0.0)
            && self.spans.iter().enumerate().all(|(i, s)| s.length > 0 && (i == 0 || apart(s)));
        if clean {
            return;
        }
        let with_kahan = !self.compensation.is_empty();
        let mine = std::mem::take(self);
        let mine = mine.as_ref();
        let mut spans = SpanBuilder::default();
        for (i, (index, count)) in mine.indexed().enumerate() {
            let c = mine.compensation_at(i);
            if count == 0.0 && c == 0.0 {
                continue;
            }
            let gap = spans.gap_before(index);
            if (1..=i64::from(max_empty)).contains(&gap) {
                for filled in (0..gap).rev() {
                    spans.push((i64::from(index) - 1 - filled) as i32);
                    self.counts.push(0.0);
                    self.compensation.push(0.0);
                }
            }
            spans.push(index);
            self.counts.push(count);
            self.compensation.push(c);
        }
        self.spans = spans.finish();
        if !with_kahan {
            self.compensation = Vec::new();
        }
    }
}
