/** Prices of a stretch of time each: where it opened and closed, and how far it went between. */
import { numberFields, numberOf, timeField, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { asObject, asString, type JsonObject } from "../json";
import { findField, joinBy } from "../transform/rows";

export interface Candle {
  ms: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number | null;
  /** Whether it rose, by the panel's way of telling. */
  trend: "up" | "down" | "flat";
}

export interface Candles {
  candles: readonly Candle[];
  /** The field whose configuration formats prices, and the one for volumes. */
  price?: Field;
  volume?: Field;
}

/** More cannot be told apart, and each is an element of the page. */
export const MAX_CANDLES = 3000;

type Role = "open" | "high" | "low" | "close" | "volume";

/** A column by the name that the panel gives, else by what it is called. */
function fieldFor(role: Role, frame: Frame, mapped: JsonObject): Field | undefined {
  const wanted = asString(mapped[role]);
  if (wanted !== "") return findField(frame, wanted, [frame]);
  const numbers = numberFields(frame);
  const named = numbers.map((f) => ({ f, name: displayName(f, frame, [frame]).toLowerCase() }));
  return (named.find((n) => n.name === role) ?? named.find((n) => n.name === role[0]) ?? named.find((n) => n.name.includes(role)))?.f;
}

/** What is missing is reckoned: a stretch opens where the last one closed, and goes no further than its ends. */
export function buildCandles(frames: readonly Frame[], options: JsonObject): Candles {
  const timed = frames.filter((f) => timeField(f) !== undefined);
  // Several series are named before they are joined: afterwards they may look alike.
  const named = timed.map((f) => ({ ...f, fields: f.fields.map((x) => (x.type === "time" ? x : { ...x, name: displayName(x, f, timed) })) }));
  const frame = named.length > 1 ? joinBy(named, timeField, "outer") : named[0];
  const time = frame === undefined ? undefined : timeField(frame);
  if (frame === undefined || time === undefined) return { candles: [] };
  const mapped = asObject(options["fields"]);
  const [openField, highField, lowField, volumeField] = (["open", "high", "low", "volume"] as const).map((role) => fieldFor(role, frame, mapped));
  const closeField = fieldFor("close", frame, mapped) ?? numberFields(frame).find((f) => f !== openField && f !== highField && f !== lowField && f !== volumeField);
  const price = closeField ?? openField;
  if (price === undefined) return { candles: [] };
  const read = (field: Field | undefined, row: number) => {
    const v = numberOf(field?.values[row]);
    return v === null || !Number.isFinite(v) ? undefined : v;
  };
  const against = options["colorStrategy"] === "close-close" ? "before" : "open";
  const candles: Candle[] = [];
  let before: number | undefined;
  for (let row = 0; row < time.values.length; row++) {
    const close = read(closeField, row) ?? read(openField, row);
    if (close === undefined) continue;
    const open = read(openField, row) ?? before ?? close;
    const base = against === "before" ? (before ?? open) : open;
    candles.push({
      ms: Number(time.values[row]), open, close,
      high: Math.max(open, close, read(highField, row) ?? -Infinity),
      low: Math.min(open, close, read(lowField, row) ?? Infinity),
      volume: read(volumeField, row) ?? null,
      trend: close > base ? "up" : close < base ? "down" : "flat",
    });
    before = close;
  }
  return { candles: candles.slice(-MAX_CANDLES), price, ...(volumeField === undefined ? {} : { volume: volumeField }) };
}
