import { ruleGroups, type Alert, type Rule } from "../api/prometheus";
import { Link } from "../components/Link";
import { activeAlerts, alertingRules, readableTemplate } from "../model/alerts/list";
import { matchesAll, parseMatchers } from "../model/alerts/matchers";
import { asBool, asNumber, asString, asStrings, at } from "../model/json";
import { fromNow } from "../model/time/format";
import { useSource } from "../state/session";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

interface Entry {
  rule: Rule;
  /** Absent: a rule that is quiet. */
  alert?: Alert;
}

const severities = ["critical", "error", "warning", "info"];
const severityOf = ({ rule, alert }: Entry) => (severities.indexOf((alert ?? rule).labels["severity"] ?? "") + severities.length + 1) % (severities.length + 1);
const since = (e: Entry) => (e.alert === undefined ? 0 : Date.parse(e.alert.activeAt));

/** The orders that Grafana numbers: by name up and down, by importance, by time down and up. */
const orders: Readonly<Record<number, (a: Entry, b: Entry) => number>> = {
  1: (a, b) => a.rule.name.localeCompare(b.rule.name),
  2: (a, b) => b.rule.name.localeCompare(a.rule.name),
  3: (a, b) => severityOf(a) - severityOf(b),
  4: (a, b) => since(a) - since(b),
  5: (a, b) => since(b) - since(a),
};

function Line({ entry: { rule, alert }, now }: { entry: Entry; now: number }) {
  const state = alert?.state ?? "inactive";
  return (
    <tr>
      <td><span className={`state ${state}`}>{state}</span></td>
      <td>
        <Link to="/alerting/list" params={new URLSearchParams({ search: rule.name })}>{rule.name}</Link>
        <div className="muted">{alert === undefined ? readableTemplate(rule.annotations["summary"] ?? "") : (alert.annotations["summary"] ?? "")}</div>
      </td>
      <td className="num muted">{alert === undefined ? "" : fromNow(Date.parse(alert.activeAt), now)}</td>
    </tr>
  );
}

export function AlertListPanel({ panel, range, text }: PanelProps) {
  const o = panel.options;
  const source = useSource("prometheus");
  const { data, error } = useLoad(source === undefined ? undefined : `${source.uid} ${range.to}`, (signal) => (source === undefined ? Promise.resolve([]) : ruleGroups(source, signal)));
  if (source === undefined) return <div className="panel-message">There is no Prometheus data source.</div>;
  if (error !== undefined && data === undefined) return <div className="panel-message panel-bad">{error}</div>;
  const name = text(asString(o["alertName"]), "text").toLowerCase();
  const folder = asString(at(o, "folder.title")).toLowerCase();
  const wanted = { firing: asBool(at(o, "stateFilter.firing"), true), pending: asBool(at(o, "stateFilter.pending"), true), inactive: asBool(at(o, "stateFilter.normal")), unknown: false };
  const matchers = parseMatchers(text(asString(o["alertInstanceLabelFilter"]), "text"));
  if (matchers === undefined) return <div className="panel-message panel-bad">The filter of labels cannot be read: write it as {'{severity="critical"}'}.</div>;
  const groups = folder === "" ? (data ?? []) : (data ?? []).filter((g) => g.file.toLowerCase().includes(folder));
  const active: readonly Entry[] = activeAlerts(groups).filter(({ alert }) => wanted[alert.state] && matchesAll(matchers, alert.labels));
  const quiet: readonly Entry[] = wanted.inactive && matchers.length === 0 ? alertingRules(groups).flatMap(({ rule }) => (rule.state === "inactive" ? [{ rule }] : [])) : [];
  const order = orders[asNumber(o["sortOrder"]) ?? 0];
  const found = [...active, ...quiet].filter(({ rule }) => rule.name.toLowerCase().includes(name));
  const list = order === undefined ? found : found.sort(order);
  if (o["viewMode"] === "stat") return <div className="panel-message"><b className="tile-value" style={{ fontSize: 44, color: list.some((e) => e.alert?.state === "firing") ? "var(--bad)" : "var(--good)" }}>{list.length}</b></div>;
  if (list.length === 0) return <div className="panel-message">{data === undefined ? "" : "No alerts"}</div>;
  const by = o["groupMode"] === "custom" ? asStrings(o["groupBy"]) : [];
  const parts = new Map<string, Entry[]>();
  for (const entry of list.slice(0, asNumber(o["maxItems"]) ?? 20)) {
    const key = by.map((label) => `${label}=${(entry.alert ?? entry.rule).labels[label] ?? ""}`).join(", ");
    parts.set(key, [...(parts.get(key) ?? []), entry]);
  }
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label="Alerts">
      <table className="data">
        {[...parts].map(([key, entries]) => (
          <tbody key={key}>
            {key !== "" && <tr><td colSpan={3} className="mono">{key}</td></tr>}
            {entries.map((entry, i) => <Line key={i} entry={entry} now={range.to} />)}
          </tbody>
        ))}
      </table>
    </div>
  );
}
