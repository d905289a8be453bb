//! wallet-service and insurance-service: where money moves.

use axum::Json;
use easymo_commons::{PaymentMethod, PaymentOutcome};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Notice;
use crate::{
    Incident, Service,
    dice::Dice,
    logs::{Level, Line, masked_phone, stacks},
    node::Call,
};

/// How people pay, and how often.
const METHODS: [(&str, f64); 4] = [("momo", 6.0), ("airtel_money", 2.0), ("wallet", 1.5), ("card", 0.5)];
/// Why payments fail on a usual day.
const FAILURES: [(&str, f64); 4] =
    [("insufficient_funds", 6.0), ("user_cancelled", 2.0), ("timeout", 1.5), ("limit_exceeded", 0.5)];

/// A payment that somebody wants to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    method: String,
    amount_usd: f64,
}

impl Payment {
    /// A payment by any method.
    pub(crate) fn draw(dice: Dice, amount_usd: f64) -> Self {
        Self { method: dice.pick("method", &METHODS).to_owned(), amount_usd }
    }

    /// How much, in dollars.
    pub(crate) fn amount(&self) -> f64 {
        self.amount_usd
    }
}

/// Moves money.
pub(crate) async fn pay(call: Call, Json(payment): Json<Payment>) -> (StatusCode, Json<Value>) {
    call.query("select", "wallets").await;
    let paid = transact(&call, &payment).await;
    call.query("insert", "payments").await;
    let status = if paid { StatusCode::CREATED } else { StatusCode::PAYMENT_REQUIRED };
    (status, Json(json!({ "paid": paid })))
}

/// Somebody pays money into a wallet.
pub(crate) async fn top_up(call: Call) -> (StatusCode, Json<Value>) {
    let amount = call.dice.log_normal("top up", 9.0, 0.6);
    pay(call.clone(), Json(Payment { method: "momo".to_owned(), amount_usd: amount })).await
}

/// Asks the provider; whether the money moved.
async fn transact(call: &Call, payment: &Payment) -> bool {
    let method = payment.method.parse().unwrap_or(PaymentMethod::Other);
    let down = call.suffers(Incident::PaymentsDown);
    let mut span = call
        .begin("POST /collect")
        .with("http.request.method", "POST")
        .with("server.address", "api.pay.example")
        .with("peer.service", "payment-provider")
        .with("easymo.payment_method", method.as_str());
    call.work("provider", 180).await;
    let fails = call.dice.chance("payment", if down { 0.65 } else { 0.025 });
    let outcome = match (fails, down) {
        (false, _) => PaymentOutcome::Success,
        (true, false) => PaymentOutcome::Failed { error_code: call.dice.pick("failure", &FAILURES) },
        (true, true) => PaymentOutcome::Failed { error_code: "provider_unavailable" },
    };
    if let PaymentOutcome::Failed { error_code } = outcome {
        span.set("error.type", error_code);
        span.fail(format!("payment failed: {error_code}"));
    }
    span.set("http.response.status_code", if down && fails { 503 } else { 200 });
    span.end();
    let amount = payment.amount_usd.max(0.0);
    call.business().track_payment(method, amount, outcome);
    log_payment(call, method.as_str(), amount, outcome);
    !fails
}

fn log_payment(call: &Call, method: &'static str, amount: f64, outcome: PaymentOutcome<'_>) {
    let about = |line: Line| {
        let line = line.with_rounded("amount", amount, 2).with("currency", "USD");
        line.with("payment_method", method).with("phone", masked_phone(call.person()))
    };
    let line = match outcome {
        PaymentOutcome::Failed { error_code: code @ "provider_unavailable" } => {
            let line = about(Line::error("payment_failed", "payment failed: the provider does not answer"));
            let reason = format!("503 Service Unavailable from {method}");
            line.with("error_code", code).because("ProviderError", reason, stacks::PROVIDER)
        }
        PaymentOutcome::Failed { error_code } => {
            let level = if error_code == "timeout" { Level::Error } else { Level::Warn };
            let message = format!("payment failed: {}", error_code.replace('_', " "));
            about(Line::new(level, "payment_failed", message)).with("error_code", error_code)
        }
        _ => about(Line::info("payment_completed", "payment completed")),
    };
    call.log(line);
}

/// Somebody looks at a balance.
pub(crate) async fn balance(call: Call) -> Json<Value> {
    call.cached("GET", "balance").await;
    call.query("select", "wallets").await;
    Json(json!({ "balance_usd": call.dice.log_normal("balance", 12.0, 1.0) }))
}

/// What an insurance costs.
pub(crate) async fn quote(call: Call) -> Json<Value> {
    call.query("select", "tariffs").await;
    call.work("quote", 45).await;
    Json(json!({ "premium_usd": premium(&call) }))
}

/// Somebody buys an insurance.
pub(crate) async fn buy_policy(call: Call) -> StatusCode {
    call.query("insert", "policies").await;
    let payment = Payment::draw(call.dice, premium(&call));
    call.afterwards(move |call| async move {
        call.post(Service::Wallet, "/payments", &payment).await;
        call.post(Service::Notification, "/notifications", &Notice::of("template")).await;
    });
    StatusCode::CREATED
}

fn premium(call: &Call) -> f64 {
    call.dice.log_normal("premium", 45.0, 0.7)
}
