/** The little language of query variables: `label_values(metric, label)` and its relatives. */
import { asNumber, asString, type JsonObject } from "../json";

export type VariableQuery =
  | { kind: "labelNames"; match?: string }
  | { kind: "labelValues"; label: string; selector?: string }
  | { kind: "metrics"; regex: string }
  | { kind: "queryResult"; expr: string }
  | { kind: "series"; selector: string }
  | { kind: "none" };

export function parsePromVariable(text: string): VariableQuery {
  const query = text.trim();
  if (query === "") return { kind: "none" };
  const names = /^label_names\((.*)\)\s*$/s.exec(query);
  if (names !== null) return { kind: "labelNames", ...((names[1] ?? "").trim() === "" ? {} : { match: (names[1] ?? "").trim() }) };
  const values = /^label_values\((?:(.+),\s*)?([^,]+)\)\s*$/s.exec(query);
  if (values !== null) {
    const selector = values[1]?.trim();
    return { kind: "labelValues", label: (values[2] ?? "").trim(), ...(selector === undefined || selector === "" ? {} : { selector }) };
  }
  const metrics = /^metrics\((.*)\)\s*$/s.exec(query);
  if (metrics !== null) return { kind: "metrics", regex: (metrics[1] ?? "").trim() };
  const result = /^query_result\((.*)\)\s*$/s.exec(query);
  if (result !== null) return { kind: "queryResult", expr: (result[1] ?? "").trim() };
  return { kind: "series", selector: query };
}

/** The text form, or Loki's object `{type, label, stream}`. */
export function parseLokiVariable(text: string, object: JsonObject): VariableQuery {
  const label = asString(object["label"]);
  if (label !== "" || object["type"] !== undefined) {
    if (asNumber(object["type"]) === 0) return { kind: "labelNames" };
    const selector = asString(object["stream"]);
    return { kind: "labelValues", label, ...(selector === "" ? {} : { selector }) };
  }
  const parsed = parsePromVariable(text);
  return parsed.kind === "labelNames" || parsed.kind === "labelValues" ? parsed : { kind: "none" };
}

/** `{a="b"} 3 1700000000000`: how a row of `query_result` reads. */
export function queryResultText(labels: Readonly<Record<string, string>>, value: string, timeMs: number): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.keys(rest).map((k) => `${k}="${rest[k] ?? ""}"`);
  return `${name}{${pairs.join(",")}} ${value} ${timeMs}`;
}
