/** Brings panels of older versions to today's shape. JSON in, JSON out; what needs no change is returned as it is. */
import { asArray, asBool, asNumber, asObjects, asString, at, isObject, withPath, type Json, type JsonObject } from "../json";
import { migrateGraph } from "./graph";
import { migrateSinglestat } from "./singlestat";

/** `rows[].panels[].span` of version 16 and before become a grid. */
function rowsToPanels(dashboard: JsonObject): JsonObject {
  const rows = asObjects(dashboard["rows"]);
  if (rows.length === 0 || asArray(dashboard["panels"]).length > 0) return dashboard;
  const panels: JsonObject[] = [];
  let y = 0;
  const titled = rows.some((r) => asBool(r["collapse"]) || asBool(r["showTitle"]) || r["repeat"] != null);
  rows.forEach((row, n) => {
    const height = asNumber(String(row["height"] ?? "250px").replace("px", "")) ?? 250;
    const h = Math.max(2, Math.ceil(height / 38));
    const inner: JsonObject[] = [];
    const top = titled ? y + 1 : y;
    let x = 0;
    let line = top;
    for (const panel of asObjects(row["panels"])) {
      const w = Math.min(24, Math.max(1, Math.round((asNumber(panel["span"]) ?? 4) * 2)));
      if (x + w > 24) {
        x = 0;
        line += h;
      }
      inner.push({ ...panel, gridPos: { x, y: line, w, h } });
      x += w;
    }
    if (titled) {
      const collapsed = asBool(row["collapse"]);
      panels.push({ id: 10_000 + n, type: "row", title: asString(row["title"]), collapsed, repeat: row["repeat"] ?? null, gridPos: { x: 0, y, w: 24, h: 1 }, panels: collapsed ? inner : [] });
      if (collapsed) {
        y += 1;
        return;
      }
    }
    panels.push(...inner);
    y = line + (inner.length === 0 ? 0 : h);
  });
  return { ...dashboard, panels };
}

/** Mappings written as a list of `{type: 1|2, value, text}` (until version 30). */
export function typedMappings(list: readonly JsonObject[]): readonly Json[] {
  const values: Record<string, Json> = {};
  const rest: Json[] = [];
  list.forEach((m, index) => {
    const text = asString(m["text"]);
    const color = typeof m["color"] === "string" ? { color: m["color"] } : {};
    if (typeof m["type"] === "string") rest.push(m);
    else if (asNumber(m["type"]) === 2 || m["from"] !== undefined) {
      rest.push({ type: "range", options: { from: asNumber(m["from"]) ?? null, to: asNumber(m["to"]) ?? null, result: { text, index, ...color } } });
    } else if (m["value"] === "null") rest.push({ type: "special", options: { match: "null", result: { text, index, ...color } } });
    else values[asString(m["value"])] = { text, index, ...color };
  });
  return Object.keys(values).length === 0 ? rest : [{ type: "value", options: values }, ...rest];
}

function fixFieldConfig(panel: JsonObject): JsonObject {
  const mappings = asObjects(at(panel, "fieldConfig.defaults.mappings"));
  if (!mappings.some((m) => typeof m["type"] === "number")) return panel;
  return withPath(panel, "fieldConfig.defaults.mappings", typedMappings(mappings));
}

function fixLegend(panel: JsonObject): JsonObject {
  if (at(panel, "options.legend.displayMode") !== "hidden") return panel;
  return withPath(withPath(panel, "options.legend.displayMode", "list"), "options.legend.showLegend", false);
}

/** `custom.displayMode` of table cells became `cellOptions` (version 38). */
export function cellOptions(displayMode: string): JsonObject {
  switch (displayMode) {
    case "basic":
    case "gradient-gauge":
    case "lcd-gauge":
      return { type: "gauge", mode: displayMode.replace("-gauge", "") };
    case "color-background":
      return { type: "color-background", mode: "gradient" };
    case "color-background-solid":
      return { type: "color-background", mode: "basic" };
    case "color-text":
    case "json-view":
    case "image":
      return { type: displayMode };
    default:
      return { type: "auto" };
  }
}

