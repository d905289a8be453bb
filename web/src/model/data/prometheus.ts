/** Prometheus' answers as frames. Times are seconds there and milliseconds here. */
import { field, type Field, type Frame, type Labels } from "./frame";
import { labelText, legendName } from "./names";

export interface PromSeries {
  metric: Labels;
  values: readonly (readonly [number, string])[];
}
export interface PromSample {
  metric: Labels;
  value: readonly [number, string];
}
export type PromData =
  | { resultType: "matrix"; result: readonly PromSeries[] }
  | { resultType: "vector"; result: readonly PromSample[] }
  | { resultType: "scalar" | "string"; result: readonly [number, string] };

/** `NaN`, `+Inf` and `-Inf` are spelled as Prometheus writes them. */
export function parseSample(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}

export interface PromShape {
  refId: string;
  legendFormat: string;
  format: "time_series" | "table" | "heatmap";
  /** Names a result without labels. */
  expr?: string;
}

/** The legend of a series: `__auto` leaves the name to the display rules, empty means the full metric text. */
function sourceName(shape: PromShape, labels: Labels): string | undefined {
  if (shape.legendFormat === "__auto") return undefined;
  if (shape.legendFormat === "") return Object.keys(labels).length === 0 ? shape.expr : labelText(labels);
  return legendName(shape.legendFormat, labels);
}

function seriesFrame(shape: PromShape, labels: Labels, times: number[], values: (number | null)[]): Frame {
  const name = sourceName(shape, labels);
  const value: Field = { ...field("Value", "number", values, labels), ...(name === undefined ? {} : { sourceName: name }) };
  return { refId: shape.refId, kind: "series", fields: [field("Time", "time", times), value] };
}

/** One frame a series. Steps without a sample become null, so that gaps are seen. */
function matrixFrames(shape: PromShape, result: readonly PromSeries[], startMs: number, endMs: number, stepMs: number): Frame[] {
  return result.map((series) => {
    const times: number[] = [];
    const values: (number | null)[] = [];
    let i = 0;
    for (let t = startMs; t <= endMs; t += stepMs) {
      times.push(t);
      const sample = series.values[i];
      if (sample !== undefined && Math.abs(sample[0] * 1000 - t) < stepMs / 2) {
        values.push(parseSample(sample[1]));
        i++;
      } else {
        values.push(null);
      }
    }
    return seriesFrame(shape, series.metric, times, values);
  });
}

/** A column a label, then the value: the `table` format. */
export function tableFrame(refId: string, rows: readonly { labels: Labels; time: number; value: number }[]): Frame {
  const keys = [...new Set(rows.flatMap((r) => Object.keys(r.labels)))].sort();
  return {
    refId,
    kind: "table",
    fields: [
      field("Time", "time", rows.map((r) => r.time)),
      ...keys.map((key) => field(key, "string", rows.map((r) => r.labels[key] ?? ""))),
      field("Value", "number", rows.map((r) => r.value)),
    ],
  };
}

/** Cumulative `le` buckets in ascending order, each less the one before it: a column a bucket. */
export function bucketFrame(frames: readonly Frame[], refId: string): Frame {
  const byBound = frames
    .flatMap((f) => f.fields.filter((x) => x.type === "number" && x.labels?.["le"] !== undefined))
    .map((f) => ({ bound: parseSample(f.labels?.["le"] ?? ""), field: f }))
    .sort((a, b) => a.bound - b.bound);
  const time = frames[0]?.fields[0];
  const columns = byBound.map(({ bound, field: f }, i) => {
    const below = byBound[i - 1]?.field.values;
    const values = f.values.map((v, row) => {
      if (typeof v !== "number") return null;
      const under = below?.[row];
      return Math.max(0, v - (typeof under === "number" ? under : 0));
    });
    return { ...field(f.labels?.["le"] ?? "", "number", values, { le: String(bound) }), sourceName: f.labels?.["le"] ?? "" };
  });
  return { refId, kind: "heatmap", fields: time === undefined ? [] : [time, ...columns] };
}

export interface RangeGrid {
  startMs: number;
  endMs: number;
  stepMs: number;
}

export function promFrames(data: PromData, shape: PromShape, grid?: RangeGrid): readonly Frame[] {
  switch (data.resultType) {
    case "matrix": {
      if (shape.format === "table" || grid === undefined) {
        const rows = data.result.flatMap((s) => s.values.map(([t, v]) => ({ labels: s.metric, time: t * 1000, value: parseSample(v) })));
        return [tableFrame(shape.refId, rows)];
      }
      const frames = matrixFrames(shape, data.result, grid.startMs, grid.endMs, grid.stepMs);
      return shape.format === "heatmap" ? [bucketFrame(frames, shape.refId)] : frames;
    }
    case "vector": {
      const rows = data.result.map((s) => ({ labels: s.metric, time: s.value[0] * 1000, value: parseSample(s.value[1]) }));
      if (shape.format === "table") return [tableFrame(shape.refId, rows)];
      return rows.map((r) => seriesFrame(shape, r.labels, [r.time], [r.value]));
    }
    case "scalar":
      return [seriesFrame(shape, {}, [data.result[0] * 1000], [parseSample(data.result[1])])];
    case "string":
      return [{ refId: shape.refId, fields: [field("Time", "time", [data.result[0] * 1000]), field("Value", "string", [data.result[1]])] }];
  }
}
