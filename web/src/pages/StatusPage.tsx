import { Select, Tabs, TextInput } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { configYaml, ruleGroups, statusOf, targets, tsdbStatus, type Target } from "../api/prometheus";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { humanDuration } from "../model/time/duration";
import { formatDateTime, fromNow } from "../model/time/format";
import { formatValue } from "../model/units/format";
import { setParams, usePlace } from "../state/location";
import { Discovery } from "../status/Discovery";
import { Limits } from "../status/Limits";
import { LogStore } from "../status/LogStore";
import { MetricCardinality } from "../status/Metric";
import { Queries } from "../status/Queries";
import { useSource } from "../state/session";
import { useLoad, type Loaded } from "../state/useLoad";
import { Chips } from "../components/Chips";

function Of<T>({ loaded, what, children }: { loaded: Loaded<T>; what: string; children: (data: T) => ReactNode }) {
  if (loaded.error !== undefined && loaded.data === undefined) return <ErrorNote title={`The ${what} could not be read`} text={loaded.error} onRetry={loaded.reload} />;
  if (loaded.data === undefined) return <Loading what={what} />;
  return children(loaded.data);
}

function Targets({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const [text, setText] = useState(params.get("search") ?? "");
  const [health, setHealth] = useState<string | null>(params.get("health"));
  const loaded = useLoad(source.uid, (signal) => targets(source, signal));
  return (
    <Of loaded={loaded} what="targets">
      {({ active, dropped }) => {
        const up = active.filter((t) => t.health === "up").length;
        const shown = active.filter((t) => (health === null || t.health === health) && `${t.pool} ${t.url} ${Object.values(t.labels).join(" ")}`.toLowerCase().includes(text.toLowerCase()));
        return (
          <>
            <div className="facts">
              <div className="fact"><b>{up}</b><span>up</span></div>
              <div className={active.length - up > 0 ? "fact bad" : "fact"}><b>{active.length - up}</b><span>not up</span></div>
              <div className="fact"><b>{dropped}</b><span>dropped by relabeling</span></div>
            </div>
            <div className="variables">
              <TextInput aria-label="Search targets" placeholder="Search targets" value={text} onChange={(e) => setText(e.currentTarget.value)} style={{ flex: 1 }} />
              <Select aria-label="Health" placeholder="Any health" data={["up", "down", "unknown"]} value={health} onChange={setHealth} clearable w={140} />
            </div>
            {shown.length > 0 && <TargetTable list={shown} />}
            {shown.length === 0 && <Empty title="No targets" />}
          </>
        );
      }}
    </Of>
  );
}

/** What is not up stands first: that is what a person comes for. */
function TargetTable({ list }: { list: readonly Target[] }) {
  const now = Date.now();
  const sorted = [...list].sort((a, b) => Number(a.health === "up") - Number(b.health === "up") || a.pool.localeCompare(b.pool) || a.url.localeCompare(b.url));
  return (
    <div className="block table-scroll" tabIndex={0} role="region" aria-label="Targets">
      <table className="data">
        <thead><tr><th>Health</th><th>Job</th><th>Endpoint</th><th className="num">Last scrape</th></tr></thead>
        <tbody>
          {sorted.map((t) => (
            <tr key={t.url + JSON.stringify(t.labels)}>
              <td><span className={`state ${t.health}`}>{t.health}</span></td>
              <td><strong>{t.pool}</strong></td>
              <td>
                <span className="mono">{t.url}</span> <Chips labels={t.labels} without={["instance", "job"]} />
                {t.lastError !== "" && <div className="panel-bad">{t.lastError}</div>}
              </td>
              <td className="num muted">{t.lastScrape.startsWith("0001") ? "not yet" : `${fromNow(Date.parse(t.lastScrape), now)}, ${humanDuration(t.lastScrapeS * 1000)}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Rules({ source }: { source: DatasourceInfo }) {
  const loaded = useLoad(source.uid, (signal) => ruleGroups(source, signal));
  return (
    <Of loaded={loaded} what="rules">
      {(groups) =>
        groups.length === 0 ? <Empty title="There are no rules" /> : groups.map((g) => (
          <div className="block" key={g.file + g.name}>
            <div className="block-head">
              <h2>{g.name}</h2>
              <span className="muted">every {humanDuration(g.intervalS * 1000)}, took {humanDuration(g.evaluationTimeS * 1000)}, {g.file}</span>
            </div>
            <div className="table-scroll">
              <table className="data">
                <tbody>
                  {g.rules.map((r) => (
                    <tr key={r.name + r.query}>
                      <td style={{ width: 100 }}><span className={`state ${r.health === "ok" ? "ok" : r.health === "err" ? "bad" : "unknown"}`}>{r.health}</span></td>
                      <td><strong>{r.name}</strong> <span className="muted">{r.kind}</span><div className="mono">{r.query}</div>{r.lastError !== "" && <div className="panel-bad">{r.lastError}</div>}</td>
                      <td className="num muted">{humanDuration(r.evaluationTimeS * 1000)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </div>
        ))
      }
    </Of>
  );
}

function Facts({ source }: { source: DatasourceInfo }) {
  const runtime = useLoad(`runtime ${source.uid}`, (signal) => statusOf(source, "runtimeinfo", signal));
  const build = useLoad(`build ${source.uid}`, (signal) => statusOf(source, "buildinfo", signal));
  const pairs = (list: readonly (readonly [string, string])[]) => (
    <dl className="pairs">
      {list.map(([k, v]) => <div key={k} style={{ display: "contents" }}><dt>{k}</dt><dd className="mono">{v}</dd></div>)}
    </dl>
  );
  return (
    <div className="two">
      <div className="block"><h2>Runtime</h2><Of loaded={runtime} what="runtime">{pairs}</Of></div>
      <div className="block"><h2>Build</h2><Of loaded={build} what="build">{pairs}</Of></div>
    </div>
  );
}

function Tsdb({ source }: { source: DatasourceInfo }) {
  const loaded = useLoad(source.uid, (signal) => tsdbStatus(source, signal));
  return (
    <Of loaded={loaded} what="store">
      {({ head, tables }) => (
        <>
          <div className="facts">
            <div className="fact"><b>{formatValue(head.series, "short")}</b><span>series in the head</span></div>
            <div className="fact"><b>{formatValue(head.chunks, "short")}</b><span>chunks</span></div>
            <div className="fact"><b>{formatValue(head.labelPairs, "short")}</b><span>label pairs</span></div>
            <div className="fact"><b>{head.maxTime > head.minTime ? humanDuration(head.maxTime - head.minTime) : "–"}</b><span>{head.maxTime > head.minTime ? `since ${formatDateTime(head.minTime, "browser")}` : "nothing yet"}</span></div>
          </div>
          <MetricCardinality source={source} />
          <div className="two">
            {tables.map((t) => (
              <div className="block" key={t.title}>
                <h2>{t.title}</h2>
                <table className="data"><tbody>{t.rows.map((r) => <tr key={r.name}><td className="mono" style={{ overflowWrap: "anywhere" }}>{t.title.startsWith("Metrics") ? <button type="button" className="as-link" onClick={() => setParams({ metric: r.name }, "replace")}>{r.name}</button> : r.name}</td><td className="num">{t.title.endsWith("memory") ? formatValue(r.value, "bytes") : r.value}</td></tr>)}</tbody></table>
              </div>
            ))}
          </div>
        </>
      )}
    </Of>
  );
}

function Configuration({ source }: { source: DatasourceInfo }) {
  const yaml = useLoad(`yaml ${source.uid}`, (signal) => configYaml(source, signal));
  return <Of loaded={yaml} what="configuration">{(text) => <pre className="code">{text}</pre>}</Of>;
}

function Flags({ source }: { source: DatasourceInfo }) {
  const flags = useLoad(`flags ${source.uid}`, (signal) => statusOf(source, "flags", signal));
  return <Of loaded={flags} what="flags">{(list) => <div className="table-scroll"><table className="data"><tbody>{list.map(([k, v]) => <tr key={k}><td className="mono">{k}</td><td className="mono">{v}</td></tr>)}</tbody></table></div>}</Of>;
}

const tabs = [
  ["targets", "Targets", Targets],
  ["service-discovery", "Discovery", Discovery],
  ["rules", "Rules", Rules],
  ["runtime", "Runtime", Facts],
  ["tsdb", "Store", Tsdb],
  ["logs", "Logs", LogStore],
  ["queries", "Queries", Queries],
  ["limits", "Limits", Limits],
  ["config", "Configuration", Configuration],
  ["flags", "Flags", Flags],
] as const;

export function StatusPage() {
  const { path } = usePlace();
  const source = useSource("prometheus");
  const { params } = usePlace();
  const wanted = params.get("tab") ?? (path.replace(/^\/status\/?/, "").replace(/^\/|-status$/g, "") || "targets");
  const tab = tabs.some(([id]) => id === wanted) ? wanted : "targets";
  return (
    <div className="page">
      <PageHead title="Status" />
      {source === undefined ? (
        <Empty title="There is no Prometheus data source" />
      ) : (
        <Tabs value={tab} onChange={(v) => setParams({ tab: v ?? undefined }, "replace")} keepMounted={false}>
          <Tabs.List mb="md">
            {tabs.map(([id, label]) => <Tabs.Tab key={id} value={id}>{label}</Tabs.Tab>)}
          </Tabs.List>
          {tabs.map(([id, , Page]) => <Tabs.Panel key={id} value={id}><Page source={source} /></Tabs.Panel>)}
        </Tabs>
      )}
    </div>
  );
}
