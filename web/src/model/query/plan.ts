/** From the targets of a panel to the requests that answer them. Pure: what to ask is decided here, asking is done in api/. */
import type { DatasourceInfo } from "../dashboard/datasource";
import { resolveDatasource, specialOf } from "../dashboard/datasource";
import type { DatasourceRef, Target } from "../dashboard/types";
import { asBool, asNumber, asString, at, type JsonObject } from "../json";
import type { Range } from "../time/range";
import { parseDuration } from "../time/duration";
import { offsetAt } from "../time/zone";
import { interpolate, type Scope } from "../variables/interpolate";
import type { AdhocFilter } from "../variables/types";
import { addFilters } from "./adhoc";
import { traceIdFrom } from "../traces/trace";
import { isMetricQuery } from "./logql";
import { isTraceMetrics } from "./traceql";
import { inputsOf } from "../expressions/evaluate";
import { alignedGrid, intervalMs, intervalVariables, safeStepMs } from "./interval";

interface Common {
  refId: string;
  /** Asked for the sake of an expression only. */
  hidden?: boolean;
  source: DatasourceInfo;
  expr: string;
  legendFormat: string;
}

export type Plan =
  | (Common & { kind: "prom-range"; startMs: number; endMs: number; stepMs: number; format: "time_series" | "table" | "heatmap"; exemplars: boolean })
  | (Common & { kind: "prom-instant"; timeMs: number; format: "time_series" | "table" | "heatmap" })
  | (Common & { kind: "loki-range"; startMs: number; endMs: number; stepMs: number; isMetric: boolean; limit: number; direction: "backward" | "forward" })
  | (Common & { kind: "loki-instant"; timeMs: number })
  | (Common & { kind: "tempo-search"; startMs: number; endMs: number; limit: number; spss: number; rows: "traces" | "spans" })
  | (Common & { kind: "tempo-metrics"; startMs: number; endMs: number; stepMs: number })
  | (Common & { kind: "tempo-trace" })
  | (Common & { kind: "service-map"; timeMs: number; rangeS: number })
  | { kind: "expression"; refId: string; raw: JsonObject; startMs: number; endMs: number; hidden?: boolean }
  | { kind: "unsupported"; refId: string; reason: string; hidden?: boolean };

/** What is asked of a data source. */
export type QueryPlan = Exclude<Plan, { kind: "expression" | "unsupported" }>;

export const asksSource = (plan: Plan): plan is QueryPlan => plan.kind !== "expression" && plan.kind !== "unsupported";

export interface PlanInput {
  targets: readonly Target[];
  /** Where a target says nothing. */
  panelDatasource: DatasourceRef | null;
  sources: readonly DatasourceInfo[];
  range: Range;
  maxDataPoints: number;
  /** The panel's own `interval`. */
  minInterval?: string;
  scope: Scope;
  filters: readonly AdhocFilter[];
}

const formatOf = (raw: JsonObject): "time_series" | "table" | "heatmap" =>
  raw["format"] === "table" ? "table" : raw["format"] === "heatmap" ? "heatmap" : "time_series";

function planPrometheus(target: Target, source: DatasourceInfo, input: PlanInput): readonly Plan[] {
  const { raw, refId } = target;
  const { range, scope } = input;
  const scrape = asString(source.jsonData["timeInterval"], "15s") || "15s";
  const scrapeMs = parseDuration(interpolate(asString(raw["interval"]) || input.minInterval || scrape, scope, "labels")) ?? 15_000;
  const ofTarget = asString(raw["interval"]);
  const min = interpolate(ofTarget || input.minInterval || scrape, scope, "labels");
  const interval = intervalMs({ range, maxDataPoints: input.maxDataPoints, min });
  const stepMs = safeStepMs(interval, range, asNumber(raw["intervalFactor"]) ?? 1);
  const inner = { ...scope, extra: { ...scope.extra, ...intervalVariables(stepMs, scrapeMs) } };
  const text = interpolate(asString(raw["expr"]), inner, "labels");
  if (text.trim() === "") return [];
  const common = {
    refId,
    source,
    expr: addFilters(text, input.filters),
    legendFormat: interpolate(asString(raw["legendFormat"]), inner, "text"),
  };
  const instant = asBool(raw["instant"]);
  const wantsRange = asBool(raw["range"], !instant) || !instant;
  const plans: Plan[] = [];
  if (wantsRange) plans.push({ ...common, kind: "prom-range", ...alignedGrid(range, stepMs, offsetAt(range.to, scope.zone)), format: formatOf(raw), exemplars: asBool(raw["exemplar"]) });
  if (instant) plans.push({ ...common, kind: "prom-instant", timeMs: range.to, format: wantsRange ? "table" : formatOf(raw) });
  return plans;
}

function planLoki(target: Target, source: DatasourceInfo, input: PlanInput): readonly Plan[] {
  const { raw, refId } = target;
  const { range, scope } = input;
  const interval = intervalMs({ range, maxDataPoints: input.maxDataPoints, min: input.minInterval || "1s" });
  const asked = parseDuration(interpolate(asString(raw["step"]), scope, "text"));
  const stepMs = asked ?? safeStepMs(interval, range, asNumber(raw["resolution"]) ?? 1);
  const inner = { ...scope, extra: { ...scope.extra, ...intervalVariables(stepMs, stepMs) } };
  const text = interpolate(asString(raw["expr"]), inner, "labels");
  if (text.trim() === "") return [];
  const common = { refId, source, expr: addFilters(text, input.filters), legendFormat: interpolate(asString(raw["legendFormat"]), inner, "text") };
  if (raw["queryType"] === "instant" || asBool(raw["instant"])) return [{ ...common, kind: "loki-instant", timeMs: range.to }];
  const limit = asNumber(raw["maxLines"]) ?? asNumber(source.jsonData["maxLines"]) ?? 1000;
  return [
    { ...common, kind: "loki-range", ...alignedGrid(range, stepMs), isMetric: isMetricQuery(text), limit, direction: raw["direction"] === "forward" ? "forward" : "backward" },
  ];
}

