//! The groups that were posted to the ruler API, in a folder of our own (`docs/format/rule-groups.md`).

use std::collections::BTreeMap;

use reba_disk::{Dir, DiskError, Env};
use reba_model::Tenant;

use super::definition::{FileDefinition, GroupDefinition};

/// Ends the names of files.
const SUFFIX: &str = ".yml";

/// Longest name of a file, in bytes, its ending included: what every file system takes, with room for `.tmp`.
const MAX_FILE_NAME: usize = 250;

/// Groups by namespace.
pub(super) type Namespaces = BTreeMap<String, Vec<GroupDefinition>>;

/// Keeps groups on disk. Calls block.
#[derive(Debug)]
pub(super) struct GroupStore {
    root: Dir,
}

impl GroupStore {
    /// Opens the folder, made if it does not exist, and reads what it holds. A file that cannot be read is left out, with a
    /// line in the log, and stays.
    pub fn open(
        env: &Env,
        path: &std::path::Path,
    ) -> Result<(Self, BTreeMap<Tenant, Namespaces>), DiskError> {
        let root = env.dir(path)?;
        let mut tenants = BTreeMap::new();
        for entry in root.list()?.into_iter().filter(|e| e.is_dir) {
            let Ok(tenant) = Tenant::new(&entry.name) else { continue };
            let dir = root.existing(&entry.name);
            dir.remove_unfinished()?;
            let namespaces = read_tenant(&dir)?;
            if !namespaces.is_empty() {
                tenants.insert(tenant, namespaces);
            }
        }
        Ok((GroupStore { root }, tenants))
    }

    /// Whether a namespace of this name can be kept.
    pub fn takes(namespace: &str) -> bool {
        !namespace.is_empty() && file_name(namespace).len() <= MAX_FILE_NAME
    }

    /// Replaces the groups of a namespace, durably; without groups the namespace is gone.
    pub fn write(
        &self,
        tenant: &Tenant,
        namespace: &str,
        groups: &[GroupDefinition],
    ) -> Result<(), StoreError> {
        let dir = self.root.subdir(tenant.as_str())?;
        let name = file_name(namespace);
        if groups.is_empty() {
            match dir.remove_file(&name) {
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => return Ok(dir.sync()?),
            }
        }
        let file = FileDefinition { groups: groups.to_vec() };
        let text = file.to_yaml().map_err(StoreError::Yaml)?;
        Ok(dir.write_atomic(&name, text.as_bytes())?)
    }
}

/// Why groups could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no YAML for them.
    #[error("cannot write the groups as YAML: {0}")]
    Yaml(String),
}

fn read_tenant(dir: &Dir) -> Result<Namespaces, DiskError> {
    let mut namespaces = Namespaces::new();
    for entry in dir.list()?.into_iter().filter(|e| !e.is_dir) {
        let Some(namespace) = namespace_of(&entry.name) else { continue };
        let bytes = dir.read(&entry.name)?;
        let text = String::from_utf8(bytes).map_err(|e| e.to_string());
        match text.and_then(|text| FileDefinition::read(&text)) {
            Ok(file) => {
                namespaces.insert(namespace, file.groups);
            }
            Err(error) => {
                let path = dir.join(&entry.name);
                tracing::error!(path = %path.display(), %error, "kept rule groups cannot be read, they are left out");
            }
        }
    }
    Ok(namespaces)
}

/// The name of a namespace's file: what is no letter, digit, `_` or `-` is written as `%XX`, byte by byte.
fn file_name(namespace: &str) -> String {
    let mut name = String::with_capacity(namespace.len() + SUFFIX.len());
    for byte in namespace.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name.push_str(SUFFIX);
    name
}

/// The namespace of a file; `None` if [`file_name`] never gives such a name.
fn namespace_of(file: &str) -> Option<String> {
    let mut rest = file.strip_suffix(SUFFIX)?;
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(first) = rest.bytes().next() {
        if first == b'%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = &rest[3..];
        } else {
            bytes.push(first);
            rest = rest.get(1..)?;
        }
    }
    let namespace = String::from_utf8(bytes).ok()?;
    (!namespace.is_empty() && file_name(&namespace) == file).then_some(namespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_disk::FaultFs;

    use super::*;

    fn group(name: &str) -> GroupDefinition {
        GroupDefinition { name: name.to_owned(), ..GroupDefinition::default() }
    }

    proptest! {
        #[test]
        fn a_namespace_is_one_plain_name_and_comes_back(namespace in "\\PC{1,60}|[./%a\u{0}\\\\]{1,9}") {
            let name = file_name(&namespace);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-%.".contains(&b)), "{name}");
            prop_assert!(!name.starts_with('.'));
            prop_assert_eq!(namespace_of(&name), Some(namespace));
        }

        #[test]
        fn any_file_name_is_read_without_panic(name in "\\PC{0,20}|[%a-f0-9é]{0,9}\\.yml") {
            if let Some(namespace) = namespace_of(&name) {
                prop_assert_eq!(file_name(&namespace), name);
            }
        }
    }

    #[test]
    fn groups_survive_the_loss_of_power() {
        let disk = FaultFs::new();
        let env = Env { fs: std::sync::Arc::new(disk.clone()), ..Env::real() };
        let path = std::path::Path::new("/rules");
        let (store, empty) = GroupStore::open(&env, path).unwrap();
        assert!(empty.is_empty());
        let tenant = Tenant::single();
        store.write(&tenant, "../a", &[group("g"), group("h")]).unwrap();
        store.write(&tenant, "b", &[group("i")]).unwrap();
        store.write(&tenant, "b", &[]).unwrap();
        store.write(&tenant, "never there", &[]).unwrap();
        let after = Env { fs: std::sync::Arc::new(disk.power_loss(7)), ..Env::real() };
        let (_, tenants) = GroupStore::open(&after, path).unwrap();
        let expected = Namespaces::from([("../a".to_owned(), vec![group("g"), group("h")])]);
        assert_eq!(tenants, BTreeMap::from([(tenant, expected)]));
    }

    #[test]
    fn a_damaged_file_costs_its_own_namespace_only() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = GroupStore::open(&Env::real(), folder.path()).unwrap();
        store.write(&Tenant::single(), "good", &[group("g")]).unwrap();
        std::fs::write(folder.path().join("fake/bad.yml"), "groups: [").unwrap();
        std::fs::write(folder.path().join("fake/.hidden"), "x").unwrap();
        let (_, tenants) = GroupStore::open(&Env::real(), folder.path()).unwrap();
        assert_eq!(tenants[&Tenant::single()].keys().collect::<Vec<_>>(), ["good"]);
        assert!(folder.path().join("fake/bad.yml").exists());
    }
}
