// A Prometheus and a Loki that always say the same, for the browser test: every query has data, and log lines are hostile.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { fakeAlertmanager } from "./alertmanager.mjs";

const services = ["agent-core", "wallet-service", "voice-bridge"];
const hostile = `<img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;
const traceId = "0123456789abcdef0123456789abcdef";

const body = (req) =>
  new Promise((done) => {
    let text = "";
    req.on("data", (part) => (text += part));
    req.on("end", () => done(text));
  });

const seriesFor = (query) => {
  if (/by \(client, server/.test(query)) return [{ client: "user", server: "agent-core", connection_type: "virtual_node" }, { client: "agent-core", server: "wallet-service", connection_type: "" }, { client: "wallet-service", server: "postgres", connection_type: "database" }];
  if (/by \(le\)/.test(query)) return ["0.1", "0.5", "1", "+Inf"].map((le) => ({ le }));
  if (/ALERTS|wallet_http/.test(query) && !query.includes("vector(0)")) return [];
  return services.map((service) => ({ service }));
};
const valueAt = (labels, t) => {
  const n = labels.le ? ["0.1", "0.5", "1", "+Inf"].indexOf(labels.le) + 1 : services.indexOf(labels.service) + 1;
  return (n + Math.abs(Math.sin(t / 300 + n))).toFixed(4);
};

function prometheus(path, query) {
  const q = query.get("query") ?? "";
  if (q.includes("broken(")) return [400, { status: "error", errorType: "bad_data", error: "parse error: unknown function" }];
  const ok = (data) => [200, { status: "success", data }];
  if (path === "/api/v1/query") {
    const time = Number(query.get("time"));
    return ok({ resultType: "vector", result: seriesFor(q).map((metric) => ({ metric, value: [time, valueAt(metric, time)] })) });
  }
  if (path === "/api/v1/query_range") {
    const [start, end, step] = ["start", "end", "step"].map((k) => Number(query.get(k)));
    const values = (metric) => Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => [start + i * step, valueAt(metric, start + i * step)]);
    return ok({ resultType: "matrix", result: seriesFor(q).map((metric) => ({ metric, values: values(metric) })) });
  }
  if (path === "/api/v1/query_exemplars") return ok([]);
  if (path === "/api/v1/labels") return ok(["__name__", "service"]);
  if (path === "/api/v1/label/__name__/values") return ok(["http_requests_total", "up"]);
  if (/^\/api\/v1\/label\//.test(path)) return ok(services);
  if (path === "/api/v1/series") return ok(services.map((service) => ({ __name__: "up", service })));
  if (path === "/api/v1/metadata") return ok({ http_requests_total: [{ type: "counter", help: "Requests.", unit: "" }] });
  if (path === "/api/v1/rules") {
    const alert = { labels: { alertname: "ServiceDown", service: hostile }, annotations: { summary: `${hostile} is down` }, state: "firing", activeAt: new Date(0).toISOString(), value: "0" };
    const rule = { name: "ServiceDown", query: "up == 0", type: "alerting", state: "firing", health: "ok", duration: 60, labels: { severity: "critical" }, annotations: { summary: "{{ $labels.service }} is down" }, alerts: [alert], evaluationTime: 0.001, lastEvaluation: new Date().toISOString() };
    return ok({ groups: [{ name: "availability", file: "alerts.yml", interval: 15, evaluationTime: 0.001, rules: [rule] }] });
  }
  if (path === "/api/v1/targets") {
    return ok({ activeTargets: services.map((service) => ({ scrapePool: service, scrapeUrl: `http://${service}/metrics`, health: "up", labels: { service }, discoveredLabels: {}, lastError: "", lastScrape: new Date().toISOString(), lastScrapeDuration: 0.002 })), droppedTargetCounts: {} });
  }
  if (path === "/api/v1/status/tsdb") return ok({ headStats: { numSeries: 10, chunkCount: 5, minTime: 0, maxTime: 1000, numLabelPairs: 7 }, seriesCountByMetricName: [{ name: "up", value: 3 }] });
  if (path === "/api/v1/status/active_queries") return ok([{ id: 7, query: "sum(rate(x[1d]))", ageSeconds: 12.5, running: true }]);
  if (path === "/api/v1/status/config") return ok({ yaml: "global: {}\n" });
  if (/^\/api\/v1\/status\//.test(path)) return ok({ version: "test" });
  return [404, { status: "error", error: "not found" }];
}

const line = (i) => (i === 3 ? `level=error msg="${hostile}"` : JSON.stringify({ level: [10, 20, 30, 40, 50][i % 5], msg: `line ${i}`, user: `u${i % 2}`, trace_id: traceId }));

const MANY = 12_000;
const began = BigInt(Date.now()) * 1_000_000n;

/** Twelve thousand lines, a millisecond apart, the newest first: as many of them as are asked for. */
function manyLines(query) {
  const [start, end] = [BigInt(query.get("start")), BigInt(query.get("end"))];
  const values = [];
  for (let i = 0; i < MANY && values.length < Number(query.get("limit")); i++) {
    const at = began - BigInt(i) * 1_000_000n;
    if (at >= start && at < end) values.push([String(at), JSON.stringify({ level: i % 7 === 0 ? 50 : 30, msg: `line ${i} of many`, user: `u${i % 50}`, took: i % 300, trace_id: traceId })]);
  }
  return [200, { status: "success", data: { resultType: "streams", result: [{ stream: { service: "many" }, values }], stats: { summary: { totalBytesProcessed: 4096, totalLinesProcessed: values.length } } } }];
}

