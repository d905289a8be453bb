/** A time series panel's data, ready to draw: one time axis, values in drawing order, stacks added up. */
import { seriesColor } from "../data/display";
import { numberFields, numberOf, timeField, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { asArray, asBool, asNumber, asOneOf, asString, at, type JsonObject } from "../json";
import { parseDuration } from "../time/duration";

export interface Style {
  draw: "line" | "bars" | "points";
  interpolation: "linear" | "smooth" | "stepBefore" | "stepAfter";
  width: number;
  dash: readonly number[];
  fill: number;
  gradient: "none" | "opacity" | "hue" | "scheme";
  points: "auto" | "always" | "never";
  pointSize: number;
  /** true joins all gaps; a number joins those shorter (ms). */
  spanNulls: boolean | number;
  zeros: boolean;
  stack: "none" | "normal" | "percent";
  stackGroup: string;
  placement: "auto" | "left" | "right" | "hidden";
  axisLabel: string;
  softMin?: number;
  softMax?: number;
  centerZero: boolean;
  log?: number;
  /** Logarithmic on both sides of zero; linear up to this value. */
  symlog?: number;
  barWidth: number;
  barMax: number;
  /** Whether the axis has lines; else the first one has. */
  gridShow?: boolean;
  borderShow: boolean;
  axisColor: boolean;
  barAlign: -1 | 0 | 1;
  transform: "none" | "negative-Y" | "constant";
  thresholds: string;
  fillBelowTo: string;
  hideLegend: boolean;
  hideTooltip: boolean;
  hideViz: boolean;
}

export function readStyle(c: JsonObject): Style {
  const dash = at(c, "lineStyle.fill") === "dot" ? [1, 4] : at(c, "lineStyle.fill") === "dash" ? asArray(at(c, "lineStyle.dash")).flatMap((n) => asNumber(n) ?? []) : [];
  const span = c["spanNulls"];
  const scale = at(c, "scaleDistribution.type");
  const align = asNumber(c["barAlignment"]);
  const softMin = asNumber(c["axisSoftMin"]);
  const softMax = asNumber(c["axisSoftMax"]);
  return {
    draw: asOneOf(c["drawStyle"], ["line", "bars", "points"], "line"),
    interpolation: asOneOf(c["lineInterpolation"], ["linear", "smooth", "stepBefore", "stepAfter"], "linear"),
    width: asNumber(c["lineWidth"]) ?? 1,
    dash: dash.length === 0 && at(c, "lineStyle.fill") === "dash" ? [10, 10] : dash,
    fill: Math.min(100, Math.max(0, asNumber(c["fillOpacity"]) ?? 0)),
    gradient: asOneOf(c["gradientMode"], ["none", "opacity", "hue", "scheme"], "none"),
    points: asOneOf(c["showPoints"], ["auto", "always", "never"], "auto"),
    pointSize: asNumber(c["pointSize"]) ?? 5,
    spanNulls: typeof span === "string" ? (parseDuration(span) ?? false) : typeof span === "number" ? span : asBool(span),
    zeros: asBool(c["insertZeros"]),
    stack: asOneOf(at(c, "stacking.mode"), ["none", "normal", "percent"], "none"),
    stackGroup: asString(at(c, "stacking.group"), "A"),
    placement: asOneOf(c["axisPlacement"], ["auto", "left", "right", "hidden"], "auto"),
    axisLabel: asString(c["axisLabel"]),
    ...(softMin === undefined ? {} : { softMin }),
    ...(softMax === undefined ? {} : { softMax }),
    centerZero: asBool(c["axisCenteredZero"]),
    ...(scale === "log" ? { log: asNumber(at(c, "scaleDistribution.log")) ?? 2 } : {}),
    ...(scale === "symlog" ? { symlog: Math.max(1e-9, asNumber(at(c, "scaleDistribution.linearThreshold")) ?? 1) } : {}),
    barWidth: Math.min(1, Math.max(0.05, asNumber(c["barWidthFactor"]) ?? 0.7)),
    barMax: asNumber(c["barMaxWidth"]) ?? 90,
    ...(typeof c["axisGridShow"] === "boolean" ? { gridShow: c["axisGridShow"] } : {}),
    borderShow: asBool(c["axisBorderShow"]),
    axisColor: c["axisColorMode"] === "series",
    barAlign: align === -1 || align === 1 ? align : 0,
    transform: asOneOf(c["transform"], ["none", "negative-Y", "constant"], "none"),
    thresholds: asString(at(c, "thresholdsStyle.mode"), "off"),
    fillBelowTo: asString(c["fillBelowTo"]),
    hideLegend: asBool(at(c, "hideFrom.legend")),
    hideTooltip: asBool(at(c, "hideFrom.tooltip")),
    hideViz: asBool(at(c, "hideFrom.viz")),
  };
}

export interface Series {
  name: string;
  color: string;
  field: Field;
  style: Style;
  /** Aligned to `times`, as the query gave them (null: no sample). */
  values: readonly (number | null)[];
  /** What is drawn: with the transform, and standing on the series below in its stack. */
  drawn: readonly (number | null | undefined)[];
  /** The index of the series it stands on. */
  on?: number;
  scale: string;
}

export interface Chart {
  /** Milliseconds, ascending. */
  times: readonly number[];
  series: readonly Series[];
  /** Series that could not be shown, since nobody could read so many. */
  left: number;
}

/** Nobody can read more, and each costs. */
export const MAX_SERIES = 300;

function alignTimes(frames: readonly Frame[]): { times: readonly number[]; rowsOf: (frame: Frame) => ReadonlyMap<number, number> | undefined } {
  const columns = frames.map((f) => timeField(f)?.values ?? []);
  const first = columns[0] ?? [];
  const same = columns.every((c) => c === first || (c.length === first.length && c[0] === first[0] && c[c.length - 1] === first[first.length - 1] && c.every((t, i) => t === first[i])));
  const ascending = first.every((t, i) => i === 0 || Number(first[i - 1]) < Number(t));
  if (same && ascending) return { times: first.map(Number), rowsOf: () => undefined };
  const times = [...new Set(columns.flat().map(Number))].filter(Number.isFinite).sort((a, b) => a - b);
  return { times, rowsOf: (frame) => new Map((timeField(frame)?.values ?? []).map((t, i) => [Number(t), i])) };
}

/** Infinity and NaN cannot be drawn: they are gaps. */
const drawable = (v: number | null): number | null => (v === null || !Number.isFinite(v) ? null : v);

function gaps(values: readonly (number | null)[], times: readonly number[], span: boolean | number): readonly (number | null | undefined)[] {
  if (span === false) return values;
  // undefined means for the drawing: join over it.
  if (span === true) return values.map((v) => (v === null ? undefined : v));
  const result: (number | null | undefined)[] = [...values];
  let last = -1;
  values.forEach((v, i) => {
    if (v === null) return;
    if (last >= 0 && (times[i] ?? 0) - (times[last] ?? 0) <= span) for (let j = last + 1; j < i; j++) result[j] = undefined;
    last = i;
  });
  return result;
}

/** Stacks need a value at every step: there a series that was not asked counts nothing. */
const joined = (values: readonly (number | null | undefined)[], asked: (i: number) => boolean, isStacked: boolean) =>
  isStacked ? values : values.map((v, i) => (v === null && !asked(i) ? undefined : v));

/** Moments just behind a sample whose next one is further away than the panel lets a line go on (`insertNulls`, ms). */
function breaks(frame: Frame): readonly number[] {
  const limits = numberFields(frame).flatMap((f) => asNumber(f.config.custom["insertNulls"]) ?? []);
  const times = timeField(frame)?.values.map(Number) ?? [];
  const limit = limits.reduce((a, b) => Math.min(a, b), Infinity);
  return times.flatMap((t, i) => ((times[i + 1] ?? t) - t > limit ? [t + 1] : []));
}

/** The frame with an empty row at each of its breaks. */
function broken(frame: Frame): Frame {
  const at = breaks(frame);
  if (at.length === 0) return frame;
  const times = timeField(frame)?.values.map(Number) ?? [];
  const rows = [...times.map((t, row) => ({ t, row })), ...at.map((t) => ({ t, row: -1 }))].sort((a, b) => a.t - b.t);
  return { ...frame, fields: frame.fields.map((f) => ({ ...f, values: rows.map(({ t, row }) => (f.type === "time" ? t : row < 0 ? null : f.values[row])) })) };
}

export function buildChart(frames: readonly Frame[], isDark: boolean): Chart {
  const usable = frames.filter((f) => timeField(f) !== undefined).map(broken);
  const { times, rowsOf } = alignTimes(usable);
  const all = usable.flatMap((frame) => frame.fields.filter((f) => f.type === "number").map((field) => ({ frame, field })));
  const series = all.slice(0, MAX_SERIES).map(({ frame, field }, index): Series => {
    const rows = rowsOf(frame);
    const style = readStyle(field.config.custom);
    // Where another series has a sample and this one was never asked, its line goes on: null is a gap, undefined none.
    const rowAt = (i: number) => (rows === undefined ? i : rows.get(times[i] ?? NaN));
    const asked = (i: number) => rowAt(i) !== undefined;
    const values = times.map((_, i) => {
      const row = rowAt(i);
      return row === undefined ? null : numberOf(field.values[row]);
    });
    const sign = style.transform === "negative-Y" ? -1 : 1;
    const clean = values.map((v) => (drawable(v) === null ? (style.zeros ? 0 : null) : (v ?? 0) * sign));
    const constant = style.transform === "constant" ? clean.find((v) => v !== null) : undefined;
    const name = displayName(field, frame, frames);
    return {
      name,
      color: seriesColor(field, index, name, isDark),
      field,
      style,
      values,
      drawn: constant === undefined ? joined(gaps(clean, times, style.spanNulls), asked, style.stack !== "none") : clean.map(() => constant),
      scale: `${field.config.unit}/${style.placement}/${style.log ?? ""}/${style.symlog ?? ""}`,
    };
  });
  return { times, series: stacked(series), left: Math.max(0, all.length - MAX_SERIES) };
}

/** Adds up what is stacked: positive and negative parts apart, hidden series left out. */
export function stacked(series: readonly Series[], hidden: ReadonlySet<string> = new Set()): readonly Series[] {
  if (series.every((s) => s.style.stack === "none")) return series;
  const tops = new Map<string, { sums: number[]; index: number }>();
  const groupOf = (s: Series) => `${s.style.stackGroup} ${s.scale} ${s.style.draw} ${s.style.transform}`;
  const totals = new Map<string, number[]>();
  for (const s of series) {
    if (s.style.stack !== "percent" || hidden.has(s.name)) continue;
    const sums = totals.get(groupOf(s)) ?? s.drawn.map(() => 0);
    s.drawn.forEach((v, i) => (sums[i] = (sums[i] ?? 0) + Math.abs(v ?? 0)));
    totals.set(groupOf(s), sums);
  }
  return series.map((s, index) => {
    if (s.style.stack === "none" || hidden.has(s.name) || s.style.hideViz) return s;
    const group = groupOf(s);
    const below = tops.get(group);
    const total = totals.get(group);
    const sums = s.drawn.map((v, i) => (below?.sums[i] ?? 0) + (total === undefined ? (v ?? 0) : (v ?? 0) / (total[i] || 1)));
    tops.set(group, { sums, index });
    return { ...s, drawn: sums, ...(below === undefined ? {} : { on: below.index }) };
  });
}
