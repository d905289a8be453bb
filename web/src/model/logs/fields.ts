/** What a line says of itself: the fields of JSON or logfmt. */
import { isObject, type Json } from "../json";

const MAX_LINE = 200_000;

function flatten(v: Json | undefined, path: string, into: Record<string, string>, depth: number): void {
  if (isObject(v) && depth < 6) {
    for (const [key, inner] of Object.entries(v)) flatten(inner, path === "" ? key : `${path}_${key}`, into, depth + 1);
  } else if (v !== null && v !== undefined) {
    into[path] = typeof v === "object" ? JSON.stringify(v) : String(v);
  }
}

export function parseJsonLine(line: string): Json | undefined {
  const text = line.trim();
  if (text.length > MAX_LINE || !(text.startsWith("{") || text.startsWith("["))) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Flat fields of the line, nested keys joined by `_` as the query language names them. */
export function fieldsOfLine(line: string): Readonly<Record<string, string>> {
  const json = parseJsonLine(line);
  const found: Record<string, string> = {};
  if (isObject(json)) {
    flatten(json, "", found, 0);
    return found;
  }
  if (line.length > MAX_LINE) return found;
  for (const hit of line.matchAll(/(?:^|\s)([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)/g)) {
    const raw = hit[2] ?? "";
    found[hit[1] ?? ""] = raw.startsWith('"') ? raw.slice(1, -1).replace(/\\"/g, '"') : raw;
  }
  return found;
}

/** The line as a person reads it: JSON over several lines, all else as it is. */
export function prettyLine(line: string): string {
  const json = parseJsonLine(line);
  return json === undefined || json === null || typeof json !== "object" ? line : JSON.stringify(json, null, 2);
}

const traceKeys = /["']?(?:trace_?id|traceID|trace\.id|otelTraceID)["']?\s*[:=]\s*["']?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\b/i;

/** The trace id that a line carries under any of its usual names, without dashes. */
export function traceIdOf(line: string, fields: Readonly<Record<string, string>>): string | undefined {
  for (const [key, value] of Object.entries(fields)) {
    if (/^(trace_?id|trace\.id|oteltraceid)$/i.test(key) && /^[0-9a-f]{32}$/i.test(value.replaceAll("-", ""))) return value.replaceAll("-", "").toLowerCase();
  }
  return traceKeys.exec(line)?.[1]?.replaceAll("-", "").toLowerCase();
}