function loki(path, query) {
  if (path.endsWith("/index/stats")) return [200, { streams: 12, chunks: 40, bytes: 4096000, entries: 2000 }];
  if (path.endsWith("/index/volume")) return [200, { status: "success", data: { resultType: "vector", result: services.map((service, i) => ({ metric: { service }, value: [0, String((i + 1) * 1000)] })) } }];
  if (path.endsWith("/labels")) return [200, { status: "success", data: ["service", "level"] }];
  if (/\/label\//.test(path)) return [200, { status: "success", data: services }];
  if (/many/.test(query.get("query") ?? "") && path.endsWith("/query_range") && !/count_over_time/.test(query.get("query"))) return manyLines(query);
  const end = BigInt(query.get("end") ?? `${Date.now()}000000`) - 1_000_000n;
  if (/count_over_time/.test(query.get("query") ?? "")) {
    const [start, stop] = [Number(BigInt(query.get("start")) / 1_000_000_000n), Number(end / 1_000_000_000n)];
    const step = parseFloat(query.get("step"));
    const values = Array.from({ length: Math.floor((stop - start) / step) + 1 }, (_, i) => [start + i * step, String(i % 7)]);
    return [200, { status: "success", data: { resultType: "matrix", result: ["info", "50"].map((level) => ({ metric: { level }, values })) } }];
  }
  const values = Array.from({ length: 40 }, (_, i) => [String(end - BigInt(i) * 1_000_000_000n), line(i)]);
  return [200, { status: "success", data: { resultType: "streams", result: [{ stream: { service: "wallet-service" }, values }], stats: { summary: { totalBytesProcessed: 4096, totalLinesProcessed: 40 } } } }];
}

const b64 = (hex) => Buffer.from(hex, "hex").toString("base64");

function tempo(path) {
  if (path === "/api/v2/search/tags") return [200, { scopes: [{ name: "span", tags: ["http.method"] }] }];
  if (/^\/api\/v2\/search\/tag\//.test(path)) return [200, { tagValues: services.map((value) => ({ type: "string", value })) }];
  if (path === "/api/search") return [200, { traces: [{ traceID: traceId.replace(/^0+/, ""), rootServiceName: "agent-core", rootTraceName: "POST /rides", startTimeUnixNano: `${Date.now()}000000`, durationMs: 120 }] }];
  if (path !== `/api/traces/${traceId}`) return [404, ""];
  const at = (ms) => String(BigInt(Date.now() - 60_000) * 1_000_000n + BigInt(ms) * 1_000_000n);
  const span = (id, parent, name, from, to, more = {}) => ({ traceId: b64(traceId), spanId: b64(id.repeat(16)), parentSpanId: parent && b64(parent.repeat(16)), name, kind: "SPAN_KIND_SERVER", startTimeUnixNano: at(from), endTimeUnixNano: at(to), attributes: [{ key: "http.url", value: { stringValue: hostile } }], ...more });
  const batch = (service, ...spans) => ({ resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] }, scopeSpans: [{ spans }] });
  return [200, { batches: [batch("agent-core", span("a", "", "POST /rides", 0, 120), span("b", "a", "SELECT drivers", 5, 40)), batch("wallet-service", span("c", "a", "charge", 45, 118, { status: { code: "STATUS_CODE_ERROR", message: "declined" } }))] }];
}

/** One text frame of the WebSocket protocol (RFC 6455), from server to client. */
function frame(text) {
  const data = Buffer.from(text);
  const head = data.length < 126 ? Buffer.from([0x81, data.length]) : Buffer.from([0x81, 126, data.length >> 8, data.length & 255]);
  return Buffer.concat([head, data]);
}

export async function startUpstream() {
  const asked = [];
  const alertmanager = fakeAlertmanager(hostile);
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, "http://x");
    const text = req.method === "POST" ? await body(req) : "";
    const query = req.method === "POST" ? new URLSearchParams(text) : url.searchParams;
    asked.push({ path: url.pathname, query: query.get("query") ?? "" });
    const [status, answer] = alertmanager(req.method, url.pathname, text) ?? (/^\/api\/(traces|search|v2)/.test(url.pathname) ? tempo(url.pathname) : url.pathname.startsWith("/loki/") ? loki(url.pathname, query) : prometheus(url.pathname, query));
    res.writeHead(status, { "content-type": "application/json" });
    res.end(JSON.stringify(answer));
  });
  server.on("upgrade", (req, socket) => {
    const accept = createHash("sha1").update(`${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    let n = 0;
    const timer = setInterval(() => socket.write(frame(JSON.stringify({ streams: [{ stream: { service: "wallet-service" }, values: [[`${Date.now()}000000`, `live ${n++}`]] }] }))), 50);
    socket.on("close", () => clearInterval(timer));
    socket.on("error", () => clearInterval(timer));
    socket.on("data", () => {});
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}`, asked, hostile, close: () => { server.closeAllConnections(); server.close(); } };
}
