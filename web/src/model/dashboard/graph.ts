/** The old `graph` panel as a time series panel. */
import { asBool, asNumber, asObject, asObjects, asString, at, type Json, type JsonObject } from "../json";

const drawStyle = (p: JsonObject) => (asBool(p["bars"]) ? "bars" : p["lines"] === false && asBool(p["points"]) ? "points" : "line");

function defaults(panel: JsonObject): JsonObject {
  const fill = asNumber(panel["fill"]) ?? 1;
  const style = drawStyle(panel);
  const left = asObjects(panel["yaxes"])[0] ?? {};
  const log = asNumber(left["logBase"]) ?? 1;
  const limits = asObjects(panel["thresholds"]);
  const min = asNumber(left["min"]);
  const max = asNumber(left["max"]);
  const decimals = asNumber(panel["decimals"]) ?? asNumber(left["decimals"]);
  return {
    unit: asString(left["format"], "short"),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(decimals === undefined ? {} : { decimals }),
    color: { mode: "palette-classic" },
    custom: {
      drawStyle: style,
      lineWidth: asNumber(panel["linewidth"]) ?? 1,
      fillOpacity: style === "bars" ? 100 : Math.min(100, fill * 10),
      gradientMode: (asNumber(panel["fillGradient"]) ?? 0) > 0 ? "opacity" : "none",
      lineInterpolation: asBool(panel["steppedLine"]) ? "stepAfter" : "linear",
      showPoints: asBool(panel["points"]) && style === "line" ? "always" : "never",
      pointSize: (asNumber(panel["pointradius"]) ?? 2) * 2,
      spanNulls: panel["nullPointMode"] === "connected",
      insertZeros: panel["nullPointMode"] === "null as zero",
      axisLabel: asString(left["label"]),
      axisPlacement: left["show"] === false ? "hidden" : "auto",
      ...(log > 1 ? { scaleDistribution: { type: "log", log } } : {}),
      stacking: { mode: asBool(panel["stack"]) ? (asBool(panel["percentage"]) ? "percent" : "normal") : "none", group: "A" },
      thresholdsStyle: { mode: thresholdStyle(limits) },
    },
    thresholds: { mode: "absolute", steps: thresholdSteps(limits) },
  };
}

function thresholdStyle(limits: readonly JsonObject[]): string {
  const line = limits.some((t) => asBool(t["line"]));
  const area = limits.some((t) => asBool(t["fill"]));
  return line && area ? "line+area" : area ? "area" : line ? "line" : "off";
}

function thresholdSteps(limits: readonly JsonObject[]): Json[] {
  const colorOf = (t: JsonObject): string => {
    const custom = asString(t["lineColor"]) || asString(t["fillColor"]);
    const named: Record<string, string> = { critical: "red", warning: "orange", ok: "green" };
    return named[asString(t["colorMode"])] ?? (custom === "" ? "red" : custom);
  };
  const sorted = limits.filter((t) => asNumber(t["value"]) !== undefined).sort((a, b) => (asNumber(a["value"]) ?? 0) - (asNumber(b["value"]) ?? 0));
  const steps: Json[] = [{ color: "transparent", value: null }];
  for (const t of sorted) {
    const value = asNumber(t["value"]) ?? 0;
    // "less than" colours what is below: the step before it.
    if (t["op"] === "lt") {
      if (steps.length === 1) steps[0] = { color: colorOf(t), value: null };
      steps.push({ color: "transparent", value });
    } else steps.push({ color: colorOf(t), value });
  }
  return steps;
}

