/** One number out of many: the calculations of stat panels, legends and transformations. */
import type { Cell } from "./frame";

const numbers = (values: readonly Cell[]): number[] => values.filter((v): v is number => typeof v === "number" && !Number.isNaN(v));

function quantile(sorted: readonly number[], q: number): number | null {
  if (sorted.length === 0) return null;
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
const mean = (list: readonly number[]) => (list.length === 0 ? null : sum(list) / list.length);
const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b);
const extreme = (list: readonly number[], pick: (a: number, b: number) => number) => (list.length === 0 ? null : list.reduce((a, b) => pick(a, b)));

function variance(list: readonly number[]): number | null {
  const m = mean(list);
  return m === null ? null : sum(list.map((v) => (v - m) ** 2)) / list.length;
}

/** The increase of a counter, resets counted as starts from zero. */
function delta(list: readonly number[]): number | null {
  if (list.length < 2) return list.length === 0 ? null : 0;
  let total = 0;
  for (let i = 1; i < list.length; i++) {
    const d = (list[i] ?? 0) - (list[i - 1] ?? 0);
    total += d >= 0 ? d : (list[i] ?? 0);
  }
  return total;
}

type Reducer = (values: readonly Cell[]) => Cell;

const present = (v: Cell) => v !== null && v !== undefined && !(typeof v === "number" && Number.isNaN(v));
const lastOf = (list: readonly number[]) => list[list.length - 1] ?? null;
const first = (list: readonly number[]) => list[0] ?? null;

const table: Record<string, Reducer> = {
  lastNotNull: (v) => v.findLast(present) ?? null,
  last: (v) => v[v.length - 1] ?? null,
  firstNotNull: (v) => v.find(present) ?? null,
  first: (v) => v[0] ?? null,
  min: (v) => extreme(numbers(v), Math.min),
  max: (v) => extreme(numbers(v), Math.max),
  mean: (v) => mean(numbers(v)),
  median: (v) => quantile(sorted(numbers(v)), 0.5),
  sum: (v) => sum(numbers(v)),
  count: (v) => v.length,
  range: (v) => {
    const list = numbers(v);
    return list.length === 0 ? null : Math.max(...list) - Math.min(...list);
  },
  delta: (v) => delta(numbers(v)),
  diff: (v) => {
    const list = numbers(v);
    return list.length === 0 ? null : (lastOf(list) ?? 0) - (first(list) ?? 0);
  },
  diffperc: (v) => {
    const list = numbers(v);
    const start = first(list);
    return start === null || start === 0 ? null : ((lastOf(list) ?? 0) - start) / start;
  },
  step: (v) => {
    const list = numbers(v);
    return extreme(list.slice(1).map((x, i) => x - (list[i] ?? 0)), Math.min);
  },
  logmin: (v) => extreme(numbers(v).filter((x) => x > 0), Math.min),
  allIsZero: (v) => numbers(v).every((x) => x === 0),
  allIsNull: (v) => !v.some(present),
  changeCount: (v) => v.filter((x, i) => i > 0 && x !== v[i - 1]).length,
  distinctCount: (v) => new Set(v.map((x) => JSON.stringify(x))).size,
  variance: (v) => variance(numbers(v)),
  stdDev: (v) => {
    const x = variance(numbers(v));
    return x === null ? null : Math.sqrt(x);
  },
  uniqueValues: (v) => [...new Set(v.filter(present).map((x) => String(x)))].join(", "),
  allValues: (v) => v.filter(present).map((x) => String(x)).join(", "),
};

/** Old names that legends of earlier versions wrote. */
const renamed: Record<string, string> = { avg: "mean", current: "lastNotNull", total: "sum" };

/** The calculation's result; null for none and for an unknown name. */
export function reduceValues(values: readonly Cell[], calc: string): Cell {
  const percentile = /^p(\d{1,2})$/.exec(calc)?.[1];
  if (percentile !== undefined) return quantile(sorted(numbers(values)), Number(percentile) / 100);
  return table[renamed[calc] ?? calc]?.(values) ?? null;
}

const titles: Record<string, string> = {
  lastNotNull: "Last *", last: "Last", firstNotNull: "First *", first: "First", sum: "Total", mean: "Mean", diffperc: "Difference %",
  diff: "Difference", stdDev: "StdDev", changeCount: "Change count", distinctCount: "Distinct count", logmin: "Min (above zero)",
  allIsZero: "All zeros", allIsNull: "All nulls", allValues: "All values", uniqueValues: "All unique values",
};

export function reducerTitle(calc: string): string {
  const id = renamed[calc] ?? calc;
  return titles[id] ?? id.charAt(0).toUpperCase() + id.slice(1);
}

/** Counting calculations have no unit of the field. */
export const keepsUnit = (calc: string): boolean => !["count", "changeCount", "distinctCount", "allIsZero", "allIsNull", "diffperc"].includes(calc);
