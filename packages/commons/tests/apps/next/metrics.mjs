import { createBusinessMetrics, createMetricsRegistry } from "@easymo/commons";

// Once in a process: each route is a bundle of its own, and development loads them again and again.
const KEY = Symbol.for("admin-app.metrics");
export const metrics = (globalThis[KEY] ??= createMetricsRegistry("admin-app"));
export const business = createBusinessMetrics(metrics);
