//! buyer-service and vendor-service, and the sign-ups of all kinds of users.

use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Notice, money::Payment};
use crate::{
    Service,
    logs::{Line, masked_email, masked_phone},
    node::Call,
};

/// A buyer looks around; where vendors cannot be asked, an empty list is shown.
pub(crate) async fn catalog(call: Call) -> Json<Value> {
    call.query("select", "carts").await;
    let products = call.get(Service::Vendor, "/products").await.and_then(|answer| answer.json());
    Json(products.unwrap_or_else(|| json!([])))
}

/// A buyer orders: the vendor takes it, then it is paid.
pub(crate) async fn order(call: Call) -> StatusCode {
    call.query("insert", "carts").await;
    let taken = call.post(Service::Vendor, "/orders", &()).await;
    if taken.is_none_or(|answer| !answer.status.is_success()) {
        call.log(Line::warn("order_waits", "the vendor did not take the order; it is tried again"));
        return StatusCode::ACCEPTED;
    }
    let payment = Payment::draw(call.dice, call.dice.log_normal("basket", 18.0, 0.8));
    call.log(Line::info("order_placed", "order placed").with_rounded("amount", payment.amount(), 2));
    call.afterwards(move |call| async move {
        call.post(Service::Wallet, "/payments", &payment).await;
        call.post(Service::Notification, "/notifications", &Notice::of("template")).await;
        call.post(Service::Analytics, "/events", &json!({ "event": "order_placed" })).await;
    });
    StatusCode::CREATED
}

/// What vendors sell.
pub(crate) async fn products(call: Call) -> Json<Value> {
    call.query("select", "products").await;
    let count = 4 + (call.dice.roll("count") * 20.0) as usize;
    Json((0..count).map(|id| json!({ "id": id, "name": "beans", "price_usd": 1.5 })).collect())
}

/// A vendor takes an order.
pub(crate) async fn take_order(call: Call) -> StatusCode {
    call.query("insert", "orders").await;
    call.query("update", "products").await;
    StatusCode::CREATED
}

/// A new passenger.
pub(crate) async fn sign_up_passenger(call: Call) -> StatusCode {
    sign_up(call, "passenger").await
}

/// A new driver.
pub(crate) async fn sign_up_driver(call: Call) -> StatusCode {
    sign_up(call, "driver").await
}

/// A new vendor.
pub(crate) async fn sign_up_vendor(call: Call) -> StatusCode {
    sign_up(call, "vendor").await
}

/// A new buyer.
pub(crate) async fn sign_up_buyer(call: Call) -> StatusCode {
    sign_up(call, "buyer").await
}

async fn sign_up(call: Call, user_type: &str) -> StatusCode {
    call.query("insert", "users").await;
    call.business().track_signup(user_type);
    let line = Line::info("user_signed_up", "new user").with("user_type", user_type);
    call.log(line.with("phone", masked_phone(call.person())).with("email", masked_email(call.person())));
    StatusCode::CREATED
}
