/** Categories with bars, for bar charts and histograms. */
import { classicColor } from "../color/palette";
import { displayCell, seriesColor } from "../data/display";
import { numberOf, numberFields, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { reduceValues } from "../data/reducers";
import { findField } from "../transform/rows";

export interface Bars {
  categories: readonly string[];
  /** Of each category, where another column tells them. */
  colors?: readonly string[];
  series: readonly { name: string; color: string; field: Field; values: readonly (number | null)[] }[];
}

/** The first text (or chosen) column names the categories; series without one become categories themselves. */
export function buildBars(frames: readonly Frame[], xField: string, isDark: boolean, colorBy = ""): Bars {
  const frame = frames[0];
  const label = frame?.fields.find((f) => (xField !== "" ? f.name === xField || displayName(f, frame, frames) === xField : f.type === "string"));
  if (frame !== undefined && label !== undefined) {
    const painter = colorBy === "" ? undefined : findField(frame, colorBy, frames);
    const colors = painter === undefined ? undefined : painter.values.map((v, i) => displayCell(painter, v, isDark, { zone: "utc", now: 0 }, i).color ?? classicColor(i, isDark));
    const series = numberFields(frame).filter((f) => f !== label && (f !== painter || numberFields(frame).length < 3)).map((field, i) => {
      const name = displayName(field, frame, frames);
      return { name, color: seriesColor(field, i, name, isDark), field, values: field.values.map(numberOf) };
    });
    return { categories: label.values.map(String), series, ...(colors === undefined ? {} : { colors }) };
  }
  const all = frames.flatMap((f) => numberFields(f).map((field) => ({ field, name: displayName(field, f, frames) })));
  const first = all[0];
  if (first === undefined) return { categories: [], series: [] };
  const values = all.map(({ field }) => numberOf(reduceValues(field.values, "lastNotNull")));
  return { categories: all.map((a) => a.name), series: [{ name: "Value", color: seriesColor(first.field, 0, first.name, isDark), field: first.field, values }] };
}

/** Each category's values as shares of their sum. */
export function asShares(bars: Bars): Bars {
  const sums = bars.categories.map((_, i) => bars.series.reduce((sum, s) => sum + Math.abs(s.values[i] ?? 0), 0));
  return { ...bars, series: bars.series.map((s) => ({ ...s, values: s.values.map((v, i) => (v === null ? null : v / (sums[i] || 1))), field: { ...s.field, config: { ...s.field.config, unit: "percentunit", max: 1 } } })) };
}

/** A round bucket size that gives about that many buckets. */
export function niceSize(span: number, buckets: number): number {
  const raw = span / Math.max(1, buckets) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 2.5, 5, 10].find((n) => n * power >= raw) ?? 10) * power;
}

export interface Bucket {
  from: number;
  to: number;
}

/** How often values lie in each bucket, a series of counts for each field unless combined. */
export function buildHistogram(frames: readonly Frame[], size: number | undefined, combine: boolean, isDark: boolean): Bars & { buckets: readonly Bucket[]; source?: Field } {
  const fields = frames.flatMap((f) => numberFields(f).map((field) => ({ field, name: displayName(field, f, frames) })));
  const values = fields.map(({ field }) => field.values.map(numberOf).filter((v): v is number => v !== null && Number.isFinite(v)));
  const all = values.flat();
  const first = fields[0];
  if (all.length === 0 || first === undefined) return { categories: [], series: [], buckets: [] };
  const min = all.reduce((a, b) => Math.min(a, b));
  const max = all.reduce((a, b) => Math.max(a, b));
  const width = size !== undefined && size > 0 ? Math.max(size, (max - min) / 500) : niceSize(max - min, 30);
  const start = Math.floor(min / width);
  const count = Math.max(1, Math.floor(max / width) - start + 1);
  const buckets = Array.from({ length: count }, (_, i) => ({ from: (start + i) * width, to: (start + i + 1) * width }));
  const countsOf = (list: readonly number[]) => {
    const counts = buckets.map(() => 0);
    for (const v of list) {
      const i = Math.min(count - 1, Math.floor(v / width) - start);
      counts[i] = (counts[i] ?? 0) + 1;
    }
    return counts;
  };
  const parts = combine ? [{ ...first, name: "Count", list: all }] : fields.map((f, i) => ({ ...f, list: values[i] ?? [] }));
  return {
    buckets,
    source: first.field,
    categories: buckets.map((b) => String(Number(b.from.toPrecision(6)))),
    series: parts.map((p, i) => ({ name: p.name, color: seriesColor(p.field, i, p.name, isDark), field: { ...p.field, config: { ...p.field.config, unit: "short", mappings: [] } }, values: countsOf(p.list) })),
  };
}
