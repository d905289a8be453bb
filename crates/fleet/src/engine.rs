//! The engine: carries out the plan, ends rides that are due, and lets the gauges follow the time of day.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use easymo_commons::{IdGenerator, TraceContext};
use tokio::{sync::Semaphore, time::MissedTickBehavior};

use crate::{
    Event, EventKind, FleetConfig, Incident, Plan, Service,
    clock::busyness,
    dice::{Dice, mix},
    fleet,
    logs::Line,
    node::{Node, World},
    process::Strain,
    rides::DueRide,
    routes::{Incoming, Topic},
};

/// Events under way at once. Above it the plan waits: a fleet that cannot keep up falls behind, it does not drown.
const UNDER_WAY: usize = 512;
/// How many users of each kind are active at mean busyness, and the service that knows.
const USERS: [(Service, &str, f64); 4] = [
    (Service::AgentCore, "passenger", 2_400.0),
    (Service::Simulator, "driver", 620.0),
    (Service::Vendor, "vendor", 140.0),
    (Service::Buyer, "buyer", 900.0),
];
/// How many agents of each kind are at work at mean busyness, and where.
const AGENTS: [(Service, &str, f64); 4] = [
    (Service::AgentCore, "booking", 9.0),
    (Service::AgentCore, "sales", 5.0),
    (Service::AgentCore, "support", 4.0),
    (Service::VoiceBridge, "voice", 6.0),
];

/// A process under strain complains every so many ticks.
const COMPLAIN_EVERY: u64 = 10;

/// Carries out the plan until the fleet stops.
pub(crate) struct Engine {
    world: Arc<World>,
    /// In the order of [`Service::ALL`].
    nodes: Vec<Arc<Node>>,
    start: SystemTime,
    ids: IdGenerator,
    ticks: u64,
    /// Real time at the last tick.
    ticked: Duration,
}

impl Engine {
    pub(crate) fn new(world: Arc<World>, nodes: Vec<Arc<Node>>, config: &FleetConfig) -> Self {
        let ids = fleet::ids(config, nodes.len() as u64);
        Self { world, nodes, start: config.start, ids, ticks: 0, ticked: Duration::ZERO }
    }

    pub(crate) async fn run(mut self, plan: Plan, speed: f64) {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        let mut ticks = tokio::time::interval(Duration::from_secs_f64((1.0 / speed).clamp(0.1, 1.0)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = self.world.stop.clone();
        for event in plan {
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => self.tick(),
                    () = tokio::time::sleep(self.world.clock.until(event.at)) => break,
                }
            }
            let permit = tokio::select! {
                () = stop.cancelled() => return,
                permit = under_way.clone().acquire_owned() => permit,
            };
            let (world, trace) = (self.world.clone(), self.trace(Dice::new(event.dice)));
            self.world.spawn(async move {
                carry_out(&world, &trace, event).await;
                drop(permit);
            });
        }
    }

    /// A new trace that carries these dice.
    fn trace(&self, dice: Dice) -> TraceContext {
        TraceContext::root(&self.ids).with_tracestate(&dice.tracestate())
    }

    fn tick(&mut self) {
        let (now, real) = (self.world.clock.now(), self.world.clock.on_the_wall());
        let passed = real.saturating_sub(self.ticked);
        (self.ticks, self.ticked) = (self.ticks + 1, real);
        let busy = busyness(self.start + now);
        for node in &self.nodes {
            node.database.report(&self.world, node.service, node.business());
            let leaking = self.world.incidents.strikes(Incident::MemoryLeak, node.service);
            let strain = Strain {
                leaking: leaking.map(|since| now.saturating_sub(since)),
                burning: self.world.incidents.strikes(Incident::CpuBurn, node.service).is_some(),
                busyness: busy,
            };
            node.process.advance(passed, self.ticks, strain);
            if self.ticks.is_multiple_of(COMPLAIN_EVERY) {
                complain(node, strain);
            }
        }
        self.follow_the_day(busy);
        let due = self.world.rides.lock().due(now);
        for DueRide { id, ride, attempt } in due {
            let dice = ride.dice.for_asker(&format!("end, attempt {attempt}"));
            let (world, trace) = (self.world.clone(), self.trace(dice));
            self.world.spawn(async move {
                world.caller.post(&trace, Service::Simulator, &format!("/rides/{id}/complete"), &()).await;
            });
        }
    }

    /// Users come and go with the time of day, and agents with them.
    fn follow_the_day(&self, busy: f64) {
        let dice = Dice::new(mix(self.ticks));
        for (service, user_type, mean) in USERS {
            let active = mean * busy * (0.97 + 0.06 * dice.roll(user_type));
            let business = self.nodes[service.index()].business();
            business.set_active_users(user_type, active as usize);
            business.set_user_sessions(user_type, (active * 1.15) as usize);
        }
        for (service, agent_type, mean) in AGENTS {
            let online = (mean * busy.sqrt()).ceil() as usize;
            self.nodes[service.index()].business().set_agents_online(agent_type, online);
        }
    }
}

/// What a process under strain notices of it.
fn complain(node: &Node, strain: Strain) {
    if let Some(since) = strain.leaking {
        let line = Line::warn("heap_high", "heap grows: the last full collection freed next to nothing");
        node.log(line.with("growing_seconds", since.as_secs()));
    }
    if strain.burning {
        node.log(Line::warn("event_loop_lag", "event loop is blocked").with("lag_ms", 340));
    }
}

/// Does what somebody outside wants. An event whose service is down is lost, as it would be for them.
async fn carry_out(world: &World, trace: &TraceContext, event: Event) {
    let dice = Dice::new(event.dice);
    let post = async |service, path: &str| world.caller.post(trace, service, path, &()).await;
    let get = async |service, path: &str| world.caller.get(trace, service, path).await;
    let write = async |topic| {
        world.caller.post(trace, Service::Message, "/webhooks/whatsapp", &Incoming { topic }).await
    };
    match event.kind {
        EventKind::RideByWhatsApp => write(Topic::Ride).await,
        EventKind::Chat => write(Topic::Chat).await,
        EventKind::SupportRequest => write(Topic::Support).await,
        EventKind::RideByVoice => post(Service::VoiceBridge, "/calls").await,
        EventKind::Browse => get(Service::Buyer, "/catalog").await,
        EventKind::Order => post(Service::Buyer, "/orders").await,
        EventKind::InsuranceQuote => post(Service::Insurance, "/quotes").await,
        EventKind::InsurancePolicy => post(Service::Insurance, "/policies").await,
        EventKind::TopUp => post(Service::Wallet, "/topups").await,
        EventKind::Balance => get(Service::Wallet, &format!("/wallets/{}", event.dice % 100_000)).await,
        EventKind::AdminView => get(Service::AdminApp, "/api/dashboard").await,
        EventKind::Signup => match dice.roll("user type") {
            ..0.55 => post(Service::AgentCore, "/users").await,
            0.55..0.75 => post(Service::Buyer, "/buyers").await,
            0.75..0.90 => post(Service::Simulator, "/drivers").await,
            _ => post(Service::Vendor, "/vendors").await,
        },
    };
}
