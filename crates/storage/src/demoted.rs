//! Labels that are stored as structured metadata, since they have too many values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::Arc,
};

use parking_lot::RwLock;
use reba_model::Tenant;

/// Names of labels by tenant.
pub type NamesByTenant = BTreeMap<Tenant, Arc<BTreeSet<String>>>;

/// Writes the names down, so that they are known after a restart.
pub type SaveNames = Box<dyn Fn(&NamesByTenant) -> io::Result<()> + Send + Sync>;

/// Which labels are stored as structured metadata, by tenant: who takes in entries adds names, and who answers queries looks in
/// the metadata for them.
#[derive(Default)]
pub struct DemotedLabels {
    names: RwLock<NamesByTenant>,
    save: Option<SaveNames>,
}

impl DemotedLabels {
    /// Begins with the names that were written down. `save` is called with all names before a new one is in force.
    pub fn new(names: NamesByTenant, save: SaveNames) -> Self {
        DemotedLabels { names: RwLock::new(names), save: Some(save) }
    }

    /// The names of a tenant.
    pub fn of(&self, tenant: &Tenant) -> Arc<BTreeSet<String>> {
        self.names.read().get(tenant).cloned().unwrap_or_default()
    }

    /// Adds a name; whether it was not there yet.
    ///
    /// # Errors
    /// If it could not be written down. Then it is not added.
    pub fn add(&self, tenant: &Tenant, name: &str) -> io::Result<bool> {
        let mut names = self.names.write();
        let own = names.get(tenant).cloned().unwrap_or_default();
        if own.contains(name) {
            return Ok(false);
        }
        let mut more = BTreeSet::clone(&own);
        more.insert(name.to_owned());
        let mut all = names.clone();
        all.insert(tenant.clone(), Arc::new(more));
        if let Some(save) = &self.save {
            save(&all)?;
        }
        *names = all;
        Ok(true)
    }
}

impl fmt::Debug for DemotedLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemotedLabels").field("names", &*self.names.read()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_written_down_is_not_added() {
        let tenant = Tenant::single();
        let full = |names: &NamesByTenant| match names.values().map(|n| n.len()).sum::<usize>() {
            0 | 1 => Ok(()),
            _ => Err(io::Error::other("full")),
        };
        let labels = DemotedLabels::new(BTreeMap::new(), Box::new(full));
        assert!(labels.add(&tenant, "a").unwrap() && !labels.add(&tenant, "a").unwrap());
        assert!(labels.add(&tenant, "b").is_err());
        assert_eq!(labels.of(&tenant).iter().collect::<Vec<_>>(), ["a"]);
        assert!(labels.of(&Tenant::new("x").unwrap()).is_empty());
    }
}
