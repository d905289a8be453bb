import { useMemo } from "react";
import type { Rule } from "../api/prometheus";
import { runPlans } from "../api/run";
import { applyFieldConfig } from "../model/data/fieldConfig";
import { field, type Frame } from "../model/data/frame";
import { alignedGrid, intervalMs, safeStepMs } from "../model/query/interval";
import type { Plan } from "../model/query/plan";
import { StateTimelinePanel } from "../panels/StatePanel";
import { useIsDark } from "../state/scheme";
import { useSource } from "../state/session";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";
import { panelOf } from "./QueryGraph";
import { useSize } from "./useSize";

const mappings = [{ type: "value", options: { firing: { color: "red" }, pending: { color: "orange" } } }];

/** One lane an alert: its firing and pending series of `ALERTS`, laid together. */
export function lanesOf(frames: readonly Frame[]): readonly Frame[] {
  const lanes = new Map<string, { times: Frame["fields"][number]; states: (string | null)[] }>();
  for (const frame of frames) {
    const value = frame.fields.find((f) => f.type === "number");
    const times = frame.fields[0];
    if (value === undefined || times === undefined) continue;
    const { alertname: _a, alertstate = "", __name__: _n, severity: _s, ...own } = value.labels ?? {};
    const name = Object.values(own).join(" ") || "alert";
    const lane = lanes.get(name) ?? { times, states: value.values.map(() => null) };
    value.values.forEach((v, i) => {
      if (v !== null && lane.states[i] !== "firing") lane.states[i] = alertstate;
    });
    lanes.set(name, lane);
  }
  return [...lanes].map(([name, l]) => ({ refId: "A", kind: "series", fields: [l.times, { ...field(name, "string", l.states), sourceName: name }] }));
}

/** When the alerts of a rule were pending and firing. */
export function AlertHistory({ rule, time }: { rule: Rule; time: TimeState }) {
  const source = useSource("prometheus");
  const isDark = useIsDark();
  const [ref, size] = useSize<HTMLDivElement>();
  const plans = useMemo((): readonly Plan[] => {
    if (source === undefined) return [];
    const stepMs = safeStepMs(intervalMs({ range: time.range, maxDataPoints: 400, min: "15s" }), time.range);
    return [{ kind: "prom-range", refId: "A", source, expr: `ALERTS{alertname=${JSON.stringify(rule.name)}}`, legendFormat: "__auto", format: "time_series", exemplars: false, ...alignedGrid(time.range, stepMs) }];
  }, [source, time.range, rule.name]);
  const { data } = useLoad(JSON.stringify(plans), (signal) => runPlans(plans, signal));
  const panel = useMemo(() => panelOf("History", { mappings }, { mergeValues: true }), []);
  const frames = useMemo(() => applyFieldConfig(lanesOf((data ?? []).flatMap((r) => r.frames)), panel.fieldConfig), [data, panel]);
  if (data === undefined) return null;
  if (frames.length === 0) return <p className="muted">It was neither pending nor firing in this time range.</p>;
  const height = Math.min(240, frames.length * 26 + 24);
  return (
    <div ref={ref} style={{ height }}>
      {size.width > 0 && <StateTimelinePanel panel={panel} frames={frames} exemplars={[]} marks={[]} range={time.range} zone={time.zone} isDark={isDark} width={size.width} height={height} context={{ zone: time.zone, now: time.range.to }} onZoom={time.zoomTo} text={(t) => t} />}
    </div>
  );
}
