/** Axes of a time series chart, in uPlot's terms. */
import type uPlot from "uplot";
import type { Chart, Series } from "../../model/panels/series";
import { formatLayout } from "../../model/time/format";
import { fixedText, formatValue } from "../../model/units/format";
import { aliases, units } from "../../model/units/table";

export interface Look {
  text: string;
  grid: string;
  font: string;
}

export const lookOf = (isDark: boolean): Look => ({
  text: isDark ? "#929aa8" : "#5d6877",
  grid: isDark ? "rgba(255,255,255,0.07)" : "rgba(0,0,0,0.08)",
  font: '11px Inter, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif',
});

/** As much of the date as the distance of the ticks needs. */
export function timeTicks(splits: readonly number[], foundIncrement: number, zone: string): string[] {
  const first = splits[0] ?? 0;
  const last = splits[splits.length - 1] ?? first;
  const overDays = last - first > 86_400;
  return splits.map((s) => {
    const ms = s * 1000;
    if (foundIncrement >= 86_400 * 300) return formatLayout(ms, "YYYY", zone);
    if (foundIncrement >= 86_400 * 27) return formatLayout(ms, "YYYY-MM", zone);
    if (foundIncrement >= 86_400) return formatLayout(ms, "MM-DD", zone);
    const time = formatLayout(ms, foundIncrement >= 60 ? "HH:mm" : foundIncrement >= 1 ? "HH:mm:ss" : "HH:mm:ss.SSS", zone);
    return overDays && time === "00:00" ? formatLayout(ms, "MM-DD", zone) : overDays && foundIncrement >= 3600 * 6 ? formatLayout(ms, "MM-DD HH:mm", zone) : time;
  });
}

const timeSteps = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000];

/** Where labels of a time axis of that many pixels stand (in ms), with their words. */
export function timeLabels(from: number, to: number, width: number, zone: string): readonly { ms: number; text: string }[] {
  const wanted = (to - from) / 1000 / Math.max(2, width / 80);
  const step = timeSteps.find((s) => s >= wanted) ?? 31_536_000;
  const at: number[] = [];
  for (let t = Math.ceil(from / 1000 / step) * step; t * 1000 < to; t += step) at.push(t);
  return timeTicks(at, step, zone).map((text, i) => ({ ms: (at[i] ?? 0) * 1000, text }));
}

/** Units that count in 1024: only steps of powers of two are round in them. */
const binary = new Set(["bytes", "kbytes", "mbytes", "gbytes", "tbytes", "bits", "binBps", "binbps", "KiBs", "MiBs", "GiBs"]);
const powersOfTwo = Array.from({ length: 72 }, (_, i) => 2 ** (i - 12));

/** Steps that are round where people count in 60 and 24, in seconds. */
const clockSteps = [...Array.from({ length: 30 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** (Math.floor(i / 3) - 9))[i % 3] ?? 1), 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000]
  .filter((s) => s < 60 || s % 60 === 0)
  .sort((a, b) => a - b);

/** The steps between ticks of a unit, where those of ten are not round. */
function stepsOf(unit: string): { incrs: number[] } | Record<string, never> {
  if (binary.has(unit)) return { incrs: powersOfTwo };
  const known = units[aliases[unit] ?? unit];
  return known?.kind === "time" ? { incrs: clockSteps.map((s) => s / known.perUnit) } : {};
}

const clockUnits: readonly (readonly [number, string])[] = [[86_400, " d"], [3600, " h"], [60, " min"]];

/** Ticks that lie minutes, hours or days apart, all in one unit: 60, 65 and 70 min rather than 1, 1.08 and 1.17 hours. Undefined for other units. */
export function clockTicks(splits: readonly (number | null)[], increment: number, unit: string): string[] | undefined {
  const known = units[aliases[unit] ?? unit];
  if (known?.kind !== "time") return undefined;
  const [length, suffix] = clockUnits.find(([l]) => (increment * known.perUnit) % (l / 2) === 0) ?? [];
  return length === undefined ? undefined : splits.map((v) => (v === null ? "" : `${fixedText((v * known.perUnit) / length)}${suffix}`));
}

export interface AxisGroup {
  scale: string;
  side: "left" | "right" | "hidden";
  series: readonly Series[];
}

/** Series by scale; the first unit stands left, the next right, unless told. */
export function axisGroups(chart: Chart): readonly AxisGroup[] {
  const byScale = new Map<string, Series[]>();
  for (const s of chart.series) if (!s.style.hideViz) byScale.set(s.scale, [...(byScale.get(s.scale) ?? []), s]);
  let left = false;
  return [...byScale].map(([scale, series]): AxisGroup => {
    const placement = series[0]?.style.placement ?? "auto";
    const side = placement === "auto" ? (left ? "right" : "left") : placement;
    if (side === "left") left = true;
    return { scale, side, series };
  });
}

