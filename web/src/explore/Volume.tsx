import { useMemo } from "react";
import { lokiRange, nanos } from "../api/loki";
import type { QueryResult } from "../api/run";
import { QueryGraph } from "../components/QueryGraph";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { field, numberFields, numberOf, timeField, type Frame } from "../model/data/frame";
import { lokiFrames } from "../model/data/loki";
import type { JsonObject } from "../model/json";
import { levelFromText, levels, levelColor, type Level } from "../model/logs/level";
import { alignedGrid, intervalMs } from "../model/query/interval";
import { volumeQuery } from "../model/query/logql";
import { useIsDark } from "../state/scheme";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";

const options: JsonObject = { legend: { showLegend: true, displayMode: "list", placement: "bottom", calcs: ["sum"] }, tooltip: { mode: "multi" } };

const defaults: JsonObject = { unit: "short", custom: { drawStyle: "bars", fillOpacity: 80, lineWidth: 0, stacking: { mode: "normal" } } };

/** Levels are compared as levels: `30` and `INFO` count together. */
function byLevel(frames: readonly Frame[]): readonly Frame[] {
  const sums = new Map<Level, (number | null)[]>();
  for (const frame of frames) {
    for (const f of numberFields(frame)) {
      const level = levelFromText(f.labels?.["level"] ?? "") ?? levelFromText(f.labels?.["detected_level"] ?? "") ?? "unknown";
      const sum = sums.get(level) ?? f.values.map(() => 0);
      f.values.forEach((v, i) => (sum[i] = (sum[i] ?? 0) + (numberOf(v) ?? 0)));
      sums.set(level, sum);
    }
  }
  const time = timeField(frames[0] ?? { refId: "A", fields: [] });
  if (time === undefined) return [];
  return levels.filter((l) => sums.has(l)).map((level) => ({ refId: "A", kind: "series", fields: [time, { ...field(level, "number", sums.get(level) ?? []), sourceName: level }] }));
}

/** How many lines there were, by level, above the lines themselves. */
export function Volume({ source, query, time }: { source: DatasourceInfo; query: string; time: TimeState }) {
  const isDark = useIsDark();
  const stepMs = intervalMs({ range: time.range, maxDataPoints: 100, min: "1s" });
  const grid = alignedGrid(time.range, stepMs);
  const { data, error } = useLoad(`${source.uid} ${query} ${grid.startMs} ${grid.endMs} ${stepMs}`, async (signal) => {
    const answer = await lokiRange(source, { query: volumeQuery(query, stepMs / 1000), start: nanos(grid.startMs), end: nanos(grid.endMs), stepMs }, signal);
    return byLevel(lokiFrames(answer.data, { refId: "A", legendFormat: "__auto", format: "time_series" }, grid));
  });
  const results = useMemo((): readonly QueryResult[] => {
    return [{ plan: { kind: "unsupported", refId: "A", reason: "" }, frames: data ?? [], exemplars: [], warnings: [], tookMs: 0 }];
  }, [data]);
  const overrides = useMemo(() => levels.map((l) => ({ matcher: { id: "byName", options: l }, properties: [{ id: "color", value: { mode: "fixed", fixedColor: levelColor(l, isDark) } }] })), [isDark]);
  if (error !== undefined) return <p className="muted">The histogram could not be made: {error}</p>;
  return <QueryGraph title="Lines by level" results={results} time={time} height={140} defaults={defaults} options={options} overrides={overrides} />;
}
