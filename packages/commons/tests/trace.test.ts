import { createServer } from "node:http";
import { context, trace } from "@opentelemetry/api";
import express from "express";
import { afterEach, describe, expect, test } from "vitest";
import {
  OtlpJsonExporter,
  type Tracing,
  activeTrace,
  createLogger,
  gracefulShutdown,
  init,
  instrumentFetch,
  metricsMiddleware,
  parseTraceparent,
  traceparent,
} from "../src/index.js";
import { registry, serve, settled } from "./helpers.js";

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}
interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: Attribute[];
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code: number; message?: string };
}
interface Request {
  path: string;
  type: string;
  body: { resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Span[] }[] }[] };
}

let tracing: Tracing | undefined;
afterEach(async () => {
  await tracing?.shutdown();
  tracing = undefined;
});

/** Takes OTLP; answers the statuses of `answers` first. */
async function receiver(answers: number[] = []) {
  const requests: Request[] = [];
  const endpoint = await serve((req, res) => {
    let text = "";
    req.on("data", (chunk: Buffer) => (text += chunk.toString()));
    req.on("end", () => {
      const status = answers.shift() ?? 200;
      const body = JSON.parse(text) as Request["body"];
      if (status === 200) requests.push({ path: req.url ?? "", type: req.headers["content-type"] ?? "", body });
      res.writeHead(status).end("{}");
    });
  });
  const spans = () => requests.flatMap((r) => r.body.resourceSpans).flatMap((r) => r.scopeSpans).flatMap((s) => s.spans);
  return { endpoint, requests, spans };
}

const attribute = (span: Span | undefined, key: string) => span?.attributes.find((a) => a.key === key)?.value;

