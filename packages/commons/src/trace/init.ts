/** Traces with one call. */
import { type Tracer, type TracerProvider, context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import { defaultEnvironment, defaultService, rememberService } from "../identity.js";
import { OtlpJsonExporter } from "./otlp.js";
import { setTracer } from "./tracer.js";

/** What of OpenTelemetry's instrumentations is needed: those of every generation have it. */
export interface InstrumentationLike {
  setTracerProvider(provider: TracerProvider): void;
  enable(): void;
  disable(): void;
}

export interface TracingOptions {
  /** The label `environment` of spans; as in metrics. */
  readonly environment?: string;
  readonly version?: string;
  /**
   * The receiver, with or without `/v1/traces`; `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else
   * `OTEL_EXPORTER_OTLP_ENDPOINT`, else `http://127.0.0.1:4318`.
   */
  readonly endpoint?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The share of new traces that is recorded, 0 to 1; `OTEL_TRACES_SAMPLER_ARG`, else all. */
  readonly ratio?: number;
  /** Instrumentations of the application's own choice. */
  readonly instrumentations?: readonly InstrumentationLike[];
  /** Takes the place of the one that sends to `endpoint`. */
  readonly exporter?: SpanExporter;
}

export interface Tracing {
  readonly service: string;
  readonly tracer: Tracer;
  /** Sends what is finished so far. */
  flush(): Promise<void>;
  /** Sends what is finished and stops tracing. */
  shutdown(): Promise<void>;
}

const SCOPE = "@easymo/commons";
/** What a sender may hold back: as many spans as a busy service makes in a few seconds. */
const QUEUE = 4_096;

let current: Tracing | undefined;

/** Starts tracing. A second call gives what the first one made. */
export function init(service: string = defaultService(), options: TracingOptions = {}): Tracing {
  current ??= start(service, options);
  return current;
}

/** {@link init} together with OpenTelemetry's own instrumentations, if the application has installed them. */
export async function register(service?: string, options: TracingOptions = {}): Promise<Tracing> {
  const instrumentations = options.instrumentations ?? (await installedInstrumentations());
  return init(service, { ...options, instrumentations });
}

function start(service: string, options: TracingOptions): Tracing {
  rememberService(service);
  const exporter = options.exporter ?? new OtlpJsonExporter({ url: tracesUrl(options), headers: options.headers ?? {} });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      "service.name": service,
      "deployment.environment.name": options.environment ?? defaultEnvironment(),
      ...(options.version === undefined ? {} : { "service.version": options.version }),
      "telemetry.sdk.language": "nodejs",
      "process.pid": process.pid,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratioOf(options)) }),
    spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: QUEUE, scheduledDelayMillis: 1_000 })],
  });
  const contexts = new AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(contexts);
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  const tracer = provider.getTracer(SCOPE);
  setTracer(tracer);
  const instrumentations = options.instrumentations ?? [];
  for (const instrumentation of instrumentations) {
    instrumentation.setTracerProvider(provider);
    instrumentation.enable();
  }
  const shutdown = async (): Promise<void> => {
    if (current?.tracer !== tracer) return;
    current = undefined;
    setTracer(undefined);
    for (const instrumentation of instrumentations) instrumentation.disable();
    await provider.shutdown();
    trace.disable();
    propagation.disable();
    context.disable();
  };
  return { service, tracer, flush: () => provider.forceFlush(), shutdown };
}

function tracesUrl(options: TracingOptions): string {
  const exact = process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  if (options.endpoint === undefined && exact) return exact;
  const base = options.endpoint ?? (process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] || "http://127.0.0.1:4318");
  const whole = base.replace(/\/+$/, "");
  return whole.endsWith("/v1/traces") ? whole : `${whole}/v1/traces`;
}

function ratioOf(options: TracingOptions): number {
  const ratio = options.ratio ?? Number(process.env["OTEL_TRACES_SAMPLER_ARG"] || 1);
  return Number.isFinite(ratio) ? Math.min(1, Math.max(0, ratio)) : 1;
}

async function installedInstrumentations(): Promise<readonly InstrumentationLike[]> {
  const name: string = "@opentelemetry/auto-instrumentations-node";
  try {
    const found = (await import(name)) as { getNodeAutoInstrumentations?: () => readonly InstrumentationLike[] };
    return found.getNodeAutoInstrumentations?.() ?? [];
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND") return [];
    if ((error as { code?: unknown }).code === "MODULE_NOT_FOUND") return [];
    throw error;
  }
}
