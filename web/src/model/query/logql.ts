/** The little that the app must know of LogQL, from the official grammar's tree. */
import { parser } from "@grafana/lezer-logql";

/** Whether a query yields numbers (metric) rather than lines. Decided by the tree, so strings and comments do not mislead. */
export function isMetricQuery(query: string): boolean {
  let metric = false;
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.name === "MetricExpr") metric = true;
      return !metric;
    },
  });
  return metric;
}

/** The selector `{…}` of a query: what a context or a live tail needs without its stages. */
export function selectorOf(query: string): string | undefined {
  let found: string | undefined;
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.name === "Selector" && found === undefined) found = query.slice(node.from, node.to);
      return found === undefined;
    },
  });
  return found;
}

/** A selector that picks exactly the stream. */
export function streamSelector(labels: Readonly<Record<string, string>>): string {
  return `{${Object.keys(labels)
    .sort()
    .map((k) => `${k}=${JSON.stringify(labels[k])}`)
    .join(", ")}}`;
}

/** Adds a condition on a label of the stream or on a field of the line behind the query's other stages. */
export function addFilter(query: string, key: string, operator: "=" | "!=", value: string, streamLabels: ReadonlySet<string>): string {
  const selector = selectorOf(query);
  if (selector === undefined) return query;
  const at = query.indexOf(selector);
  if (streamLabels.has(key)) {
    const inner = selector.slice(1, -1).trim().replace(/,$/, "");
    const matcher = `${key}${operator}${JSON.stringify(value)}`;
    return `${query.slice(0, at)}{${inner === "" ? matcher : `${inner}, ${matcher}`}}${query.slice(at + selector.length)}`;
  }
  return `${query.trimEnd()} | ${key}${operator}${JSON.stringify(value)}`;
}

export const addLineFilter = (query: string, operator: "|=" | "!=", text: string): string => `${query.trimEnd()} ${operator} ${JSON.stringify(text)}`;

/** How many lines of which level there were: the histogram above the logs. */
export function volumeQuery(query: string, stepSeconds: number): string {
  return `sum by (level, detected_level) (count_over_time(${query.trim()} [${Math.max(1, Math.round(stepSeconds))}s]))`;
}
