import { Autocomplete } from "@mantine/core";
import { useState } from "react";
import { labelValues, queryInstant } from "../api/prometheus";
import { Of } from "../alerting/parts";
import { Empty } from "../components/Notes";
import { explorePath } from "../dashboard/links";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import type { Labels } from "../model/data/frame";
import { formatValue } from "../model/units/format";
import { setParams, usePlace } from "../state/location";
import { useLoad } from "../state/useLoad";

/** More series are counted by the first of them only. */
const MOST_SERIES = 20_000;

/** Which labels make a metric's series: of each how many values, and which has most series. */
export function cardinality(series: readonly Labels[]): readonly { label: string; values: number; top: readonly { value: string; series: number }[] }[] {
  const labels = new Map<string, Map<string, number>>();
  for (const one of series) {
    for (const [label, value] of Object.entries(one)) {
      if (label === "__name__") continue;
      const counts = labels.get(label) ?? new Map<string, number>();
      counts.set(value, (counts.get(value) ?? 0) + 1);
      labels.set(label, counts);
    }
  }
  return [...labels]
    .map(([label, counts]) => ({ label, values: counts.size, top: [...counts].map(([value, n]) => ({ value, series: n })).sort((a, b) => b.series - a.series || a.value.localeCompare(b.value)).slice(0, 8) }))
    .sort((a, b) => b.values - a.values || a.label.localeCompare(b.label));
}

/** What makes the series of one metric, or of one selector. */
export function MetricCardinality({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const metric = params.get("metric") ?? "";
  const [text, setText] = useState(metric);
  const [wanted, setWanted] = useState(false);
  const names = useLoad(wanted ? source.uid : undefined, (signal) => labelValues(source, "__name__", undefined, undefined, signal));
  const loaded = useLoad(metric === "" ? undefined : `${source.uid} ${metric}`, async (signal) => {
    const { data } = await queryInstant(source, `limitk(${MOST_SERIES}, last_over_time(${metric}[10m]))`, Date.now(), signal).catch(() => queryInstant(source, metric, Date.now(), signal));
    const series = data.resultType === "vector" ? data.result.map((s) => s.metric) : [];
    return { count: series.length, labels: cardinality(series) };
  });
  const open = (value: string) => setParams({ metric: value === "" ? undefined : value }, "replace");
  return (
    <section className="block" aria-label="Series of a metric" style={{ marginBottom: 10 }}>
      <div className="block-head">
        <h2>Series of a metric</h2>
        <Autocomplete size="xs" aria-label="Metric or selector" placeholder='http_requests_total{service="…"}' data={[...(names.data ?? [])]} value={text} onChange={setText} onFocus={() => setWanted(true)} onOptionSubmit={open} onKeyDown={(e) => { if (e.key === "Enter") open(text.trim()); }} limit={100} w={360} maw="100%" />
      </div>
      {metric === "" ? <p className="muted">Choose one, here or in the tables below: which labels make its series?</p> : (
        <Of loaded={loaded} what="series">
          {({ count, labels }) => count === 0 ? <Empty title="It has no series now" /> : (
            <>
              <p><strong>{formatValue(count, "short")}</strong> series{count >= MOST_SERIES && " (no more are counted)"}. <a href={explorePath(source.uid, [{ refId: "A", expr: metric }], { from: "now-1h", to: "now" })}>Explore them</a></p>
              <table className="data">
                <thead><tr><th>Label</th><th className="num">Values</th><th>Series by value</th></tr></thead>
                <tbody>
                  {labels.map((l) => (
                    <tr key={l.label}>
                      <td className="mono">{l.label}</td>
                      <td className="num">{l.values}</td>
                      <td><span className="chips">{l.top.map((t) => <span key={t.value} className="chip">{t.value === "" ? '""' : t.value}: {t.series}</span>)}{l.values > l.top.length && <span className="muted">and {l.values - l.top.length} more</span>}</span></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </>
          )}
        </Of>
      )}
    </section>
  );
}
