import { useMemo } from "react";
import type { Rule } from "../api/prometheus";
import { runPlans } from "../api/run";
import { applyFieldConfig } from "../model/data/fieldConfig";
import { field, type Frame, type Labels } from "../model/data/frame";
import { tellingName } from "../model/data/names";
import { alignedGrid, intervalMs, safeStepMs } from "../model/query/interval";
import type { Plan } from "../model/query/plan";
import type { Range } from "../model/time/range";
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
  const lanes = new Map<string, { labels: Labels; times: Frame["fields"][number]; states: (string | null)[] }>();
  for (const frame of frames) {
    const value = frame.fields.find((f) => f.type === "number");
    const times = frame.fields[0];
    if (value === undefined || times === undefined) continue;
    const { alertname: _a, alertstate = "", __name__: _n, severity: _s, ...own } = value.labels ?? {};
    const key = JSON.stringify(Object.entries(own).sort());
    const lane = lanes.get(key) ?? { labels: own, times, states: value.values.map(() => null) };
    value.values.forEach((v, i) => {
      if (v !== null && lane.states[i] !== "firing") lane.states[i] = alertstate;
    });
    lanes.set(key, lane);
  }
  const nameOf = tellingName([...lanes.values()].map((l) => l.labels));
  return [...lanes.values()].map((l) => ({ refId: "A", kind: "series", fields: [l.times, { ...field("State", "string", l.states), sourceName: nameOf(l.labels) || "alert" }] }));
}

/** Lanes of pending and firing. */
export function StateLanes({ title, frames: raw, range, zone, onZoom }: { title: string; frames: readonly Frame[]; range: Range; zone: string; onZoom: (range: Range) => void }) {
  const isDark = useIsDark();
  const [ref, size] = useSize<HTMLDivElement>();
  const panel = useMemo(() => panelOf(title, { mappings }, { mergeValues: true }), [title]);
  const frames = useMemo(() => applyFieldConfig(raw, panel.fieldConfig), [raw, panel]);
  const height = Math.min(240, frames.length * 26 + 24);
  return (
    <div ref={ref} style={{ height }}>
      {size.width > 0 && <StateTimelinePanel panel={panel} frames={frames} exemplars={[]} marks={[]} range={range} zone={zone} isDark={isDark} width={size.width} height={height} context={{ zone, now: range.to }} onZoom={onZoom} text={(t) => t} />}
    </div>
  );
}

/** When the alerts of a rule were pending and firing. */
export function AlertHistory({ rule, time }: { rule: Rule; time: TimeState }) {
  const source = useSource("prometheus");
  const plans = useMemo((): readonly Plan[] => {
    if (source === undefined) return [];
    const stepMs = safeStepMs(intervalMs({ range: time.range, maxDataPoints: 400, min: "15s" }), time.range);
    return [{ kind: "prom-range", refId: "A", source, expr: `ALERTS{alertname=${JSON.stringify(rule.name)}}`, legendFormat: "__auto", format: "time_series", exemplars: false, ...alignedGrid(time.range, stepMs) }];
  }, [source, time.range, rule.name]);
  const { data } = useLoad(JSON.stringify(plans), (signal) => runPlans(plans, signal));
  const frames = useMemo(() => lanesOf((data ?? []).flatMap((r) => r.frames)), [data]);
  if (data === undefined) return null;
  if (frames.length === 0) return <p className="muted">It was neither pending nor firing in this time range.</p>;
  return <StateLanes title="History" frames={frames} range={time.range} zone={time.zone} onZoom={time.zoomTo} />;
}
