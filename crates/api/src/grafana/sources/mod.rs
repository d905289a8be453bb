//! Data sources: those of provisioning files, those that people add, and, without either, the roles of this process.

pub(super) mod policy;
pub(super) mod proxy;
pub(super) mod routes;
pub(super) mod upstream;

use std::{collections::BTreeMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use parking_lot::{Mutex, RwLock};
use reba_storage::{StateChange, StateError, StateStore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    accounts::{Random, read_all, to_bytes},
    ids::{datasource_uid, hex, is_uid, numeric_id},
    provisioning::{self, Fault, Paths},
    refusal::Refusal,
    settings::Lookup,
};

const SPACE: &str = "grafana/datasources";

/// Data sources that people add.
const MAX_SOURCES: usize = 1000;

/// Passwords and keys; they are shown nowhere.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Secrets(pub BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A data source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Source {
    pub uid: String,
    pub name: String,
    pub r#type: String,
    pub access: String,
    pub url: String,
    pub user: String,
    pub database: String,
    pub basic_auth: bool,
    pub basic_auth_user: String,
    pub with_credentials: bool,
    pub is_default: bool,
    pub json_data: Map<String, Value>,
    pub secure_json_data: Secrets,
    pub version: u64,
    /// Whether people may change it.
    pub read_only: bool,
}

impl Source {
    pub(super) fn id(&self) -> u64 {
        numeric_id("datasource", &self.uid)
    }

    /// Gives what nobody said its default. The other way of access, by the browser itself, is not taken: pages ask this server only.
    fn fill_in(&mut self) {
        if self.access.is_empty() {
            "proxy".clone_into(&mut self.access);
        }
    }

