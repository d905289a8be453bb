import { searchTraces } from "../api/tempo";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatDateTimeMs } from "../model/time/format";
import { traceIdFrom } from "../model/traces/trace";
import { formatValue } from "../model/units/format";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";
import { OneTrace } from "./OneTrace";

/** Traces by a TraceQL query, or one by its id. */
export function Traces({ source, query, time, onQuery }: { source: DatasourceInfo; query: string; time: TimeState; onQuery: (query: string) => void }) {
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
