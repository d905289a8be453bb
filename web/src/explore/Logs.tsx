import { Button, Menu, Modal, SegmentedControl, Select, Switch } from "@mantine/core";
import { useCallback, useMemo, useState } from "react";
import { Icon } from "../components/Icon";
import { LogLines, type LogActions } from "../components/LogLines";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { save } from "../components/save";
import { explorePath } from "../dashboard/links";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import type { LogRow } from "../model/data/loki";
import { allFields, fieldStatistics, logsAsJson, logsAsText, type Dedup } from "../model/logs/view";
import { addFilter, addLineFilter, isMetricQuery, parserFor } from "../model/query/logql";
import { formatValue } from "../model/units/format";
import { useIsDark } from "../state/scheme";
import { useSource } from "../state/session";
import { useStored } from "../state/stored";
import type { TimeState } from "../state/time";
import { LogContext } from "./LogContext";
import { Patterns } from "./Patterns";
import { MOST_LINES, usePages } from "./usePages";
import { useTail } from "./useTail";
import { Volume } from "./Volume";

const dedups: readonly { value: Dedup; label: string }[] = [
  { value: "none", label: "All lines" },
  { value: "exact", label: "Fold equal lines" },
  { value: "numbers", label: "… but for numbers" },
  { value: "signature", label: "… but for words" },
];

function Statistics({ rows, name, onPick, onClose }: { rows: readonly LogRow[]; name: string; onPick: (value: string) => void; onClose: () => void }) {
  const s = fieldStatistics(rows, name);
  return (
    <Modal opened onClose={onClose} title={`Values of ${name}`}>
      <p className="muted">In {s.present} of the {rows.length} lines shown; {s.distinct} different values.</p>
      {s.top.map((v) => (
        <button key={v.value} type="button" className="range-option" onClick={() => onPick(v.value)} title="Only lines with this value">
          <span style={{ display: "flex", gap: 10 }}><span style={{ flex: 1, overflowWrap: "anywhere" }}>{v.value}</span><b>{v.count}</b><span className="muted">{Math.round(v.share * 100)}%</span></span>
          <span className="bar-track" style={{ height: 5 }}><span className="bar-fill" style={{ width: `${v.share * 100}%`, background: "var(--accent)" }} /></span>
        </button>
      ))}
    </Modal>
  );
}

