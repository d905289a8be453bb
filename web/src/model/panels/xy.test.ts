import { describe, expect, it } from "vitest";
import { field, type Frame } from "../data/frame";
import { buildXy, MAX_POINTS, scaleOf } from "./xy";

const table: Frame = { refId: "A", kind: "table", fields: [field("Time", "time", [1, 2, 3]), field("load", "number", [1, null, 3]), field("p95", "number", [10, 20, 30]), field("name", "string", ["a", "b", "c"])] };

describe("XY charts", () => {
  it("take the first number against the others, without rows that lack one", () => {
    const xy = buildXy([table], {}, true);
    expect([xy.xName, xy.series.map((s) => s.name)]).toEqual(["load", ["p95"]]);
    expect(xy.series[0]?.points).toEqual([{ x: 1, y: 10, row: 0 }, { x: 3, y: 30, row: 2 }]);
  });
  it("take what is told, in either version's words", () => {
    expect(buildXy([table], { dims: { x: "p95" } }, true).series.map((s) => s.name)).toEqual(["load"]);
    expect(buildXy([table], { seriesMapping: "manual", series: [{ x: "p95", y: "load", name: "mine" }] }, true).series[0]).toMatchObject({ name: "mine", points: [{ x: 10, y: 1 }, { x: 30, y: 3 }] });
    expect(buildXy([table], { mapping: "manual", series: [{ x: { matcher: { id: "byName", options: "p95" } }, y: { matcher: { id: "byName", options: "load" } } }] }, true).xName).toBe("p95");
  });
  it("join series over time, and draw a bounded number of points", () => {
    const series = (name: string, values: number[]): Frame => ({ refId: name, kind: "series", fields: [field("Time", "time", values.map((_, i) => i)), { ...field("Value", "number", values), sourceName: name }] });
    const many = Array.from({ length: MAX_POINTS + 7 }, (_, i) => i);
    const xy = buildXy([series("a", many), series("b", many)], {}, true);
    expect([xy.xName, xy.series.map((s) => s.name), xy.left]).toEqual(["a", ["b"], 7]);
    expect(buildXy([], {}, true).series).toEqual([]);
  });
  it("have round limits", () => {
    expect(scaleOf([3, 97], 5)).toEqual({ low: 0, high: 100, ticks: [0, 20, 40, 60, 80, 100] });
    expect(scaleOf([5, 5], 5).high).toBeGreaterThan(scaleOf([5, 5], 5).low);
    expect(scaleOf([], 5).ticks).toEqual([]);
  });
});
