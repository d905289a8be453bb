//! A PostgreSQL, in the words of postgres_exporter 0.15.

mod collectors;
mod dsn;
mod options;
mod queries;
mod session;
mod settings;
mod table;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::future::join_all;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};

use self::{
    collectors::{COLLECTORS, Collector},
    dsn::Dsn,
    options::Options,
    queries::{Namespace, Sample},
    session::{Patience, QueryError, Session},
    table::Table,
};
use crate::{
    flags::FlagError,
    own::{Build, Process, Promhttp},
    page::Page,
    web::{Answer, Question, index, say},
};

/// The upstream's version whose names these are.
const BUILD: Build = Build::like("0.15.0");

/// Scrapes at once, probes among them; each has a connection. More of them wait.
const MAX_SCRAPES: usize = 8;

/// Databases that `--auto-discover-databases` asks at most.
const MAX_DATABASES: usize = 500;

/// An answer that is kept for a while.
struct Kept {
    at: Instant,
    samples: Vec<Sample>,
}

/// The exporter of PostgreSQL.
pub struct Postgres {
    options: Options,
    /// A connection to each source, kept between scrapes, as long as nobody uses it.
    idle: Mutex<BTreeMap<usize, Session>>,
    /// Answers of queries with `cache_seconds`, by server and namespace.
    kept: Mutex<BTreeMap<(String, String), Kept>>,
    busy: Semaphore,
    scrapes: AtomicU64,
    started: f64,
    process: Process,
    http: Promhttp,
}

/// How a scrape of one source went.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    connected: bool,
    failed: bool,
}

impl Postgres {
    /// An exporter that is started with these flags.
    pub fn new(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        Ok(Postgres {
            options: Options::parse(args, env)?,
            idle: Mutex::default(),
            kept: Mutex::default(),
            busy: Semaphore::new(MAX_SCRAPES),
            scrapes: AtomicU64::new(0),
            started: now,
            process: Process::new(),
            http: Promhttp::default(),
        })
    }

    /// Where the flags want it to listen.
    pub fn listen(&self) -> Option<&str> {
        self.options.listen.as_deref()
    }

