//! The folder of rule files: `DIR/TENANT/NAME.yml`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use reba_config::Variables;
use reba_model::Tenant;

use super::definition::{FileDefinition, GroupDefinition};
use crate::file::{FileOptions, RuleError, RuleFile};

/// A rule file of a tenant. Its namespace is the file's name, which also is the name in `rules`.
#[derive(Clone, Debug)]
pub struct TenantFile {
    /// Whose rules these are.
    pub tenant: Tenant,
    /// The file's name.
    pub namespace: String,
    /// The rules.
    pub rules: RuleFile,
    /// The groups as they are written.
    pub groups: Vec<GroupDefinition>,
}

/// What a folder of rule files holds.
#[derive(Clone, Debug, Default)]
pub struct RuleFolder {
    /// The files that are right, by tenant and name.
    pub files: Vec<TenantFile>,
    /// What is wrong with the others, with file, line and column.
    pub errors: Vec<RuleError>,
    /// What is not wrong but hardly meant.
    pub warnings: Vec<String>,
    /// Tenant and namespace of files that are wrong.
    pub wrong: BTreeSet<(Tenant, String)>,
    /// Tenants whose folders could not be read.
    pub unread: BTreeSet<Tenant>,
    /// Whether the folder itself could not be read: then nothing is known of any tenant.
    pub unreadable: bool,
}

impl RuleFolder {
    /// Whether what a file held before goes on, though it is not in `files`.
    pub(super) fn keeps(&self, tenant: &Tenant, namespace: &str) -> bool {
        self.unreadable
            || self.unread.contains(tenant)
            || self.wrong.contains(&(tenant.clone(), namespace.to_owned()))
    }

    /// Whether nothing of a tenant is wrong.
    pub(super) fn is_right(&self, tenant: &Tenant) -> bool {
        !self.unreadable && !self.unread.contains(tenant) && !self.wrong.iter().any(|(t, _)| t == tenant)
    }

    /// Reads and checks all files `*.yml` and `*.yaml` in the folders of `dir`, each of which is a tenant's (`fake` without
    /// tenants). A folder that does not exist is a warning. Blocks.
    pub fn read(dir: &Path, variables: &Variables) -> Self {
        let mut folder = RuleFolder::default();
        let entries = match entries(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                folder
                    .warnings
                    .push(format!("{}: no such folder, there are no rules in files", dir.display()));
                return folder;
            }
            Err(e) => {
                folder.unreadable = true;
                folder.fail(dir, format!("cannot read the folder: {e}"));
                return folder;
            }
        };
        for path in entries {
            let name = file_name(&path);
            if !path.is_dir() {
                if is_rule_file(&path) {
                    let text = "is not read: rule files stand in a folder named after their tenant";
                    folder.warnings.push(format!("{}: {text} (fake/{name} without tenants)", path.display()));
                }
                continue;
            }
            match Tenant::new(&name) {
                Ok(tenant) => folder.read_tenant(&tenant, &path, variables),
                Err(e) => folder.warnings.push(format!("{}: is not read: {e}", path.display())),
            }
        }
        folder
    }

    fn read_tenant(&mut self, tenant: &Tenant, dir: &Path, variables: &Variables) {
        let files = match entries(dir) {
            Ok(files) => files,
            Err(e) => {
                self.unread.insert(tenant.clone());
                return self.fail(dir, format!("cannot read the folder: {e}"));
            }
        };
        for path in files.into_iter().filter(|p| is_rule_file(p) && !p.is_dir()) {
            let namespace = file_name(&path);
            match read_file(tenant, &namespace, &path, variables) {
                Ok(file) => self.files.push(file),
                Err(errors) => {
                    self.errors.extend(errors);
                    self.wrong.insert((tenant.clone(), namespace));
                }
            }
        }
    }

    fn fail(&mut self, path: &Path, message: String) {
        self.errors.push(RuleError { file: path.display().to_string(), at: None, message });
    }
}

fn read_file(
    tenant: &Tenant,
    namespace: &str,
    path: &Path,
    variables: &Variables,
) -> Result<TenantFile, Vec<RuleError>> {
    let name = path.display().to_string();
    let text = RuleFile::read_text(path, variables)?;
    let rules = RuleFile::parse_expanded(&name, &text, &FileOptions::logql())?;
    let groups = FileDefinition::read(&text.text)
        .map_err(|message| vec![RuleError { file: name, at: None, message: text.hide_in(&message) }])?;
    Ok(TenantFile {
        tenant: tenant.clone(),
        namespace: namespace.to_owned(),
        rules: RuleFile { file: namespace.to_owned(), ..rules },
        groups: groups.groups,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_rule_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yml" || e == "yaml")
}

/// What stands in a folder, sorted, without hidden names: Kubernetes keeps the former versions of mounted files under such.
fn entries(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
