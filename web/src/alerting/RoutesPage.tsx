import { TextInput } from "@mantine/core";
import { useMemo } from "react";
import { parse } from "yaml";
import { amAlerts, amStatus } from "../api/alertmanager";
import { integrations } from "../api/receivers";
import { Chips } from "../components/Chips";
import { Empty } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatMatcher, fromLabels, matchesAll } from "../model/alerts/matchers";
import { flatten, groupOf, parseLabels, readRouting, routesFor, type Route, type Routing } from "../model/alerts/routing";
import { setParams, usePlace } from "../state/location";
import { useLoad } from "../state/useLoad";
import { AlertmanagerPage, MatcherChips, Of } from "./parts";

function read(yaml: string): Routing | undefined {
  try {
    return readRouting(parse(yaml, { maxAliasCount: 100 }));
  } catch {
    return undefined;
  }
}

function RouteLine({ route, counts, hit, on }: { route: Route; counts: ReadonlyMap<string, number>; hit: ReadonlySet<string>; on: ReadonlySet<string> }) {
  const here = hit.has(route.path);
  const count = counts.get(route.path) ?? 0;
  return (
    <li>
      <div className={here ? "route here" : on.has(route.path) ? "route on" : "route"} aria-current={here ? "true" : undefined}>
        <MatcherChips list={route.matchers} />
        {route.unread.map((text) => <span key={text} className="chip panel-bad">{text}: not understood</span>)}
        <span className="route-to">→ <strong>{route.receiver}</strong>{route.goesOn && <span className="muted"> and on</span>}</span>
        <span className="muted">
          {route.groupBy.length === 0 ? "one group" : route.groupBy.includes("...") ? "each alert alone" : `by ${route.groupBy.join(", ")}`}; waits {route.groupWait}, then every {route.groupInterval}, again after {route.repeatInterval}
          {route.muted.length > 0 && `; muted in ${route.muted.join(", ")}`}
          {route.active.length > 0 && `; only in ${route.active.join(", ")}`}
        </span>
        {count > 0 && <span className="chip">{count === 1 ? "1 alert now" : `${count} alerts now`}</span>}
      </div>
      {route.routes.length > 0 && <ul className="routes">{route.routes.map((r) => <RouteLine key={r.path} route={r} counts={counts} hit={hit} on={on} />)}</ul>}
    </li>
  );
}

function Answer({ routing, labels }: { routing: Routing; labels: Readonly<Record<string, string>> }) {
  const routes = routesFor(routing.root, labels);
  const muting = routing.inhibitions.filter((r) => matchesAll(r.target, labels));
  return (
    <section className="block" aria-label="Where this alert goes">
      {routes.map((r) => {
        const receiver = routing.receivers.find((x) => x.name === r.receiver);
        const group = groupOf(r, labels);
        return (
          <p key={r.path} style={{ margin: "4px 0" }}>
            To <strong>{r.receiver}</strong>
            {receiver !== undefined && <span className="muted"> ({receiver.kinds.length === 0 ? "nobody is told" : receiver.kinds.join(", ")})</span>}, in the group <Chips labels={Object.keys(group).length === 0 ? { "…": "all together" } : group} /> after {r.groupWait}.
          </p>
        );
      })}
      {muting.length > 0 && (
        <p className="muted" style={{ margin: "4px 0" }}>
          Muted while another alert fires: {muting.map((r, i) => <span key={i}>{i > 0 && "; "}{r.source.map(formatMatcher).join(", ")}{r.equal.length > 0 && ` with the same ${r.equal.join(", ")}`}</span>)}.
        </p>
      )}
    </section>
  );
}

function Tree({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const text = params.get("labels") ?? "";
  const labels = useMemo(() => parseLabels(text), [text]);
  const loaded = useLoad(source.uid, async (signal) => {
    const [status, alerts, own] = await Promise.all([amStatus(source, signal), amAlerts(source, signal), integrations(source, signal)]);
    return { routing: read(status.configYaml), alerts, yaml: status.configYaml, own };
  });
  return (
    <Of loaded={loaded} what="routes">
      {({ routing, alerts, yaml, own }) => {
        if (routing === undefined) return <Empty title="The configuration could not be read">{yaml.slice(0, 200)}</Empty>;
        const asked = Object.keys(labels).length > 0;
        const ends = asked ? routesFor(routing.root, labels) : [];
        const hit = new Set(ends.map((r) => r.path));
        const on = new Set(ends.flatMap((r) => r.path.split(".").map((_, i, all) => all.slice(0, i + 1).join("."))));
        const counts = new Map<string, number>();
        for (const a of alerts) for (const r of routesFor(routing.root, a.labels)) counts.set(r.path, (counts.get(r.path) ?? 0) + 1);
        return (
          <>
            <TextInput label="Where would an alert with these labels go?" placeholder='alertname="ServiceDown", service="wallet-service", severity="critical"' value={text} onChange={(e) => setParams({ labels: e.currentTarget.value || undefined }, "replace")} mb={6} error={text.trim() !== "" && !asked ? "Labels as name=value, separated by commas" : undefined} />
            {alerts.length > 0 && (
              <div className="tags" style={{ marginBottom: 10 }}>
                {[...new Map(alerts.map((a) => [a.labels["alertname"] ?? a.fingerprint, a])).values()].slice(0, 12).map((a) => (
                  <button key={a.fingerprint} type="button" className="tag" onClick={() => setParams({ labels: fromLabels(a.labels).map(formatMatcher).join(", ") }, "replace")}>{a.labels["alertname"]} {a.labels["service"] ?? ""}</button>
                ))}
              </div>
            )}
            {asked && <Answer routing={routing} labels={labels} />}
            <div className="block">
              <div className="block-head"><h2>Routes</h2><span className="muted">{flatten(routing.root).length} routes; the first that matches takes an alert</span></div>
              <ul className="routes top"><RouteLine route={routing.root} counts={counts} hit={hit} on={on} /></ul>
            </div>
            <div className="two">
              <div className="block">
                <h2>Receivers</h2>
                <table className="data"><tbody>{routing.receivers.map((r) => <tr key={r.name}><td><strong>{r.name}</strong></td><td className="muted">{r.kinds.length === 0 ? "tells nobody" : r.kinds.join(", ")}{own.filter((i) => i.receiver === r.name && i.disabled !== "").map((i) => <div key={`${i.kind} ${i.index}`} className="panel-warn">{i.kind} is switched off: {i.disabled}</div>)}</td></tr>)}</tbody></table>
              </div>
              <div className="block">
                <h2>Inhibition</h2>
                {routing.inhibitions.length === 0 && <p className="muted">No alert mutes another.</p>}
                {routing.inhibitions.map((r, i) => <div key={i} className="preview-line"><MatcherChips list={r.source} /> <span className="muted">mutes</span> <MatcherChips list={r.target} />{r.equal.length > 0 && <span className="muted"> with the same {r.equal.join(", ")}</span>}</div>)}
              </div>
            </div>
          </>
        );
      }}
    </Of>
  );
}

export const RoutesPage = () => <AlertmanagerPage>{(source) => <Tree source={source} />}</AlertmanagerPage>;
