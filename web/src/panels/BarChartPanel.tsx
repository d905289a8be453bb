import { useMemo, useState } from "react";
import { Legend } from "../components/Legend";
import { Empty } from "../components/Notes";
import { HoverBox } from "../components/Tooltip";
import { useSize } from "../components/useSize";
import { displayCell, plainText } from "../model/data/display";
import { asBool, asNumber, asOneOf, asString, at } from "../model/json";
import { asShares, buildBars, buildHistogram, niceSize, type Bars } from "../model/panels/bars";
import { textOn } from "../model/color/named";
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
  /** Degrees that labels below upright bars are turned by. */
  turned?: number;
  values?: "auto" | "always" | "never";
  /** Of a bar's corners, as a share of half its width. */
  radius?: number;
  /** Of what a bar may take, how much it takes. */
  barWidth?: number;
}

function Drawn({ bars, labels, stacked, sideways, gap, turned = 0, values = "never", radius = 0.1, barWidth = 1, panel, isDark, context }: Drawing & PanelProps) {
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
  const lean = (Math.abs(turned) * Math.PI) / 180;
  const longest = Math.max(0, ...labels.map((l) => l.length)) * 6.3;
  const below = sideways || turned === 0 ? 26 : Math.min(size.height * 0.5, Math.sin(lean) * longest + 22);
  const plot = { x: long, y: values === "never" || sideways ? 4 : 16, w: Math.max(1, size.width - long - 8 - (sideways && values !== "never" ? 54 : 0)), h: Math.max(1, size.height - below - (values === "never" || sideways ? 0 : 12)) };
  const along = sideways ? plot.h : plot.w;
  const across = sideways ? plot.w : plot.h;
  const slot = along / bars.categories.length;
  const at = (v: number) => ((v - bottom) / (top - bottom || 1)) * across;
  const every = Math.max(1, Math.ceil((sideways ? 14 : turned === 0 ? longest + 10 : 14) / slot));
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
                  const [thick, inset] = [each * barWidth, (each * (1 - barWidth)) / 2];
                  const box = sideways ? { x: plot.x + a, y: plot.y + offset + inset, width: b - a, height: thick } : { x: plot.x + offset + inset, y: plot.y + plot.h - b, width: thick, height: b - a };
                  const words = values === "never" ? "" : text(v);
                  const room = values === "always" || (sideways ? thick > 11 : words.length * 6.3 < (stacked ? slot : each) + 4);
                  return (
                    <g key={s.name}>
                      <rect {...box} fill={bars.colors?.[i] ?? s.color} fillOpacity={hovered === undefined || hovered === s.name ? 0.85 : 0.2} rx={Math.min(radius * thick * 0.5, thick / 2)} />
                      {words !== "" && room && (stacked ? b - a > 12 && <text x={box.x + box.width / 2} y={box.y + box.height / 2 + 4} textAnchor="middle" fill={textOn(s.color)} pointerEvents="none">{words}</text> : <text x={sideways ? box.x + box.width + 4 : box.x + box.width / 2} y={sideways ? box.y + box.height / 2 + 4 : box.y - 4} textAnchor={sideways ? "start" : "middle"} pointerEvents="none">{words}</text>)}
                    </g>
                  );
                })}
                {i % every === 0 && (sideways ? <text x={plot.x - 6} y={plot.y + (i + 0.5) * slot + 4} textAnchor="end">{labels[i]?.slice(0, 24)}</text> : turned === 0 ? <text x={Math.min(Math.max(plot.x + (i + 0.5) * slot, longest / 2), size.width - (labels[i]?.length ?? 0) * 3.1)} y={plot.y + plot.h + 15} textAnchor="middle">{labels[i]}</text> : <text transform={`translate(${plot.x + (i + 0.5) * slot} ${plot.y + plot.h + 12}) rotate(${turned})`} textAnchor={turned < 0 ? "end" : "start"}>{labels[i]?.slice(0, Math.floor((below - 14) / Math.max(0.2, Math.sin(lean)) / 6))}</text>)}
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
  const bars = useMemo(() => {
    const built = buildBars(frames, asString(o["xField"]), isDark, asString(o["colorByField"]));
    return o["stacking"] === "percent" ? asShares(built) : built;
  }, [frames, o, isDark]);
  const orientation = asString(o["orientation"], "auto");
  const stacking = at(o, "stacking");
  const cut = asNumber(o["xTickLabelMaxLength"]) ?? 0;
  const labels = cut > 0 ? bars.categories.map((c) => (c.length > cut ? `${c.slice(0, cut)}…` : c)) : bars.categories;
  return <Drawn {...props} bars={bars} labels={labels} stacked={stacking === "normal" || stacking === "percent"} sideways={orientation === "horizontal" || (orientation === "auto" && height > width)} gap={1 - (asNumber(o["groupWidth"]) ?? 0.7)}
    turned={Math.min(90, Math.max(-90, asNumber(o["xTickLabelRotation"]) ?? 0))} values={asOneOf(o["showValue"], ["auto", "always", "never"], "auto")} radius={asNumber(o["barRadius"]) ?? 0.1} barWidth={Math.min(1, Math.max(0.05, asNumber(o["barWidth"]) ?? 0.97))} />;
}

export function HistogramPanel(props: PanelProps) {
  const { panel, frames, isDark } = props;
  const o = panel.options;
  const bars = useMemo(() => buildHistogram(frames, asNumber(o["bucketSize"]), asBool(o["combine"]), isDark), [frames, o, isDark]);
  const labels = bars.buckets.map((b) => formatValue(b.from, bars.source?.config.unit ?? "", bars.source?.config.decimals));
  return <Drawn {...props} bars={bars} labels={labels} stacked={false} sideways={false} gap={0.06} />;
}
