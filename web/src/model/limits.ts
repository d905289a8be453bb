/** The limits in force, and how near what there is comes to them. */

export interface Limit {
  /** Its place in the configuration. */
  name: string;
  what: string;
  /** Undefined where there is none. */
  limit?: number;
  /** Undefined for what holds for each query, push or line by itself. */
  now?: number;
  unit: string;
}

export type Nearness = "far" | "near" | "reached" | "open";

/** Four fifths of a limit is near: time to look, before anything is refused. */
export function nearness({ limit, now }: Limit): Nearness {
  if (limit === undefined || now === undefined) return "open";
  return now >= limit ? "reached" : now >= limit * 0.8 ? "near" : "far";
}

const rank: Readonly<Record<Nearness, number>> = { reached: 0, near: 1, far: 2, open: 3 };

/** What is reached first, then by share. */
export const byNearness = (list: readonly Limit[]): readonly Limit[] =>
  [...list].sort((a, b) => rank[nearness(a)] - rank[nearness(b)] || (b.now ?? 0) / (b.limit ?? Infinity) - (a.now ?? 0) / (a.limit ?? Infinity) || a.name.localeCompare(b.name));

/** What was refused lately, by metrics that count it: a title, and a query whose series are the reasons. */
export const refusals: readonly { title: string; query: string }[] = [
  { title: "Log lines not taken", query: "sum by (reason) (increase(loki_discarded_samples_total[1h]))" },
  { title: "Spans not taken", query: "sum by (reason) (increase(tempo_discarded_spans_total[1h]))" },
  { title: "Scrapes with too many samples", query: "sum(increase(prometheus_target_scrapes_exceeded_sample_limit_total[1h]))" },
  { title: "Scrapes with too large a page", query: "sum(increase(prometheus_target_scrapes_exceeded_body_size_limit_total[1h]))" },
  { title: "Scrape pools with too many targets or labels", query: "sum(increase(prometheus_target_scrape_pool_exceeded_target_limit_total[1h])) + sum(increase(prometheus_target_scrape_pool_exceeded_label_limits_total[1h]))" },
  { title: "Alerts not handed on", query: "sum(increase(prometheus_notifications_dropped_total[1h])) or sum(increase(reba_rules_alerts_dropped_total[1h]))" },
  { title: "Samples that remote storage did not take", query: "sum(increase(prometheus_remote_storage_samples_dropped_total[1h]))" },
  { title: "OTLP data points not taken", query: "sum(increase(reba_otlp_refused_data_points_total[1h]))" },
  { title: "Requests to Alertmanager beyond its concurrency", query: "sum(increase(alertmanager_http_concurrency_limit_exceeded_total[1h]))" },
  { title: "Queries that failed", query: "sum(increase(reba_query_failures_total[1h]))" },
];
