//! All rules about logs: one manager for each tenant, fed from files and from the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use reba_config::Variables;
use reba_disk::{DiskError, Env};
use reba_model::{AlertBatch, Labels, Tenant};
use reba_query::logs::LogQueryEngine;
use reba_storage::{MetricAppender, MetricQuerier};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    definition::GroupDefinition,
    folder::RuleFolder,
    querier::LogRuleQuerier,
    store::{GroupStore, Namespaces},
    tenant::{Group, Groups, TenantRules, groups_of_file},
    tenant_store::TenantStore,
};
use crate::{
    file::RuleError,
    group::blocking,
    manager::{Clock, Evaluated, ManagerOptions, Parts, RuleManager, RuleSettings},
    status::{GroupStatus, Metrics},
};

/// Groups that one tenant may have if no limit is set: far more than anybody writes, and little enough to be kept in memory.
const MAX_GROUPS: usize = 10_000;

/// The parts of the program that rules about logs work with.
#[derive(Clone)]
pub struct LogRulerParts {
    /// Runs the expressions.
    pub engine: Arc<LogQueryEngine>,
    /// Where the state of alerts is restored from.
    pub store: Arc<dyn MetricQuerier>,
    /// Where results are written.
    pub appender: Arc<dyn MetricAppender>,
    /// Where alerts go, with room for [`crate::ALERT_QUEUE_BATCHES`].
    pub alerts: mpsc::Sender<AlertBatch>,
    /// The time of day.
    pub clock: Clock,
    /// What a tenant may have. It is asked anew whenever it matters.
    pub limits: Arc<dyn Fn(&Tenant) -> RulerLimits + Send + Sync>,
    /// The file system on which posted groups are kept.
    pub env: Env,
}

/// What a tenant may have, by the names of `limits_config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulerLimits {
    /// `ruler_max_rules_per_rule_group`; 0: any number.
    pub max_rules_per_group: usize,
    /// `ruler_max_rule_groups_per_tenant`; 0: any number.
    pub max_groups: usize,
    /// `ruler_evaluation_delay_duration`, milliseconds.
    pub evaluation_delay_ms: i64,
}

/// What does not change while the ruler lives.
#[derive(Clone, Debug)]
pub struct LogRulerOptions {
    /// `resend_delay`, `for_outage_tolerance`, `for_grace_period`.
    pub manager: ManagerOptions,
    /// `datasource_uid`: the data source in links to Grafana.
    pub datasource_uid: String,
    /// The folder for posted groups, ours alone.
    pub posted: PathBuf,
}

/// What a reload may change.
#[derive(Clone, Debug)]
pub struct LogRulerSettings {
    /// The folder of rule files (`ruler.storage.local.directory`); none: there are only posted groups.
    pub folder: Option<PathBuf>,
    /// How often the folder is read (`poll_interval`).
    pub poll_interval: Duration,
    /// Interval of groups that name none (`evaluation_interval`), milliseconds.
    pub interval: i64,
    /// Labels for templates (`external_labels`).
    pub external_labels: Labels,
    /// The address that links in alerts begin with (`external_url`), without a slash at the end.
    pub external_url: String,
    /// What `${NAME}` in rule files may ask for.
    pub variables: Variables,
}

/// What became of a change of groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group makes no sense, or breaks a limit.
    #[error("{0}")]
    Invalid(String),
    /// There is no such group.
    #[error("group does not exist")]
    NoGroup,
    /// There is no such namespace.
    #[error("group namespace does not exist")]
    NoNamespace,
    /// The group is one of a rule file.
    #[error("{0} comes from a rule file, which the API does not change")]
    ReadOnly(String),
    /// It could not be kept.
    #[error("{0}")]
    Storage(String),
}

/// A tenant's rules at work.
#[derive(Clone, Debug)]
pub struct TenantStatus {
    /// Whose.
    pub tenant: Tenant,
    /// Groups by namespace (their `file`) and name.
    pub groups: Vec<Arc<GroupStatus>>,
    /// Figures that belong to no group.
    pub metrics: Metrics,
    /// Whether the last reading of the tenant's files went well.
    pub reload_ok: bool,
    /// When the files were last read without a fault, Unix milliseconds.
    pub reloaded_ms: Option<i64>,
    /// How often the groups changed.
    pub updates: u64,
}

