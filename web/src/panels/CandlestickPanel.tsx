import { useMemo, useState } from "react";
import { Empty } from "../components/Notes";
import { HoverBox } from "../components/Tooltip";
import { cssColor } from "../model/color/named";
import { asString, at } from "../model/json";
import { buildCandles, type Candle } from "../model/panels/candles";
import { scaleOf } from "../model/panels/xy";
import { formatDateTime } from "../model/time/format";
import { formatValue } from "../model/units/format";
import { timeLabels } from "./timeseries/axes";
import type { PanelProps } from "./types";

/** The part of the height that volumes take below prices. */
const VOLUMES = 0.22;

/** A stretch as a box from open to close on a line from low to high; or as a bar with ticks at both. */
function Shape({ c, x, wide, y, color, bars, hollow }: { c: Candle; x: number; wide: number; y: (v: number) => number; color: string; bars: boolean; hollow: boolean }) {
  const [top, bottom] = [y(Math.max(c.open, c.close)), y(Math.min(c.open, c.close))];
  return (
    <>
      <line x1={x} x2={x} y1={y(c.high)} y2={y(c.low)} stroke={color} />
      {bars ? (
        <>
          <line x1={x - wide / 2} x2={x} y1={y(c.open)} y2={y(c.open)} stroke={color} strokeWidth="1.5" />
          <line x1={x} x2={x + wide / 2} y1={y(c.close)} y2={y(c.close)} stroke={color} strokeWidth="1.5" />
        </>
      ) : (
        <rect x={x - wide / 2} y={top} width={wide} height={Math.max(1, bottom - top)} fill={hollow ? "var(--panel)" : color} stroke={color} />
      )}
    </>
  );
}

/** Prices over time with where each stretch opened, closed and went between, and how much was traded. */
export function CandlestickPanel({ panel, frames, isDark, zone, width, height, range }: PanelProps) {
  const o = panel.options;
  const { candles, price, volume } = useMemo(() => buildCandles(frames, o), [frames, o]);
  const [over, setOver] = useState<{ x: number; y: number; candle: Candle }>();
  const seen = useMemo(() => candles.filter((c) => c.ms >= range.from && c.ms <= range.to), [candles, range]);
  if (price === undefined || seen.length === 0) return <Empty title="No data">A candlestick chart needs a time and numbers called open, high, low and close.</Empty>;
  const mode = asString(o["mode"], "candles+volume");
  const withVolume = mode !== "candles" && volume !== undefined;
  const withPrice = mode !== "volume" || volume === undefined;
  const words = (v: number) => formatValue(v, price.config.unit, price.config.decimals);
  const ys = scaleOf(seen.flatMap((c) => [c.high, c.low]), Math.max(2, height / 50), price.config.min, price.config.max);
  const side = Math.min(140, Math.max(0, ...ys.ticks.map((t) => words(t).length)) * 6.5 + 12);
  const plot = { x: side, y: 6, w: Math.max(1, width - side - 10), h: Math.max(1, height - 28) };
  const priceHeight = withPrice ? plot.h * (withVolume ? 1 - VOLUMES : 1) : 0;
  const y = (v: number) => plot.y + priceHeight - ((v - ys.low) / (ys.high - ys.low || 1)) * priceHeight;
  const x = (ms: number) => plot.x + ((ms - range.from) / (range.to - range.from)) * plot.w;
  const gaps = seen.slice(1).map((c, i) => x(c.ms) - x(seen[i]?.ms ?? c.ms)).filter((g) => g > 0);
  const wide = Math.max(1, Math.min(24, (gaps.length === 0 ? 12 : Math.min(...gaps)) * 0.7));
  const most = Math.max(1e-9, ...seen.map((c) => c.volume ?? 0));
  const color = (c: Candle) => cssColor(asString(at(o, `colors.${c.trend}`), c.trend === "up" ? "green" : c.trend === "down" ? "red" : "gray"), isDark);
  const lines = ["open", "high", "low", "close"] as const;
  return (
    <>
      <svg width={width} height={height} role="img" aria-label={`${panel.title}: ${seen.length} candles`} fontSize="11" fill="var(--muted)" onMouseLeave={() => setOver(undefined)}>
        {withPrice && ys.ticks.map((t) => (
          <g key={t}>
            <line x1={plot.x} x2={plot.x + plot.w} y1={y(t)} y2={y(t)} stroke="var(--line)" />
            <text x={plot.x - 6} y={y(t) + 4} textAnchor="end">{words(t)}</text>
          </g>
        ))}
        {timeLabels(range.from, range.to, plot.w, zone).map(({ ms, text }) => <text key={ms} x={x(ms)} y={plot.y + plot.h + 16} textAnchor="middle">{text}</text>)}
        {seen.map((c) => {
          const tall = withVolume ? ((c.volume ?? 0) / most) * (plot.h - priceHeight) * (withPrice ? 0.9 : 1) : 0;
          return (
            <g key={c.ms} onMouseMove={(e) => setOver({ x: e.clientX, y: e.clientY, candle: c })}>
              <rect x={x(c.ms) - wide / 2} y={plot.y} width={wide} height={plot.h} fill={over?.candle === c ? "var(--hover)" : "transparent"} />
              {withVolume && <rect x={x(c.ms) - wide / 2} y={plot.y + plot.h - tall} width={wide} height={tall} fill={color(c)} fillOpacity="0.35" />}
              {withPrice && <Shape c={c} x={x(c.ms)} wide={wide} y={y} color={color(c)} bars={o["candleStyle"] === "ohlcbars"} hollow={o["colorStrategy"] === "close-close" && c.close > c.open} />}
            </g>
          );
        })}
      </svg>
      {over !== undefined && (
        <HoverBox x={over.x} y={over.y}>
          <div className="tooltip-time">{formatDateTime(over.candle.ms, zone)}</div>
          {lines.map((line) => <div key={line} className="tooltip-row"><span className="swatch" style={{ background: color(over.candle) }} /><span>{line}</span><b>{words(over.candle[line])}</b></div>)}
          {over.candle.volume !== null && <div className="tooltip-row"><span /><span>volume</span><b>{formatValue(over.candle.volume, volume?.config.unit ?? "", volume?.config.decimals)}</b></div>}
        </HoverBox>
      )}
    </>
  );
}
