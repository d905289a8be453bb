import { useMemo, useState } from "react";
import { Legend } from "../components/Legend";
import { Empty } from "../components/Notes";
import { HoverBox } from "../components/Tooltip";
import { useSize } from "../components/useSize";
import { displayCell, plainText } from "../model/data/display";
import { asBool, asNumber, asString, at } from "../model/json";
import { buildBars, buildHistogram, niceSize, type Bars } from "../model/panels/bars";
import { readLegend } from "../model/panels/options";
import { formatValue } from "../model/units/format";
import { toggled } from "./TimeSeriesPanel";
import type { PanelProps } from "./types";

interface Drawing {
  bars: Bars;
  labels: readonly string[];
  stacked: boolean;
  sideways: boolean;
  gap: number;
}

function Drawn({ bars, labels, stacked, sideways, gap, panel, isDark, context }: Drawing & PanelProps) {
  const [ref, size] = useSize<HTMLDivElement>();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hovered, setHovered] = useState<string>();
  const [over, setOver] = useState<{ x: number; y: number; index: number }>();
  const legend = readLegend(panel.options);
  const series = bars.series.filter((s) => !hidden.has(s.name));
  const first = series[0]?.field;
  if (bars.categories.length === 0) return <Empty title="No data" />;
  const totals = bars.categories.map((_, i) => (stacked ? series.reduce((sum, s) => sum + Math.max(0, s.values[i] ?? 0), 0) : Math.max(0, ...series.map((s) => s.values[i] ?? 0))));
  const lows = bars.categories.map((_, i) => Math.min(0, ...series.map((s) => s.values[i] ?? 0)));
  const step = niceSize(Math.max(...totals, 1e-9) - Math.min(...lows), 5);
  const top = first?.config.max ?? Math.ceil(Math.max(...totals, 1e-9) / step) * step;
  const bottom = first?.config.min ?? Math.floor(Math.min(...lows) / step) * step;
  const ticks = Array.from({ length: Math.round((top - bottom) / step) + 1 }, (_, i) => bottom + i * step);
  const text = (v: number) => formatValue(v, first?.config.unit ?? "", first?.config.decimals);
  const long = Math.min(160, Math.max(...(sideways ? labels : ticks.map(text)).map((t) => t.length)) * 6.5 + 12);
  const plot = { x: long, y: 4, w: Math.max(1, size.width - long - 8), h: Math.max(1, size.height - 26) };
  const along = sideways ? plot.h : plot.w;
  const across = sideways ? plot.w : plot.h;
  const slot = along / bars.categories.length;
  const at = (v: number) => ((v - bottom) / (top - bottom || 1)) * across;
  const every = Math.max(1, Math.ceil((sideways ? 14 : Math.max(...labels.map((l) => l.length)) * 6.5 + 10) / slot));
  return (
    <div className={legend.placement === "right" ? "chart right" : "chart"}>
      <div className="chart-plot" ref={ref}>
        <svg width={size.width} height={size.height} role="img" aria-label={`${panel.title}: ${bars.categories.length} bars`} fontSize="11" fill="var(--muted)">
          {ticks.map((t) =>
            sideways ? (
              <g key={t}>
                <line x1={plot.x + at(t)} x2={plot.x + at(t)} y1={plot.y} y2={plot.y + plot.h} stroke="var(--line)" />
                <text x={plot.x + at(t)} y={plot.y + plot.h + 15} textAnchor="middle">{text(t)}</text>
              </g>
            ) : (
              <g key={t}>
                <line x1={plot.x} x2={plot.x + plot.w} y1={plot.y + plot.h - at(t)} y2={plot.y + plot.h - at(t)} stroke="var(--line)" />
                <text x={plot.x - 6} y={plot.y + plot.h - at(t) + 4} textAnchor="end">{text(t)}</text>
              </g>
            ),
          )}
          {bars.categories.map((_, i) => {
            let base = 0;
            const each = stacked ? slot * (1 - gap) : (slot * (1 - gap)) / Math.max(1, series.length);
            return (
              <g key={i} onMouseMove={(e) => setOver({ x: e.clientX, y: e.clientY, index: i })} onMouseLeave={() => setOver(undefined)}>
                <rect x={sideways ? plot.x : plot.x + i * slot} y={sideways ? plot.y + i * slot : plot.y} width={sideways ? plot.w : slot} height={sideways ? slot : plot.h} fill={over?.index === i ? "var(--hover)" : "transparent"} />
                {series.map((s, n) => {
                  const v = s.values[i];
                  if (v == null || !Number.isFinite(v)) return null;
                  const from = stacked ? base : 0;
                  if (stacked) base += v;
                  const [a, b] = [at(Math.min(from, from + v)), at(Math.max(from, from + v))];
                  const offset = i * slot + (slot * gap) / 2 + (stacked ? 0 : n * each);
                  const box = sideways ? { x: plot.x + a, y: plot.y + offset, width: b - a, height: each } : { x: plot.x + offset, y: plot.y + plot.h - b, width: each, height: b - a };
                  return <rect key={s.name} {...box} fill={s.color} fillOpacity={hovered === undefined || hovered === s.name ? 0.85 : 0.2} rx="1.5" />;
                })}
                {i % every === 0 && (sideways ? <text x={plot.x - 6} y={plot.y + (i + 0.5) * slot + 4} textAnchor="end">{labels[i]?.slice(0, 24)}</text> : <text x={plot.x + (i + 0.5) * slot} y={plot.y + plot.h + 15} textAnchor="middle">{labels[i]}</text>)}
              </g>
            );
          })}
        </svg>
      </div>
      {legend.show && bars.series.length > 1 && <Legend items={bars.series} options={legend} hidden={hidden} onToggle={(name, alone) => setHidden((h) => toggled(h, bars.series.map((s) => s.name), name, alone))} onHover={setHovered} context={context} isDark={isDark} />}
      {over !== undefined && (
        <HoverBox x={over.x} y={over.y}>
          <div className="tooltip-time">{labels[over.index]}</div>
          {series.map((s) => (
            <div key={s.name} className="tooltip-row">
              <span className="swatch" style={{ background: s.color }} />
              <span>{s.name}</span>
              <b>{plainText(displayCell(s.field, s.values[over.index] ?? null, isDark, context))}</b>
            </div>
          ))}
        </HoverBox>
      )}
    </div>
  );
}

