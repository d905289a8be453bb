import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { asObject, at, type JsonObject } from "../json";
import { readVariable } from "../variables/read";
import { resolveDatasource } from "./datasource";
import { compact, narrow } from "./layout";
import { loadDashboard } from "./load";
import { migratePanel } from "./migrate";
import { repeatSections } from "./repeat";

const panels = (json: JsonObject) => loadDashboard(json).sections.flatMap((s) => s.panels);

describe("loading", () => {
  it("reads the system overview as it is provisioned", () => {
    const file = new URL("../../../../monitoring/grafana/dashboards/system-overview.json", import.meta.url);
    const dashboard = loadDashboard(asObject(JSON.parse(readFileSync(file, "utf8"))));
    expect(dashboard.title).toBe("EasyMO - System Overview");
    expect(dashboard.variables.map((v) => v.name)).toEqual(["service"]);
    expect(dashboard.sections.flatMap((s) => s.panels).map((p) => p.type)).toEqual([...Array<string>(6).fill("stat"), ...Array<string>(6).fill("timeseries")]);
  });

  it("fills ids, refIds and places, and takes a wrapped file", () => {
    const found = panels({ dashboard: { title: "x", panels: [{ type: "stat", targets: [{ expr: "a" }, { expr: "b" }] }, { id: 1, type: "stat" }] } });
    expect(new Set(found.map((p) => p.id)).size).toBe(2);
    expect(found[0]?.targets.map((t) => t.refId)).toEqual(["A", "B"]);
    expect(found[1]?.grid.y).toBeGreaterThan(0);
  });

  it("never refuses rubbish", () => {
    for (const rubbish of [{}, { panels: 3 }, { panels: [null, 4, { gridPos: "x", targets: {} }], templating: [] }, { time: [], rows: [{}] }]) {
      expect(() => loadDashboard(rubbish as JsonObject)).not.toThrow();
    }
  });

  it("gives rows the panels below them, and collapsed rows their own", () => {
    const { sections } = loadDashboard({
      panels: [
        { id: 1, type: "stat", gridPos: { x: 0, y: 0, w: 4, h: 2 } },
        { id: 2, type: "row", title: "R", gridPos: { x: 0, y: 2, w: 24, h: 1 } },
        { id: 3, type: "stat", gridPos: { x: 0, y: 3, w: 4, h: 2 } },
        { id: 4, type: "row", title: "C", collapsed: true, gridPos: { x: 0, y: 9, w: 24, h: 1 }, panels: [{ id: 5, type: "stat" }] },
      ],
    });
    expect(sections.map((s) => [s.title, s.collapsed, s.panels.map((p) => p.id)])).toEqual([[undefined, false, [1]], ["R", false, [3]], ["C", true, [5]]]);
  });

  it("resolves the inputs of an export by type", () => {
    const [panel] = panels({ __inputs: [{ name: "DS_PROM", type: "datasource", pluginId: "prometheus" }], panels: [{ datasource: "${DS_PROM}", targets: [{ expr: "up" }] }] });
    const source = { uid: "u", name: "Other", type: "prometheus", isDefault: false, jsonData: {} };
    expect(resolveDatasource(panel?.datasource ?? null, [source])?.source.uid).toBe("u");
  });
});

