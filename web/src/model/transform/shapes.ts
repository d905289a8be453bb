/** Transformations that give data another shape: a matrix, rows for columns, buckets; and texts another look. */
import { asArray, asNumber, asString, asStrings, asBool, at } from "../json";
import { field, numberFields, numberOf, rowCount, timeField, type Cell, type Field, type Frame } from "../data/frame";
import { reduceValues } from "../data/reducers";
import { buildHistogram } from "../panels/bars";
import { buildHeatmap, readBuckets } from "../panels/heatmap";
import { formatLayout } from "../time/format";
import type { Transform } from "./columns";
import { findField, nameOf } from "./rows";

/** A matrix with more columns is none that anybody reads. */
const MOST_COLUMNS = 500;

const unique = (values: readonly Cell[]): readonly string[] => [...new Set(values.map((v) => String(v ?? "")))];

/** One column's values become columns, another's rows; where both meet stands a third's value. */
export const groupingToMatrix: Transform = (frames, options) => {
  const frame = frames[0];
  if (frame === undefined) return frames;
  const [across, down, inside] = [["columnField", "Time"], ["rowField", "Time"], ["valueField", "Value"]].map(([key = "", name = ""]) => findField(frame, asString(options[key], name), frames));
  if (across === undefined || down === undefined || inside === undefined) return frames;
  const columns = unique(across.values).slice(0, MOST_COLUMNS);
  const rows = unique(down.values);
  const cells = new Map(inside.values.map((v, i) => [`${String(across.values[i] ?? "")}\u0000${String(down.values[i] ?? "")}`, v]));
  const empty: Cell = options["emptyValue"] === "zero" ? 0 : options["emptyValue"] === "empty" ? "" : options["emptyValue"] === "false" ? false : null;
  const corner = `${nameOf(down, frame, frames)}\\${nameOf(across, frame, frames)}`;
  return [{ refId: frame.refId, kind: "table", fields: [field(corner, "string", rows), ...columns.map((c) => ({ ...field(c, inside.type, rows.map((r) => cells.get(`${c}\u0000${r}`) ?? empty)), config: inside.config }))] }];
};

/** Rows become columns: the first column's values are their names. */
export const transpose: Transform = (frames, options) => frames.map((frame) => {
  const [first, ...rest] = frame.fields;
  if (first === undefined) return frame;
  const rows = Math.min(rowCount(frame), MOST_COLUMNS);
  const numbers = rest.every((f) => f.type === "number");
  const names = field(asString(options["firstFieldName"]) || nameOf(first, frame, frames), "string", rest.map((f) => nameOf(f, frame, frames)));
  const others = Array.from({ length: rows }, (_, i) => field(String(first.values[i] ?? i), numbers ? "number" : "string", rest.map((f) => (numbers ? f.values[i] : String(f.values[i] ?? "")))));
  return { refId: frame.refId, kind: "table", fields: [names, ...others] };
});

/** Rows of labels, and a column for each value of one of them. */
export const joinByLabels: Transform = (frames, options) => {
  const key = asString(options["value"]);
  const wanted = asStrings(options["join"]);
  const all = frames.flatMap((f) => numberFields(f).filter((x) => x.labels?.[key] !== undefined).map((x) => ({ labels: x.labels ?? {}, value: reduceValues(x.values, "lastNotNull") })));
  if (key === "" || all.length === 0) return frames;
  const keys = wanted.length > 0 ? wanted : [...new Set(all.flatMap((s) => Object.keys(s.labels)))].filter((k) => k !== key);
  const columns = unique(all.map((s) => s.labels[key])).slice(0, MOST_COLUMNS);
  const rows = new Map<string, { labels: Readonly<Record<string, string>>; values: Map<string, Cell> }>();
  for (const { labels, value } of all) {
    const id = JSON.stringify(keys.map((k) => labels[k] ?? ""));
    const row = rows.get(id) ?? { labels, values: new Map<string, Cell>() };
    row.values.set(labels[key] ?? "", value);
    rows.set(id, row);
  }
  const list = [...rows.values()];
  return [{ refId: frames[0]?.refId ?? "A", kind: "table", fields: [...keys.map((k) => field(k, "string", list.map((r) => r.labels[k] ?? ""))), ...columns.map((c) => field(c, "number", list.map((r) => r.values.get(c) ?? null)))] }];
};

/** A row a series: its labels, and one number of it. */
export const timeSeriesTable: Transform = (frames) => {
  const tables = new Map<string, Frame[]>();
  for (const f of frames) tables.set(f.refId, [...(tables.get(f.refId) ?? []), f]);
  return [...tables].flatMap(([refId, group]): readonly Frame[] => {
    if (!group.every((f) => timeField(f) !== undefined)) return group;
    const series = group.flatMap(numberFields);
    const keys = [...new Set(series.flatMap((s) => Object.keys(s.labels ?? {})))];
    return [{ refId, kind: "table", fields: [...keys.map((k) => field(k, "string", series.map((s) => s.labels?.[k] ?? ""))), { ...field(`Trend #${refId}`, "other", series.map((s) => s.values.map(numberOf))), ...(series[0] === undefined ? {} : { config: series[0].config }) }] }];
  });
};