/// All rules about logs.
pub struct LogRuler {
    parts: LogRulerParts,
    options: LogRulerOptions,
    settings: Mutex<Arc<LogRulerSettings>>,
    posted: Arc<GroupStore>,
    tenants: Mutex<BTreeMap<Tenant, TenantRules>>,
    /// One change at a time.
    changing: Semaphore,
    running: Mutex<Option<CancellationToken>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// What the log has been told of the files.
    told: Mutex<Vec<String>>,
    evaluated: OnceLock<Evaluated>,
}

impl LogRuler {
    /// A ruler with the groups that were posted before; [`LogRuler::reload`] adds those of files and starts nothing. Blocks.
    pub fn open(
        parts: LogRulerParts,
        options: LogRulerOptions,
        settings: LogRulerSettings,
    ) -> Result<Self, DiskError> {
        let (store, kept) = GroupStore::open(&parts.env, &options.posted)?;
        let ruler = LogRuler {
            parts,
            options,
            settings: Mutex::new(Arc::new(settings)),
            posted: Arc::new(store),
            tenants: Mutex::default(),
            changing: Semaphore::new(1),
            running: Mutex::default(),
            tasks: Mutex::default(),
            told: Mutex::default(),
            evaluated: OnceLock::new(),
        };
        for (tenant, namespaces) in kept {
            let mut rules = ruler.new_tenant(&tenant);
            rules.posted = checked(&tenant, namespaces);
            ruler.tenants.lock().insert(tenant, rules);
        }
        Ok(ruler)
    }

    /// Has `evaluated` called after every evaluation of a group from now on. The first caller has it.
    pub fn on_evaluation(&self, evaluated: &Evaluated) {
        if self.evaluated.set(Arc::clone(evaluated)).is_ok() {
            let tenants = self.tenants.lock();
            tenants.values().for_each(|tenant| tenant.manager.on_evaluation(Arc::clone(evaluated)));
        }
    }

    /// Replaces the settings, and reads the files as [`LogRuler::reload`] does.
    pub async fn configure(&self, settings: LogRulerSettings) -> Vec<RuleError> {
        *self.settings.lock() = Arc::new(settings);
        self.reload().await
    }

    /// Reads the folder of rule files and evaluates what it holds from now on. Of a file that is wrong, the groups that it had
    /// before go on; its faults are returned, and told to the log if they are new.
    pub async fn reload(&self) -> Vec<RuleError> {
        let Some(_permit) = self.change().await else { return Vec::new() };
        let settings = self.settings.lock().clone();
        let for_reading = settings.clone();
        let folder = blocking(move || match &for_reading.folder {
            Some(dir) => RuleFolder::read(dir, &for_reading.variables),
            None => RuleFolder::default(),
        });
        let folder = match folder.await {
            Ok(folder) => folder,
            Err(error) => {
                tracing::error!(%error, "reading rule files failed");
                return Vec::new();
            }
        };
        self.tell(&folder);
        let errors = folder.errors.clone();
        for tenant in self.take_files(folder) {
            self.apply(&tenant).await;
        }
        errors
    }