function planTempo(target: Target, source: DatasourceInfo, input: PlanInput): readonly Plan[] {
  const { raw, refId } = target;
  const { range, scope } = input;
  const text = interpolate(asString(raw["query"]), scope, "labels");
  const common = { refId, source, expr: text, legendFormat: interpolate(asString(raw["legendFormat"]), scope, "text") };
  if (raw["queryType"] === "serviceMap") {
    // The numbers of the map are metrics that are made of spans: they live where the data source says, else in the default store.
    const uid = asString(at(source.jsonData, "serviceMap.datasourceUid"));
    const found = resolveDatasource(uid === "" ? { type: "prometheus" } : { uid }, input.sources.filter((s) => s.type === "prometheus"));
    if (found === undefined) return [{ kind: "unsupported", refId, reason: "the service map needs a Prometheus data source" }];
    const matcher = interpolate(asString(raw["serviceMapQuery"]), scope, "labels");
    return [{ ...common, source: found.source, expr: matcher === "" ? "{}" : matcher, kind: "service-map", timeMs: range.to, rangeS: Math.max(60, Math.round((range.to - range.from) / 1000)) }];
  }
  if (text.trim() === "") return [];
  if (raw["queryType"] === "traceId" || traceIdFrom(text) !== undefined) return [{ ...common, expr: traceIdFrom(text) ?? text, kind: "tempo-trace" }];
  if (isTraceMetrics(text)) {
    const stepMs = parseDuration(interpolate(asString(raw["step"]), scope, "text")) ?? safeStepMs(intervalMs({ range, maxDataPoints: input.maxDataPoints, min: input.minInterval || "15s" }), range);
    return [{ ...common, kind: "tempo-metrics", ...alignedGrid(range, stepMs) }];
  }
  const rows = raw["tableType"] === "spans" ? "spans" : "traces";
  return [{ ...common, kind: "tempo-search", startMs: range.from, endMs: range.to, limit: asNumber(raw["limit"]) ?? 20, spss: asNumber(raw["spss"]) ?? 3, rows }];
}

const isExpression = (target: Target, input: PlanInput): boolean => specialOf(target.datasource ?? input.panelDatasource) === "expression";

/** The targets that are shown, and those out of sight that their expressions read. */
function wantedTargets(input: PlanInput): readonly Target[] {
  const wanted = new Set<string>();
  const add = (refId: string): void => {
    if (wanted.has(refId)) return;
    wanted.add(refId);
    const target = input.targets.find((t) => t.refId === refId);
    if (target !== undefined && isExpression(target, input)) for (const ref of inputsOf(target.raw)) add(ref);
  };
  for (const t of input.targets) if (!t.hide) add(t.refId);
  return input.targets.filter((t) => wanted.has(t.refId));
}

function planExpression(target: Target, { range, scope }: PlanInput): readonly Plan[] {
  const written = Object.fromEntries(["expression", "window"].flatMap((key) => (typeof target.raw[key] === "string" ? [[key, interpolate(target.raw[key], scope, "text")]] : [])));
  return [{ kind: "expression", refId: target.refId, raw: { ...target.raw, ...written }, startMs: range.from, endMs: range.to }];
}

/** The requests, and in words what was guessed. A target that cannot be asked says why. */
export function planQueries(input: PlanInput): { plans: readonly Plan[]; notices: readonly string[] } {
  const notices = new Set<string>();
  const planned = (target: Target): readonly Plan[] => {
    const refuse = (reason: string): readonly Plan[] => [{ kind: "unsupported", refId: target.refId, reason }];
    const wanted = target.datasource ?? input.panelDatasource;
    const special = specialOf(wanted);
    if (special === "expression") return planExpression(target, input);
    if (special === "dashboard") return refuse("the panel whose data it shows is not on this dashboard");
    if (special === "grafana") return refuse("Grafana's own test data does not exist here");
    const ref = special === "mixed" ? null : wanted;
    const uid = ref?.uid === undefined ? undefined : interpolate(ref.uid, input.scope, "text");
    if (typeof target.raw["expr"] !== "string" && (typeof target.raw["query"] === "string" || typeof target.raw["rawSql"] === "string")) {
      const text = asString(target.raw["query"] ?? target.raw["rawSql"]);
      if (/^\s*select\b/i.test(text)) return refuse("query language SQL: no such data source");
    }
    const found = resolveDatasource(ref === null ? null : { ...ref, ...(uid === undefined ? {} : { uid }) }, input.sources);
    if (found === undefined) return refuse(`no data source ${uid ?? ref?.type ?? "by default"}`);
    if (found.guess !== undefined) notices.add(found.guess);
    switch (found.source.type) {
      case "prometheus":
        return planPrometheus(target, found.source, input);
      case "loki":
        return planLoki(target, found.source, input);
      case "tempo":
        return planTempo(target, found.source, input);
      default:
        return refuse(`queries of type ${found.source.type} are not drawn on panels`);
    }
  };
  const plans = wantedTargets(input).flatMap((target) => planned(target).map((plan): Plan => (target.hide ? { ...plan, hidden: true } : plan)));
  return { plans, notices: [...notices] };
}
