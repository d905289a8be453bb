/** Families of metrics: one member a set of label values, and never more than a limit. */
import type { Counter, Gauge, Histogram } from "prom-client";

/** The value that all labels get once a family has reached its limit, so that totals stay right. */
export const OTHER = "other";

/** More members than any honest service needs, few enough for every scraper. */
export const MEMBER_LIMIT = 2_000;

/** One value for each label, in the order in which the labels were declared. */
export type Values<L extends readonly string[]> = { readonly [K in keyof L]: string };

/** Leads from a sample to the span in which it was taken. */
export interface TraceLabels {
  readonly trace_id: string;
  readonly span_id: string;
}

type Labels = Record<string, string>;

/** The label sets of one family. */
class Members<L extends readonly string[]> {
  readonly #names: L;
  readonly #limit: number;
  readonly #known = new Map<string, Labels>();
  readonly #overflow: Labels;

  constructor(names: L, limit: number) {
    this.#names = names;
    this.#limit = limit;
    this.#overflow = Object.fromEntries(names.map((name) => [name, OTHER]));
  }

  labels(values: Values<L>): Labels {
    const key = keyOf(values);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= this.#limit) return this.#overflow;
    const labels = Object.fromEntries(this.#names.map((name, at) => [name, String(values[at] ?? "")]));
    this.#known.set(key, labels);
    return labels;
  }
}

/** Joins the values so that no two lists of them give one key: no label value of ours holds a unit separator. */
function keyOf(values: readonly string[]): string {
  return values.length === 1 ? String(values[0]) : values.join("\u001f");
}

/** Counters with the labels `L`. */
export class Counters<L extends readonly string[]> {
  readonly #members: Members<L>;
  readonly #metric: Counter;

  constructor(names: L, metric: Counter, limit = MEMBER_LIMIT) {
    this.#members = new Members(names, limit);
    this.#metric = metric;
  }

  /** Counts `by` more, one if left out, and remembers the trace as the counter's exemplar. Counters never fall. */
  inc(values: Values<L>, by = 1, exemplar?: TraceLabels): void {
    if (!(by >= 0 && by < Infinity)) return;
    const labels = this.#members.labels(values);
    this.#metric.inc(exemplar ? { labels, value: by, exemplarLabels: { ...exemplar } } : { labels, value: by });
  }
}

/** Gauges with the labels `L`. */
export class Gauges<L extends readonly string[]> {
  readonly #members: Members<L>;
  readonly #metric: Gauge;

  constructor(names: L, metric: Gauge, limit = MEMBER_LIMIT) {
    this.#members = new Members(names, limit);
    this.#metric = metric;
  }

  /** Sets the value; what is no number is left out. */
  set(values: Values<L>, value: number): void {
    if (!Number.isFinite(value)) return;
    this.#metric.set(this.#members.labels(values), value);
  }

  /** Adds to the value; a negative `delta` takes away. */
  add(values: Values<L>, delta: number): void {
    if (!Number.isFinite(delta)) return;
    this.#metric.inc(this.#members.labels(values), delta);
  }
}

/** Histograms with the labels `L`. */
export class Histograms<L extends readonly string[]> {
  readonly #members: Members<L>;
  readonly #metric: Histogram;

  constructor(names: L, metric: Histogram, limit = MEMBER_LIMIT) {
    this.#members = new Members(names, limit);
    this.#metric = metric;
  }

  /** Observes one value and remembers the trace as its bucket's exemplar. A value that is no number is left out. */
  observe(values: Values<L>, value: number, exemplar?: TraceLabels): void {
    if (!Number.isFinite(value)) return;
    const labels = this.#members.labels(values);
    this.#metric.observe(exemplar ? { labels, value, exemplarLabels: { ...exemplar } } : { labels, value });
  }
}
