import { useMemo, useState } from "react";
import { Pager } from "../components/Pager";
import { HoverBox } from "../components/Tooltip";
import { textOn } from "../model/color/named";
import { asBool, asNumber, asString, at } from "../model/json";
import { buildLanes, type Piece } from "../model/panels/states";
import { formatDateTime } from "../model/time/format";
import { humanDuration } from "../model/time/duration";
import { timeLabels } from "./timeseries/axes";
import type { PanelProps } from "./types";

function Lanes({ panel, frames, isDark, context, range, zone, width, height, merge }: PanelProps & { merge: boolean }) {
  const lanes = useMemo(() => buildLanes(frames, merge, isDark, context, range.to), [frames, merge, isDark, context, range.to]);
  const pageSize = Math.max(1, asNumber(panel.options["perPage"]) ?? 20);
  const [page, setPage] = useState(0);
  const pages = Math.ceil(lanes.length / pageSize);
  const shown = lanes.slice(Math.min(page, pages - 1) * pageSize, (Math.min(page, pages - 1) + 1) * pageSize);
  const [over, setOver] = useState<{ x: number; y: number; piece: Piece; lane: string }>();
  const left = Math.min(width * 0.3, Math.max(40, ...shown.map((l) => l.name.length * 6.6 + 12)));
  const plot = Math.max(1, width - left - 16);
  const row = Math.max(14, Math.min(60, (height - 20 - (pages > 1 ? 28 : 0)) / Math.max(1, shown.length)));
  const bar = row * Math.min(1, asNumber(panel.options["rowHeight"]) ?? 0.9);
  const align = asString(panel.options["alignValue"], merge ? "left" : "center");
  const wide = Math.min(1, Math.max(0.05, asNumber(panel.options["colWidth"]) ?? 1));
  const opaque = Math.min(1, Math.max(0.1, (asNumber(at(panel.fieldConfig.defaults, "custom.fillOpacity")) ?? 85) / 100));
  const show = asString(panel.options["showValue"], "auto");
  const x = (ms: number) => left + ((Math.min(range.to, Math.max(range.from, ms)) - range.from) / (range.to - range.from)) * plot;
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={panel.title}>
      <svg width={width} height={shown.length * row + 20} fontSize="11" fill="var(--muted)" role="img" aria-label={`${panel.title}: ${lanes.length} lanes`}>
        {shown.map((lane, n) => (
          <g key={lane.name + n} transform={`translate(0 ${n * row})`}>
            <text x={left - 6} y={row / 2 + 4} textAnchor="end">
              {lane.name.slice(0, Math.floor(left / 6.4))}
            </text>
            {lane.pieces.map((p) => {
              const [a, b] = [x(p.from), x(p.to)];
              const room = b - a > p.text.length * 6.5 + 8;
              return (
                <g key={p.from} onMouseMove={(e) => setOver({ x: e.clientX, y: e.clientY, piece: p, lane: lane.name })} onMouseLeave={() => setOver(undefined)}>
                  <rect x={merge ? a : a + ((b - a) * (1 - wide)) / 2} y={(row - bar) / 2} width={Math.max(1, (merge ? b - a : (b - a) * wide) - (merge ? 0 : 1))} height={bar} rx="2" fill={p.color} fillOpacity={opaque} />
                  {show !== "never" && (room || show === "always") && (
                    <text x={align === "left" ? a + 5 : align === "right" ? b - 5 : (a + b) / 2} y={row / 2 + 4} textAnchor={align === "left" ? "start" : align === "right" ? "end" : "middle"} fill={textOn(p.color)} pointerEvents="none">
                      {p.text}
                    </text>
                  )}
                </g>
              );
            })}
          </g>
        ))}
        {timeLabels(range.from, range.to, plot, zone).map(({ ms, text }) => (
          <text key={ms} x={x(ms)} y={shown.length * row + 15} textAnchor="middle">
            {text}
          </text>
        ))}
      </svg>
      {pages > 1 && <Pager page={Math.min(page, pages - 1)} pages={pages} onPage={setPage} />}
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
