//! A Redis or Valkey, in the words of redis_exporter 1.55.

mod info;
mod keys;
mod more;
mod options;
mod resp;
mod target;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use self::{
    info::Info,
    options::{Options, Passwords},
    resp::{Connection, RespError},
    target::Target,
};
use crate::{
    flags::FlagError,
    flags::wrong,
    own::Process,
    page::{Kind, Page, Rows},
    web::{Answer, Question, index, say},
};

/// The upstream's version whose names these are.
const VERSION: &str = "v1.55.0";

/// Databases of a server that does not tell.
const USUAL_DATABASES: u32 = 16;

/// Databases at most that are shown, whatever a server says.
const MAX_DATABASES: u32 = 4096;

/// How long a connection is kept between scrapes: who stands behind a name may change.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Writes families below a namespace.
struct Out<'a> {
    page: &'a mut Page,
    namespace: &'a str,
    /// Whether the host's memory is shown.
    system: bool,
}

impl Out<'_> {
    fn rows(&mut self, kind: Kind, name: &str, help: &'static str) -> Rows<'_> {
        let name =
            if self.namespace.is_empty() { name.to_owned() } else { format!("{}_{name}", self.namespace) };
        self.page.family(name, kind, help)
    }

    fn put(&mut self, kind: Kind, name: &str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.rows(kind, name, help).with(labels, value);
    }

    fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.put(Kind::Gauge, name, help, labels, value);
    }

    fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.put(Kind::Counter, name, help, labels, value);
    }
}

/// How scrapes of one target went.
#[derive(Debug, Default)]
struct Scrapes {
    count: u64,
    seconds: f64,
}

/// The exporter of Redis.
pub struct Redis {
    options: Options,
    passwords: RwLock<Passwords>,
    /// The connection to the server of the flags, as long as nobody uses it.
    idle: Mutex<Option<Connection>>,
    scrapes: Mutex<Scrapes>,
    request_errors: AtomicU64,
    process: Process,
}

