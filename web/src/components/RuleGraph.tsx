import { useMemo } from "react";
import type { Rule } from "../api/prometheus";
import { runPlans } from "../api/run";
import { limitOf } from "../model/alerts/list";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { namedByDifference } from "../model/data/names";
import type { JsonObject } from "../model/json";
import { alignedGrid, intervalMs, safeStepMs } from "../model/query/interval";
import type { Plan } from "../model/query/plan";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";
import { QueryGraph } from "./QueryGraph";

const options: JsonObject = { legend: { showLegend: true, displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } };

/** What a rule watches, over time, with its limit as a line. */
export function RuleGraph({ rule, source, time }: { rule: Rule; source: DatasourceInfo; time: TimeState }) {
  const limit = useMemo(() => limitOf(rule.query), [rule.query]);
  const below = limit?.operator.startsWith("<") === true;
  const defaults = useMemo((): JsonObject => {
    if (limit === undefined) return { custom: { fillOpacity: 8 } };
    const steps = below ? [{ color: "red", value: null }, { color: "transparent", value: limit.limit }] : [{ color: "transparent", value: null }, { color: "red", value: limit.limit }];
    return { thresholds: { mode: "absolute", steps }, custom: { thresholdsStyle: { mode: /^[<>]/.test(limit.operator) ? "line+area" : "line" }, axisSoftMax: limit.limit, axisSoftMin: Math.min(0, limit.limit) } };
  }, [limit, below]);
  const plans = useMemo((): readonly Plan[] => {
    const stepMs = safeStepMs(intervalMs({ range: time.range, maxDataPoints: 400, min: "15s" }), time.range);
    const common = { refId: "A", source, expr: limit?.expr ?? rule.query, legendFormat: "__auto", ...alignedGrid(time.range, stepMs) };
    if (source.type === "loki") return [{ ...common, kind: "loki-range", isMetric: true, limit: 0, direction: "forward" }];
    return [{ ...common, kind: "prom-range", format: "time_series", exemplars: false }];
  }, [source, time.range, limit, rule.query]);
  const { data } = useLoad(JSON.stringify(plans), async (signal) => (await runPlans(plans, signal)).map((r) => ({ ...r, frames: namedByDifference(r.frames) })));
  if (data?.[0]?.error !== undefined) return <p className="panel-bad">{data[0].error}</p>;
  if (data !== undefined && data.every((r) => r.frames.length === 0)) return <p className="muted">The expression has no series in this time range.</p>;
  return <QueryGraph title={rule.name} results={data ?? []} time={time} height={220} defaults={defaults} options={options} />;
}
