/** Loki's answers as frames and as rows of logs. */
import { field, type Frame, type Labels } from "./frame";
import { promFrames, type PromData, type PromShape, type RangeGrid } from "./prometheus";

export interface LokiStream {
  stream: Labels;
  /** Time in nanoseconds as text, the line, and perhaps what was known of it beside. */
  values: readonly (readonly [string, string] | readonly [string, string, { structuredMetadata?: Labels; parsed?: Labels }])[];
}
export type LokiData = { resultType: "streams"; result: readonly LokiStream[] } | PromData;

export interface LogRow {
  /** Nanoseconds since 1970, exact. */
  tsNs: string;
  timeMs: number;
  line: string;
  labels: Labels;
  /** Structured metadata and parsed fields, where the server tells them apart from the labels of the stream. */
  fields: Labels;
  /** The same for the same line of the same stream at the same time, counted. */
  id: string;
}

const msOf = (ns: string): number => Number(ns.slice(0, -6) || "0");

/** Newest first, or oldest first; what arrived together keeps its order. */
export function logRows(streams: readonly LokiStream[], newestFirst = true): readonly LogRow[] {
  const seen = new Map<string, number>();
  const rows = streams.flatMap(({ stream, values }) => {
    const key = JSON.stringify(stream);
    return values.map((v): LogRow => {
      const [tsNs, line] = v;
      const about = v[2];
      const same = `${tsNs} ${key} ${line}`;
      const count = (seen.get(same) ?? 0) + 1;
      seen.set(same, count);
      return { tsNs, timeMs: msOf(tsNs), line, labels: stream, fields: { ...about?.structuredMetadata, ...about?.parsed }, id: `${same} ${count}` };
    });
  });
  const order = (a: string, b: string) => (a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)) * (newestFirst ? -1 : 1);
  return rows.sort((a, b) => order(a.tsNs, b.tsNs));
}

export function logFrame(rows: readonly LogRow[], refId: string): Frame {
  return {
    refId,
    kind: "logs",
    fields: [
      field("labels", "other", rows.map((r) => r.labels)),
      field("Time", "time", rows.map((r) => r.timeMs)),
      field("Line", "string", rows.map((r) => r.line)),
      field("tsNs", "string", rows.map((r) => r.tsNs)),
      field("id", "string", rows.map((r) => r.id)),
      field("fields", "other", rows.map((r) => r.fields)),
    ],
  };
}

/** Back from a frame to rows, for panels. */
export function rowsOfFrame(frame: Frame): readonly LogRow[] {
  const column = (name: string) => frame.fields.find((f) => f.name === name)?.values ?? [];
  const [labels, times, lines, ns, ids, fields] = ["labels", "Time", "Line", "tsNs", "id", "fields"].map(column);
  return (lines ?? []).map((line, i) => ({
    labels: (labels?.[i] ?? {}) as Labels,
    timeMs: Number(times?.[i]),
    line: String(line),
    tsNs: String(ns?.[i]),
    id: String(ids?.[i]),
    fields: (fields?.[i] ?? {}) as Labels,
  }));
}

export function lokiFrames(data: LokiData, shape: PromShape, grid?: RangeGrid, newestFirst = true): readonly Frame[] {
  if (data.resultType === "streams") return [logFrame(logRows(data.result, newestFirst), shape.refId)];
  return promFrames(data, shape, grid);
}
