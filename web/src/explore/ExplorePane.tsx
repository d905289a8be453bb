import { ActionIcon, Button, Menu, Select } from "@mantine/core";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { Icon } from "../components/Icon";
import { Empty, Loading } from "../components/Notes";
import { TimePicker } from "../components/TimePicker";
import { resolveDatasource } from "../model/dashboard/datasource";
import { isHidden, nextRefId, remember, type ExploreQuery, type Pane } from "../model/explore/url";
import { isMetricQuery } from "../model/query/logql";
import type { RawRange } from "../model/time/range";
import type { Scope } from "../model/variables/interpolate";
import { setParams, usePlace } from "../state/location";
import { useSession } from "../state/session";
import { useShortcuts } from "../state/shortcuts";
import { useStored } from "../state/stored";
import { useTimeOf } from "../state/time";
import { Logs } from "./Logs";
import { Metrics } from "./Metrics";
import { Traces } from "./Traces";

const MetricBrowser = lazy(() => import("./MetricBrowser").then((m) => ({ default: m.MetricBrowser })));
const ToDashboard = lazy(() => import("./ToDashboard").then((m) => ({ default: m.ToDashboard })));
const Builder = lazy(() => import("./Builder").then((m) => ({ default: m.Builder })));
const Editor = lazy(() => import("../editor/Editor").then((m) => ({ default: m.Editor })));

const refreshToUrl = (refresh: string) => setParams({ refresh }, "replace");
const zoneToUrl = (timezone: string) => setParams({ timezone });
const usable = new Set(["prometheus", "loki", "tempo"]);

interface Props {
  pane: Pane;
  onChange: (pane: Pane) => void;
  onSplit?: () => void;
  onClose?: () => void;
}

function readHistory(text: string): readonly string[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter((x): x is string => typeof x === "string") : [];
  } catch {
    return [];
  }
}

