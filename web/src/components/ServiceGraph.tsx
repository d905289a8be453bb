import { useMemo, useState } from "react";
import { layoutGraph, type Graph, type GraphEdge, type GraphNode, type Placed } from "../model/traces/graph";
import { formatValue } from "../model/units/format";

const RADIUS = 21;
/** What names are shrunk to at most; a graph that needs more room is scrolled. */
const SMALLEST = 0.62;
const PAD = { x: 74, top: 34, bottom: 56 };

const share = (n: number) => formatValue(n, "percentunit", n > 0 && n < 0.1 ? 1 : 0);
const rateText = (n: number) => formatValue(n, "reqps");
const timeText = (s: number | undefined) => (s === undefined ? "–" : formatValue(s, "s"));

/** A part of the ring around a node, clockwise from the top. */
function arc(from: number, to: number, r: number): string {
  const at = (part: number) => [Math.sin(part * 2 * Math.PI) * r, -Math.cos(part * 2 * Math.PI) * r].map((n) => n.toFixed(2)).join(" ");
  return `M ${at(from)} A ${r} ${r} 0 ${to - from > 0.5 ? 1 : 0} 1 ${at(Math.min(to, from + 0.9999))}`;
}

function Node({ node, x, y, faded, here, onOpen, onHover }: { node: GraphNode; x: number; y: number; faded: boolean; here: boolean; onOpen: (() => void) | undefined; onHover: (id: string | undefined) => void }) {
  const words = `${node.title}: ${rateText(node.rate)}, ${share(node.errors)} failed, P95 ${timeText(node.p95)}`;
  const short = node.title.length > 20 ? `${node.title.slice(0, 19)}…` : node.title;
  return (
    <g
      transform={`translate(${x} ${y})`}
      className={here ? "graph-node here" : "graph-node"}
      opacity={faded ? 0.25 : 1}
      tabIndex={0}
      role={onOpen === undefined ? "img" : "button"}
      aria-label={words}
      style={{ cursor: onOpen === undefined ? "default" : "pointer" }}
      onClick={onOpen}
      onKeyDown={(e) => {
        if (e.key !== "Enter" && e.key !== " ") return;
        e.preventDefault();
        onOpen?.();
      }}
      onMouseEnter={() => onHover(node.id)}
      onMouseLeave={() => onHover(undefined)}
      onFocus={() => onHover(node.id)}
      onBlur={() => onHover(undefined)}
    >
      <title>{words}</title>
      <circle r={RADIUS} fill="var(--panel)" stroke="var(--line)" />
      <path d={arc(0, 1, RADIUS)} fill="none" stroke="var(--good)" strokeWidth="3.500" />
      {node.errors > 0 && <path d={arc(0, Math.max(0.03, node.errors), RADIUS)} fill="none" stroke="var(--bad)" strokeWidth="3.500" />}
      <text y={-1} textAnchor="middle" fontSize="10" fontWeight="650" fill="var(--text)">{timeText(node.p95).replace(/ /g, "")}</text>
      <text y={10} textAnchor="middle" fontSize="9" fill="var(--muted)">{formatValue(node.rate, "none", node.rate < 10 ? 1 : 0)}/s</text>
      <text y={RADIUS + 15} textAnchor="middle" fontSize="12" fontWeight="600" fill="var(--text)" className="graph-name">{short}</text>
      {node.subtitle !== "" && <text y={RADIUS + 28} textAnchor="middle" fontSize="10" fill="var(--muted)">{node.subtitle}</text>}
    </g>
  );
}

const spot = (p: Placed, width: number, height: number) => ({ x: PAD.x + p.x * (width - 2 * PAD.x), y: PAD.top + p.y * (height - PAD.top - PAD.bottom) });

