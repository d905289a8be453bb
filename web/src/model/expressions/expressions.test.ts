import { describe, expect, it } from "vitest";
import { field, type Frame } from "../data/frame";
import type { JsonObject } from "../json";
import { evaluateExpressions, inputsOf, type Known } from "./evaluate";
import { parseMath } from "./parse";

const times = [0, 10_000, 20_000, 30_000];
const frame = (refId: string, values: readonly (number | null)[], labels = {}): Frame => ({ refId, kind: "series", fields: [field("Time", "time", times.slice(0, values.length)), field("Value", "number", values, labels)] });
const known = (more: Record<string, readonly Frame[]>): ReadonlyMap<string, Known> => new Map(Object.entries(more).map(([k, frames]) => [k, { frames, instant: false }]));

function run(raw: JsonObject, more: Record<string, readonly Frame[]>, others: readonly { refId: string; raw: JsonObject }[] = []) {
  const outcome = evaluateExpressions([...others, { refId: "X", raw }], known(more), { from: 0, to: 30_000 }).get("X");
  return { error: outcome?.error, values: outcome?.frames.map((f) => f.fields[1]?.values), labels: outcome?.frames.map((f) => f.fields[1]?.labels) };
}

const math = (expression: string) => ({ type: "math", expression });

describe("math", () => {
  it("binds as arithmetic does", () => {
    for (const [text, wanted] of [["1 + 2 * 3", 7], ["(1 + 2) * 3", 9], ["-2 ** 2", 4], ["2 ** 3 ** 2", 512], ["7 % 4 - 1", 2], ["1 < 2 && 3 > 4 || 1", 1], ["!0 + 1", 2], ["0x10 + 1e2", 116], ["abs(-3) + floor(2.7)", 5], ["is_nan(nan()) + is_inf(inf()) + is_null(null())", 3]] as const) {
      expect(run(math(text), {}).values, text).toEqual([[wanted]]);
    }
  });
  it("joins series whose labels are equal or contained, at the moments both have", () => {
    const a = [frame("A", [1, 2, 3], { s: "x", code: "200" }), frame("A", [10, 20, 30], { s: "y", code: "200" })];
    const b = [frame("B", [2, 2, 2, 2], { s: "x" }), frame("B", [5, 5], { s: "y" })];
    const { values, labels } = run(math("$A / ${B}"), { A: a, B: b });
    expect(values).toEqual([[0.5, 1, 1.5], [2, 4]]);
    expect(labels).toEqual([{ s: "x", code: "200" }, { s: "y", code: "200" }]);
  });
  it("joins one with one whatever they are called, and lets what is missing be missing", () => {
    expect(run(math("$A - $B"), { A: [frame("A", [5, null], { a: "1" })], B: [frame("B", [1, 1], { b: "2" })] }).values).toEqual([[4, null]]);
  });
  it("says what it does not understand", () => {
    for (const text of ["1 +", "1 2", "(1", "sin(1)", "$A # 2", ""]) expect(run(math(text), { A: [frame("A", [1])] }).error, text).toBeTruthy();
    expect(run(math("$B"), {}).error).toContain("no query B");
    expect(() => parseMath("(".repeat(5000))).toThrow(/MAX_DEPTH/);
    expect(() => parseMath("-".repeat(5000))).toThrow(/MAX_DEPTH/);
  });
});

describe("one query at a time", () => {
  it("reduces, with the missing dropped or replaced", () => {
    const A = [frame("A", [1, null, 3])];
    expect(run({ type: "reduce", expression: "A", reducer: "sum" }, { A }).values).toEqual([[NaN]]);
    expect(run({ type: "reduce", expression: "$A", reducer: "sum", settings: { mode: "dropNN" } }, { A }).values).toEqual([[4]]);
    expect(run({ type: "reduce", expression: "A", reducer: "mean", settings: { mode: "replaceNN", replaceWithValue: 5 } }, { A }).values).toEqual([[3]]);
    expect(run({ type: "reduce", expression: "A", reducer: "last" }, { A }).values).toEqual([[3]]);
  });
  it("resamples to windows and fills the empty ones", () => {
    const A = [frame("A", [1, 3, 5, 7])];
    expect(run({ type: "resample", expression: "A", window: "20s", downsampler: "mean", upsampler: "fillna" }, { A }).values).toEqual([[1, 4]]);
    expect(run({ type: "resample", expression: "A", window: "5s", downsampler: "last", upsampler: "pad" }, { A }).values).toEqual([[1, 1, 3, 3, 5, 5, 7]]);
    expect(run({ type: "resample", expression: "A", window: "5s", downsampler: "last", upsampler: "backfilling" }, { A }).values).toEqual([[1, 3, 3, 5, 5, 7, 7]]);
    expect(run({ type: "resample", expression: "A", window: "1ms" }, { A }).error).toContain("MAX_STEPS");
  });
  it("judges by thresholds and classic conditions", () => {
    const A = [frame("A", [1, 5, null])];
    const conditions = (type: string, ...params: number[]) => [{ evaluator: { type, params }, query: { params: ["A"] }, reducer: { type: "max" } }];
    expect(run({ type: "threshold", expression: "A", conditions: conditions("gt", 3) }, { A }).values).toEqual([[0, 1, null]]);
    expect(run({ type: "threshold", expression: "A", conditions: conditions("within_range", 6, 2) }, { A }).values).toEqual([[0, 1, null]]);
    expect(run({ type: "classic_conditions", conditions: conditions("gt", 4) }, { A }).values).toEqual([[1]]);
    expect(run({ type: "classic_conditions", conditions: [...conditions("gt", 4), { ...conditions("lt", 0)[0], operator: { type: "and" } }] }, { A }).values).toEqual([[0]]);
  });
});

describe("several expressions", () => {
  it("are worked out in the order of their need, and circles are told", () => {
    const reduced = { refId: "R", raw: { type: "reduce", expression: "A", reducer: "max" } };
    expect(run(math("$R * 2"), { A: [frame("A", [1, 4])] }, [reduced]).values).toEqual([[8]]);
    expect(run(math("$Y"), {}, [{ refId: "Y", raw: math("$X + 1") }]).error).toContain("reads itself");
    expect(inputsOf(math("$A + ${B c}"))).toEqual(["A", "B c"]);
  });
});
