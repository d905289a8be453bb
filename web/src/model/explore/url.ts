/** What Explore shows, as Grafana writes it into the URL: `panes={…}`, and the older `left=…`. */
import { asArray, asBool, asObject, asObjects, asString, isObject, type Json, type JsonObject } from "../json";
import type { RawRange } from "../time/range";

export interface ExploreQuery {
  refId: string;
  expr: string;
  /** Everything else of the query, kept for others. */
  rest: JsonObject;
}

export interface Pane {
  id: string;
  datasource: string;
  queries: readonly ExploreQuery[];
  range: RawRange;
}

export const defaultRange: RawRange = { from: "now-1h", to: "now" };

function readQuery(o: JsonObject, i: number): ExploreQuery {
  const { refId, expr, query, ...rest } = o;
  return { refId: asString(refId) || (String.fromCharCode(65 + i)), expr: asString(expr ?? query), rest };
}

function readPane(id: string, v: Json | undefined): Pane | undefined {
  if (!isObject(v)) return undefined;
  const range = asObject(v["range"]);
  const ds = v["datasource"];
  return {
    id,
    datasource: isObject(ds) ? asString(ds["uid"]) : asString(ds),
    queries: asObjects(v["queries"]).map(readQuery),
    range: { from: asString(range["from"], defaultRange.from), to: asString(range["to"], defaultRange.to) },
  };
}

/** `[from, to, datasource, query…]`, the oldest form. */
function readList(id: string, list: readonly Json[]): Pane {
  const queries = list.slice(3).filter(isObject).filter((q) => q["expr"] !== undefined || q["query"] !== undefined);
  return { id, datasource: asString(list[2]), queries: queries.map(readQuery), range: { from: asString(list[0], defaultRange.from), to: asString(list[1], defaultRange.to) } };
}

function parse(text: string | null): Json | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as Json);
  } catch {
    return undefined;
  }
}

export function panesFromUrl(params: URLSearchParams): readonly Pane[] {
  const panes = parse(params.get("panes"));
  if (isObject(panes)) return Object.entries(panes).flatMap(([id, v]) => readPane(id, v) ?? []).slice(0, 2);
  return (["left", "right"] as const).flatMap((side): Pane[] => {
    const v = parse(params.get(side));
    if (Array.isArray(v)) return [readList(side, asArray(v))];
    const pane = readPane(side, v);
    return pane === undefined ? [] : [pane];
  });
}

export function panesToUrl(panes: readonly Pane[]): URLSearchParams {
  const object = Object.fromEntries(panes.map((p) => [p.id, { datasource: p.datasource, queries: p.queries.map((q) => ({ ...q.rest, refId: q.refId, expr: q.expr })), range: p.range }]));
  return new URLSearchParams({ schemaVersion: "1", panes: JSON.stringify(object), orgId: "1" });
}

/** Prometheus' own links: `/graph?g0.expr=…&g0.range_input=1h`. */
export function paneFromGraphLink(params: URLSearchParams): Pane | undefined {
  const expr = params.get("g0.expr");
  if (expr === null) return undefined;
  return { id: "a", datasource: "", queries: [{ refId: "A", expr, rest: {} }], range: { from: `now-${params.get("g0.range_input") ?? "1h"}`, to: "now" } };
}

/** The first letter that no query has yet. */
export function nextRefId(queries: readonly ExploreQuery[]): string {
  return [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].find((l) => !queries.some((q) => q.refId === l)) ?? `Q${queries.length}`;
}

export const isHidden = (q: ExploreQuery): boolean => asBool(q.rest["hide"]);

/** Newest first, without doubles, at most fifty. */
export function remember(history: readonly string[], expr: string): readonly string[] {
  const text = expr.trim();
  return text === "" ? history : [text, ...history.filter((h) => h !== text)].slice(0, 50);
}
