import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { around, diffLines } from "../diff";
import { asObject, asObjects, at, type JsonObject } from "../json";
import { addPanel, addRow, changePanel, duplicatePanel, moveToRow, panelById, parseDashboard, place, removePanel, removeRow, setAt, setGrids, startEditing } from "./edit";
import { loadDashboard } from "./load";

const panel = (id: number, x: number, y: number, w = 12, h = 4): JsonObject => ({ id, type: "stat", title: `P${id}`, gridPos: { x, y, w, h }, mine: { kept: id } });
const board = startEditing(loadDashboard({ title: "B", custom: 1, panels: [panel(1, 0, 0), panel(2, 12, 0), { id: 3, type: "row", title: "R", gridPos: { x: 0, y: 4, w: 24, h: 1 } }, panel(4, 0, 5), { id: 5, type: "row", title: "C", collapsed: true, gridPos: { x: 0, y: 9, w: 24, h: 1 }, panels: [panel(6, 0, 10)] }] }));
const places = (json: JsonObject) => Object.fromEntries(asObjects(json["panels"]).map((p) => [String(p["id"]), [at(p, "gridPos.x"), at(p, "gridPos.y")]]));

describe("editing a dashboard", () => {
  it("begins with what is there, and keeps what it does not know", () => {
    expect(places(board)).toEqual({ 1: [0, 0], 2: [12, 0], 3: [0, 4], 4: [0, 5], 5: [0, 9] });
    expect(board["custom"]).toBe(1);
    expect(panelById(board, 6)).toMatchObject({ mine: { kept: 6 } });
  });

  it("changes none of the mission's dashboards by opening them", () => {
    const folder = new URL("../../../../monitoring/grafana/dashboards/", import.meta.url);
    for (const file of readdirSync(folder).filter((f) => f.endsWith(".json"))) {
      const json = asObject(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
      expect(startEditing(loadDashboard(json)), file).toEqual(json);
    }
  });

  it("adds on top, copies below, removes, and closes the gaps", () => {
    const { json, id } = addPanel(board);
    expect(places(json)).toMatchObject({ [id]: [0, 0], 1: [0, 8], 2: [12, 0], 4: [0, 13] });
    expect(places(duplicatePanel(board, 1))).toMatchObject({ 1: [0, 0], 7: [0, 4], 3: [0, 8] });
    expect(places(removePanel(removePanel(board, 1), 2))).toEqual({ 3: [0, 0], 4: [0, 1], 5: [0, 5] });
  });

  it("moves between rows, and lets a row's panels join those above when it goes", () => {
    expect(places(moveToRow(board, 1, 3))).toMatchObject({ 2: [12, 0], 3: [0, 4], 4: [0, 5], 1: [0, 9] });
    expect(places(removeRow(board, 3))).toMatchObject({ 4: [0, 4], 5: [0, 8] });
    expect(asObjects(addRow(board, "N")["panels"]).at(-1)).toMatchObject({ type: "row", title: "N", gridPos: { y: 10 } });
  });

  it("puts a panel where it is dropped and makes the others move", () => {
    const list = [panel(1, 0, 0), panel(2, 12, 0), panel(3, 0, 4)].map((p) => ({ id: p["id"], grid: p["gridPos"] as unknown as { x: number; y: number; w: number; h: number } }));
    const first = list[2];
    if (first === undefined) throw new Error("no panel");
    const after = place(list, first, { x: 0, y: 0, w: 12, h: 4 });
    expect(Object.fromEntries(after.map((p) => [String(p.id), p.grid.y]))).toEqual({ 3: 0, 2: 0, 1: 4 });
    expect(place(list, first, { x: 30, y: -4, w: 99, h: 0 })[0]?.grid).toMatchObject({ x: 0, w: 24 });
    expect(places(setGrids(board, new Map([[4, { x: 12, y: 0, w: 12, h: 4 }]])))).toMatchObject({ 4: [12, 5] });
  });

  it("sets and clears one option and leaves the rest", () => {
    const changed = changePanel(board, 1, (p) => setAt(p, "fieldConfig.defaults.unit", "s"));
    expect(panelById(changed, 1)).toMatchObject({ mine: { kept: 1 }, fieldConfig: { defaults: { unit: "s" } } });
    const cleared = changePanel(changed, 1, (p) => setAt(p, "fieldConfig.defaults.unit", undefined));
    expect(at(panelById(cleared, 1), "fieldConfig.defaults")).toEqual({});
  });

  it("reads JSON from a person, or says where it is wrong", () => {
    expect(parseDashboard('{"dashboard":{"title":"x","panels":[]}}')).toEqual({ json: { title: "x", panels: [] } });
    expect(parseDashboard("[]")).toMatchObject({ message: expect.stringContaining("no dashboard") as string });
    expect(parseDashboard('{\n "a": 1\n "b": 2}')).toHaveProperty("message");
  });
});

describe("the difference between two texts", () => {
  it("is what was removed and added, with a little around it", () => {
    const before = Array.from({ length: 30 }, (_, i) => `line ${i}`).join("\n");
    const after = before.replace("line 15", "changed").replace("line 16\n", "");
    const lines = diffLines(before, after);
    expect(lines.filter((l) => l.kind === "removed").map((l) => l.text)).toEqual(["line 15", "line 16"]);
    expect(lines.filter((l) => l.kind === "added").map((l) => l.text)).toEqual(["changed"]);
    expect(around(lines, 2).map((l) => l.kind)).toEqual(["skipped", "same", "same", "removed", "removed", "added", "same", "same", "skipped"]);
    const rebuilt = (kind: "removed" | "added") => lines.filter((l) => l.kind === "same" || l.kind === kind).map((l) => l.text).join("\n");
    expect([rebuilt("removed"), rebuilt("added")]).toEqual([before, after]);
    expect(diffLines("a", "a")).toEqual([{ kind: "same", text: "a" }]);
  });
});
