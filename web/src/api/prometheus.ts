/** Prometheus' HTTP API, through the proxy of a data source. */
import { asArray, asNumber, asObject, asObjects, asString, asStrings, isObject, type Json, type JsonObject } from "../model/json";
import type { Labels } from "../model/data/frame";
import type { PromData, PromSample, PromSeries } from "../model/data/prometheus";
import { proxyPath } from "./grafana";
import { getJson, HttpError, postForm, sendJson, type Query } from "./http";

export interface Source {
  uid: string;
}

export interface Answer<T> {
  data: T;
  warnings: readonly string[];
}

export const labelsOf = (v: Json | undefined): Labels =>
  Object.fromEntries(Object.entries(asObject(v)).map(([k, x]) => [k, asString(x)]));

function unwrap(body: Json): Answer<Json | undefined> {
  const o = asObject(body);
  if (o["status"] === "error") throw new HttpError(200, asString(o["error"], "The query failed."));
  return { data: o["data"], warnings: [...asStrings(o["warnings"]), ...asStrings(o["infos"])] };
}

const get = async (source: Source, path: string, query: Query, signal?: AbortSignal) => unwrap(await getJson(proxyPath(source, path), query, signal));

function pair(v: Json | undefined): readonly [number, string] {
  const list = asArray(v);
  return [asNumber(list[0]) ?? 0, asString(list[1])];
}

export function decodePromData(v: Json | undefined): PromData {
  const { resultType, result } = asObject(v);
  switch (resultType) {
    case "matrix":
      return { resultType, result: asObjects(result).map((s): PromSeries => ({ metric: labelsOf(s["metric"]), values: asArray(s["values"]).map(pair) })) };
    case "vector":
      return { resultType, result: asObjects(result).map((s): PromSample => ({ metric: labelsOf(s["metric"]), value: pair(s["value"]) })) };
    case "scalar":
    case "string":
      return { resultType, result: pair(result) };
    default:
      throw new HttpError(200, `An answer of the kind "${asString(resultType)}" is not understood.`);
  }
}

export async function queryRange(source: Source, query: string, startMs: number, endMs: number, stepMs: number, signal?: AbortSignal): Promise<Answer<PromData>> {
  const body = await postForm(proxyPath(source, "api/v1/query_range"), { query, start: startMs / 1000, end: endMs / 1000, step: stepMs / 1000 }, signal);
  const answer = unwrap(body);
  return { ...answer, data: decodePromData(answer.data) };
}

export async function queryInstant(source: Source, query: string, timeMs: number, signal?: AbortSignal): Promise<Answer<PromData>> {
  const answer = unwrap(await postForm(proxyPath(source, "api/v1/query"), { query, time: timeMs / 1000 }, signal));
  return { ...answer, data: decodePromData(answer.data) };
}

export interface Exemplar {
  labels: Labels;
  value: number;
  timeMs: number;
  series: Labels;
}

export async function queryExemplars(source: Source, query: string, startMs: number, endMs: number, signal?: AbortSignal): Promise<readonly Exemplar[]> {
  const { data } = await get(source, "api/v1/query_exemplars", { query, start: startMs / 1000, end: endMs / 1000 }, signal);
  return asObjects(data).flatMap((s) =>
    asObjects(s["exemplars"]).map((e) => ({ labels: labelsOf(e["labels"]), value: Number(asString(e["value"])), timeMs: (asNumber(e["timestamp"]) ?? 0) * 1000, series: labelsOf(s["seriesLabels"]) })),
  );
}

const span = (range?: { from: number; to: number }): Query => (range === undefined ? {} : { start: range.from / 1000, end: range.to / 1000 });

export async function labelNames(source: Source, range?: { from: number; to: number }, match?: string, signal?: AbortSignal): Promise<readonly string[]> {
  return asStrings((await get(source, "api/v1/labels", { ...span(range), "match[]": match }, signal)).data);
}

export async function labelValues(source: Source, label: string, range?: { from: number; to: number }, match?: string, signal?: AbortSignal): Promise<readonly string[]> {
  return asStrings((await get(source, `api/v1/label/${encodeURIComponent(label)}/values`, { ...span(range), "match[]": match }, signal)).data);
}

export async function seriesOf(source: Source, match: string, range: { from: number; to: number }, signal?: AbortSignal): Promise<readonly Labels[]> {
  return asArray((await get(source, "api/v1/series", { ...span(range), "match[]": match }, signal)).data).map(labelsOf);
}

