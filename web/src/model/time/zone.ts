/** Wall-clock arithmetic in any IANA zone, on epoch milliseconds. */
export interface Wall {
  year: number;
  /** 1 to 12 */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** `browser` and the empty string mean the reader's own zone; an unknown zone falls back to it. */
export function resolveZone(zone: string): string {
  if (zone === "" || zone === "browser") return Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone === "utc" || zone === "UTC") return "UTC";
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
}

function formatter(zone: string): Intl.DateTimeFormat {
  let found = formatters.get(zone);
  if (found === undefined) {
    found = new Intl.DateTimeFormat("en-US", {
      timeZone: resolveZone(zone),
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formatters.set(zone, found);
  }
  return found;
}

export function wallOf(ms: number, zone: string): Wall {
  const wall: Wall = { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of formatter(zone).formatToParts(ms)) {
    if (type in wall) wall[type as keyof Wall] = Number(value);
  }
  return wall;
}

const asUtc = (w: Wall) => Date.UTC(w.year, w.month - 1, w.day, w.hour, w.minute, w.second);

/** The zone's offset from UTC at that moment, in milliseconds (east is positive). */
export function offsetAt(ms: number, zone: string): number {
  const whole = Math.floor(ms / 1000) * 1000;
  return asUtc(wallOf(whole, zone)) - whole;
}

/** The moment at which the zone's clocks show `wall`; fields out of range carry over (day 0 is the last of the month before). */
export function fromWall(wall: Wall, zone: string): number {
  const naive = asUtc(wall);
  const first = naive - offsetAt(naive, zone);
  // The offset may differ on the other side of a change of summer time.
  return naive - offsetAt(first, zone);
}
