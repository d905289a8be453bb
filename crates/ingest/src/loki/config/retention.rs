//! How long entries are kept: what the compactor, the table manager and the limits say of it, together.

use std::{collections::BTreeMap, path::Path, time::Duration};

use reba_model::Tenant;

use super::{LokiConfig, Span, StreamRetention, Warning, limits::Limits};

/// How long the entries of one tenant are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPeriods {
    /// Those that no rule is about; `None` is for ever.
    pub keep: Option<Duration>,
    /// Rules about streams.
    pub streams: Vec<StreamRetention>,
}

/// How long all entries are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Those of tenants without limits of their own.
    pub others: RetentionPeriods,
    /// Those of the others.
    pub tenants: BTreeMap<Tenant, RetentionPeriods>,
}

impl LokiConfig {
    /// How long what is kept. The compactor's retention counts; where it is off, or says no time, that of the table manager, which
    /// upstream does not run beside the stores of today: its users believe that it deletes.
    pub fn retention(&self) -> RetentionPlan {
        let tenants = self.overrides.iter().map(|(tenant, limits)| (tenant.clone(), self.periods(limits)));
        RetentionPlan { others: self.periods(&self.limits), tenants: tenants.collect() }
    }

    fn periods(&self, limits: &Limits) -> RetentionPeriods {
        let some = |span: Span| (!span.is_zero()).then_some(span.as_std());
        let table = self.table_manager_period().and_then(some);
        if self.compactor.retention_enabled {
            let keep = some(limits.retention_period).or(table);
            RetentionPeriods { keep, streams: limits.retention_stream.clone() }
        } else {
            RetentionPeriods { keep: table, streams: Vec::new() }
        }
    }

    fn table_manager_period(&self) -> Option<Span> {
        let table = &self.table_manager;
        (table.retention_deletes_enabled && !table.retention_period.is_zero())
            .then_some(table.retention_period)
    }

    /// Says so if the table manager's period is used, or if the limits name one that is not.
    pub(super) fn retention_warning(&self, file: &Path) -> Option<Warning> {
        let unset = self.limits.retention_period.is_zero();
        let enabled = self.compactor.retention_enabled;
        let (key, reason) = match self.table_manager_period() {
            Some(period) if unset || !enabled => (
                "table_manager.retention_period",
                format!(
                    "logs are deleted after {period}; Loki would keep them for ever. Say so by compactor.retention_enabled and \
                     limits_config.retention_period"
                ),
            ),
            None if !enabled && !unset => (
                "limits_config.retention_period",
                "has no effect without compactor.retention_enabled: logs are kept for ever".to_owned(),
            ),
            _ => return None,
        };
        Some(Warning { place: format!("{}: key {key}", file.display()), reason, harmless: false })
    }
}