test("one call traces a service from the sender to the services it asks", async () => {
  const otlp = await receiver();
  tracing = init("wallet-service", { endpoint: otlp.endpoint, environment: "test" });
  const metrics = registry();
  let asked = "";
  const ledger = await serve((req, res) => {
    asked = String(req.headers["traceparent"]);
    res.end();
  });
  const send = instrumentFetch(metrics);
  const app = express();
  app.use(metricsMiddleware(metrics));
  app.post("/payments/:id", async (_req, res) => {
    await send(`${ledger}/entries`);
    metrics.business().trackPayment("momo", 12.5, "success");
    res.send(activeTrace()?.traceId);
  });
  app.get("/fails", (_req, res) => void res.status(503).end());
  const base = await serve(app);
  const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const answer = await fetch(`${base}/payments/0788123456`, { method: "POST", headers: { traceparent: parent } });
  expect(await answer.text()).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
  await fetch(`${base}/fails`);
  await settled(metrics);
  await tracing.flush();

  expect(otlp.requests[0]).toMatchObject({ path: "/v1/traces", type: "application/json" });
  const resource = otlp.requests[0]?.body.resourceSpans[0]?.resource.attributes ?? [];
  expect(resource).toContainEqual({ key: "service.name", value: { stringValue: "wallet-service" } });
  expect(resource).toContainEqual({ key: "deployment.environment.name", value: { stringValue: "test" } });
  const spans = Object.fromEntries(otlp.spans().map((span) => [span.name, span]));
  const server = spans["POST /payments/:id"];
  const client = Object.values(spans).find((span) => span.kind === 3);
  expect(server).toMatchObject({ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", parentSpanId: "00f067aa0ba902b7", kind: 2 });
  expect(attribute(server, "http.response.status_code")).toEqual({ intValue: "200" });
  expect(attribute(server, "http.route")).toEqual({ stringValue: "/payments/:id" });
  expect(attribute(server, "url.path")).toEqual({ stringValue: "/payments/07******56" });
  expect(client).toMatchObject({ traceId: server?.traceId, parentSpanId: server?.spanId });
  expect(asked).toBe(`00-${server?.traceId}-${client?.spanId}-01`);
  expect(BigInt(server?.endTimeUnixNano ?? 0) >= BigInt(server?.startTimeUnixNano ?? 1)).toBe(true);
  expect(server?.startTimeUnixNano).toMatch(/^\d{19}$/);
  expect(spans["GET /fails"]?.status).toEqual({ code: 2 });
  const page = await metrics.expose("openmetrics");
  expect(page).toMatch(new RegExp(`payment_transactions_total.* # \\{trace_id="${server?.traceId}",span_id="${server?.spanId}"\\}`));
  expect(page).toMatch(new RegExp(`http_requests_total\\{.*payments.* # \\{trace_id="${server?.traceId}",span_id="${server?.spanId}"\\}`));
});

test("a second call gives what the first one made, and after shutdown nothing is traced", async () => {
  const otlp = await receiver();
  const first = init("wallet-service", { endpoint: `${otlp.endpoint}/v1/traces` });
  expect(init("other-service")).toBe(first);
  first.tracer.startSpan("last").end();
  await first.shutdown();
  expect(otlp.spans().map((span) => span.name)).toEqual(["last"]);
  expect(otlp.requests[0]?.path).toBe("/v1/traces");
  expect(trace.getTracer("x").startSpan("y").isRecording()).toBe(false);
  tracing = init("wallet-service", { endpoint: otlp.endpoint });
  expect(tracing).not.toBe(first);
});

test("a trace that its sender does not record is passed on and leaves nothing", async () => {
  const otlp = await receiver();
  tracing = init("wallet-service", { endpoint: otlp.endpoint });
  const metrics = registry();
  const app = express();
  app.use(metricsMiddleware(metrics));
  app.get("/trace", (_req, res) => void res.send(traceparent(activeTrace() ?? { traceId: "", spanId: "", traceFlags: 0 })));
  const base = await serve(app);
  const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  const seen = await (await fetch(`${base}/trace`, { headers: { traceparent: parent } })).text();
  expect(seen).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-00$/);
  await settled(metrics);
  await tracing.flush();
  expect(otlp.spans()).toEqual([]);
  expect(await metrics.expose("openmetrics")).not.toContain(" # {");
});

describe("the exporter", () => {
  const span = async () => {
    const kept: Parameters<OtlpJsonExporter["export"]>[0] = [];
    tracing = init("wallet-service", {
      exporter: { export: (spans, done) => (kept.push(...spans), done({ code: 0 })), shutdown: async () => undefined },
    });
    context.with(context.active(), () => {
      const made = tracing?.tracer.startSpan("odd", { attributes: { list: ["a", "b"], half: 0.5, yes: true } });
      made?.recordException(new Error("on purpose"));
      made?.end();
    });
    await tracing.flush();
    return kept;
  };

  const exported = (exporter: OtlpJsonExporter, spans: Parameters<OtlpJsonExporter["export"]>[0]) =>
    new Promise<{ code: number; error?: Error }>((done) => exporter.export(spans, done));

  test("tries again what the receiver may take later, and drops what it refuses", async () => {
    const otlp = await receiver([503, 429]);
    const options = { url: `${otlp.endpoint}/v1/traces`, retryAfterMs: [1, 1] };
    const exporter = new OtlpJsonExporter(options);
    const spans = await span();
    expect(await exported(exporter, spans)).toEqual({ code: 0 });
    expect(attribute(otlp.spans()[0], "list")).toEqual({ arrayValue: { values: [{ stringValue: "a" }, { stringValue: "b" }] } });
    expect(attribute(otlp.spans()[0], "half")).toEqual({ doubleValue: 0.5 });
    const refusing = new OtlpJsonExporter({ ...options, url: `${(await receiver([400])).endpoint}/v1/traces` });
    expect((await exported(refusing, spans)).code).toBe(1);
    expect(refusing.dropped).toBe(1);
  });

  test("a receiver that is away costs spans and nothing else", async () => {
    const exporter = new OtlpJsonExporter({ url: "http://127.0.0.1:1/v1/traces", retryAfterMs: [1] });
    const result = await exported(exporter, await span());
    expect(result.code).toBe(1);
    expect(result.error?.message).toContain("127.0.0.1:1");
    await exporter.shutdown();
    expect((await exported(exporter, [])).code).toBe(1);
  });
});

test("a traceparent is read and written the same, and what the standard forbids is refused", () => {
  const example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const read = parseTraceparent(example);
  expect(read && traceparent(read)).toBe(example);
  expect(parseTraceparent(`${example.replace("00", "01")}-what-comes-later`)).toEqual(read);
  for (const bad of [
    "",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    `${example}-more`,
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
  ]) {
    expect(parseTraceparent(bad), bad).toBeUndefined();
  }
});

test("a service that is told to end answers, closes and flushes, in this order", async () => {
  const otlp = await receiver();
  tracing = init("wallet-service", { endpoint: otlp.endpoint });
  const order: string[] = [];
  const server = createServer((_req, res) => {
    setTimeout(() => {
      tracing?.tracer.startSpan("late").end();
      res.end("answered");
    }, 20);
  });
  const base = await serve(server);
  const logger = createLogger({ destination: { write: () => undefined } });
  const ended = new Promise<number>((exit) => {
    gracefulShutdown({
      server,
      tracing: tracing as Tracing,
      logger,
      steps: [() => void order.push("pool"), () => Promise.reject(new Error("queue")), () => void order.push("rest")],
      signals: ["SIGUSR2"],
      exit,
    });
  });
  const asked = fetch(base, { headers: { connection: "close" } }).then((r) => r.text());
  await new Promise((resolve) => server.once("request", resolve));
  process.kill(process.pid, "SIGUSR2");
  expect(await asked).toBe("answered");
  expect(await ended).toBe(1);
  expect(order).toEqual(["pool", "rest"]);
  expect(otlp.spans().map((span) => span.name)).toEqual(["late"]);
});