export interface MetricMeta {
  type: string;
  help: string;
  unit: string;
}

export async function metadata(source: Source, signal?: AbortSignal): Promise<ReadonlyMap<string, MetricMeta>> {
  const { data } = await get(source, "api/v1/metadata", {}, signal);
  return new Map(
    Object.entries(asObject(data)).flatMap(([name, list]) => {
      const first = asObjects(list)[0];
      return first === undefined ? [] : [[name, { type: asString(first["type"]), help: asString(first["help"]), unit: asString(first["unit"]) }] as const];
    }),
  );
}

export type AlertState = "firing" | "pending" | "inactive" | "unknown";
export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: AlertState;
  activeAt: string;
  value: string;
}
export interface Rule {
  name: string;
  query: string;
  kind: "alerting" | "recording";
  state: AlertState;
  health: string;
  lastError: string;
  durationS: number;
  keepFiringForS: number;
  labels: Labels;
  annotations: Labels;
  alerts: readonly Alert[];
  evaluationTimeS: number;
  lastEvaluation: string;
}
export interface RuleGroup {
  /** Of the data source whose ruler it is. */
  sourceUid: string;
  name: string;
  file: string;
  intervalS: number;
  evaluationTimeS: number;
  lastEvaluation: string;
  rules: readonly Rule[];
}

const stateOf = (v: Json | undefined): AlertState => (v === "firing" || v === "pending" || v === "inactive" ? v : "unknown");

const readAlert = (o: JsonObject): Alert => ({
  labels: labelsOf(o["labels"]),
  annotations: labelsOf(o["annotations"]),
  state: stateOf(o["state"]),
  activeAt: asString(o["activeAt"]),
  value: asString(o["value"]),
});

const readRule = (o: JsonObject): Rule => ({
  name: asString(o["name"]),
  query: asString(o["query"]),
  kind: o["type"] === "recording" ? "recording" : "alerting",
  state: stateOf(o["state"]),
  health: asString(o["health"]),
  lastError: asString(o["lastError"]),
  durationS: asNumber(o["duration"]) ?? 0,
  keepFiringForS: asNumber(o["keepFiringFor"]) ?? 0,
  labels: labelsOf(o["labels"]),
  annotations: labelsOf(o["annotations"]),
  alerts: asObjects(o["alerts"]).map(readAlert),
  evaluationTimeS: asNumber(o["evaluationTime"]) ?? 0,
  lastEvaluation: asString(o["lastEvaluation"]),
});

/** Rules of Prometheus, or those of Loki's ruler, which answers in the same shape. */
export async function ruleGroups(source: Source & { type?: string }, signal?: AbortSignal): Promise<readonly RuleGroup[]> {
  const { data } = await get(source, source.type === "loki" ? "prometheus/api/v1/rules" : "api/v1/rules", {}, signal);
  return asObjects(asObject(data)["groups"]).map((g) => ({
    sourceUid: source.uid,
    name: asString(g["name"]),
    file: asString(g["file"]),
    intervalS: asNumber(g["interval"]) ?? 0,
    evaluationTimeS: asNumber(g["evaluationTime"]) ?? 0,
    lastEvaluation: asString(g["lastEvaluation"]),
    rules: asObjects(g["rules"]).map(readRule),
  }));
}

export interface Target {
  pool: string;
  url: string;
  health: string;
  labels: Labels;
  discovered: Labels;
  lastError: string;
  lastScrape: string;
  lastScrapeS: number;
  interval: string;
}

export async function targets(source: Source, signal?: AbortSignal): Promise<{ active: readonly Target[]; dropped: number }> {
  const { data } = await get(source, "api/v1/targets", { state: "active" }, signal);
  const o = asObject(data);
  const counts = Object.values(asObject(o["droppedTargetCounts"])).map((n) => asNumber(n) ?? 0);
  return {
    dropped: counts.reduce((a, b) => a + b, 0),
    active: asObjects(o["activeTargets"]).map((t) => ({
      pool: asString(t["scrapePool"]),
      url: asString(t["scrapeUrl"]),
      health: asString(t["health"]),
      labels: labelsOf(t["labels"]),
      discovered: labelsOf(t["discoveredLabels"]),
      lastError: asString(t["lastError"]),
      lastScrape: asString(t["lastScrape"]),
      lastScrapeS: asNumber(t["lastScrapeDuration"]) ?? 0,
      interval: asString(t["scrapeInterval"]),
    })),
  };
}

