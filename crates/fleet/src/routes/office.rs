//! support-service, analytics-service and the admin app: what the staff sees.

use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Service, logs::Line, node::Call};

/// What people complain about, and how often.
const SUBJECTS: [(&str, f64); 4] =
    [("driver is late", 4.0), ("payment taken twice", 2.0), ("wrong item", 1.5), ("cannot log in", 1.0)];

/// Somebody's problem is written down.
pub(crate) async fn open_ticket(call: Call) -> StatusCode {
    call.query("insert", "tickets").await;
    let subject = call.dice.pick("subject", &SUBJECTS);
    let number = (call.dice.roll("ticket") * 1e6) as u32;
    call.log(Line::info("ticket_opened", format!("Ticket #{number} opened")).with("subject", subject));
    call.afterwards(|call| async move {
        call.post(Service::Analytics, "/events", &json!({ "event": "ticket_opened" })).await;
    });
    StatusCode::CREATED
}

/// An event is kept.
pub(crate) async fn record(call: Call) -> StatusCode {
    call.query("insert", "events").await;
    StatusCode::ACCEPTED
}

/// The day in numbers.
pub(crate) async fn report(call: Call) -> Json<Value> {
    call.query("select", "events").await;
    call.work("sum up", 35).await;
    let rides = call.node.world.rides.lock().under_way();
    Json(json!({ "rides_under_way": rides }))
}

/// The staff's first page; without figures where analytics cannot be asked.
pub(crate) async fn dashboard(call: Call) -> Json<Value> {
    call.query("select", "users").await;
    let report = call.get(Service::Analytics, "/reports/daily").await.and_then(|answer| answer.json());
    Json(json!({ "report": report.unwrap_or(Value::Null) }))
}
