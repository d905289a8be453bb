/** Expressions that take one query each: reduce, resample, threshold; and classic conditions, which take several. */
import { reduceValues } from "../data/reducers";
import { asArray, asNumber, asObject, asObjects, asString, asStrings, at, type JsonObject } from "../json";
import { parseDuration } from "../time/duration";
import { ExpressionError, type Num, type Series, type Value } from "./values";

/** Steps that a resampled series may have. */
const MAX_STEPS = 20_000;

const reducers: Readonly<Record<string, string>> = { mean: "mean", sum: "sum", min: "min", max: "max", count: "count", last: "last", median: "median", avg: "mean", diff: "diff", diff_abs: "diff", percent_diff: "diffperc", percent_diff_abs: "diffperc", count_non_null: "count" };

const isNumber = (v: number | null): v is number => v !== null && Number.isFinite(v);

function reduceList(values: readonly (number | null)[], reducer: string): number | null {
  const calc = reducers[reducer];
  if (calc === undefined) throw new ExpressionError(`there is no reducer ${JSON.stringify(reducer)}`);
  const list = reducer === "count_non_null" ? values.filter(isNumber) : values;
  // One value that is missing makes the result missing, unless the mode says what becomes of it.
  const strict = ["mean", "sum", "min", "max", "median", "avg"].includes(reducer);
  if (strict && list.some((v) => v === null || Number.isNaN(v))) return NaN;
  const found = reduceValues(list, calc);
  const number = typeof found === "number" ? found : null;
  return number !== null && reducer.endsWith("_abs") ? Math.abs(number) : number === null && (reducer === "sum" || reducer === "count") ? 0 : number;
}

export function reduce(values: readonly Value[], raw: JsonObject): readonly Value[] {
  const reducer = asString(raw["reducer"], "last");
  const mode = asString(at(raw, "settings.mode"));
  const instead = asNumber(at(raw, "settings.replaceWithValue")) ?? 0;
  const prepare = (list: readonly (number | null)[]) => (mode === "dropNN" ? list.filter(isNumber) : mode === "replaceNN" ? list.map((v) => (isNumber(v) ? v : instead)) : list);
  return values.map((v): Num => {
    const number = v.kind === "number" ? v.value : reduceList(prepare(v.values), reducer);
    if (v.kind === "number" && mode === "replaceNN" && !isNumber(number)) return { kind: "number", labels: v.labels, value: instead };
    return { kind: "number", labels: v.labels, value: number };
  });
}

/** What lies in each window, made one; an empty one is filled from before, from behind, or not. */
function resampleOne(series: Series, step: number, range: { from: number; to: number }, down: string, up: string): Series {
  const count = Math.floor((range.to - range.from) / step) + 1;
  if (count > MAX_STEPS) throw new ExpressionError(`${count} steps are more than a series may have (MAX_STEPS, ${MAX_STEPS})`);
  const times = Array.from({ length: Math.max(0, count) }, (_, i) => range.from + i * step);
  let next = 0;
  let before: number | null = null;
  const values = times.map((t): number | null => {
    const inside: (number | null)[] = [];
    while (next < series.times.length && (series.times[next] ?? Infinity) <= t) inside.push(series.values[next++] ?? null);
    if (inside.length > 0) {
      before = inside[inside.length - 1] ?? null;
      return reduceList(inside, down);
    }
    if (up === "pad") return before;
    return up === "backfilling" ? (series.values[next] ?? null) : null;
  });
  return { ...series, times, values };
}

export function resample(values: readonly Value[], raw: JsonObject, range: { from: number; to: number }): readonly Value[] {
  const window = asString(raw["window"], "10s");
  const step = parseDuration(window);
  if (step === undefined || step <= 0) throw new ExpressionError(`the window ${JSON.stringify(window)} is no duration`);
  return values.map((v) => (v.kind === "number" ? v : resampleOne(v, step, range, asString(raw["downsampler"], "mean"), asString(raw["upsampler"], "fillna"))));
}

/** Whether a number meets an evaluator such as `{type: "gt", params: [5]}`; a missing number meets none but `no_value`. */
export function meets(value: number | null, evaluator: JsonObject): boolean {
  const type = asString(evaluator["type"]);
  const [a = 0, b = 0] = asArray(evaluator["params"]).map((p) => asNumber(p) ?? 0);
  if (type === "no_value") return value === null || Number.isNaN(value);
  if (value === null || Number.isNaN(value)) return false;
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  switch (type) {
    case "gt":
      return value > a;
    case "lt":
      return value < a;
    case "gte":
      return value >= a;
    case "lte":
      return value <= a;
    case "eq":
      return value === a;
    case "ne":
      return value !== a;
    case "within_range":
      return value > low && value < high;
    case "outside_range":
      return value < low || value > high;
    case "within_range_included":
      return value >= low && value <= high;
    case "outside_range_included":
      return value <= low || value >= high;
    default:
      throw new ExpressionError(`there is no condition ${JSON.stringify(type)}`);
  }
}

export function threshold(values: readonly Value[], raw: JsonObject): readonly Value[] {
  const evaluator = asObject(asObjects(raw["conditions"])[0]?.["evaluator"]);
  const judge = (v: number | null) => (v === null ? null : Number(meets(v, evaluator)));
  return values.map((v): Value => (v.kind === "number" ? { ...v, value: judge(v.value) } : { ...v, values: v.values.map(judge) }));
}

/** The queries that classic conditions read. */
export const conditionRefs = (raw: JsonObject): readonly string[] => asObjects(raw["conditions"]).flatMap((c) => asStrings(at(c, "query.params")).slice(0, 1));

/** 1 if the conditions hold together, 0 if not; a condition holds when any of its series meets it. */
export function classic(raw: JsonObject, of: (ref: string) => readonly Value[]): readonly Value[] {
  const holds = asObjects(raw["conditions"]).reduce<boolean | undefined>((before, c) => {
    const values = of(asStrings(at(c, "query.params"))[0] ?? "");
    const reduced = values.map((v) => (v.kind === "number" ? v.value : reduceList(v.values.filter(isNumber), asString(at(c, "reducer.type"), "last"))));
    const evaluator = asObject(c["evaluator"]);
    const now = reduced.length === 0 ? meets(null, evaluator) : reduced.some((v) => meets(v, evaluator));
    if (before === undefined) return now;
    return at(c, "operator.type") === "or" ? before || now : before && now;
  }, undefined);
  return [{ kind: "number", labels: {}, value: Number(holds === true) }];
}