export function ExplorePane({ pane, onChange, onSplit, onClose }: Props) {
  const { sources, user } = useSession();
  const { params } = usePlace();
  const choices = sources.filter((s) => usable.has(s.type));
  const source = resolveDatasource(pane.datasource === "" ? null : { uid: pane.datasource }, choices)?.source;
  const setRaw = useCallback((range: RawRange) => onChange({ ...pane, range }), [onChange, pane]);
  const time = useTimeOf({ raw: pane.range, zone: params.get("timezone") ?? "browser", refresh: params.get("refresh") ?? "", setRaw, setRefresh: refreshToUrl, setZone: zoneToUrl });
  const [drafts, setDrafts] = useState<Readonly<Record<string, string>>>({});
  const [building, setBuilding] = useStored("explore.builder", "no");
  const [browsing, setBrowsing] = useState(false);
  const [placing, setPlacing] = useState(false);
  const [stored, store] = useStored(`history.${source?.type ?? ""}`, "[]");
  const history = readHistory(stored);
  const queries: readonly ExploreQuery[] = pane.queries.length > 0 ? pane.queries : [{ refId: "A", expr: "", rest: {} }];

  const put = (list: readonly ExploreQuery[]) => onChange({ ...pane, datasource: source?.uid ?? pane.datasource, queries: list });
  const run = (refId?: string, text?: string) => {
    const written = queries.map((q) => ({ ...q, expr: q.refId === refId ? (text ?? q.expr) : (drafts[q.refId] ?? q.expr) }));
    store(JSON.stringify(written.reduce((h, q) => remember(h, q.expr), history)));
    setDrafts({});
    put(written);
    time.refreshNow();
  };
  useShortcuts([{ keys: "Ctrl+Enter", what: "Run the queries", run: () => run() }]);
  const scope = useMemo((): Scope => ({ variables: [], own: {}, range: time.range, zone: time.zone, dashboard: { uid: "", title: "Explore" }, user: { login: user.login, id: String(user.id), email: user.email }, extra: {} }), [time.range, time.zone, user]);
  if (source === undefined) return <Empty title="There is no data source to explore">Metrics need one of the type prometheus, logs one of the type loki.</Empty>;
  const shown = queries.filter((q) => !isHidden(q));
  const traces = source.type === "tempo" ? shown.slice(0, 1) : [];
  const lines = source.type === "loki" ? shown.filter((q) => !isMetricQuery(q.expr)) : [];
  const numbers = source.type === "loki" ? shown.filter((q) => isMetricQuery(q.expr)) : source.type === "tempo" ? [] : shown;
  return (
    <section aria-label={`Explore ${source.name}`}>
      <div className="block-head">
        <Select size="sm" styles={{ input: { height: 32, minHeight: 32 } }} aria-label="Data source" data={choices.map((s) => ({ value: s.uid, label: s.name }))} value={source.uid} allowDeselect={false} w={170}
          onChange={(uid) => {
            setDrafts({});
            const to = choices.find((s) => s.uid === uid);
            // A query of one language says nothing in another.
            onChange({ ...pane, datasource: uid ?? source.uid, queries: to?.type === source.type ? pane.queries : [] });
          }}
        />
        <span style={{ flex: 1 }} />
        <TimePicker time={time}>
          <Button h={32} size="sm" leftSection={<Icon name="play" size={15} />} onClick={() => run()}>Run</Button>
          {onSplit !== undefined && <Button h={32} size="sm" variant="default" onClick={onSplit} className="wide-only">Split</Button>}
          {onClose !== undefined && <ActionIcon size={32} variant="default" aria-label="Close this side" onClick={onClose}><Icon name="close" size={16} /></ActionIcon>}
        </TimePicker>
      </div>
      {queries.map((q) => (
        <div key={q.refId}>
          <div className="query-row">
            <span className="query-ref">{q.refId}</span>
            <Suspense fallback={<div className="editor" style={{ height: 38 }} />}>
              <Editor value={drafts[q.refId] ?? q.expr} source={source} label={`Query ${q.refId}`} onRun={(text) => run(q.refId, text)} onChange={(text) => setDrafts((d) => ({ ...d, [q.refId]: text }))} />
            </Suspense>
            {queries.length > 1 && (
              <>
                <ActionIcon size={36} variant="subtle" color="gray" aria-label={isHidden(q) ? `Show query ${q.refId}` : `Hide query ${q.refId}`} aria-pressed={isHidden(q)} onClick={() => put(queries.map((o) => (o === q ? { ...o, rest: { ...o.rest, hide: !isHidden(o) } } : o)))}><Icon name="view" size={16} /></ActionIcon>
                <ActionIcon size={36} variant="subtle" color="gray" aria-label={`Remove query ${q.refId}`} onClick={() => put(queries.filter((o) => o !== q))}><Icon name="close" size={16} /></ActionIcon>
              </>
            )}
          </div>
          {building === "yes" && source.type !== "tempo" && (
            <Suspense fallback={null}>
              <Builder source={source} query={drafts[q.refId] ?? q.expr} onChange={(text) => setDrafts((d) => ({ ...d, [q.refId]: text }))} />
            </Suspense>
          )}
        </div>
      ))}
      <div className="page-actions" style={{ marginBottom: 12 }}>
        {source.type !== "tempo" && <Button size="compact-sm" variant={building === "yes" ? "light" : "default"} aria-pressed={building === "yes"} leftSection={<Icon name="settings" size={14} />} onClick={() => setBuilding(building === "yes" ? "no" : "yes")}>Builder</Button>}
        <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => put([...queries, { refId: nextRefId(queries), expr: "", rest: {} }])}>Add a query</Button>
        {source.type === "prometheus" && <Button size="compact-sm" variant="default" leftSection={<Icon name="list" size={14} />} onClick={() => setBrowsing(true)}>Metrics</Button>}
        <Menu position="bottom-start" width={520} disabled={history.length === 0}>
          <Menu.Target><Button size="compact-sm" variant="default" leftSection={<Icon name="clock" size={14} />} disabled={history.length === 0}>History</Button></Menu.Target>
          <Menu.Dropdown mah={320} style={{ overflowY: "auto", maxWidth: "92vw" }}>
            {history.map((h) => <Menu.Item key={h} onClick={() => run(queries[0]?.refId, h)}><span className="mono" style={{ overflowWrap: "anywhere" }}>{h}</span></Menu.Item>)}
          </Menu.Dropdown>
        </Menu>
        {user.role !== "Viewer" && <Button size="compact-sm" variant="default" leftSection={<Icon name="dashboards" size={14} />} disabled={shown.every((q) => q.expr.trim() === "")} onClick={() => setPlacing(true)}>To a dashboard</Button>}
      </div>
      {placing && (
        <Suspense fallback={null}>
          <ToDashboard source={source} queries={shown.filter((q) => q.expr.trim() !== "")} range={pane.range} onClose={() => setPlacing(false)} />
        </Suspense>
      )}
      {browsing && (
        <Suspense fallback={null}>
          <MetricBrowser source={source} range={time.range} onClose={() => setBrowsing(false)}
            onPick={(query) => {
              setBrowsing(false);
              // The first query that is still empty, else a new one.
              const free = queries.find((q) => (drafts[q.refId] ?? q.expr).trim() === "");
              if (free === undefined) put([...queries, { refId: nextRefId(queries), expr: query, rest: {} }]);
              else run(free.refId, query);
            }}
          />
        </Suspense>
      )}
      <Suspense fallback={<Loading what="the answer" />}>
        {traces.map((q) => <Traces key={q.refId} source={source} query={q.expr} time={time} scope={scope} onQuery={(expr) => run(q.refId, expr)} />)}
        {numbers.some((q) => q.expr.trim() !== "") || (lines.length === 0 && traces.length === 0) ? <Metrics source={source} queries={numbers} time={time} scope={scope} /> : null}
        {lines.map((q) => <Logs key={q.refId} source={source} query={q.expr} time={time} onQuery={(expr) => run(q.refId, expr)} />)}
      </Suspense>
    </section>
  );
}
