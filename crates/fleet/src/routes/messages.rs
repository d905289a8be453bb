//! message-service and notification-service: WhatsApp in and out.

use axum::Json;
use easymo_commons::MessageStatus;
use http::StatusCode;

use super::{Incoming, Notice};
use crate::{
    Incident, Service,
    logs::{Line, masked_phone, stacks},
    node::Call,
};

/// What customers send, and how often.
const RECEIVED: [(&str, f64); 4] = [("text", 6.0), ("location", 2.0), ("audio", 1.0), ("image", 1.0)];
/// The types of messages we send.
const SENT: [&str; 3] = ["text", "template", "interactive"];
/// WhatsApp's codes: undeliverable, window closed, rate limit, something went wrong.
const FAILURES: [(&str, f64); 4] = [("131026", 4.0), ("131047", 3.0), ("130429", 2.0), ("131000", 1.0)];

/// WhatsApp tells us that a customer wrote.
pub(crate) async fn receive(call: Call, Json(message): Json<Incoming>) -> StatusCode {
    let message_type = call.dice.pick("type", &RECEIVED);
    call.business().track_whatsapp_message(message_type, MessageStatus::Received);
    let line = Line::info("message_received", "message received").with("message_type", message_type);
    call.log(line.with("from", masked_phone(call.person())).often());
    call.query("insert", "messages").await;
    let path = format!("/conversations/{}/messages", call.dice.roll("who").to_bits() % 10_000);
    match call.post(Service::AgentCore, &path, &message).await {
        Some(_) => StatusCode::OK,
        // The agents are away: WhatsApp need not send again, the message is kept.
        None => StatusCode::ACCEPTED,
    }
}

/// Sends a message to a customer.
pub(crate) async fn send(call: Call, Json(notice): Json<Notice>) -> StatusCode {
    let message_type = SENT.into_iter().find(|known| *known == notice.message_type).unwrap_or("text");
    let mut span = call
        .begin("POST /messages")
        .with("http.request.method", "POST")
        .with("url.full", "https://graph.facebook.com/v18.0/messages")
        .with("server.address", "graph.facebook.com")
        .with("peer.service", "whatsapp-api")
        .with("messaging.message.type", message_type);
    call.work("whatsapp", 60).await;
    let business = call.business();
    business.track_whatsapp_message(message_type, MessageStatus::Sent);
    let fails = if call.suffers(Incident::WhatsappDeliveryFailures) { 0.5 } else { 0.015 };
    if call.dice.chance("delivery", fails) {
        let error_code = call.dice.pick("failure", &FAILURES);
        span.set("http.response.status_code", 400);
        span.set("error.type", error_code);
        span.fail(format!("({error_code}) message undeliverable"));
        span.end();
        business.track_whatsapp_message(message_type, MessageStatus::Failed { error_code });
        let line =
            Line::error("message_not_delivered", "message not delivered").with("error_code", error_code);
        let line = line.with("message_type", message_type).with("to", masked_phone(call.person()));
        let reason = format!("({error_code}) message undeliverable");
        call.log(line.because("WhatsAppError", reason, stacks::WHATSAPP));
    } else {
        span.set("http.response.status_code", 200);
        span.end();
        business.track_whatsapp_message(message_type, MessageStatus::Delivered);
        let line = Line::info("message_delivered", "message delivered").with("message_type", message_type);
        call.log(line.with("to", masked_phone(call.person())).often());
        if call.dice.chance("read", 0.7) {
            business.track_whatsapp_message(message_type, MessageStatus::Read);
        }
    }
    call.query("insert", "messages").await;
    StatusCode::ACCEPTED
}

/// Tells a customer something, over WhatsApp.
pub(crate) async fn notify(call: Call, Json(notice): Json<Notice>) -> StatusCode {
    call.query("insert", "notifications").await;
    call.cached("GET", "preferences").await;
    call.afterwards(|call| async move {
        call.post(Service::Message, "/messages", &notice).await;
    });
    StatusCode::ACCEPTED
}
