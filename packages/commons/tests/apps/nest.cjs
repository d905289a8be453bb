// A NestJS service of whatever version stands in the folder that is the first argument, on the adapter that is the second. In
// CommonJS and without TypeScript, as services of these versions are once they are compiled. Prints what /metrics says.
const { createRequire } = require("node:module");
const folder = process.argv[2];
const installed = createRequire(`${folder}/package.json`);
installed("reflect-metadata");
const { Controller, Get, Module, Param, Post } = installed("@nestjs/common");
const { NestFactory } = installed("@nestjs/core");
const commons = require("@easymo/commons");

const apply = (target, method, ...decorators) => {
  for (const decorator of decorators) decorator(target.prototype, method, Object.getOwnPropertyDescriptor(target.prototype, method));
};

class Wallets {
  balance(id) {
    return `balance of ${id}`;
  }
  pay() {
    throw new Error("on purpose");
  }
}
apply(Wallets, "balance", Get(":id"));
apply(Wallets, "pay", Post(":id/payments"));
Param("id")(Wallets.prototype, "balance", 0);
Controller("wallets")(Wallets);
class AppModule {}
Module({ controllers: [Wallets] })(AppModule);

async function bootstrap(adapter) {
  const names = [];
  const keep = (spans, done) => {
    names.push(...spans.map((span) => span.name));
    done({ code: 0 });
  };
  const tracing = commons.init("agent-core", { exporter: { export: keep, shutdown: async () => {} } });
  const metrics = commons.createMetricsRegistry("agent-core", { environment: "test" });
  const businessMetrics = commons.createBusinessMetrics(metrics);
  let app;
  if (adapter === "fastify") {
    const { FastifyAdapter } = installed("@nestjs/platform-fastify");
    app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
    await app.register(commons.metricsPlugin(metrics));
  } else {
    app = await NestFactory.create(AppModule, { logger: false });
    app.use(commons.metricsMiddleware(metrics));
    app.set("metrics", metrics);
    app.set("businessMetrics", businessMetrics);
  }
  app.getHttpAdapter().get("/metrics", commons.metricsHandler(metrics));
  businessMetrics.trackRideRequest("motorbike", "pending");
  await app.listen(0, "127.0.0.1");
  const base = await app.getUrl();
  for (const path of ["/wallets/1", "/wallets/2", "/wp-admin", "/.env"]) await (await fetch(base + path)).text();
  await (await fetch(`${base}/wallets/7/payments`, { method: "POST" })).text();
  const page = await (await fetch(`${base}/metrics`)).text();
  await tracing.flush();
  console.log(JSON.stringify({ page, names }));
  await app.close();
  await tracing.shutdown();
}

bootstrap(process.argv[3]);