describe("migration", () => {
  it("turns rows of spans into a grid", () => {
    const found = panels({ rows: [{ height: "250px", panels: [{ id: 1, span: 6, type: "stat" }, { id: 2, span: 6, type: "stat" }, { id: 3, span: 12, type: "stat" }] }] });
    expect(found.map((p) => p.grid)).toEqual([{ x: 0, y: 0, w: 12, h: 7 }, { x: 12, y: 0, w: 12, h: 7 }, { x: 0, y: 7, w: 24, h: 7 }]);
  });

  it("turns an old graph into a time series with its axes, overrides, legend and limits", () => {
    const panel = migratePanel({
      type: "graph", lines: true, fill: 2, linewidth: 3, stack: true, nullPointMode: "connected", steppedLine: true,
      yaxes: [{ format: "ms", min: "0", logBase: 10 }, { format: "percent" }],
      seriesOverrides: [{ alias: "/cpu/", yaxis: 2, transform: "negative-Y" }],
      aliasColors: { a: "#f00" },
      legend: { show: true, values: true, avg: true, current: true, alignAsTable: true, rightSide: true },
      thresholds: [{ value: 5, op: "gt", colorMode: "critical", line: true, fill: true }],
    });
    expect(panel["type"]).toBe("timeseries");
    expect(at(panel, "fieldConfig.defaults")).toMatchObject({
      unit: "ms", min: 0,
      custom: { fillOpacity: 20, lineWidth: 3, spanNulls: true, lineInterpolation: "stepAfter", stacking: { mode: "normal" }, scaleDistribution: { log: 10 }, thresholdsStyle: { mode: "line+area" } },
      thresholds: { steps: [{ color: "transparent" }, { color: "red", value: 5 }] },
    });
    expect(at(panel, "options.legend")).toMatchObject({ displayMode: "table", placement: "right", calcs: ["mean", "lastNotNull"] });
    expect(JSON.stringify(at(panel, "fieldConfig.overrides"))).toContain('"id":"custom.axisPlacement","value":"right"');
  });

  it("turns a singlestat into a stat or a gauge", () => {
    const stat = migratePanel({ type: "singlestat", format: "s", valueName: "current", thresholds: "10,20", colors: ["g", "y", "r"], colorBackground: true, valueMaps: [{ op: "=", value: "null", text: "N/A" }, { value: "1", text: "ok" }] });
    expect(stat["type"]).toBe("stat");
    expect(at(stat, "options")).toMatchObject({ colorMode: "background", reduceOptions: { calcs: ["lastNotNull"] } });
    expect(at(stat, "fieldConfig.defaults")).toMatchObject({ unit: "s", thresholds: { steps: [{ color: "g" }, { color: "y", value: 10 }, { color: "r", value: 20 }] } });
    expect(migratePanel({ type: "singlestat", gauge: { show: true, minValue: 1, maxValue: 9 } })["type"]).toBe("gauge");
  });

  it("mends hidden legends, cell modes, text and pies", () => {
    expect(at(migratePanel({ type: "timeseries", options: { legend: { displayMode: "hidden" } } }), "options.legend")).toMatchObject({ showLegend: false });
    expect(at(migratePanel({ type: "table", fieldConfig: { defaults: { custom: { displayMode: "lcd-gauge" } } } }), "fieldConfig.defaults.custom.cellOptions")).toEqual({ type: "gauge", mode: "lcd" });
    expect(migratePanel({ type: "text2", mode: "html", content: "x" })).toMatchObject({ type: "text", options: { mode: "html", content: "x" } });
    expect(migratePanel({ type: "grafana-piechart-panel" })["type"]).toBe("piechart");
  });
});

describe("layout", () => {
  const place = (x: number, y: number, w: number, h: number) => ({ grid: { x, y, w, h } });
  it("lets panels fall upward without overlapping", () => {
    const placed = compact([place(0, 5, 12, 4), place(12, 9, 12, 4), place(0, 20, 24, 2), place(0, 5, 6, 3)]);
    expect(placed.map((p) => p.grid.y)).toEqual([0, 4, 0, 7]);
  });
  it("stacks on a phone, small ones side by side", () => {
    const list = panels({ panels: [0, 6, 12].map((x) => ({ type: "stat", gridPos: { x, y: 0, w: 6, h: 4 } })) });
    expect(narrow(list).map((p) => p.grid)).toEqual([{ x: 0, y: 0, w: 12, h: 4 }, { x: 12, y: 0, w: 12, h: 4 }, { x: 0, y: 4, w: 24, h: 4 }]);
  });
});

describe("repeats", () => {
  const states = [{ variable: readVariable({ name: "svc", type: "query", multi: true }), options: [], selected: ["a", "b", "c"].map((v) => ({ text: v, value: v })), filters: [], loading: false }];
  it("clones a panel along the row and moves what is below", () => {
    const { sections } = loadDashboard({ panels: [{ id: 1, type: "stat", repeat: "svc", maxPerRow: 2, gridPos: { x: 0, y: 0, w: 24, h: 3 } }, { id: 2, type: "stat", gridPos: { x: 0, y: 3, w: 24, h: 3 } }] });
    const [section] = repeatSections(sections, states);
    expect(section?.panels.map((p) => [p.scope["svc"]?.value, p.grid.x, p.grid.y, p.grid.w])).toEqual([["a", 0, 0, 12], ["b", 12, 0, 12], ["c", 0, 3, 12], [undefined, 0, 6, 24]]);
    expect(new Set(section?.panels.map((p) => p.key)).size).toBe(4);
  });
  it("repeats a row with what is in it", () => {
    const { sections } = loadDashboard({ panels: [{ id: 9, type: "row", title: "S $svc", repeat: "svc", gridPos: { x: 0, y: 0, w: 24, h: 1 } }, { id: 2, type: "stat", gridPos: { x: 0, y: 1, w: 24, h: 3 } }] });
    const rows = repeatSections(sections, states);
    expect(rows.map((r) => r.scope["svc"]?.value)).toEqual(["a", "b", "c"]);
    expect(rows[2]?.panels[0]?.scope["svc"]?.value).toBe("c");
  });
});
