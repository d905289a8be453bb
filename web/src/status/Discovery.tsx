import { targets, type Target } from "../api/prometheus";
import { Of } from "../alerting/parts";
import { Chips } from "../components/Chips";
import { Empty } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { useLoad } from "../state/useLoad";

function byPool(list: readonly Target[]): readonly (readonly [string, readonly Target[]])[] {
  const pools = new Map<string, Target[]>();
  for (const t of list) pools.set(t.pool, [...(pools.get(t.pool) ?? []), t]);
  return [...pools].sort(([a], [b]) => a.localeCompare(b));
}

/** What was found of each job, and what relabeling made of it. */
export function Discovery({ source }: { source: DatasourceInfo }) {
  const loaded = useLoad(source.uid, (signal) => targets(source, signal));
  return (
    <Of loaded={loaded} what="discovered targets">
      {({ active, dropped }) => active.length === 0 ? <Empty title="Nothing was discovered" /> : (
        <>
          {dropped > 0 && <p className="muted">{dropped} more were found and dropped by relabeling.</p>}
          <div className="block" style={{ padding: 0 }}>
            {byPool(active).map(([pool, list]) => (
              <details className="rule" key={pool}>
                <summary style={{ gridTemplateColumns: "minmax(0, 1fr) auto" }}><strong>{pool}</strong><span className="muted">{list.length === 1 ? "1 target" : `${list.length} targets`}</span></summary>
                <div className="rule-body table-scroll" style={{ height: "auto" }}>
                  <table className="data">
                    <thead><tr><th>As it was found</th><th>After relabeling</th></tr></thead>
                    <tbody>{list.map((t, i) => <tr key={i}><td><Chips labels={t.discovered} /></td><td><Chips labels={t.labels} /></td></tr>)}</tbody>
                  </table>
                </div>
              </details>
            ))}
          </div>
        </>
      )}
    </Of>
  );
}
