//! The same queries on the same data, asked of a real Prometheus and of the evaluator: values, and the samples counted at
//! each step.
//!
//! Runs only if `PROMETHEUS_DIR` names a folder with the binary `prometheus` (2.42 or newer), which gets the samples by remote write;
//! `DIFFERENTIAL_QUERIES` says how many queries (default 500).
//!
//! Where 2.x and 3.x differ on purpose the data and the queries keep away by construction: no sample lies on the
//! start of a range or of a lookback (ranges became left-open), no counter is near zero (the rate of young counters),
//! no subquery stands in another one, buckets rise.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reba_ingest::remote_write::WriteRequest;
use reba_model::{Labels, Sample, float::parse_go};
use reba_promql::eval::{Inline, QueryTimes};
use reba_testkit::{Answer, EvalTimes, LoadedSeries, ScriptEngine, SeriesValue};
use serde_json::Value;
use support::MemEngine;

/// Scrapes happen at this time and every 15 seconds from there, 13 milliseconds off the full second.
const START: i64 = 1_700_000_013;
const SCRAPES: i64 = 400;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

fn data() -> Vec<LoadedSeries> {
    let mut dice = Dice(88_172_645_463_325_252);
    let mut out = Vec::new();
    for (job, instance) in [("api", "a"), ("api", "b"), ("db", "a"), ("db", "c"), ("web", "d")] {
        for code in ["200", "500"] {
            let mut v = 1e6 + dice.below(1000) as f64;
            let labels =
                [("__name__", "requests_total"), ("job", job), ("instance", instance), ("code", code)];
            out.push(series(&labels, &mut dice, |dice| {
                v += dice.below(50) as f64;
                // A reset now and then, though not to zero.
                if dice.below(90) == 0 {
                    v = 4e5 + dice.below(100) as f64;
                }
                v
            }));
        }
        let labels = [("__name__", "temperature"), ("job", job), ("instance", instance)];
        out.push(series(&labels, &mut dice, |dice| (dice.below(4000) as f64 - 1500.0) / 100.0));
        let labels = [("__name__", "up"), ("job", job), ("instance", instance)];
        out.push(series(&labels, &mut dice, |dice| f64::from(u8::from(dice.below(5) > 0))));
        let mut counts = [5e5; 5];
        for (i, le) in ["0.1", "0.5", "1", "5", "+Inf"].iter().enumerate() {
            let labels = [("__name__", "latency_bucket"), ("job", job), ("instance", instance), ("le", *le)];
            let below = if i == 0 { 0.0 } else { counts[i - 1] };
            let mut v = below + 1e5;
            counts[i] = v;
            // The same gaps and steps in every bucket, so that counts rise with the bounds.
            let letter = |s: &str| u64::from(s.as_bytes()[0]);
            let mut own = Dice(7 + letter(instance) * 13 + letter(job));
            out.push(series(&labels, &mut own, |dice| {
                v += (dice.below(9) * (i as u64 + 1)) as f64;
                v
            }));
        }
    }
    out
}

fn series(labels: &[(&str, &str)], dice: &mut Dice, mut next: impl FnMut(&mut Dice) -> f64) -> LoadedSeries {
    let mut samples = Vec::new();
    let mut gap = 0;
    // No two series have equal values; the buckets of one histogram are scaled alike.
    let unscaled = labels.iter().any(|(n, v)| *n == "le" || *v == "up");
    let identity =
        labels.iter().flat_map(|(_, v)| v.bytes()).fold(7u64, |h, b| h * 31 % 10_007 + u64::from(b));
    let scale = if unscaled { 1.0 } else { 1.0 + identity as f64 * 1e-7 };
    for k in 0..SCRAPES {
        let v = next(dice);
        // Missed scrapes, once in a while long enough to outlive the lookback.
        if gap == 0 && dice.below(60) == 0 {
            gap = 1 + dice.below(30);
        }
        if gap > 0 {
            gap -= 1;
            continue;
        }
        samples.push(((START + 15 * k) * 1000 + 13, SeriesValue::Float(v * scale)));
    }
    LoadedSeries { labels: Labels::from_pairs(labels.iter().copied()), samples, starts: Vec::new() }
}

