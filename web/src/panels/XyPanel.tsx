import { useMemo, useState } from "react";
import { Legend } from "../components/Legend";
import { Empty } from "../components/Notes";
import { HoverBox } from "../components/Tooltip";
import { useSize } from "../components/useSize";
import { displayCell, plainText } from "../model/data/display";
import type { Field } from "../model/data/frame";
import { readLegend } from "../model/panels/options";
import { buildXy, scaleOf, type XySeries } from "../model/panels/xy";
import { formatDateTime } from "../model/time/format";
import { formatValue } from "../model/units/format";
import { toggled } from "./TimeSeriesPanel";
import type { PanelProps } from "./types";

interface Over {
  x: number;
  y: number;
  series: XySeries;
  at: XySeries["points"][number];
}

/** One number against another: points, lines, or both. */
export function XyPanel({ panel, frames, isDark, context, zone, lines = false }: PanelProps & { lines?: boolean }) {
  const [ref, size] = useSize<HTMLDivElement>();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hovered, setHovered] = useState<string>();
  const [over, setOver] = useState<Over>();
  const xy = useMemo(() => buildXy(frames, panel.options, isDark, lines), [frames, panel.options, isDark, lines]);
  const legend = readLegend(panel.options);
  const shown = xy.series.filter((s) => !hidden.has(s.name));
  if (xy.x === undefined || xy.series.every((s) => s.points.length === 0)) return <Empty title="No data">An XY chart needs two numbers on each row.</Empty>;
  const y = shown[0]?.field.config;
  const xs = scaleOf(shown.flatMap((s) => s.points.map((p) => p.x)), Math.max(2, size.width / 90), xy.x.config.min, xy.x.config.max);
  const ys = scaleOf(shown.flatMap((s) => s.points.map((p) => p.y)), Math.max(2, size.height / 50), y?.min, y?.max);
  const text = (v: number, field: Field | undefined) => (field?.type === "time" ? formatDateTime(v, zone) : formatValue(v, field?.config.unit ?? "", field?.config.decimals));
  const side = Math.min(140, Math.max(0, ...ys.ticks.map((t) => text(t, shown[0]?.field).length)) * 6.5 + 12);
  const plot = { x: side, y: 6, w: Math.max(1, size.width - side - 12), h: Math.max(1, size.height - 40) };
  const px = (v: number) => plot.x + ((v - xs.low) / (xs.high - xs.low || 1)) * plot.w;
  const py = (v: number) => plot.y + plot.h - ((v - ys.low) / (ys.high - ys.low || 1)) * plot.h;
  return (
    <div className={legend.placement === "right" ? "chart right" : "chart"}>
      <div className="chart-plot" ref={ref}>
        <svg width={size.width} height={size.height} role="img" aria-label={`${panel.title}: ${shown.reduce((n, s) => n + s.points.length, 0)} points`} fontSize="11" fill="var(--muted)">
          {ys.ticks.map((t) => (
            <g key={t}>
              <line x1={plot.x} x2={plot.x + plot.w} y1={py(t)} y2={py(t)} stroke="var(--line)" />
              <text x={plot.x - 6} y={py(t) + 4} textAnchor="end">{text(t, shown[0]?.field)}</text>
            </g>
          ))}
          {xs.ticks.map((t) => (
            <g key={t}>
              <line x1={px(t)} x2={px(t)} y1={plot.y} y2={plot.y + plot.h} stroke="var(--line)" />
              <text x={px(t)} y={plot.y + plot.h + 15} textAnchor="middle">{text(t, xy.x)}</text>
            </g>
          ))}
          <text x={plot.x + plot.w / 2} y={size.height - 4} textAnchor="middle">{xy.xName}</text>
          {shown.map((s) => (
            <g key={s.name} opacity={hovered === undefined || hovered === s.name ? 1 : 0.2}>
              {s.show !== "points" && <polyline points={s.points.map((p) => `${px(p.x)},${py(p.y)}`).join(" ")} fill="none" stroke={s.color} strokeWidth={s.width} />}
              {s.show !== "lines" && s.points.map((p) => <circle key={p.row} cx={px(p.x)} cy={py(p.y)} r={s.size / 2} fill={s.color} fillOpacity="0.75" onMouseEnter={(e) => setOver({ x: e.clientX, y: e.clientY, series: s, at: p })} onMouseLeave={() => setOver(undefined)} />)}
            </g>
          ))}
        </svg>
      </div>
      {xy.left > 0 && <div className="muted">{xy.left} more points are not drawn.</div>}
      {legend.show && <Legend items={xy.series} options={legend} hidden={hidden} onToggle={(name, alone) => setHidden((h) => toggled(h, xy.series.map((s) => s.name), name, alone))} onHover={setHovered} context={context} isDark={isDark} />}
      {over !== undefined && (
        <HoverBox x={over.x} y={over.y}>
          <div className="tooltip-row"><span /><span>{xy.xName}</span><b>{text(over.at.x, xy.x)}</b></div>
          <div className="tooltip-row"><span className="swatch" style={{ background: over.series.color }} /><span>{over.series.name}</span><b>{plainText(displayCell(over.series.field, over.at.y, isDark, context))}</b></div>
        </HoverBox>
      )}
    </div>
  );
}

/** Lines over a number that grows, which need not be the time. */
export function TrendPanel(props: PanelProps) {
  const { panel } = props;
  const trend = useMemo(() => ({ ...panel, options: { ...panel.options, dims: { x: panel.options["xField"] ?? "" } } }), [panel]);
  return <XyPanel {...props} panel={trend} lines />;
}
