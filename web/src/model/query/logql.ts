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

/** The stage that makes fields of a line, when only this app has read them so far. */
export const parserFor = (line: string): "json" | "logfmt" => (line.trimStart().startsWith("{") ? "json" : "logfmt");

/** Adds a condition on a label of the stream, or on a field behind the query's other stages, with the parser that it needs. */
export function addFilter(query: string, key: string, operator: "=" | "!=", value: string, streamLabels: ReadonlySet<string>, parser?: "json" | "logfmt"): string {
  const selector = selectorOf(query);
  if (selector === undefined) return query;
  const at = query.indexOf(selector);
  if (streamLabels.has(key)) {
    const inner = selector.slice(1, -1).trim().replace(/,$/, "");
    const matcher = `${key}${operator}${JSON.stringify(value)}`;
    return `${query.slice(0, at)}{${inner === "" ? matcher : `${inner}, ${matcher}`}}${query.slice(at + selector.length)}`;
  }
  const stage = parser === undefined || new RegExp(`\\|\\s*${parser}\\b`).test(query) ? "" : ` | ${parser}`;
  return `${query.trimEnd()}${stage} | ${key}${operator}${JSON.stringify(value)}`;
}

export const addLineFilter = (query: string, operator: "|=" | "!=", text: string): string => `${query.trimEnd()} ${operator} ${JSON.stringify(text)}`;

/** How many lines of which level there were: the histogram above the logs. */
export function volumeQuery(query: string, stepSeconds: number): string {
  return `sum by (level, detected_level) (count_over_time(${query.trim()} [${Math.max(1, Math.round(stepSeconds))}s]))`;
}
