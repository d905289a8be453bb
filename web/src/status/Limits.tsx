import { activeQueries, queryInstant, statusOf, tsdbStatus } from "../api/prometheus";
import { getJson } from "../api/http";
import { proxyPath } from "../api/grafana";
import { Of } from "../alerting/parts";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { parseSample } from "../model/data/prometheus";
import { asNumber, asObject, asString } from "../model/json";
import { byNearness, nearness, refusals, type Limit } from "../model/limits";
import { parseDuration } from "../model/time/duration";
import { formatValue } from "../model/units/format";
import { useSource } from "../state/session";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";

const looks = { reached: "bad", near: "pending", far: "ok", open: "unknown" } as const;

/** A value that a query's only series has now; undefined where Reba does not scrape itself. */
async function valueOf(source: DatasourceInfo, query: string, signal: AbortSignal): Promise<number | undefined> {
  const { data } = await queryInstant(source, query, Date.now(), signal).catch(() => ({ data: undefined }));
  const sample = data?.resultType === "vector" ? data.result[0]?.value[1] : undefined;
  return sample === undefined ? undefined : parseSample(sample);
}

const above = (limit: number | undefined) => (limit === undefined || limit <= 0 ? {} : { limit });
const at = (now: number | undefined) => (now === undefined ? {} : { now });

async function ofMetrics(source: DatasourceInfo, signal: AbortSignal): Promise<readonly Limit[]> {
  const [flags, head, queries, disk, waiting, queue, longest] = await Promise.all([
    statusOf(source, "flags", signal),
    tsdbStatus(source, signal),
    activeQueries(source, signal).catch(() => []),
    valueOf(source, "sum(reba_tsdb_disk_bytes)", signal),
    valueOf(source, "max(prometheus_notifications_queue_length)", signal),
    valueOf(source, "max(prometheus_notifications_queue_capacity)", signal),
    valueOf(source, "max(prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds)", signal),
  ]);
  const flag = (name: string) => flags.find(([k]) => k === name)?.[1] ?? "";
  const number = (name: string) => asNumber(flag(name));
  const timeout = parseDuration(flag("query.timeout"));
  return [
    { name: "query.max_concurrency", what: "Queries at once", unit: "short", ...above(number("query.max-concurrency")), now: queries.filter((q) => q.running).length },
    { name: "metrics.max_series", what: "Active series", unit: "short", ...above(number("metrics.max_series")), now: head.head.series },
    { name: "metrics.retention_size", what: "Blocks on disk", unit: "bytes", ...above(asNumber(flag("storage.tsdb.retention.size").replace(/B$/, ""))), ...at(disk) },
    { name: "alerting queue", what: "Alerts that wait for Alertmanager", unit: "short", ...above(queue), ...at(waiting) },
    { name: "evaluation_interval", what: "Time that the slowest group of rules takes, of its interval", unit: "percentunit", limit: 1, ...at(longest) },
    { name: "query.timeout", what: "Time a query may take", unit: "ms", ...above(timeout) },
    { name: "query.max_samples", what: "Samples that a query may hold at once", unit: "short", ...above(number("query.max-samples")) },
    { name: "query.max_series", what: "Series that a query may fetch", unit: "short", ...above(number("query.max_series")) },
    { name: "query.max_bytes", what: "Bytes that a query may fetch", unit: "bytes", ...above(number("query.max_bytes")) },
    { name: "query.max_result_series", what: "Series in a result", unit: "short", ...above(number("query.max_result_series")) },
    { name: "query.max_result_bytes", what: "Bytes of a result", unit: "bytes", ...above(number("query.max_result_bytes")) },
  ];
}

async function ofLogs(loki: DatasourceInfo, signal: AbortSignal): Promise<readonly Limit[]> {
  const o = asObject(asObject(await getJson(proxyPath(loki, "loki/api/v1/drilldown-limits"), {}, signal))["limits"]);
  const one = (name: string, what: string, unit = "short"): Limit => ({ name: `limits_config.${name}`, what, unit, ...above(unit === "ms" ? parseDuration(asString(o[name])) : asNumber(o[name])) });
  return [
    one("max_entries_limit_per_query", "Lines that a query may return"),
    one("max_query_bytes_read", "Bytes that a query may read", "bytes"),
    one("max_query_series", "Series that a query may make"),
    one("max_query_length", "Time that a query may span", "ms"),
    one("max_query_lookback", "How far back a query may look", "ms"),
    one("query_timeout", "Time a query may take", "ms"),
  ];
}

