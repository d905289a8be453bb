import { useState } from "react";
import { Legend } from "../components/Legend";
import { Empty } from "../components/Notes";
import { classicColor } from "../model/color/palette";
import { textOn } from "../model/color/named";
import { plainText } from "../model/data/display";
import { numberOf } from "../model/data/frame";
import { asStrings, at as at_ } from "../model/json";
import { readLegend, readReduce } from "../model/panels/options";
import { singleValues, type Single } from "../model/panels/single";
import { fixedText } from "../model/units/format";
import { toggled } from "./TimeSeriesPanel";
import type { PanelProps } from "./types";

function slice(from: number, to: number, inner: number): string {
  const at = (share: number, r: number) => `${(r * Math.sin(share * 2 * Math.PI)).toFixed(3)} ${(-r * Math.cos(share * 2 * Math.PI)).toFixed(3)}`;
  // A whole circle has the same point at both ends: two halves draw it.
  if (to - from > 0.9999) return `M0 -100A100 100 0 1 1 0 100A100 100 0 1 1 0 -100M0 -${inner}A${inner} ${inner} 0 1 0 0 ${inner}A${inner} ${inner} 0 1 0 0 -${inner}Z`;
  const large = to - from > 0.5 ? 1 : 0;
  return `M${at(from, 100)}A100 100 0 ${large} 1 ${at(to, 100)}L${at(to, inner)}A${inner} ${inner} 0 ${large} 0 ${at(from, inner)}Z`;
}

export function PiePanel({ panel, frames, isDark, context, width, height }: PanelProps) {
  const o = panel.options;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hovered, setHovered] = useState<string>();
  const all = singleValues(frames, readReduce(o), isDark, context).map((s, i) => ({ ...s, color: s.field.config.colorMode === "thresholds" && s.color !== "inherit" ? s.color : s.color === "inherit" ? classicColor(i, isDark) : s.color }));
  const shown = all.filter((s) => !hidden.has(s.name) && (numberOf(s.value) ?? 0) > 0);
  const total = shown.reduce((sum, s) => sum + (numberOf(s.value) ?? 0), 0);
  if (all.length === 0) return <Empty title="No data" />;
  const labels = asStrings(o["displayLabels"]);
  const legend = readLegend(o);
  const inner = o["pieType"] === "donut" ? 60 : 0;
  let at = 0;
  const parts = shown.map((s) => {
    const share = (numberOf(s.value) ?? 0) / total;
    const part = { s, share, from: at, to: at + share };
    at += share;
    return part;
  });
  const values = asStrings(at_(o, "legend.values"));
  // What the legend says of a part stands beside its name.
  const about = (s: Single) => [values.includes("value") ? plainText(s.display) : "", values.includes("percent") && total > 0 ? `${fixedText(((numberOf(s.value) ?? 0) / total) * 100, 0)}%` : ""].filter(Boolean).join(", ");
  const items = all.map((s) => ({ name: s.name, color: s.color, note: about(s), field: { ...s.field, values: [s.value] } }));
  return (
    <div className={legend.placement === "right" && width > height ? "chart right" : "chart"}>
      <div className="chart-plot">
        <svg viewBox="-104 -104 208 208" width="100%" height="100%" role="img" aria-label={parts.map((p) => `${p.s.name} ${fixedText(p.share * 100)}%`).join(", ")}>
          {parts.map((p) => {
            const middle = ((p.from + p.to) / 2) * 2 * Math.PI;
            const r = inner === 0 ? 66 : 80;
            const words = (without: string) => [labels.includes("name") && without !== "name" ? p.s.name : "", labels.includes("value") ? plainText(p.s.display) : "", labels.includes("percent") ? `${fixedText(p.share * 100, 0)}%` : ""].filter(Boolean).join(" ");
            // What does not fit into its part would stand over its neighbours: the name is in the legend, too.
            const room = Math.min(inner === 0 ? 84 : 44, p.share * 2 * Math.PI * r + 8);
            const text = [words(""), words("name")].find((t) => t.length * 5.6 < room) ?? "";
            return (
              <g key={p.s.key} opacity={hovered === undefined || hovered === p.s.name ? 1 : 0.3}>
                <path d={slice(p.from, p.to, inner)} fill={p.s.color} stroke="var(--panel)" strokeWidth="1" fillRule="evenodd">
                  <title>{`${p.s.name}: ${plainText(p.s.display)} (${fixedText(p.share * 100)}%)`}</title>
                </path>
                {text !== "" && (
                  <text x={r * Math.sin(middle)} y={-r * Math.cos(middle)} textAnchor="middle" dominantBaseline="middle" fontSize="11" fill={textOn(p.s.color)} pointerEvents="none">
                    {text}
                  </text>
                )}
              </g>
            );
          })}
        </svg>
      </div>
      {legend.show && <Legend items={items} options={{ ...legend, calcs: legend.calcs.length > 0 || values.length > 0 ? [] : ["lastNotNull"] }} hidden={hidden} onToggle={(name, alone) => setHidden((h) => toggled(h, items.map((i) => i.name), name, alone))} onHover={setHovered} context={context} isDark={isDark} />}
    </div>
  );
}
