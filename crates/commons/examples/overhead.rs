//! What instrumentation costs, in nanoseconds a call on one core: `cargo run --release -p easymo-commons --example overhead`.
//!
//! Each figure is the best of some rounds: what others do on the machine only ever adds. Two of them are promises, and
//! the program fails if one is not kept.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    process::ExitCode,
    task::{Context, Poll, Waker},
    time::Instant,
};

use axum::body::Body;
use easymo_commons::{
    MetricsRegistry, PaymentMethod, PaymentOutcome, Telemetry, TelemetryBuilder, TraceContextLayer, mask_text,
};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tracing::dispatcher;

const ROUNDS: usize = 15;
/// The promises: one more on a counter, and the middleware around a request.
const COUNTER_NS: f64 = 20.0;
const MIDDLEWARE_NS: f64 = 1_000.0;

/// The best of some rounds of `count` calls, in nanoseconds a call.
fn per_call(count: u32, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        (0..count).for_each(|_| work());
        best = best.min(started.elapsed().as_nanos() as f64 / f64::from(count));
    }
    best
}

/// Prints a figure; whether its promise is kept.
fn report(what: &str, ns: f64, promise: Option<f64>) -> bool {
    let kept = promise.is_none_or(|most| ns <= most);
    let promise = promise.map_or(String::new(), |most| {
        format!("   at most {most} ns are promised{}", if kept { "" } else { ": NOT KEPT" })
    });
    println!("{what:<58} {ns:>8.1} ns{promise}");
    kept
}

/// What a request costs that `service` answers at once.
fn per_request<S>(mut service: S) -> f64
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    per_call(50_000, || {
        let request = Request::get("/wallets/7").body(Body::empty()).unwrap();
        let answer = pin!(service.call(request));
        let Poll::Ready(answer) = answer.poll(&mut context) else { return };
        drop(black_box(answer));
    })
}

fn middleware(registry: &MetricsRegistry) -> f64 {
    let bare = service_fn(|request: Request<Body>| {
        drop(black_box(request));
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from("balance"))))
    });
    let traced = TraceContextLayer::new(registry.ids().clone());
    per_request(traced.layer(registry.http_layer().layer(bare))) - per_request(bare)
}

fn metrics(registry: &MetricsRegistry) -> bool {
    let counters = registry.counter("overhead_total", "Counts", ["kind", "status"]).unwrap();
    let histogram = registry.histogram("overhead_seconds", "Times", ["kind"], &[0.01, 0.1, 1.0]).unwrap();
    for kind in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        counters.inc([kind, "ok"]);
        histogram.observe([kind], 0.5);
    }
    let held = counters.with(["d", "ok"]);
    let one_more = per_call(1_000_000, || black_box(&held).inc());
    let kept = report("one more on a counter", one_more, Some(COUNTER_NS));
    let named = per_call(1_000_000, || counters.inc([black_box("d"), black_box("ok")]));
    report("the same, found among 8 by its two labels", named, None);
    let observed = per_call(1_000_000, || histogram.observe([black_box("d")], black_box(0.5)));
    report("a histogram, found by its label", observed, None);
    let business = registry.business();
    let paid = || business.track_payment(PaymentMethod::Momo, black_box(12.5), PaymentOutcome::Success);
    report("track_payment, success", per_call(500_000, paid), None);
    kept
}

fn lines() {
    let mask = |text: &str| per_call(100_000, || drop(black_box(mask_text(black_box(text)))));
    report("mask_text, nothing to mask", mask("ride 42 was accepted by driver 7 in 3.2 s"), None);
    report("mask_text, a telephone and an address", mask("call +250788123456 or jeanne@example.rw"), None);
    let (_telemetry, dispatch) = telemetry().without_spans().build().unwrap();
    dispatcher::with_default(&dispatch, || {
        let line = || tracing::info!(amount = 5, method = "momo", ok = true, "paid");
        report("a line with three fields", per_call(100_000, line), None);
    });
}

fn telemetry() -> TelemetryBuilder {
    Telemetry::builder("overhead").output(std::io::sink())
}

fn main() -> ExitCode {
    let registry = MetricsRegistry::new("overhead", "bench");
    let mut kept = metrics(&registry);
    kept &= report("the middleware, a request", middleware(&registry), Some(MIDDLEWARE_NS));
    // No receiver is there: what is measured is the making of spans, not their sending.
    let (telemetry, dispatch) = telemetry().endpoint("http://127.0.0.1:9").build().unwrap();
    dispatcher::with_default(&dispatch, || {
        report("the same with a span that is recorded", middleware(telemetry.metrics()), None);
    });
    lines();
    drop(telemetry);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
