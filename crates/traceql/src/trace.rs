//! The spans of one trace with what relates them.

use std::collections::HashMap;

use reba_model::spans::{Span, SpanId, TraceId};

/// Where a span stands in the forest of its trace, after Celko's nested sets: a span is below another one if its `left`
/// lies between the other's `left` and `right`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nested {
    /// Counted when the walk enters the span; from 1.
    pub left: i32,
    /// Counted when it leaves.
    pub right: i32,
    /// `left` of the parent; -1 for a root, 0 for a span whose parent is not there.
    pub parent: i32,
}

/// All spans of a trace that are known, numbered.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    spans: Vec<Span>,
    nested: Vec<Nested>,
    children: Vec<u32>,
    root: Option<usize>,
    start_ns: i64,
    end_ns: i64,
}

impl Trace {
    /// Sorts spans by their start and numbers them. Spans that are each other's ancestors are cut apart where they
    /// start; of spans with the same id, the first one has the children.
    pub fn new(mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.start_ns, span.span_id));
        let forest = Forest::of(&spans);
        let nested = forest.numbered(&spans);
        Trace {
            children: forest.children.iter().map(|c| c.len() as u32).collect(),
            root: spans.iter().position(|span| span.parent_id.is_none()),
            start_ns: spans.iter().map(|span| span.start_ns).min().unwrap_or(0),
            end_ns: spans.iter().map(|span| span.end_ns).max().unwrap_or(0),
            nested,
            spans,
        }
    }

    /// Spans of any traces, for queries that look at each span alone: without order, numbers, root and times.
    pub fn loose(spans: Vec<Span>) -> Self {
        Trace { spans, ..Trace::default() }
    }

    /// Its spans by start.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The numbers of the span at `i`.
    pub fn nested(&self, i: usize) -> Nested {
        self.nested.get(i).copied().unwrap_or_default()
    }

    /// How many spans have the one at `i` as their parent.
    pub fn child_count(&self, i: usize) -> u32 {
        self.children.get(i).copied().unwrap_or(0)
    }

    /// The first span without a parent.
    pub fn root(&self) -> Option<&Span> {
        self.root.and_then(|i| self.spans.get(i))
    }

    /// The trace's id; all zero if it has no spans.
    pub fn id(&self) -> TraceId {
        self.spans.first().map_or(TraceId::default(), |span| span.trace_id)
    }

    /// When its first span began.
    pub fn start_ns(&self) -> i64 {
        self.start_ns
    }

    /// From the start of the first span to the end of the last one.
    pub fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Who is whose child.
struct Forest {
    children: Vec<Vec<usize>>,
    parents: Vec<Option<usize>>,
}

impl Forest {
    fn of(spans: &[Span]) -> Self {
        let mut by_id: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (i, span) in spans.iter().enumerate() {
            by_id.entry(span.span_id).or_insert(i);
        }
        let parent = |(i, span): (usize, &Span)| match span.parent_id {
            SpanId::NONE => None,
            id => by_id.get(&id).copied().filter(|p| *p != i),
        };
        let parents: Vec<Option<usize>> = spans.iter().enumerate().map(parent).collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (i, parent) in parents.iter().enumerate() {
            if let Some(siblings) = parent.and_then(|p| children.get_mut(p)) {
                siblings.push(i);
            }
        }
        Forest { children, parents }
    }

    /// Walks the trees, then what no tree reaches: circles.
    fn numbered(&self, spans: &[Span]) -> Vec<Nested> {
        let mut nested = vec![Nested::default(); spans.len()];
        let mut counter = 0;
        let tops = (0..spans.len()).filter(|i| self.parents[*i].is_none());
        for top in tops.chain(0..spans.len()) {
            if nested[top].left == 0 {
                let parent = if spans[top].parent_id.is_none() { -1 } else { 0 };
                self.walk(top, parent, &mut nested, &mut counter);
            }
        }
        nested
    }

    fn walk(&self, top: usize, parent: i32, nested: &mut [Nested], counter: &mut i32) {
        let mut path = vec![(top, 0)];
        *counter += 1;
        nested[top] = Nested { left: *counter, right: 0, parent };
        while let Some((span, next)) = path.last_mut() {
            let span = *span;
            match self.children[span].get(*next) {
                Some(&child) => {
                    *next += 1;
                    if nested[child].left == 0 {
                        *counter += 1;
                        nested[child] = Nested { left: *counter, right: 0, parent: nested[span].left };
                        path.push((child, 0));
                    }
                }
                None => {
                    *counter += 1;
                    nested[span].right = *counter;
                    path.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: u8) -> Span {
        let at = |n| SpanId([0, 0, 0, 0, 0, 0, 0, n]);
        Span { span_id: at(id), parent_id: at(parent), start_ns: i64::from(id), ..Span::default() }
    }

    fn numbers(spans: &[(u8, u8)]) -> Vec<(i32, i32, i32)> {
        let trace = Trace::new(spans.iter().map(|(id, parent)| span(*id, *parent)).collect());
        (0..spans.len()).map(|i| trace.nested(i)).map(|n| (n.left, n.right, n.parent)).collect()
    }

    #[test]
    fn a_tree_is_numbered_as_a_walk_passes_it() {
        assert_eq!(numbers(&[(1, 0), (2, 1), (3, 2), (4, 1)]), [(1, 8, -1), (2, 5, 1), (3, 4, 2), (6, 7, 1)]);
    }

    #[test]
    fn a_span_without_its_parent_begins_a_tree_of_its_own() {
        assert_eq!(numbers(&[(1, 0), (2, 9), (3, 2)]), [(1, 2, -1), (3, 6, 0), (4, 5, 3)]);
    }

    #[test]
    fn circles_and_twins_are_survived() {
        assert_eq!(numbers(&[(1, 2), (2, 1)]), [(1, 4, 0), (2, 3, 1)]);
        assert_eq!(numbers(&[(1, 1)]), [(1, 2, 0)]);
        assert_eq!(numbers(&[(1, 0), (1, 0), (2, 1)]).len(), 3);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_spans_is_no_deep_recursion() {
        let at = |n: u64| SpanId(n.to_be_bytes());
        let link =
            |n: u64| Span { span_id: at(n), parent_id: at(n - 1), start_ns: n as i64, ..Span::default() };
        let trace = Trace::new((1..=100_000).map(link).collect());
        assert_eq!(trace.nested(0), Nested { left: 1, right: 200_000, parent: -1 });
    }
}
