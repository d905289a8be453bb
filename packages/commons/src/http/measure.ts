/** One request of a Node server, measured from its beginning to the end of its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Context, type Span, SpanKind, SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
import { getRPCMetadata } from "@opentelemetry/core";
import { maskText } from "../log/mask.js";
import type { MetricsRegistry } from "../registry.js";
import { exemplarOf } from "../trace/context.js";
import { tracer } from "../trace/tracer.js";
import { CLIENT_LEFT, methodLabel } from "./metrics.js";

const MEASURED = Symbol("easymo.measured");

/**
 * Measures the request until its answer has left or its sender has. `routeOf` is asked then, since no framework knows
 * the route before; `next` runs within the request's span.
 */
export function measure(
  metrics: MetricsRegistry,
  req: IncomingMessage,
  res: ServerResponse & { [MEASURED]?: true },
  routeOf: () => string,
  next: () => void,
): void {
  // A middleware that is mounted twice measures once.
  if (res[MEASURED] === true) return next();
  res[MEASURED] = true;
  const started = performance.now();
  const span = startSpan(req);
  // Below the instrumentation of Express the active span is that of this middleware; the request's own is noted beside it.
  const found = span === undefined ? (getRPCMetadata(context.active())?.span ?? trace.getActiveSpan()) : undefined;
  const here = (span?.span ?? found)?.spanContext();
  const body = watch(res);
  let open = true;
  metrics.http.started();

  const finish = (): void => {
    if (!open) return;
    open = false;
    const method = methodLabel(req.method);
    const route = routeOf();
    const status = body.headAt === undefined ? CLIENT_LEFT : res.statusCode;
    const bodiless = req.method === "HEAD" || status === 204 || status === 304;
    metrics.http.answered({
      method,
      route,
      status,
      seconds: ((body.headAt ?? performance.now()) - started) / 1e3,
      requestBytes: requestSize(req),
      responseBytes: body.headAt === undefined ? undefined : bodiless ? 0 : body.bytes,
      exemplar: exemplarOf(here),
    });
    // An instrumentation's span ends by itself, but does not know the route.
    found?.updateName(`${method} ${route}`).setAttribute("http.route", route);
    if (span !== undefined) endSpan(span.span, method, route, status);
  };
  res.once("finish", finish);
  res.once("close", finish);
  if (span === undefined) next();
  else context.with(span.context, next);
}

interface Watched {
  /** When the head of the answer was written. */
  headAt: number | undefined;
  bytes: number;
}

/** Notes when the answer begins and counts the bytes of its body; whole answers do not declare theirs beforehand. */
function watch(res: ServerResponse): Watched {
  const seen: Watched = { headAt: undefined, bytes: 0 };
  const { writeHead, write, end } = res;
  res.writeHead = function (this: ServerResponse, ...args: unknown[]) {
    seen.headAt ??= performance.now();
    return Reflect.apply(writeHead, this, args);
  } as typeof writeHead;
  res.write = function (this: ServerResponse, ...args: unknown[]) {
    seen.bytes += sizeOf(args[0], args[1]);
    return Reflect.apply(write, this, args);
  } as typeof write;
  res.end = function (this: ServerResponse, ...args: unknown[]) {
    seen.bytes += sizeOf(args[0], args[1]);
    return Reflect.apply(end, this, args);
  } as typeof end;
  return seen;
}

function sizeOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === "string") {
    return Buffer.byteLength(chunk, typeof encoding === "string" ? (encoding as BufferEncoding) : "utf8");
  }
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}

/** The size of a body that says so beforehand; a request without any has none. */
function requestSize(req: IncomingMessage): number | undefined {
  const declared = req.headers["content-length"];
  if (declared !== undefined) return Number(declared);
  return req.headers["transfer-encoding"] === undefined ? 0 : undefined;
}

/** Starts the span of a request, below the sender's; nothing without `init`, or if an instrumentation started one. */
function startSpan(req: IncomingMessage): { span: Span; context: Context } | undefined {
  const found = tracer();
  if (found === undefined || trace.getActiveSpan() !== undefined) return undefined;
  const method = methodLabel(req.method);
  const parent = propagation.extract(context.active(), req.headers);
  const path = (req.url ?? "/").split("?", 1)[0] ?? "/";
  const attributes = { "http.request.method": method, "url.path": maskText(path), "url.scheme": "http" };
  const span = found.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
  return { span, context: trace.setSpan(parent, span) };
}

function endSpan(span: Span, method: string, route: string, status: number): void {
  span.updateName(`${method} ${route}`);
  span.setAttributes({ "http.route": route, "http.response.status_code": status });
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
