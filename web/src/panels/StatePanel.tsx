import { useMemo, useState } from "react";
import { HoverBox } from "../components/Tooltip";
import { textOn } from "../model/color/named";
import { asBool, asNumber, asString } from "../model/json";
import { buildLanes, type Piece } from "../model/panels/states";
import { formatDateTime } from "../model/time/format";
import { humanDuration } from "../model/time/duration";
import { timeTicks } from "./timeseries/axes";
import type { PanelProps } from "./types";

function ticksOf(from: number, to: number, width: number): { at: number[]; step: number } {
  const steps = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000].map((s) => s * 1000);
  const step = steps.find((s) => s >= (to - from) / Math.max(2, width / 80)) ?? 31_536_000_000;
  const at: number[] = [];
  for (let t = Math.ceil(from / step) * step; t < to; t += step) at.push(t / 1000);
  return { at, step };
}

function Lanes({ panel, frames, isDark, context, range, zone, width, height, merge }: PanelProps & { merge: boolean }) {
  const lanes = useMemo(() => buildLanes(frames, merge, isDark, context, range.to), [frames, merge, isDark, context, range.to]);
  const [over, setOver] = useState<{ x: number; y: number; piece: Piece; lane: string }>();
  const left = Math.min(width * 0.3, Math.max(40, ...lanes.map((l) => l.name.length * 6.6 + 12)));
  const plot = Math.max(1, width - left - 4);
  const row = Math.max(14, Math.min(60, (height - 20) / Math.max(1, lanes.length)));
  const bar = row * Math.min(1, asNumber(panel.options["rowHeight"]) ?? 0.9);
  const show = asString(panel.options["showValue"], "auto");
  const x = (ms: number) => left + ((Math.min(range.to, Math.max(range.from, ms)) - range.from) / (range.to - range.from)) * plot;
  const { at, step } = ticksOf(range.from, range.to, plot);
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={panel.title}>
      <svg width={width} height={lanes.length * row + 20} fontSize="11" fill="var(--muted)" role="img" aria-label={`${panel.title}: ${lanes.length} lanes`}>
        {lanes.map((lane, n) => (
          <g key={lane.name + n} transform={`translate(0 ${n * row})`}>
            <text x={left - 6} y={row / 2 + 4} textAnchor="end">
              {lane.name.slice(0, Math.floor(left / 6.4))}
            </text>
            {lane.pieces.map((p) => {
              const [a, b] = [x(p.from), x(p.to)];
              const room = b - a > p.text.length * 6.5 + 8;
              return (
                <g key={p.from} onMouseMove={(e) => setOver({ x: e.clientX, y: e.clientY, piece: p, lane: lane.name })} onMouseLeave={() => setOver(undefined)}>
                  <rect x={a} y={(row - bar) / 2} width={Math.max(1, b - a - (merge ? 0 : 1))} height={bar} rx="2" fill={p.color} fillOpacity="0.85" />
                  {show !== "never" && (room || show === "always") && (
                    <text x={merge ? a + 5 : (a + b) / 2} y={row / 2 + 4} textAnchor={merge ? "start" : "middle"} fill={textOn(p.color)} pointerEvents="none">
                      {p.text}
                    </text>
                  )}
                </g>
              );
            })}
          </g>
        ))}
        {timeTicks(at, step / 1000, zone).map((label, i) => (
          <text key={i} x={x((at[i] ?? 0) * 1000)} y={lanes.length * row + 15} textAnchor="middle">
            {label}
          </text>
        ))}
      </svg>
      {over !== undefined && (
        <HoverBox x={over.x} y={over.y}>
          <div className="tooltip-time">
            {formatDateTime(over.piece.from, zone)} · {humanDuration(over.piece.to - over.piece.from)}
          </div>
          <div className="tooltip-row">
            <span className="swatch" style={{ background: over.piece.color }} />
            <span>{over.lane}</span>
            <b>{over.piece.text}</b>
          </div>
        </HoverBox>
      )}
    </div>
  );
}

export const StateTimelinePanel = (props: PanelProps) => <Lanes {...props} merge={asBool(props.panel.options["mergeValues"], true)} />;
export const StatusHistoryPanel = (props: PanelProps) => <Lanes {...props} merge={false} />;
