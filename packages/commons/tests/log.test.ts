import { Console } from "node:console";
import { Writable } from "node:stream";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import {
  type LogOptions,
  bridgeConsole,
  childLogger,
  createLogger,
  createMetricsRegistry,
  init,
  setDefaultLogger,
} from "../src/index.js";

type Line = Record<string, unknown>;

let lines: Line[] = [];
const destination = { write: (text: string) => void lines.push(JSON.parse(text) as Line) };

function logger(options: LogOptions = {}) {
  return createLogger({ service: "wallet-service", environment: "test", destination, ...options });
}

beforeEach(() => {
  lines = [];
  vi.useFakeTimers({ now: 1_700_000_000_123, toFake: ["Date"] });
  return () => vi.useRealTimers();
});

test("a line is one JSON object in pino's shape", () => {
  const raw: string[] = [];
  createLogger({ service: "wallet-service", environment: "test", destination: { write: (text) => void raw.push(text) } })
    .child({ module: "payments" })
    .info({ amount: 12.5, payment_method: "momo" }, "paid");
  expect(raw).toHaveLength(1);
  expect(raw[0]?.replace(/"pid":\d+,"hostname":"[^"]*"/, '"pid":1,"hostname":"h"')).toBe(
    '{"level":30,"time":1700000000123,"pid":1,"hostname":"h","module":"payments","service":"wallet-service","environment":"test","amount":12.5,"payment_method":"momo","msg":"paid"}\n',
  );
});

test("nobody's data is in any part of a line", () => {
  const log = logger().child({ phone: "0788123456", request: "r-1" });
  log.info({ user: { email: "jeanne@example.rw" } }, "call %s about %d", "+250788123456", 7);
  log.error(new Error("card 4111 1111 1111 1111 refused"));
  log.warn({ err: new Error("no wallet for jeanne@example.rw", { cause: new Error("0788123456 unknown") }) }, "no wallet");
  log.child({ token: "t-1" }).info("hello");
  const text = JSON.stringify(lines);
  for (const secret of ["0788123456", "250788123456", "jeanne@", "4111", '"t-1"']) expect(text).not.toContain(secret);
  expect(lines[0]).toMatchObject({
    phone: "07******56",
    request: "r-1",
    user: { email: "j***@example.rw" },
    msg: "call +2507******56 about 7",
  });
  expect(lines[1]).toMatchObject({ level: 50, err: { type: "Error", message: "card ****1111 refused" }, msg: "card ****1111 refused" });
  expect(lines[1]?.["err"]).toHaveProperty("stack", expect.stringContaining("log.test.ts"));
  expect(lines[3]).toMatchObject({ token: "[redacted]", msg: "hello" });
});

test("lines within a span carry its trace, others carry none", async () => {
  const tracing = init("wallet-service", { exporter: { export: (_, done) => done({ code: 0 }), shutdown: async () => undefined } });
  onTestFinished(() => tracing.shutdown());
  const log = logger();
  log.info("before");
  tracing.tracer.startActiveSpan("pay", (span) => {
    log.info("within");
    expect(lines[1]).toMatchObject({ trace_id: span.spanContext().traceId, span_id: span.spanContext().spanId });
    span.end();
  });
  expect(lines[0]).not.toHaveProperty("trace_id");
  expect(lines[1]?.["trace_id"]).toMatch(/^[0-9a-f]{32}$/);
  expect(lines[1]?.["span_id"]).toMatch(/^[0-9a-f]{16}$/);
});

test("child loggers are made when modules load, and know the service once it has said its name", () => {
  setDefaultLogger(createLogger({ destination, environment: "test" }));
  const log = childLogger("payments");
  createMetricsRegistry("ranking-service", { processMetrics: false });
  log.info("hello");
  childLogger({ module: "rides", shift: 2 }).warn("late");
  expect(lines[0]).toMatchObject({ module: "payments", msg: "hello", level: 30 });
  // The first name counts: another test of this process may have been first.
  expect(lines[0]?.["service"]).toMatch(/^(ranking|wallet)-service$/);
  expect(lines[1]).toMatchObject({ module: "rides", shift: 2, msg: "late", level: 40 });
});

test("levels below the wanted one are not written", () => {
  const log = logger({ level: "warn" });
  log.info("quiet");
  log.warn("loud");
  expect(lines.map((line) => line["msg"])).toEqual(["loud"]);
});

test("signs of a format in a message's values are left alone", () => {
  logger().info("100 % of %s", "%d and %o");
  logger().info({ a: 1 }, "50 % done");
  expect(lines.map((line) => line["msg"])).toEqual(["100 % of %d and %o", "50 % done"]);
});

test("what services still write with console becomes lines of the log", () => {
  const written: string[] = [];
  const stdout = new Writable({ write: (chunk: Buffer, _, done) => (written.push(chunk.toString()), done()) });
  const target = new Console({ stdout });
  const restore = bridgeConsole(logger({ level: "debug" }), target);
  target.log("payment done", { amount: 5, phone: "0788123456" });
  target.warn("took %d ms", 12);
  target.error("it failed", new Error("timeout of jeanne@example.rw"));
  target.debug("rides", [1, 2]);
  restore();
  target.log("plain again");
  expect(lines.map(({ level, msg, source, amount, phone }) => ({ level, msg, source, amount, phone }))).toEqual([
    { level: 30, msg: "payment done", source: "console", amount: 5, phone: "07******56" },
    { level: 40, msg: "took 12 ms", source: "console" },
    { level: 50, msg: "it failed timeout of j***@example.rw", source: "console" },
    { level: 20, msg: "rides [ 1, 2 ]", source: "console" },
  ]);
  expect(lines[2]).toHaveProperty("err.type", "Error");
  expect(written).toEqual(["plain again\n"]);
});
