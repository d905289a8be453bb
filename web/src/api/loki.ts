/** Loki's HTTP API, through the proxy of a data source. */
import { asArray, asNumber, asObject, asObjects, asString, asStrings, isObject, type Json } from "../model/json";
import type { LokiData, LokiStream } from "../model/data/loki";
import { proxyPath } from "./grafana";
import { basePath, getJson, HttpError, searchParams, type Query } from "./http";
import { decodePromData, labelsOf, type Source } from "./prometheus";

export interface LokiAnswer {
  data: LokiData;
  /** Lines and bytes that the server read, where it says so. */
  linesRead?: number;
  bytesRead?: number;
}

function decodeEntry(v: Json): LokiStream["values"][number] {
  const list = asArray(v);
  const about = list[2];
  const pair = [asString(list[0]), asString(list[1])] as const;
  if (!isObject(about)) return pair;
  return [...pair, { structuredMetadata: labelsOf(about["structuredMetadata"]), parsed: labelsOf(about["parsed"]) }];
}

export function decodeStreams(v: Json | undefined): readonly LokiStream[] {
  return asObjects(v).map((s) => ({ stream: labelsOf(s["stream"]), values: asArray(s["values"]).map(decodeEntry) }));
}

function decode(body: Json): LokiAnswer {
  const o = asObject(body);
  if (o["status"] === "error") throw new HttpError(200, asString(o["error"], "The query failed."));
  const data = asObject(o["data"]);
  const summary = asObject(asObject(data["stats"])["summary"]);
  const lines = summary["totalLinesProcessed"];
  const bytes = summary["totalBytesProcessed"];
  return {
    data: data["resultType"] === "streams" ? { resultType: "streams", result: decodeStreams(data["result"]) } : decodePromData(data),
    ...(typeof lines === "number" ? { linesRead: lines } : {}),
    ...(typeof bytes === "number" ? { bytesRead: bytes } : {}),
  };
}

/** Nanoseconds as text, since a number would round them. */
export const nanos = (ms: number): string => `${Math.round(ms)}000000`;

/** Asks for the labels of streams apart from metadata and parsed fields: only those select a stream again. */
const categorized = { "X-Loki-Response-Encoding-Flags": "categorize-labels" };

export interface LokiRange {
  query: string;
  start: string;
  end: string;
  stepMs?: number;
  limit?: number;
  direction?: "forward" | "backward";
}

export async function lokiRange(source: Source, { stepMs, ...query }: LokiRange, signal?: AbortSignal): Promise<LokiAnswer> {
  const step: Query = stepMs === undefined ? {} : { step: `${stepMs / 1000}s` };
  return decode(await getJson(proxyPath(source, "loki/api/v1/query_range"), { ...query, ...step }, signal, categorized));
}

export async function lokiInstant(source: Source, query: string, timeMs: number, signal?: AbortSignal): Promise<LokiAnswer> {
  return decode(await getJson(proxyPath(source, "loki/api/v1/query"), { query, time: nanos(timeMs) }, signal));
}

export async function lokiLabels(source: Source, range: { from: number; to: number }, signal?: AbortSignal): Promise<readonly string[]> {
  return asStrings(asObject(await getJson(proxyPath(source, "loki/api/v1/labels"), { start: nanos(range.from), end: nanos(range.to) }, signal))["data"]);
}

export async function lokiLabelValues(source: Source, label: string, range: { from: number; to: number }, query?: string, signal?: AbortSignal): Promise<readonly string[]> {
  const path = proxyPath(source, `loki/api/v1/label/${encodeURIComponent(label)}/values`);
  return asStrings(asObject(await getJson(path, { start: nanos(range.from), end: nanos(range.to), query }, signal))["data"]);
}

export interface Tail {
  close(): void;
}

/** Lines as they arrive. `onStop` is told once, with words when it was not we who stopped it. */
export function lokiTail(source: Source, query: string, onStreams: (streams: readonly LokiStream[]) => void, onStop: (why?: string) => void): Tail {
  const url = new URL(basePath() + proxyPath(source, "loki/api/v1/tail"), window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = searchParams({ query, limit: 100 }).toString();
  const socket = new WebSocket(url);
  let closed = false;
  const stop = (why?: string) => {
    if (closed) return;
    closed = true;
    onStop(why);
  };
  socket.onmessage = (event: MessageEvent<unknown>) => {
    try {
      onStreams(decodeStreams(asObject(JSON.parse(String(event.data)))["streams"]));
    } catch {
      // A message that is no JSON is skipped; the next one may be.
    }
  };
  socket.onerror = () => stop("The live connection failed.");
  socket.onclose = (event) => stop(event.wasClean && event.code === 1000 ? undefined : event.reason || "The live connection was closed.");
  return {
    close: () => {
      closed = true;
      socket.close();
    },
  };
}

export interface LogTotals {
  streams: number;
  chunks: number;
  bytes: number;
  entries: number;
}

/** How much there is of the streams that fit a selector. */
export async function lokiTotals(source: Source, query: string, range: { from: number; to: number }, signal?: AbortSignal): Promise<LogTotals> {
  const o = asObject(await getJson(proxyPath(source, "loki/api/v1/index/stats"), { query, start: nanos(range.from), end: nanos(range.to) }, signal));
  const n = (key: string) => asNumber(o[key]) ?? 0;
  return { streams: n("streams"), chunks: n("chunks"), bytes: n("bytes"), entries: n("entries") };
}

/** Bytes by the values of a label, the greatest first. */
export async function lokiVolume(source: Source, query: string, label: string, range: { from: number; to: number }, limit: number, signal?: AbortSignal): Promise<readonly { value: string; bytes: number }[]> {
  const { data } = decode(await getJson(proxyPath(source, "loki/api/v1/index/volume"), { query, targetLabels: label, limit, start: nanos(range.from), end: nanos(range.to) }, signal));
  if (data.resultType !== "vector") return [];
  return data.result.map((s) => ({ value: s.metric[label] ?? "", bytes: Number(s.value[1]) })).sort((a, b) => b.bytes - a.bytes);
}
