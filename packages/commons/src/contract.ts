/**
 * The metrics contract of EasyMO: names, types, labels and buckets are an interface that dashboards, alerts and the
 * Rust library share. Names are never prefixed by the service; `service` and `environment` are labels of every series.
 */

export interface Definition<L extends readonly string[] = readonly string[]> {
  readonly type: "counter" | "gauge" | "histogram";
  readonly name: string;
  readonly help: string;
  readonly labels: L;
  readonly buckets?: readonly number[];
}

const counter = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
  ({ type: "counter", name, help, labels }) as const;
const gauge = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
  ({ type: "gauge", name, help, labels }) as const;
const histogram = <const L extends readonly string[]>(
  name: string,
  help: string,
  labels: L,
  buckets: readonly number[],
) => ({ type: "histogram", name, help, labels, buckets }) as const;

const REQUEST_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10];
const BODY_BYTES = [100, 1e3, 5e3, 10e3, 50e3, 100e3, 500e3, 1e6];
const RIDE_SECONDS = [60, 300, 600, 1200, 1800, 3600, 7200];
const PAYMENT_USD = [1, 5, 10, 20, 50, 100, 200, 500, 1000];
const QUERY_SECONDS = [0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5];
const AGENT_SECONDS = [0.1, 0.5, 1, 2, 5, 10, 30];

/** What the middleware measures. */
export const HTTP = {
  requests: counter("http_requests_total", "HTTP requests answered", ["method", "route", "status_code"]),
  duration: histogram(
    "http_request_duration_seconds",
    "Time until the answer began",
    ["method", "route", "status_code"],
    REQUEST_SECONDS,
  ),
  requestSize: histogram("http_request_size_bytes", "Size of request bodies", ["method", "route"], BODY_BYTES),
  responseSize: histogram("http_response_size_bytes", "Size of response bodies", ["method", "route"], BODY_BYTES),
} as const;

/** What the libraries measure beyond the contract. */
export const EXTENSIONS = {
  inFlight: gauge("http_requests_in_flight", "HTTP requests that wait for their answer", []),
  clientRequests: counter("http_client_requests_total", "HTTP requests sent", ["method", "host", "status_code"]),
  clientDuration: histogram(
    "http_client_request_duration_seconds",
    "Time until the answer to a request sent began",
    ["method", "host", "status_code"],
    REQUEST_SECONDS,
  ),
} as const;

/** What {@link BusinessMetrics} counts. */
export const BUSINESS = {
  rideRequests: counter("ride_requests_total", "Ride requests", ["status", "service_type"]),
  ridesAccepted: counter("ride_requests_accepted_total", "Rides that a driver took", ["service_type"]),
  ridesRejected: counter("ride_requests_rejected_total", "Rides that nobody took", ["service_type", "reason"]),
  rideDuration: histogram("ride_duration_seconds", "How long rides took", ["service_type"], RIDE_SECONDS),
  activeRides: gauge("active_rides", "Rides under way", ["service_type"]),
  payments: counter("payment_transactions_total", "Payments", ["status", "payment_method"]),
  paymentAmount: histogram(
    "payment_amount_usd",
    "Amounts of successful payments, in US dollars",
    ["payment_method"],
    PAYMENT_USD,
  ),
  paymentFailures: counter("payment_failures_total", "Payments that failed", ["payment_method", "error_code"]),
  messages: counter("whatsapp_messages_total", "WhatsApp messages", ["status", "message_type"]),
  deliveryFailures: counter("whatsapp_delivery_failures_total", "WhatsApp messages that could not be delivered", [
    "error_code",
  ]),
  dbConnections: gauge("db_connections_active", "Database connections in use", ["database"]),
  dbQueries: histogram(
    "db_query_duration_seconds",
    "How long database queries took",
    ["query_type", "table"],
    QUERY_SECONDS,
  ),
  dbErrors: counter("db_errors_total", "Database queries that failed", ["error_type"]),
  signups: counter("user_signups_total", "New users", ["user_type"]),
  activeUsers: gauge("active_users", "Users active now", ["user_type"]),
  userSessions: gauge("user_sessions", "Sessions open now", ["user_type"]),
  agentsOnline: gauge("agents_online", "AI agents that take conversations", ["agent_type"]),
  agentResponse: histogram(
    "agent_response_time_seconds",
    "How long agents took to answer",
    ["agent_type"],
    AGENT_SECONDS,
  ),
} as const;

/** All names that a service may not give to metrics of its own. */
export const RESERVED: ReadonlySet<string> = new Set(
  [HTTP, EXTENSIONS, BUSINESS].flatMap((group) => Object.values<Definition>(group).map((d) => d.name)),
);
