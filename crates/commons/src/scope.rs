//! Where this thread's work stands: the span that is active, for lines of the log, metrics and requests that are sent.
//!
//! The one thing here that is not a parameter: whoever writes a line deep inside a service does not hold the request.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tracing::Span;

use crate::trace::{SpanId, TraceContext};

thread_local! {
    /// The spans that were entered and not left, the innermost last.
    static ACTIVE: RefCell<Vec<TraceContext>> = const { RefCell::new(Vec::new()) };
    /// The context that the next span to be made is to have.
    static ADOPTED: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

impl TraceContext {
    /// The span that is active on this thread: that of the request being handled, or the innermost `tracing` span
    /// once [`crate::init`] was called. Nothing outside of both.
    pub fn current() -> Option<Self> {
        ACTIVE.try_with(|active| active.borrow().last().cloned()).ok().flatten()
    }

    /// Makes this span the active one while `work` runs.
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = enter(self);
        work()
    }

    /// Makes this span the active one whenever `future` is polled; for work that outlives its request.
    pub fn within<F: Future>(&self, future: F) -> Within<F> {
        Within { context: self.clone(), future: Box::pin(future) }
    }
}

/// The future that [`TraceContext::within`] makes.
#[derive(Debug)]
pub struct Within<F> {
    context: TraceContext,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = enter(&self.context);
        self.future.as_mut().poll(cx)
    }
}

/// A span that is active until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered(SpanId);

impl Drop for Entered {
    fn drop(&mut self) {
        leave(self.0);
    }
}

pub(crate) fn enter(context: &TraceContext) -> Entered {
    push(context);
    Entered(context.span_id())
}

pub(crate) fn push(context: &TraceContext) {
    // A thread that ends has nothing active any more.
    let _ = ACTIVE.try_with(|active| active.borrow_mut().push(context.clone()));
}

/// Takes the innermost entry of a span away: spans of `tracing` may be left in any order.
pub(crate) fn leave(span: SpanId) {
    let _ = ACTIVE.try_with(|active| {
        let mut active = active.borrow_mut();
        if let Some(at) = active.iter().rposition(|context| context.span_id() == span) {
            active.remove(at);
        }
    });
}

/// Runs `work`, a poll of a request's future for the most part, with the request's trace and its span active. Without a
/// subscriber only the trace is.
pub(crate) fn within<T>(trace: Option<&TraceContext>, span: &Span, work: impl FnOnce() -> T) -> T {
    let _scope = trace.map(enter);
    span.in_scope(work)
}

/// Runs `make`, in which the first span made gets `context` as its own, since its ids are known already.
pub(crate) fn adopting<T>(context: Option<&TraceContext>, make: impl FnOnce() -> T) -> T {
    ADOPTED.set(context.cloned());
    let made = make();
    ADOPTED.set(None);
    made
}

pub(crate) fn adopted() -> Option<TraceContext> {
    ADOPTED.try_with(Cell::take).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::IdGenerator;

    #[test]
    fn the_innermost_span_is_the_active_one_in_whatever_order_they_are_left() {
        let ids = IdGenerator::seeded(1);
        let (outer, inner) = (TraceContext::root(&ids), TraceContext::root(&ids));
        assert_eq!(TraceContext::current(), None);
        let first = enter(&outer);
        let second = enter(&inner);
        assert_eq!(TraceContext::current(), Some(inner.clone()));
        drop(first);
        assert_eq!(TraceContext::current(), Some(inner));
        drop(second);
        assert_eq!(TraceContext::current(), None);
        assert_eq!(outer.scope(TraceContext::current), Some(outer));
    }

    #[tokio::test]
    async fn a_future_finds_its_span_again_after_it_waited() {
        let trace = TraceContext::root(&IdGenerator::seeded(1));
        let seen = trace.within(async {
            tokio::task::yield_now().await;
            TraceContext::current()
        });
        assert_eq!(seen.await, Some(trace));
        assert_eq!(TraceContext::current(), None);
    }
}
