import { boundsOf, colorOf, plainText } from "../model/data/display";
import { numberOf } from "../model/data/frame";
import { asBool, asOneOf, asString } from "../model/json";
import { readReduce } from "../model/panels/options";
import { singleValues, type Single } from "../model/panels/single";
import { Empty } from "../components/Notes";
import type { PanelProps } from "./types";

const CELLS = 30;

/** Without limits of its own, all bars share the greatest value. */
function limits(single: Single, all: readonly Single[]): readonly [number, number] {
  const { min, max } = single.field.config;
  if (min !== undefined && max !== undefined) return boundsOf(single.field);
  const numbers = all.map((s) => numberOf(s.value)).filter((n): n is number => n !== null);
  const low = min ?? Math.min(0, ...numbers);
  const high = max ?? Math.max(...numbers, low + 1e-9);
  return [low, high > low ? high : low + 1];
}

function Fill({ single, share, mode, upright, isDark, unfilled, at }: { single: Single; share: number; mode: string; upright: boolean; isDark: boolean; unfilled: boolean; at: (share: number) => number }) {
  const side = upright ? "height" : "width";
  if (mode === "lcd") {
    return Array.from({ length: CELLS }, (_, i) => {
      const lit = (i + 0.5) / CELLS <= share;
      const color = colorOf(single.field, at((i + 0.5) / CELLS), 0, single.name, isDark);
      return <span key={i} style={{ flex: 1, borderRadius: 2, background: color, opacity: lit ? 1 : unfilled ? 0.15 : 0 }} />;
    });
  }
  const background = mode === "gradient" ? `linear-gradient(${upright ? "to top" : "to right"}, color-mix(in srgb, ${single.color} 45%, transparent), ${single.color})` : single.color;
  return <span className="bar-fill" style={{ [side]: `${Math.max(share * 100, 0.5)}%`, background, ...(upright ? { width: "100%" } : {}) }} />;
}

export function BarGaugePanel({ panel, frames, isDark, context, width, height }: PanelProps) {
  const o = panel.options;
  const values = singleValues(frames, readReduce(o), isDark, context);
  if (values.length === 0) return <Empty title="No data" />;
  const orientation = asString(o["orientation"], "auto");
  const upright = orientation === "vertical" || (orientation === "auto" && width > height * 1.2 && width / values.length > 50);
  const mode = asOneOf(o["displayMode"], ["basic", "gradient", "lcd"], "gradient");
  const valueMode = asString(o["valueMode"], "color");
  const named = asString(o["namePlacement"], "auto") !== "hidden" && values.some((v) => v.name !== "");
  const above = named && !upright && o["namePlacement"] === "top";
  const unfilled = asBool(o["showUnfilled"], true);
  // All lines share their columns, so that bars can be compared.
  const longest = (texts: readonly string[]) => Math.max(1, ...texts.map((t) => t.length));
  const valueWidth = valueMode === "hidden" ? "" : ` ${longest(values.map((v) => plainText(v.display))) * 9 + 4}px`;
  const columns = named && !above ? `${Math.round(Math.min(width * 0.5, longest(values.map((v) => v.name)) * 6.8 + 4))}px minmax(0, 1fr)${valueWidth}` : `minmax(0, 1fr)${valueWidth}`;
  return (
    <div className={upright ? "bars upright" : above ? "bars above" : "bars"}>
      {values.map((single) => {
        const [min, max] = limits(single, values);
        const number = numberOf(single.value);
        const share = number === null ? 0 : Math.min(1, Math.max(0, (number - min) / (max - min)));
        const text = plainText(single.display);
        return (
          <div key={single.key} className="bar-line" style={upright ? undefined : { gridTemplateColumns: columns }}>
            {named && (
              <span className="bar-name" title={single.name}>
                {single.name}
              </span>
            )}
            <span className={unfilled ? "bar-track" : "bar-track bare"} role="meter" aria-label={single.name} aria-valuemin={min} aria-valuemax={max} aria-valuenow={number ?? min} aria-valuetext={text}>
              <Fill single={single} share={share} mode={mode} upright={upright} isDark={isDark} unfilled={unfilled} at={(s) => min + (max - min) * s} />
            </span>
            {valueMode !== "hidden" && (
              <b className="num" style={{ color: valueMode === "color" ? single.color : undefined, fontSize: 15, textAlign: upright ? undefined : "right", whiteSpace: "nowrap" }}>
                {text}
              </b>
            )}
          </div>
        );
      })}
    </div>
  );
}
