import { SegmentedControl } from "@mantine/core";
import { searchTraces } from "../api/tempo";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatDateTimeMs } from "../model/time/format";
import { traceIdFrom } from "../model/traces/trace";
import { formatValue } from "../model/units/format";
import type { TimeState } from "../state/time";
import { useStored } from "../state/stored";
import { useLoad } from "../state/useLoad";
import { isTraceMetrics } from "../model/query/traceql";
import type { Scope } from "../model/variables/interpolate";
import { Metrics } from "./Metrics";
import { ServiceMap } from "./ServiceMap";
import { TraceSearch } from "./TraceSearch";
import { OneTrace } from "./OneTrace";

/** Traces by a TraceQL query, numbers where it makes them, or one trace by its id; with a form and the map of services above. */
export function Traces({ source, query, time, scope, onQuery }: { source: DatasourceInfo; query: string; time: TimeState; scope: Scope; onQuery: (query: string) => void }) {
  const [tool, setTool] = useStored("traces.tool", "form");
  const one = traceIdFrom(query) !== undefined;
  return (
    <>
      {!one && <div className="page-actions" style={{ margin: "0 0 10px" }}>
        <SegmentedControl size="xs" aria-label="Beside the query" data={[{ value: "form", label: "Search form" }, { value: "map", label: "Service map" }, { value: "none", label: "Query only" }]} value={tool} onChange={setTool} />
      </div>}
      {tool === "form" && !one && <TraceSearch source={source} onQuery={onQuery} />}
      {tool === "map" && !one && <ServiceMap source={source} time={time} onQuery={(q) => { setTool("form"); onQuery(q); }} />}
      {(tool !== "map" || one) && (isTraceMetrics(query) ? <Metrics source={source} queries={[{ refId: "A", expr: query, rest: { query } }]} time={time} scope={scope} /> : <Found source={source} query={query} time={time} onQuery={onQuery} />)}
    </>
  );
}

function Found({ source, query, time, onQuery }: { source: DatasourceInfo; query: string; time: TimeState; onQuery: (query: string) => void }) {
  const id = traceIdFrom(query);
  const { data, error, loading } = useLoad(id === undefined ? JSON.stringify([source.uid, query, time.range]) : undefined, (signal) => searchTraces(source, query, time.range, 50, signal));
  if (id !== undefined) return <OneTrace source={source} id={id} zone={time.zone} />;
  if (error !== undefined) return <ErrorNote title="The search failed" text={error} />;
  if (data === undefined) return loading ? <Loading what="traces" /> : null;
  if (data.length === 0) return <Empty title="No traces">Nothing fits the query in this time range.</Empty>;
  return (
    <div className="block table-scroll" tabIndex={0} role="region" aria-label="Traces">
      <table className="data">
        <thead><tr><th>Trace</th><th>Began</th><th>Service</th><th>Name</th><th className="num">Took</th></tr></thead>
        <tbody>
          {data.map((t) => (
            <tr key={t.id}>
              <td><button type="button" className="tag mono" onClick={() => onQuery(t.id.padStart(32, "0"))}>{t.id.slice(0, 12)}…</button></td>
              <td>{formatDateTimeMs(t.startMs, time.zone)}</td>
              <td>{t.service}</td>
              <td>{t.name}</td>
              <td className="num">{formatValue(t.durationMs, "ms")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
