//! The store as its administrator sees it.

use reba_model::{Matcher, TimeRange};
use reba_storage::{AdminError, MetricAdmin};

use crate::{Tsdb, TsdbError};

impl From<TsdbError> for AdminError {
    fn from(e: TsdbError) -> Self {
        AdminError(e.to_string())
    }
}

impl MetricAdmin for Tsdb {
    fn delete_series(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<(), AdminError> {
        Tsdb::delete_series(self, sets, range)?;
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), AdminError> {
        Ok(Tsdb::clean_tombstones(self)?)
    }

    fn snapshot(&self, name: &str, with_head: bool) -> Result<(), AdminError> {
        Ok(Tsdb::snapshot(self, name, with_head)?)
    }
}
