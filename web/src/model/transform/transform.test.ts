import { describe, expect, it } from "vitest";
import { field, type Cell, type Frame } from "../data/frame";
import type { JsonObject } from "../json";
import { applyFieldConfig } from "../data/fieldConfig";
import { displayName } from "../data/names";
import { runTransformations } from "./index";

const series = (refId: string, svc: string, values: Cell[]): Frame => ({ refId, kind: "series", fields: [field("Time", "time", values.map((_, i) => i * 1000)), field("Value", "number", values, { svc })] });
const table: Frame = { refId: "A", kind: "table", fields: [field("svc", "string", ["a", "b", "a"]), field("n", "number", [3, 1, 2])] };

function run(frames: Frame[], ...list: [string, JsonObject][]) {
  return runTransformations(frames, list.map(([id, options]) => ({ id, options, disabled: false })));
}
const shown = (frames: readonly Frame[]) => frames.map((f) => Object.fromEntries(f.fields.map((x) => [displayName(x, f, frames), x.values])));

describe("transformations", () => {
  it("organizes: hides, orders, renames", () => {
    expect(shown(run([table], ["organize", { excludeByName: {}, indexByName: { n: 0, svc: 1 }, renameByName: { n: "Count" } }]).frames)).toEqual([{ Count: [3, 1, 2], svc: ["a", "b", "a"] }]);
  });
  it("reduces series to rows", () => {
    expect(shown(run([series("A", "x", [1, 2]), series("A", "y", [5, 3])], ["reduce", { reducers: ["max", "last"] }]).frames)).toEqual([{ Field: ["x", "y"], Max: [2, 5], Last: [2, 3] }]);
  });
  it("joins by time, outer and inner", () => {
    const b: Frame = { refId: "B", fields: [field("Time", "time", [1000, 2000]), field("Value", "number", [7, 8], { svc: "y" })] };
    expect(shown(run([series("A", "x", [1, 2]), b], ["joinByField", { byField: "Time", mode: "outer" }]).frames)[0]).toEqual({ Time: [0, 1000, 2000], x: [1, 2, null], y: [null, 7, 8] });
    expect(shown(run([series("A", "x", [1, 2]), b], ["seriesToColumns", { mode: "inner" }]).frames)[0]).toEqual({ Time: [1000], x: [2], y: [7] });
  });
  it("merges instant series into one table", () => {
    const { frames } = run([series("A", "x", [1]), series("B", "x", [9])], ["merge", {}]);
    expect(shown(frames)[0]).toEqual({ Time: [0], svc: ["x"], "Value #A": [1], "Value #B": [9] });
  });
  it("groups, sorts, limits and filters rows", () => {
    expect(shown(run([table], ["groupBy", { fields: { svc: { operation: "groupby", aggregations: [] }, n: { operation: "aggregate", aggregations: ["sum"] } } }]).frames)[0]).toEqual({ svc: ["a", "b"], "n (sum)": [5, 1] });
    expect(shown(run([table], ["sortBy", { sort: [{ field: "n", desc: true }] }], ["limit", { limitField: 2 }]).frames)[0]).toEqual({ svc: ["a", "a"], n: [3, 2] });
    expect(shown(run([table], ["filterByValue", { type: "include", match: "all", filters: [{ fieldName: "n", config: { id: "greater", options: { value: 1 } } }] }]).frames)[0]).toEqual({ svc: ["a", "a"], n: [3, 2] });
  });
  it("computes columns", () => {
    expect(shown(run([table], ["calculateField", { mode: "binary", binary: { left: "n", operator: "*", right: "10" }, alias: "ten" }]).frames)[0]).toMatchObject({ ten: [30, 10, 20] });
    expect(shown(run([table], ["calculateField", { mode: "reduceRow", reduce: { reducer: "sum" } }]).frames)[0]).toMatchObject({ Total: [3, 1, 2] });
  });
  it("renames by pattern, converts types, extracts fields", () => {
    expect(shown(run([table], ["renameByRegex", { regex: "^(n)$", renamePattern: "$1umber" }]).frames)[0]).toHaveProperty("number");
    expect(run([table], ["convertFieldType", { conversions: [{ targetField: "n", destinationType: "string" }] }]).frames[0]?.fields[1]?.values).toEqual(["3", "1", "2"]);
    const json: Frame = { refId: "A", fields: [field("Line", "string", ['{"a":1,"b":"x"}', "broken"])] };
    expect(shown(run([json], ["extractFields", { source: "Line", replace: true }]).frames)[0]).toEqual({ a: [1, null], b: ["x", null] });
  });
  it("skips an unknown one and says so", () => {
    const { frames, notices } = run([table], ["spatial", {}]);
    expect(frames).toEqual([table]);
    expect(notices[0]).toContain('"spatial"');
  });

  it("keeps a name that organize gave when the panel's settings are put on again, and reaches it with an override", () => {
    const table = [{ refId: "A", kind: "table" as const, fields: [field("Value #A", "number", [1])] }];
    const { frames } = runTransformations(table, [{ id: "organize", disabled: false, options: { renameByName: { "Value #A": "Rate" } } }]);
    const source = { defaults: { links: [{ title: "x", url: "/x" }] }, overrides: [{ matcher: { id: "byName", options: "Rate" }, properties: [{ id: "unit", value: "reqps" }] }] };
    const [once] = applyFieldConfig(frames, source);
    const [twice] = applyFieldConfig(once === undefined ? [] : [once], source);
    expect(shown(twice === undefined ? [] : [twice])).toEqual([{ Rate: [1] }]);
    expect(twice?.fields[0]?.config).toMatchObject({ unit: "reqps", links: [{ url: "/x" }] });
  });
});
