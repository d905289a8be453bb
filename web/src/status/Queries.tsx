import { Button } from "@mantine/core";
import { activeQueries, killQuery } from "../api/prometheus";
import { useAct } from "../admin/useAct";
import { Of } from "../alerting/parts";
import { Empty, ErrorNote } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { humanDuration } from "../model/time/duration";
import { useSession, useSource } from "../state/session";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";

/** What the query engine works on now, the oldest first. */
export function Queries({ source }: { source: DatasourceInfo }) {
  const loki = useSource("loki");
  return (
    <>
      <Running source={source} title="Metrics" />
      {loki !== undefined && <Running source={loki} title="Logs" />}
    </>
  );
}

function Running({ source, title }: { source: DatasourceInfo; title: string }) {
  const { user } = useSession();
  const tick = useEvery(2000);
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) => activeQueries(source, signal));
  const { error, act } = useAct(loaded.reload);
  return (
    <section className="block" aria-label={`Queries of ${title.toLowerCase()}`}>
      <h2>{title}</h2>
      {error !== undefined && <ErrorNote title="The query could not be stopped" text={error} />}
      <Of loaded={loaded} what="active queries">
        {(list) => list.length === 0 ? <Empty title="No query runs at this moment">Those that take long enough to be seen stand here, with a way to stop them.</Empty> : (
          <div className="table-scroll" style={{ height: "auto" }} tabIndex={0} role="region" aria-label={`Active queries of ${title.toLowerCase()}`}>
            <table className="data">
              <thead><tr><th>State</th><th className="num">For</th><th>Query</th><th /></tr></thead>
              <tbody>
                {[...list].sort((a, b) => b.ageS - a.ageS).map((q) => (
                  <tr key={q.id}>
                    <td><span className={`state ${q.running ? "ok" : "pending"}`}>{q.running ? "runs" : "waits"}</span></td>
                    <td className="num">{humanDuration(q.ageS * 1000)}</td>
                    <td className="mono" style={{ overflowWrap: "anywhere" }}>{q.query}</td>
                    <td className="num">{user.role === "Admin" && <Button size="compact-sm" variant="default" onClick={() => void act(() => killQuery(source, q.id))}>Stop</Button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Of>
    </section>
  );
}