export function Logs({ source, query, time, onQuery }: { source: DatasourceInfo; query: string; time: TimeState; onQuery: (query: string) => void }) {
  const isDark = useIsDark();
  const [wrap, setWrap] = useStored("logs.wrap", "no");
  const [pretty, setPretty] = useStored("logs.pretty", "no");
  const [readable, setReadable] = useStored("logs.readable", "yes");
  const [view, setView] = useState("lines");
  const [labels, setLabels] = useStored("logs.labels", "no");
  const [dedup, setDedup] = useStored("logs.dedup", "none");
  const [order, setOrder] = useStored("logs.order", "newest");
  const [live, setLive] = useState(false);
  const [paused, setPaused] = useState(false);
  const [counting, setCounting] = useState<string>();
  const [around, setAround] = useState<LogRow>();
  const newest = order === "newest";
  const pages = usePages(source, query, time.range, newest, live || query.trim() === "");
  const stop = useCallback(() => setLive(false), []);
  const tail = useTail(source, query, live, paused, stop);
  const rows = useMemo(() => (live ? tail.rows : (pages.rows ?? [])), [live, tail.rows, pages.rows]);
  const streamLabels = useMemo(() => new Set(rows.flatMap((r) => Object.keys(r.labels))), [rows]);
  const filter = useCallback(
    (name: string, operator: "=" | "!=", value: string, row: LogRow | undefined) => {
      // A field that the server has not seen yet is one that this app read out of the line.
      const ofLine = row !== undefined && row.labels[name] !== value && row.fields[name] !== value;
      if (!ofLine) return onQuery(addFilter(query, name, operator, value, streamLabels));
      // A parsed field that is called like a label gets this ending from the server.
      const key = row.labels[name] === undefined ? name : `${name}_extracted`;
      onQuery(addFilter(query, key, operator, value, new Set(), parserFor(row.line)));
    },
    [onQuery, query, streamLabels],
  );
  const tempo = useSource("tempo");
  const actions = useMemo(
    (): LogActions => ({
      filter,
      statistics: setCounting,
      // What the live tail sends does not tell the labels of the stream from the rest, so its stream cannot be asked for.
      ...(live ? {} : { context: setAround }),
      ...(tempo === undefined ? {} : { openTrace: (id) => window.location.assign(explorePath(tempo.uid, [{ refId: "A", expr: id }], time.raw)) }),
    }),
    [filter, live, tempo, time.raw],
  );
  if (query.trim() === "") return <Empty title="Write a query">A selector such as {'{service="wallet-service"}'}, then |= "text" to search.</Empty>;
  const name = `logs-${new Date(time.range.to).toISOString().slice(0, 19)}`;
  const toggle = (label: string, value: string, set: (v: string) => void) => <Switch size="xs" label={label} checked={value === "yes"} onChange={(e) => set(e.currentTarget.checked ? "yes" : "no")} />;
  return (
    <>
      {!live && !isMetricQuery(query) && <div className="block"><Volume source={source} query={query} time={time} /></div>}
      <div className="block">
        <div className="block-head">
          <h2 style={{ whiteSpace: "nowrap" }}>
            {live ? (paused ? "Live, held" : "Live") : "Lines"} <span className="muted">{rows.length}{!live && pages.bytesRead !== undefined ? `, ${formatValue(pages.bytesRead, "bytes")} read` : ""}</span>
          </h2>
          <SegmentedControl size="xs" aria-label="How the lines are shown" data={[{ value: "lines", label: "Lines" }, { value: "patterns", label: "Patterns" }]} value={view} onChange={setView} />
          <Menu>
            <Menu.Target><Button size="compact-sm" variant="default" leftSection={<Icon name="download" size={14} />}>Save</Button></Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => save(`${name}.txt`, "text/plain", logsAsText(rows))}>Text</Menu.Item>
              <Menu.Item onClick={() => save(`${name}.json`, "application/json", logsAsJson(rows))}>JSON</Menu.Item>
            </Menu.Dropdown>
          </Menu>
          {live && <Button size="compact-sm" variant="default" onClick={() => setPaused(!paused)}>{paused ? "Go on" : "Hold"}</Button>}
          <Button size="compact-sm" variant={live ? "filled" : "default"} leftSection={<Icon name={live ? "pause" : "play"} size={14} />} onClick={() => { setPaused(false); setLive(!live); }}>
            {live ? "Stop" : "Live"}
          </Button>
        </div>
        <div className="log-options">
          {toggle("Readable", readable, setReadable)}
          {toggle("Wrap", wrap, setWrap)}
          {toggle("Pretty JSON", pretty, setPretty)}
          {toggle("Labels", labels, setLabels)}
          <Select size="xs" w={170} aria-label="Repeated lines" data={[...dedups]} value={dedup} onChange={(v) => setDedup(v ?? "none")} allowDeselect={false} />
          {!live && <Select size="xs" w={130} aria-label="Order" data={[{ value: "newest", label: "Newest first" }, { value: "oldest", label: "Oldest first" }]} value={order} onChange={(v) => setOrder(v ?? "newest")} allowDeselect={false} />}
        </div>
        {tail.why !== undefined && <ErrorNote title="The live tail has stopped" text={tail.why} />}
        {pages.error !== undefined && !live && <ErrorNote title="The query failed" text={pages.error} onRetry={pages.reload} />}
        {!live && pages.rows === undefined && pages.loading && <Loading what="lines" />}
        {live && rows.length === 0 && <Empty title="Waiting for lines" />}
        {!live && pages.rows !== undefined && rows.length === 0 && pages.error === undefined && <Empty title="No lines">Nothing fits the query in this time range.</Empty>}
        {rows.length > 0 && view === "patterns" && <Patterns rows={rows} range={time.range} onPick={(text, operator) => { setView("lines"); onQuery(addLineFilter(query, operator, text)); }} />}
        {rows.length > 0 && view === "lines" && (
          <div style={{ height: "60vh" }}>
            <LogLines rows={rows} zone={time.zone} isDark={isDark} wrap={wrap === "yes"} pretty={pretty === "yes"} readable={readable === "yes"} showLabels={labels === "yes"} dedup={dedups.find((d) => d.value === dedup)?.value ?? "none"} actions={actions} {...(live || pages.more === undefined ? {} : { onEnd: pages.more })} />
          </div>
        )}
        {!live && pages.more !== undefined && <div className="table-foot"><Button size="compact-sm" variant="default" loading={pages.loadingMore} onClick={pages.more}>{newest ? "Older lines" : "Newer lines"}</Button></div>}
        {!live && rows.length >= MOST_LINES && <p className="muted">{formatValue(MOST_LINES, "locale")} lines are shown: narrow the time range for more.</p>}
      </div>
      {counting !== undefined && <Statistics rows={rows} name={counting} onPick={(v) => { filter(counting, "=", v, rows.find((r) => allFields(r)[counting] === v)); setCounting(undefined); }} onClose={() => setCounting(undefined)} />}
      {around !== undefined && <LogContext source={source} row={around} zone={time.zone} onClose={() => setAround(undefined)} />}
    </>
  );
}
