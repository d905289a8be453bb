import { readdirSync, readFileSync } from "node:fs";
import { parser as logqlParser } from "@grafana/lezer-logql";
import { parser as traceqlParser } from "@grafana/lezer-traceql";
import { parser as promqlParser } from "@prometheus-io/lezer-promql";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kindOf } from "../../panels/registry";
import { asBool, asObject, asObjects, asString, at, type JsonObject } from "../json";
import { units } from "../units/table";
import { mentioned } from "../variables/interpolate";
import { parseLokiVariable, parsePromVariable } from "../variables/query";
import type { DatasourceInfo } from "./datasource";
import { loadDashboard } from "./load";
import type { Grid } from "./types";

const folder = new URL("../../../../monitoring/grafana/", import.meta.url);
const files = readdirSync(new URL("dashboards/", folder)).filter((f) => f.endsWith(".json")).sort();
const read = (file: string): JsonObject => asObject(JSON.parse(readFileSync(new URL(`dashboards/${file}`, folder), "utf8")));
const boards = files.map((file) => ({ file, json: read(file), dashboard: loadDashboard(read(file)) }));
const sources = asObjects(at(parse(readFileSync(new URL("provisioning/datasources/datasources.yml", folder), "utf8")), "datasources")).map(
  (d): DatasourceInfo => ({ uid: asString(d["uid"]), name: asString(d["name"]), type: asString(d["type"]), isDefault: asBool(d["isDefault"]), jsonData: {} }),
);

/** Names that a panel's queries and links know without a variable. */
const known = /^(__\w+|timeFilter)$/;

/** A query as the store gets it, with values that fit anywhere. */
const filled = (text: string): string => text.replace(/\$\{?__(?:rate_)?interval\}?|\$__range|\$__auto/g, "5m").replace(/\$objective/g, "0.99").replace(/\$\{?\w+(?::\w+)?\}?/g, "x");

const parsers = { prometheus: promqlParser, loki: logqlParser, tempo: traceqlParser };

function faults(language: keyof typeof parsers, text: string): readonly string[] {
  const found: string[] = [];
  parsers[language].parse(text).iterate({
    enter: (node) => {
      if (node.type.isError) found.push(`${text.slice(0, node.from)} ⟨here⟩ ${text.slice(node.from)}`);
    },
  });
  return found;
}

const overlap = (a: Grid, b: Grid) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe("the dashboards of the mission", () => {
  it("would be told of a query that does not parse", () => {
    expect(faults("prometheus", "sum by (a) (rate(x[5m])")).not.toEqual([]);
    expect(faults("loki", '{a="b"} | json |')).not.toEqual([]);
    expect(faults("tempo", "{ status = }")).not.toEqual([]);
  });

  it("are all there", () => {
    const uids = boards.map((b) => b.dashboard.uid).sort();
    expect(uids).toEqual(["easymo-alerts", "easymo-business", "easymo-capacity", "easymo-infrastructure", "easymo-logs", "easymo-payments", "easymo-service", "easymo-slos", "easymo-system-overview", "easymo-traces", "easymo-whatsapp", "reba-itself"]);
    expect(new Set(boards.map((b) => b.dashboard.title)).size).toBe(boards.length);
  });

  describe.each(boards)("$file", ({ json, dashboard }) => {
    const panels = dashboard.sections.flatMap((s) => s.panels);
    const variables = new Set(dashboard.variables.map((v) => v.name));

    it("is of the version it is written for, with nothing to tell", () => {
      expect(json["schemaVersion"]).toBe(39);
      expect(dashboard.notices).toEqual([]);
      expect(dashboard.description).not.toBe("");
    });

    it("has panels of kinds that are drawn, with a title, a description and ids of their own", () => {
      const raw = asObjects(json["panels"]);
      const ids = raw.map((p) => p["id"]);
      expect(new Set(ids).size).toBe(ids.length);
      for (const panel of panels) {
        expect(kindOf(panel.type), panel.type).toBeDefined();
        expect(panel.title, `panel ${panel.id}`).not.toBe("");
        if (panel.type !== "text") expect(panel.description, panel.title).not.toBe("");
      }
    });

    it("lays them out on the grid without overlap or gap", () => {
      const grids = asObjects(json["panels"]).map((p) => p["gridPos"] as unknown as Grid);
      grids.forEach((a, i) => {
        expect(a.x + a.w).toBeLessThanOrEqual(24);
        for (const b of grids.slice(i + 1)) expect(overlap(a, b), JSON.stringify([a, b])).toBe(false);
      });
      for (const section of dashboard.sections) {
        const lowest = Math.min(...section.panels.map((p) => p.grid.y));
        for (const panel of section.panels) expect(panel.grid.y - lowest, panel.title).toBeGreaterThanOrEqual(0);
      }
    });

    it("asks only what its stores understand", () => {
      for (const panel of panels) {
        const refIds = panel.targets.map((t) => t.refId);
        expect(new Set(refIds).size, panel.title).toBe(refIds.length);
        for (const target of panel.targets) {
          const source = sources.find((s) => s.uid === target.datasource?.uid);
          expect(source?.type, `${panel.title} ${target.refId}`).toBe(target.datasource?.type);
          const text = asString(target.raw["expr"] ?? target.raw["query"]);
          if (target.raw["queryType"] === "serviceMap") continue;
          expect(text, panel.title).not.toBe("");
          expect(faults(source?.type as keyof typeof parsers, filled(text)), panel.title).toEqual([]);
        }
      }
    });

    it("defines every variable that it uses, and uses every one that it defines", () => {
      const used = new Set(mentioned(JSON.stringify([json["panels"], json["links"], json["annotations"], dashboard.variables.map((v) => [v.query, v.queryObject])])));
      const unknown = [...used].filter((name) => !known.test(name) && !variables.has(name));
      expect(unknown).toEqual([]);
      expect([...variables].filter((name) => !used.has(name))).toEqual([]);
      for (const v of dashboard.variables) if (v.kind === "query") expect((v.datasource?.uid === "loki" ? parseLokiVariable(v.query, v.queryObject) : parsePromVariable(v.query)).kind, v.name).not.toBe("none");
    });

    it("gives every number a unit that exists", () => {
      for (const panel of panels) {
        const unit = asString(panel.fieldConfig.defaults["unit"]);
        if (["timeseries", "stat", "gauge", "bargauge", "piechart"].includes(panel.type)) expect(unit, panel.title).not.toBe("");
        if (unit !== "") expect(Object.keys(units), `${panel.title}: ${unit}`).toContain(unit);
      }
    });

    it("links only to dashboards that exist", () => {
      const targets = [...JSON.stringify(json).matchAll(/"url": ?"\/d\/([\w-]+)/g)].map((m) => m[1]);
      const uids = boards.map((b) => b.dashboard.uid);
      for (const uid of targets) expect(uids).toContain(uid);
      expect(dashboard.links.length).toBeGreaterThan(0);
    });
  });
});
