/** Answers of the trace store as frames, for panels. */
import { field, type Frame, type Labels } from "../data/frame";
import { asNumber, asObjects, asString, at, type JsonObject } from "../json";
import { attributeText, type TraceHit } from "./trace";

export function traceTable(hits: readonly TraceHit[], refId: string): Frame {
  const id = field("Trace ID", "string", hits.map((h) => h.id));
  const took = field("Duration", "number", hits.map((h) => h.durationMs));
  return {
    refId,
    kind: "table",
    fields: [
      id,
      { ...field("Start time", "time", hits.map((h) => h.startMs)), config: { ...id.config, unit: "dateTimeAsIsoNoDateIfToday" } },
      field("Service", "string", hits.map((h) => h.service)),
      field("Name", "string", hits.map((h) => h.name)),
      { ...took, config: { ...took.config, unit: "ms" } },
    ],
  };
}

const labelsOfSeries = (series: JsonObject): Labels =>
  Object.fromEntries(asObjects(series["labels"]).map((l) => [asString(l["key"]), attributeText(l["value"])]));

/** Series of a TraceQL metrics query, on the grid that was asked for; steps without a value are gaps. */
export function traceMetricFrames(answer: JsonObject, refId: string, grid: { startMs: number; endMs: number; stepMs: number }): readonly Frame[] {
  return asObjects(answer["series"]).map((series): Frame => {
    const all = labelsOfSeries(series);
    const { __name__: name, ...labels } = all;
    const known = new Map(asObjects(series["samples"]).map((s) => [Math.round((asNumber(s["timestampMs"]) ?? 0) / grid.stepMs), asNumber(s["value"]) ?? 0]));
    const times: number[] = [];
    for (let t = grid.startMs; t <= grid.endMs; t += grid.stepMs) times.push(t);
    const values = times.map((t) => known.get(Math.round(t / grid.stepMs)) ?? null);
    const value = field("Value", "number", values, labels);
    return { refId, kind: "series", fields: [field("Time", "time", times), { ...value, ...(Object.keys(labels).length === 0 ? { sourceName: name ?? asString(at(series, "promLabels")) } : {}) }] };
  });
}
