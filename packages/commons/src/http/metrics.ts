/** The families that HTTP servers and clients report to. */
import { EXTENSIONS, HTTP } from "../contract.js";
import type { Counters, Gauges, Histograms, TraceLabels } from "../family.js";
import type { MetricsRegistry } from "../registry.js";

/** The route of requests that matched none: one value, whatever strangers ask for. */
export const UNMATCHED = "unmatched";
/** The status of a request whose sender left before the answer was ready, as nginx writes it. */
export const CLIENT_LEFT = 499;

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);

/** The label `method`: the known nine or `OTHER`, so that strangers cannot make series. */
export function methodLabel(method: string | undefined): string {
  return method !== undefined && METHODS.has(method) ? method : "OTHER";
}

/** A request that was answered, or whose sender left. */
export interface Answered {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  /** Nothing if the length of the body was not declared. */
  readonly requestBytes: number | undefined;
  /** Nothing if there was no answer. */
  readonly responseBytes: number | undefined;
  readonly exemplar: TraceLabels | undefined;
}

export class HttpMetrics {
  readonly #requests: Counters<typeof HTTP.requests.labels>;
  readonly #duration: Histograms<typeof HTTP.duration.labels>;
  readonly #requestSize: Histograms<typeof HTTP.requestSize.labels>;
  readonly #responseSize: Histograms<typeof HTTP.responseSize.labels>;
  readonly #inFlight: Gauges<typeof EXTENSIONS.inFlight.labels>;
  readonly #registry: MetricsRegistry;
  #client: Client | undefined;

  constructor(registry: MetricsRegistry) {
    this.#registry = registry;
    this.#duration = registry.define(HTTP.duration);
    this.#requests = registry.define(HTTP.requests);
    this.#requestSize = registry.define(HTTP.requestSize);
    this.#responseSize = registry.define(HTTP.responseSize);
    this.#inFlight = registry.define(EXTENSIONS.inFlight);
  }

  started(): void {
    this.#inFlight.add([], 1);
  }

  answered(request: Answered): void {
    const { method, route, exemplar } = request;
    const byStatus = [method, route, String(request.status)] as const;
    this.#inFlight.add([], -1);
    this.#requests.inc(byStatus, 1, exemplar);
    this.#duration.observe(byStatus, request.seconds, exemplar);
    if (request.requestBytes !== undefined) this.#requestSize.observe([method, route], request.requestBytes);
    if (request.responseBytes !== undefined) this.#responseSize.observe([method, route], request.responseBytes);
  }

  /** Records a request that this service sent; `status` is `error` if no answer came. */
  sent(method: string, host: string, status: string, seconds: number, exemplar: TraceLabels | undefined): void {
    this.#client ??= {
      requests: this.#registry.define(EXTENSIONS.clientRequests),
      duration: this.#registry.define(EXTENSIONS.clientDuration),
    };
    this.#client.requests.inc([method, host, status], 1, exemplar);
    this.#client.duration.observe([method, host, status], seconds, exemplar);
  }
}

/** Only services that send requests through {@link instrumentFetch} have these. */
interface Client {
  readonly requests: Counters<typeof EXTENSIONS.clientRequests.labels>;
  readonly duration: Histograms<typeof EXTENSIONS.clientDuration.labels>;
}
