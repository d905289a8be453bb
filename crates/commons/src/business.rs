//! What EasyMO does, in numbers: one typed method an event, so that no caller spells a metric or label name.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    clock::Clock,
    counter::TraceLabels,
    family::{Counters, Gauges, Histograms, trace_labels},
    labels::{PaymentMethod, QueryType, RejectReason, RideStatus},
    registry::Registrar,
    trace::TraceContext,
};

const RIDE_SECONDS: &[f64] = &[60.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0];
const PAYMENT_USD: &[f64] = &[1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const QUERY_SECONDS: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0];
const AGENT_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentOutcome<'a> {
    /// The money moved.
    Success,
    /// The provider has not answered yet.
    Pending,
    /// The money did not move, and why, in the provider's words.
    Failed {
        /// Such as `insufficient_funds`; a small set.
        error_code: &'a str,
    },
}

/// What became of a WhatsApp message. A message sent is counted as `Sent`, and again as what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus<'a> {
    /// A customer wrote to us.
    Received,
    /// Handed over to WhatsApp.
    Sent,
    /// Reached the customer's telephone.
    Delivered,
    /// The customer opened it.
    Read,
    /// Could not be delivered, and WhatsApp's error code.
    Failed {
        /// Such as `131026`; a small set.
        error_code: &'a str,
    },
}

/// What a database query did, and to which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbQuery<'a> {
    /// What it did.
    pub query_type: QueryType,
    /// The table's name.
    pub table: &'a str,
}

/// The business metrics of one service. Clones share their counts. What is tracked while a span is active
/// ([`TraceContext::current`]) carries it as its exemplar.
#[derive(Clone, Debug)]
pub struct BusinessMetrics {
    families: Arc<Families>,
    clock: Clock,
    trace: Option<TraceContext>,
}

#[derive(Debug)]
struct Families {
    ride_requests: Counters<2>,
    rides_accepted: Counters<1>,
    rides_rejected: Counters<2>,
    ride_duration: Histograms<1>,
    active_rides: Gauges<1>,
    payments: Counters<2>,
    payment_amount: Histograms<1>,
    payment_failures: Counters<2>,
    messages: Counters<2>,
    delivery_failures: Counters<1>,
    db_connections: Gauges<1>,
    db_queries: Histograms<2>,
    db_errors: Counters<1>,
    signups: Counters<1>,
    active_users: Gauges<1>,
    user_sessions: Gauges<1>,
    agents_online: Gauges<1>,
    agent_response: Histograms<1>,
}

impl Families {
    fn register(r: &mut Registrar) -> Self {
        Self {
            ride_requests: r.counter("ride_requests", "Ride requests", ["status", "service_type"]),
            rides_accepted: r.counter("ride_requests_accepted", "Rides that a driver took", ["service_type"]),
            rides_rejected: r.counter(
                "ride_requests_rejected",
                "Rides that nobody took",
                ["service_type", "reason"],
            ),
            ride_duration: r.histogram(
                "ride_duration_seconds",
                "How long rides took",
                ["service_type"],
                RIDE_SECONDS,
            ),
            active_rides: r.gauge("active_rides", "Rides under way", ["service_type"]),
            payments: r.counter("payment_transactions", "Payments", ["status", "payment_method"]),
            payment_amount: r.histogram(
                "payment_amount_usd",
                "Amounts of successful payments, in US dollars",
                ["payment_method"],
                PAYMENT_USD,
            ),
            payment_failures: r.counter(
                "payment_failures",
                "Payments that failed",
                ["payment_method", "error_code"],
            ),
            messages: r.counter("whatsapp_messages", "WhatsApp messages", ["status", "message_type"]),
            delivery_failures: r.counter(
                "whatsapp_delivery_failures",
                "WhatsApp messages that could not be delivered",
                ["error_code"],
            ),
            db_connections: r.gauge("db_connections_active", "Database connections in use", ["database"]),
            db_queries: r.histogram(
                "db_query_duration_seconds",
                "How long database queries took",
                ["query_type", "table"],
                QUERY_SECONDS,
            ),
            db_errors: r.counter("db_errors", "Database queries that failed", ["error_type"]),
            signups: r.counter("user_signups", "New users", ["user_type"]),
            active_users: r.gauge("active_users", "Users active now", ["user_type"]),
            user_sessions: r.gauge("user_sessions", "Sessions open now", ["user_type"]),
            agents_online: r.gauge("agents_online", "AI agents that take conversations", ["agent_type"]),
            agent_response: r.histogram(
                "agent_response_time_seconds",
                "How long agents took to answer",
                ["agent_type"],
                AGENT_SECONDS,
            ),
        }
    }
}

impl BusinessMetrics {
    pub(crate) fn register(registry: &mut Registrar, clock: Clock) -> Self {
        Self { families: Arc::new(Families::register(registry)), clock, trace: None }
    }

