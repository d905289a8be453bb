/** What EasyMO does, in numbers: one typed method an event, so that no caller spells a metric or label name. */
import { BUSINESS } from "./contract.js";
import { OTHER } from "./family.js";
import type { MetricsRegistry } from "./registry.js";
import { type TraceContext, activeTrace, exemplarOf } from "./trace/context.js";

/** How a ride request stands when it is counted. A request is counted once. */
export const RIDE_STATUSES = ["pending", "accepted", "rejected", "cancelled", "failed"] as const;
export type RideStatus = (typeof RIDE_STATUSES)[number];

/** Why nobody took a ride. */
export const REJECT_REASONS = ["no_driver", "driver_declined", "too_far", "timeout"] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/** How a payment ended. */
export const PAYMENT_STATUSES = ["success", "pending", "failed"] as const;
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number];

/** By what means money moves. */
export const PAYMENT_METHODS = [
  "momo",
  "mpesa",
  "airtel_money",
  "card",
  "wallet",
  "cash",
  "bank_transfer",
] as const;
export type PaymentMethod = (typeof PAYMENT_METHODS)[number];

/** What became of a WhatsApp message. A message sent is counted as `sent`, and again as what became of it. */
export const MESSAGE_STATUSES = ["received", "sent", "delivered", "read", "failed"] as const;
export type MessageStatus = (typeof MESSAGE_STATUSES)[number];

/** What a database query did. */
export const QUERY_TYPES = ["select", "insert", "update", "delete"] as const;
export type QueryType = (typeof QUERY_TYPES)[number];

export interface DbQuery {
  readonly queryType: QueryType;
  readonly table: string;
}

/** The error code of a failure that did not say why. */
const UNKNOWN = "unknown";

function define(registry: MetricsRegistry) {
  return {
    rideRequests: registry.define(BUSINESS.rideRequests),
    ridesAccepted: registry.define(BUSINESS.ridesAccepted),
    ridesRejected: registry.define(BUSINESS.ridesRejected),
    rideDuration: registry.define(BUSINESS.rideDuration),
    activeRides: registry.define(BUSINESS.activeRides),
    payments: registry.define(BUSINESS.payments),
    paymentAmount: registry.define(BUSINESS.paymentAmount),
    paymentFailures: registry.define(BUSINESS.paymentFailures),
    messages: registry.define(BUSINESS.messages),
    deliveryFailures: registry.define(BUSINESS.deliveryFailures),
    dbConnections: registry.define(BUSINESS.dbConnections),
    dbQueries: registry.define(BUSINESS.dbQueries),
    dbErrors: registry.define(BUSINESS.dbErrors),
    signups: registry.define(BUSINESS.signups),
    activeUsers: registry.define(BUSINESS.activeUsers),
    userSessions: registry.define(BUSINESS.userSessions),
    agentsOnline: registry.define(BUSINESS.agentsOnline),
    agentResponse: registry.define(BUSINESS.agentResponse),
  };
}

/**
 * The business metrics of one service. Samples carry the active span as their exemplar. Durations are in seconds. What
 * is not of a closed set (a status that the types do not know, from plain JavaScript) is counted as `other`; nothing
 * here throws.
 */
export class BusinessMetrics {
  readonly #families: ReturnType<typeof define>;
  readonly #trace: TraceContext | undefined;

  /** @internal Use {@link createBusinessMetrics}. */
  constructor(registry: MetricsRegistry | BusinessMetrics, trace?: TraceContext) {
    this.#families = registry instanceof BusinessMetrics ? registry.#families : define(registry);
    this.#trace = trace;
  }

  /** The same metrics; what is tracked through it carries `trace` as its exemplar. */
  traced(trace: TraceContext): BusinessMetrics {
    return new BusinessMetrics(this, trace);
  }

  /** Counts a ride request. */
  trackRideRequest(serviceType: string, status: RideStatus): void {
    this.#families.rideRequests.inc([oneOf(RIDE_STATUSES, status), serviceType], 1, this.#exemplar());
  }

