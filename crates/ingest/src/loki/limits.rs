//! Which limits hold for whom, now.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use reba_model::Tenant;

pub use super::config::Limits;
use super::config::LokiConfig;

/// Most bytes of a push, compressed or not, unless the configuration says.
const MAX_PUSH_BYTES: usize = 100 << 20;

/// The limits in force. They change while requests run.
#[derive(Debug)]
pub struct TenantLimits(ArcSwap<InForce>);

/// What holds from one reload to the next.
#[derive(Debug)]
pub(super) struct InForce {
    others: Arc<Limits>,
    tenants: BTreeMap<Tenant, Arc<Limits>>,
    /// Counts the reloads: what was made by the limits of another one is not used any more.
    pub(super) generation: u64,
    /// Most bytes of a push, compressed or not.
    pub(super) max_push_bytes: usize,
    /// Most faults that an answer names.
    pub(super) max_returned_errors: usize,
    /// After so many nanoseconds without entries a stream is not active any more.
    pub(super) idle_ns: i64,
    /// Resource attributes that are labels of streams by default.
    pub(super) indexed_attributes: Vec<String>,
}

impl TenantLimits {
    /// The limits of a configuration.
    pub fn new(config: &LokiConfig) -> Self {
        TenantLimits(ArcSwap::from_pointee(InForce::new(config, 0)))
    }

    /// Makes the limits of `config` those in force.
    pub fn apply(&self, config: &LokiConfig) {
        self.0.rcu(|before| InForce::new(config, before.generation + 1));
    }

    /// The limits of a tenant.
    pub fn of(&self, tenant: &Tenant) -> Arc<Limits> {
        self.0.load().of(tenant)
    }

    /// The limits of tenants that have none of their own.
    pub fn others(&self) -> Arc<Limits> {
        Arc::clone(&self.0.load().others)
    }

    /// Tenants that have limits of their own, and these.
    pub fn tenants(&self) -> BTreeMap<Tenant, Arc<Limits>> {
        self.0.load().tenants.clone()
    }

    /// Most bytes that the body of a push may have, compressed or not.
    pub fn max_push_bytes(&self) -> usize {
        self.0.load().max_push_bytes
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        self.0.load_full()
    }
}

impl Default for TenantLimits {
    fn default() -> Self {
        TenantLimits::new(&LokiConfig::default())
    }
}

impl InForce {
    fn new(config: &LokiConfig, generation: u64) -> Self {
        let own = |(tenant, limits): (&Tenant, &Limits)| (tenant.clone(), Arc::new(limits.clone()));
        let indexed = &config.distributor.otlp_config.default_resource_attributes_as_index_labels;
        InForce {
            others: Arc::new(config.limits.clone()),
            tenants: config.overrides.iter().map(own).collect(),
            generation,
            max_push_bytes: config.server.grpc_server_max_recv_msg_size.map_or(MAX_PUSH_BYTES, |s| s.bytes()),
            max_returned_errors: config.ingester.max_returned_stream_errors,
            idle_ns: config.ingester.chunk_idle_period.as_ns(),
            indexed_attributes: indexed.clone(),
        }
    }

    pub(super) fn of(&self, tenant: &Tenant) -> Arc<Limits> {
        Arc::clone(self.tenants.get(tenant).unwrap_or(&self.others))
    }
}
