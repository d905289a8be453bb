/** A Grafana dashboard of any version, from JSON to the app's model. Fills in what is missing; refuses only what is no dashboard. */
import { asArray, asBool, asNumber, asObject, asObjects, asOneOf, asString, asStrings, at, isObject, type JsonObject } from "../json";
import { readVariable } from "../variables/read";
import { readDatasource } from "./datasource";
import { compact } from "./layout";
import { migrateDashboard } from "./migrate";
import type { Annotation, Dashboard, DashboardLink, Grid, Link, Panel, Section, Target } from "./types";

function readTargets(list: readonly JsonObject[], inherited: Panel["datasource"]): readonly Target[] {
  const used = new Set(list.map((t) => t["refId"]));
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].filter((l) => !used.has(l));
  return list.map((raw, i) => {
    const own = readDatasource(raw["datasource"]);
    const refId = asString(raw["refId"]) || (letters.shift() ?? `Q${i}`);
    return { refId, datasource: own ?? inherited, hide: asBool(raw["hide"]), raw };
  });
}

const readLinks = (v: unknown): readonly Link[] =>
  asObjects(v).map((l) => ({ title: asString(l["title"]), url: asString(l["url"]) || asString(l["dashUri"]), targetBlank: asBool(l["targetBlank"]) }));

function readGrid(raw: JsonObject, fallbackY: number): Grid {
  const g = asObject(raw["gridPos"]);
  const w = Math.min(24, Math.max(1, Math.round(asNumber(g["w"]) ?? 12)));
  const x = Math.min(24 - w, Math.max(0, Math.round(asNumber(g["x"]) ?? 0)));
  return { x, y: Math.max(0, Math.round(asNumber(g["y"]) ?? fallbackY)), w, h: Math.max(1, Math.round(asNumber(g["h"]) ?? 8)) };
}

function readPanel(raw: JsonObject, id: number, fallbackY: number): Panel {
  const datasource = readDatasource(raw["datasource"]);
  const optional = (key: string) => (typeof raw[key] === "string" && raw[key] !== "" ? { [key]: raw[key] } : {});
  const maxDataPoints = asNumber(raw["maxDataPoints"]);
  return {
    id,
    key: String(id),
    type: asString(raw["type"], "unknown"),
    title: asString(raw["title"]),
    description: asString(raw["description"]),
    grid: readGrid(raw, fallbackY),
    datasource,
    targets: readTargets(asObjects(raw["targets"]), datasource),
    fieldConfig: { defaults: asObject(at(raw, "fieldConfig.defaults")), overrides: asObjects(at(raw, "fieldConfig.overrides")) },
    options: asObject(raw["options"]),
    transformations: asObjects(raw["transformations"]).map((t) => ({
      id: asString(t["id"]),
      disabled: asBool(t["disabled"]),
      options: asObject(t["options"]),
      ...(isObject(t["filter"]) ? { filter: t["filter"] } : {}),
    })),
    links: readLinks(raw["links"]),
    transparent: asBool(raw["transparent"]),
    ...optional("repeat"),
    repeatDirection: asOneOf(raw["repeatDirection"], ["h", "v"], "h"),
    maxPerRow: asNumber(raw["maxPerRow"]) ?? 4,
    ...(maxDataPoints === undefined ? {} : { maxDataPoints }),
    ...optional("interval"),
    ...optional("timeFrom"),
    ...optional("timeShift"),
    hideTimeOverride: asBool(raw["hideTimeOverride"]),
    scope: {},
    raw,
  };
}

/** Rows own the panels below them until the next row; collapsed rows carry theirs inside. */
function readSections(list: readonly JsonObject[]): readonly Section[] {
  const used = new Set(list.flatMap((p) => [p, ...asObjects(p["panels"])]).map((p) => asNumber(p["id"])));
  let next = 1;
  const taken = new Set<number>();
  const idOf = (raw: JsonObject): number => {
    const own = asNumber(raw["id"]);
    if (own !== undefined && !taken.has(own)) {
      taken.add(own);
      return own;
    }
    while (used.has(next) || taken.has(next)) next++;
    taken.add(next);
    return next;
  };
  const sorted = [...list].sort((a, b) => (asNumber(at(a, "gridPos.y")) ?? 1e9) - (asNumber(at(b, "gridPos.y")) ?? 1e9) || (asNumber(at(a, "gridPos.x")) ?? 0) - (asNumber(at(b, "gridPos.x")) ?? 0));
  const sections: { key: string; title?: string; collapsed: boolean; repeat?: string; scope: Panel["scope"]; panels: Panel[] }[] = [{ key: "top", collapsed: false, scope: {}, panels: [] }];
  let bottom = 0;
  for (const raw of sorted) {
    if (raw["type"] === "row") {
      sections.push({
        key: `row-${idOf(raw)}`,
        title: asString(raw["title"]),
        collapsed: asBool(raw["collapsed"]),
        ...(typeof raw["repeat"] === "string" && raw["repeat"] !== "" ? { repeat: raw["repeat"] } : {}),
        scope: {},
        panels: asObjects(raw["panels"]).map((p, i) => readPanel(p, idOf(p), i * 8)),
      });
      continue;
    }
    const panel = readPanel(raw, idOf(raw), bottom);
    bottom = Math.max(bottom, panel.grid.y + panel.grid.h);
    sections[sections.length - 1]?.panels.push(panel);
  }
  return sections.filter((s) => s.title !== undefined || s.panels.length > 0).map((s) => ({ ...s, panels: compact(s.panels) }));
}

