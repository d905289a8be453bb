/** The registry of one service. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { BusinessMetrics } from "./business-metrics.js";
import { type Definition, RESERVED } from "./contract.js";
import { type Format, toText004 } from "./exposition.js";
import { Counters, Gauges, Histograms } from "./family.js";
import { HttpMetrics } from "./http/metrics.js";
import { defaultEnvironment, rememberService } from "./identity.js";

/** Why a metric of one's own could not be registered. */
export class RegisterError extends Error {
  override readonly name = "RegisterError";

  constructor(
    readonly reason: "invalid_name" | "duplicate" | "no_total",
    message: string,
  ) {
    super(message);
  }
}

export interface RegistryOptions {
  /** The label `environment`; `ENVIRONMENT`, else `NODE_ENV`, else `development`. */
  readonly environment?: string;
  /** Whether to measure the process and the runtime (`process_*`, `nodejs_*`); yes if left out. */
  readonly processMetrics?: boolean;
  /** How many members a family may have; 2,000 if left out. */
  readonly memberLimit?: number;
}

const METRIC_NAME = /^[A-Za-z_:][A-Za-z0-9_:]*$/;
const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** All metrics of one service. Every series carries the labels `service` and `environment`. */
export class MetricsRegistry {
  readonly service: string;
  readonly environment: string;
  /** prom-client's registry, for what is registered there by other libraries. */
  readonly register: Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>;
  readonly #limit: number | undefined;
  readonly #names = new Set<string>();
  #business: BusinessMetrics | undefined;
  /** What the middleware measures. */
  readonly http: HttpMetrics;

  constructor(service: string, options: RegistryOptions = {}) {
    this.service = service;
    this.environment = options.environment ?? defaultEnvironment();
    this.#limit = options.memberLimit;
    rememberService(service);
    this.register = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>();
    this.register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    this.register.setDefaultLabels({ service, environment: this.environment });
    this.http = new HttpMetrics(this);
    if (options.processMetrics !== false) collectDefaultMetrics({ register: this.register });
  }

  /** The business metrics of the contract. */
  business(): BusinessMetrics {
    this.#business ??= new BusinessMetrics(this);
    return this.#business;
  }

  /** A counter of one's own; `name` ends in `_total`. */
  counter<const L extends readonly string[]>(name: string, help: string, labels: L): Counters<L> {
    if (!name.endsWith("_total")) {
      throw new RegisterError("no_total", `the name of the counter "${name}" does not end in _total`);
    }
    this.#check(name, labels);
    return this.define({ type: "counter", name, help, labels });
  }

  /** A gauge of one's own. */
  gauge<const L extends readonly string[]>(name: string, help: string, labels: L): Gauges<L> {
    this.#check(name, labels);
    return this.define({ type: "gauge", name, help, labels });
  }

  /** A histogram of one's own with the upper bounds `buckets`, in rising order; `+Inf` is added. */
  histogram<const L extends readonly string[]>(
    name: string,
    help: string,
    labels: L,
    buckets: readonly number[],
  ): Histograms<L> {
    this.#check(name, labels);
    return this.define({ type: "histogram", name, help, labels, buckets });
  }

  /** Everything that was measured, as `format` writes it. */
  async expose(format: Format = "text"): Promise<string> {
    const page = await this.register.metrics();
    return format === "openmetrics" ? page : toText004(page);
  }

  /** Registers a family of the contract. @internal */
  define<L extends readonly string[]>(d: Definition<L> & { type: "counter" }): Counters<L>;
  define<L extends readonly string[]>(d: Definition<L> & { type: "gauge" }): Gauges<L>;
  define<L extends readonly string[]>(d: Definition<L> & { type: "histogram" }): Histograms<L>;
  define<L extends readonly string[]>(d: Definition<L>): Counters<L> | Gauges<L> | Histograms<L> {
    this.#names.add(d.name);
    const base = { name: d.name, help: d.help || d.name, labelNames: [...d.labels], registers: [this.register] };
    switch (d.type) {
      case "counter":
        return new Counters(d.labels, new Counter({ ...base, enableExemplars: true }), this.#limit);
      case "gauge":
        return new Gauges(d.labels, new Gauge(base), this.#limit);
      case "histogram": {
        const buckets = [...(d.buckets ?? [])];
        return new Histograms(d.labels, new Histogram({ ...base, buckets, enableExemplars: true }), this.#limit);
      }
    }
  }

  #check(name: string, labels: readonly string[]): void {
    const bad = METRIC_NAME.test(name) ? labels.find((label) => !LABEL_NAME.test(label)) : name;
    if (bad !== undefined) throw new RegisterError("invalid_name", `"${bad}" is not a metric or label name`);
    // prom-client may have renamed its counters by now: it holds them without `_total`.
    const stem = name.replace(/_total$/, "");
    const taken = this.register.getSingleMetric(name) ?? this.register.getSingleMetric(stem);
    if (taken !== undefined || this.#names.has(name) || RESERVED.has(name)) {
      throw new RegisterError("duplicate", `metric "${name}" is registered already`);
    }
  }
}

/** The registry of `service` with the figures of this process. */
export function createMetricsRegistry(service: string, options: RegistryOptions = {}): MetricsRegistry {
  return new MetricsRegistry(service, options);
}

/** The business metrics of `metrics`; asked twice, it gives the same. */
export function createBusinessMetrics(metrics: MetricsRegistry): BusinessMetrics {
  return metrics.business();
}
