/** A trace as a tree of spans with times in nanoseconds, from either shape that Tempo answers. */
import { asArray, asNumber, asObject, asObjects, asString, at, isObject, type Json, type JsonObject } from "../json";

export type Attributes = Readonly<Record<string, string>>;

export interface SpanEvent {
  name: string;
  /** Nanoseconds after the trace began. */
  at: number;
  attributes: Attributes;
}

export interface Span {
  id: string;
  parent: string;
  name: string;
  service: string;
  kind: string;
  failed: boolean;
  message: string;
  /** Nanoseconds after the trace began. */
  start: number;
  /** Nanoseconds. */
  duration: number;
  attributes: Attributes;
  resource: Attributes;
  events: readonly SpanEvent[];
  /** Other traces that this span points to. */
  links: readonly { traceId: string; spanId: string }[];
}

export interface Line {
  span: Span;
  depth: number;
  children: number;
  /** The part of its time in which no child ran, in nanoseconds. */
  own: number;
}

export interface Trace {
  id: string;
  /** Milliseconds since 1970. */
  startMs: number;
  duration: number;
  services: readonly string[];
  errors: number;
  /** Depth first, children in the order of their start. */
  lines: readonly Line[];
  /** As the store answered. */
  raw: JsonObject;
}

/** `tags` of a data source's links: names in spans to names in the other store. */
export const tagMap = (list: readonly JsonObject[]): ReadonlyMap<string, string> =>
  new Map(list.flatMap((t) => (asString(t["key"]) === "" ? [] : [[asString(t["key"]), asString(t["value"]) || asString(t["key"]).replaceAll(".", "_")] as const])));

/** Ids travel as hex, or as base64 in Tempo's older form; here they are lower hex. */
export function hexId(text: string): string {
  if (text === "" || /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(text)) return text.toLowerCase();
  try {
    return [...atob(text)].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  } catch {
    return text;
  }
}

export function attributeText(value: Json | undefined): string {
  const o = asObject(value);
  for (const key of ["stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"]) {
    if (o[key] !== undefined) return asString(o[key]);
  }
  if (isObject(o["arrayValue"])) return `[${asArray(o["arrayValue"]["values"]).map(attributeText).join(", ")}]`;
  return Object.keys(o).length === 0 ? "" : JSON.stringify(o);
}

const attributes = (v: unknown): Attributes => Object.fromEntries(asObjects(v).map((a) => [asString(a["key"]), attributeText(a["value"])]));
const nanosOf = (v: unknown): bigint => (/^\d+$/.test(asString(v)) ? BigInt(asString(v)) : 0n);

interface Raw {
  json: JsonObject;
  resource: Attributes;
}

function rawSpans(answer: JsonObject): readonly Raw[] {
  const batches = asObjects(answer["batches"] ?? at(answer, "trace.resourceSpans") ?? answer["resourceSpans"]);
  return batches.flatMap((b) => {
    const resource = attributes(at(b, "resource.attributes"));
    const scopes = asObjects(b["scopeSpans"] ?? b["instrumentationLibrarySpans"]);
    return scopes.flatMap((s) => asObjects(s["spans"]).map((json) => ({ json, resource })));
  });
}

function readSpan({ json, resource }: Raw, begin: bigint): Span {
  const start = nanosOf(json["startTimeUnixNano"]);
  const end = nanosOf(json["endTimeUnixNano"]);
  const code = at(json, "status.code");
  return {
    id: hexId(asString(json["spanId"])),
    parent: hexId(asString(json["parentSpanId"])),
    name: asString(json["name"]),
    service: resource["service.name"] ?? "unknown",
    kind: asString(json["kind"]).replace("SPAN_KIND_", "").toLowerCase(),
    failed: code === "STATUS_CODE_ERROR" || code === 2,
    message: asString(at(json, "status.message")),
    start: Number(start - begin),
    duration: end > start ? Number(end - start) : 0,
    attributes: attributes(json["attributes"]),
    resource,
    events: asObjects(json["events"]).map((e) => ({ name: asString(e["name"]), at: Number(nanosOf(e["timeUnixNano"]) - begin), attributes: attributes(e["attributes"]) })),
    links: asObjects(json["links"]).map((l) => ({ traceId: hexId(asString(l["traceId"])), spanId: hexId(asString(l["spanId"])) })),
  };
}

