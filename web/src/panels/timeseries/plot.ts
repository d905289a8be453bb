/** A chart as options and data for uPlot. */
import uPlot from "uplot";
import { cssColor, mix, parseRgb, withAlpha } from "../../model/color/named";
import { continuousColor } from "../../model/color/palette";
import type { Chart, Series, Style } from "../../model/panels/series";
import { axisGroups, makeAxes, makeScales } from "./axes";

function pathsFor(style: Style): uPlot.Series.PathBuilder | undefined {
  const make = uPlot.paths;
  if (style.draw === "points") return () => null;
  if (style.draw === "bars") return make.bars?.({ size: [style.barWidth, style.barMax], align: style.barAlign, radius: 0.08 });
  switch (style.interpolation) {
    case "smooth":
      return make.spline?.();
    case "stepBefore":
      return make.stepped?.({ align: -1 });
    case "stepAfter":
      return make.stepped?.({ align: 1 });
    default:
      return make.linear?.();
  }
}

/** Upright colours of a series: of its limits or its scheme at each height, else its own colour that turns as it falls. */
function painted(series: Series, opaque: number, isDark: boolean): (u: uPlot) => CanvasGradient | string {
  return (u) => {
    const { top, height } = u.bbox;
    const scale = u.scales[series.scale];
    const [low, high] = [scale?.min ?? 0, scale?.max ?? 1];
    if (!Number.isFinite(top + height) || height <= 0 || high <= low) return withAlpha(series.color, opaque);
    const paint = u.ctx.createLinearGradient(0, top + height, 0, top);
    const rgb = parseRgb(series.color);
    if (series.style.gradient === "hue" && rgb !== undefined) {
      paint.addColorStop(0, withAlpha(mix(series.color, "#14386b", 0.45), opaque));
      paint.addColorStop(1, withAlpha(series.color, opaque));
      return paint;
    }
    const heightOf = (value: number) => Math.min(1, Math.max(0, (u.valToPos(value, series.scale, true) - top - height) / -height));
    const { thresholds, thresholdsMode, colorMode } = series.field.config;
    if (colorMode === "thresholds") {
      const at = (value: number) => (thresholdsMode === "percentage" ? low + ((high - low) * value) / 100 : value);
      thresholds.forEach((step, i) => {
        const color = withAlpha(cssColor(step.color, isDark), opaque);
        const next = thresholds[i + 1]?.value;
        paint.addColorStop(step.value === null ? 0 : heightOf(at(step.value)), color);
        paint.addColorStop(next == null ? 1 : heightOf(at(next)), color);
      });
      return thresholds.length === 0 ? withAlpha(series.color, opaque) : paint;
    }
    const steps = 8;
    for (let i = 0; i <= steps; i++) paint.addColorStop(i / steps, withAlpha(continuousColor(colorMode, i / steps, isDark) ?? series.color, opaque));
    return paint;
  };
}

function fillFor(series: Series, isDark: boolean): uPlot.Series.Fill | undefined {
  const { fill, gradient } = series.style;
  if (fill > 0 && series.style.draw !== "points" && (gradient === "scheme" || gradient === "hue")) return painted(series, fill / 100, isDark);
  if (fill === 0 || series.style.draw === "points") return undefined;
  const opaque = fill / 100;
  if (gradient === "none" || parseRgb(series.color) === undefined) return withAlpha(series.color, opaque);
  return (u) => {
    const { top, height } = u.bbox;
    if (!Number.isFinite(top + height) || height <= 0) return withAlpha(series.color, opaque);
    const paint = u.ctx.createLinearGradient(0, top, 0, top + height);
    paint.addColorStop(0, withAlpha(series.color, opaque));
    paint.addColorStop(1, withAlpha(series.color, opaque * 0.05));
    return paint;
  };
}

function seriesOptions(series: Series, hidden: boolean, isDark: boolean): uPlot.Series {
  const { style } = series;
  const paths = pathsFor(style);
  const fill = fillFor(series, isDark);
  return {
    label: series.name,
    scale: series.scale,
    show: !hidden && !style.hideViz,
    stroke: style.gradient === "scheme" || style.gradient === "hue" ? painted(series, 1, isDark) : series.color,
    width: style.draw === "points" ? 0 : style.width,
    ...(style.dash.length === 0 ? {} : { dash: [...style.dash] }),
    ...(fill === undefined ? {} : { fill }),
    ...(paths === undefined ? {} : { paths }),
    points: {
      ...(style.draw === "points" || style.points === "always" ? { show: true } : style.points === "never" || style.draw === "bars" ? { show: lonely } : {}),
      size: style.pointSize,
      fill: series.color,
      width: 0,
    },
  };
}

/** A sample with gaps on both sides has no line: without its point it would not be seen. */
function lonely(u: uPlot, index: number): boolean {
  const values = u.data[index] ?? [];
  let found = 0;
  for (const v of values) {
    if (v != null && ++found > 1) return false;
  }
  return found === 1;
}

export interface PlotInput {
  chart: Chart;
  hidden: ReadonlySet<string>;
  width: number;
  height: number;
  isDark: boolean;
  /** That of the charts, then those of further time axes. */
  zones: readonly string[];
  range: { from: number; to: number };
  syncKey?: string;
  hooks: uPlot.Hooks.Arrays;
}

export function plotOptions({ chart, hidden, width, height, isDark, zones, range, syncKey, hooks }: PlotInput): uPlot.Options {
  // Stacked areas are filled down to the series they stand on.
  const bands = chart.series.flatMap((s, i): uPlot.Band[] => (s.on === undefined ? [] : [{ series: [i + 1, s.on + 1], fill: withAlpha(s.color, s.style.fill / 100) }]));
  for (const [i, s] of chart.series.entries()) {
    const below = s.style.fillBelowTo === "" ? -1 : chart.series.findIndex((o) => o.name === s.style.fillBelowTo);
    if (below >= 0) bands.push({ series: [i + 1, below + 1], fill: withAlpha(s.color, Math.max(0.1, s.style.fill / 100)) });
  }
  const right = axisGroups(chart).some((g) => g.side === "right");
  return {
    width,
    height,
    padding: [8, right ? 4 : 18, 0, 0],
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), zones[0] ?? "UTC"),
    legend: { show: false },
    scales: { x: { time: true, range: () => [range.from / 1000, range.to / 1000] }, ...makeScales(chart) },
    axes: makeAxes(chart, isDark, zones, width < 420),
    series: [{}, ...chart.series.map((s) => seriesOptions(s, hidden.has(s.name), isDark))],
    bands,
    cursor: {
      y: false,
      points: { size: 7 },
      focus: { prox: 24 },
      drag: { x: true, y: false, setScale: false },
      ...(syncKey === undefined ? {} : { sync: { key: syncKey, setSeries: false, scales: ["x", null] } }),
    },
    hooks,
  };
}

/** uPlot counts in seconds; undefined means: join over it. */
export function plotData(chart: Chart): uPlot.AlignedData {
  return [chart.times.map((t) => t / 1000), ...chart.series.map((s) => s.drawn as (number | null | undefined)[])];
}
