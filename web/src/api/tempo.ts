/** Tempo's HTTP API, through the proxy of a data source. */
import { asObject, asObjects, asStrings } from "../model/json";
import { readHits, readTrace, type Trace, type TraceHit } from "../model/traces/trace";
import { proxyPath } from "./grafana";
import { getJson, HttpError } from "./http";
import type { Source } from "./prometheus";

export async function searchTraces(source: Source, q: string, range: { from: number; to: number }, limit: number, signal?: AbortSignal): Promise<readonly TraceHit[]> {
  const seconds = { start: Math.floor(range.from / 1000), end: Math.ceil(range.to / 1000) };
  return readHits(asObject(await getJson(proxyPath(source, "api/search"), { q: q.trim() === "" ? "{}" : q, limit, spss: 3, ...seconds }, signal)));
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
