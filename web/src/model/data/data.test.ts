import { describe, expect, it } from "vitest";
import { frameToCsv } from "./csv";
import { colorOf, displayCell, mapped, plainText } from "./display";
import { applyFieldConfig, readMappings } from "./fieldConfig";
import { emptyConfig, field, type Frame } from "./frame";
import { logRows, rowsOfFrame, logFrame } from "./loki";
import { displayName, labelText, namedByDifference } from "./names";
import { promFrames } from "./prometheus";
import { reduceValues } from "./reducers";

const shape = { refId: "A", legendFormat: "__auto", format: "time_series" as const };
const matrix = (labels: Record<string, string>, values: [number, string][]) => ({ metric: labels, values });

describe("Prometheus' answers", () => {
  it("fills steps without a sample with null", () => {
    const frames = promFrames({ resultType: "matrix", result: [matrix({ a: "1" }, [[10, "1"], [30, "NaN"]])] }, shape, { startMs: 10_000, endMs: 30_000, stepMs: 10_000 });
    expect(frames[0]?.fields[0]?.values).toEqual([10_000, 20_000, 30_000]);
    expect(frames[0]?.fields[1]?.values).toEqual([1, null, NaN]);
  });
  it("turns cumulative buckets into counts", () => {
    const result = [matrix({ le: "+Inf" }, [[0, "10"]]), matrix({ le: "0.1" }, [[0, "4"]]), matrix({ le: "1" }, [[0, "9"]])];
    const [frame] = promFrames({ resultType: "matrix", result }, { ...shape, format: "heatmap" }, { startMs: 0, endMs: 0, stepMs: 1000 });
    expect(frame?.fields.map((f) => [f.name, f.values[0]])).toEqual([["Time", 0], ["0.1", 4], ["1", 5], ["+Inf", 1]]);
  });
  it("makes a table with a column a label", () => {
    const [frame] = promFrames({ resultType: "vector", result: [{ metric: { b: "x" }, value: [1, "2"] }, { metric: { a: "y" }, value: [1, "3"] }] }, { ...shape, format: "table" });
    expect(frame?.fields.map((f) => f.name)).toEqual(["Time", "a", "b", "Value"]);
    expect(frame?.fields.map((f) => f.values[1])).toEqual([1000, "y", "", 3]);
  });
});

describe("names", () => {
  it("say as little as tells series apart", () => {
    const series = (labels: Record<string, string>): Frame => ({ refId: "A", kind: "series", fields: [field("Value", "number", [1], { __name__: "up", job: "j", ...labels })] });
    const named = (...list: Record<string, string>[]) => namedByDifference(list.map(series)).map((f) => f.fields[0]?.sourceName);
    expect(named({ service: "a", instance: "1" }, { service: "b", instance: "2" })).toEqual(["a", "b"]);
    expect(named({ service: "a", code: "1" }, { service: "a", code: "2" }, { service: "b", code: "1" })).toEqual(['{code="1", service="a"}', '{code="2", service="a"}', '{code="1", service="b"}']);
    expect(named({ service: "a" })).toEqual(["a"]);
    expect(namedByDifference([{ refId: "A", fields: [field("Value", "number", [1], {})] }])[0]?.fields[0]?.sourceName).toBeUndefined();
  });
  const series = (labels: Record<string, string>): Frame => ({ refId: "A", fields: [field("Time", "time", [0]), field("Value", "number", [1], labels)] });
  const nameIn = (frames: Frame[], i = 0) => displayName(frames[i]?.fields[1] ?? field("", "number", []), frames[i] as Frame, frames);
  it("is the label's value when one label tells the series apart", () => {
    expect(nameIn([series({ svc: "a" }), series({ svc: "b" })], 1)).toBe("b");
    expect(nameIn([series({ svc: "a", x: "1" }), series({ svc: "b" })])).toBe('{svc="a", x="1"}');
    expect(labelText({ __name__: "up", b: '"' })).toBe('up{b="\\""}');
  });
  it("follows the display name's template", () => {
    const [frame] = applyFieldConfig([series({ svc: "a" })], { defaults: { displayName: "S ${__field.labels.svc}" }, overrides: [] });
    expect(nameIn([frame as Frame])).toBe("S a");
  });
});