function Table({ title, list }: { title: string; list: readonly Limit[] }) {
  return (
    <section className="block" aria-label={title}>
      <h2>{title}</h2>
      <div className="table-scroll" style={{ height: "auto" }}>
        <table className="data">
          <thead><tr><th>Limit</th><th className="num">Now</th><th className="num">At most</th><th style={{ width: "26%" }}>How near</th></tr></thead>
          <tbody>
            {byNearness(list).map((l) => {
              const near = nearness(l);
              const share = l.limit === undefined || l.now === undefined ? undefined : Math.min(1, l.now / l.limit);
              return (
                <tr key={l.name}>
                  <td>{l.what}<div className="mono muted">{l.name}</div></td>
                  <td className="num">{l.now === undefined ? <span className="muted">each by itself</span> : formatValue(l.now, l.unit)}</td>
                  <td className="num">{l.limit === undefined ? <span className="muted">no limit</span> : formatValue(l.limit, l.unit)}</td>
                  <td>
                    {share !== undefined && (
                      <span style={{ display: "flex", gap: 8, alignItems: "center" }}>
                        <span className="bar-track" style={{ flex: 1, height: 8, minHeight: 8 }}><span className="bar-fill" style={{ display: "block", width: `${share * 100}%`, background: near === "far" ? "var(--accent)" : "var(--bad)" }} /></span>
                        <span className={`state ${looks[near]}`} style={{ minWidth: 60 }}>{formatValue(share, "percentunit", 0)}</span>
                      </span>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** What a limit refused in the last hour, as Reba's own metrics say it. */
function Refused({ source }: { source: DatasourceInfo }) {
  const tick = useEvery(30_000);
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) =>
    Promise.all(refusals.map(async ({ title, query }) => {
      const { data } = await queryInstant(source, query, Date.now(), signal).catch(() => ({ data: undefined }));
      const list = data?.resultType === "vector" ? data.result.map((s) => ({ reason: s.metric["reason"] ?? "", count: parseSample(s.value[1]) })) : [];
      return { title, known: list.length > 0, list: list.filter((r) => r.count >= 0.5) };
    })),
  );
  return (
    <section className="block" aria-label="Refused in the last hour">
      <h2>Refused in the last hour</h2>
      <Of loaded={loaded} what="counts of refusals">
        {(all) => (
          <table className="data">
            <tbody>
              {all.filter((r) => r.known).map((r) => (
                <tr key={r.title}>
                  <td>{r.title}{r.list.map((one) => one.reason !== "" && <div key={one.reason} className="muted">{one.reason}: {formatValue(Math.round(one.count), "short")}</div>)}</td>
                  <td className="num"><span className={`state ${r.list.length === 0 ? "ok" : "pending"}`}>{r.list.length === 0 ? "none" : formatValue(Math.round(r.list.reduce((n, one) => n + one.count, 0)), "short")}</span></td>
                </tr>
              ))}
              {all.every((r) => !r.known) && <tr><td className="muted">Reba does not scrape itself, or has done so for less than a few minutes: nothing is counted.</td></tr>}
            </tbody>
          </table>
        )}
      </Of>
    </section>
  );
}

/** Limits, how near they are, and what they refused. */
export function Limits({ source }: { source: DatasourceInfo }) {
  const loki = useSource("loki");
  const tick = useEvery(10_000);
  const metrics = useLoad(`${source.uid} ${tick}`, (signal) => ofMetrics(source, signal));
  const logs = useLoad(loki?.uid, (signal) => (loki === undefined ? Promise.resolve([]) : ofLogs(loki, signal)));
  return (
    <>
      <Of loaded={metrics} what="limits">{(list) => <Table title="Metrics" list={list} />}</Of>
      {loki !== undefined && logs.data !== undefined && <Table title="Logs" list={logs.data} />}
      <Refused source={source} />
    </>
  );
}
