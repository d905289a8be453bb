/** Cells of a heatmap: a column of buckets for each step. */
import { numberFields, numberOf, timeField, type Frame } from "../data/frame";
import { bucketFrame, parseSample } from "../data/prometheus";
import { at, type JsonObject } from "../json";

export interface Heatmap {
  times: readonly number[];
  /** The upper bound of each row, lowest first, as written. */
  bounds: readonly string[];
  /** counts[row][column] */
  counts: readonly (readonly (number | null)[])[];
  least: number;
  most: number;
}

const BUCKETS = 20;
/** More rows than that are thinner than a pixel. */
const MAX_BUCKETS = 500;

/** How values are put into rows: of that size, or that many. */
export interface Buckets {
  size?: number;
  count: number;
}

/** `calculation.yBuckets` of a panel's options. */
export function readBuckets(options: JsonObject): Buckets {
  const value = Number(at(options, "calculation.yBuckets.value") ?? NaN);
  if (!Number.isFinite(value) || value <= 0) return { count: BUCKETS };
  return at(options, "calculation.yBuckets.mode") === "count" ? { count: Math.min(MAX_BUCKETS, Math.max(1, Math.round(value))) } : { size: value, count: BUCKETS };
}

/** What the panel leaves out, and where its colours begin and end. */
export interface HeatmapLimits {
  above?: number;
  below?: number;
  min?: number;
  max?: number;
}

/** Buckets computed from plain series, for panels that ask for it. */
function calculated(frames: readonly Frame[], buckets: Buckets): Omit<Heatmap, "least" | "most"> {
  const times = (timeField(frames[0] ?? { refId: "", fields: [] })?.values ?? []).map(Number);
  const fields = frames.flatMap(numberFields);
  const all = fields.flatMap((f) => f.values.map(numberOf)).filter((v): v is number => v !== null && Number.isFinite(v));
  if (all.length === 0) return { times, bounds: [], counts: [] };
  const least = all.reduce((a, b) => Math.min(a, b));
  const span = all.reduce((a, b) => Math.max(a, b)) - least || 1;
  const size = buckets.size === undefined ? span / buckets.count : Math.max(buckets.size, span / MAX_BUCKETS);
  const min = buckets.size === undefined ? least : Math.floor(least / size) * size;
  const count = buckets.size === undefined ? buckets.count : Math.floor((least + span - min) / size) + 1;
  const counts = Array.from({ length: count }, () => times.map(() => 0));
  for (const f of fields) {
    f.values.forEach((v, column) => {
      const row = counts[Math.min(count - 1, Math.floor(((numberOf(v) ?? NaN) - min) / size))];
      if (row !== undefined) row[column] = (row[column] ?? 0) + 1;
    });
  }
  return { times, bounds: counts.map((_, i) => String(Number((min + size * (i + 1)).toPrecision(4)))), counts };
}

/** Series of cumulative `le` buckets, however the query called its format. */
function bucketed(frames: readonly Frame[]): Omit<Heatmap, "least" | "most"> {
  const ready = frames.find((f) => f.kind === "heatmap");
  const frame = ready ?? bucketFrame(frames, "A");
  const rows = numberFields(frame);
  const ordered = [...rows].sort((a, b) => parseSample(a.labels?.["le"] ?? a.name) - parseSample(b.labels?.["le"] ?? b.name));
  return { times: (timeField(frame)?.values ?? []).map(Number), bounds: ordered.map((f) => f.name), counts: ordered.map((f) => f.values.map(numberOf)) };
}

export function buildHeatmap(frames: readonly Frame[], calculate: boolean, buckets: Buckets = { count: BUCKETS }, limits: HeatmapLimits = {}): Heatmap {
  const hasBounds = frames.some((f) => f.kind === "heatmap" || f.fields.some((x) => x.labels?.["le"] !== undefined));
  const found = calculate || !hasBounds ? calculated(frames, buckets) : bucketed(frames);
  const kept = (v: number | null) => (v !== null && (v <= (limits.above ?? -Infinity) || v >= (limits.below ?? Infinity)) ? null : v);
  const map = { ...found, counts: found.counts.map((row) => row.map(kept)) };
  let least = Infinity;
  let most = 0;
  for (const row of map.counts) {
    for (const v of row) {
      if (v === null || v <= 0) continue;
      if (v < least) least = v;
      if (v > most) most = v;
    }
  }
  return { ...map, least: limits.min ?? (Number.isFinite(least) ? least : 0), most: limits.max ?? most };
}