/** How much of a span's time its children leave over. */
function ownTime(span: Span, children: readonly Span[]): number {
  let covered = 0;
  let until = span.start;
  for (const c of [...children].sort((a, b) => a.start - b.start)) {
    const from = Math.max(until, c.start);
    const to = Math.min(c.start + c.duration, span.start + span.duration);
    if (to > from) {
      covered += to - from;
      until = to;
    }
  }
  return Math.max(0, span.duration - covered);
}

export function readTrace(id: string, answer: JsonObject): Trace | undefined {
  const raw = rawSpans(answer);
  if (raw.length === 0) return undefined;
  const begin = raw.map((r) => nanosOf(r.json["startTimeUnixNano"])).reduce((a, b) => (b < a ? b : a));
  const seen = new Set<string>();
  // A span that was sent twice is one span.
  const spans = raw.map((r) => readSpan(r, begin)).filter((s) => s.id === "" || (!seen.has(s.id) && seen.add(s.id)));
  const children = new Map<string, Span[]>();
  for (const s of spans) {
    // A span whose parent is missing (not sent yet, lost) stands at the top rather than nowhere.
    const under = s.parent !== s.id && seen.has(s.parent) ? s.parent : "";
    children.set(under, [...(children.get(under) ?? []), s]);
  }
  const lines: Line[] = [];
  const placed = new Set<Span>();
  const stack = [...(children.get("") ?? [])].sort((a, b) => b.start - a.start).map((span) => ({ span, depth: 0 }));
  const walk = () => {
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { span, depth } = top;
      if (placed.has(span)) continue;
      placed.add(span);
      const below = span.id === "" ? [] : (children.get(span.id) ?? []);
      lines.push({ span, depth, children: below.length, own: ownTime(span, below) });
      for (const c of [...below].sort((a, b) => b.start - a.start)) stack.push({ span: c, depth: depth + 1 });
    }
  };
  walk();
  // Spans that are each other's parents are reached from nowhere.
  for (const span of spans) {
    if (placed.has(span)) continue;
    stack.push({ span, depth: 0 });
    walk();
  }
  return {
    id,
    startMs: Number(begin / 1_000_000n),
    duration: Math.max(...spans.map((s) => s.start + s.duration), 1),
    services: [...new Set(spans.map((s) => s.service))],
    errors: spans.filter((s) => s.failed).length,
    lines,
    raw: answer,
  };
}

export interface TraceHit {
  id: string;
  service: string;
  name: string;
  startMs: number;
  durationMs: number;
  matched: number;
}

export function readHits(answer: JsonObject): readonly TraceHit[] {
  return asObjects(answer["traces"]).map((t) => ({
    id: asString(t["traceID"]),
    service: asString(t["rootServiceName"]) || "root span not yet received",
    name: asString(t["rootTraceName"]),
    startMs: Number(nanosOf(t["startTimeUnixNano"]) / 1_000_000n),
    durationMs: asNumber(t["durationMs"]) ?? 0,
    matched: asObjects(t["spanSets"] ?? (isObject(t["spanSet"]) ? [t["spanSet"]] : [])).reduce((n, s) => n + (asNumber(s["matched"]) ?? 0), 0),
  }));
}

/** The trace that an exemplar names, under any of the usual labels. */
export function traceIdOfLabels(labels: Attributes): string | undefined {
  const key = Object.keys(labels).find((k) => /^(trace_?id|trace\.id)$/i.test(k));
  return key === undefined ? undefined : traceIdFrom(labels[key] ?? "");
}

/** Whether what was typed is an id rather than a query; dashes of UUIDs are allowed. */
export function traceIdFrom(text: string): string | undefined {
  const plain = text.trim().replaceAll("-", "").toLowerCase();
  return /^[0-9a-f]{8,32}$/.test(plain) ? plain : undefined;
}
