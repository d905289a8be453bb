import "reflect-metadata";
import { Controller, Get, type INestApplication, Module, Param, Post } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { expect, onTestFinished, test } from "vitest";
import {
  createBusinessMetrics,
  createMetricsRegistry,
  metricsHandler,
  metricsMiddleware,
  metricsPlugin,
} from "../src/index.js";
import { samples, settled } from "./helpers.js";

class Wallets {
  balance(id: string): string {
    return `balance of ${id}`;
  }
  fail(): never {
    throw new Error("on purpose");
  }
}
class AppModule {}

// Decorators by hand: what runs these tests does not write their metadata.
function decorate(target: typeof Wallets, method: "balance" | "fail", decorator: MethodDecorator): void {
  const descriptor = Object.getOwnPropertyDescriptor(target.prototype, method);
  if (descriptor) decorator(target.prototype, method, descriptor);
}
decorate(Wallets, "balance", Get(":id"));
decorate(Wallets, "fail", Post("fail"));
Param("id")(Wallets.prototype, "balance", 0);
Controller("wallets")(Wallets);
Module({ controllers: [Wallets] })(AppModule);

async function ask(app: INestApplication): Promise<string> {
  await app.listen(0, "127.0.0.1");
  onTestFinished(() => app.close());
  const base = await app.getUrl();
  for (const path of ["/wallets/1", "/wallets/2", "/wp-admin", "/.env"]) await fetch(base + path);
  await fetch(`${base}/wallets/fail`, { method: "POST" });
  return await (await fetch(`${base}/metrics`)).text();
}

const EXPECTED = {
  'method="GET",route="/wallets/:id",status_code="200"': 2,
  'method="GET",route="unmatched",status_code="404"': 2,
  'method="POST",route="/wallets/fail",status_code="500"': 1,
};

test("a NestJS service is instrumented as the project's document shows it", async () => {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });

  const metrics = createMetricsRegistry("agent-core", { environment: "test" });
  const businessMetrics = createBusinessMetrics(metrics);
  app.use(metricsMiddleware(metrics));
  app.getHttpAdapter().get("/metrics", metricsHandler(metrics));
  app.set("metrics", metrics);
  app.set("businessMetrics", businessMetrics);

  businessMetrics.trackRideRequest("motorbike", "pending");
  businessMetrics.trackPayment("mpesa", 100, "success");
  businessMetrics.trackWhatsAppMessage("text", "sent");

  const page = await ask(app);
  await settled(metrics);
  expect(await samples(metrics, "http_requests_total")).toEqual(EXPECTED);
  for (const line of [
    'ride_requests_total{status="pending",service_type="motorbike",service="agent-core",environment="test"} 1',
    'payment_transactions_total{status="success",payment_method="mpesa",service="agent-core",environment="test"} 1',
    'whatsapp_messages_total{status="sent",message_type="text",service="agent-core",environment="test"} 1',
    "# TYPE process_cpu_seconds_total counter",
  ]) {
    expect(page).toContain(`${line}\n`);
  }
});

test("a NestJS service on Fastify has the same metrics", async () => {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
  const metrics = createMetricsRegistry("agent-core", { environment: "test", processMetrics: false });
  await app.register(metricsPlugin(metrics));
  app.getHttpAdapter().get("/metrics", metricsHandler(metrics));
  const page = await ask(app);
  await settled(metrics);
  expect(page).toContain("# TYPE http_requests_total counter\n");
  expect(await samples(metrics, "http_requests_total")).toEqual(EXPECTED);
});
