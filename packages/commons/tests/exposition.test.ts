import { expect, test } from "vitest";
import { BUSINESS, type Definition, EXTENSIONS, HTTP } from "../src/contract.js";
import { type BusinessMetrics, createBusinessMetrics, createMetricsRegistry, negotiate, toText004 } from "../src/index.js";

const OURS = `service="wallet-service",environment="test"`;

function registry(memberLimit?: number) {
  const limit = memberLimit === undefined ? {} : { memberLimit };
  return createMetricsRegistry("wallet-service", { environment: "test", processMetrics: false, ...limit });
}

/** The lines of one family, as the page has them. */
async function family(name: string, act: (business: BusinessMetrics) => void): Promise<string> {
  const metrics = registry();
  act(createBusinessMetrics(metrics));
  const lines = (await metrics.expose()).split("\n");
  const from = lines.findIndex((line) => line.startsWith(`# HELP ${name} `));
  const length = lines.slice(from + 2).findIndex((line) => line.startsWith("#") || line === "");
  return lines.slice(from, from + 2 + length).join("\n");
}

function counter(name: string, help: string, samples: Record<string, number>): string {
  const lines = Object.entries(samples).map(([labels, value]) => `${name}{${labels},${OURS}} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} counter`, ...lines].join("\n");
}

