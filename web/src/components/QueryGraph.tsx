import { useMemo } from "react";
import type { QueryResult } from "../api/run";
import { applyFieldConfig } from "../model/data/fieldConfig";
import type { Panel } from "../model/dashboard/types";
import type { JsonObject } from "../model/json";
import { useSize } from "./useSize";
import { TimeSeriesPanel } from "../panels/TimeSeriesPanel";
import { useIsDark } from "../state/scheme";
import type { TimeState } from "../state/time";

export const panelOf = (title: string, defaults: JsonObject, options: JsonObject, overrides: readonly JsonObject[] = []): Panel => ({
  id: 0, key: title, type: "timeseries", title, description: "", grid: { x: 0, y: 0, w: 24, h: 8 }, datasource: null, targets: [], fieldConfig: { defaults, overrides },
  options, transformations: [], links: [], transparent: true, repeatDirection: "h", maxPerRow: 4, hideTimeOverride: true, scope: {}, raw: {},
});

/** A time series chart outside of dashboards: results of queries, a height, no more. */
export function QueryGraph({ title, results, time, height, defaults, options, overrides }: { title: string; results: readonly QueryResult[]; time: TimeState; height: number; defaults: JsonObject; options: JsonObject; overrides?: readonly JsonObject[] }) {
  const [ref, size] = useSize<HTMLDivElement>();
  const isDark = useIsDark();
  const panel = useMemo(() => panelOf(title, defaults, options, overrides), [title, defaults, options, overrides]);
  const frames = useMemo(() => applyFieldConfig(results.flatMap((r) => r.frames).filter((f) => f.kind === "series"), panel.fieldConfig), [results, panel]);
  const exemplars = useMemo(() => results.flatMap((r) => r.exemplars), [results]);
  return (
    <div ref={ref} style={{ height }}>
      {size.width > 0 && (
        <TimeSeriesPanel panel={panel} frames={frames} exemplars={exemplars} marks={[]} range={time.range} zone={time.zone} isDark={isDark} width={size.width} height={height} context={{ zone: time.zone, now: time.range.to }} onZoom={time.zoomTo} text={(t) => t} />
      )}
    </div>
  );
}
