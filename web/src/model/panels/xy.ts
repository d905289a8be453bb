/** Points of one number against another, for XY charts. */
import { seriesColor } from "../data/display";
import { numberFields, numberOf, timeField, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { asNumber, asObjects, asString, asStrings, at, type JsonObject } from "../json";
import { findField, joinBy } from "../transform/rows";
import { niceSize } from "./bars";

export interface XySeries {
  name: string;
  color: string;
  /** The numbers upwards, whose configuration formats them. */
  field: Field;
  points: readonly { x: number; y: number; row: number }[];
  show: "points" | "lines" | "points+lines";
  size: number;
  width: number;
}

export interface Xy {
  x?: Field;
  xName: string;
  series: readonly XySeries[];
  /** Points left out, since no picture can show so many. */
  left: number;
}

/** More are not told apart, and each is an element of the page. */
export const MAX_POINTS = 5000;

/** A column by name, as either version of the options names it. */
const named = (v: JsonObject[string]): string => (typeof v === "string" ? v : asString(at(v, "matcher.options")) || asString(at(v, "field.matcher.options")));

interface Wanted {
  x: Field;
  y: Field;
  name: string;
}

/** Series that are told by hand, else the first number (or the time) against all others. */
function wantedOf(frame: Frame, all: readonly Frame[], options: JsonObject): readonly Wanted[] {
  const written = asObjects(options["series"]).filter((s) => named(s["x"]) !== "" || named(s["y"]) !== "");
  const numbers = numberFields(frame);
  const x = findField(frame, asString(at(options, "dims.x")), all) ?? (numbers.length > 1 ? numbers[0] : timeField(frame)) ?? numbers[0];
  if (x === undefined) return [];
  if ((options["seriesMapping"] === "manual" || options["mapping"] === "manual") && written.length > 0) {
    return written.flatMap((s) => {
      const y = findField(frame, named(s["y"]), all);
      if (y === undefined) return [];
      return [{ x: findField(frame, named(s["x"]), all) ?? x, y, name: asString(at(s, "name.fixed")) || asString(s["name"]) || displayName(y, frame, all) }];
    });
  }
  const excluded = new Set(asStrings(at(options, "dims.exclude")));
  return numbers.filter((y) => y !== x && !excluded.has(displayName(y, frame, all))).map((y) => ({ x, y, name: displayName(y, frame, all) }));
}

export function buildXy(frames: readonly Frame[], options: JsonObject, isDark: boolean, lines = false): Xy {
  const joined = frames.length > 1 && frames.every((f) => timeField(f) !== undefined) ? joinBy(frames, timeField, "outer") : undefined;
  // Of series over time, the time is what they were joined by, and no axis.
  const frame = joined === undefined ? frames[asNumber(at(options, "dims.frame")) ?? 0] : { ...joined, fields: joined.fields.filter((f) => f.type !== "time") };
  if (frame === undefined) return { xName: "", series: [], left: 0 };
  const wanted = wantedOf(frame, frames, options);
  let room = MAX_POINTS;
  let left = 0;
  const series = wanted.map(({ x, y, name }, index): XySeries => {
    const found = y.values.flatMap((v, row) => {
      const [a, b] = [numberOf(x.values[row]), numberOf(v)];
      return a === null || b === null || !Number.isFinite(a) || !Number.isFinite(b) ? [] : [{ x: a, y: b, row }];
    });
    const points = lines ? found.sort((a, b) => a.x - b.x) : found;
    const kept = points.slice(0, room);
    room -= kept.length;
    left += points.length - kept.length;
    const custom = y.config.custom;
    const show = custom["show"];
    return {
      name, color: seriesColor(y, index, name, isDark), field: y, points: kept,
      show: show === "lines" || show === "points+lines" ? show : lines && custom["drawStyle"] !== "points" ? "lines" : "points",
      size: Math.min(50, Math.max(1, asNumber(at(custom, "pointSize.fixed")) ?? 5)),
      width: asNumber(custom["lineWidth"]) ?? 1,
    };
  });
  const x = wanted[0]?.x;
  return { xName: x === undefined ? "" : displayName(x, frame, frames), series, left, ...(x === undefined ? {} : { x }) };
}

export interface Scale {
  low: number;
  high: number;
  ticks: readonly number[];
}

/** Round limits around the values, and where lines stand. */
export function scaleOf(values: readonly number[], count: number, min?: number, max?: number): Scale {
  const [least, most] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  if (!Number.isFinite(least) || !Number.isFinite(most)) return { low: min ?? 0, high: max ?? 1, ticks: [] };
  const step = niceSize((max ?? most) - (min ?? least) || Math.abs(most) || 1, count);
  const low = min ?? Math.floor(least / step) * step;
  const high = max ?? (Math.ceil(most / step) * step === low ? low + step : Math.ceil(most / step) * step);
  const ticks = Array.from({ length: Math.min(50, Math.floor((high - low) / step + 1e-9) + 1) }, (_, i) => low + i * step);
  return { low, high, ticks };
}
