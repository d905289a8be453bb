import { Readable } from "node:stream";
import express5, { type Express } from "express";
import express4 from "express4";
import fastify from "fastify";
import { describe, expect, test } from "vitest";
import {
  healthHandler,
  healthRoute,
  instrument,
  instrumentFetch,
  metricsHandler,
  metricsMiddleware,
  metricsPlugin,
  metricsRoute,
  setRoute,
} from "../src/index.js";
import { registry, samples, serve, settled } from "./helpers.js";

const kinds = [
  ["Express 4", express4],
  ["Express 5", express5],
] as const;

describe.each(kinds)("%s", (_name, express) => {
  function service() {
    const metrics = registry();
    const app: Express = express();
    app.use(metricsMiddleware(metrics));
    app.get("/metrics", metricsHandler(metrics));
    app.get("/health", healthHandler(metrics));
    app.get("/wallets/:id", (_req, res) => void res.send("balance"));
    app.post("/fail", (_req, res) => void res.status(500).end());
    app.get("/stream", (_req, res) => void Readable.from(Array(20).fill("é".repeat(50))).pipe(res));
    app.get("/throws", () => {
      throw new Error("on purpose");
    });
    app.get("/slow", () => undefined);
    const inner = express.Router({ mergeParams: true });
    inner.get("/", (_req, res) => void res.send("all"));
    inner.get("/:order/items", (_req, res) => void res.send("items"));
    const users = express.Router();
    users.use("/:user/orders", inner);
    app.use("/api/users", users);
    const admin = express();
    admin.get("/who/:name", (_req, res) => void res.send("admin"));
    app.use("/admin", admin);
    app.set("env", "test");
    return { metrics, app };
  }

  test("requests are counted by route template and never by path", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    for (const path of ["/wallets/1", "/wallets/2?x=y", "/wallets/%C3%A9", "/throws"]) await fetch(base + path);
    await fetch(`${base}/fail`, { method: "POST", body: "12345" });
    await settled(metrics);
    expect(await samples(metrics, "http_requests_total")).toEqual({
      'method="GET",route="/wallets/:id",status_code="200"': 3,
      'method="GET",route="/throws",status_code="500"': 1,
      'method="POST",route="/fail",status_code="500"': 1,
    });
    const wallets = 'method="GET",route="/wallets/:id"';
    expect((await samples(metrics, "http_request_duration_seconds_count"))[`${wallets},status_code="200"`]).toBe(3);
    expect((await samples(metrics, "http_response_size_bytes_sum"))[wallets]).toBe(21);
    expect((await samples(metrics, "http_request_size_bytes_sum"))['method="POST",route="/fail"']).toBe(5);
  });

  test("mounted routers are named by their templates too", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    for (const user of ["jeanne", "paul", "a%20b", "42"]) {
      await fetch(`${base}/api/users/${user}/orders/`);
      await fetch(`${base}/api/users/${user}/orders/${user}7/items`);
      await fetch(`${base}/admin/who/${user}`);
    }
    await settled(metrics);
    expect(await samples(metrics, "http_requests_total")).toEqual({
      'method="GET",route="/api/users/:user/orders",status_code="200"': 4,
      'method="GET",route="/api/users/:user/orders/:order/items",status_code="200"': 4,
      'method="GET",route="/admin/who/:name",status_code="200"': 4,
    });
  });

  test("paths that nobody serves share one series", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    for (let n = 0; n < 50; n++) await fetch(`${base}/wp-admin/${n}`);
    await settled(metrics);
    expect(await samples(metrics, "http_requests_total")).toEqual({
      'method="GET",route="unmatched",status_code="404"': 50,
    });
  });

  test("a body of unknown length is counted as it passes, and HEAD has none", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    expect(await (await fetch(`${base}/stream`)).text()).toHaveLength(1_000);
    await fetch(`${base}/wallets/1`, { method: "HEAD" });
    await settled(metrics);
    expect(await samples(metrics, "http_response_size_bytes_sum")).toEqual({
      'method="GET",route="/stream"': 2_000,
      'method="HEAD",route="/wallets/:id"': 0,
    });
  });

  test("a sender that leaves early is counted with status 499", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    const leave = new AbortController();
    const asked = fetch(`${base}/slow`, { signal: leave.signal });
    while ((await samples(metrics, "http_requests_in_flight"))[""] !== 1) await new Promise((r) => setTimeout(r, 5));
    leave.abort();
    await expect(asked).rejects.toThrow();
    await settled(metrics);
    expect(await samples(metrics, "http_requests_total")).toEqual({
      'method="GET",route="/slow",status_code="499"': 1,
    });
  });

  test("a scraper gets the format it asked for, and is not measured itself", async () => {
    const { metrics, app } = service();
    const base = await serve(app);
    await fetch(`${base}/wallets/1`);
    const text = await fetch(`${base}/metrics`);
    expect(text.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await text.text()).toContain('route="/wallets/:id"');
    const open = await fetch(`${base}/metrics`, { headers: { accept: "application/openmetrics-text;version=1.0.0" } });
    expect(open.headers.get("content-type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect((await open.text()).endsWith("# EOF\n")).toBe(true);
    expect(await (await fetch(`${base}/health`)).json()).toEqual({ status: "ok", service: "wallet-service", checks: {} });
    await settled(metrics);
    expect(Object.keys(await samples(metrics, "http_requests_total"))).toHaveLength(1);
  });
});

