import { boundsOf, plainText } from "../model/data/display";
import { cssColor, legible } from "../model/color/named";
import { numberOf } from "../model/data/frame";
import { asBool } from "../model/json";
import { readReduce } from "../model/panels/options";
import { singleValues, tileGrid, type Single } from "../model/panels/single";
import { Empty } from "../components/Notes";
import type { PanelProps } from "./types";

const START = -210;
const SWEEP = 240;

function point(angle: number, radius: number): string {
  const a = (angle * Math.PI) / 180;
  return `${(100 + radius * Math.cos(a)).toFixed(2)} ${(100 + radius * Math.sin(a)).toFixed(2)}`;
}

function arc(from: number, to: number, radius: number): string {
  const [a, b] = [START + SWEEP * from, START + SWEEP * to];
  return `M${point(a, radius)}A${radius} ${radius} 0 ${b - a > 180 ? 1 : 0} 1 ${point(b, radius)}`;
}

function Gauge({ single, width, height, isDark, markers, labelled, named }: { single: Single; width: number; height: number; isDark: boolean; markers: boolean; labelled: boolean; named: boolean }) {
  const { config } = single.field;
  const [min, max] = single.field.config.min === undefined && single.field.config.max === undefined ? [0, config.unit === "percentunit" ? 1 : 100] : boundsOf(single.field);
  const number = numberOf(single.value);
  const share = number === null ? 0 : Math.min(1, Math.max(0, (number - min) / (max - min || 1)));
  const at = (v: number | null) => (v === null ? 0 : Math.min(1, Math.max(0, config.thresholdsMode === "percentage" ? v / 100 : (v - min) / (max - min || 1))));
  const text = plainText(single.display);
  const size = Math.min(width, (height - (named ? 22 : 0)) * 1.2);
  return (
    <figure style={{ margin: 0, width: Math.max(90, size), textAlign: "center" }}>
      <svg viewBox="0 0 200 160" width="100%" role="img" aria-label={`${single.name}: ${text}`}>
        <path d={arc(0, 1, 78)} fill="none" stroke="var(--hover)" strokeWidth="20" />
        {share > 0 && <path d={arc(0, share, 78)} fill="none" stroke={single.color} strokeWidth="20" />}
        {markers &&
          config.thresholds.map((step, i) => {
            const from = at(step.value);
            const to = config.thresholds[i + 1] === undefined ? 1 : at(config.thresholds[i + 1]?.value ?? null);
            return to > from ? <path key={i} d={arc(from, to, 94)} fill="none" stroke={cssColor(step.color, isDark)} strokeWidth="5" /> : null;
          })}
        {labelled && config.thresholds.filter((s) => s.value !== null).map((s) => <text key={s.value} x={point(START + SWEEP * at(s.value), 60).split(" ")[0]} y={point(START + SWEEP * at(s.value), 60).split(" ")[1]} fontSize="10" fill="var(--muted)" textAnchor="middle">{s.value}</text>)}
        <text x="100" y="112" textAnchor="middle" fontSize={Math.min(38, 210 / Math.max(4, text.length))} fontWeight="650" fill={single.color === "inherit" ? "currentColor" : legible(single.color, isDark)}>
          {text}
        </text>
      </svg>
      {named && <figcaption className="tile-name">{single.name}</figcaption>}
    </figure>
  );
}

export function GaugePanel({ panel, frames, isDark, context, width, height }: PanelProps) {
  const values = singleValues(frames, readReduce(panel.options), isDark, context);
  if (values.length === 0) return <Empty title="No data" />;
  const { columns, rows } = tileGrid(values.length, width, height, "auto");
  return (
    <div className="gauges">
      {values.map((v) => (
        <Gauge key={v.key} single={v} width={width / columns - 10} height={height / rows - 10} isDark={isDark} named={values.length > 1} markers={asBool(panel.options["showThresholdMarkers"], true)} labelled={asBool(panel.options["showThresholdLabels"])} />
      ))}
    </div>
  );
}
