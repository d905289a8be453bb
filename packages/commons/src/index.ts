/**
 * Instrumentation for EasyMO's services in TypeScript.
 *
 * Names, labels and buckets are a contract that dashboards, alerts and the Rust library share. The package knows
 * nothing of Reba: any scraper of the Prometheus formats can read it, any OTLP receiver takes its spans.
 */
export {
  BusinessMetrics,
  type DbQuery,
  MESSAGE_STATUSES,
  type MessageStatus,
  PAYMENT_METHODS,
  PAYMENT_STATUSES,
  type PaymentMethod,
  type PaymentStatus,
  QUERY_TYPES,
  type QueryType,
  REJECT_REASONS,
  RIDE_STATUSES,
  type RejectReason,
  type RideStatus,
} from "./business-metrics.js";
export { CONTENT_TYPE, type Format, negotiate, toText004 } from "./exposition.js";
export { type Counters, type Gauges, type Histograms, OTHER, type TraceLabels, type Values } from "./family.js";
export { instrumentFetch } from "./http/fetch.js";
export { type Check, type Health, type HealthOptions, healthHandler, healthRoute } from "./http/handlers.js";
export { bridgeConsole } from "./log/console.js";
export { type LogOptions, childLogger, createLogger, setDefaultLogger } from "./log/logger.js";
export { REDACTED, maskCard, maskEmail, maskId, maskPhone, maskPii, maskText } from "./log/mask.js";
export {
  type FastifyPlugin,
  type Handler,
  MetricsRegistry,
  type Middleware,
  type MiddlewareOptions,
  RegisterError,
  type RegistryOptions,
  type RouteHandler,
  createBusinessMetrics,
  createMetricsRegistry,
  instrument,
  metricsHandler,
  metricsMiddleware,
  metricsPlugin,
  metricsRoute,
  setRoute,
} from "./metrics.js";
export { type ShutdownOptions, gracefulShutdown } from "./shutdown.js";
export { type TraceContext, activeTrace, parseTraceparent, traceparent } from "./trace/context.js";
export { type InstrumentationLike, type Tracing, type TracingOptions, init, register } from "./trace/init.js";
export { OtlpJsonExporter, type OtlpOptions } from "./trace/otlp.js";
