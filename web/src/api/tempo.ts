/** Tempo's HTTP API, through the proxy of a data source. */
import type { Frame } from "../model/data/frame";
import { asObject, asObjects, asString, asStrings } from "../model/json";
import { traceMetricFrames } from "../model/traces/frames";
import { buildGraph, type Graph } from "../model/traces/graph";
import { readHits, readTrace, type Trace, type TraceHit } from "../model/traces/trace";
import { proxyPath } from "./grafana";
import { getJson, HttpError } from "./http";
import { queryInstant, type Source } from "./prometheus";

export async function searchTraces(source: Source, q: string, range: { from: number; to: number }, limit: number, signal?: AbortSignal, spss = 3): Promise<readonly TraceHit[]> {
  const seconds = { start: Math.floor(range.from / 1000), end: Math.ceil(range.to / 1000) };
  return readHits(asObject(await getJson(proxyPath(source, "api/search"), { q: q.trim() === "" ? "{}" : q, limit, spss, ...seconds }, signal)));
}

/** Undefined when there is no such trace. */
export async function traceById(source: Source, id: string, signal?: AbortSignal): Promise<Trace | undefined> {
  try {
    return readTrace(id, asObject(await getJson(proxyPath(source, `api/traces/${encodeURIComponent(id)}`), {}, signal)));
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) return undefined;
    throw error;
  }
}

/** Names of attributes as TraceQL writes them: `span.http.method`, `resource.service.name`, `duration`. */
export async function traceTags(source: Source): Promise<readonly string[]> {
  const answer = asObject(await getJson(proxyPath(source, "api/v2/search/tags")));
  return asObjects(answer["scopes"]).flatMap((s) => asStrings(s["tags"]).map((tag) => (s["name"] === "intrinsic" ? tag : `${String(s["name"])}.${tag}`)));
}

/** Values of an attribute, named as TraceQL writes it. */
export async function traceTagValues(source: Source, tag: string, signal?: AbortSignal): Promise<readonly string[]> {
  const name = /^(span|resource|event|link|instrumentation)\.|^\./.test(tag) || !tag.includes(".") ? tag : `.${tag}`;
  const answer = asObject(await getJson(proxyPath(source, `api/v2/search/tag/${encodeURIComponent(name)}/values`), {}, signal));
  return asObjects(answer["tagValues"]).map((v) => asString(v["value"]));
}

/** Numbers over time that are made of spans. */
export async function traceMetrics(source: Source, q: string, grid: { startMs: number; endMs: number; stepMs: number }, refId: string, signal?: AbortSignal): Promise<readonly Frame[]> {
  const query = { q, start: Math.floor(grid.startMs / 1000), end: Math.ceil(grid.endMs / 1000), step: `${grid.stepMs / 1000}s` };
  return traceMetricFrames(asObject(await getJson(proxyPath(source, "api/metrics/query_range"), query, signal)), refId, grid);
}

/** Who calls whom, from the metrics that are made of spans; `{…}` narrows them. */
export async function serviceGraph(metrics: Source, matcher: string, rangeS: number, timeMs: number, signal?: AbortSignal): Promise<Graph> {
  const selector = matcher.trim().startsWith("{") ? matcher.trim() : `{${matcher.trim()}}`;
  const over = `[${Math.max(60, rangeS)}s]`;
  const ask = async (query: string) => {
    const { data } = await queryInstant(metrics, query, timeMs, signal);
    return data.resultType === "vector" ? data.result : [];
  };
  const by = "sum by (client, server, connection_type)";
  const [total, failed, p95] = await Promise.all([
    ask(`${by} (rate(traces_service_graph_request_total${selector}${over})) > 0`),
    ask(`${by} (rate(traces_service_graph_request_failed_total${selector}${over}))`),
    ask(`histogram_quantile(0.95, sum by (client, server, le) (rate(traces_service_graph_request_server_seconds_bucket${selector}${over})))`),
  ]);
  return buildGraph({ total, failed, p95 });
}
