import { storedAnnotations } from "../api/grafana";
import { useDashboard } from "../dashboard/context";
import { asBool, asNumber, asStrings } from "../model/json";
import { formatDateTime } from "../model/time/format";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

/** Annotations that people and scripts have stored, the newest first. */
export function AnnotationListPanel({ panel, range, zone }: PanelProps) {
  const { dashboard } = useDashboard();
  const o = panel.options;
  const tags = asStrings(o["tags"]);
  const limit = asNumber(o["limit"]) ?? 10;
  const here = asBool(o["onlyFromThisDashboard"]);
  // Steps of ten seconds, so that each refresh need not ask.
  const to = Math.ceil(range.to / 10_000) * 10_000;
  const { data, error } = useLoad(JSON.stringify([range.from, to, tags, limit, here]), (signal) => storedAnnotations({ from: asBool(o["onlyInTimeRange"]) ? range.from : 0, to, limit, ...(tags.length === 0 ? {} : { tags }), ...(here ? { dashboardUID: dashboard.uid } : {}) }, signal));
  if (error !== undefined) return <div className="panel-message panel-bad">{error}</div>;
  if (data === undefined) return null;
  if (data.length === 0) return <div className="panel-message">There are no annotations.</div>;
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={panel.title || "Annotations"}>
      <table className="data">
        <tbody>
          {[...data].sort((a, b) => b.timeMs - a.timeMs).map((a) => (
            <tr key={a.id}>
              <td>{a.text}{a.tags.map((t) => <span key={t} className="chip" style={{ marginLeft: 6 }}>{t}</span>)}</td>
              <td className="num muted">{formatDateTime(a.timeMs, zone)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
