import { SegmentedControl } from "@mantine/core";
import { lazy, Suspense, useMemo } from "react";
import { runPlans, type QueryResult } from "../api/run";
import { NoData } from "../dashboard/NoData";
import { DataTable } from "../components/DataTable";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { panelOf, QueryGraph } from "../components/QueryGraph";
import { useSize } from "../components/useSize";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { applyFieldConfig } from "../model/data/fieldConfig";
import type { Frame } from "../model/data/frame";
import { bucketFrame, tableFrame } from "../model/data/prometheus";
import { asString, type JsonObject } from "../model/json";
import type { ExploreQuery } from "../model/explore/url";
import { planQueries } from "../model/query/plan";
import type { Scope } from "../model/variables/interpolate";
import { useIsDark } from "../state/scheme";
import { useSession } from "../state/session";
import { useStored } from "../state/stored";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";

const HeatmapPanel = lazy(() => import("../panels/HeatmapPanel").then((m) => ({ default: m.HeatmapPanel })));
const options: JsonObject = { legend: { showLegend: true, displayMode: "table", placement: "bottom", calcs: ["min", "mean", "max", "lastNotNull"] }, tooltip: { mode: "multi", sort: "desc" } };
const looks: Record<string, JsonObject> = {
  lines: { custom: { fillOpacity: 6, lineWidth: 1 } },
  stacked: { custom: { fillOpacity: 35, lineWidth: 1, stacking: { mode: "normal" } } },
  bars: { custom: { drawStyle: "bars", fillOpacity: 70 } },
  points: { custom: { drawStyle: "points", pointSize: 4 } },
  heatmap: {},
};

/** Buckets of a histogram over time, as a map of how much lies in each. */
function Buckets({ frames, time, isDark }: { frames: readonly Frame[]; time: TimeState; isDark: boolean }) {
  const [ref, size] = useSize<HTMLDivElement>();
  const panel = useMemo(() => ({ ...panelOf("Heatmap", {}, {}), type: "heatmap" }), []);
  return (
    <div ref={ref} style={{ height: 400 }}>
      {size.width > 0 && (
        <Suspense fallback={<Loading what="the heatmap" />}>
          <HeatmapPanel panel={panel} frames={frames} exemplars={[]} marks={[]} range={time.range} zone={time.zone} isDark={isDark} width={size.width} height={400} context={{ zone: time.zone, now: time.range.to }} onZoom={time.zoomTo} text={(t) => t} />
        </Suspense>
      )}
    </div>
  );
}

/** The series of each query that has the buckets of one histogram, as a frame of them. */
const bucketFrames = (results: readonly QueryResult[]): readonly Frame[] =>
  results.flatMap((r) => (r.frames.length > 0 && r.frames.every((f) => f.fields.some((x) => x.labels?.["le"] !== undefined)) ? [bucketFrame(r.frames, r.plan.refId)] : []));

/** The newest value of each series, as rows with a column a label. */
function instantTable(frames: readonly Frame[]): Frame {
  const rows = frames.flatMap((f) => {
    const value = f.fields.find((x) => x.type === "number");
    const index = value?.values.findLastIndex((v) => v !== null) ?? -1;
    if (value === undefined || index < 0) return [];
    return [{ labels: value.labels ?? {}, time: Number(f.fields[0]?.values[index]), value: Number(value.values[index]) }];
  });
  return tableFrame("A", rows);
}

export function Metrics({ source, queries, time, scope }: { source: DatasourceInfo; queries: readonly ExploreQuery[]; time: TimeState; scope: Scope }) {
  const { sources } = useSession();
  const isDark = useIsDark();
  const [look, setLook] = useStored("explore.look", "lines");
  const plans = useMemo(
    () =>
      planQueries({
        targets: queries.map((q) => ({ refId: q.refId, datasource: { uid: source.uid }, hide: q.rest["hide"] === true, raw: { ...q.rest, ...(source.type === "tempo" ? { query: q.expr } : {}), expr: q.expr, legendFormat: asString(q.rest["legendFormat"], "__auto"), exemplar: /histogram_quantile|_bucket/.test(q.expr), range: true, instant: false } })),
        panelDatasource: { uid: source.uid },
        sources,
        range: time.range,
        maxDataPoints: 1000,
        scope,
        filters: [],
      }).plans,
    [queries, source.uid, source.type, sources, time.range, scope],
  );
  const { data, loading, error } = useLoad(plans.length === 0 ? undefined : JSON.stringify(plans), (signal) => runPlans(plans, signal));
  const buckets = useMemo(() => (look === "heatmap" ? applyFieldConfig(bucketFrames(data ?? []), { defaults: {}, overrides: [] }) : []), [data, look]);
  const table = useMemo(() => instantTable((data ?? []).flatMap((r) => r.frames)), [data]);
  if (plans.length === 0) return <Empty title="Write a query">Names, labels and functions complete as you type; Enter runs it.</Empty>;
  if (error !== undefined) return <ErrorNote title="The query failed" text={error} />;
  if (data === undefined) return <Loading what="the answer" />;
  const errors = data.filter((r) => r.error !== undefined);
  const series = data.reduce((n, r) => n + r.frames.length, 0);
  const took = Math.max(0, ...data.map((r) => r.tookMs));
  return (
    <div aria-busy={loading}>
      {errors.map((r) => <ErrorNote key={r.plan.refId} title={`Query ${r.plan.refId} failed`} text={r.error ?? ""} />)}
      {series > 0 && (
        <>
          <div className="block">
            <div className="block-head">
              <h2>Graph</h2>
              <span className="muted">{series} series, {took} ms</span>
              <SegmentedControl size="xs" data={Object.keys(looks)} value={look} onChange={setLook} aria-label="How the graph is drawn" />
            </div>
            {look !== "heatmap" ? (
              <QueryGraph title="Graph" results={data} time={time} height={400} defaults={looks[look] ?? {}} options={options} />
            ) : buckets.length > 0 ? (
              <Buckets frames={buckets} time={time} isDark={isDark} />
            ) : (
              <Empty title="These series are no buckets">A heatmap needs the label le alone: sum by (le) (rate(…_bucket[$__rate_interval])).</Empty>
            )}
          </div>
          <div className="block">
            <div className="block-head"><h2>Newest values</h2></div>
            <div style={{ maxHeight: 420, display: "grid" }}>
              <DataTable frame={table} all={[table]} isDark={isDark} context={{ zone: time.zone, now: time.range.to }} />
            </div>
          </div>
        </>
      )}
      {series === 0 && errors.length === 0 && <div className="block" style={{ position: "relative", height: 120 }}><NoData results={data} /></div>}
    </div>
  );
}