    /// Answers a request.
    pub async fn answer(&self, question: &Question) -> Answer {
        match question.path.as_str() {
            path if path == self.options.telemetry_path => self.metrics(question).await,
            "/probe" => self.probe(question).await,
            "/" => index("Postgres Exporter", &[(&self.options.telemetry_path, "Metrics")]),
            _ => say(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    async fn metrics(&self, question: &Question) -> Answer {
        let _counted = self.http.begin(0);
        let (mut page, patience, start) = (Page::new(), Patience::of(question.within), Instant::now());
        self.scrapes.fetch_add(1, Ordering::Relaxed);
        // Those who wait for a place wait within their own time.
        let place = tokio::time::timeout(question.within, self.busy.acquire()).await;
        let mut outcomes = Vec::new();
        for (i, dsn) in self.options.sources.iter().enumerate() {
            let outcome = match &place {
                Ok(_) => self.source(&mut page, i, dsn, patience).await,
                Err(_) => Outcome { connected: false, failed: true },
            };
            outcomes.push(outcome);
        }
        self.about(&mut page, &outcomes, start);
        BUILD.write(&mut page, "postgres_exporter_build_info");
        self.about_config(&mut page);
        self.process.write(&mut page);
        self.http.answered(200);
        self.http.write(&mut page);
        question.answer(&page)
    }

    /// Scrapes a source with the connection that is kept to it.
    async fn source(&self, page: &mut Page, i: usize, dsn: &Dsn, patience: Patience) -> Outcome {
        let kept = self.idle.lock().remove(&i).filter(|session| !session.is_closed());
        let session = match kept {
            Some(session) => session,
            None => match Session::open(dsn, patience).await {
                Ok(session) => session,
                Err(error) => return not_connected(dsn, &error),
            },
        };
        let outcome = self.scrape(page, &session, dsn, i == 0, patience).await;
        // One that did not answer in time may still be at work.
        if !outcome.failed && !session.is_closed() {
            self.idle.lock().insert(i, session);
        }
        outcome
    }

    /// Scrapes a server; `first` of several has the collectors, too, as upstream does it.
    async fn scrape(
        &self,
        page: &mut Page,
        session: &Session,
        dsn: &Dsn,
        first: bool,
        patience: Patience,
    ) -> Outcome {
        let mut labels = self.options.constant_labels.clone();
        labels.push(("server".to_owned(), dsn.server()));
        let mut failed = false;
        if self.options.default_metrics {
            settings::write_static(page, session, &labels);
        }
        // All at once: the connection takes them one after the other without waiting for us in between.
        let wanted = |namespace: &&Namespace| namespace.runs_on(session.version);
        let settings = async {
            if self.options.settings_metrics {
                settings::ask(session, patience).await
            } else {
                Ok(Table::default())
            }
        };
        let namespaces = self.options.namespaces.iter().filter(wanted);
        let namespaces = join_all(namespaces.map(|n| self.namespace(n, session, (dsn, &labels), patience)));
        let collectors = COLLECTORS.iter().filter(|c| first && self.options.collectors.contains(c.name));
        let collectors = join_all(collectors.map(|c| timed(c, session, patience)));
        let (settings, namespaces, collectors) = futures::join!(settings, namespaces, collectors);
        match settings {
            Ok(table) => settings::write(page, &table, &self.options.prefix, &labels),
            Err(error) => failed |= note(dsn, "settings", Err(error)),
        }
        for samples in namespaces {
            match samples {
                Some(samples) => samples.iter().for_each(|sample| sample.write(page)),
                None => failed = true,
            }
        }
        self.write_collectors(page, dsn, collectors);
        if self.options.discover {
            failed |= self.other_databases(page, session, (dsn, &labels), patience).await;
        }
        Outcome { connected: true, failed }
    }

    /// What a namespace finds; nothing, if it failed.
    async fn namespace(
        &self,
        namespace: &Namespace,
        session: &Session,
        (dsn, labels): (&Dsn, &[(String, String)]),
        patience: Patience,
    ) -> Option<Vec<Sample>> {
        let key = (dsn.shown(), namespace.name().to_owned());
        if namespace.cache_seconds > 0 {
            let fresh = |kept: &&Kept| kept.at.elapsed().as_secs() < namespace.cache_seconds;
            let samples = self.kept.lock().get(&key).filter(fresh).map(|kept| kept.samples.clone());
            if samples.is_some() {
                return samples;
            }
        }
        match namespace.ask(session, &self.options.prefix, labels, patience).await {
            Ok(samples) => {
                if namespace.cache_seconds > 0 {
                    let kept = Kept { at: Instant::now(), samples: samples.clone() };
                    self.kept.lock().insert(key, kept);
                }
                Some(samples)
            }
            Err(error) => {
                note(dsn, namespace.name(), Err(error));
                None
            }
        }
    }

    /// Asks queries that are not for the master alone in the server's other databases.
    async fn other_databases(
        &self,
        page: &mut Page,
        session: &Session,
        (dsn, labels): (&Dsn, &[(String, String)]),
        patience: Patience,
    ) -> bool {
        let query = "SELECT datname FROM pg_database \
                     WHERE datallowconn AND NOT datistemplate AND datname <> current_database() ORDER BY 1";
        let table = match session.table(query, patience).await {
            Ok(table) => table,
            Err(error) => return note(dsn, "databases", Err(error)),
        };
        let names = table.rows().filter_map(|row| row.get(0));
        let wanted = |name: &&str| {
            let has = |list: &[String]| list.iter().any(|one| one == name);
            !has(&self.options.excluded) && (self.options.included.is_empty() || has(&self.options.included))
        };
        let mut failed = false;
        for name in names.filter(wanted).take(MAX_DATABASES) {
            let mut other = dsn.clone();
            other.set("dbname", name);
            let session = match Session::open(&other, patience).await {
                Ok(session) => session,
                Err(error) => {
                    failed |= note(&other, "connect", Err(error));
                    continue;
                }
            };
            let version = session.version;
            for namespace in self.options.namespaces.iter().filter(|n| !n.master && n.runs_on(version)) {
                match self.namespace(namespace, &session, (&other, labels), patience).await {
                    Some(samples) => samples.iter().for_each(|sample| sample.write(page)),
                    None => failed = true,
                }
            }
        }
        failed
    }

    fn write_collectors(&self, page: &mut Page, dsn: &Dsn, answers: Vec<Answered<'_>>) {
        for Answered { collector, seconds, table } in answers {
            let labels = [("collector", collector.name)];
            page.gauge(
                "pg_scrape_collector_duration_seconds",
                "How long each collector took, its turn included.",
            )
            .with(&labels, seconds);
            let success = match table {
                Ok(table) => {
                    collectors::write(collector, &table, &self.options.excluded, page);
                    if self.options.old_names {
                        collectors::write_old_names(collector, &table, page);
                    }
                    1.0
                }
                Err(error) => {
                    note(dsn, collector.name, Err(error));
                    0.0
                }
            };
            page.gauge("pg_scrape_collector_success", "Whether each collector had something to tell.")
                .with(&labels, success);
        }
    }

    /// What upstream's exporter tells about itself.
    fn about(&self, page: &mut Page, outcomes: &[Outcome], start: Instant) {
        let up = outcomes.iter().any(|outcome| outcome.connected);
        let failed = outcomes.iter().any(|outcome| outcome.failed);
        let number = |is: bool| if is { 1.0 } else { 0.0 };
        page.gauge("pg_up", "Whether PostgreSQL answers.").value(number(up));
        page.gauge("pg_exporter_last_scrape_error", "Whether something failed in this scrape.")
            .value(number(failed));
        page.gauge("pg_exporter_last_scrape_duration_seconds", "How long this scrape took.")
            .value(start.elapsed().as_secs_f64());
        page.counter("pg_exporter_scrapes_total", "Scrapes of PostgreSQL.")
            .value(self.scrapes.load(Ordering::Relaxed).max(1) as f64);
        if let Some((file, loaded)) = &self.options.queries_file {
            page.gauge(
                "pg_exporter_user_queries_load_error",
                "Whether the file of queries could not be read.",
            )
            .with(&[("filename", file), ("hashsum", "")], number(!loaded));
        }
    }

    fn about_config(&self, page: &mut Page) {
        let loaded = self.options.config_loaded;
        page.gauge(
            "postgres_exporter_config_last_reload_successful",
            "Whether the configuration file was read.",
        )
        .value(if loaded { 1.0 } else { 0.0 });
        page.gauge(
            "postgres_exporter_config_last_reload_success_timestamp_seconds",
            "When it was, in Unix time.",
        )
        .value(if loaded { self.started } else { 0.0 });
    }

    async fn probe(&self, question: &Question) -> Answer {
        let refuse = |text: String| say(StatusCode::BAD_REQUEST, text);
        let Some(target) = question.parameter("target").filter(|t| !t.is_empty()) else {
            return refuse("target is required\n".to_owned());
        };
        let mut dsn = match Dsn::parse_target(target) {
            Ok(dsn) => dsn,
            Err(reason) => return refuse(format!("could not configure dsn for target: {reason}\n")),
        };
        if let Some(name) = question.parameter("auth_module").filter(|name| !name.is_empty()) {
            let Some(module) = self.options.auth_modules.get(name) else {
                return refuse(format!("auth_module {name} not found\n"));
            };
            if !module.is_complete() {
                return refuse(format!("auth_module {name} has no username or password\n"));
            }
            module.apply(&mut dsn);
        }
        let (mut page, patience, start) = (Page::new(), Patience::of(question.within), Instant::now());
        let place = tokio::time::timeout(question.within, self.busy.acquire()).await;
        let opened = match &place {
            Ok(_) => Session::open(&dsn, patience).await,
            Err(_) => Err(QueryError::Address(format!("{MAX_SCRAPES} scrapes are at work (MAX_SCRAPES)"))),
        };
        let outcome = match opened {
            Ok(session) => self.scrape(&mut page, &session, &dsn, true, patience).await,
            Err(error) => not_connected(&dsn, &error),
        };
        self.about(&mut page, &[outcome], start);
        question.answer(&page)
    }
}

/// What a collector was told, and how long that took.
struct Answered<'a> {
    collector: &'a Collector,
    seconds: f64,
    table: Result<Table, QueryError>,
}

async fn timed<'a>(collector: &'a Collector, session: &Session, patience: Patience) -> Answered<'a> {
    let start = Instant::now();
    let table = collectors::ask(collector, session, patience).await;
    Answered { collector, seconds: start.elapsed().as_secs_f64(), table }
}

fn not_connected(dsn: &Dsn, error: &QueryError) -> Outcome {
    tracing::warn!(server = dsn.shown(), %error, "PostgreSQL does not answer");
    Outcome { connected: false, failed: true }
}

/// Says what failed; whether it did.
fn note(dsn: &Dsn, what: &str, result: Result<(), QueryError>) -> bool {
    match result {
        Ok(()) => false,
        Err(error) => {
            tracing::warn!(server = dsn.shown(), what, %error, "a query failed");
            true
        }
    }
}
