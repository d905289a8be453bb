// An Express service with everything that OpenTelemetry instruments by itself, as it is installed in the folder that is the first
// argument. Prints the spans and lines of one request.
const { createRequire } = require("node:module");
const installed = createRequire(`${process.argv[2]}/package.json`);
const commons = installed("@easymo/commons");

async function main() {
  const spans = [];
  const keep = (ended, done) => {
    for (const span of ended) {
      spans.push({ name: span.name, kind: span.kind, scope: span.instrumentationScope.name, id: span.spanContext().spanId, trace: span.spanContext().traceId });
    }
    done({ code: 0 });
  };
  const tracing = await commons.register("wallet-service", { exporter: { export: keep, shutdown: async () => {} } });
  const express = installed("express");
  const metrics = commons.createMetricsRegistry("wallet-service", { environment: "test" });
  const lines = [];
  const log = commons.createLogger({ destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const app = express();
  app.use(commons.metricsMiddleware(metrics));
  app.get("/wallets/:id", (_req, res) => {
    log.info({ phone: "+250788123456" }, "asked");
    res.send("balance");
  });
  const server = app.listen(0, "127.0.0.1", async () => {
    await (await fetch(`http://127.0.0.1:${server.address().port}/wallets/7`)).text();
    server.close();
    server.closeAllConnections();
    const page = await metrics.expose("openmetrics");
    await tracing.shutdown();
    console.log(JSON.stringify({ spans, lines, page }));
  });
}

main();
