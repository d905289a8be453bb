//! The groups of one tenant: those of files, and those that were posted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{definition::GroupDefinition, folder::TenantFile};
use crate::{
    file::{RuleFile, RuleGroup},
    manager::RuleManager,
};

/// A group, ready to be evaluated and as it is written.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub rules: Arc<RuleGroup>,
    pub definition: GroupDefinition,
}

/// Groups in the order of their source.
pub(super) type Groups = Vec<Group>;

/// All that is known of a tenant's rules.
pub(super) struct TenantRules {
    pub manager: Arc<RuleManager>,
    /// Groups of rule files by namespace.
    pub files: BTreeMap<String, Groups>,
    /// Posted groups by namespace.
    pub posted: BTreeMap<String, Groups>,
    /// Whether the last reading of the files went well.
    pub reload_ok: bool,
    /// When the files were last read without a fault, Unix milliseconds.
    pub reloaded_ms: Option<i64>,
    /// How often the groups changed.
    pub updates: u64,
    /// What the manager evaluates.
    evaluated: Vec<RuleFile>,
}

impl TenantRules {
    pub fn new(manager: Arc<RuleManager>) -> Self {
        TenantRules {
            manager,
            files: BTreeMap::new(),
            posted: BTreeMap::new(),
            reload_ok: true,
            reloaded_ms: None,
            updates: 0,
            evaluated: Vec::new(),
        }
    }

    /// Every namespace with its groups. A group of a file hides a posted one of its name.
    pub fn namespaces(&self) -> BTreeMap<&str, Vec<&Group>> {
        let names: BTreeSet<&String> = self.files.keys().chain(self.posted.keys()).collect();
        let mut all = BTreeMap::new();
        for name in names {
            let mut groups: Vec<&Group> = self.files.get(name).into_iter().flatten().collect();
            for posted in self.posted.get(name).into_iter().flatten() {
                if !groups.iter().any(|g| g.definition.name == posted.definition.name) {
                    groups.push(posted);
                }
            }
            if !groups.is_empty() {
                all.insert(name.as_str(), groups);
            }
        }
        all
    }

    /// What the manager is to evaluate.
    pub fn rule_files(&self) -> Vec<RuleFile> {
        let of = |(name, groups): (&str, Vec<&Group>)| RuleFile {
            file: name.to_owned(),
            groups: groups.iter().map(|g| g.rules.clone()).collect(),
        };
        self.namespaces().into_iter().map(of).collect()
    }

    /// Notes what the manager evaluates now.
    pub fn applied(&mut self, files: Vec<RuleFile>) {
        self.updates += u64::from(files != self.evaluated);
        self.evaluated = files;
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.namespaces().values().map(Vec::len).sum()
    }

    /// Whether a group comes from a rule file.
    pub fn is_of_file(&self, namespace: &str, group: Option<&str>) -> bool {
        let groups = self.files.get(namespace);
        groups.is_some_and(|groups| group.is_none_or(|name| groups.iter().any(|g| g.definition.name == name)))
    }
}

/// The groups of a file with their definitions: both were read from the same text.
pub(super) fn groups_of_file(file: &TenantFile) -> Groups {
    let groups = file.rules.groups.iter().zip(&file.groups);
    groups.map(|(rules, definition)| Group { rules: rules.clone(), definition: definition.clone() }).collect()
}
