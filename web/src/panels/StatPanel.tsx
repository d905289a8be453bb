import { asBool, asOneOf, asString } from "../model/json";
import { legible, textOn, withAlpha } from "../model/color/named";
import { linkTemplate } from "../model/data/links";
import { readReduce } from "../model/panels/options";
import { singleValues, tileGrid, type Single } from "../model/panels/single";
import { safeHref } from "../dashboard/links";
import { formatValue } from "../model/units/format";
import { Empty } from "../components/Notes";
import type { PanelProps } from "./types";

/** The line of the trend, in a box of 100 by 30. */
function sparkPath(values: readonly (number | null)[]): { line: string; area: string } | undefined {
  const present = values.filter((v): v is number => v !== null && Number.isFinite(v));
  if (present.length < 2) return undefined;
  const min = Math.min(...present);
  const span = Math.max(...present) - min || 1;
  const step = 100 / (values.length - 1);
  let line = "";
  let first = 0;
  let last = 0;
  values.forEach((v, i) => {
    if (v === null || !Number.isFinite(v)) return;
    if (line === "") first = i * step;
    last = i * step;
    line += `${line === "" ? "M" : "L"}${(i * step).toFixed(2)} ${(29 - ((v - min) / span) * 26).toFixed(2)}`;
  });
  return { line, area: `${line}L${last.toFixed(2)} 30L${first.toFixed(2)} 30Z` };
}

interface Look {
  mode: "none" | "value" | "background" | "background_solid";
  graph: boolean;
  text: string;
  center: boolean;
  wideLayout: boolean;
  /** Whether it says how much the value changed over the range, and what colour a rise has. */
  change: boolean;
  changeColor: string;
}

/** From the first to the last value of the range, as a share of the first. */
function changeOf(values: readonly (number | null)[]): number | undefined {
  const present = values.filter((v): v is number => v !== null && Number.isFinite(v));
  const [first, last] = [present[0], present[present.length - 1]];
  return first === undefined || last === undefined || first === 0 || present.length < 2 ? undefined : (last - first) / Math.abs(first);
}

const wholeText = ({ display }: Single) => `${display.prefix ?? ""}${display.text}${display.suffix ?? ""}`;
const isNamed = (look: Look, single: Single) => look.text !== "value" && look.text !== "none" && single.name !== "";
const isWide = (look: Look, single: Single, width: number, height: number) => look.wideLayout && isNamed(look, single) && look.text !== "name" && width > height * 3.4;

/** The largest size at which the value of a tile fits. */
function valueSizeOf(single: Single, look: Look, width: number, height: number): number {
  const wide = isWide(look, single, width, height);
  const text = wholeText(single);
  const room = look.graph && single.trend.length > 1 ? 0.6 : 0.9;
  const letters = Math.max(3, wide ? text.length + single.name.length * 0.5 : text.length);
  return Math.max(13, Math.min(54, (width - 18) / (letters * 0.58), (height * room) / (isNamed(look, single) && !wide ? 2 : 1.25)));
}

interface TileProps {
  single: Single;
  look: Look;
  width: number;
  height: number;
  /** The same for all tiles of a panel: different sizes would say something that is not so. */
  valueSize: number;
  isDark: boolean;
  href: string | undefined;
}

