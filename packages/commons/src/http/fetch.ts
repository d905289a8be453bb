/** Requests that a service sends, measured and traced. */
import { SpanKind, SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
import type { MetricsRegistry } from "../registry.js";
import { activeTrace, exemplarOf } from "../trace/context.js";
import { tracer } from "../trace/tracer.js";
import { methodLabel } from "./metrics.js";

/** The status of a request that got no answer. */
const NO_ANSWER = "error";

/**
 * A `fetch` that counts what it sends (`http_client_*`, by method, host and status, never by path), gives each request
 * a span once `init` was called, and sends `traceparent` along.
 */
export function instrumentFetch(metrics: MetricsRegistry, send: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const method = methodLabel(request.method);
    const { host } = new URL(request.url);
    const span = tracer()?.startSpan(`${method} ${host}`, {
      kind: SpanKind.CLIENT,
      attributes: { "http.request.method": method, "server.address": host },
    });
    const within = span === undefined ? context.active() : trace.setSpan(context.active(), span);
    const exemplar = exemplarOf(span?.spanContext() ?? activeTrace());
    propagation.inject(within, request.headers, { set: (headers, key, value) => headers.set(key, value) });
    const started = performance.now();
    const done = (status: string): void =>
      metrics.http.sent(method, host, status, (performance.now() - started) / 1e3, exemplar);
    try {
      const response = await context.with(within, () => send(request));
      span?.setAttribute("http.response.status_code", response.status);
      if (response.status >= 400) span?.setStatus({ code: SpanStatusCode.ERROR });
      done(String(response.status));
      return response;
    } catch (error) {
      span?.recordException(error instanceof Error ? error : String(error));
      span?.setStatus({ code: SpanStatusCode.ERROR, message: `no answer from ${host}` });
      done(NO_ANSWER);
      throw error;
    } finally {
      span?.end();
    }
  };
}
