//! The logs: JSON lines of a shop's microservices, the same for the same seed and start.
//!
//! A request is a trace of three to eight lines in as many services; 48 traces are under way at any time. Of the 17 members
//! trace and span ids, users, addresses, paths, sizes and durations are different in nearly every line or trace; level, service,
//! method, status, caller are few. It knows what the right answers to some questions are.

use std::fmt::Write as _;

/// Services, each with [`PODS`] pods: a pod is a stream.
pub const SERVICES: usize = 20;
const PODS: usize = 5;

/// Mean nanoseconds between two lines: 2.7 million of them in a little more than four hours.
const STEP_NS: f64 = 5_500_000.0;

/// Traces under way.
const TRACES: usize = 48;

/// A word that is in four lines.
pub const NEEDLE: &str = "zebrafinch";

/// The needle is in every line whose number leaves this rest through a quarter of all lines.
const NEEDLE_PLACE: u64 = 77;

/// Part of a word.
pub const INNER: &str = "rder_id=83721";

/// What [`INNER`] is part of, and more.
pub const REGEX: &str = "order_id=8372[0-9]{4}";

/// Three words that only some errors have together.
pub const WORDS: [&str; 3] = ["upstream", "connection", "peer"];

/// Small, fast, and the same everywhere (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of numbers of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ((self.next() >> 11) as f64 / (1u64 << 53) as f64).max(1e-12).ln()
    }
}

/// A stream: the labels that every server gets.
#[derive(Clone, Debug)]
pub struct Stream {
    /// `namespace`.
    pub namespace: String,
    /// `pod`.
    pub pod: String,
    /// `service`.
    pub service: String,
}

/// All streams; a line's stream is an index into them.
pub fn streams() -> Vec<Stream> {
    const SUFFIXES: [&str; PODS] = ["x2k4z", "m8q7d", "t5w9r", "b3n6h", "c7v2p"];
    let stream = |i: usize| {
        let (service, pod) = (i / PODS, i % PODS);
        let (namespace, service) = (["shop", "ride", "bank"][service % 3], format!("svc-{service:02}"));
        let pod = format!("{service}-7c9d8f6b5-{}", SUFFIXES[pod]);
        Stream { namespace: namespace.to_owned(), pod, service }
    };
    (0..SERVICES * PODS).map(stream).collect()
}

/// What the right answers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Lines.
    pub lines: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Lines with [`NEEDLE`].
    pub needles: u64,
    /// Lines with [`INNER`].
    pub inner: u64,
    /// Lines that match [`REGEX`].
    pub regex: u64,
    /// Lines with a status of 500 or more that took more than 900 ms.
    pub slow: u64,
    /// Lines with all [`WORDS`].
    pub words: u64,
    /// A trace in the middle, and its lines.
    pub trace: (String, u64),
}

/// One request on its way.
#[derive(Clone, Debug)]
struct Trace {
    id: [u64; 2],
    left: u64,
    user: u64,
    ip: u64,
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Index of its stream.
    pub stream: usize,
    /// Unix nanoseconds.
    pub ns: i64,
    /// The JSON.
    pub text: &'a str,
}

/// Makes one line after the other.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    streams: Vec<Stream>,
    traces: Vec<Trace>,
    ns: i64,
    number: u64,
    expected: u64,
    text: String,
    message: String,
    /// The day of the last line, and its text.
    day: (i64, String),
    /// What is known of the lines so far.
    pub truth: Truth,
    marked: Option<[u64; 2]>,
}

const METHODS: [&str; 5] = ["GET", "GET", "GET", "POST", "PUT"];
const ROUTES: [&str; 6] = ["users", "orders", "carts", "payments", "items", "sessions"];
const CALLERS: [&str; 6] = [
    "internal/http/server.go",
    "internal/db/query.go",
    "internal/queue/worker.go",
    "pkg/cache/redis.go",
    "pkg/auth/session.go",
    "cmd/api/main.go",
];