/** Runtime and build facts, in the server's own words and order. */
export async function statusOf(source: Source, what: "runtimeinfo" | "buildinfo" | "flags", signal?: AbortSignal): Promise<readonly (readonly [string, string])[]> {
  const { data } = await get(source, `api/v1/status/${what}`, {}, signal);
  return Object.entries(asObject(data)).map(([k, v]) => [k, isObject(v) ? JSON.stringify(v) : typeof v === "boolean" ? (v ? "yes" : "no") : asString(v)]);
}

export async function configYaml(source: Source, signal?: AbortSignal): Promise<string> {
  return asString(asObject((await get(source, "api/v1/status/config", {}, signal)).data)["yaml"]);
}

export interface TsdbStatus {
  head: { series: number; chunks: number; minTime: number; maxTime: number; labelPairs: number };
  tables: readonly { title: string; rows: readonly { name: string; value: number }[] }[];
}

export async function tsdbStatus(source: Source, signal?: AbortSignal): Promise<TsdbStatus> {
  const o = asObject((await get(source, "api/v1/status/tsdb", { limit: 10 }, signal)).data);
  const head = asObject(o["headStats"]);
  const table = (title: string, key: string) => ({ title, rows: asObjects(o[key]).map((r) => ({ name: asString(r["name"]), value: asNumber(r["value"]) ?? 0 })) });
  const n = (key: string) => asNumber(head[key]) ?? 0;
  return {
    head: { series: n("numSeries"), chunks: n("chunkCount"), minTime: n("minTime"), maxTime: n("maxTime"), labelPairs: n("numLabelPairs") },
    tables: [
      table("Metrics with most series", "seriesCountByMetricName"),
      table("Labels with most values", "labelValueCountByLabelName"),
      table("Pairs with most series", "seriesCountByLabelValuePair"),
      table("Labels with most memory", "memoryInBytesByLabelName"),
    ],
  };
}


export interface ActiveQuery {
  id: number;
  query: string;
  ageS: number;
  running: boolean;
}

const activePath = (source: { type?: string }) => `${source.type === "loki" ? "loki/" : ""}api/v1/status/active_queries`;

/** What the engine works on or keeps waiting; Reba's own, which Prometheus does not answer. */
export async function activeQueries(source: Source & { type?: string }, signal?: AbortSignal): Promise<readonly ActiveQuery[]> {
  const { data } = await get(source, activePath(source), {}, signal);
  return asObjects(data).map((q) => ({ id: asNumber(q["id"]) ?? 0, query: asString(q["query"]), ageS: asNumber(q["ageSeconds"]) ?? 0, running: q["running"] === true }));
}

export async function killQuery(source: Source & { type?: string }, id: number): Promise<void> {
  await sendJson("POST", proxyPath(source, `${activePath(source)}/${id}/kill`));
}

export interface TestedAlert {
  labels: Labels;
  periods: readonly { firing: boolean; startMs: number; /** Undefined while it lasts. */ endMs?: number }[];
}

/** When the alerts of a rule file would have been pending and firing; Reba's own, undefined where the server does not know it. */
export async function backtestRules(source: Source, rules: string, startMs: number, endMs: number, signal?: AbortSignal): Promise<readonly TestedAlert[] | undefined> {
  try {
    const { data } = unwrap(await postForm(proxyPath(source, "api/v1/rules/backtest"), { rules, start: startMs / 1000, end: endMs / 1000 }, signal));
    return asObjects(asObject(data)["rules"]).flatMap((rule) => {
      if (typeof rule["error"] === "string") throw new HttpError(200, rule["error"]);
      return asObjects(rule["alerts"]).map((a) => ({
        labels: labelsOf(a["labels"]),
        periods: asObjects(a["periods"]).map((p) => {
          const end = asNumber(p["end"]);
          return { firing: p["state"] === "firing", startMs: (asNumber(p["start"]) ?? 0) * 1000, ...(end === undefined ? {} : { endMs: end * 1000 }) };
        }),
      }));
    });
  } catch (error) {
    if (error instanceof HttpError && ([403, 404, 405].includes(error.status))) return undefined;
    throw error;
  }
}
