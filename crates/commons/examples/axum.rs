//! A service in axum that can be watched: metrics, lines, spans.

use axum::{Router, extract::Path, routing::post};
use easymo_commons::{PaymentMethod, PaymentOutcome};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Lines to the standard output, spans to OTEL_EXPORTER_OTLP_ENDPOINT or 127.0.0.1:4318.
    let telemetry = easymo_commons::init("insurance-service")?;
    let metrics = telemetry.metrics();
    let business = metrics.business().clone();

    let pay = move |Path(id): Path<String>| async move {
        business.track_payment(PaymentMethod::Momo, 12.5, PaymentOutcome::Success);
        tracing::info!(policy = id, phone = "+250788123456", "policy paid");
        "paid"
    };
    let app = metrics
        .instrument(Router::new().route("/policies/{id}/payments", post(pay)))
        .route("/metrics", metrics.metrics_route())
        .route("/health", metrics.health_route());

    let port = std::env::var("PORT").unwrap_or_else(|_| "3008".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    // Until SIGTERM: then requests under way are answered, and the last spans are sent.
    telemetry.serve(listener, app).await?;
    Ok(())
}
