import { useMemo, useState } from "react";
import { Empty } from "../components/Notes";
import { HoverBox } from "../components/Tooltip";
import { buildPlaces, type Place } from "../model/panels/places";
import { niceSize } from "../model/panels/bars";
import type { PanelProps } from "./types";

const degrees = (v: number, plus: string, minus: string) => `${Number(Math.abs(v).toFixed(4))}°${v === 0 ? "" : v > 0 ? plus : minus}`;
const lines = (low: number, high: number, step: number) => Array.from({ length: Math.min(40, Math.floor(high / step) - Math.ceil(low / step) + 1) }, (_, i) => (Math.ceil(low / step) + i) * step);

/** What part of the globe is seen: all points, and some room around them. */
function viewOf(places: readonly Place[], width: number, height: number) {
  const [lats, lons] = [places.map((p) => p.lat), places.map((p) => p.lon)];
  const middle = { lat: (Math.min(...lats) + Math.max(...lats)) / 2, lon: (Math.min(...lons) + Math.max(...lons)) / 2 };
  // A degree to the east is shorter the further one is from the equator.
  const shrink = Math.max(0.15, Math.cos((middle.lat * Math.PI) / 180));
  const spanLat = Math.max(0.02, Math.max(...lats) - Math.min(...lats)) * 1.25;
  const spanLon = Math.max(0.02, Math.max(...lons) - Math.min(...lons)) * 1.25 * shrink;
  const scale = Math.min(height / spanLat, width / spanLon);
  return {
    x: (lon: number) => width / 2 + (lon - middle.lon) * shrink * scale,
    y: (lat: number) => height / 2 - (lat - middle.lat) * scale,
    west: middle.lon - width / 2 / scale / shrink, east: middle.lon + width / 2 / scale / shrink,
    south: middle.lat - height / 2 / scale, north: middle.lat + height / 2 / scale,
    step: niceSize(Math.max(height / scale, width / scale), 6),
  };
}

/** Points by their coordinates on plain lines of latitude and longitude: the pictures of a map would come from another host. */
export function GeomapPanel({ panel, frames, isDark, context, width, height }: PanelProps) {
  const { places, left, why } = useMemo(() => buildPlaces(frames, panel.options, isDark, context), [frames, panel.options, isDark, context]);
  const [over, setOver] = useState<{ x: number; y: number; place: Place }>();
  if (places.length === 0) return <Empty title="No places">{why ?? "No row has coordinates."}</Empty>;
  const h = Math.max(1, height - 18);
  const view = viewOf(places, width, h);
  return (
    <>
      <svg width={width} height={h} role="img" aria-label={`${panel.title}: ${places.length} places`} fontSize="10" fill="var(--muted)">
        {lines(view.south, view.north, view.step).map((lat) => (
          <g key={lat}>
            <line x1="0" x2={width} y1={view.y(lat)} y2={view.y(lat)} stroke="var(--line)" />
            <text x="3" y={view.y(lat) - 3}>{degrees(lat, "N", "S")}</text>
          </g>
        ))}
        {lines(view.west, view.east, view.step).map((lon) => (
          <g key={lon}>
            <line x1={view.x(lon)} x2={view.x(lon)} y1="0" y2={h} stroke="var(--line)" />
            <text x={view.x(lon) + 3} y={h - 4}>{degrees(lon, "E", "W")}</text>
          </g>
        ))}
        {places.map((p, i) => <circle key={i} cx={view.x(p.lon)} cy={view.y(p.lat)} r={p.size} fill={p.color} fillOpacity="0.7" stroke={p.color} onMouseMove={(e) => setOver({ x: e.clientX, y: e.clientY, place: p })} onMouseLeave={() => setOver(undefined)} />)}
      </svg>
      <div className="muted small-note">{left > 0 && `${left} more places are not drawn. `}Without a map below: its pictures would come from another host.</div>
      {over !== undefined && (
        <HoverBox x={over.x} y={over.y}>
          {over.place.about.map(([name, text]) => <div key={name} className="tooltip-row"><span /><span>{name}</span><b>{text}</b></div>)}
        </HoverBox>
      )}
    </>
  );
}