export function BarChartPanel(props: PanelProps) {
  const { panel, frames, isDark, width, height } = props;
  const o = panel.options;
  const bars = useMemo(() => buildBars(frames, asString(o["xField"]), isDark), [frames, o, isDark]);
  const orientation = asString(o["orientation"], "auto");
  const stacking = at(o, "stacking");
  const cut = asNumber(o["xTickLabelMaxLength"]) ?? 0;
  const labels = cut > 0 ? bars.categories.map((c) => (c.length > cut ? `${c.slice(0, cut)}…` : c)) : bars.categories;
  return <Drawn {...props} bars={bars} labels={labels} stacked={stacking === "normal" || stacking === "percent"} sideways={orientation === "horizontal" || (orientation === "auto" && height > width)} gap={1 - (asNumber(o["groupWidth"]) ?? 0.7)} />;
}

export function HistogramPanel(props: PanelProps) {
  const { panel, frames, isDark } = props;
  const o = panel.options;
  const bars = useMemo(() => buildHistogram(frames, asNumber(o["bucketSize"]), asBool(o["combine"]), isDark), [frames, o, isDark]);
  const labels = bars.buckets.map((b) => formatValue(b.from, bars.source?.config.unit ?? "", bars.source?.config.decimals));
  return <Drawn {...props} bars={bars} labels={labels} stacked={false} sideways={false} gap={0.06} />;
}
