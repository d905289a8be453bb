import { SegmentedControl, TextInput } from "@mantine/core";
import { amGroups, type AmAlert, type AmGroup } from "../api/alertmanager";
import { Empty } from "../components/Notes";
import { Chips } from "../components/Chips";
import { Link } from "../components/Link";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatDateTime, fromNow } from "../model/time/format";
import { setParams, usePlace } from "../state/location";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";
import { AlertmanagerPage, Of, routeHref, silenceHref } from "./parts";

function stateOf(a: AmAlert): { word: string; look: string } {
  if (a.silencedBy.length > 0) return { word: "silenced", look: "unknown" };
  if (a.inhibitedBy.length > 0) return { word: "inhibited", look: "unknown" };
  return a.state === "unprocessed" ? { word: "new", look: "pending" } : { word: "active", look: "firing" };
}

function AlertRow({ alert, group, now }: { alert: AmAlert; group: AmGroup; now: number }) {
  const { word, look } = stateOf(alert);
  const without = Object.keys(group.labels);
  return (
    <tr>
      <td style={{ width: 100 }}><span className={`state ${look}`}>{word}</span></td>
      <td>
        {group.labels["alertname"] === undefined && <strong>{alert.labels["alertname"]} </strong>}
        <Chips labels={alert.labels} without={[...without, "alertname"]} />
        <div className="muted">{alert.annotations["summary"] ?? alert.annotations["description"] ?? ""}</div>
        {alert.silencedBy.length > 0 && <div className="muted">Silenced by {alert.silencedBy.map((id) => <Link key={id} to="/alerting/silences" params={new URLSearchParams({ search: id })}>{id.slice(0, 8)}</Link>)}</div>}
      </td>
      <td className="num muted" title={formatDateTime(Date.parse(alert.startsAt), "browser")}>{fromNow(Date.parse(alert.startsAt), now)}</td>
      <td className="num">
        <span className="chips" style={{ justifyContent: "flex-end" }}>
          <Link to="/alerting/list" params={new URLSearchParams({ search: alert.labels["alertname"] ?? "" })} className="tag">Rule</Link>
          <a className="tag" href={routeHref(alert.labels)}>Route</a>
          <a className="tag" href={silenceHref(alert.labels)}>Silence</a>
        </span>
      </td>
    </tr>
  );
}

function Groups({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const tick = useEvery(15_000);
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) => amGroups(source, signal));
  const text = (params.get("search") ?? "").toLowerCase();
  const show = params.get("show") ?? "all";
  const now = Date.now();
  return (
    <Of loaded={loaded} what="alerts">
      {(groups) => {
        const all = groups.flatMap((g) => g.alerts);
        const unique = new Map(all.map((a) => [a.fingerprint, a]));
        const active = [...unique.values()].filter((a) => a.state === "active").length;
        const fits = (a: AmAlert) => (show === "all" || (show === "active") === (a.silencedBy.length + a.inhibitedBy.length === 0)) && JSON.stringify([a.labels, a.annotations]).toLowerCase().includes(text);
        const shown = groups.map((g) => ({ ...g, alerts: g.alerts.filter(fits) })).filter((g) => g.alerts.length > 0);
        return (
          <>
            <div className="facts">
              <div className={active > 0 ? "fact bad" : "fact"}><b>{active}</b><span>active</span></div>
              <div className="fact"><b>{[...unique.values()].filter((a) => a.silencedBy.length > 0).length}</b><span>silenced</span></div>
              <div className="fact"><b>{[...unique.values()].filter((a) => a.inhibitedBy.length > 0).length}</b><span>inhibited</span></div>
              <div className="fact"><b>{groups.length}</b><span>groups</span></div>
            </div>
            <div className="variables">
              <TextInput aria-label="Search alerts" placeholder="Search labels and texts" defaultValue={text} onChange={(e) => setParams({ search: e.currentTarget.value || undefined }, "replace")} style={{ flex: "1 1 240px" }} />
              <SegmentedControl aria-label="Which alerts" data={[{ value: "all", label: "All" }, { value: "active", label: "Active" }, { value: "muted", label: "Muted" }]} value={show} onChange={(v) => setParams({ show: v }, "replace")} />
            </div>
            {shown.map((g) => (
              <section className="block" key={JSON.stringify([g.labels, g.receiver])} aria-label={`Group ${JSON.stringify(g.labels)}`}>
                <div className="block-head">
                  <Chips labels={g.labels} />
                  <span style={{ flex: 1 }} className="muted">{Object.keys(g.labels).length === 0 && "not grouped"} to <strong>{g.receiver}</strong></span>
                  <a className="tag" href={silenceHref(g.labels)}>Silence the group</a>
                </div>
                <div className="table-scroll">
                  <table className="data"><tbody>{g.alerts.map((a) => <AlertRow key={a.fingerprint} alert={a} group={g} now={now} />)}</tbody></table>
                </div>
              </section>
            ))}
            {shown.length === 0 && <Empty title={groups.length === 0 ? "No alerts" : "No alert fits the filters"}>{groups.length === 0 ? "Alertmanager holds none: nothing fires." : undefined}</Empty>}
          </>
        );
      }}
    </Of>
  );
}

export const GroupsPage = () => <AlertmanagerPage>{(source) => <Groups source={source} />}</AlertmanagerPage>;
