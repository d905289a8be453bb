/** Middleware for Express 4 and 5, NestJS on both, Fastify, and plain Node servers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { MetricsRegistry } from "../registry.js";
import { measure } from "./measure.js";
import { UNMATCHED } from "./metrics.js";
import { routeOf } from "./route.js";

export interface MiddlewareOptions {
  /** Paths that are not measured; those of the scrape and of health checks if left out. */
  readonly ignore?: readonly string[];
}

const IGNORED: readonly string[] = ["/metrics", "/api/metrics", "/health"];

/** A middleware in the shape that Express, Connect and NestJS take. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Measures every request that passes, and gives each a span once `init` was called. Mount it before all else. The
 * label `route` is the template that Express matched (`/rides/:id`), never the path: strangers cannot make new series.
 */
export function metricsMiddleware(metrics: MetricsRegistry, options: MiddlewareOptions = {}): Middleware {
  const ignored = new Set(options.ignore ?? IGNORED);
  return (req, res, next) => {
    if (ignored.has(pathOf(req))) return next();
    measure(metrics, req, res, () => routeOf(req), next);
  };
}

/** Measures a plain `node:http` listener. It says its routes by `setRoute`; the rest is `unmatched`. */
export function instrument(
  metrics: MetricsRegistry,
  listener: (req: IncomingMessage, res: ServerResponse) => void,
  options: MiddlewareOptions = {},
): (req: IncomingMessage, res: ServerResponse) => void {
  const middleware = metricsMiddleware(metrics, options);
  return (req, res) => middleware(req, res, () => listener(req, res));
}

/** What of Fastify 4 and 5 the plugin needs. */
export interface FastifyInstanceLike {
  addHook(name: "onRequest", hook: (request: FastifyRequestLike, reply: FastifyReplyLike, done: () => void) => void): unknown;
}

export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
  readonly is404?: boolean;
  readonly routeOptions?: { readonly url?: string | undefined };
}

export interface FastifyReplyLike {
  readonly raw: ServerResponse;
}

export type FastifyPlugin = (app: FastifyInstanceLike, options: object, done: (error?: Error) => void) => void;

/** The same for Fastify, also below NestJS: `app.register(metricsPlugin(metrics))`. */
export function metricsPlugin(metrics: MetricsRegistry, options: MiddlewareOptions = {}): FastifyPlugin {
  const ignored = new Set(options.ignore ?? IGNORED);
  const plugin: FastifyPlugin = (app, _options, done) => {
    app.addHook("onRequest", (request, reply, next) => {
      if (ignored.has(pathOf(request.raw))) return next();
      const route = () => (request.is404 === true ? UNMATCHED : (request.routeOptions?.url ?? UNMATCHED));
      measure(metrics, request.raw, reply.raw, route, next);
    });
    done();
  };
  // The hook is meant for the whole application, not for the plugin's own scope.
  return Object.assign(plugin, { [Symbol.for("skip-override")]: true });
}

function pathOf(req: IncomingMessage & { originalUrl?: string }): string {
  const url = req.originalUrl ?? req.url ?? "/";
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}
