/** How far apart the points of a query are. */
import { parseDuration, formatDuration } from "../time/duration";
import type { Range } from "../time/range";
import { roundInterval } from "../variables/interpolate";

const MAX_POINTS = 11_000;

export interface IntervalInput {
  range: Range;
  maxDataPoints: number;
  /** The least allowed: of the panel, the target or the data source, the first that says anything. */
  min?: string;
}

/** `$__interval`: the range over the points that fit, rounded, at least the minimum. */
export function intervalMs({ range, maxDataPoints, min }: IntervalInput): number {
  const rounded = roundInterval((range.to - range.from) / Math.max(1, maxDataPoints));
  return Math.max(rounded, (min === undefined ? undefined : parseDuration(min)) ?? 1);
}

/** The step Prometheus is asked for: never so small that it refuses, whole seconds above one. */
export function safeStepMs(interval: number, range: Range, factor = 1): number {
  const least = (range.to - range.from) / MAX_POINTS;
  const safe = least > 1000 ? Math.ceil(least / 1000) * 1000 : Math.ceil(least);
  return Math.max(interval * Math.max(1, factor), safe, 1);
}

/** `$__rate_interval`: long enough that at least four scrapes lie inside. */
export function rateIntervalMs(interval: number, scrapeMs: number): number {
  return Math.max(interval + scrapeMs, 4 * scrapeMs);
}

/** The values that a query's text may use. */
export function intervalVariables(interval: number, scrapeMs: number): Readonly<Record<string, string>> {
  const rate = rateIntervalMs(interval, scrapeMs);
  return {
    __interval: formatDuration(interval),
    __interval_ms: String(interval),
    __rate_interval: formatDuration(rate),
    __rate_interval_ms: String(rate),
    __auto: formatDuration(interval),
  };
}

/** Both ends floored to the step, in the zone's offset, so that the same points are asked for again and again. */
export function alignedGrid(range: Range, stepMs: number, offsetMs = 0): { startMs: number; endMs: number; stepMs: number } {
  const floor = (ms: number) => Math.floor((ms + offsetMs) / stepMs) * stepMs - offsetMs;
  return { startMs: floor(range.from), endMs: floor(range.to), stepMs };
}
