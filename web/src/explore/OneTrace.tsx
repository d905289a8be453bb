import { Menu } from "@mantine/core";
import { traceById } from "../api/tempo";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { save } from "../components/save";
import { explorePath } from "../dashboard/links";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { asObjects, asString, at } from "../model/json";
import { tagMap, type Span, type Trace } from "../model/traces/trace";
import { useSource } from "../state/session";
import { useLoad } from "../state/useLoad";
import { TraceView, type SpanLink } from "./Waterfall";

const quoted = (list: readonly string[]) => JSON.stringify(list.map((s) => s.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&")).join("|"));

/** The label of metrics and logs that carries the service: what the data source says, else `service`. */
const serviceLabel = (source: DatasourceInfo, key: string) => tagMap(asObjects(at(source.jsonData, `${key}.tags`))).get("service.name") ?? "service";

/** One trace by its id, with ways to the logs and the metrics of what it went through. */
export function OneTrace({ source, id, zone }: { source: DatasourceInfo; id: string; zone: string }) {
  const loki = useSource("loki");
  const prometheus = useSource("prometheus");
  const { data, error, loading } = useLoad(`${source.uid} ${id}`, async (signal) => ({ trace: await traceById(source, id, signal) }));
  if (error !== undefined) return <ErrorNote title="The trace could not be read" text={error} />;
  if (data === undefined) return loading ? <Loading what="the trace" /> : null;
  const { trace } = data;
  if (trace === undefined) return <Empty title="There is no such trace">{id}: it may not have arrived yet, or be older than the store keeps.</Empty>;
  const range = (t: Trace) => ({ from: String(t.startMs - 300_000), to: String(Math.ceil(t.startMs + t.duration / 1e6) + 300_000) });
  const logsOf = (services: readonly string[], text: string) => (loki === undefined ? undefined : explorePath(loki.uid, [{ refId: "A", expr: `{${serviceLabel(source, "tracesToLogsV2")}=~${quoted(services)}} |= ${JSON.stringify(text)}` }], range(trace)));
  const links = (span: Span): readonly SpanLink[] => {
    const logs = logsOf([span.service], id);
    const label = serviceLabel(source, "tracesToMetrics");
    const metrics = prometheus === undefined ? undefined : explorePath(prometheus.uid, [{ refId: "A", expr: `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{${label}=${JSON.stringify(span.service)}}[5m])))` }, { refId: "B", expr: `sum by (status_code) (rate(http_requests_total{${label}=${JSON.stringify(span.service)}}[5m]))` }], range(trace));
    return [
      ...(logs === undefined ? [] : [{ title: "Logs of this service", href: logs }]),
      ...(metrics === undefined ? [] : [{ title: "Metrics of this service", href: metrics }]),
      { title: "Traces like this", href: explorePath(source.uid, [{ refId: "A", expr: `{ resource.service.name = ${JSON.stringify(span.service)} && name = ${JSON.stringify(span.name)} }` }], { from: "now-1h", to: "now" }) },
    ];
  };
  const all = logsOf(trace.services, id);
  return (
    <TraceView trace={trace} zone={zone} links={links}>
      {all !== undefined && <button type="button" className="tag" onClick={() => window.location.assign(all)}>Logs of this trace</button>}
      <Menu position="bottom-end">
        <Menu.Target><button type="button" className="tag">More</button></Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => void navigator.clipboard.writeText(id)}>Copy the id</Menu.Item>
          <Menu.Item onClick={() => save(`trace-${asString(id)}.json`, "application/json", JSON.stringify(trace.raw, null, 2))}>Download JSON</Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </TraceView>
  );
}
