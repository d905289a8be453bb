/** Metrics of a service: its registry, the middleware that measures requests, and the handler of `/metrics`. */
export { type Handler, type RouteHandler, metricsHandler, metricsRoute } from "./http/handlers.js";
export {
  type FastifyPlugin,
  type Middleware,
  type MiddlewareOptions,
  instrument,
  metricsMiddleware,
  metricsPlugin,
} from "./http/middleware.js";
export { setRoute } from "./http/route.js";
export {
  MetricsRegistry,
  RegisterError,
  type RegistryOptions,
  createBusinessMetrics,
  createMetricsRegistry,
} from "./registry.js";
