import { describe, expect, test } from "vitest";
import { field, type Frame } from "../data/frame";
import { asShares, buildBars } from "./bars";
import { buildCandles } from "./candles";
import { buildCanvas } from "./canvas";
import { buildHeatmap, readBuckets } from "./heatmap";
import { buildPlaces, fromGeohash } from "./places";
import { buildChart } from "./series";

const context = { zone: "utc", now: 0 };
const table = (columns: Record<string, readonly (number | string | null)[]>, time?: readonly number[]): Frame => ({
  refId: "A",
  fields: [...(time === undefined ? [] : [field("Time", "time", time)]), ...Object.entries(columns).map(([name, values]) => field(name, values.some((v) => typeof v === "string") ? "string" : "number", values))],
});

describe("candles", () => {
  test("take their ends from columns by name, and reckon those that are missing", () => {
    const { candles } = buildCandles([table({ Open: [1, 3], High: [4, 3], Low: [0.5, 1], Close: [3, 2], Volume: [7, null] }, [10, 20])], {});
    expect(candles).toEqual([{ ms: 10, open: 1, high: 4, low: 0.5, close: 3, volume: 7, trend: "up" }, { ms: 20, open: 3, high: 3, low: 1, close: 2, volume: null, trend: "down" }]);
    expect(buildCandles([table({ price: [5, 6, 6] }, [1, 2, 3])], {}).candles.map((c) => [c.open, c.close, c.trend])).toEqual([[5, 5, "flat"], [5, 6, "up"], [6, 6, "flat"]]);
  });

  test("rise since the close before, where the panel says so", () => {
    const frame = table({ open: [5, 9], close: [6, 8] }, [1, 2]);
    expect(buildCandles([frame], {}).candles[1]?.trend).toBe("down");
    expect(buildCandles([frame], { colorStrategy: "close-close" }).candles[1]?.trend).toBe("up");
  });

  test("without a time or a number are none", () => {
    expect(buildCandles([table({ open: [1] })], {}).candles).toEqual([]);
    expect(buildCandles([table({ name: ["a"] }, [1])], {}).candles).toEqual([]);
  });
});

describe("places", () => {
  test("are found by names of columns, as numbers or as text, and only on the globe", () => {
    const { places } = buildPlaces([table({ lat: ["-1.95", "95", "x"], lng: ["30.06", "0", "1"], Value: [1, 2, 3] })], {}, true, context);
    expect(places.map((p) => [p.lat, p.lon])).toEqual([[-1.95, 30.06]]);
  });

  test("come out of geohashes", () => {
    const found = fromGeohash("u4pruydqqvj");
    expect(found?.lat).toBeCloseTo(57.64911, 4);
    expect(found?.lon).toBeCloseTo(10.40744, 4);
    expect([fromGeohash(""), fromGeohash("a"), fromGeohash("u".repeat(13))]).toEqual([undefined, undefined, undefined]);
  });

  test("say why there are none", () => {
    expect(buildPlaces([table({ Value: [1] })], {}, true, context).why).toContain("latitude");
    expect(buildPlaces([], { layers: [{ location: { mode: "lookup" } }] }, true, context).why).toContain("by name");
  });
});

test("elements of a canvas lie where their edges are tied, and show values", () => {
  const element = (constraint: object, placement: object, more: object = {}) => ({ type: "rectangle", constraint, placement, ...more });
  const root = { elements: [
    element({ horizontal: "right", vertical: "bottom" }, { right: 10, bottom: 20, width: 30, height: 40 }),
    element({ horizontal: "leftright", vertical: "scale" }, { left: 10, right: 10, top: 25, bottom: 25 }, { name: "b" }),
    { type: "metric-value", name: "v", placement: { left: 1, top: 2, width: 3, height: 4 }, config: { text: { field: "rate" } }, connections: [{ targetName: "b" }] },
    { type: "icon", placement: {} },
  ] };
  const { elements, wires } = buildCanvas([table({ rate: [1, 2.5] }, [1, 2])], JSON.parse(JSON.stringify({ root })), 200, 100, true, context);
  expect(elements.map((e) => [e.left, e.top, e.width, e.height])).toEqual([[160, 40, 30, 40], [10, 25, 180, 50], [1, 2, 3, 4], [0, 0, 0, 0]]);
  expect(elements[2]?.text).toBe("2.5");
  expect(elements[3]?.missing).toBe("icon");
  expect(wires).toHaveLength(1);
});

test("bars as shares of their category", () => {
  const bars = asShares(buildBars([table({ name: ["x", "y"], a: [1, 0], b: [3, 0] })], "", true));
  expect(bars.series.map((s) => s.values)).toEqual([[0.25, 0], [0.75, 0]]);
});

test("a heatmap counts into as many buckets, or of the size, that the panel wants, and leaves out what it filters", () => {
  const frames = [table({ a: [0, 10], b: [4, 6] }, [1, 2])];
  expect(buildHeatmap(frames, true, readBuckets({ calculation: { yBuckets: { mode: "count", value: "2" } } })).counts).toEqual([[2, 0], [0, 2]]);
  expect(buildHeatmap(frames, true, readBuckets({ calculation: { yBuckets: { mode: "size", value: "5" } } })).bounds).toEqual(["5", "10", "15"]);
  expect(buildHeatmap(frames, true, { count: 2 }, { above: 0 }).counts).toEqual([[2, null], [null, 2]]);
});

describe("lines of different steps", () => {
  test("go on where only the other was asked, and stop at gaps of their own", () => {
    const [often, seldom] = [table({ often: [1, 2, 3, 4, 5] }, [0, 10, 20, 30, 40]), table({ seldom: [1, null, 3] }, [0, 20, 40])];
    expect(buildChart([often, seldom], true).series[1]?.drawn).toEqual([1, undefined, null, undefined, 3]);
  });

  test("break where samples are further apart than the panel allows", () => {
    const frame = table({ a: [1, 2, 3] }, [0, 10, 100]);
    const broken = { ...frame, fields: frame.fields.map((f) => (f.type === "time" ? f : { ...f, config: { ...f.config, custom: { insertNulls: 50 } } })) };
    expect(buildChart([broken], true)).toMatchObject({ times: [0, 10, 11, 100], series: [{ drawn: [1, 2, null, 3] }] });
  });
});