    /// Reads the files, at once and every `poll_interval`, and evaluates all groups until `cancel`. Ends when the evaluations that were
    /// under way are over.
    pub async fn run(&self, cancel: CancellationToken) {
        {
            let Some(_permit) = self.change().await else { return };
            *self.running.lock() = Some(cancel.clone());
            let managers: Vec<_> = self.tenants.lock().values().map(|t| t.manager.clone()).collect();
            for manager in managers {
                self.start(manager);
            }
        }
        while !cancel.is_cancelled() {
            self.reload().await;
            let poll = self.settings.lock().poll_interval.max(Duration::from_secs(1));
            cancel.run_until_cancelled(tokio::time::sleep(poll)).await;
        }
        let Some(_permit) = self.change().await else { return };
        *self.running.lock() = None;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "evaluation of rules about logs ended badly");
            }
        }
    }

    /// Evaluates every group of every tenant once at `now`, Unix milliseconds (tests and tools).
    pub async fn evaluate_once(&self, now: i64) {
        let managers: Vec<_> = self.tenants.lock().values().map(|t| t.manager.clone()).collect();
        for manager in managers {
            manager.evaluate_once(now).await;
        }
    }

    /// The groups of a tenant at work, by namespace (their `file`) and name.
    pub fn groups(&self, tenant: &Tenant) -> Vec<Arc<GroupStatus>> {
        let manager = self.tenants.lock().get(tenant).map(|t| t.manager.clone());
        manager.map(|m| m.groups()).unwrap_or_default()
    }

    /// Every tenant that has or had rules.
    pub fn tenants(&self) -> Vec<TenantStatus> {
        let tenants = self.tenants.lock();
        let status = |(tenant, rules): (&Tenant, &TenantRules)| TenantStatus {
            tenant: tenant.clone(),
            groups: rules.manager.groups(),
            metrics: rules.manager.metrics(),
            reload_ok: rules.reload_ok,
            reloaded_ms: rules.reloaded_ms,
            updates: rules.updates,
        };
        tenants.iter().map(status).collect()
    }

    /// The groups of a tenant as they are written, by namespace; of one namespace only, if it is given.
    pub fn definitions(
        &self,
        tenant: &Tenant,
        namespace: Option<&str>,
    ) -> BTreeMap<String, Vec<GroupDefinition>> {
        let tenants = self.tenants.lock();
        let Some(rules) = tenants.get(tenant) else { return BTreeMap::new() };
        let wanted = rules.namespaces().into_iter().filter(|(name, _)| namespace.is_none_or(|n| n == *name));
        wanted
            .map(|(name, groups)| {
                (name.to_owned(), groups.into_iter().map(|g| g.definition.clone()).collect())
            })
            .collect()
    }

    /// Puts a group, written in YAML, into a namespace, where it replaces the one of its name. When this returns, the group is
    /// kept and is being evaluated.
    pub async fn set_group(&self, tenant: &Tenant, namespace: &str, yaml: &str) -> Result<(), GroupError> {
        let definition = GroupDefinition::read(yaml)
            .map_err(|e| GroupError::Invalid(format!("unable to decoded rule group: {e}")))?;
        let rules = definition.check(namespace).map_err(|errors| {
            let texts: Vec<String> = errors.into_iter().map(|e| e.message).collect();
            GroupError::Invalid(texts.join(", "))
        })?;
        if !GroupStore::takes(namespace) {
            return Err(GroupError::Invalid("the name of the namespace is too long".to_owned()));
        }
        let group = Group { rules, definition };
        let _permit = self.change().await.ok_or_else(stopped)?;
        let groups = self.groups_with(tenant, namespace, group)?;
        self.keep(tenant, namespace, groups).await
    }

    /// Removes a posted group.
    pub async fn delete_group(
        &self,
        tenant: &Tenant,
        namespace: &str,
        group: &str,
    ) -> Result<(), GroupError> {
        let _permit = self.change().await.ok_or_else(stopped)?;
        let groups = {
            let tenants = self.tenants.lock();
            let rules = tenants.get(tenant).ok_or(GroupError::NoGroup)?;
            if rules.is_of_file(namespace, Some(group)) {
                return Err(GroupError::ReadOnly(format!("group {group} of namespace {namespace}")));
            }
            let mut groups = rules.posted.get(namespace).cloned().unwrap_or_default();
            let before = groups.len();
            groups.retain(|g| g.definition.name != group);
            if groups.len() == before {
                return Err(GroupError::NoGroup);
            }
            groups
        };
        self.keep(tenant, namespace, groups).await
    }

    /// Removes all posted groups of a namespace.
    pub async fn delete_namespace(&self, tenant: &Tenant, namespace: &str) -> Result<(), GroupError> {
        let _permit = self.change().await.ok_or_else(stopped)?;
        {
            let tenants = self.tenants.lock();
            let rules = tenants.get(tenant).ok_or(GroupError::NoNamespace)?;
            if !rules.posted.contains_key(namespace) {
                let of_file = rules.is_of_file(namespace, None);
                let read_only = of_file.then(|| GroupError::ReadOnly(format!("namespace {namespace}")));
                return Err(read_only.unwrap_or(GroupError::NoNamespace));
            }
        }
        self.keep(tenant, namespace, Groups::new()).await
    }

    async fn change(&self) -> Option<SemaphorePermit<'_>> {
        self.changing.acquire().await.ok()
    }

    /// The posted groups of a namespace with one more, if the limits allow it.
    fn groups_with(&self, tenant: &Tenant, namespace: &str, group: Group) -> Result<Groups, GroupError> {
        let limits = (self.parts.limits)(tenant);
        let (rules, max) = (group.definition.rules.len(), limits.max_rules_per_group);
        if max > 0 && rules > max {
            let what = format!("rules per rule group limit (limit: {max} actual: {rules}) exceeded");
            return Err(GroupError::Invalid(format!("per-user {what}")));
        }
        let name = group.definition.name.clone();
        let tenants = self.tenants.lock();
        let known = tenants.get(tenant);
        if known.is_some_and(|rules| rules.is_of_file(namespace, Some(&name))) {
            return Err(GroupError::ReadOnly(format!("group {name} of namespace {namespace}")));
        }
        let mut groups = known.and_then(|t| t.posted.get(namespace)).cloned().unwrap_or_default();
        if let Some(old) = groups.iter_mut().find(|g| g.definition.name == name) {
            *old = group;
            return Ok(groups);
        }
        let max = if limits.max_groups > 0 { limits.max_groups } else { MAX_GROUPS };
        let count = known.map_or(0, TenantRules::count) + 1;
        if count > max {
            let what = format!("rule groups limit (limit: {max} actual: {count}) exceeded");
            return Err(GroupError::Invalid(format!("per-user {what}")));
        }
        groups.push(group);
        Ok(groups)
    }

    /// Makes posted groups durable, then lets them count.
    async fn keep(&self, tenant: &Tenant, namespace: &str, groups: Groups) -> Result<(), GroupError> {
        let definitions: Vec<GroupDefinition> = groups.iter().map(|g| g.definition.clone()).collect();
        let (store, owner, name) = (self.posted.clone(), tenant.clone(), namespace.to_owned());
        let written = blocking(move || store.write(&owner, &name, &definitions).map_err(|e| e.to_string()));
        written.await.and_then(|r| r).map_err(GroupError::Storage)?;
        self.with_tenant(tenant, |rules| {
            if groups.is_empty() {
                rules.posted.remove(namespace);
            } else {
                rules.posted.insert(namespace.to_owned(), groups);
            }
        });
        self.apply(tenant).await;
        Ok(())
    }

    /// Changes what is known of a tenant, who may be new.
    fn with_tenant<T>(&self, tenant: &Tenant, change: impl FnOnce(&mut TenantRules) -> T) -> T {
        let mut tenants = self.tenants.lock();
        let rules = tenants.entry(tenant.clone()).or_insert_with(|| {
            let rules = self.new_tenant(tenant);
            self.start(rules.manager.clone());
            rules
        });
        change(rules)
    }

    /// Takes over what was read; returns all tenants.
    fn take_files(&self, folder: RuleFolder) -> Vec<Tenant> {
        let now = (self.parts.clock)();
        let mut by_tenant: BTreeMap<Tenant, BTreeMap<String, Groups>> = BTreeMap::new();
        for file in &folder.files {
            let namespaces = by_tenant.entry(file.tenant.clone()).or_default();
            namespaces.insert(file.namespace.clone(), groups_of_file(file));
        }
        let known: Vec<Tenant> = self.tenants.lock().keys().cloned().collect();
        let all: BTreeSet<Tenant> = known.into_iter().chain(by_tenant.keys().cloned()).collect();
        for tenant in &all {
            let mut files = by_tenant.remove(tenant).unwrap_or_default();
            self.with_tenant(tenant, |rules| {
                for (name, groups) in &rules.files {
                    if folder.keeps(tenant, name) {
                        files.entry(name.clone()).or_insert_with(|| groups.clone());
                    }
                }
                rules.files = files;
                rules.reload_ok = folder.is_right(tenant);
                if rules.reload_ok {
                    rules.reloaded_ms = Some(now);
                }
            });
        }
        all.into_iter().collect()
    }

    /// Lets a tenant's manager evaluate what the tenant has now.
    async fn apply(&self, tenant: &Tenant) {
        let settings = self.settings.lock().clone();
        let (manager, files) = self.with_tenant(tenant, |t| (t.manager.clone(), t.rule_files()));
        let settings = RuleSettings {
            interval: settings.interval,
            query_offset: (self.parts.limits)(tenant).evaluation_delay_ms,
            external_labels: settings.external_labels.clone(),
            external_url: settings.external_url.clone(),
        };
        manager.apply(&files, &settings).await;
        self.with_tenant(tenant, |t| t.applied(files));
    }

    fn new_tenant(&self, tenant: &Tenant) -> TenantRules {
        let parts = &self.parts;
        let querier =
            LogRuleQuerier::new(parts.engine.clone(), tenant.clone(), self.options.datasource_uid.as_str());
        let (mut store, mut appender) = (parts.store.clone(), parts.appender.clone());
        if *tenant != Tenant::single() {
            let own = Arc::new(TenantStore { tenant: tenant.to_string(), appender, store });
            (store, appender) = (own.clone(), own);
        }
        let parts = Parts {
            querier: Arc::new(querier),
            store,
            appender,
            alerts: parts.alerts.clone(),
            clock: parts.clock.clone(),
        };
        let manager = RuleManager::new(parts, self.options.manager);
        if let Some(evaluated) = self.evaluated.get() {
            manager.on_evaluation(Arc::clone(evaluated));
        }
        TenantRules::new(Arc::new(manager))
    }

    /// Starts a manager, if the ruler runs.
    fn start(&self, manager: Arc<RuleManager>) {
        let Some(cancel) = self.running.lock().clone() else { return };
        self.tasks.lock().push(tokio::spawn(async move { manager.run(cancel).await }));
    }

    /// Tells the log what is wrong with the files, each fault once.
    fn tell(&self, folder: &RuleFolder) {
        let faults = folder.errors.iter().map(ToString::to_string);
        let texts: Vec<String> = faults.chain(folder.warnings.iter().cloned()).collect();
        let mut told = self.told.lock();
        for (i, text) in texts.iter().enumerate().filter(|(_, text)| !told.contains(text)) {
            if i < folder.errors.len() {
                tracing::error!(error = %text, "rule file is wrong, its former rules go on");
            } else {
                tracing::warn!("{text}");
            }
        }
        *told = texts;
    }
}

fn stopped() -> GroupError {
    GroupError::Storage("the ruler is shutting down".to_owned())
}

/// Posted groups, ready to be evaluated. They were checked when they were posted; one that a newer version refuses is left out.
fn checked(tenant: &Tenant, namespaces: Namespaces) -> BTreeMap<String, Groups> {
    let mut all = BTreeMap::new();
    for (namespace, definitions) in namespaces {
        let mut groups = Groups::new();
        for definition in definitions {
            match definition.check(&namespace) {
                Ok(rules) => groups.push(Group { rules, definition }),
                Err(errors) => {
                    let error = errors.first().map(|e| e.message.clone()).unwrap_or_default();
                    let group = &definition.name;
                    tracing::error!(%tenant, namespace, group, error, "a posted rule group makes no sense any more");
                }
            }
        }
        all.insert(namespace, groups);
    }
    all
}

impl std::fmt::Debug for LogRuler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRuler").field("tenants", &self.tenants.lock().len()).finish_non_exhaustive()
    }
}
