/** Cells of a heatmap: a column of buckets for each step. */
import { numberFields, numberOf, timeField, type Frame } from "../data/frame";
import { bucketFrame, parseSample } from "../data/prometheus";

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

/** Buckets computed from plain series, for panels that ask for it. */
function calculated(frames: readonly Frame[]): Omit<Heatmap, "least" | "most"> {
  const times = (timeField(frames[0] ?? { refId: "", fields: [] })?.values ?? []).map(Number);
  const fields = frames.flatMap(numberFields);
  const all = fields.flatMap((f) => f.values.map(numberOf)).filter((v): v is number => v !== null && Number.isFinite(v));
  if (all.length === 0) return { times, bounds: [], counts: [] };
  const min = Math.min(...all);
  const size = (Math.max(...all) - min || 1) / BUCKETS;
  const counts = Array.from({ length: BUCKETS }, () => times.map(() => 0));
  for (const f of fields) {
    f.values.forEach((v, column) => {
      const row = counts[Math.min(BUCKETS - 1, Math.floor(((numberOf(v) ?? NaN) - min) / size))];
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

export function buildHeatmap(frames: readonly Frame[], calculate: boolean): Heatmap {
  const hasBounds = frames.some((f) => f.kind === "heatmap" || f.fields.some((x) => x.labels?.["le"] !== undefined));
  const map = calculate || !hasBounds ? calculated(frames) : bucketed(frames);
  let least = Infinity;
  let most = 0;
  for (const row of map.counts) {
    for (const v of row) {
      if (v === null || v <= 0) continue;
      if (v < least) least = v;
      if (v > most) most = v;
    }
  }
  return { ...map, least: Number.isFinite(least) ? least : 0, most };
}
