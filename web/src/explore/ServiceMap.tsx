import { serviceGraph } from "../api/tempo";
import { ServiceGraph } from "../components/ServiceGraph";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { useSize } from "../components/useSize";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { asString, at } from "../model/json";
import { formatValue } from "../model/units/format";
import { useSession, useSource } from "../state/session";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";

/** Services and their calls in the time range, drawn and as numbers. */
export function ServiceMap({ source, time, onQuery }: { source: DatasourceInfo; time: TimeState; onQuery: (query: string) => void }) {
  const { sources } = useSession();
  const usual = useSource("prometheus");
  const metrics = sources.find((s) => s.uid === asString(at(source.jsonData, "serviceMap.datasourceUid"))) ?? usual;
  const [ref, size] = useSize<HTMLDivElement>();
  const seconds = Math.round((time.range.to - time.range.from) / 1000);
  const { data, error } = useLoad(metrics === undefined ? undefined : `${metrics.uid} ${time.range.to} ${seconds}`, async (signal) => (metrics === undefined ? undefined : serviceGraph(metrics, "", seconds, time.range.to, signal)));
  if (metrics === undefined) return <Empty title="The service map needs a Prometheus data source" />;
  if (error !== undefined) return <ErrorNote title="The service map could not be made" text={error} />;
  if (data === undefined) return <Loading what="the service map" />;
  if (data.nodes.length === 0) return <Empty title="No calls between services">The map is made of traces_service_graph_request_total, which has no series in this time range.</Empty>;
  const edges = [...data.edges].sort((a, b) => b.rate - a.rate);
  const find = (client: string, server: string) => onQuery(`{ resource.service.name = ${JSON.stringify(client)} } >> { resource.service.name = ${JSON.stringify(server)} }`);
  return (
    <>
      <div className="block" ref={ref}>
        {size.width > 0 && <ServiceGraph graph={data} width={size.width - 22} height={440} title="Service map" onOpen={(id) => onQuery(`{ resource.service.name = ${JSON.stringify(id)} }`)} />}
      </div>
      <div className="block table-scroll" style={{ height: "auto", maxHeight: 360 }} tabIndex={0} role="region" aria-label="Calls between services">
        <table className="data">
          <thead><tr><th>From</th><th>To</th><th className="num">Calls</th><th className="num">Failed</th><th className="num">P95</th><th /></tr></thead>
          <tbody>
            {edges.map((e) => (
              <tr key={e.id}>
                <td>{e.source}</td>
                <td>{e.target}</td>
                <td className="num">{formatValue(e.rate, "reqps")}</td>
                <td className={e.errors > 0.01 ? "num panel-bad" : "num"}>{formatValue(e.errors, "percentunit", 1)}</td>
                <td className="num">{e.p95 === undefined ? "–" : formatValue(e.p95, "s")}</td>
                <td className="num"><button type="button" className="tag" onClick={() => find(e.source, e.target)}>Traces</button></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