function Tile({ single, look, width, height, valueSize, isDark, href }: TileProps) {
  const { display, color } = single;
  const change = look.change ? changeOf(single.trend) : undefined;
  const filled = look.mode === "background" || look.mode === "background_solid";
  const spark = look.graph ? sparkPath(single.trend) : undefined;
  const showName = isNamed(look, single);
  const showValue = look.text !== "name" && look.text !== "none";
  const wide = isWide(look, single, width, height);
  const nameSize = Math.max(11, Math.min(20, valueSize * 0.42, wide ? 20 : (width - 12) / Math.max(4, single.name.length * 0.5)));
  const ink = filled ? textOn(color) : look.mode === "value" ? legible(color, isDark) : "inherit";
  const background = filled ? (look.mode === "background" ? `linear-gradient(135deg, ${color}, color-mix(in srgb, ${color} 78%, #000))` : color) : undefined;
  const body = (
    <>
      {spark !== undefined && (
        <svg className="spark" viewBox="0 0 100 30" preserveAspectRatio="none" style={{ height: "45%" }} aria-hidden="true">
          <path d={spark.area} fill={filled ? "rgba(255,255,255,0.22)" : withAlpha(color, 0.2)} />
          <path d={spark.line} fill="none" stroke={filled ? "rgba(255,255,255,0.8)" : color} strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
        </svg>
      )}
      <div className="tile-text" style={{ color: filled ? ink : undefined, ...(spark === undefined ? {} : { justifyContent: wide ? undefined : "flex-start", paddingTop: 6 }) }}>
        {showName && (
          <span className="tile-name" style={{ fontSize: nameSize }}>
            {single.name}
          </span>
        )}
        {showValue && (
          <span className="tile-value" style={{ fontSize: valueSize, color: ink }}>
            {display.prefix !== undefined && <small>{display.prefix}</small>}
            {display.text}
            {display.suffix !== undefined && <small>{display.suffix}</small>}
          </span>
        )}
        {change !== undefined && (
          <span className="tile-change" style={{ fontSize: Math.max(11, valueSize * 0.34), color: filled ? ink : look.changeColor === "same_as_value" ? ink : change === 0 ? undefined : (change > 0) === (look.changeColor !== "inverted") ? "var(--good)" : "var(--bad)" }}>
            {change > 0 ? "↑" : change < 0 ? "↓" : ""} {formatValue(Math.abs(change), "percentunit", 1)}
          </span>
        )}
      </div>
    </>
  );
  const className = `tile${wide ? " wide" : ""}${look.center ? " center" : ""}`;
  if (href !== undefined) {
    return (
      <a className={className} style={{ background }} href={href} title={single.name}>
        {body}
      </a>
    );
  }
  return (
    <div className={className} style={{ background }} title={showName ? undefined : single.name}>
      {body}
    </div>
  );
}

export function StatPanel({ panel, frames, isDark, context, width, height, text }: PanelProps) {
  const o = panel.options;
  const values = singleValues(frames, readReduce(o), isDark, context);
  if (values.length === 0) return <Empty title="No data" />;
  const mode = asString(o["textMode"], "auto");
  const look: Look = {
    mode: asOneOf(o["colorMode"], ["none", "value", "background", "background_solid"], "value"),
    graph: asString(o["graphMode"], "area") === "area",
    text: mode === "auto" ? (values.length > 1 ? "value_and_name" : "value") : mode,
    center: asString(o["justifyMode"], "auto") === "center" || (values.length === 1 && mode !== "value_and_name"),
    wideLayout: asBool(o["wideLayout"], true),
    change: asBool(o["showPercentChange"]),
    changeColor: asString(o["percentChangeColorMode"], "standard"),
  };
  const { columns, rows } = tileGrid(values.length, width, height, asOneOf(o["orientation"], ["auto", "horizontal", "vertical"], "auto"));
  const [tileWidth, tileHeight] = [width / columns - 6, height / rows - 6];
  const valueSize = Math.min(...values.map((v) => valueSizeOf(v, look, tileWidth, tileHeight)));
  return (
    <div className="tiles" style={{ gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`, gridTemplateRows: `repeat(${rows}, minmax(0, 1fr))` }}>
      {values.map((single) => {
        const link = single.field.config.links[0];
        return <Tile key={single.key} single={single} look={look} width={tileWidth} height={tileHeight} valueSize={valueSize} isDark={isDark} href={link === undefined ? undefined : safeHref(text(linkTemplate(link.url, { field: single.field, frame: frames.find((f) => f.fields.includes(single.field)) ?? { refId: "", fields: [single.field] }, all: frames, row: 0, value: single.value, shown: wholeText(single) }), "url"))} />;
      })}
    </div>
  );
}