/** The width that the longest label needs. */
function sizeFor(values: string[] | null): number {
  const longest = Math.max(0, ...(values ?? []).map((v) => v.length));
  return Math.min(120, 18 + longest * 6.3);
}

/** `zones`: that of the axis, then those of further time axes below it. */
export function makeAxes(chart: Chart, isDark: boolean, zones: readonly string[], narrow: boolean): uPlot.Axis[] {
  const look = lookOf(isDark);
  const base = { stroke: look.text, font: look.font, grid: { stroke: look.grid, width: 1 }, ticks: { show: false } };
  const xs = zones.map((zone, n): uPlot.Axis => ({
    ...base, scale: "x", side: 2, space: narrow ? 60 : 70, size: 26, gap: 4, grid: { show: n === 0, stroke: look.grid, width: 1 },
    values: (_u, splits, _axis, _space, increment) => timeTicks(splits, increment, zone),
    ...(zones.length > 1 ? { label: zone, labelSize: 14, labelFont: look.font } : {}),
  }));
  const groups = axisGroups(chart);
  const ys = groups.filter((g) => g.side !== "hidden").map((group, n): uPlot.Axis => {
    const style = group.series[0]?.style;
    const field = group.series[0]?.field.config;
    const percent = style?.stack === "percent";
    return {
      ...base,
      scale: group.scale,
      side: group.side === "right" ? 1 : 3,
      space: 34,
      gap: 4,
      ...(style?.axisColor === true ? { stroke: group.series[0]?.color ?? look.text } : {}),
      grid: { show: style?.gridShow ?? n === 0, stroke: look.grid, width: 1 },
      border: { show: style?.borderShow === true, stroke: look.text, width: 1 },
      size: (_u, values) => sizeFor(values),
      ...(percent || style?.log !== undefined ? {} : stepsOf(field?.unit ?? "")),
      values: (_u, splits, _axis, _space, increment) => clockTicks(splits, increment, percent ? "" : (field?.unit ?? "")) ?? splits.map((v) => (v === null ? "" : formatValue(v, percent ? "percentunit" : (field?.unit ?? ""), field?.decimals))),
      ...(style?.axisLabel ? { label: style.axisLabel, labelSize: 18, labelFont: look.font } : {}),
    };
  });
  return [...xs, ...ys];
}

/** Limits of a scale: configured ones hold, soft ones are reached at least. */
export function makeScales(chart: Chart): uPlot.Scales {
  const scales: uPlot.Scales = {};
  for (const { scale, series } of axisGroups(chart)) {
    const config = series[0]?.field.config;
    const style = series[0]?.style;
    const percent = style?.stack === "percent";
    const zeroBased = series.some((s) => s.style.draw === "bars" || s.style.stack !== "none");
    const min = config?.min;
    const max = config?.max ?? (percent ? 1 : undefined);
    const log = style?.log;
    scales[scale] = {
      ...(style?.symlog !== undefined ? { distr: 4 as const, asinh: style.symlog } : log === undefined ? {} : { distr: 3 as const, log: log === 10 ? 10 : 2 }),
      range: (_u, dataMin, dataMax) => {
        let low: number = dataMin ?? 0;
        let high: number = dataMax ?? 1;
        if (style?.softMin !== undefined) low = Math.min(low, style.softMin);
        if (style?.softMax !== undefined) high = Math.max(high, style.softMax);
        if (log !== undefined) return logRange(low, high, log, min, max);
        if (zeroBased) [low, high] = [Math.min(0, low), Math.max(0, high)];
        if (style?.centerZero === true) {
          const reach = Math.max(Math.abs(low), Math.abs(high));
          [low, high] = [-reach, reach];
        }
        if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
        const pad = (high - low) * 0.08;
        const bottom = min ?? (low >= 0 && low - pad < 0 ? 0 : zeroBased && low === 0 ? 0 : low - pad);
        const top = max ?? (high <= 0 && zeroBased ? 0 : high + pad);
        return top > bottom ? [bottom, top] : [bottom, bottom + 1];
      },
    };
  }
  return scales;
}

function logRange(low: number, high: number, log: number, min?: number, max?: number): [number, number] {
  const bottom = min !== undefined && min > 0 ? min : log ** Math.floor(Math.log(Math.max(low, 1e-9)) / Math.log(log));
  const top = max !== undefined && max > bottom ? max : log ** Math.ceil(Math.log(Math.max(high, bottom * log)) / Math.log(log));
  return [bottom, top > bottom ? top : bottom * log];
}