function fixTable(panel: JsonObject): JsonObject {
  let result = panel;
  const mode = at(panel, "fieldConfig.defaults.custom.displayMode");
  if (typeof mode === "string") result = withPath(result, "fieldConfig.defaults.custom.cellOptions", cellOptions(mode));
  const overrides = asObjects(at(result, "fieldConfig.overrides"));
  if (!overrides.some((o) => asObjects(o["properties"]).some((p) => p["id"] === "custom.displayMode"))) return result;
  const moved = overrides.map((o) => ({
    ...o,
    properties: asObjects(o["properties"]).map((p): JsonObject => (p["id"] === "custom.displayMode" ? { id: "custom.cellOptions", value: cellOptions(asString(p["value"])) } : p)),
  }));
  return withPath(result, "fieldConfig.overrides", moved);
}

function oldTable(panel: JsonObject): JsonObject {
  if (panel["columns"] === undefined && panel["styles"] === undefined) return panel;
  const overrides = asObjects(panel["styles"]).flatMap((s): JsonObject[] => {
    const properties: JsonObject[] = [];
    if (asString(s["alias"]) !== "") properties.push({ id: "displayName", value: asString(s["alias"]) });
    if (asString(s["unit"]) !== "") properties.push({ id: "unit", value: asString(s["unit"]) });
    if (s["decimals"] !== undefined) properties.push({ id: "decimals", value: s["decimals"] });
    if (s["type"] === "hidden") properties.push({ id: "custom.hidden", value: true });
    const pattern = asString(s["pattern"]);
    if (pattern === "" || properties.length === 0) return [];
    return [{ matcher: { id: pattern.startsWith("/") ? "byRegexp" : "byName", options: pattern }, properties }];
  });
  const transform: Record<string, JsonObject> = {
    timeseries_to_columns: { id: "joinByField", options: { byField: "Time" } },
    timeseries_to_rows: { id: "seriesToRows", options: {} },
    timeseries_aggregations: { id: "reduce", options: { reducers: asObjects(panel["columns"]).map((c) => asString(c["value"])) } },
    table: { id: "merge", options: {} },
  };
  const chosen = transform[asString(panel["transform"])];
  return {
    ...panel,
    type: "table",
    fieldConfig: { defaults: {}, overrides },
    transformations: chosen === undefined ? asArray(panel["transformations"]) : [chosen],
  };
}

function fixText(panel: JsonObject): JsonObject {
  if (isObject(panel["options"]) && panel["options"]["content"] !== undefined) return { ...panel, type: "text" };
  return { ...panel, type: "text", options: { mode: asString(panel["mode"], "markdown"), content: asString(panel["content"]) } };
}

function oldHeatmap(panel: JsonObject): JsonObject {
  if (panel["dataFormat"] === undefined) return panel;
  const calculate = panel["dataFormat"] === "timeseries";
  return {
    ...panel,
    options: {
      calculate,
      color: { mode: asString(at(panel, "color.mode")) === "opacity" ? "opacity" : "scheme", scheme: asString(at(panel, "color.colorScheme"), "interpolateOranges").replace("interpolate", ""), steps: 64 },
      yAxis: { unit: asString(at(panel, "yAxis.format"), "short") },
      cellGap: asNumber(at(panel, "cards.cardPadding")) ?? 1,
    },
  };
}

const renamed: Record<string, string> = { "grafana-piechart-panel": "piechart", "natel-discrete-panel": "state-timeline", "flant-statusmap-panel": "status-history" };

/** One panel, brought to today's type and options. */
export function migratePanel(panel: JsonObject): JsonObject {
  const type = renamed[asString(panel["type"])] ?? asString(panel["type"]);
  const named = type === panel["type"] ? panel : { ...panel, type };
  switch (type) {
    case "graph":
      return migrateGraph(named);
    case "singlestat":
    case "grafana-singlestat-panel":
      return migrateSinglestat(named);
    case "table-old":
    case "table":
      return fixTable(fixFieldConfig(oldTable(named)));
    case "text":
    case "text2":
      return fixText(named);
    case "heatmap":
      return oldHeatmap(named);
    default:
      return fixLegend(fixFieldConfig(named));
  }
}

export function migrateDashboard(raw: JsonObject): JsonObject {
  const dashboard = rowsToPanels(raw);
  const panels = asObjects(dashboard["panels"]).map((p) =>
    p["type"] === "row" ? { ...p, panels: asObjects(p["panels"]).map(migratePanel) } : migratePanel(p),
  );
  return { ...dashboard, panels };
}