describe("field config", () => {
  const frames: Frame[] = [{ refId: "B", fields: [field("Time", "time", [0]), { ...field("Value", "number", [5], {}), sourceName: "p95" }] }];
  it("applies overrides in their order, the later wins, nested keys beside stay", () => {
    const [frame] = applyFieldConfig(frames, {
      defaults: { unit: "s", custom: { lineWidth: 1, fillOpacity: 3 } },
      overrides: [
        { matcher: { id: "byName", options: "p95" }, properties: [{ id: "unit", value: "ms" }, { id: "custom.lineWidth", value: 4 }] },
        { matcher: { id: "byRegexp", options: "/P9\\d/i" }, properties: [{ id: "unit", value: "h" }] },
        { matcher: { id: "byFrameRefID", options: "A" }, properties: [{ id: "unit", value: "never" }] },
      ],
    });
    expect(frame?.fields[1]?.config).toMatchObject({ unit: "h", custom: { lineWidth: 4, fillOpacity: 3 } });
  });
  it("maps values, ranges, patterns and specials, the first that fits", () => {
    const mappings = readMappings([
      { type: "value", options: { "1": { text: "up" } } },
      { type: "range", options: { from: 2, to: 5, result: { text: "some" } } },
      { type: "regex", options: { pattern: "/^(\\w+)-x/", result: { text: "<$1>" } } },
      { type: "special", options: { match: "null+nan", result: { text: "none" } } },
    ]);
    expect([1, 5, "ab-x", null, NaN, 7].map((v) => mapped(mappings, v)?.text)).toEqual(["up", "some", "<ab>", "none", "none", undefined]);
  });
  it("colours by the last threshold reached, also in percent of the range", () => {
    const thresholds = [{ color: "#00f", value: null }, { color: "#f00", value: 80 }];
    const f = { ...field("x", "number", [0, 100]), config: { ...emptyConfig, colorMode: "thresholds", thresholds } };
    expect([79, 80].map((v) => colorOf(f, v, 0, "", true))).toEqual(["#00f", "#f00"]);
    const percent = { ...f, config: { ...f.config, thresholdsMode: "percentage" as const, min: 0, max: 10 } };
    expect([7, 8].map((v) => colorOf(percent, v, 0, "", true))).toEqual(["#00f", "#f00"]);
  });
  it("gives times no unit but one of their own", () => {
    const source = { defaults: { unit: "reqps" }, overrides: [{ matcher: { id: "byType", options: "time" }, properties: [{ id: "unit", value: "time:YYYY" }] }] };
    expect(applyFieldConfig(frames, { ...source, overrides: [] })[0]?.fields.map((f) => f.config.unit)).toEqual(["", "reqps"]);
    expect(applyFieldConfig(frames, source)[0]?.fields[0]?.config.unit).toBe("time:YYYY");
  });
  it("gives all series of a panel the same bounds, so that their colours compare", () => {
    const series = (v: number): Frame => ({ refId: "A", kind: "series", fields: [field("Time", "time", [0]), field("Value", "number", [v])] });
    const [low, high] = applyFieldConfig([series(0), series(10)], { defaults: { color: { mode: "continuous-GrYlRd" } }, overrides: [] }).map((f) => f.fields[1]);
    expect([low, high].map((f) => f?.extent)).toEqual([[0, 10], [0, 10]]);
  });
  it("shows the text for no value", () => {
    const f = { ...field("x", "number", []), config: { ...emptyConfig, noValue: "n/a" } };
    expect(plainText(displayCell(f, null, true, { zone: "utc", now: 0 }))).toBe("n/a");
  });
});

describe("reducers", () => {
  const v = [1, null, 4, 2, null];
  it.each([
    ["lastNotNull", 2], ["last", null], ["firstNotNull", 1], ["min", 1], ["max", 4], ["mean", 7 / 3], ["sum", 7], ["count", 5], ["range", 3], ["diff", 1], ["delta", 5],
    ["median", 2], ["p50", 2], ["p0", 1], ["current", 2], ["avg", 7 / 3], ["allIsNull", false], ["distinctCount", 4], ["nonsense", null],
  ])("%s", (calc, expected) => expect(reduceValues(v, calc)).toEqual(expected));
  it("has no answer for nothing, rather than infinity", () => {
    for (const calc of ["min", "max", "mean", "range", "p95", "step", "stdDev"]) expect(reduceValues([null, NaN], calc)).toBeNull();
  });
});

describe("logs", () => {
  it("orders by nanoseconds, newest first, and counts doubles", () => {
    const rows = logRows([{ stream: { a: "1" }, values: [["1700000000000000001", "x"], ["1700000000000000002", "y"], ["1700000000000000002", "y"]] }]);
    expect(rows.map((r) => r.line)).toEqual(["y", "y", "x"]);
    expect(new Set(rows.map((r) => r.id)).size).toBe(3);
    expect(rows[0]?.timeMs).toBe(1_700_000_000_000);
    expect(rowsOfFrame(logFrame(rows, "A"))).toEqual(rows);
  });
});

describe("CSV", () => {
  it("quotes, writes ISO times, and disarms formulas", () => {
    const frame: Frame = { refId: "A", fields: [field("Time", "time", [0]), field('a,"b', "string", ["=1+1"]), field("n", "number", [-1])] };
    expect(frameToCsv(frame, [frame])).toBe('Time,"a,""b",n\r\n1970-01-01T00:00:00.000Z,\'=1+1,-1\r\n');
  });
});
