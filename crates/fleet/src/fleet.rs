//! Starting and stopping the whole.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use easymo_commons::{Clock, IdGenerator, MetricsRegistry};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    FleetConfig, FleetError, IncidentControl, Plan, Service,
    caller::Caller,
    clock::SimClock,
    control::{self, Supervisor},
    database::Database,
    dice::{Dice, mix},
    engine::Engine,
    host::Host,
    incident::Board,
    logs::{Line, LogThread, Logs},
    node::{Node, World},
    process::SimProcess,
    rides::{MEAN_DURATION, Ride, RideType},
    routes,
    traces::Traces,
};

/// The mean share of ride requests that become rides.
const BECOME_RIDES: f64 = 0.86;

/// Where a service can be scraped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Its name.
    pub service: &'static str,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The path of its metrics.
    pub metrics_path: &'static str,
}

/// The simulated services.
#[derive(Debug)]
pub struct Fleet;

/// A fleet that runs. Dropping it stops everything soon; [`FleetHandle::shutdown`] also waits.
#[derive(Debug)]
pub struct FleetHandle {
    endpoints: Arc<[Endpoint]>,
    control_addr: SocketAddr,
    incidents: IncidentControl,
    tasks: TaskTracker,
    supervisor: JoinHandle<()>,
    control: Host,
    logs: Option<LogThread>,
    stop: DropGuard,
}

impl Fleet {
    /// Starts all services, the control server and the engine. Once it returns, every service listens.
    pub async fn start(config: FleetConfig) -> Result<FleetHandle, FleetError> {
        config.check()?;
        let mut listeners = Vec::with_capacity(Service::ALL.len());
        for service in Service::ALL {
            listeners.push(bind(service.name(), config.addressing.of(service)?).await?);
        }
        let (control_listener, control_addr) = bind("control", config.addressing.control()?).await?;
        let directory: Arc<[SocketAddr]> = listeners.iter().map(|(_, addr)| *addr).collect();

        let (logs, log_thread) = start_logs(&config)?.unzip();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let traces = config.traces.clone().map(|url| {
            let (traces, sending) = Traces::start(url, config.environment.clone(), stop.clone());
            tasks.spawn(sending);
            traces
        });
        let world = Arc::new(World {
            clock: SimClock::starting_now(config.speed),
            incidents: Arc::new(Board::default()),
            caller: Caller::new(directory.clone()),
            rides: Mutex::default(),
            tasks,
            stop,
            logs,
            traces,
        });
        let nodes: Vec<Arc<Node>> =
            Service::ALL.into_iter().map(|s| Arc::new(node(s, &config, &world))).collect();
        let plan = Plan::new(config.seed, config.start, config.rate);
        begin_rides(&world, &nodes[Service::Simulator.index()], &plan, config.seed);

        let serve = |listener, addr, router| Host::serve(listener, addr, router, world.stop.clone());
        let hosts = listeners.into_iter().zip(&nodes);
        let hosts =
            hosts.map(|((listener, addr), node)| serve(listener, addr, routes::router(node))).collect();
        let (supervisor, incidents) =
            Supervisor::new(hosts, world.incidents.clone(), world.clock, world.logs.clone());
        let endpoints: Arc<[Endpoint]> = Service::ALL.into_iter().map(|s| endpoint(s, &directory)).collect();
        let control_router = control::router(incidents.clone(), endpoints.clone());
        let supervisor = tokio::spawn(supervisor.run(world.stop.clone()));
        for (node, endpoint) in nodes.iter().zip(&*endpoints) {
            let line = Line::info("server_started", format!("listening on {}", endpoint.addr));
            node.log(line.with("port", endpoint.addr.port()));
        }
        let engine = Engine::new(world.clone(), nodes, &config);
        world.tasks.spawn(engine.run(plan, config.speed));
        Ok(FleetHandle {
            endpoints,
            control_addr,
            incidents,
            tasks: world.tasks.clone(),
            supervisor,
            control: serve(control_listener, control_addr, control_router),
            logs: log_thread,
            stop: world.stop.clone().drop_guard(),
        })
    }
}

impl FleetHandle {
    /// Where every service can be scraped, in the order of [`Service::ALL`].
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Where the control server listens.
    pub fn control_addr(&self) -> SocketAddr {
        self.control_addr
    }

    /// The incidents.
    pub fn incidents(&self) -> &IncidentControl {
        &self.incidents
    }

    /// Stops everything and waits until all of it has ended.
    pub async fn shutdown(mut self) {
        drop(self.stop);
        self.control.down().await;
        // A supervisor that panicked has nothing left to stop.
        drop(self.supervisor.await);
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(logs) = self.logs {
            // The thread ends by itself if this task was not run.
            drop(tokio::task::spawn_blocking(|| logs.finish()).await);
        }
    }
}

fn start_logs(config: &FleetConfig) -> Result<Option<(Logs, LogThread)>, FleetError> {
    let Some(files) = &config.logs else { return Ok(None) };
    let started = Logs::start(files, &config.environment, config.seed, config.speed);
    started.map(Some).map_err(|source| FleetError::Logs { dir: files.dir.clone(), source })
}

async fn bind(name: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), FleetError> {
    let bound = TcpListener::bind(addr).await.and_then(|listener| {
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    });
    bound.map_err(|source| FleetError::Bind { name, addr, source })
}

fn endpoint(service: Service, directory: &[SocketAddr]) -> Endpoint {
    Endpoint {
        service: service.name(),
        addr: directory[service.index()],
        metrics_path: service.metrics_path(),
    }
}

fn node(service: Service, config: &FleetConfig, world: &Arc<World>) -> Node {
    let process = SimProcess::new(service, config.seed, unix_seconds(SystemTime::now()));
    let clock = world.clock;
    let latencies = Clock::new(SystemTime::now, move || clock.on_the_wall().mul_f64(clock.pace()));
    let metrics = MetricsRegistry::builder(service.name(), &config.environment)
        .clock(latencies)
        .ids(ids(config, service.index() as u64))
        .process(process.reader())
        .build();
    Node { service, metrics, database: Database::default(), process, world: world.clone() }
}

/// Ids that repeat for the same seed and start only, so that traces of two runs are not taken for one.
pub(crate) fn ids(config: &FleetConfig, who: u64) -> IdGenerator {
    let start = config.start.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    IdGenerator::seeded(mix(mix(config.seed ^ start).wrapping_add(who)))
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Puts as many rides on the road as there would be had the fleet run all day (Little's law), each somewhere on its
/// way, so that rides end and are paid from the first minute on.
fn begin_rides(world: &World, simulator: &Node, plan: &Plan, seed: u64) {
    let under_way = (plan.rides_per_second() * BECOME_RIDES * MEAN_DURATION.as_secs_f64()) as u64;
    let mut rides = world.rides.lock();
    for n in 0..under_way {
        let dice = Dice::new(mix(seed).wrapping_add(n)).for_asker("before the start");
        let ride = Ride::draw(RideType::draw(dice), dice);
        rides.start(ride, ride.duration.mul_f64(dice.roll("left")));
        simulator.business().ride_started(ride.kind.as_str());
    }
}
