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
  it("gives tables other shapes", () => {
    const calls: Frame = { refId: "A", kind: "table", fields: [field("svc", "string", ["a", "b", "a"]), field("code", "string", ["200", "200", "500"]), field("n", "number", [3, 1, 2])] };
    expect(shown(run([calls], ["groupingToMatrix", { columnField: "code", rowField: "svc", valueField: "n" }]).frames)[0]).toEqual({ "svc\\code": ["a", "b"], "200": [3, 1], "500": [2, null] });
    expect(shown(run([{ ...table, fields: [field("svc", "string", ["a", "b"]), field("n", "number", [3, 1]), field("m", "number", [4, 2])] }], ["transpose", {}]).frames)[0]).toEqual({ svc: ["n", "m"], a: [3, 4], b: [1, 2] });
    const labelled = (svc: string, what: string, v: number): Frame => ({ refId: "A", kind: "series", fields: [field("Time", "time", [0]), field("Value", "number", [v], { svc, what })] });
    expect(shown(run([labelled("a", "errors", 1), labelled("a", "all", 9), labelled("b", "all", 4)], ["joinByLabels", { value: "what" }]).frames)[0]).toEqual({ svc: ["a", "b"], errors: [1, null], all: [9, 4] });
    expect(shown(run([series("A", "x", [1, 2]), series("A", "y", [5, 3])], ["timeSeriesTable", { A: { stat: "max" } }]).frames)[0]).toEqual({ svc: ["x", "y"], "Trend #A": [[1, 2], [5, 3]] });
    expect(shown(run([{ refId: "A", fields: [field("v", "number", [1, 1, 2, 9])] }], ["histogram", { bucketSize: 5 }]).frames)[0]).toEqual({ xMin: [0, 5], xMax: [5, 10], v: [3, 1] });
  });
  it("gives texts and times another look, and takes settings from data", () => {
    const frame: Frame = { refId: "A", fields: [field("at", "time", [0]), field("name", "string", ["Hello big world"])] };
    expect(run([frame], ["formatTime", { timeField: "at", outputFormat: "YYYY", timezone: "utc" }]).frames[0]?.fields[0]?.values).toEqual(["1970"]);
    expect(run([frame], ["formatString", { stringField: "name", outputFormat: "Snake case" }]).frames[0]?.fields[1]?.values).toEqual(["hello_big_world"]);
    expect(run([frame], ["formatString", { stringField: "name", outputFormat: "Substring", substringStart: 0, substringEnd: 5 }]).frames[0]?.fields[1]?.values).toEqual(["Hello"]);
    const limits: Frame = { refId: "B", fields: [field("max", "number", [50]), field("unit", "string", ["s"])] };
    const { frames } = run([table, limits], ["configFromData", { configRefId: "B" }]);
    expect([frames.length, frames[0]?.fields[1]?.config.max, frames[0]?.fields[1]?.config.unit]).toEqual([1, 50, "s"]);
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