impl Redis {
    /// An exporter that is started with these flags.
    pub fn new(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        let options = Options::parse(args, env)?;
        if !options.address.is_empty() {
            Target::parse(&options.address).map_err(|e| wrong(format!("--redis.addr: {e}")))?;
        }
        let passwords = options.passwords().map_err(wrong)?;
        Ok(Redis {
            options,
            passwords: RwLock::new(passwords),
            idle: Mutex::default(),
            scrapes: Mutex::default(),
            request_errors: AtomicU64::new(0),
            process: Process::new(),
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
            "/scrape" => self.scrape(question).await,
            "/health" => say(StatusCode::OK, "ok"),
            "/-/reload" => self.reload(),
            "/" => index("Redis Exporter", &[(&self.options.telemetry_path, "Metrics")]),
            _ => say(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn reload(&self) -> Answer {
        if self.options.password_file.is_empty() {
            return say(StatusCode::BAD_REQUEST, "There is no pwd file specified\n");
        }
        match self.options.passwords() {
            Ok(passwords) => {
                *self.passwords.write() = passwords;
                *self.idle.lock() = None;
                say(StatusCode::OK, "ok")
            }
            Err(reason) => {
                tracing::error!(reason, "the file of passwords cannot be read, the old ones stay");
                say(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload passwords file: {reason}\n"))
            }
        }
    }

    async fn metrics(&self, question: &Question) -> Answer {
        let mut page = Page::new();
        if self.options.address.is_empty() {
            self.scrapes.lock().count += 1;
        } else {
            let start = Instant::now();
            let (options, within) = (&self.options, question.within);
            match Target::parse(&options.address) {
                Ok(target) => {
                    let kept = self.idle.lock().take().filter(|c| c.is_usable(MAX_AGE));
                    let scrape = Scrape { target, options, within };
                    let connection = self.one(&mut page, scrape, &options.address, kept).await;
                    // Databases that were chosen, and scripts, leave their marks on it.
                    *self.idle.lock() = connection.filter(|_| !options.chooses_databases());
                }
                Err(reason) => failed(&mut out(&mut page, options), &reason),
            }
            let mut scrapes = self.scrapes.lock();
            scrapes.count += 1;
            scrapes.seconds += start.elapsed().as_secs_f64();
        }
        {
            let scrapes = self.scrapes.lock();
            self.about_scrapes(&mut page, scrapes.count, scrapes.seconds);
        }
        if !self.options.redis_only {
            self.process.write(&mut page);
        }
        question.answer(&page)
    }

    async fn scrape(&self, question: &Question) -> Answer {
        let refuse = |text: String| {
            self.request_errors.fetch_add(1, Ordering::Relaxed);
            say(StatusCode::BAD_REQUEST, text)
        };
        let Some(address) = question.parameter("target").filter(|t| !t.is_empty()) else {
            return refuse("'target' parameter must be specified\n".to_owned());
        };
        let target = match Target::parse(address) {
            Ok(target) => target.without_login(),
            Err(reason) => return refuse(format!("Invalid 'target' parameter: {reason}\n")),
        };
        let mut options = self.options.clone();
        for (parameter, place) in [
            ("check-keys", &mut options.check_keys),
            ("check-single-keys", &mut options.single_keys),
            ("check-streams", &mut options.check_streams),
            ("check-single-streams", &mut options.single_streams),
            ("count-keys", &mut options.count_keys),
        ] {
            let Some(text) = question.parameter(parameter).filter(|t| !t.is_empty()) else { continue };
            match keys::parse(text) {
                Ok(keys) => *place = keys,
                Err(reason) => return refuse(format!("{parameter}: {reason}\n")),
            }
        }
        let (mut page, start) = (Page::new(), Instant::now());
        let scrape = Scrape { target, options: &options, within: question.within };
        self.one(&mut page, scrape, address, None).await;
        self.about_scrapes(&mut page, 1, start.elapsed().as_secs_f64());
        question.answer(&page)
    }

    fn about_scrapes(&self, page: &mut Page, count: u64, seconds: f64) {
        let mut out = out(page, &self.options);
        out.counter("exporter_scrapes_total", "Scrapes of Redis.", &[], count as f64);
        let mut rows = out.rows(Kind::Summary, "exporter_scrape_duration_seconds", "How long scrapes took.");
        rows.suffixed("_sum", &[], seconds).suffixed("_count", &[], count as f64);
        let errors = self.request_errors.load(Ordering::Relaxed) as f64;
        out.counter("target_scrape_request_errors_total", "Wrong requests to /scrape.", &[], errors);
        if !self.options.redis_only {
            let labels = [
                ("build_date", ""),
                ("commit_sha", concat!("reba-", env!("CARGO_PKG_VERSION"))),
                ("golang_version", "none"),
                ("version", VERSION),
            ];
            out.gauge("exporter_build_info", "Which program answers here; always 1.", &labels, 1.0);
        }
    }

    /// Scrapes one target, over a connection from before if there is one; the connection, if it answered.
    async fn one(
        &self,
        page: &mut Page,
        mut scrape: Scrape<'_>,
        address: &str,
        kept: Option<Connection>,
    ) -> Option<Connection> {
        let options = scrape.options;
        let address = if address.contains("://") { address.to_owned() } else { format!("redis://{address}") };
        let by_file = self.passwords.read().get(&address).cloned().unwrap_or_default();
        scrape.target = scrape.target.with_login(&options.user, &options.password).with_login("", &by_file);
        let shown = scrape.target.shown();
        let start = Instant::now();
        let result = scrape.run(&mut out(page, options), kept).await;
        let mut out = out(page, options);
        let connection = match result {
            Ok(connection) => {
                out.gauge("exporter_last_scrape_error", LAST_ERROR, &[("err", "")], 0.0);
                out.gauge("up", "Whether Redis answers.", &[], 1.0);
                Some(connection)
            }
            Err(error) => {
                tracing::warn!(target = shown, %error, "redis does not answer");
                failed(&mut out, &error.to_string());
                None
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        out.gauge("exporter_last_scrape_duration_seconds", "How long this scrape took.", &[], seconds);
        connection
    }
}

const CONNECT_TIME: &str = "exporter_last_scrape_connect_time_seconds";
const CONNECT_HELP: &str = "How long connecting took; 0 with a connection from before.";

const LAST_ERROR: &str = "Whether this scrape failed, and why.";

fn failed(out: &mut Out<'_>, reason: &str) {
    out.gauge("exporter_last_scrape_error", LAST_ERROR, &[("err", reason)], 1.0);
    out.gauge("up", "Whether Redis answers.", &[], 0.0);
}

fn out<'a>(page: &'a mut Page, options: &'a Options) -> Out<'a> {
    Out { page, namespace: &options.namespace, system: options.system }
}

/// A scrape of one target.
struct Scrape<'a> {
    target: Target,
    options: &'a Options,
    within: Duration,
}

impl Scrape<'_> {
    /// Asks everything; the connection, for the next one.
    async fn run(self, out: &mut Out<'_>, kept: Option<Connection>) -> Result<Connection, RespError> {
        let start = Instant::now();
        let (mut connection, mut kept) = match kept {
            Some(mut connection) => {
                connection.until(start + self.within, self.within);
                (connection, true)
            }
            None => (self.connect(out, start).await?, false),
        };
        let (info, databases) = match general(out, &mut connection, self.options).await {
            // The server may have closed it long ago.
            Err(RespError::Io(_)) if kept => {
                (connection, kept) = (self.connect(out, start).await?, false);
                general(out, &mut connection, self.options).await?
            }
            answered => answered?,
        };
        if kept {
            out.gauge(CONNECT_TIME, CONNECT_HELP, &[], 0.0);
        }
        self.more(out, &mut connection, &info, databases).await;
        Ok(connection)
    }

    async fn connect(&self, out: &mut Out<'_>, start: Instant) -> Result<Connection, RespError> {
        let patience = self.options.connection_timeout.min(self.within);
        let connected = self.target.connect(&self.options.tls, start + patience, patience).await;
        out.gauge(CONNECT_TIME, CONNECT_HELP, &[], start.elapsed().as_secs_f64());
        let mut connection = connected?;
        connection.until(start + self.within, self.within);
        if self.options.set_client_name {
            match connection.ask(&[b"CLIENT", b"SETNAME", b"redis_exporter"]).await {
                // Who may not say it is nameless.
                Ok(_) | Err(RespError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(connection)
    }

    /// The server is up: whatever fails from here on costs its own families only.
    async fn more(&self, out: &mut Out<'_>, connection: &mut Connection, info: &Info, databases: u32) {
        let options = self.options;
        if options.ping {
            let start = Instant::now();
            if connection.ask(&[b"PING"]).await.is_ok() {
                let seconds = start.elapsed().as_secs_f64();
                out.gauge("exporter_last_scrape_ping_time_seconds", "How long a PING took.", &[], seconds);
            }
        }
        let said = |what: &'static str, result: Result<(), RespError>| {
            if let Err(error) = result {
                tracing::warn!(target = self.target.shown(), what, %error, "left out of this scrape");
            }
        };
        said("keys", checked_keys(out, connection, &self.target, options).await);
        said("streams", checked_streams(out, connection, options).await);
        said("count-keys", keys::count(out, connection, options, &options.count_keys).await);
        said("check-key-groups", keys::groups(out, connection, options, databases).await);
        if info.sentinel {
            said("sentinel", more::sentinel(out, connection).await);
        }
        said("script", more::scripts(out, connection, options).await);
    }
}

/// What every server is asked, in one breath; how many databases it has.
async fn general(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
) -> Result<(Info, u32), RespError> {
    let config = options.config_command.as_bytes();
    let settings: &[&[u8]] = if options.config_metrics {
        &[b"*"]
    } else {
        &[b"databases", b"maxclients", b"maxmemory", b"io-threads"]
    };
    let settings: Vec<[&[u8]; 3]> = settings.iter().map(|name| [config, b"GET", name]).collect();
    let mut asks: Vec<&[&[u8]]> = vec![
        &[b"INFO", b"ALL"],
        &[b"LATENCY", b"LATEST"],
        &[b"LATENCY", b"HISTOGRAM"],
        &[b"SLOWLOG", b"LEN"],
        &[b"SLOWLOG", b"GET", b"1"],
    ];
    let fixed = asks.len();
    asks.extend(settings.iter().map(|ask| ask.as_slice()));
    let mut replies = connection.ask_all(&asks).await?;
    let rest = replies.split_off(fixed);
    let [all, spikes, histograms, length, newest] = replies.as_slice() else {
        return Err(RespError::Protocol("replies are missing"));
    };
    let text = match all.text().filter(|text| !text.is_empty()) {
        Some(text) => text,
        None => connection.ask(&[b"INFO"]).await?.text().unwrap_or_default(),
    };
    let configured = rest.iter().filter_map(|reply| more::config(out, options, reply)).last();
    let databases = if Info::is_cluster(&text) {
        // Others would refuse it, and count that.
        let cluster = connection.ask(&[b"CLUSTER", b"INFO"]).await;
        info::write_cluster(out, &cluster.ok().and_then(|v| v.text()).unwrap_or_default());
        1
    } else {
        configured.unwrap_or(USUAL_DATABASES).min(MAX_DATABASES)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as f64;
    let info = info::write(out, &text, databases, now);
    more::spikes(out, spikes);
    more::histograms(out, &info, histograms);
    more::slow_log(out, length, newest);
    if options.client_list {
        let clients = connection.ask(&[b"CLIENT", b"LIST"]).await;
        more::clients(out, options, &clients.ok().and_then(|v| v.text()).unwrap_or_default(), now);
    }
    Ok((info, databases))
}

async fn checked_keys(
    out: &mut Out<'_>,
    connection: &mut Connection,
    target: &Target,
    options: &Options,
) -> Result<(), RespError> {
    let wanted: Vec<_> = options.single_keys.iter().chain(&options.check_keys).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if !options.is_cluster {
        let keys = keys::expand(connection, options, &wanted).await?;
        return keys::check(out, connection, options, &keys).await;
    }
    // Each master has its own keys, and refuses the others'.
    let nodes = connection.ask(&[b"CLUSTER", b"NODES"]).await?.text().unwrap_or_default();
    for address in masters(&nodes) {
        let Ok(node) = target.at(&address) else { continue };
        let mut connection = node.connect(&options.tls, connection.deadline(), connection.within()).await?;
        let keys = keys::expand(&mut connection, options, &wanted).await?;
        keys::check(out, &mut connection, options, &keys).await?;
    }
    Ok(())
}

/// Addresses of the masters in `CLUSTER NODES`: lines `id host:port@bus flags …`.
fn masters(nodes: &str) -> Vec<String> {
    let one = |line: &str| {
        let mut fields = line.split(' ');
        let (address, flags) = (fields.nth(1)?, fields.next()?);
        let flags: Vec<&str> = flags.split(',').collect();
        let (address, _) = address.split_once('@').unwrap_or((address, ""));
        (flags.contains(&"master") && !flags.contains(&"fail")).then(|| address.to_owned())
    };
    nodes.lines().filter_map(one).collect()
}

async fn checked_streams(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
) -> Result<(), RespError> {
    let wanted: Vec<_> = options.single_streams.iter().chain(&options.check_streams).cloned().collect();
    let keys = keys::expand(connection, options, &wanted).await?;
    more::streams(out, connection, &keys).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_of_a_cluster_are_found() {
        let nodes = "a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460\n\
                     b 10.0.0.2:7000@17000 slave a 0 0 1 connected\nc 10.0.0.3:7000@17000 master,fail - 0 0 1 connected\n";
        assert_eq!(masters(nodes), ["10.0.0.1:7000"]);
        assert!(masters("").is_empty());
    }
}
