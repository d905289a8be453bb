//! ranking-service and simulator-service: from a wish to a ride that ends.

use axum::{Json, extract::Path};
use easymo_commons::RejectReason;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Notice, money::Payment};
use crate::{
    Incident, Service,
    logs::Line,
    node::Call,
    rides::{Ride, RideType},
};

/// A wish for a ride.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RideRequest {
    pub(crate) kind: RideType,
}

/// Whether a driver takes it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) accepted: bool,
}

/// Finds a driver. Where positions are not to be had, the last known ones do.
pub(crate) async fn rank(call: Call, Json(request): Json<RideRequest>) -> Json<Decision> {
    call.query("select", "drivers").await;
    call.get(Service::Simulator, "/drivers/nearby").await;
    call.work("rank", 12).await;
    let kind = request.kind.as_str();
    let accepts = if call.suffers(Incident::LowRideAcceptance) { 0.35 } else { 0.89 };
    let accepted = call.dice.chance("accepted", accepts);
    if accepted {
        call.business().track_ride_accepted(kind);
        call.log(Line::info("ride_accepted", "a driver took the ride").with("service_type", kind).often());
    } else {
        let reason = match call.dice.roll("reason") {
            ..0.45 => RejectReason::NoDriver,
            0.45..0.75 => RejectReason::DriverDeclined,
            0.75..0.85 => RejectReason::TooFar,
            _ => RejectReason::Timeout,
        };
        call.business().track_ride_rejected(kind, reason);
        let line = Line::warn("ride_rejected", "no driver took the ride").with("service_type", kind);
        call.log(line.with("reason", reason.as_str()));
    }
    Json(Decision { accepted })
}

/// Where the drivers are.
pub(crate) async fn drivers_nearby(call: Call) -> Json<Value> {
    call.cached("GEOSEARCH", "positions").await;
    call.query("select", "drivers").await;
    let drivers = (0..5).map(|n| {
        let place = call.dice.for_asker(["a", "b", "c", "d", "e"][n]);
        json!({ "lat": -1.95 + place.roll("lat") / 20.0, "lon": 30.06 + place.roll("lon") / 20.0 })
    });
    Json(drivers.collect())
}

/// A ride starts.
pub(crate) async fn start(call: Call, Json(request): Json<RideRequest>) -> (StatusCode, Json<Value>) {
    call.query("update", "rides").await;
    let ride = Ride::draw(request.kind, call.dice);
    let world = &call.node.world;
    let id = world.rides.lock().start(ride, world.clock.now() + ride.duration);
    call.business().ride_started(request.kind.as_str());
    (StatusCode::CREATED, Json(json!({ "id": id })))
}

/// A ride ends: it is paid, the passenger gets a receipt, and the books are kept.
pub(crate) async fn complete(call: Call, Path(id): Path<u64>) -> StatusCode {
    call.query("update", "rides").await;
    let finished = call.node.world.rides.lock().finish(id);
    let Some(ride) = finished else { return StatusCode::NOT_FOUND };
    call.business().ride_completed(ride.kind.as_str(), ride.duration);
    let line = Line::info("ride_completed", "ride completed").with("service_type", ride.kind.as_str());
    call.log(line.with("ride_id", id).with("ride_seconds", ride.duration.as_secs()));
    call.afterwards(move |call| async move {
        let per_minute = if ride.kind == RideType::Cab { 0.35 } else { 0.12 };
        let fare = 0.6 + per_minute * ride.duration.as_secs_f64() / 60.0;
        call.post(Service::Wallet, "/payments", &Payment::draw(ride.dice, fare)).await;
        call.post(Service::Notification, "/notifications", &Notice::of("template")).await;
        call.post(Service::Analytics, "/events", &json!({ "event": "ride_completed" })).await;
    });
    StatusCode::OK
}
