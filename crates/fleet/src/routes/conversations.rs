//! agent-core and voice-bridge: the agents that answer.

use std::time::Duration;

use axum::Json;
use easymo_commons::RideStatus;
use http::StatusCode;

use super::{
    Incoming, Notice, Topic,
    rides::{Decision, RideRequest},
};
use crate::{Service, logs::Line, node::Call, rides::RideType};

/// Which language model answers.
const MODEL: &str = "gpt-4o-mini";

/// A customer wrote: the message is kept and acknowledged, and the agent answers afterwards.
pub(crate) async fn answer(call: Call, Json(message): Json<Incoming>) -> StatusCode {
    call.cached("GET", "session").await;
    call.query("select", "conversations").await;
    call.afterwards(move |call| converse(call, message.topic));
    StatusCode::ACCEPTED
}

/// A customer called: the agent listens, and passes the wish on as if it had been written.
pub(crate) async fn take_call(call: Call) -> StatusCode {
    call.query("insert", "calls").await;
    call.afterwards(|call| async move {
        think(&call, "voice", 800).await;
        call.post(Service::AgentCore, "/conversations/voice/messages", &Incoming { topic: Topic::Ride })
            .await;
    });
    StatusCode::ACCEPTED
}

async fn converse(call: Call, topic: Topic) {
    let (agent, median) = match topic {
        Topic::Ride => ("booking", 1_100),
        Topic::Chat => ("sales", 1_600),
        Topic::Support => ("support", 2_200),
    };
    think(&call, agent, median).await;
    match topic {
        Topic::Ride => book_ride(&call).await,
        Topic::Chat => notify(&call, "text").await,
        Topic::Support => {
            call.post(Service::Support, "/tickets", &()).await;
            notify(&call, "text").await;
        }
    }
}

/// Takes as long as a language model takes.
async fn think(call: &Call, agent: &str, median: u64) {
    let took = call.dice.time("think", Duration::from_millis(median), 0.55);
    let tokens = (120.0 + call.dice.roll("tokens") * 900.0) as u32;
    let span = call
        .begin(format!("chat {MODEL}"))
        .with("gen_ai.operation.name", "chat")
        .with("gen_ai.system", "openai")
        .with("gen_ai.request.model", MODEL)
        .with("gen_ai.usage.input_tokens", tokens * 3)
        .with("gen_ai.usage.output_tokens", tokens)
        .with("easymo.agent_type", agent)
        .with("server.address", "api.openai.com")
        .with("peer.service", "openai");
    call.node.world.clock.take(took).await;
    span.end();
    call.business().track_agent_response(agent, took);
    let line = Line::info("agent_replied", "agent replied").with("agent_type", agent);
    let line = line.with_rounded("duration_ms", took.as_secs_f64() * 1000.0, 0);
    call.log(line.with("tokens", tokens).often());
}

async fn book_ride(call: &Call) {
    let kind = RideType::draw(call.dice);
    if call.dice.chance("changes mind", 0.03) {
        call.business().track_ride_request(kind.as_str(), RideStatus::Cancelled);
        let line = Line::info("ride_cancelled", "the passenger changed their mind");
        call.log(line.with("service_type", kind.as_str()));
        return;
    }
    call.business().track_ride_request(kind.as_str(), RideStatus::Pending);
    call.log(Line::info("ride_requested", "ride requested").with("service_type", kind.as_str()));
    call.query("insert", "rides").await;
    let request = RideRequest { kind };
    let decision: Option<Decision> =
        call.post(Service::Ranking, "/rankings", &request).await.and_then(|answer| answer.json());
    let accepted = decision.is_some_and(|decision| decision.accepted);
    if accepted {
        call.post(Service::Simulator, "/rides", &request).await;
    }
    notify(call, if accepted { "interactive" } else { "text" }).await;
}

async fn notify(call: &Call, message_type: &str) {
    call.post(Service::Notification, "/notifications", &Notice::of(message_type)).await;
}
