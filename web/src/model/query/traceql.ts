/** The little that the app must know of TraceQL. */

const functions = /\|\s*(?:rate|count_over_time|min_over_time|max_over_time|avg_over_time|sum_over_time|quantile_over_time|histogram_over_time|compare)\s*\(/;

/** Whether a query yields numbers over time rather than traces. Text in quotes does not mislead. */
export const isTraceMetrics = (query: string): boolean => functions.test(query.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, '""'));

export interface Condition {
  field: string;
  operator: string;
  value: string;
}

/** Fields whose values stand without quotes. */
const bare = new Set(["status", "kind", "duration", "traceDuration", "span:duration", "trace:duration"]);

function literal({ field, operator, value }: Condition): string {
  if (operator === "=~" || operator === "!~") return JSON.stringify(value);
  if (bare.has(field) || /^-?\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)?$/.test(value) || value === "true" || value === "false" || value === "nil") return value;
  return JSON.stringify(value);
}

/** A query out of the fields of a form: all of them must hold for one span. */
export function buildTraceQuery(conditions: readonly Condition[]): string {
  const parts = conditions.filter((c) => c.field !== "" && c.value !== "").map((c) => `${c.field} ${c.operator} ${literal(c)}`);
  return parts.length === 0 ? "{}" : `{ ${parts.join(" && ")} }`;
}