const readAnnotation = (o: JsonObject): Annotation => ({
  name: asString(o["name"]),
  enable: asBool(o["enable"], true),
  hide: asBool(o["hide"]),
  builtIn: asNumber(o["builtIn"]) === 1 || o["builtIn"] === true,
  iconColor: asString(o["iconColor"], "red"),
  datasource: readDatasource(o["datasource"]),
  raw: o,
});

const readDashboardLink = (o: JsonObject): DashboardLink => ({
  kind: asOneOf(o["type"], ["dashboards", "link"], "link"),
  title: asString(o["title"]),
  url: asString(o["url"]),
  tooltip: asString(o["tooltip"]),
  tags: asStrings(o["tags"]),
  targetBlank: asBool(o["targetBlank"]),
  keepTime: asBool(o["keepTime"]),
  includeVars: asBool(o["includeVars"]),
  asDropdown: asBool(o["asDropdown"]),
});

/** `__inputs` of an export name the type of the data source meant: `${DS_PROMETHEUS}` becomes a reference by type. */
function resolveInputs(raw: JsonObject): JsonObject {
  const inputs = asObjects(raw["__inputs"]).filter((i) => i["type"] === "datasource");
  if (inputs.length === 0) return raw;
  let text = JSON.stringify(raw);
  for (const input of inputs) text = text.replaceAll(`\${${asString(input["name"])}}`, asString(input["pluginId"]));
  return asObject(JSON.parse(text));
}

const unwrapped = (input: JsonObject): JsonObject => (isObject(input["dashboard"]) && input["panels"] === undefined ? input["dashboard"] : input);

/** The same dashboard as the newest version would write it: what is saved after a change. */
export const modernDashboard = (input: JsonObject): JsonObject => {
  const { __inputs: _i, __elements: _e, __requires: _r, rows: _rows, ...json } = migrateDashboard(resolveInputs(unwrapped(input)));
  return { ...json, schemaVersion: Math.max(39, asNumber(json["schemaVersion"]) ?? 0) };
};

/** Reads a dashboard; also one wrapped as `{"dashboard": …}`. */
export function loadDashboard(input: JsonObject): Dashboard {
  const raw = unwrapped(input);
  const json = migrateDashboard(resolveInputs(raw));
  const version = asNumber(raw["schemaVersion"]);
  const tooltip = asNumber(json["graphTooltip"]);
  const notices: string[] = [];
  if (version !== undefined && version > 41) notices.push(`Written by a newer version (schema ${version}); parts of it may be missing.`);
  if (isObject(raw["spec"]) || isObject(raw["elements"])) notices.push("This is a dashboard of the v2 schema, which is not read yet.");
  return {
    uid: asString(json["uid"]),
    title: asString(json["title"], "Untitled"),
    description: asString(json["description"]),
    tags: asStrings(json["tags"]),
    timezone: asString(json["timezone"]),
    graphTooltip: tooltip === 1 || tooltip === 2 ? tooltip : json["sharedCrosshair"] === true ? 1 : 0,
    refresh: asString(json["refresh"] === false ? "" : json["refresh"]),
    time: { from: asString(at(json, "time.from"), "now-6h"), to: asString(at(json, "time.to"), "now") },
    quickRanges: asObjects(at(json, "timepicker.quick_ranges")).flatMap((q) => (asString(q["from"]) === "" ? [] : [{ label: asString(q["display"]) || `${asString(q["from"])} to ${asString(q["to"], "now")}`, from: asString(q["from"]), to: asString(q["to"], "now") }])),
    refreshIntervals: asStrings(at(json, "timepicker.refresh_intervals")),
    hideTimePicker: asBool(at(json, "timepicker.hidden")),
    nowDelay: asString(at(json, "timepicker.nowDelay")),
    variables: asObjects(at(json, "templating.list")).map(readVariable).filter((v) => v.name !== ""),
    annotations: asObjects(at(json, "annotations.list")).map(readAnnotation),
    links: asArray(json["links"]).filter(isObject).map(readDashboardLink),
    sections: readSections(asObjects(json["panels"])),
    notices,
    raw,
  };
}