/// Remote-write requests for all samples, each with ten minutes of every series: a head refuses what lies an hour back.
fn requests(data: &[LoadedSeries]) -> Vec<Vec<u8>> {
    const SLICE: usize = 40;
    let longest = data.iter().map(|s| s.samples.len()).max().unwrap();
    let slices = (0..longest).step_by(SLICE).map(|from| {
        let mut request = WriteRequest::new();
        for s in data {
            request.begin_series(&s.labels);
            for (t, value) in s.samples.iter().skip(from).take(SLICE) {
                if let SeriesValue::Float(v) = value {
                    request.sample(Sample { t: *t, v: *v });
                }
            }
            request.end_series();
        }
        request.body().unwrap()
    });
    slices.collect()
}

const RANGES: [&str; 5] = ["1m", "90s", "5m", "10m", "17m30s"];
const RANGE_FUNCTIONS: [&str; 18] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "changes",
    "resets",
    "deriv",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "present_over_time",
    "absent_over_time",
];
const ELEMENT_FUNCTIONS: [&str; 20] = [
    "abs",
    "ceil",
    "floor",
    "exp",
    "ln",
    "sqrt",
    "sgn",
    "round",
    "hour",
    "minute",
    "day_of_week",
    "timestamp",
    "absent",
    "sort",
    "sort_desc",
    "-",
    "deg",
    "atan",
    "cosh",
    "log2",
];
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
// Not `atan2`, which kept the name of the metric.
const ARITHMETIC: [&str; 6] = ["+", "-", "*", "/", "%", "^"];
const COMPARISONS: [&str; 10] = ["==", "!=", "<", "<=", ">", ">=", "> bool", "< bool", "== bool", "!= bool"];
const SETS: [&str; 3] = ["and", "or", "unless"];
const MATCHING: [&str; 9] = [
    "",
    "",
    "",
    "on (job)",
    "on (job, instance)",
    "ignoring (code)",
    "ignoring (code, le)",
    "on (instance)",
    "ignoring (instance)",
];
const GROUPINGS: [&str; 8] = [
    "",
    "by (job)",
    "by (job, instance)",
    "without (code)",
    "without (instance, code)",
    "by (code)",
    "by (missing)",
    "without (le)",
];

struct Generator(Dice);

impl Generator {
    fn selector(&mut self) -> String {
        let matchers = [
            "requests_total",
            "requests_total",
            "temperature",
            "up",
            "latency_bucket",
            "requests_total{code=\"500\"}",
            "temperature{job=~\"api|db\"}",
            "{__name__=~\"up|temperature\"}",
            "up{instance!=\"a\"}",
            "missing",
            "latency_bucket{le=~\"0.+\",job=\"api\"}",
            "requests_total{code!~\"5..\"}",
        ];
        self.0.pick(&matchers).to_owned()
    }