  /** Counts a ride that a driver took. */
  trackRideAccepted(serviceType: string): void {
    this.#families.ridesAccepted.inc([serviceType], 1, this.#exemplar());
  }

  /** Counts a ride that nobody took. */
  trackRideRejected(serviceType: string, reason: RejectReason): void {
    this.#families.ridesRejected.inc([serviceType, oneOf(REJECT_REASONS, reason)], 1, this.#exemplar());
  }

  /** Counts a ride as under way. */
  rideStarted(serviceType: string): void {
    this.#families.activeRides.add([serviceType], 1);
  }

  /** Takes a ride off those under way and records how long it took. */
  rideCompleted(serviceType: string, seconds: number): void {
    this.#families.activeRides.add([serviceType], -1);
    this.#families.rideDuration.observe([serviceType], seconds, this.#exemplar());
  }

  /**
   * Counts a payment. A failure raises both counters, and `errorCode` says why in the provider's words (a small set);
   * only a success counts into the amounts, so that their sum is the money that moved.
   */
  trackPayment(method: PaymentMethod, amountUsd: number, status: PaymentStatus, errorCode: string = UNKNOWN): void {
    const exemplar = this.#exemplar();
    const means = oneOf(PAYMENT_METHODS, method);
    const outcome = oneOf(PAYMENT_STATUSES, status);
    if (outcome === "success" && amountUsd >= 0) this.#families.paymentAmount.observe([means], amountUsd, exemplar);
    if (outcome === "failed") this.#families.paymentFailures.inc([means, errorCode], 1, exemplar);
    this.#families.payments.inc([outcome, means], 1, exemplar);
  }

  /** Counts a WhatsApp message. A failure raises both counters; `errorCode` is WhatsApp's, such as `131026`. */
  trackWhatsAppMessage(messageType: string, status: MessageStatus, errorCode: string = UNKNOWN): void {
    const exemplar = this.#exemplar();
    const outcome = oneOf(MESSAGE_STATUSES, status);
    if (outcome === "failed") this.#families.deliveryFailures.inc([errorCode], 1, exemplar);
    this.#families.messages.inc([outcome, messageType], 1, exemplar);
  }

  /** Sets how many connections to `database` are in use. */
  setDbConnections(database: string, connections: number): void {
    this.#families.dbConnections.set([database], connections);
  }

  /** Records how long a query took. */
  trackDbQuery(query: DbQuery, seconds: number): void {
    const values = [oneOf(QUERY_TYPES, query.queryType), query.table] as const;
    this.#families.dbQueries.observe(values, seconds, this.#exemplar());
  }

  /** Runs `work` and records how long it took, whether it succeeded or not. */
  async timeDbQuery<T>(query: DbQuery, work: () => PromiseLike<T> | T): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.trackDbQuery(query, (performance.now() - started) / 1e3);
    }
  }

  /** Counts a failed query, `errorType` being `timeout`, `deadlock`, `pool_timeout` and the like. */
  trackDbError(errorType: string): void {
    this.#families.dbErrors.inc([errorType], 1, this.#exemplar());
  }

  /** Counts a new user. */
  trackSignup(userType: string): void {
    this.#families.signups.inc([userType], 1, this.#exemplar());
  }

  /** Sets how many users are active. */
  setActiveUsers(userType: string, users: number): void {
    this.#families.activeUsers.set([userType], users);
  }

  /** Sets how many sessions are open. */
  setUserSessions(userType: string, sessions: number): void {
    this.#families.userSessions.set([userType], sessions);
  }

  /** Sets how many agents take conversations. */
  setAgentsOnline(agentType: string, agents: number): void {
    this.#families.agentsOnline.set([agentType], agents);
  }

  /** Records how long an agent took to answer. */
  trackAgentResponse(agentType: string, seconds: number): void {
    this.#families.agentResponse.observe([agentType], seconds, this.#exemplar());
  }

  #exemplar() {
    return exemplarOf(this.#trace ?? activeTrace());
  }
}

function oneOf<const T extends string>(known: readonly T[], value: T): T | typeof OTHER {
  return known.includes(value) ? value : OTHER;
}