/** How often values lie in each bucket. */
export const histogram: Transform = (frames, options) => {
  const bars = buildHistogram(frames, asNumber(options["bucketSize"]), asBool(options["combine"]), true);
  if (bars.buckets.length === 0) return [];
  const like = (name: string, values: readonly Cell[]): Field => ({ ...field(name, "number", values), ...(bars.source === undefined ? {} : { config: bars.source.config }) });
  return [{ refId: frames[0]?.refId ?? "A", kind: "table", fields: [like("xMin", bars.buckets.map((b) => b.from)), like("xMax", bars.buckets.map((b) => b.to)), ...bars.series.map((s) => field(s.name, "number", s.values))] }];
};

const onField = (change: (f: Field) => Field, name: (options: Parameters<Transform>[1]) => string): Transform => (frames, options) =>
  frames.map((frame) => {
    const wanted = findField(frame, name(options), frames);
    return { ...frame, fields: frame.fields.map((f) => (f === wanted ? change(f) : f)) };
  });

/** Times written as a layout says. */
export const formatTime: Transform = (frames, options) => {
  const layout = asString(options["outputFormat"], "YYYY-MM-DD HH:mm:ss");
  const zone = asBool(options["useTimezone"], true) ? asString(options["timezone"], "browser") || "browser" : "utc";
  return onField((f) => ({ ...f, type: "string", values: f.values.map((v) => (numberOf(v) === null ? v : formatLayout(Number(v), layout, zone))) }), (o) => asString(o["timeField"]))(frames, options);
};

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase();
const words = (text: string) => text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);

const looks: Readonly<Record<string, (text: string) => string>> = {
  "Upper case": (t) => t.toUpperCase(),
  "Lower case": (t) => t.toLowerCase(),
  "Sentence case": capital,
  "First letter": capital,
  "Pascal case": (t) => words(t).map(capital).join(""),
  "Camel case": (t) => words(t).map((w, i) => (i === 0 ? w.toLowerCase() : capital(w))).join(""),
  "Snake case": (t) => words(t).map((w) => w.toLowerCase()).join("_"),
  "Kebab case": (t) => words(t).map((w) => w.toLowerCase()).join("-"),
  Trim: (t) => t.trim(),
};

/** Texts in another case, or a part of them. */
export const formatString: Transform = (frames, options) => {
  const how = asString(options["outputFormat"]);
  const [from, to] = [asNumber(options["substringStart"]) ?? 0, asNumber(options["substringEnd"])];
  const change = how === "Substring" ? (t: string) => t.slice(from, to) : (looks[how] ?? ((t: string) => t));
  return onField((f) => ({ ...f, values: f.values.map((v) => (typeof v === "string" ? change(v) : v)) }), (o) => asString(o["stringField"]))(frames, options);
};

/** Settings of fields taken from the values of a query: limits, units, colours. */
export const configFromData: Transform = (frames, options) => {
  const source = frames.find((f) => f.refId === asString(options["configRefId"], "config"));
  if (source === undefined) return frames;
  const mappings = asArray(options["mappings"]).map((m) => ({ name: asString(at(m, "fieldName")), to: asString(at(m, "handlerKey")), calc: asString(at(m, "reducerId"), "lastNotNull") }));
  const settings = source.fields.flatMap((f) => {
    const name = nameOf(f, source, frames);
    const rule = mappings.find((m) => m.name === name);
    const to = rule?.to ?? (["min", "max", "unit", "decimals", "displayName"].includes(name.toLowerCase()) ? name : "");
    const value = reduceValues(f.values, rule?.calc ?? "lastNotNull");
    return to === "" || to === "__ignore" || value === null ? [] : [{ to, value }];
  });
  const own = Object.fromEntries(settings.flatMap(({ to, value }): readonly (readonly [string, string | number])[] => (to === "min" || to === "max" || to === "decimals" ? [[to, Number(value)]] : to === "unit" || to === "displayName" ? [[to, String(value)]] : [])));
  const limits = settings.filter((s) => s.to === "threshold1").map((s) => ({ color: "red", value: Number(s.value) }));
  return frames.filter((f) => f !== source).map((frame) => ({ ...frame, fields: frame.fields.map((f) => (f.type === "number" ? { ...f, config: { ...f.config, ...own, ...(limits.length === 0 ? {} : { thresholds: [{ color: "green", value: null }, ...limits] }) } } : f)) }));
};

/** How often values lie in each bucket at each moment: what a heatmap draws. */
export const heatmap: Transform = (frames, options) => {
  const map = buildHeatmap(frames, true, readBuckets({ calculation: options }));
  if (map.times.length === 0 || map.bounds.length === 0) return frames;
  return [{ refId: frames[0]?.refId ?? "A", kind: "heatmap", fields: [field("Time", "time", map.times), ...map.bounds.map((bound, i) => ({ ...field(bound, "number", map.counts[i] ?? [], { le: bound }), sourceName: bound }))] }];
};