    /// The same metrics; what is tracked through it carries `trace` as its exemplar, whichever span is active.
    pub fn traced(&self, trace: &TraceContext) -> Self {
        Self { trace: Some(trace.clone()), ..self.clone() }
    }

    /// Counts a ride request.
    pub fn track_ride_request(&self, service_type: &str, status: RideStatus) {
        self.count(&self.families.ride_requests, [status.as_str(), service_type]);
    }

    /// Counts a ride that a driver took.
    pub fn track_ride_accepted(&self, service_type: &str) {
        self.count(&self.families.rides_accepted, [service_type]);
    }

    /// Counts a ride that nobody took.
    pub fn track_ride_rejected(&self, service_type: &str, reason: RejectReason) {
        self.count(&self.families.rides_rejected, [service_type, reason.as_str()]);
    }

    /// Counts a ride as under way.
    pub fn ride_started(&self, service_type: &str) {
        self.families.active_rides.add([service_type], 1.0);
    }

    /// Takes a ride off those under way and records how long it took.
    pub fn ride_completed(&self, service_type: &str, took: Duration) {
        self.families.active_rides.add([service_type], -1.0);
        self.observe(&self.families.ride_duration, [service_type], took.as_secs_f64());
    }

    /// Counts a payment. A failure raises both counters; only a success counts into the amounts, so that their sum
    /// is the money that moved.
    pub fn track_payment(&self, payment_method: PaymentMethod, amount_usd: f64, outcome: PaymentOutcome<'_>) {
        let families = &self.families;
        let payment_method = payment_method.as_str();
        let status = match outcome {
            PaymentOutcome::Success => {
                self.observe(&families.payment_amount, [payment_method], amount_usd);
                "success"
            }
            PaymentOutcome::Pending => "pending",
            PaymentOutcome::Failed { error_code } => {
                self.count(&families.payment_failures, [payment_method, error_code]);
                "failed"
            }
        };
        self.count(&families.payments, [status, payment_method]);
    }

    /// Counts a WhatsApp message. A failure raises both counters.
    pub fn track_whatsapp_message(&self, message_type: &str, status: MessageStatus<'_>) {
        let status = match status {
            MessageStatus::Received => "received",
            MessageStatus::Sent => "sent",
            MessageStatus::Delivered => "delivered",
            MessageStatus::Read => "read",
            MessageStatus::Failed { error_code } => {
                self.count(&self.families.delivery_failures, [error_code]);
                "failed"
            }
        };
        self.count(&self.families.messages, [status, message_type]);
    }

    /// Sets how many connections to `database` are in use.
    pub fn set_db_connections(&self, database: &str, connections: usize) {
        self.families.db_connections.set([database], connections as f64);
    }

    /// Records how long a query took.
    pub fn track_db_query(&self, query: DbQuery<'_>, took: Duration) {
        self.observe(&self.families.db_queries, [query.query_type.as_str(), query.table], took.as_secs_f64());
    }

    /// Counts a failed query, `error_type` being `timeout`, `deadlock`, `pool_timeout` and the like.
    pub fn track_db_error(&self, error_type: &str) {
        self.count(&self.families.db_errors, [error_type]);
    }

    /// Counts a new user.
    pub fn track_signup(&self, user_type: &str) {
        self.count(&self.families.signups, [user_type]);
    }

    /// Sets how many users are active.
    pub fn set_active_users(&self, user_type: &str, users: usize) {
        self.families.active_users.set([user_type], users as f64);
    }

    /// Sets how many sessions are open.
    pub fn set_user_sessions(&self, user_type: &str, sessions: usize) {
        self.families.user_sessions.set([user_type], sessions as f64);
    }

    /// Sets how many agents take conversations.
    pub fn set_agents_online(&self, agent_type: &str, agents: usize) {
        self.families.agents_online.set([agent_type], agents as f64);
    }

    /// Records how long an agent took to answer.
    pub fn track_agent_response(&self, agent_type: &str, took: Duration) {
        self.observe(&self.families.agent_response, [agent_type], took.as_secs_f64());
    }

    fn count<const N: usize>(&self, family: &Counters<N>, values: [&str; N]) {
        family.inc_traced(values, self.exemplar());
    }

    fn observe<const N: usize>(&self, family: &Histograms<N>, values: [&str; N], value: f64) {
        family.observe_traced(values, value, self.exemplar());
    }

    fn exemplar(&self) -> Option<(TraceLabels, SystemTime)> {
        let labels = match &self.trace {
            Some(trace) => trace_labels(trace),
            None => TraceContext::current().as_ref().and_then(trace_labels),
        };
        labels.map(|labels| (labels, self.clock.wall()))
    }
}
