/** Where work stands: its trace and span, as OpenTelemetry's active context has it or as a header says. */
import { trace } from "@opentelemetry/api";
import type { TraceLabels } from "../family.js";

/** A span, by its ids. */
export interface TraceContext {
  /** 32 lowercase hexadecimal digits. */
  readonly traceId: string;
  /** 16 lowercase hexadecimal digits. */
  readonly spanId: string;
  /** W3C trace flags; bit 0 says that the trace is recorded. */
  readonly traceFlags: number;
}

const SAMPLED = 1;
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The span that is active here; nothing outside of spans. */
export function activeTrace(): TraceContext | undefined {
  return trace.getActiveSpan()?.spanContext();
}

/** The labels of an exemplar that leads to a span; nothing for a trace that is not sampled, since it is not kept. */
export function exemplarOf(context: TraceContext | undefined): TraceLabels | undefined {
  if (context === undefined || (context.traceFlags & SAMPLED) === 0) return undefined;
  return { trace_id: context.traceId, span_id: context.spanId };
}

/** Reads a W3C `traceparent` header (level 1); nothing if it is malformed, since the standard wants a new trace then. */
export function parseTraceparent(header: string): TraceContext | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more] = TRACEPARENT.exec(header) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & SAMPLED };
}

/** The value of the `traceparent` header. */
export function traceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, "0")}`;
}
