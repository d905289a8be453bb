import { storedAnnotations } from "../api/grafana";
import { lokiRange, nanos } from "../api/loki";
import { queryRange } from "../api/prometheus";
import { cssColor } from "../model/color/named";
import { eventsOfSeries, isEnabled, type Event } from "../model/dashboard/annotations";
import { resolveDatasource, specialOf, type DatasourceInfo } from "../model/dashboard/datasource";
import type { Annotation, Dashboard } from "../model/dashboard/types";
import { logRows } from "../model/data/loki";
import { legendName } from "../model/data/names";
import { asNumber, asString, asStrings, at } from "../model/json";
import { alignedGrid, intervalMs, safeStepMs } from "../model/query/interval";
import { interpolate, type Scope } from "../model/variables/interpolate";
import type { Mark } from "../panels/types";
import { useIsDark } from "../state/scheme";
import { useSession } from "../state/session";
import { useLoad } from "../state/useLoad";

async function eventsOf(a: Annotation, scope: Scope, sources: readonly DatasourceInfo[], signal: AbortSignal): Promise<readonly Event[]> {
  const { range } = scope;
  if (a.builtIn || specialOf(a.datasource) === "grafana") {
    const byTags = a.raw["type"] === "tags" || at(a.raw, "target.type") === "tags";
    const tags = asStrings(a.raw["tags"] ?? at(a.raw, "target.tags"));
    const stored = await storedAnnotations({ from: range.from, to: range.to, limit: 100, ...(byTags ? { tags } : { dashboardUID: scope.dashboard.uid }) }, signal);
    return stored.map((s) => ({ from: s.timeMs, to: s.timeEndMs, title: s.tags.join(", "), text: s.text }));
  }
  const found = resolveDatasource(a.datasource, sources);
  const expr = interpolate(asString(a.raw["expr"] ?? at(a.raw, "target.expr")), scope, "labels");
  if (found === undefined || expr === "") return [];
  if (found.source.type === "loki") {
    const { data } = await lokiRange(found.source, { query: expr, start: nanos(range.from), end: nanos(range.to), limit: asNumber(a.raw["maxLines"]) ?? 100 }, signal);
    if (data.resultType !== "streams") return [];
    return logRows(data.result).map((r) => ({ from: r.timeMs, to: r.timeMs, title: legendName(asString(a.raw["titleFormat"]), { ...r.labels, ...r.fields }), text: r.line.slice(0, 300) }));
  }
  const stepMs = safeStepMs(intervalMs({ range, maxDataPoints: 500, min: asString(a.raw["step"]) || "15s" }), range);
  const grid = alignedGrid(range, stepMs);
  const { data } = await queryRange(found.source, expr, grid.startMs, grid.endMs, stepMs, signal);
  return data.resultType === "matrix" ? eventsOfSeries(data.result, a.raw, stepMs) : [];
}

const none: readonly Mark[] = [];
const builtIn: Annotation = { name: "Remarks", enable: true, hide: true, builtIn: true, iconColor: "blue", datasource: { uid: "-- Grafana --" }, raw: { enable: true, type: "dashboard" } };

/** The marks of all annotations that are switched on. One that fails marks nothing; the charts matter more. */
export function useMarks(dashboard: Dashboard, scope: Scope, ready: boolean, off: Readonly<Record<string, boolean>>): { marks: readonly Mark[]; reload: () => void } {
  const { sources } = useSession();
  const isDark = useIsDark();
  // People's remarks are shown, whether or not the dashboard's file says so.
  const all = dashboard.annotations.some((a) => a.builtIn) || dashboard.uid === "" ? dashboard.annotations : [...dashboard.annotations, builtIn];
  const wanted = all.filter((a) => isEnabled(a.raw, off[a.name]));
  const variables = scope.variables.map((s) => s.selected.map((o) => o.value).join());
  const key = ready && wanted.length > 0 ? JSON.stringify([wanted.map((a) => a.name), scope.range, variables, isDark]) : undefined;
  const { data, reload } = useLoad(key, async (signal) => {
    const lists = await Promise.all(
      wanted.map(async (a) => (await eventsOf(a, scope, sources, signal).catch(() => [])).map((e): Mark => ({ ...e, title: e.title || a.name, color: cssColor(a.iconColor, isDark) }))),
    );
    return lists.flat();
  });
  return { marks: wanted.length === 0 ? none : (data ?? none), reload };
}
