// What the instrumentation costs: the time of one counter, one log line, one masking and of the middleware in a request,
// in microseconds, on one core. `npm run build && npm run bench`. The middleware is called as Express calls it, with a
// request and an answer of node:http that no socket carries; the same without it is taken off.
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { createLogger, createMetricsRegistry, init, maskText, metricsMiddleware } from "../dist/esm/index.js";

const ROUNDS = 7;

/** The best of some rounds of `count` calls, in µs a call: what others do on the machine only ever adds. */
async function perCall(count, work) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const started = process.hrtime.bigint();
    await work(count);
    best = Math.min(best, Number(process.hrtime.bigint() - started) / 1e3 / count);
  }
  return best;
}

const report = (name, micros) => console.log(`${name.padEnd(44)} ${micros.toFixed(2).padStart(8)} µs`);
const repeat = (work) => (count) => {
  for (let n = 0; n < count; n++) work(n);
};

const socket = new Socket();
const answer = async (middleware) => async (count) => {
  for (let n = 0; n < count; n++) {
    const req = new IncomingMessage(socket);
    Object.assign(req, { method: "GET", url: "/wallets/7", headers: { host: "wallet-service" } });
    req.route = { path: "/wallets/:id" };
    req.baseUrl = "";
    const res = new ServerResponse(req);
    middleware(req, res, () => {
      res.writeHead(200, { "content-type": "text/plain" });
      res.end("balance");
    });
    res.emit("finish");
    if (n % 1_000 === 0) await new Promise(setImmediate);
  }
};

async function requests(name, middleware) {
  const bare = await perCall(20_000, await answer((_req, _res, next) => next()));
  const with_ = await perCall(20_000, await answer(middleware));
  report(`${name}, per request`, with_ - bare);
}

const metrics = createMetricsRegistry("bench", { environment: "bench", processMetrics: false });
const business = metrics.business();
const own = metrics.counter("bench_total", "Counts", ["kind"]);
report("counter, one label", await perCall(200_000, repeat(() => own.inc(["a"]))));
report("trackPayment, success", await perCall(50_000, repeat(() => business.trackPayment("momo", 12.5, "success"))));
report("maskText, nothing to mask", await perCall(50_000, repeat(() => maskText("ride 42 was accepted by driver 7 in 3.2 s"))));
report("maskText, a telephone and an address", await perCall(50_000, repeat(() => maskText("call +250788123456 or a@example.rw"))));
const logger = createLogger({ destination: { write: () => undefined } });
report("log line with three fields", await perCall(20_000, repeat(() => logger.info({ amount: 5, method: "momo", ok: true }, "paid"))));
await requests("middleware", metricsMiddleware(metrics));
const tracing = init("bench", { exporter: { export: (_, done) => done({ code: 0 }), shutdown: async () => undefined } });
await requests("middleware with a span and exemplars", metricsMiddleware(metrics));
await tracing.shutdown();
