//! Traces of a shop of twelve services, generated from a seed.
//!
//! What makes them like real ones: a few kinds of requests, each with the tree of calls that it always has; calls that take what
//! their callers take and less; ids, users and paths that are all different; errors that come in the tail; resources of pods.

/// Numbers that look random and are the same for the same seed (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// A span.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are OpenTelemetry's")]
pub struct Span {
    pub trace_id: [u8; 16],
    pub span_id: u64,
    pub parent_id: u64,
    /// Index of its service in [`SERVICES`].
    pub service: usize,
    pub pod: u64,
    pub name: String,
    /// As on the wire: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    pub failed: bool,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: Vec<(&'static str, Value)>,
    /// Time, name and what was thrown.
    pub exception: Option<(u64, String)>,
}

/// Names of services.
pub const SERVICES: [&str; 12] = [
    "gateway", "orders", "payments", "users", "catalog", "search", "cart", "shipping", "mailer", "ledger",
    "risk", "postgres",
];

/// Kinds of requests: method, route, and the calls they make as (service, depth).
type Request = (&'static str, &'static str, &'static [(usize, usize)]);

const REQUESTS: [Request; 6] = [
    ("GET", "/api/v1/products/{id}", &[(4, 1), (11, 2), (5, 1), (11, 2)]),
    ("GET", "/api/v1/search", &[(5, 1), (4, 2), (11, 3), (4, 2), (11, 3)]),
    ("POST", "/api/v1/cart/{id}/items", &[(6, 1), (3, 2), (11, 3), (11, 2)]),
    ("POST", "/api/v1/orders", &[(1, 1), (3, 2), (11, 3), (2, 2), (10, 3), (9, 3), (11, 4), (7, 2), (8, 2)]),
    ("GET", "/api/v1/orders/{id}", &[(1, 1), (11, 2), (7, 2)]),
    ("GET", "/api/v1/users/me", &[(3, 1), (11, 2)]),
];

/// What the generator says of what it made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// Spans in all.
    pub spans: u64,
    /// Traces with a span that failed.
    pub failed_traces: u64,
}

/// Makes one trace after the other.
#[derive(Debug)]
pub struct Generator {
    dice: Dice,
    ns: u64,
    /// Nanoseconds between the starts of traces.
    step: u64,
    /// What was made so far.
    pub truth: Truth,
}

/// A user of whom there is exactly one request, near the middle.
pub const NEEDLE: &str = "user-needle";

impl Generator {
    /// Traces from `start_ns` on, `per_second` of them.
    pub fn new(seed: u64, start_ns: u64, per_second: u64) -> Self {
        Generator {
            dice: Dice::new(seed),
            ns: start_ns,
            step: 1_000_000_000 / per_second.max(1),
            truth: Truth::default(),
        }
    }