    /// As the API shows it, without secrets.
    pub(super) fn shown(&self) -> Value {
        let secure: Map<String, Value> =
            self.secure_json_data.0.keys().map(|k| (k.clone(), true.into())).collect();
        json!({
            "id": self.id(), "uid": self.uid, "orgId": 1, "name": self.name, "type": self.r#type, "typeName": self.r#type,
            "typeLogoUrl": "", "access": self.access, "url": self.url, "user": self.user, "database": self.database,
            "basicAuth": self.basic_auth, "basicAuthUser": self.basic_auth_user, "withCredentials": self.with_credentials,
            "isDefault": self.is_default, "jsonData": self.json_data, "secureJsonFields": secure,
            "version": self.version, "readOnly": self.read_only,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawFile {
    datasources: Vec<RawSource>,
}

/// A data source as files have it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSource {
    #[serde(flatten)]
    source: Source,
    editable: bool,
}

/// All data sources.
pub(super) struct Sources {
    store: Arc<dyn StateStore>,
    random: Random,
    /// By uid.
    saved: RwLock<BTreeMap<String, Arc<Source>>>,
    /// In the order of the files.
    provided: ArcSwap<Provided>,
    changing: Mutex<()>,
}

/// What files provide.
#[derive(Debug, Default)]
pub(super) struct Provided {
    pub sources: Vec<Arc<Source>>,
    pub faults: Vec<Fault>,
}

impl Provided {
    /// Adds data sources of these kinds, unless a file has one of that name.
    pub(super) fn add(&mut self, extra: &[(&'static str, String)]) {
        for (kind, url) in extra {
            if !self.sources.iter().any(|s| s.uid == *kind) {
                self.sources.push(Arc::new(of_role(kind, url)));
            }
        }
    }
}

impl Sources {
    pub(super) fn open(store: Arc<dyn StateStore>, random: Random) -> Result<Self, StateError> {
        let saved = read_all::<Source>(&*store, SPACE)?;
        let saved = saved.into_iter().map(|(uid, source)| (uid, Arc::new(source))).collect();
        Ok(Sources {
            store,
            random,
            saved: RwLock::new(saved),
            provided: ArcSwap::default(),
            changing: Mutex::new(()),
        })
    }

    pub(super) fn provide(&self, provided: Provided) {
        self.provided.store(Arc::new(provided));
    }

    pub(super) fn provided(&self) -> Arc<Provided> {
        self.provided.load_full()
    }

    /// All of them, by name; one of them is the default, if there is any.
    pub(super) fn all(&self) -> Vec<Arc<Source>> {
        let provided = self.provided.load();
        let saved = self.saved.read();
        let mut all: Vec<Arc<Source>> = provided.sources.clone();
        let free = |s: &&Arc<Source>| !provided.sources.iter().any(|p| p.uid == s.uid || p.name == s.name);
        all.extend(saved.values().filter(free).cloned());
        drop(saved);
        one_default(&mut all);
        all.sort_by_key(|source| source.name.to_lowercase());
        all
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<Arc<Source>> {
        self.all().into_iter().find(|s| s.uid == uid)
    }

    /// By uid, by name, by type where exactly one has it or the default has: links in old files name any of them.
    pub(super) fn resolve(&self, wanted: &str) -> Option<Arc<Source>> {
        let all = self.all();
        let find = |fits: &dyn Fn(&Source) -> bool| all.iter().find(|s| fits(s)).cloned();
        if let Some(source) =
            find(&|s| s.uid == wanted).or_else(|| find(&|s| s.name.eq_ignore_ascii_case(wanted)))
        {
            return Some(source);
        }
        let of_type: Vec<&Arc<Source>> =
            all.iter().filter(|s| s.r#type.eq_ignore_ascii_case(wanted)).collect();
        match of_type[..] {
            [only] => Some(Arc::clone(only)),
            _ => of_type.into_iter().find(|s| s.is_default).cloned(),
        }
    }

    pub(super) fn default_source(&self) -> Option<Arc<Source>> {
        self.all().into_iter().find(|s| s.is_default)
    }

    /// The uid of the data source that a kind's place-holders mean: the default one, else the first.
    pub(super) fn default_of(&self, kind: &str) -> Option<String> {
        let of_kind: Vec<Arc<Source>> = self.all().into_iter().filter(|s| s.r#type == kind).collect();
        of_kind.iter().find(|s| s.is_default).or(of_kind.first()).map(|s| s.uid.clone())
    }

    /// Adds one, or puts it in the place of `before`. Secrets that are not given stay.
    pub(super) fn save(
        &self,
        mut source: Source,
        before: Option<&Source>,
        now_ms: i64,
    ) -> Result<Arc<Source>, Refusal> {
        check(&source)?;
        let _one = self.changing.lock();
        let all = self.all();
        let other = |s: &&Arc<Source>| before.is_none_or(|b| b.uid != s.uid);
        if all.iter().filter(other).any(|s| s.name == source.name) {
            return Err(Refusal::conflict("data source with the same name already exists"));
        }
        if let Some(before) = before {
            if before.read_only {
                return Err(Refusal::forbidden("cannot update read-only data source"));
            }
            source.uid.clone_from(&before.uid);
            source.version = before.version + 1;
            for (key, value) in &before.secure_json_data.0 {
                source.secure_json_data.0.entry(key.clone()).or_insert_with(|| value.clone());
            }
        } else {
            if self.saved.read().len() >= MAX_SOURCES {
                return Err(Refusal::full("MAX_SOURCES", MAX_SOURCES));
            }
            source.version = 1;
            if source.uid.is_empty() {
                hex(&(self.random)())[..14].clone_into(&mut source.uid);
            } else if !is_uid(&source.uid) {
                return Err(Refusal::bad("uid contains illegal characters or is too long"));
            }
            if all.iter().any(|s| s.uid == source.uid) {
                return Err(Refusal::conflict("data source with the same uid already exists"));
            }
        }
        source.read_only = false;
        source.fill_in();
        self.put(source, now_ms)
    }

    /// Writes one; if it is the default, the others are no more. The caller holds `changing`.
    fn put(&self, source: Source, now_ms: i64) -> Result<Arc<Source>, Refusal> {
        let mut changed = vec![source.clone()];
        if source.is_default {
            let saved = self.saved.read();
            let others = saved.values().filter(|s| s.is_default && s.uid != source.uid);
            changed.extend(others.map(|s| Source { is_default: false, ..Source::clone(s) }));
        }
        let put = |s: &Source| Ok(StateChange::put(SPACE, &s.uid, to_bytes(s)?, now_ms));
        self.store.write(&changed.iter().map(put).collect::<Result<Vec<_>, StateError>>()?)?;
        let mut saved = self.saved.write();
        for source in changed {
            saved.insert(source.uid.clone(), Arc::new(source));
        }
        Ok(saved.get(&source.uid).cloned().unwrap_or_default())
    }

    pub(super) fn remove(&self, source: &Source) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        if source.read_only || !self.saved.read().contains_key(&source.uid) {
            return Err(Refusal::forbidden("cannot delete read-only data source"));
        }
        self.store.write(&[StateChange::delete(SPACE, &source.uid)])?;
        self.saved.write().remove(&source.uid);
        Ok(())
    }
}

/// What can be saved.
fn check(source: &Source) -> Result<(), Refusal> {
    let fine = |text: &str| !text.is_empty() && text.len() <= 190 && !text.contains(char::is_control);
    if !fine(&source.name) || !fine(&source.r#type) {
        return Err(Refusal::bad("a data source needs a name and a type"));
    }
    if !source.url.is_empty() && upstream::base_of(&source.url).is_none() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the URL must be http or https, without a query"));
    }
    Ok(())
}

/// Makes the first that says so the default; without one, the first of Prometheus.
fn one_default(all: &mut [Arc<Source>]) {
    let first =
        all.iter().position(|s| s.is_default).or_else(|| all.iter().position(|s| s.r#type == "prometheus"));
    for (i, source) in all.iter_mut().enumerate() {
        let is_default = Some(i) == first;
        if source.is_default != is_default {
            *source = Arc::new(Source { is_default, ..Source::clone(source) });
        }
    }
}

/// Reads `provisioning/datasources`. Without any file there, the roles of this process are the data sources.
pub(super) fn provided(paths: &Paths, lookup: Lookup<'_>, roles: &[(&'static str, String)]) -> Provided {
    let files = provisioning::yaml_files(&paths.provisioning.join("datasources"));
    let mut out = Provided::default();
    if files.is_empty() {
        out.sources = roles.iter().map(|(role, url)| Arc::new(of_role(role, url))).collect();
        return out;
    }
    for file in files {
        let raw = match provisioning::read::<RawFile>(&file, lookup) {
            Ok(raw) => raw,
            Err(fault) => {
                out.faults.push(fault);
                continue;
            }
        };
        for raw in raw.datasources {
            let mut source = Source { read_only: !raw.editable, version: 1, ..raw.source };
            source.fill_in();
            let fault = |text: String| Fault::new(&file, format!("data source {:?}: {text}", source.name));
            if source.name.is_empty() || source.r#type.is_empty() {
                out.faults.push(fault("it needs a name and a type".to_owned()));
                continue;
            }
            if !source.url.is_empty() && upstream::base_of(&source.url).is_none() {
                out.faults.push(fault("its URL is not http or https, or has a query".to_owned()));
            }
            if source.uid.is_empty() {
                source.uid = datasource_uid(&source.name);
            }
            if out.sources.iter().any(|s| s.name == source.name || s.uid == source.uid) {
                out.faults.push(Fault::new(
                    &file,
                    format!("data source {:?}: its name or uid is there twice", source.name),
                ));
                continue;
            }
            if source.is_default && out.sources.iter().any(|s| s.is_default) {
                let text = format!("data source {:?}: there is a default already", source.name);
                out.faults.push(Fault::new(&file, text).but_loaded());
            }
            out.sources.push(Arc::new(source));
        }
    }
    out
}

fn of_role(role: &str, url: &str) -> Source {
    let mut name = role.to_owned();
    name[..1].make_ascii_uppercase();
    let json_data = match role {
        "prometheus" => json!({
            "httpMethod": "POST", "timeInterval": "15s", "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "tempo"}],
        }),
        "tempo" => json!({
            "tracesToLogsV2": {"datasourceUid": "loki", "filterByTraceID": true}, "serviceMap": {"datasourceUid": "prometheus"},
        }),
        _ => json!({}),
    };
    Source {
        uid: role.to_owned(),
        name,
        r#type: role.to_owned(),
        access: "proxy".to_owned(),
        url: url.to_owned(),
        is_default: role == "prometheus",
        json_data: json_data.as_object().cloned().unwrap_or_default(),
        version: 1,
        read_only: true,
        ..Source::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_by_uid_name_and_type_and_secrets_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below(dir.path());
        let folder = paths.provisioning.join("datasources");
        std::fs::create_dir_all(&folder).unwrap();
        let text = "apiVersion: 1\ndatasources:\n- {name: Prometheus, type: prometheus, url: 'http://prometheus:9090', isDefault: true}\n\
                    - {name: Logs, uid: l1, type: loki, url: 'http://$HOST:3100', secureJsonData: {httpHeaderValue1: s3cret}}\n\
                    - {name: Logs, type: loki}\n- {name: '', type: x}\n";
        std::fs::write(folder.join("d.yml"), text).unwrap();
        let store = Arc::new(reba_testkit::RamState::default());
        let sources = Sources::open(store, Arc::new(|| [7; 32])).unwrap();
        sources.provide(provided(&paths, &|name| (name == "HOST").then(|| "h".to_owned()), &[]));
        let uid = |wanted: &str| sources.resolve(wanted).map(|s| s.uid.clone());
        assert_eq!(uid("prometheus").as_deref(), Some("PBFA97CFB590B2093"));
        for wanted in ["l1", "logs", "loki"] {
            assert_eq!(uid(wanted).as_deref(), Some("l1"));
        }
        assert_eq!(uid("tempo"), None);
        let logs = sources.by_uid("l1").unwrap();
        assert_eq!((logs.url.as_str(), logs.access.as_str()), ("http://h:3100", "proxy"));
        assert_eq!(sources.provided().faults.len(), 2);
        let shown = format!("{} {:?}", sources.by_uid("l1").unwrap().shown(), sources.by_uid("l1"));
        assert!(shown.contains("httpHeaderValue1") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn without_files_the_roles_of_this_process_are_the_sources() {
        let dir = tempfile::tempdir().unwrap();
        let roles = [
            ("loki", "http://127.0.0.1:3100".to_owned()),
            ("prometheus", "http://127.0.0.1:9090".to_owned()),
        ];
        let provided = provided(&Paths::below(dir.path()), &|_| None, &roles);
        let names: Vec<_> = provided.sources.iter().map(|s| (s.name.as_str(), s.is_default)).collect();
        assert_eq!(names, [("Loki", false), ("Prometheus", true)]);
    }
}