function gauge(name: string, help: string, labels: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name}{${labels},${OURS}} ${value}`;
}

/** What one observation of `value` looks like. */
function histogram(name: string, help: string, labels: string, bounds: number[], value: number): string {
  const buckets = [...bounds, Infinity].map((le) => {
    const bound = le === Infinity ? "+Inf" : String(le);
    return `${name}_bucket{le="${bound}",${OURS},${labels}} ${value <= le ? 1 : 0}`;
  });
  const rest = [`${name}_sum{${OURS},${labels}} ${value}`, `${name}_count{${OURS},${labels}} 1`];
  return [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...buckets, ...rest].join("\n");
}

const CASES: readonly (readonly [string, (b: BusinessMetrics) => void, string])[] = [
  [
    "ride_requests_total",
    (b) => b.trackRideRequest("motorbike", "pending"),
    counter("ride_requests_total", "Ride requests", { 'status="pending",service_type="motorbike"': 1 }),
  ],
  [
    "ride_requests_accepted_total",
    (b) => b.trackRideAccepted("motorbike"),
    counter("ride_requests_accepted_total", "Rides that a driver took", { 'service_type="motorbike"': 1 }),
  ],
  [
    "ride_requests_rejected_total",
    (b) => b.trackRideRejected("cab", "no_driver"),
    counter("ride_requests_rejected_total", "Rides that nobody took", { 'service_type="cab",reason="no_driver"': 1 }),
  ],
  [
    "ride_duration_seconds",
    (b) => b.rideCompleted("cab", 700),
    histogram(
      "ride_duration_seconds",
      "How long rides took",
      'service_type="cab"',
      [60, 300, 600, 1200, 1800, 3600, 7200],
      700,
    ),
  ],
  [
    "active_rides",
    (b) => [1, 2, 3].forEach(() => b.rideStarted("cab")),
    gauge("active_rides", "Rides under way", 'service_type="cab"', 3),
  ],
  [
    "payment_transactions_total",
    (b) => {
      b.trackPayment("mpesa", 100, "success");
      b.trackPayment("momo", 5, "failed", "timeout");
    },
    counter("payment_transactions_total", "Payments", {
      'status="success",payment_method="mpesa"': 1,
      'status="failed",payment_method="momo"': 1,
    }),
  ],
  [
    "payment_amount_usd",
    (b) => {
      b.trackPayment("mpesa", 12.5, "success");
      b.trackPayment("mpesa", 500, "failed");
      b.trackPayment("mpesa", 500, "pending");
    },
    histogram(
      "payment_amount_usd",
      "Amounts of successful payments, in US dollars",
      'payment_method="mpesa"',
      [1, 5, 10, 20, 50, 100, 200, 500, 1000],
      12.5,
    ),
  ],
  [
    "payment_failures_total",
    (b) => {
      b.trackPayment("momo", 5, "failed", "insufficient_funds");
      b.trackPayment("card", 5, "failed");
    },
    counter("payment_failures_total", "Payments that failed", {
      'payment_method="momo",error_code="insufficient_funds"': 1,
      'payment_method="card",error_code="unknown"': 1,
    }),
  ],
  [
    "whatsapp_messages_total",
    (b) => {
      b.trackWhatsAppMessage("text", "sent");
      b.trackWhatsAppMessage("text", "failed", "131026");
    },
    counter("whatsapp_messages_total", "WhatsApp messages", {
      'status="sent",message_type="text"': 1,
      'status="failed",message_type="text"': 1,
    }),
  ],
  [
    "whatsapp_delivery_failures_total",
    (b) => b.trackWhatsAppMessage("template", "failed", "131026"),
    counter("whatsapp_delivery_failures_total", "WhatsApp messages that could not be delivered", {
      'error_code="131026"': 1,
    }),
  ],
  [
    "db_connections_active",
    (b) => b.setDbConnections("easymo", 7),
    gauge("db_connections_active", "Database connections in use", 'database="easymo"', 7),
  ],
  [
    "db_query_duration_seconds",
    (b) => b.trackDbQuery({ queryType: "select", table: "rides" }, 0.02),
    histogram(
      "db_query_duration_seconds",
      "How long database queries took",
      'query_type="select",table="rides"',
      [0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5],
      0.02,
    ),
  ],
  [
    "db_errors_total",
    (b) => b.trackDbError("deadlock"),
    counter("db_errors_total", "Database queries that failed", { 'error_type="deadlock"': 1 }),
  ],
  [
    "user_signups_total",
    (b) => b.trackSignup("driver"),
    counter("user_signups_total", "New users", { 'user_type="driver"': 1 }),
  ],
  [
    "active_users",
    (b) => b.setActiveUsers("driver", 4),
    gauge("active_users", "Users active now", 'user_type="driver"', 4),
  ],
  [
    "user_sessions",
    (b) => b.setUserSessions("driver", 5),
    gauge("user_sessions", "Sessions open now", 'user_type="driver"', 5),
  ],
  [
    "agents_online",
    (b) => b.setAgentsOnline("booking", 6),
    gauge("agents_online", "AI agents that take conversations", 'agent_type="booking"', 6),
  ],
  [
    "agent_response_time_seconds",
    (b) => b.trackAgentResponse("booking", 2),
    histogram(
      "agent_response_time_seconds",
      "How long agents took to answer",
      'agent_type="booking"',
      [0.1, 0.5, 1, 2, 5, 10, 30],
      2,
    ),
  ],
];

test.each(CASES)("%s is written as the contract says", async (name, act, expected) => {
  expect(await family(name, act)).toBe(expected);
});

test("every metric of the contract has its test here", () => {
  expect(CASES.map(([name]) => name)).toEqual(Object.values<Definition>(BUSINESS).map((d) => d.name));
});

test("the HTTP metrics are written as the contract says", async () => {
  const metrics = registry();
  metrics.http.started();
  metrics.http.answered({
    method: "GET",
    route: "/wallets/:id",
    status: 200,
    seconds: 0.03,
    requestBytes: 0,
    responseBytes: 7_000,
    exemplar: undefined,
  });
  const byRoute = 'method="GET",route="/wallets/:id"';
  const bytes = [100, 1000, 5000, 10000, 50000, 100000, 500000, 1000000];
  const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10];
  const all = `${byRoute},status_code="200"`;
  const expected = [
    histogram("http_request_duration_seconds", "Time until the answer began", all, seconds, 0.03),
    counter("http_requests_total", "HTTP requests answered", { [all]: 1 }),
    histogram("http_request_size_bytes", "Size of request bodies", byRoute, bytes, 0),
    histogram("http_response_size_bytes", "Size of response bodies", byRoute, bytes, 7_000),
    "# HELP http_requests_in_flight HTTP requests that wait for their answer",
    "# TYPE http_requests_in_flight gauge",
    `http_requests_in_flight{${OURS}} 0`,
  ];
  expect(await metrics.expose()).toBe(`${expected.join("\n")}\n`);
  expect(Object.values<Definition>({ ...HTTP, ...EXTENSIONS })).toHaveLength(7);
});

test("what the closed sets do not know is counted as other, and nothing throws", async () => {
  const text = await family("payment_transactions_total", (b) => {
    const plain = b as unknown as { trackPayment(...args: unknown[]): void; setActiveUsers(...args: unknown[]): void };
    plain.trackPayment("Bitcoin", 1, "success");
    plain.trackPayment("momo", "much", "maybe");
    plain.trackPayment("momo", -5, "success");
    plain.setActiveUsers("driver", undefined);
  });
  expect(text).toBe(
    counter("payment_transactions_total", "Payments", {
      'status="success",payment_method="other"': 1,
      'status="other",payment_method="momo"': 1,
      'status="success",payment_method="momo"': 1,
    }),
  );
});

test("beyond the limit new label values are counted as other", async () => {
  const metrics = registry(2);
  for (const user of ["a", "b", "c", "d", "a"]) metrics.business().trackSignup(user);
  const page = await metrics.expose();
  const found = page.split("\n").filter((line) => line.startsWith("user_signups_total{"));
  expect(found.map((line) => line.replace(`,${OURS}`, ""))).toEqual([
    'user_signups_total{user_type="a"} 2',
    'user_signups_total{user_type="b"} 1',
    'user_signups_total{user_type="other"} 2',
  ]);
});

test("the process and the runtime are measured under their usual names", async () => {
  const page = await createMetricsRegistry("wallet-service", { environment: "test" }).expose();
  for (const name of [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "nodejs_eventloop_lag_seconds",
    "nodejs_heap_size_used_bytes",
  ]) {
    expect(page).toMatch(new RegExp(`^${name}\\{.*service="wallet-service",environment="test".*\\} [0-9.e+-]+$`, "m"));
  }
});

test("two pages of a service that did not change are equal, and asking twice registers once", async () => {
  const metrics = registry();
  expect(createBusinessMetrics(metrics)).toBe(createBusinessMetrics(metrics));
  createBusinessMetrics(metrics).trackSignup("driver");
  expect(await metrics.expose()).toBe(await metrics.expose());
  expect(await metrics.expose("openmetrics")).toBe(await metrics.expose("openmetrics"));
});

test("metrics of one's own are checked when registered", async () => {
  const metrics = registry();
  metrics.counter("tips_total", "Tips given", ["currency"]).inc(["rwf"], 3);
  expect(await metrics.expose()).toContain(`tips_total{currency="rwf",${OURS}} 3\n`);
  await metrics.expose("openmetrics");
  expect(() => metrics.counter("tips_total", "Tips", ["currency"])).toThrow(/registered already/);
  expect(() => metrics.counter("tips", "Tips", [])).toThrow(/does not end in _total/);
  expect(() => metrics.gauge("1st", "", [])).toThrow(/not a metric or label name/);
  expect(() => metrics.gauge("fine", "", ["a:b"])).toThrow(/not a metric or label name/);
  expect(() => metrics.gauge("active_rides", "", ["x"])).toThrow(/registered already/);
});

test("label values are escaped in both formats", async () => {
  const metrics = registry();
  metrics.business().trackSignup('a "quoted" \\ and\na new line # {x="y"} 1');
  const escaped = `user_type="a \\"quoted\\" \\\\ and\\na new line # {x=\\"y\\"} 1",${OURS}} 1\n`;
  expect(await metrics.expose("text")).toContain(escaped);
  expect(await metrics.expose("openmetrics")).toContain(escaped);
});

test("exemplars lead to sampled traces only, and stand in OpenMetrics only", async () => {
  const metrics = registry();
  const ids = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
  metrics.business().traced({ ...ids, traceFlags: 1 }).trackPayment("momo", 12.5, "success");
  metrics.business().traced({ ...ids, traceFlags: 0 }).trackSignup("driver");
  const open = await metrics.expose("openmetrics");
  const exemplars = open.split("\n").filter((line) => line.includes(" # "));
  expect(exemplars).toHaveLength(2);
  for (const line of exemplars) {
    expect(line).toMatch(/ # \{trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"\} [\d.]+ [\d.]+$/);
  }
  expect(open.endsWith("# EOF\n")).toBe(true);
  expect(open).toContain("# TYPE payment_transactions counter\n");
  const text = await metrics.expose("text");
  expect(text).not.toMatch(/ # \{|# EOF/);
  expect(text).toContain("# TYPE payment_transactions_total counter\n");
});

test("the scraper gets the format it prefers", () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  expect(negotiate(prometheus)).toBe("openmetrics");
  expect(negotiate("text/plain;version=0.0.4;q=0.5,*/*;q=0.1")).toBe("text");
  expect(negotiate("text/plain;q=0.9, application/openmetrics-text;q=0.5")).toBe("text");
  expect(negotiate("application/openmetrics-text;q=0")).toBe("text");
  expect(negotiate(undefined)).toBe("text");
});

test("the text format keeps what looks like an exemplar inside of a label", () => {
  const open = '# HELP a Help.\n# TYPE a counter\na_total{x="y # {z} \\" ,"} 3 # {trace_id="1"} 1 2.5\n# EOF\n';
  const text = '# HELP a_total Help.\n# TYPE a_total counter\na_total{x="y # {z} \\" ,"} 3\n';
  expect(toText004(open)).toBe(text);
});
