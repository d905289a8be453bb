import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type MetricsRegistry, createMetricsRegistry } from "../src/index.js";

export function registry(service = "wallet-service"): MetricsRegistry {
  return createMetricsRegistry(service, { environment: "test", processMetrics: false });
}

/** Serves on a port of the system's choice until the test ends; the base address. */
export async function serve(server: Server | Parameters<typeof createServer>[1]): Promise<string> {
  const http = typeof server === "function" ? createServer(server) : (server as Server);
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** The samples of a page by name and labels (without service and environment), sorted as they come. */
export async function samples(metrics: MetricsRegistry, name: string): Promise<Record<string, number>> {
  const page = await metrics.expose();
  const found: Record<string, number> = {};
  for (const line of page.split("\n")) {
    const [, labels = "", value = ""] = line.startsWith(`${name}{`) ? (/\{(.*)\} (\S+)$/.exec(line) ?? []) : [];
    if (value !== "") found[labels.replace(/,?(service|environment)="[^"]*"/g, "").replace(/^,/, "")] = Number(value);
  }
  return found;
}

/** Waits until the last answers are recorded: a server notes that an answer left after its receiver has it. */
export async function settled(metrics: MetricsRegistry): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await samples(metrics, "http_requests_in_flight"))[""] === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("requests are still under way");
}
