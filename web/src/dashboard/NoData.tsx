import type { QueryResult } from "../api/run";
import { labelValues } from "../api/prometheus";
import { metricNames } from "../model/query/promql";
import { closest } from "../model/query/similar";
import { useLoad } from "../state/useLoad";

/** Why a panel may be empty: a metric that does not exist, and those that are called alike. */
export function NoData({ results }: { results: readonly QueryResult[] }) {
  const asked = results.flatMap(({ plan }) => (plan.kind === "prom-range" || plan.kind === "prom-instant" ? [plan] : []));
  const source = asked[0]?.source;
  const wanted = [...new Set(asked.flatMap((p) => metricNames(p.expr)))];
  const { data } = useLoad(source === undefined || wanted.length === 0 ? undefined : `${source.uid} ${wanted.join()}`, async (signal) => {
    if (source === undefined) return [];
    const existing = await labelValues(source, "__name__", undefined, undefined, signal);
    const known = new Set(existing);
    return wanted.filter((name) => !known.has(name)).map((name) => ({ name, near: closest(name, existing) }));
  });
  return (
    <div className="panel-message">
      <strong>No data</strong>
      {(data ?? []).map(({ name, near }) => (
        <span key={name}>
          There is no metric <code>{name}</code>.{near.length > 0 && <> Did you mean {near.map((n, i) => <span key={n}>{i > 0 && ", "}<code>{n}</code></span>)}?</>}
        </span>
      ))}
    </div>
  );
}