impl Generator {
    /// Lines from `start_ns` on; about `expected` of them will be asked for.
    pub fn new(seed: u64, start_ns: i64, expected: u64) -> Self {
        let mut random = Random::new(seed);
        let traces = (0..TRACES).map(|_| Trace::new(&mut random)).collect();
        Generator {
            random,
            streams: streams(),
            traces,
            ns: start_ns / 1000 * 1000,
            number: 0,
            expected: expected.max(4),
            text: String::new(),
            message: String::new(),
            day: (i64::MIN, String::new()),
            truth: Truth::default(),
            marked: None,
        }
    }

    /// The next line.
    pub fn next_line(&mut self) -> Line<'_> {
        let r = &mut self.random;
        self.ns += (r.exponential(STEP_NS) as i64).max(1000) / 1000 * 1000;
        let place = r.below(TRACES as u64) as usize;
        if self.traces[place].left == 0 {
            self.traces[place] = Trace::new(r);
        }
        self.traces[place].left -= 1;
        let trace = self.traces[place].clone();
        let stream = r.below((SERVICES * PODS) as u64) as usize;
        let needle = self.number % (self.expected / 4).max(1) == NEEDLE_PLACE;
        let level = match r.below(200) {
            0..=19 => 0,
            20..=184 => 1,
            185..=196 => 2,
            _ => 3,
        };
        self.message.clear();
        let order = message(r, level, needle, &mut self.message);
        let status = if level == 3 {
            [500, 502, 503, 504][r.below(4) as usize]
        } else {
            [200, 200, 200, 200, 201, 204, 304, 404][r.below(8) as usize]
        };
        let duration = (r.exponential(if level == 3 { 450.0 } else { 90.0 }) * 1000.0) as u64;
        self.write(stream, &trace, level, status, duration);
        self.note(&trace, needle, order, status, duration);
        Line { stream, ns: self.ns, text: &self.text }
    }

    fn write(&mut self, stream: usize, trace: &Trace, level: usize, status: u64, duration: u64) {
        let r = &mut self.random;
        let s = &self.streams[stream];
        let (seconds, micros) = (self.ns.div_euclid(1_000_000_000), self.ns / 1000 % 1_000_000);
        if self.day.0 != seconds.div_euclid(86_400) {
            self.day = (seconds.div_euclid(86_400), date(seconds.div_euclid(86_400)));
        }
        let t = seconds.rem_euclid(86_400);
        self.text.clear();
        // Writing to a text cannot fail.
        let _ = write!(
            self.text,
            r#"{{"time":"{}T{:02}:{:02}:{:02}.{micros:06}Z","level":"{}","service":"{}","namespace":"{}","pod":"{}","caller":"{}:{}","trace_id":"{:016x}{:016x}","span_id":"{:016x}","method":"{}","path":"/api/v1/{}/{}","status":{status},"duration_ms":{}.{:03},"bytes":{},"user_id":"u{:07}","client_ip":"10.{}.{}.{}","version":"2.{}.1","message":"{}"}}"#,
            self.day.1,
            t / 3600,
            t / 60 % 60,
            t % 60,
            ["debug", "info", "warn", "error"][level],
            s.service,
            s.namespace,
            s.pod,
            CALLERS[r.below(6) as usize],
            r.below(40) * 7 + 20,
            trace.id[0],
            trace.id[1],
            r.next(),
            METHODS[r.below(5) as usize],
            ROUTES[r.below(6) as usize],
            r.below(1_000_000),
            duration / 1000,
            duration % 1000,
            r.below(60_000),
            trace.user,
            trace.ip >> 16 & 3,
            trace.ip >> 8 & 255,
            trace.ip & 255,
            stream / PODS % 4,
            self.message,
        );
        self.number += 1;
    }

    fn note(&mut self, trace: &Trace, needle: bool, order: Option<u64>, status: u64, duration: u64) {
        let truth = &mut self.truth;
        truth.lines += 1;
        truth.bytes += self.text.len() as u64;
        truth.needles += u64::from(needle);
        truth.inner += u64::from(order.is_some_and(|o| o / 1000 == 83721));
        truth.regex += u64::from(order.is_some_and(|o| o / 10_000 == 8372));
        truth.slow += u64::from(status >= 500 && duration > 900_000);
        truth.words += u64::from(WORDS.iter().all(|w| self.message.contains(w)));
        truth.trace.1 += u64::from(self.marked == Some(trace.id));
        if self.number == self.expected / 2 {
            self.begin_marked();
        }
    }

    /// Starts a new trace whose lines are counted.
    fn begin_marked(&mut self) {
        let trace = Trace { left: 6, ..Trace::new(&mut self.random) };
        self.truth.trace = (format!("{:016x}{:016x}", trace.id[0], trace.id[1]), 0);
        self.marked = Some(trace.id);
        self.traces[0] = trace;
    }
}