    fn modifier(&mut self) -> &'static str {
        let times = [
            "",
            "",
            "",
            "",
            " offset 1m",
            " offset 7m",
            " offset -2m",
            " @ 1700002007",
            " @ start()",
            " @ end()",
        ];
        self.0.pick(&times)
    }

    fn range(&mut self, depth: u32) -> String {
        let length = self.0.pick(&RANGES);
        if depth > 1 && self.0.below(3) == 0 {
            let step = self.0.pick(&["30s", "1m", ""]);
            // A subquery's own range must not begin on one of its steps.
            return format!(
                "({})[{length}:{step}]",
                Generator(Dice(self.0.below(u64::MAX) | 1)).flat(depth - 1)
            );
        }
        let selector = self.selector();
        format!("{selector}[{length}]{}", self.modifier())
    }

    /// A vector without any subquery in it.
    fn flat(&mut self, depth: u32) -> String {
        loop {
            let q = self.vector(depth);
            if !q.contains(")[") {
                return q;
            }
        }
    }

    /// A vector without equal values: which of them `topk` picks is up to chance.
    fn distinct(&mut self) -> String {
        let length = self.0.pick(&RANGES);
        match self.0.below(4) {
            0 => "temperature".to_owned(),
            1 => format!(
                "avg_over_time(temperature[{length}]) * on (job, instance) group_left () max_over_time(up[17m30s])"
            ),
            2 => format!("-requests_total{}", self.modifier()),
            _ => format!("sum by (job, instance) (avg_over_time(requests_total[{length}]))"),
        }
    }

    fn scalar(&mut self) -> String {
        match self.0.below(5) {
            0 => "time() / 1e8".to_owned(),
            1 => "scalar(count(up))".to_owned(),
            _ => self.0.pick(&["2", "0.5", "-1", "10", "1e6"]).to_owned(),
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            let selector = self.selector();
            return format!("{selector}{}", self.modifier());
        }
        let next = depth - 1;
        match self.0.below(14) {
            0..=2 => match self.0.pick(&RANGE_FUNCTIONS) {
                // Of what is no counter they depend on how near it is to zero.
                f @ ("rate" | "increase") => {
                    let selector =
                        self.0.pick(&["requests_total", "latency_bucket", "requests_total{code=\"500\"}"]);
                    format!("{f}({selector}[{}]{})", self.0.pick(&RANGES), self.modifier())
                }
                f => format!("{f}({})", self.range(depth)),
            },
            3 => match self.0.below(4) {
                0 => format!("quantile_over_time(0.7, {})", self.range(depth)),
                // Pinned by `@` it was wrong behind the first step.
                1 => format!("predict_linear({}[{}], 600)", self.selector(), self.0.pick(&RANGES)),
                2 => format!("holt_winters({}, 0.5, 0.5)", self.range(depth)),
                _ => format!("histogram_quantile(0.9, rate(latency_bucket[{}]))", self.0.pick(&RANGES)),
            },
            4 | 5 => {
                let f = self.0.pick(&ELEMENT_FUNCTIONS);
                // The hour of NaN is up to the machine.
                let is_date = ["hour", "minute", "day_of_week"].contains(&f);
                let vector = self.vector(next);
                if is_date { format!("{f}(({vector}) > -1e12 < 1e12)") } else { format!("{f}({vector})") }
            }
            6 | 7 => {
                let (op, by) = (self.0.pick(&AGGREGATIONS), self.0.pick(&GROUPINGS));
                let vector = self.vector(next);
                // The deviation of a single NaN or infinity was 0.
                if op.starts_with("std") {
                    return format!("{op} {by} (({vector}) > -1e300 < 1e300)");
                }
                format!("{op} {by} ({vector})")
            }
            8 => match self.0.below(4) {
                0 => format!("topk({}, {})", 1 + self.0.below(4), self.distinct()),
                1 => format!("bottomk by (job) ({}, {})", 1 + self.0.below(2), self.distinct()),
                2 => format!("quantile by (job) (0.{}, {})", self.0.below(10), self.vector(next)),
                // The last digit of a value is up to the order of summation.
                _ => format!("count_values by (job) (\"value\", round({}, 10))", self.vector(next)),
            },
            9 | 10 => {
                let op = match self.0.below(3) {
                    0 => self.0.pick(&ARITHMETIC),
                    1 => self.0.pick(&COMPARISONS),
                    _ => self.0.pick(&SETS),
                };
                let mut matching = self.0.pick(&MATCHING).to_owned();
                if !SETS.contains(&op) && !matching.is_empty() && self.0.below(3) == 0 {
                    matching += self.0.pick(&[" group_left ()", " group_right ()", " group_left (missing)"]);
                }
                format!("({}) {op} {matching} ({})", self.vector(next), self.vector(next))
            }
            11 => {
                let op =
                    if self.0.below(2) == 0 { self.0.pick(&ARITHMETIC) } else { self.0.pick(&COMPARISONS) };
                let (vector, scalar) = (self.vector(next), self.scalar());
                if self.0.below(2) == 0 {
                    format!("({vector}) {op} {scalar}")
                } else {
                    format!("{scalar} {op} ({vector})")
                }
            }
            12 => match self.0.below(3) {
                0 => format!("clamp({}, -1, {})", self.vector(next), self.scalar()),
                1 => format!("clamp_max({}, {})", self.vector(next), self.scalar()),
                _ => format!("round({}, 0.3)", self.vector(next)),
            },
            _ => match self.0.below(3) {
                0 => format!("label_replace({}, \"dst\", \"x-$1\", \"job\", \"(.).*\")", self.vector(next)),
                1 => format!("label_join({}, \"dst\", \"-\", \"job\", \"instance\")", self.vector(next)),
                _ => format!("vector({})", self.scalar()),
            },
        }
    }
}

