/** What is drawn over the lines: limits, marks, exemplars. */
import type uPlot from "uplot";
import type { Exemplar } from "../../api/prometheus";
import { cssColor, withAlpha } from "../../model/color/named";
import type { Chart } from "../../model/panels/series";
import type { Mark } from "../types";

export function drawThresholds(u: uPlot, chart: Chart, isDark: boolean): void {
  const done = new Set<string>();
  for (const s of chart.series) {
    const mode = s.style.thresholds;
    if (mode === "off" || mode === "series" || done.has(s.scale)) continue;
    done.add(s.scale);
    const { left, top, width, height } = u.bbox;
    const scale = u.scales[s.scale];
    const steps = s.field.config.thresholds;
    const [low, high] = [scale?.min ?? 0, scale?.max ?? 1];
    const at = (value: number) => (s.field.config.thresholdsMode === "percentage" ? low + ((high - low) * value) / 100 : value);
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    steps.forEach((step, i) => {
      if (step.color === "transparent") return;
      const color = cssColor(step.color, isDark);
      const from = step.value === null ? low : at(step.value);
      const y = u.valToPos(from, s.scale, true);
      if (mode.includes("area")) {
        const next = steps[i + 1]?.value;
        const to = u.valToPos(next == null ? high : at(next), s.scale, true);
        u.ctx.fillStyle = withAlpha(color, 0.12);
        u.ctx.fillRect(left, to, width, y - to);
      }
      if ((mode.includes("line") || mode.includes("dashed")) && step.value !== null) {
        u.ctx.strokeStyle = withAlpha(color, 0.8);
        u.ctx.lineWidth = 1.5 * devicePixelRatio;
        u.ctx.setLineDash(mode.includes("dashed") ? [6 * devicePixelRatio, 5 * devicePixelRatio] : []);
        u.ctx.beginPath();
        u.ctx.moveTo(left, y);
        u.ctx.lineTo(left + width, y);
        u.ctx.stroke();
      }
    });
    u.ctx.restore();
  }
}

export function drawMarks(u: uPlot, marks: readonly Mark[]): void {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height + 6 * devicePixelRatio);
  u.ctx.clip();
  // Stretches of one colour that overlap tint what lies below once, not once each.
  const stretches = new Map<string, Path2D>();
  for (const mark of marks) {
    const from = u.valToPos(mark.from / 1000, "x", true);
    const to = u.valToPos(mark.to / 1000, "x", true);
    if (to > from + 1) {
      const path = stretches.get(mark.color) ?? new Path2D();
      path.rect(from, top, to - from, height);
      stretches.set(mark.color, path);
    }
    u.ctx.strokeStyle = mark.color;
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const x of to > from + 1 ? [from, to] : [from]) {
      u.ctx.beginPath();
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, top + height);
      u.ctx.stroke();
    }
    u.ctx.fillStyle = mark.color;
    u.ctx.fillRect(from - 3 * devicePixelRatio, top + height, Math.max(6 * devicePixelRatio, to - from), 4 * devicePixelRatio);
  }
  for (const [color, path] of stretches) {
    u.ctx.fillStyle = withAlpha(color, 0.05);
    u.ctx.fill(path);
  }
  u.ctx.restore();
}

export interface Dot {
  exemplar: Exemplar;
  x: number;
  y: number;
}

/** Exemplars as small diamonds at their own value; returns where they are, for the pointer. */
export function drawExemplars(u: uPlot, exemplars: readonly Exemplar[], scale: string | undefined, isDark: boolean): readonly Dot[] {
  if (scale === undefined || exemplars.length === 0) return [];
  const limits = u.scales[scale];
  const size = 3.5 * devicePixelRatio;
  const dots: Dot[] = [];
  u.ctx.save();
  u.ctx.fillStyle = isDark ? "#8ab8ff" : "#1f60c4";
  // Too many dots hide the lines: the greatest per column are what a person looks for.
  const best = new Map<number, Exemplar>();
  for (const e of exemplars) {
    const column = Math.round(u.valToPos(e.timeMs / 1000, "x", true) / (size * 2));
    const there = best.get(column);
    if (there === undefined || e.value > there.value) best.set(column, e);
  }
  for (const exemplar of best.values()) {
    const value = Math.min(exemplar.value, limits?.max ?? exemplar.value);
    const x = u.valToPos(exemplar.timeMs / 1000, "x", true);
    const y = u.valToPos(value, scale, true);
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    u.ctx.beginPath();
    u.ctx.moveTo(x, y - size);
    u.ctx.lineTo(x + size, y);
    u.ctx.lineTo(x, y + size);
    u.ctx.lineTo(x - size, y);
    u.ctx.fill();
    dots.push({ exemplar, x: (x - u.bbox.left) / devicePixelRatio, y: (y - u.bbox.top) / devicePixelRatio });
  }
  u.ctx.restore();
  return dots;
}
