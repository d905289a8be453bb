//! Instrumentation for EasyMO services: metrics, HTTP middleware, business metrics.
