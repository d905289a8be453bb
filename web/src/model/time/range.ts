/** Time ranges as Grafana writes them: `now-6h`, `now/d`, epoch milliseconds, dates. */
import { fromWall, wallOf, type Wall } from "./zone";

export interface RawRange {
  from: string;
  to: string;
}

/** Epoch milliseconds, `from` before `to`. */
export interface Range {
  from: number;
  to: number;
}

export type Unit = "ms" | "s" | "m" | "h" | "d" | "w" | "M" | "Q" | "y";
const units = "ms|s|m|h|d|w|M|Q|y";
const step = new RegExp(`^([+-])(\\d+)(${units})|^/(fQ|fy|${units})`);

const fixed: Partial<Record<Unit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function add(ms: number, amount: number, unit: Unit, zone: string): number {
  const length = fixed[unit];
  if (length !== undefined) return ms + amount * length;
  const wall = wallOf(ms, zone);
  const fraction = ms - Math.floor(ms / 1000) * 1000;
  if (unit === "d" || unit === "w") return fromWall({ ...wall, day: wall.day + amount * (unit === "w" ? 7 : 1) }, zone) + fraction;
  const months = amount * (unit === "M" ? 1 : unit === "Q" ? 3 : 12);
  const first = { ...wall, day: 1, month: wall.month + months };
  // 31 January + 1 month is the last of February.
  const lastDay = new Date(Date.UTC(first.year, first.month, 0)).getUTCDate();
  return fromWall({ ...first, day: Math.min(wall.day, lastDay) }, zone) + fraction;
}

function startOf(ms: number, unit: string, zone: string): number {
  const w = wallOf(ms, zone);
  const day: Wall = { ...w, hour: 0, minute: 0, second: 0 };
  switch (unit) {
    case "s":
      return Math.floor(ms / 1000) * 1000;
    case "m":
      return fromWall({ ...w, second: 0 }, zone);
    case "h":
      return fromWall({ ...w, minute: 0, second: 0 }, zone);
    case "d":
      return fromWall(day, zone);
    case "w": {
      const weekday = new Date(Date.UTC(w.year, w.month - 1, w.day)).getUTCDay();
      return fromWall({ ...day, day: w.day - ((weekday + 6) % 7) }, zone);
    }
    case "M":
      return fromWall({ ...day, day: 1 }, zone);
    case "Q":
    case "fQ":
      return fromWall({ ...day, day: 1, month: w.month - ((w.month - 1) % 3) }, zone);
    case "y":
    case "fy":
      return fromWall({ ...day, day: 1, month: 1 }, zone);
    default:
      return ms;
  }
}

function endOf(ms: number, unit: string, zone: string): number {
  const plain = unit.replace("f", "") as Unit;
  return add(startOf(ms, unit, zone), 1, plain, zone) - 1;
}

/** Evaluates the part after `now`; undefined when it is not in the grammar. */
function walk(rest: string, now: number, roundUp: boolean, zone: string): number | undefined {
  let ms = now;
  while (rest !== "") {
    const hit = step.exec(rest);
    if (hit === null) return undefined;
    const [all, sign, amount, unit, rounding] = hit;
    if (rounding !== undefined) ms = roundUp ? endOf(ms, rounding, zone) : startOf(ms, rounding, zone);
    else ms = add(ms, Number(amount) * (sign === "-" ? -1 : 1), unit as Unit, zone);
    rest = rest.slice(all.length);
  }
  return ms;
}

const date = /^(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$/;

function absolute(text: string, roundUp: boolean, zone: string): number | undefined {
  if (/^\d{9,}$/.test(text)) return Number(text);
  const hit = date.exec(text);
  if (hit === null) return undefined;
  const n = (i: number) => Number(hit[i] ?? 0);
  const bare = hit[4] === undefined;
  const wall = { year: n(1), month: n(2), day: n(3), hour: n(4), minute: n(5), second: n(6) };
  if (wall.month < 1 || wall.month > 12 || wall.day < 1 || wall.day > 31 || wall.hour > 24) return undefined;
  if (bare && roundUp) return fromWall({ ...wall, hour: 23, minute: 59, second: 59 }, zone) + 999;
  const offset = hit[8];
  const fraction = Math.round(Number(hit[7] ?? 0) * 1000);
  if (offset === undefined) return fromWall(wall, zone) + fraction;
  const minutes = offset === "Z" ? 0 : Number(offset.slice(0, 3)) * 60 + Number(`${offset[0]}${offset.slice(-2)}`);
  return fromWall(wall, "UTC") + fraction - minutes * 60_000;
}

/** The moment a text means, or undefined when it means none. */
export function parseTime(text: string, now: number, roundUp: boolean, zone: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed.startsWith("now")) return walk(trimmed.slice(3), now, roundUp, zone);
  return absolute(trimmed, roundUp, zone);
}

/** Both ends; an unreadable end falls back to the last hour, and ends in the wrong order are exchanged. */
export function resolveRange(raw: RawRange, now: number, zone: string): Range {
  const to = parseTime(raw.to, now, true, zone) ?? now;
  const from = parseTime(raw.from, now, false, zone) ?? to - 3_600_000;
  return from <= to ? { from, to } : { from: to, to: from };
}

/** A panel's own `timeFrom` and `timeShift`, applied to the dashboard's range. */
export function panelRange(raw: RawRange, now: number, zone: string, timeFrom?: string, timeShift?: string): Range {
  let { from, to } = resolveRange(raw, now, zone);
  if (timeFrom !== undefined && timeFrom !== "") {
    from = parseTime(timeFrom.startsWith("now") ? timeFrom : `now-${timeFrom}`, to, false, zone) ?? from;
  }
  if (timeShift !== undefined && timeShift !== "") {
    from = parseTime(`now-${timeShift}`, from, false, zone) ?? from;
    to = parseTime(`now-${timeShift}`, to, true, zone) ?? to;
  }
  return { from, to };
}

const fix = (r: Range): RawRange => ({ from: String(Math.round(r.from)), to: String(Math.round(r.to)) });

/** Twice as long around the same middle, but not into the future beyond half of it. */
export function zoomOut({ from, to }: Range): RawRange {
  const half = Math.max((to - from) / 2, 500);
  return fix({ from: from - half, to: to + half });
}

/** Half a range to the left (-1) or right (1). */
export function shift({ from, to }: Range, direction: -1 | 1): RawRange {
  const by = ((to - from) / 2) * direction;
  return fix({ from: from + by, to: to + by });
}
