import { Select, TextInput } from "@mantine/core";
import { lazy, Suspense, useRef, useState } from "react";
import { ruleGroups, type Alert, type AlertState } from "../api/prometheus";
import { AlertingNav } from "../alerting/AlertingNav";
import { routeHref, silenceHref } from "../alerting/parts";
import { Chips } from "../components/Chips";
import { Icon } from "../components/Icon";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import { TimePicker } from "../components/TimePicker";
import { AlertHistory } from "../components/AlertHistory";
import { RuleGraph } from "../components/RuleGraph";
import { explorePath } from "../dashboard/links";
import { alertingRules, countStates, filterRules, readableTemplate, type Listed } from "../model/alerts/list";
import { humanDuration } from "../model/time/duration";
import { formatDateTime, fromNow } from "../model/time/format";
import { fixedText } from "../model/units/format";
import { setParams, usePlace } from "../state/location";
import { useSession, useSource } from "../state/session";
import { useShortcuts } from "../state/shortcuts";
import { useTime, type TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";

const Backtest = lazy(() => import("../alerting/Backtest").then((m) => ({ default: m.Backtest })));

const defaults = { time: { from: "now-1h", to: "now" }, refresh: "15s", zone: "browser" };
const states: readonly AlertState[] = ["firing", "pending", "inactive", "unknown"];

function Alerts({ alerts, zone, now }: { alerts: readonly Alert[]; zone: string; now: number }) {
  return (
    <div className="table-scroll">
      <table className="data">
        <thead>
          <tr>
            <th>State</th>
            <th>Labels</th>
            <th>Since</th>
            <th className="num">Value</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {alerts.map((a, i) => (
            <tr key={i}>
              <td>
                <span className={`state ${a.state}`}>{a.state}</span>
              </td>
              <td>
                <Chips labels={a.labels} without={["alertname"]} />
                <div className="muted">{a.annotations["summary"] ?? a.annotations["description"] ?? ""}</div>
              </td>
              <td style={{ whiteSpace: "nowrap" }} title={formatDateTime(Date.parse(a.activeAt), zone)}>{fromNow(Date.parse(a.activeAt), now)}</td>
              <td className="num">{Number.isFinite(Number(a.value)) ? fixedText(Number(a.value)) : a.value}</td>
              <td className="num">
                <span className="chips" style={{ justifyContent: "flex-end" }}>
                  <a className="tag" href={routeHref(a.labels)}>Route</a>
                  <a className="tag" href={silenceHref(a.labels)}>Silence</a>
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RuleRow({ listed, time }: { listed: Listed; time: TimeState }) {
  const { rule, group } = listed;
  const { sources } = useSession();
  const source = sources.find((s) => s.uid === group.sourceUid);
  const [open, setOpen] = useState(false);
  const [trying, setTrying] = useState(false);
  const summary = rule.alerts[0]?.annotations["summary"] ?? readableTemplate(rule.annotations["summary"] ?? "");
  return (
    <details className="rule" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>
        <span className={`state ${rule.state}`}>{rule.state}</span>
        <span>
          <strong>{rule.name}</strong> <span className="muted">{summary}</span>
        </span>
        <span className="chips wide-only">
          {rule.alerts.length > 0 && <span className="chip">{rule.alerts.length} active</span>}
          <Chips labels={rule.labels} />
        </span>
      </summary>
      {open && (
        <div className="rule-body">
          {rule.lastError !== "" && <ErrorNote title="The last evaluation failed" text={rule.lastError} />}
          <pre className="code">{rule.query}</pre>
          {source !== undefined && <RuleGraph rule={rule} source={source} time={time} />}
          <AlertHistory rule={rule} time={time} />
          {rule.alerts.length > 0 && <Alerts alerts={rule.alerts} zone={time.zone} now={time.range.to} />}
          <dl className="pairs">
            <dt>Held for</dt>
            <dd>{humanDuration(rule.durationS * 1000)} before it fires</dd>
            {rule.annotations["description"] !== undefined && (
              <>
                <dt>Description</dt>
                <dd>{readableTemplate(rule.annotations["description"])}</dd>
              </>
            )}
            {rule.annotations["runbook_url"] !== undefined && (
              <>
                <dt>Runbook</dt>
                <dd>{rule.annotations["runbook_url"]}</dd>
              </>
            )}
            <dt>Group</dt>
            <dd>
              {group.name}, every {humanDuration(group.intervalS * 1000)}, from {group.file}
            </dd>
            <dt>Evaluated</dt>
            <dd>
              {fromNow(Date.parse(rule.lastEvaluation), time.range.to)}, in {humanDuration(rule.evaluationTimeS * 1000)}
            </dd>
          </dl>
          <div className="chips">
            <a className="tag" href={explorePath(group.sourceUid, [{ refId: "A", expr: rule.query }], time.raw)}>Explore this expression</a>
            {source !== undefined && <button type="button" className="tag" aria-expanded={trying} onClick={() => setTrying(!trying)}>Change it and try it on past data</button>}
          </div>
          {trying && source !== undefined && <Suspense fallback={<Loading what="the back-test" />}><Backtest rule={rule} intervalS={group.intervalS} source={source} time={time} /></Suspense>}
        </div>
      )}
    </details>
  );
}

export function AlertsPage() {
  const source = useSource("prometheus");
  const loki = useSource("loki");
  const time = useTime(defaults);
  const { params } = usePlace();
  const input = useRef<HTMLInputElement>(null);
  const { data, error, loading, reload } = useLoad(source === undefined ? undefined : `${source.uid} ${time.range.to}`, async (signal) => {
    // Rules of logs are an extra: without them those of metrics are shown all the same.
    const [metrics, logs] = await Promise.all([source === undefined ? [] : ruleGroups(source, signal), loki === undefined ? [] : ruleGroups(loki, signal).catch(() => [])]);
    return [...metrics, ...logs];
  });
  useShortcuts([{ keys: "/", what: "Search alerts", run: () => input.current?.focus() }]);
  const state = states.find((s) => s === params.get("state")) ?? "";
  const filter = { text: params.get("search") ?? "", state, severity: params.get("severity") ?? "" } as const;
  const groups = data ?? [];
  const counts = countStates(groups);
  const all = alertingRules(groups);
  const shown = filterRules(all, filter);
  const severities = [...new Set(all.flatMap(({ rule }) => rule.labels["severity"] ?? []))].sort();
  const set = (key: string, value: string | null) => setParams({ [key]: value === null || value === "" ? undefined : value }, "replace");
  return (
    <div className="page">
      <PageHead title="Alerts">
        <TimePicker time={time} />
      </PageHead>
      <AlertingNav />
      {source === undefined && <Empty title="There is no Prometheus data source" />}
      {error !== undefined && <ErrorNote title="The rules could not be read" text={error} onRetry={reload} />}
      {data === undefined && loading && <Loading what="the rules" />}
      {data !== undefined && source !== undefined && (
        <>
          <div className="facts">
            {(["firing", "pending", "inactive"] as const).map((s) => (
              <button key={s} type="button" className={`fact ${counts[s] > 0 && s === "firing" ? "bad" : counts[s] > 0 && s === "pending" ? "pending" : ""}`} style={{ textAlign: "left", cursor: "pointer", font: "inherit", color: "inherit" }} aria-pressed={state === s} onClick={() => set("state", state === s ? null : s)}>
                <b>{counts[s]}</b>
                <span>{s === "inactive" ? "quiet" : s}</span>
              </button>
            ))}
          </div>
          <div className="variables">
            <TextInput ref={input} aria-label="Search alerts" placeholder="Search names, labels, expressions  /" leftSection={<Icon name="search" size={16} />} defaultValue={filter.text} onChange={(e) => set("search", e.currentTarget.value)} style={{ flex: "1 1 240px" }} />
            <Select aria-label="State" placeholder="Any state" data={[...states]} value={filter.state === "" ? null : filter.state} onChange={(v) => set("state", v)} clearable w={140} />
            <Select aria-label="Severity" placeholder="Any severity" data={severities} value={filter.severity === "" ? null : filter.severity} onChange={(v) => set("severity", v)} clearable w={150} />
          </div>
          <div className="block" style={{ padding: 0 }}>
            {shown.map((l) => (
              <RuleRow key={`${l.group.sourceUid} ${l.group.file} ${l.group.name} ${l.rule.name} ${l.rule.query}`} listed={l} time={time} />
            ))}
            {shown.length === 0 && <Empty title={all.length === 0 ? "There are no alerting rules" : "No rule fits the filters"} />}
          </div>
        </>
      )}
    </div>
  );
}
