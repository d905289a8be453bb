//! The file with the names of labels that are stored as structured metadata (`docs/format/demoted-labels.md`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use reba_model::Tenant;
use reba_storage::{DemotedLabels, NamesByTenant};
use serde::{Deserialize, Serialize};

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    version: u32,
    tenants: BTreeMap<String, BTreeSet<String>>,
}

const VERSION: u32 = 1;

/// The names in the file at `path`, if there is one; new names are written to it before they are in force.
///
/// # Errors
/// If the file is there and cannot be read: the names would be lost with the next one that is added.
pub fn open(path: PathBuf) -> io::Result<Arc<DemotedLabels>> {
    let names = match fs::read(&path) {
        Ok(text) => read(&text)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => NamesByTenant::new(),
        Err(e) => return Err(e),
    };
    Ok(Arc::new(DemotedLabels::new(names, Box::new(move |names| save(&path, names)))))
}

fn read(text: &[u8]) -> io::Result<NamesByTenant> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let file: File = serde_json::from_slice(text)?;
    if file.version != VERSION {
        return Err(invalid(format!("version {} is not known", file.version)));
    }
    let tenant = |(name, names): (String, BTreeSet<String>)| {
        let tenant = Tenant::new(&name).map_err(|e| invalid(e.to_string()))?;
        Ok((tenant, Arc::new(names)))
    };
    file.tenants.into_iter().map(tenant).collect()
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
fn save(path: &Path, names: &NamesByTenant) -> io::Result<()> {
    let tenants = names.iter().map(|(tenant, names)| (tenant.to_string(), BTreeSet::clone(names))).collect();
    let text = serde_json::to_vec(&File { version: VERSION, tenants })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension("tmp");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demoted.json");
        let tenant = Tenant::single();
        let labels = open(path.clone()).unwrap();
        assert!(labels.add(&tenant, "trace_id").unwrap() && labels.add(&tenant, "user_id").unwrap());
        let again = open(path.clone()).unwrap();
        assert_eq!(again.of(&tenant), labels.of(&tenant));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            r#"{"version":1,"tenants":{"fake":["trace_id","user_id"]}}"#
        );
        for text in ["", "{}", r#"{"version":2,"tenants":{}}"#, r#"{"version":1,"tenants":{"..":[]}}"#] {
            fs::write(&path, text).unwrap();
            assert!(open(path.clone()).is_err(), "{text}");
        }
    }
}
