//! A database that is not there: queries that take their time, and a pool that counts its connections.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use easymo_commons::{BusinessMetrics, DbQuery, QueryType};

use crate::{Incident, Service, dice::Dice, node::World};

/// Connections that a service keeps open whether it needs them or not.
const KEPT_OPEN: usize = 6;
/// An exhausted pool loses connections this fast, up to as many as the database lets a service have.
const LEAK_PER_SECOND: f64 = 3.0;
const LEAK_MOST: f64 = 88.0;

/// The pool of one service.
#[derive(Debug, Default)]
pub(crate) struct Database {
    in_use: AtomicUsize,
}

/// What became of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    /// The type of the error, if it went wrong.
    pub(crate) error: Option<&'static str>,
}

/// Gives a connection back, also when the request is dropped in the middle of its query.
struct Connection<'a>(&'a AtomicUsize);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Database {
    /// Runs a query of `service`.
    pub(crate) async fn query(
        &self,
        world: &World,
        service: Service,
        business: &BusinessMetrics,
        dice: Dice,
        query: DbQuery<'static>,
    ) -> Outcome {
        let dice = dice.for_asker(query.query_type.as_str()).for_asker(query.table);
        let exhausted = world.incidents.strikes(Incident::PoolExhaustion, service).is_some();
        if exhausted {
            world.clock.take(dice.time("wait for a connection", Duration::from_millis(60), 0.4)).await;
        }
        self.in_use.fetch_add(1, Ordering::Relaxed);
        let connection = Connection(&self.in_use);
        self.report(world, service, business);
        let took = Self::latency(world, service, dice, query.query_type);
        world.clock.take(took).await;
        drop(connection);
        business.track_db_query(query, took);
        let error = dice.chance("goes wrong", if exhausted { 0.10 } else { 0.002 }).then(|| {
            let usual = [("deadlock", 1.0), ("timeout", 2.0), ("connection_reset", 1.0)];
            if exhausted { "pool_timeout" } else { dice.pick("error", &usual) }
        });
        if let Some(error) = error {
            business.track_db_error(error);
        }
        Outcome { took, error }
    }

    /// Tells how many connections are in use.
    pub(crate) fn report(&self, world: &World, service: Service, business: &BusinessMetrics) {
        let leaked = world.incidents.strikes(Incident::PoolExhaustion, service).map_or(0, |since| {
            let seconds = world.clock.now().saturating_sub(since).as_secs_f64();
            (LEAK_PER_SECOND * seconds).min(LEAK_MOST) as usize
        });
        let connections = KEPT_OPEN + leaked + self.in_use.load(Ordering::Relaxed);
        business.set_db_connections(service.database(), connections);
    }

    fn latency(world: &World, service: Service, dice: Dice, query_type: QueryType) -> Duration {
        if world.incidents.strikes(Incident::SlowDatabase, service).is_some() {
            return dice.time("slow", Duration::from_millis(1_700), 0.25);
        }
        let usual = Duration::from_millis(if query_type == QueryType::Select { 4 } else { 7 });
        dice.time("usual", usual, 0.6)
    }
}