impl Trace {
    fn new(r: &mut Random) -> Self {
        Trace {
            id: [r.next(), r.next()],
            left: 3 + r.below(6),
            user: r.below(2_000_000),
            ip: r.below(1 << 18),
        }
    }
}

/// Writes the message; returns the order it is about, if it names one so.
fn message(r: &mut Random, level: usize, needle: bool, out: &mut String) -> Option<u64> {
    if needle {
        let _ = write!(out, "{NEEDLE} seen while reconciling batch {}", r.below(100_000));
        return None;
    }
    let (a, b) = (r.below(90_000_000) + 10_000_000, r.below(5000));
    if level == 3 {
        let _ = match r.below(10) {
            0..=3 => write!(
                out,
                "unhandled error: cannot read property of undefined\\n    at Handler.run (/app/src/handler.js:{}:{})\\n    at process (/app/src/queue.js:{}:11)\\n    at runMicrotasks (<anonymous>)",
                b % 900,
                b % 80,
                b % 300
            ),
            4..=6 => write!(out, "upstream request failed after {b}ms: connection reset by peer"),
            _ => write!(
                out,
                "payment provider answered with an error code={} after {} attempts",
                b % 60,
                b % 5
            ),
        };
        return None;
    }
    let _ = match r.below(8) {
        0 => {
            let _ = write!(out, "order_id={a} accepted for delivery in zone {}", b % 40);
            return Some(a);
        }
        1 => write!(out, "request completed in {b}ms"),
        2 => write!(out, "cache miss for key user:{a}:profile, loading from database"),
        3 => write!(out, "published event seq={a} to topic orders-{}", b % 12),
        4 => write!(out, "session refreshed, token is valid for another 3600 seconds"),
        5 => write!(out, "retrying call to inventory attempt={} backoff={b}ms", b % 5),
        6 => write!(out, "query returned {b} rows in {}.{:03}ms from replica {}", b % 97, a % 1000, b % 3),
        _ => write!(out, "driver {} moved to cell {:06x}", b * 3, a & 0xff_ffff),
    };
    None
}

/// A day as a date (Hinnant's civil_from_days).
fn date(day: i64) -> String {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    format!("{:04}-{m:02}-{d:02}", yoe + era * 400 + i64::from(m <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_for_the_same_seed_and_what_is_known_of_them_is_true() {
        let all = |seed| {
            let mut g = Generator::new(seed, 1_790_000_000_000_000_000, 40_000);
            let lines: Vec<(usize, i64, String)> = (0..40_000)
                .map(|_| {
                    let line = g.next_line();
                    (line.stream, line.ns, line.text.to_owned())
                })
                .collect();
            (lines, g.truth)
        };
        let (lines, truth) = all(7);
        assert_eq!((lines.clone(), truth.clone()), all(7));
        assert_ne!(lines, all(8).0);
        assert!(lines.windows(2).all(|w| w[0].1 < w[1].1));
        assert!(lines.iter().all(|(_, _, l)| serde_json::from_str::<serde_json::Value>(l).is_ok()));
        let having = |text: &str| lines.iter().filter(|(_, _, l)| l.contains(text)).count() as u64;
        assert_eq!((truth.lines, truth.needles, having(NEEDLE)), (40_000, 4, 4));
        assert_eq!(truth.inner, having(INNER));
        assert_eq!((truth.trace.1, having(&truth.trace.0)), (6, 6));
        assert!(truth.words > 0 && truth.words <= having(WORDS[1]));
        let mean = truth.bytes / truth.lines;
        assert!((430..470).contains(&mean), "{mean} bytes a line");
    }

    #[test]
    fn days_are_dates() {
        assert_eq!(
            (date(0), date(19_782), date(20_453)),
            ("1970-01-01".into(), "2024-02-29".into(), "2025-12-31".into())
        );
    }
}
