/** Sends spans as OTLP over HTTP in JSON. <https://opentelemetry.io/docs/specs/otlp/#otlphttp> */
import type { Attributes, AttributeValue, HrTime } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";

export interface OtlpOptions {
  /** The whole address, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How long one try may take; 5,000 if left out. */
  readonly timeoutMs?: number;
  /** Waits between tries; 200 and 1,000 ms if left out. What is then still not taken is dropped. */
  readonly retryAfterMs?: readonly number[];
  readonly send?: typeof fetch;
}

/** What the receiver may take a little later. */
const RETRYABLE = new Set([429, 502, 503, 504]);

/** An exporter that needs no more than `fetch`. Whoever is away costs traces, never the service. */
export class OtlpJsonExporter implements SpanExporter {
  readonly #options: OtlpOptions;
  readonly #pending = new Set<Promise<void>>();
  #closed = false;
  /** Spans that were not taken. */
  dropped = 0;

  constructor(options: OtlpOptions) {
    this.#options = options;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    if (this.#closed) return done({ code: ExportResultCode.FAILED, error: new Error("the exporter was shut down") });
    const sending = this.#deliver(JSON.stringify(tracesRequest(spans))).then(
      () => done({ code: ExportResultCode.SUCCESS }),
      (error: unknown) => {
        this.dropped += spans.length;
        done({ code: ExportResultCode.FAILED, error: error instanceof Error ? error : new Error(String(error)) });
      },
    );
    this.#pending.add(sending);
    void sending.finally(() => this.#pending.delete(sending));
  }

  async forceFlush(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async shutdown(): Promise<void> {
    this.#closed = true;
    await this.forceFlush();
  }

  async #deliver(body: string): Promise<void> {
    const waits = this.#options.retryAfterMs ?? [200, 1_000];
    for (let tried = 0; ; tried++) {
      const problem = await this.#send(body);
      if (problem === undefined) return;
      const wait = waits[tried];
      if (!problem.retryable || wait === undefined) throw new Error(problem.why);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async #send(body: string): Promise<{ why: string; retryable: boolean } | undefined> {
    const { url, headers = {}, timeoutMs = 5_000, send = fetch } = this.#options;
    try {
      const response = await send(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body,
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.arrayBuffer();
      if (response.ok) return undefined;
      return { why: `${url} answered ${response.status}`, retryable: RETRYABLE.has(response.status) };
    } catch (error) {
      return { why: `${url}: ${error instanceof Error ? error.message : String(error)}`, retryable: true };
    }
  }
}

/** The `ExportTraceServiceRequest` of these spans: by resource, then by scope. */
export function tracesRequest(spans: readonly ReadableSpan[]): object {
  const resources = groups(spans, (span) => span.resource);
  return {
    resourceSpans: resources.map(([resource, ofResource]) => ({
      resource: { attributes: keyValues(resource.attributes) },
      scopeSpans: groups(ofResource, (span) => span.instrumentationScope).map(([scope, ofScope]) => ({
        scope: { name: scope.name, ...(scope.version === undefined ? {} : { version: scope.version }) },
        spans: ofScope.map(spanJson),
      })),
    })),
  };
}

function groups<T, K>(items: readonly T[], keyOf: (item: T) => K): [K, T[]][] {
  const found = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = found.get(key);
    if (group === undefined) found.set(key, [item]);
    else group.push(item);
  }
  return [...found];
}

function spanJson(span: ReadableSpan): object {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const parent = span.parentSpanContext;
  return {
    traceId,
    spanId,
    ...(traceState === undefined ? {} : { traceState: traceState.serialize() }),
    ...(parent === undefined ? {} : { parentSpanId: parent.spanId }),
    // Bits 8 and 9: whether the parent is in another process is known, and whether it is.
    flags: traceFlags | 0x100 | (parent?.isRemote === true ? 0x200 : 0),
    name: span.name,
    // The API counts kinds from 0, the protocol from 1.
    kind: span.kind + 1,
    startTimeUnixNano: nanoseconds(span.startTime),
    endTimeUnixNano: nanoseconds(span.endTime),
    attributes: keyValues(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events.map((event) => ({
      timeUnixNano: nanoseconds(event.time),
      name: event.name,
      attributes: keyValues(event.attributes ?? {}),
    })),
    droppedEventsCount: span.droppedEventsCount,
    links: span.links.map((link) => ({
      traceId: link.context.traceId,
      spanId: link.context.spanId,
      attributes: keyValues(link.attributes ?? {}),
    })),
    droppedLinksCount: span.droppedLinksCount,
    status: { code: span.status.code, ...(span.status.message ? { message: span.status.message } : {}) },
  };
}

/** Nanoseconds since 1970 in decimal digits: JSON's numbers are too short for them. */
function nanoseconds([seconds, nanos]: HrTime): string {
  return `${seconds}${String(nanos).padStart(9, "0")}`;
}

function keyValues(attributes: Attributes): object[] {
  return Object.entries(attributes).flatMap(([key, value]) => (value == null ? [] : [{ key, value: anyValue(value) }]));
}

function anyValue(value: AttributeValue | null | undefined): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  return { arrayValue: { values: (value ?? []).map((item) => anyValue(item)) } };
}
