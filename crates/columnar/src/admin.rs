//! The store as its administrator sees it.

use reba_model::{Matcher, NanoRange, Tenant};
use reba_storage::{AdminError, LogAdmin, RowFilter};

use crate::Columnar;

impl LogAdmin for Columnar {
    fn delete_logs(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: NanoRange,
        doomed: Option<&RowFilter>,
    ) -> Result<u64, AdminError> {
        Ok(self.delete(tenant, matchers, range, doomed)?)
    }

    fn flush_logs(&self) -> Result<(), AdminError> {
        Ok(self.flush_all()?)
    }
}
