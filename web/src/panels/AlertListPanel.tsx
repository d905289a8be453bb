import { ruleGroups } from "../api/prometheus";
import { Link } from "../components/Link";
import { activeAlerts } from "../model/alerts/list";
import { asBool, asNumber, asString, at } from "../model/json";
import { fromNow } from "../model/time/format";
import { useSource } from "../state/session";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

export function AlertListPanel({ panel, range, text }: PanelProps) {
  const o = panel.options;
  const source = useSource("prometheus");
  const { data, error } = useLoad(source === undefined ? undefined : `${source.uid} ${range.to}`, (signal) => (source === undefined ? Promise.resolve([]) : ruleGroups(source, signal)));
  if (source === undefined) return <div className="panel-message">There is no Prometheus data source.</div>;
  if (error !== undefined && data === undefined) return <div className="panel-message panel-bad">{error}</div>;
  const name = text(asString(o["alertName"]), "text").toLowerCase();
  const wanted = { firing: asBool(at(o, "stateFilter.firing"), true), pending: asBool(at(o, "stateFilter.pending"), true), inactive: asBool(at(o, "stateFilter.normal")), unknown: false };
  const list = activeAlerts(data ?? []).filter(({ alert, rule }) => wanted[alert.state] && rule.name.toLowerCase().includes(name));
  if (list.length === 0) return <div className="panel-message">{data === undefined ? "" : "No alerts"}</div>;
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label="Alerts">
      <table className="data">
        <tbody>
          {list.slice(0, asNumber(o["maxItems"]) ?? 20).map(({ alert, rule }, i) => (
            <tr key={i}>
              <td>
                <span className={`state ${alert.state}`}>{alert.state}</span>
              </td>
              <td>
                <Link to="/alerting/list" params={new URLSearchParams({ search: rule.name })}>
                  {rule.name}
                </Link>
                <div className="muted">{alert.annotations["summary"] ?? ""}</div>
              </td>
              <td className="num muted">{fromNow(Date.parse(alert.activeAt), range.to)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