function override(series: JsonObject, right: JsonObject): JsonObject | undefined {
  const alias = asString(series["alias"]);
  if (alias === "") return undefined;
  const properties: JsonObject[] = [];
  const put = (id: string, value: Json) => properties.push({ id, value });
  if (asNumber(series["yaxis"]) === 2) {
    put("custom.axisPlacement", "right");
    put("unit", asString(right["format"], "short"));
    const [min, max] = [asNumber(right["min"]), asNumber(right["max"])];
    if (min !== undefined) put("min", min);
    if (max !== undefined) put("max", max);
    if (asString(right["label"]) !== "") put("custom.axisLabel", asString(right["label"]));
  }
  if (typeof series["color"] === "string") put("color", { mode: "fixed", fixedColor: series["color"] });
  if (asBool(series["bars"])) put("custom.drawStyle", "bars");
  else if (series["lines"] === true) put("custom.drawStyle", "line");
  if (series["lines"] === false && asBool(series["points"])) put("custom.drawStyle", "points");
  if (asNumber(series["fill"]) !== undefined) put("custom.fillOpacity", (asNumber(series["fill"]) ?? 0) * 10);
  if (asNumber(series["linewidth"]) !== undefined) put("custom.lineWidth", asNumber(series["linewidth"]) ?? 1);
  if (asBool(series["dashes"])) put("custom.lineStyle", { fill: "dash", dash: [asNumber(series["dashLength"]) ?? 10, asNumber(series["spaceLength"]) ?? 10] });
  if (series["transform"] === "negative-Y") put("custom.transform", "negative-Y");
  if (series["stack"] === false) put("custom.stacking", { mode: "none" });
  if (series["legend"] === false) put("custom.hideFrom", { legend: true, tooltip: false, viz: false });
  if (typeof series["nullPointMode"] === "string") put("custom.spanNulls", series["nullPointMode"] === "connected");
  if (typeof series["fillBelowTo"] === "string") put("custom.fillBelowTo", series["fillBelowTo"]);
  return properties.length === 0 ? undefined : { matcher: { id: alias.startsWith("/") ? "byRegexp" : "byName", options: alias }, properties };
}

function legend(panel: JsonObject): JsonObject {
  const old = asObject(panel["legend"]);
  const calcs = (["min", "max", "avg", "current", "total"] as const)
    .filter((key) => asBool(old[key]))
    .map((key) => ({ min: "min", max: "max", avg: "mean", current: "lastNotNull", total: "sum" })[key]);
  return {
    showLegend: old["show"] !== false,
    displayMode: asBool(old["alignAsTable"]) ? "table" : "list",
    placement: asBool(old["rightSide"]) ? "right" : "bottom",
    calcs: old["values"] === false ? [] : calcs,
    ...(typeof old["sort"] === "string" ? { sortBy: old["sort"], sortDesc: asBool(old["sortDesc"]) } : {}),
    ...(asNumber(old["sideWidth"]) === undefined ? {} : { width: asNumber(old["sideWidth"]) ?? 0 }),
  };
}

export function migrateGraph(panel: JsonObject): JsonObject {
  const mode = asString(at(panel, "xaxis.mode"), "time");
  const right = asObjects(panel["yaxes"])[1] ?? {};
  const overrides: readonly JsonObject[] = [
    ...Object.entries(asObject(panel["aliasColors"])).map(([name, color]): JsonObject => ({
      matcher: { id: "byName", options: name },
      properties: [{ id: "color", value: { mode: "fixed", fixedColor: asString(color) } }],
    })),
    ...asObjects(panel["seriesOverrides"]).map((s) => override(s, right)).filter((o) => o !== undefined),
    ...asObjects(at(panel, "fieldConfig.overrides")),
  ];
  const sort = asNumber(at(panel, "tooltip.sort")) ?? 0;
  const type = mode === "series" ? "barchart" : mode === "histogram" ? "histogram" : "timeseries";
  return {
    ...panel,
    type,
    // Version 7 wrote parts of the new form beside the old one; the old one is what was drawn.
    fieldConfig: { defaults: { ...asObject(at(panel, "fieldConfig.defaults")), ...defaults(panel) }, overrides },
    options: {
      legend: legend(panel),
      tooltip: { mode: at(panel, "tooltip.shared") === false ? "single" : "multi", sort: sort === 2 ? "desc" : sort === 1 ? "asc" : "none" },
      ...(mode === "series" ? { reduceOptions: { calcs: ["lastNotNull"] } } : {}),
    },
  };
}