/// A running Prometheus.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(binaries: &Path, dir: &Path, data: &[LoadedSeries]) -> Server {
        std::fs::write(dir.join("prometheus.yml"), "global:\n  evaluation_interval: 1m\n").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(binaries.join("prometheus"))
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .args(["--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver"])
            .arg("--enable-feature=promql-per-step-stats")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, port };
        for _ in 0..300 {
            if server.post("/-/ready", b"").is_some_and(|(status, _)| status != 503) {
                for request in requests(data) {
                    let answer = server.post("/api/v1/write", &request);
                    assert!(answer.as_ref().is_some_and(|(status, _)| *status == 204), "{answer:?}");
                }
                return server;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("prometheus does not start");
    }

    fn post(&self, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        // Version 1.0, so that the body comes as it is.
        let head = format!(
            "POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    fn query(&self, expr: &str, times: EvalTimes) -> Result<(Elements, Counted), String> {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let mut query = String::new();
        for b in expr.bytes() {
            write!(query, "%{b:02X}").unwrap();
        }
        let (path, form) = match times {
            EvalTimes::Instant(t) => {
                ("/api/v1/query", format!("query={query}&stats=all&time={}", seconds(t)))
            }
            EvalTimes::Range { start, end, step } => (
                "/api/v1/query_range",
                format!(
                    "query={query}&stats=all&start={}&end={}&step={}",
                    seconds(start),
                    seconds(end),
                    seconds(step)
                ),
            ),
        };
        let (_, body) = self.post(path, form.as_bytes()).expect("prometheus does not answer");
        let json: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        if json["status"] != "success" {
            return Err(json["error"].as_str().unwrap_or_default().to_owned());
        }
        let mut out = Elements::new();
        let result = &json["data"]["result"];
        let steps = json["data"]["stats"]["samples"]["totalQueryableSamplesPerStep"].as_array().unwrap();
        let counted = steps.iter().map(|s| s[1].as_u64().unwrap()).collect();
        if json["data"]["resultType"] == "scalar" {
            add(&mut out, "{}", result);
            return Ok((out, counted));
        }
        for series in result.as_array().unwrap() {
            let labels = series["metric"].as_object().unwrap();
            let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())));
            let one = series.get("value").into_iter();
            for sample in one.chain(series["values"].as_array().into_iter().flatten()) {
                add(&mut out, &labels.to_string(), sample);
            }
        }
        Ok((out, counted))
    }
}

/// Samples that selectors handed over, at each step.
type Counted = Vec<u64>;

/// Values by labels and time.
type Elements = BTreeMap<(String, i64), f64>;