test("Fastify's requests are counted by route template, strangers' together", async () => {
  const metrics = registry();
  const app = fastify();
  await app.register(metricsPlugin(metrics));
  app.get("/metrics", metricsHandler(metrics));
  app.get("/health", healthHandler(metrics));
  app.get("/wallets/:id", async () => "balance");
  await app.register(
    async (scope) => {
      scope.get("/orders/:order", async () => ({ ok: true }));
    },
    { prefix: "/users/:user" },
  );
  await app.ready();
  const base = await serve(app.server);
  for (const path of ["/wallets/1", "/wallets/2", "/users/jeanne/orders/7", "/a", "/b"]) await fetch(base + path);
  expect(await (await fetch(`${base}/metrics`)).text()).toContain("# TYPE http_requests_total counter");
  expect((await fetch(`${base}/health`)).headers.get("content-type")).toBe("application/json; charset=utf-8");
  await settled(metrics);
  expect(await samples(metrics, "http_requests_total")).toEqual({
    'method="GET",route="/wallets/:id",status_code="200"': 2,
    'method="GET",route="/users/:user/orders/:order",status_code="200"': 1,
    'method="GET",route="unmatched",status_code="404"': 2,
  });
  expect((await samples(metrics, "http_response_size_bytes_sum"))['method="GET",route="/wallets/:id"']).toBe(14);
});

test("a plain Node server names its routes itself, and unusual methods are OTHER", async () => {
  const metrics = registry();
  const base = await serve(
    instrument(metrics, (req, res) => {
      if (req.url?.startsWith("/wallets/")) setRoute(req, "/wallets/:id");
      res.end("balance");
    }),
  );
  await fetch(`${base}/wallets/7`);
  await fetch(`${base}/elsewhere`, { method: "PROPFIND" });
  await settled(metrics);
  expect(await samples(metrics, "http_requests_total")).toEqual({
    'method="GET",route="/wallets/:id",status_code="200"': 1,
    'method="OTHER",route="unmatched",status_code="200"': 1,
  });
});

test("a route handler of Next.js answers as the others do", async () => {
  const metrics = registry("admin-app");
  metrics.business().trackSignup("driver");
  const page = await metricsRoute(metrics)(new Request("http://localhost:3000/api/metrics"));
  expect(page.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await page.text()).toContain('user_signups_total{user_type="driver",service="admin-app",environment="test"} 1');
  expect((await healthRoute(metrics)(new Request("http://localhost:3000/health"))).status).toBe(200);
});

test("a failed or late check makes the service unhealthy without telling strangers why", async () => {
  const metrics = registry();
  const answer = await healthRoute(metrics, {
    timeoutMs: 20,
    checks: {
      redis: () => "PONG",
      postgres: () => Promise.reject(new Error("password of easymo at 10.0.0.7 refused")),
      whatsapp: () => new Promise(() => undefined),
    },
  })(new Request("http://localhost/health"));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    status: "failing",
    service: "wallet-service",
    checks: { redis: "ok", postgres: "failed", whatsapp: "no answer within 20 ms" },
  });
});

test("requests that the service sends are measured by host, never by path", async () => {
  const metrics = registry();
  const base = await serve((_req, res) => void res.writeHead(404).end());
  const send = instrumentFetch(metrics);
  await send(`${base}/users/1`);
  await send(`${base}/users/2`, { method: "POST", body: "x" });
  await expect(send("http://127.0.0.1:1/nobody")).rejects.toThrow();
  const host = new URL(base).host;
  expect(await samples(metrics, "http_client_requests_total")).toEqual({
    [`method="GET",host="${host}",status_code="404"`]: 1,
    [`method="POST",host="${host}",status_code="404"`]: 1,
    'method="GET",host="127.0.0.1:1",status_code="error"': 1,
  });
  expect(Object.keys(await samples(metrics, "http_client_request_duration_seconds_count"))).toHaveLength(3);
});
