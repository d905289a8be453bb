//! What the services answer. One module a theme; each function reads as what the service does.

mod commerce;
mod conversations;
mod messages;
mod money;
mod office;
mod rides;

use std::sync::Arc;

use axum::{
    Json, Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Service,
    node::{Call, Node, fail_sometimes, log_requests, trace_requests},
};

/// What a customer writes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    Ride,
    Chat,
    Support,
}

/// A message from a customer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) topic: Topic,
}

/// Something to tell a customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) message_type: String,
}

impl Notice {
    fn of(message_type: &str) -> Self {
        Self { message_type: message_type.to_owned() }
    }
}

/// The whole router of a service: its routes measured, its metrics beside them.
pub(crate) fn router(node: &Arc<Node>) -> Router {
    let routes = own_routes(node.service)
        .route("/health", get(health))
        .layer(from_fn_with_state(node.clone(), fail_sometimes))
        .layer(from_fn_with_state(node.clone(), log_requests))
        .layer(from_fn_with_state(node.clone(), trace_requests))
        .with_state(node.clone());
    node.metrics.instrument(routes).route(node.service.metrics_path(), node.metrics.metrics_route())
}

fn own_routes(service: Service) -> Router<Arc<Node>> {
    let router = Router::new();
    match service {
        Service::AgentCore => router
            .route("/conversations/{id}/messages", post(conversations::answer))
            .route("/users", post(commerce::sign_up_passenger)),
        Service::VoiceBridge => router.route("/calls", post(conversations::take_call)),
        Service::Wallet => router
            .route("/payments", post(money::pay))
            .route("/topups", post(money::top_up))
            .route("/wallets/{id}", get(money::balance)),
        Service::Ranking => router.route("/rankings", post(rides::rank)),
        Service::Vendor => router
            .route("/products", get(commerce::products))
            .route("/orders", post(commerce::take_order))
            .route("/vendors", post(commerce::sign_up_vendor)),
        Service::Buyer => router
            .route("/catalog", get(commerce::catalog))
            .route("/orders", post(commerce::order))
            .route("/buyers", post(commerce::sign_up_buyer)),
        Service::Notification => router.route("/notifications", post(messages::notify)),
        Service::Message => router
            .route("/webhooks/whatsapp", post(messages::receive))
            .route("/messages", post(messages::send)),
        Service::Insurance => {
            router.route("/quotes", post(money::quote)).route("/policies", post(money::buy_policy))
        }
        Service::Simulator => router
            .route("/drivers/nearby", get(rides::drivers_nearby))
            .route("/drivers", post(commerce::sign_up_driver))
            .route("/rides", post(rides::start))
            .route("/rides/{id}/complete", post(rides::complete)),
        Service::Analytics => {
            router.route("/events", post(office::record)).route("/reports/daily", get(office::report))
        }
        Service::Support => router.route("/tickets", post(office::open_ticket)),
        Service::AdminApp => router.route("/api/dashboard", get(office::dashboard)),
    }
}

async fn health(call: Call) -> (StatusCode, Json<Value>) {
    (StatusCode::OK, Json(json!({ "status": "ok", "service": call.node.service.name() })))
}