function Edge({ edge, a, b, faded, strength, label }: { edge: GraphEdge; a: { x: number; y: number }; b: { x: number; y: number }; faded: boolean; strength: number; label: boolean }) {
  const back = b.x <= a.x;
  const bend = back ? 60 : Math.max(30, (b.x - a.x) / 2);
  const [from, to] = [{ x: a.x + (back ? 0 : RADIUS + 2), y: a.y + (back ? RADIUS : 0) }, { x: b.x - (back ? 0 : RADIUS + 8), y: b.y + (back ? RADIUS + 6 : 0) }];
  const path = back ? `M ${from.x} ${from.y} C ${from.x} ${from.y + bend}, ${to.x} ${to.y + bend}, ${to.x} ${to.y}` : `M ${from.x} ${from.y} C ${from.x + bend} ${from.y}, ${to.x - bend} ${to.y}, ${to.x} ${to.y}`;
  const color = edge.errors > 0.05 ? "var(--bad)" : edge.errors > 0.01 ? "var(--warn)" : "var(--muted)";
  return (
    <g opacity={faded ? 0.12 : 0.9}>
      <path d={path} fill="none" stroke={color} strokeOpacity={edge.errors > 0.01 ? 0.9 : 0.5} strokeWidth={1 + strength * 4} markerEnd="url(#graph-arrow)">
        <title>{`${edge.source} calls ${edge.target}: ${rateText(edge.rate)}, ${share(edge.errors)} failed, P95 ${timeText(edge.p95)}`}</title>
      </path>
      {label && (
        <text x={(from.x + to.x) / 2} y={(from.y + to.y) / 2 - 6} textAnchor="middle" fontSize="10" fill="var(--text)" className="graph-name">
          {rateText(edge.rate)}{edge.errors > 0 ? `, ${share(edge.errors)} failed` : ""}, {timeText(edge.p95)}
        </text>
      )}
    </g>
  );
}

/** Services as rings, whose red part is the share of failed calls, with how slow and how busy they are; lines as thick as they are busy. */
export function ServiceGraph({ graph, width, height, title, onOpen }: { graph: Graph; width: number; height: number; title: string; onOpen?: (id: string) => void }) {
  const [hovered, setHovered] = useState<string>();
  const placed = useMemo(() => layoutGraph(graph), [graph]);
  const columns = new Set(placed.map((p) => p.x)).size;
  const tallest = Math.max(1, ...[...new Set(placed.map((p) => p.x))].map((x) => placed.filter((p) => p.x === x).length));
  const [least, tall] = [columns * 132, tallest * 78];
  // The whole is seen at once, as long as its names can still be read; room that is left is used.
  const fit = Math.max(SMALLEST, Math.min(1, width / least, height / tall));
  const [w, h] = [Math.max(least, width / fit), Math.max(tall, height / fit)];
  const at = new Map(placed.map((p) => [p.node.id, spot(p, w, h)]));
  const busiest = Math.max(1e-9, ...graph.edges.map((e) => e.rate));
  const near = new Set(hovered === undefined ? [] : [hovered, ...graph.edges.flatMap((e) => (e.source === hovered ? [e.target] : e.target === hovered ? [e.source] : []))]);
  return (
    <div className="table-scroll" style={{ height }} tabIndex={0} role="region" aria-label={title}>
      <svg width={w * fit} height={h * fit} viewBox={`0 0 ${w} ${h}`} role="group" aria-label={`${title}: ${graph.nodes.length} services, ${graph.edges.length} connections`}>
        <defs>
          <marker id="graph-arrow" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="var(--muted)" /></marker>
        </defs>
        {graph.edges.map((e) => {
          const [a, b] = [at.get(e.source), at.get(e.target)];
          const touches = hovered === e.source || hovered === e.target;
          return a === undefined || b === undefined || e.source === e.target ? null : <Edge key={e.id} edge={e} a={a} b={b} strength={e.rate / busiest} faded={hovered !== undefined && !touches} label={touches} />;
        })}
        {placed.map((p) => {
          const { x, y } = at.get(p.node.id) ?? { x: 0, y: 0 };
          return <Node key={p.node.id} node={p.node} x={x} y={y} faded={hovered !== undefined && !near.has(p.node.id)} here={hovered === p.node.id} onOpen={onOpen === undefined ? undefined : () => onOpen(p.node.id)} onHover={setHovered} />;
        })}
      </svg>
    </div>
  );
}
