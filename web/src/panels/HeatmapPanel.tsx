import { useEffect, useMemo, useRef, useState } from "react";
import { HoverBox } from "../components/Tooltip";
import { along, schemeStops } from "../model/color/palette";
import { withAlpha, cssColor } from "../model/color/named";
import { asBool, asNumber, asString, at, type JsonObject } from "../model/json";
import { buildHeatmap, readBuckets, type Heatmap, type HeatmapLimits } from "../model/panels/heatmap";
import { formatDateTime } from "../model/time/format";
import { fixedText, formatValue } from "../model/units/format";
import { lookOf, timeLabels } from "./timeseries/axes";
import type { PanelProps } from "./types";

const LEFT = 64;
const BOTTOM = 20;

const KEY = 26;

function limitsOf(o: JsonObject): HeatmapLimits {
  const read = (key: keyof HeatmapLimits, path: string): HeatmapLimits => {
    const n = asNumber(at(o, path));
    return n === undefined ? {} : { [key]: n };
  };
  return { ...read("above", "filterValues.le"), ...read("below", "filterValues.ge"), ...read("min", "color.min"), ...read("max", "color.max") };
}

export function HeatmapPanel({ panel, frames, isDark, zone, width, height: whole, range, onZoom }: PanelProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [over, setOver] = useState<{ x: number; y: number; row: number; column: number }>();
  const [drag, setDrag] = useState<number>();
  const map = useMemo(() => buildHeatmap(frames, asBool(panel.options["calculate"]), readBuckets(panel.options), limitsOf(panel.options)), [frames, panel.options]);
  const o = panel.options;
  const legend = asBool(at(o, "legend.show"), true) && map.most > map.least;
  const height = whole - (legend ? KEY : 0);
  const unit = asString(at(o, "yAxis.unit")) || frames[0]?.fields[1]?.config.unit || "";
  const plot = useMemo(() => ({ left: LEFT, top: 4, width: Math.max(1, width - LEFT - 18), height: Math.max(1, height - BOTTOM - 4) }), [width, height]);
  const color = useMemo(() => {
    const exponent = asNumber(at(o, "color.exponent")) ?? 0.5;
    const stops = schemeStops(asString(at(o, "color.scheme"), "Oranges"));
    // On a dark ground the schemes begin dark, on a light one light.
    const ordered = asBool(at(o, "color.reverse")) !== isDark ? [...stops].reverse() : stops;
    const opacity = at(o, "color.mode") === "opacity";
    const fill = cssColor(asString(at(o, "color.fill"), "dark-orange"), isDark);
    return (v: number) => {
      const share = map.most === map.least ? 1 : Math.min(1, Math.max(0, (v - map.least) / (map.most - map.least))) ** exponent;
      return opacity ? withAlpha(fill, 0.1 + share * 0.9) : along(ordered, share);
    };
  }, [o, isDark, map]);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (element == null || context == null) return;
    const scale = window.devicePixelRatio;
    element.width = width * scale;
    element.height = height * scale;
    context.scale(scale, scale);
    context.clearRect(0, 0, width, height);
    const rows = map.counts.length;
    const step = (map.times[1] ?? 0) - (map.times[0] ?? 0) || 60_000;
    const perMs = plot.width / (range.to - range.from);
    const h = plot.height / Math.max(1, rows);
    const gap = Math.min(asNumber(at(o, "cellGap")) ?? 1, 2);
    context.save();
    context.beginPath();
    context.rect(plot.left, plot.top, plot.width, plot.height);
    context.clip();
    map.counts.forEach((counts, row) =>
      counts.forEach((v, column) => {
        if (v === null || v <= 0) return;
        const x = Math.round(plot.left + ((map.times[column] ?? 0) - step - range.from) * perMs);
        const next = Math.round(plot.left + ((map.times[column] ?? 0) - range.from) * perMs);
        context.fillStyle = color(v);
        context.fillRect(x, plot.top + plot.height - (row + 1) * h, Math.max(1, next - x - (next - x > 6 ? gap : 0)), Math.max(1, h - (h > 4 ? gap : 0)));
      }),
    );
    context.restore();
    drawAxes(context, map, plot, isDark, zone, range, unit);
  }, [map, color, width, height, isDark, zone, range, unit, o, plot]);

  const locate = (clientX: number, clientY: number) => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return undefined;
    const ms = range.from + ((clientX - box.left - plot.left) / plot.width) * (range.to - range.from);
    const row = Math.floor(((plot.top + plot.height - (clientY - box.top)) / plot.height) * map.counts.length);
    const column = map.times.findIndex((t) => t >= ms);
    return { ms, row, column };
  };
  const cell = over === undefined ? undefined : map.counts[over.row]?.[over.column];
  return (
    <>
      <canvas
        ref={canvas}
        style={{ width, height, display: "block", cursor: "crosshair" }}
        role="img"
        aria-label={`${panel.title}: heatmap of ${map.counts.length} buckets`}
        onMouseMove={(e) => {
          const found = locate(e.clientX, e.clientY);
          setOver(found === undefined ? undefined : { x: e.clientX, y: e.clientY, row: found.row, column: found.column });
        }}
        onMouseLeave={() => setOver(undefined)}
        onMouseDown={(e) => setDrag(locate(e.clientX, e.clientY)?.ms)}
        onMouseUp={(e) => {
          const end = locate(e.clientX, e.clientY)?.ms;
          if (drag !== undefined && end !== undefined && Math.abs(end - drag) > (range.to - range.from) / 100) onZoom({ from: Math.min(drag, end), to: Math.max(drag, end) });
          setDrag(undefined);
        }}
      />
      {legend && (
        <div className="heat-key" style={{ height: KEY, paddingLeft: LEFT }}>
          <span>{fixedText(map.least)}</span>
          {Array.from({ length: 24 }, (_, i) => <i key={i} style={{ background: color(map.least + ((map.most - map.least) * i) / 23) }} />)}
          <span>{fixedText(map.most)}</span>
        </div>
      )}
      {over !== undefined && cell != null && (
        <HoverBox x={over.x} y={over.y}>
          <div className="tooltip-time">{formatDateTime(map.times[over.column] ?? 0, zone)}</div>
          <div className="tooltip-row">
            <span className="swatch" style={{ background: color(cell) }} />
            <span>
              {label(map.bounds[over.row - 1] ?? "0", unit)} – {label(map.bounds[over.row] ?? "", unit)}
            </span>
            <b>{fixedText(cell)}</b>
          </div>
        </HoverBox>
      )}
    </>
  );
}

function label(bound: string, unit: string): string {
  if (bound === "+Inf") return "∞";
  return Number.isFinite(Number(bound)) ? formatValue(Number(bound), unit) : bound;
}

function drawAxes(context: CanvasRenderingContext2D, map: Heatmap, plot: { left: number; top: number; width: number; height: number }, isDark: boolean, zone: string, range: { from: number; to: number }, unit: string) {
  const look = lookOf(isDark);
  context.font = look.font;
  context.fillStyle = look.text;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const rows = map.bounds.length;
  const h = plot.height / Math.max(1, rows);
  const every = Math.max(1, Math.ceil(16 / h));
  map.bounds.forEach((bound, row) => {
    if (row % every === 0) context.fillText(label(bound, unit), plot.left - 6, plot.top + plot.height - (row + 1) * h + Math.min(8, h / 2));
  });
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const { ms, text } of timeLabels(range.from, range.to, plot.width, zone)) context.fillText(text, plot.left + ((ms - range.from) / (range.to - range.from)) * plot.width, plot.top + plot.height + 5);
}
