/** `/metrics` and `/health`, for servers of Node (Express, Fastify, NestJS, plain) and for Next.js. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { CONTENT_TYPE, negotiate } from "../exposition.js";
import type { MetricsRegistry } from "../registry.js";

/** What of a request of Express, Fastify or Node is needed. */
interface RequestLike {
  readonly headers?: IncomingHttpHeaders;
}

/** What of Fastify's reply is needed. */
interface ReplyLike {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: string): unknown;
}

/**
 * A handler of Express, Fastify, NestJS and Node. Requests and answers are no more than objects here, since NestJS
 * declares those of its adapters without any fields.
 */
export type Handler = (req: object, res: object) => Promise<void>;
export type RouteHandler = (request: Request) => Promise<Response>;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** The handler to mount at `/metrics`: text 0.0.4 or OpenMetrics, as the `Accept` header asks. */
export function metricsHandler(metrics: MetricsRegistry): Handler {
  return async (req, res) => answer(res, await page(metrics, (req as RequestLike).headers?.accept));
}

/** The same as a route handler of Next.js: `export const GET = metricsRoute(metrics)`. */
export function metricsRoute(metrics: MetricsRegistry): RouteHandler {
  return async (request) => response(await page(metrics, request.headers.get("accept")));
}

async function page(metrics: MetricsRegistry, accept: string | null | undefined): Promise<Answer> {
  const format = negotiate(accept);
  return { status: 200, type: CONTENT_TYPE[format], body: await metrics.expose(format) };
}

/** Says whether something that the service needs is there, by throwing if it is not. */
export type Check = () => unknown;

export interface HealthOptions {
  readonly checks?: Readonly<Record<string, Check>>;
  /** How long a check may take before it counts as failed; 2,000 if left out. */
  readonly timeoutMs?: number;
}

/** What `/health` answers; with status 200 if all checks passed, else 503. */
export interface Health {
  readonly status: "ok" | "failing";
  readonly service: string;
  /** `ok` or why not. */
  readonly checks: Readonly<Record<string, string>>;
}

/** The handler to mount at `/health`. */
export function healthHandler(metrics: MetricsRegistry, options: HealthOptions = {}): Handler {
  return async (_req, res) => answer(res, await health(metrics, options));
}

/** The same as a route handler of Next.js. */
export function healthRoute(metrics: MetricsRegistry, options: HealthOptions = {}): RouteHandler {
  return async () => response(await health(metrics, options));
}

async function health(metrics: MetricsRegistry, options: HealthOptions): Promise<Answer> {
  const { checks = {}, timeoutMs = 2_000 } = options;
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await outcome(check, timeoutMs)] as const),
  );
  const failing = results.some(([, result]) => result !== "ok");
  const body: Health = {
    status: failing ? "failing" : "ok",
    service: metrics.service,
    checks: Object.fromEntries(results),
  };
  return { status: failing ? 503 : 200, type: "application/json; charset=utf-8", body: JSON.stringify(body) };
}

async function outcome(check: Check, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${timeoutMs} ms`), timeoutMs);
  });
  try {
    return await Promise.race([Promise.resolve().then(check).then(() => "ok"), late]);
  } catch {
    // The reason may hold addresses and passwords of what is checked: it belongs into the log, not to whoever asks.
    return "failed";
  } finally {
    clearTimeout(timer);
  }
}

function answer(to: object, { status, type, body }: Answer): void {
  if (isReply(to)) {
    to.code(status);
    to.header("content-type", type);
    to.send(body);
    return;
  }
  const res = to as ServerResponse;
  res.statusCode = status;
  res.setHeader("Content-Type", type);
  res.end(body);
}

/** Fastify's replies hold Node's answer as `raw`; Express' answers are Node's own. */
const isReply = (to: object): to is ReplyLike => "raw" in to;

function response({ status, type, body }: Answer): Response {
  return new Response(body, { status, headers: { "content-type": type } });
}