    /// The next trace; `user` instead of a random one.
    pub fn trace(&mut self, user: Option<&str>) -> Vec<Span> {
        let dice = &mut self.dice;
        self.ns += self.step / 2 + dice.roll(self.step);
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&dice.next().to_be_bytes());
        trace_id[8..].copy_from_slice(&dice.next().to_be_bytes());
        let (method, route, calls) = REQUESTS[[0, 0, 0, 1, 1, 2, 3, 4, 5, 5][dice.roll(10) as usize]];
        let fails = dice.roll(50) == 0;
        let id = dice.roll(1_000_000);
        let user = user.map_or_else(|| format!("user-{}", dice.roll(200_000)), str::to_owned);
        // Most take some milliseconds, few take seconds.
        let total =
            2_000_000 + dice.roll(30_000_000) + if dice.roll(40) == 0 { dice.roll(3_000_000_000) } else { 0 };
        let mut spans: Vec<Span> = Vec::with_capacity(2 * calls.len() + 1);
        let path = route.replace("{id}", &id.to_string());
        let mut root = blank(dice, trace_id, 0, 0, self.ns, total);
        root.name = format!("{method} {route}");
        root.kind = 2;
        root.attributes = http(method, route, &path, if fails { 500 } else { 200 });
        root.attributes.push(("user.id", Value::Text(user)));
        root.attributes
            .push(("net.peer.ip", Value::Text(format!("10.{}.{}.{}", id % 4, id % 200, id % 250))));
        root.failed = fails;
        let mut parents = vec![(root.span_id, self.ns, total)];
        spans.push(root);
        for (i, (service, depth)) in calls.iter().enumerate() {
            parents.truncate(*depth);
            let Some(&(parent, from, room)) = parents.last() else { continue };
            let caller = spans.iter().find(|s| s.span_id == parent).map_or(0, |s| s.service);
            let took = room / 4 + dice.roll(room / 2 + 1);
            let begin = from + dice.roll(room - took.min(room) + 1);
            let is_last = i + 1 == calls.len();
            let mut client = blank(dice, trace_id, parent, caller, begin, took);
            client.kind = 3;
            if *service == 11 {
                sql(dice, &mut client);
                spans.push(client);
                continue;
            }
            client.name = format!("{}/call", SERVICES[*service]);
            client.attributes = vec![
                ("rpc.system", Value::Text("grpc".to_owned())),
                ("rpc.service", Value::Text(SERVICES[*service].to_owned())),
                ("rpc.grpc.status_code", Value::Int(i64::from(fails && is_last) * 13)),
            ];
            let mut server =
                blank(dice, trace_id, client.span_id, *service, begin + took / 20, took - took / 10);
            server.kind = 2;
            server.name = format!("{}.Handle", SERVICES[*service]);
            server.attributes.clone_from(&client.attributes);
            server.attributes.push(("thread.id", Value::Int(dice.roll(64) as i64)));
            server.attributes.push(("cached", Value::Bool(dice.roll(3) == 0)));
            if fails && is_last {
                client.failed = true;
                server.failed = true;
                let at = server.start_ns + took / 2;
                server.exception =
                    Some((at, format!("java.io.IOException: {} unreachable", SERVICES[*service])));
            }
            parents.push((server.span_id, server.start_ns, server.end_ns - server.start_ns));
            spans.push(client);
            spans.push(server);
        }
        self.truth.spans += spans.len() as u64;
        self.truth.failed_traces += u64::from(fails);
        spans
    }
}

fn blank(
    dice: &mut Dice,
    trace_id: [u8; 16],
    parent_id: u64,
    service: usize,
    start_ns: u64,
    took: u64,
) -> Span {
    Span {
        trace_id,
        span_id: dice.next() | 1,
        parent_id,
        service,
        pod: u64::from(trace_id[0] % 3),
        name: String::new(),
        kind: 1,
        failed: false,
        start_ns,
        end_ns: start_ns + took,
        attributes: Vec::new(),
        exception: None,
    }
}

fn http(method: &str, route: &str, path: &str, code: i64) -> Vec<(&'static str, Value)> {
    let text = |value: &str| Value::Text(value.to_owned());
    vec![
        ("http.request.method", text(method)),
        ("http.route", text(route)),
        ("url.path", text(path)),
        ("http.response.status_code", Value::Int(code)),
        ("user_agent.original", text("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")),
        ("server.port", Value::Int(8080)),
    ]
}

fn sql(dice: &mut Dice, span: &mut Span) {
    let table = ["orders", "users", "products", "stock"][dice.roll(4) as usize];
    let text = |value: String| Value::Text(value);
    span.name = format!("SELECT {table}");
    span.attributes = vec![
        ("db.system", text("postgresql".to_owned())),
        ("db.name", text("shop".to_owned())),
        ("db.statement", text(format!("SELECT * FROM {table} WHERE id = $1 LIMIT 20"))),
        ("db.rows", Value::Int(dice.roll(20) as i64)),
        ("server.address", text("postgres:5432".to_owned())),
    ];
}

/// Attributes of a resource.
pub fn resource(service: usize, pod: u64) -> Vec<(&'static str, Value)> {
    let name = SERVICES[service];
    vec![
        ("service.name", Value::Text(name.to_owned())),
        ("service.namespace", Value::Text("shop".to_owned())),
        ("service.instance.id", Value::Text(format!("{name}-{pod}"))),
        ("host.name", Value::Text(format!("node-{pod}"))),
        ("telemetry.sdk.language", Value::Text("java".to_owned())),
        ("deployment.environment", Value::Text("production".to_owned())),
    ]
}
