import { useMemo } from "react";
import { Empty } from "../components/Notes";
import { buildCanvas, type Drawn } from "../model/panels/canvas";
import type { PanelProps } from "./types";

function Element({ e }: { e: Drawn }) {
  const words = e.missing === undefined ? e.text : e.text || e.missing;
  const paint = { fill: e.background, stroke: e.missing === undefined ? e.border : "var(--muted)", strokeWidth: e.missing === undefined ? e.borderWidth : 1, ...(e.missing === undefined ? {} : { strokeDasharray: "4 3" }) };
  return (
    <g>
      {e.missing !== undefined && <title>{`Elements of the kind “${e.missing}” are not drawn: this is where it stands.`}</title>}
      {e.shape === "ellipse" ? (
        <ellipse cx={e.left + e.width / 2} cy={e.top + e.height / 2} rx={e.width / 2} ry={e.height / 2} {...paint} />
      ) : (
        <rect x={e.left} y={e.top} width={e.width} height={e.height} {...paint} />
      )}
      {words !== "" && (
        <text x={e.align === "start" ? e.left + 4 : e.align === "end" ? e.left + e.width - 4 : e.left + e.width / 2} y={e.top + e.height / 2} dominantBaseline="central" textAnchor={e.align} fontSize={e.fontSize} fill={e.missing === undefined ? e.color : "var(--muted)"}>
          {words}
        </text>
      )}
    </g>
  );
}

/** Boxes, words and values where somebody put them by hand; pictures and icons, which come from elsewhere, as dashed boxes with their name. */
export function CanvasPanel({ panel, frames, isDark, context, width, height }: PanelProps) {
  const { elements, wires } = useMemo(() => buildCanvas(frames, panel.options, width, height, isDark, context), [frames, panel.options, width, height, isDark, context]);
  if (elements.length === 0) return <Empty title="Nothing is drawn here">The canvas has no elements.</Empty>;
  return (
    <svg width={width} height={height} role="img" aria-label={`${panel.title}: ${elements.map((e) => e.text || e.name).filter(Boolean).join(", ")}`}>
      <defs>
        <marker id="canvas-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke" /></marker>
      </defs>
      {elements.map((e, i) => <Element key={i} e={e} />)}
      {wires.map((w, i) => <line key={i} x1={w.from.x} y1={w.from.y} x2={w.to.x} y2={w.to.y} stroke={w.color} strokeWidth={w.width} markerEnd="url(#canvas-arrow)" />)}
    </svg>
  );
}