fn add(out: &mut Elements, labels: &str, sample: &Value) {
    let t = (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
    out.insert((labels.to_owned(), t), parse_go(sample[1].as_str().unwrap()).unwrap());
}

fn ours(engine: &mut MemEngine<'_>, expr: &str, times: EvalTimes) -> Result<(Elements, Counted), String> {
    let mut out = Elements::new();
    let query_times = match times {
        EvalTimes::Instant(t) => QueryTimes::Instant { t },
        EvalTimes::Range { start, end, step } => QueryTimes::Range { start, end, step },
    };
    let counted = engine.output(expr, query_times)?.0.samples_per_step;
    match engine.query(expr, times)?.answer {
        Answer::Scalar(v) => {
            let EvalTimes::Instant(t) = times else { panic!("a scalar of a range") };
            out.insert(("{}".to_owned(), t), v);
        }
        Answer::String(_) => {}
        Answer::Vector(series) | Answer::Matrix(series) => {
            for (labels, samples) in series {
                for (t, v) in samples.t.iter().zip(&samples.v) {
                    out.insert((labels.to_string(), *t), *v);
                }
            }
        }
    }
    Ok((out, counted))
}

/// Rounding differs: sums are compensated in newer versions. Cancellation makes small differences of large numbers.
fn close(a: f64, b: f64) -> bool {
    a == b
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-7 * (a.abs() + b.abs())
        || (a - b).abs() < 1e-6
}

fn same(a: &Elements, b: &Elements) -> Result<(), String> {
    if let Some(key) = a.keys().find(|k| !b.contains_key(*k)) {
        return Err(format!("theirs has {key:?} = {}, ours has not", a[key]));
    }
    if let Some(key) = b.keys().find(|k| !a.contains_key(*k)) {
        return Err(format!("ours has {key:?} = {}, theirs has not", b[key]));
    }
    match a.iter().find(|(k, v)| !close(**v, b[*k])) {
        Some((key, v)) => Err(format!("{key:?}: theirs {v}, ours {}", b[key])),
        None => Ok(()),
    }
}

/// An error without the labels in it: which of several is reported is up to chance.
fn kind(error: &str) -> &str {
    let error = error.strip_prefix("invalid parameter \"query\": ").unwrap_or(error);
    error.split_once('{').map_or(error, |(kind, _)| kind)
}

/// 3.x refuses two matches of one series even if a filtering comparison leaves at most one of them.
fn is_newer_refusal(query: &str, error: &str) -> bool {
    let filters = COMPARISONS[..6].iter().any(|op| query.contains(&format!(") {op} ")));
    filters && error.starts_with("multiple matches for labels: many-to-one matching must be explicit")
}

#[test]
fn generated_queries_give_what_a_real_prometheus_gives() {
    let Ok(binaries) = std::env::var("PROMETHEUS_DIR") else {
        println!("differential skipped: PROMETHEUS_DIR is not set");
        return;
    };
    let count = std::env::var("DIFFERENTIAL_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(500u64);
    let data = data();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Path::new(&binaries), dir.path(), &data);
    let mut engine = MemEngine::new(&Inline);
    engine.delayed_name_removal = false;
    engine.max_samples = 50_000_000;
    engine.samples_per_step = true;
    engine.load(&data).unwrap();
    let (mut empty, mut errors, mut newer, mut differences) = (0, 0, 0, Vec::new());
    for i in 0..count {
        let mut generator = Generator(Dice((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        generator.0.below(2);
        let query = generator.vector(3 + (i % 2) as u32);
        // Steps are never a multiple of half a minute, so that no inner step of a subquery starts its range.
        let t = 1_700_002_007_000 + 1000 * 30 * generator.0.below(100) as i64;
        let times = if i % 2 == 0 {
            EvalTimes::Instant(t)
        } else {
            EvalTimes::Range {
                start: t,
                end: t + 30_000 * 20,
                step: 30_000 * (1 + generator.0.below(4) as i64),
            }
        };
        let result = match (server.query(&query, times), ours(&mut engine, &query, times)) {
            (Ok((theirs, their_samples)), Ok((ours, our_samples))) => {
                empty += u64::from(theirs.is_empty());
                if their_samples == our_samples {
                    same(&theirs, &ours)
                } else {
                    Err(format!("theirs counts {their_samples:?}, ours {our_samples:?}"))
                }
            }
            (Err(theirs), Err(ours)) => {
                errors += 1;
                let (a, b) = (kind(&theirs), kind(&ours));
                if a == b || is_newer_refusal(&query, &ours) {
                    Ok(())
                } else {
                    Err(format!("theirs fails: {a}, ours: {b}"))
                }
            }
            (Err(e), Ok(_)) => Err(format!("theirs fails: {e}")),
            (Ok(_), Err(e)) if is_newer_refusal(&query, &e) => {
                newer += 1;
                Ok(())
            }
            (Ok(_), Err(e)) => Err(format!("ours fails: {e}")),
        };
        if let Err(why) = result {
            println!("differs: {query} {times:?}\n    {why}");
            differences.push(query);
        }
    }
    println!(
        "differential queries {count} empty {empty} errors {errors} newer {newer} different {}",
        differences.len()
    );
    assert!(differences.is_empty());
}
