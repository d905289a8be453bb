/** Transformations that join, group, reduce and sort rows. */
import { asBool, asNumber, asObject, asObjects, asString, asStrings, at, type JsonObject } from "../json";
import { field, rowCount, timeField, type Cell, type Field, type Frame } from "../data/frame";
import { reduceValues, reducerTitle } from "../data/reducers";
import { regexFrom, type Transform } from "./columns";
import { findField, joinBy, nameOf, pickRows, stack } from "./rows";

/** Rows with the same values in all columns the frames share become one. */
export const merge: Transform = (frames) => {
  if (frames.length < 2) return frames.map((f) => ({ ...labelsAsColumns(f, frames), kind: "table" as const }));
  const flat = frames.map((f) => labelsAsColumns(f, frames));
  const stacked = stack(flat, flat);
  const shared = stacked.fields.filter((f) => flat.every((x) => x.fields.some((y) => (y.type === "time" ? y.name : nameOf(y, x, flat)) === f.name)));
  const rest = stacked.fields.filter((f) => !shared.includes(f));
  const groups = new Map<string, number[]>();
  for (let row = 0; row < rowCount(stacked); row++) {
    const key = JSON.stringify(shared.map((f) => f.values[row] ?? null));
    const rows = groups.get(key);
    // Two values for the same column cannot share a row.
    const clash = rows !== undefined && rest.some((f) => f.values[row] != null && rows.some((r) => f.values[r] != null));
    if (rows === undefined || clash) groups.set(clash ? `${key} ${row}` : key, [row]);
    else rows.push(row);
  }
  const all = [...groups.values()];
  return [{ ...stacked, fields: stacked.fields.map((f) => ({ ...f, values: all.map((rows) => rows.map((r) => f.values[r]).find((v) => v != null) ?? null) })) }];
};

/** The labels of a value column as columns of their own. */
function labelsAsColumns(frame: Frame, all: readonly Frame[]): Frame {
  const labelled = frame.fields.filter((f) => Object.keys(f.labels ?? {}).length > 0);
  if (labelled.length === 0) return frame;
  const count = rowCount(frame);
  const keys = [...new Set(labelled.flatMap((f) => Object.keys(f.labels ?? {})))].filter((k) => k !== "__name__");
  const columns = keys.map((k) => field(k, "string", Array<Cell>(count).fill(labelled[0]?.labels?.[k] ?? null)));
  const rest = frame.fields.filter((f) => f.type !== "time");
  const name = (f: Field) => (labelled.length === 1 && all.length > 0 ? `Value #${frame.refId}` : f.name);
  return { ...frame, fields: [...frame.fields.filter((f) => f.type === "time"), ...columns, ...rest.map((f) => { const { labels: _l, sourceName: _s, ...plain } = f; return { ...plain, name: f.type === "number" ? name(f) : f.name }; })] };
}

export const reduce: Transform = (frames, options) => {
  const calcs = asStrings(options["reducers"]);
  if (options["mode"] === "reduceFields") {
    return frames.map((frame) => ({
      ...frame,
      kind: "table" as const,
      fields: frame.fields.filter((f) => f.type === "number").flatMap((f) => calcs.map((c) => ({ ...f, name: calcs.length > 1 ? `${nameOf(f, frame, frames)} ${reducerTitle(c)}` : nameOf(f, frame, frames), values: [reduceValues(f.values, c)] }))),
    }));
  }
  const includeTime = asBool(options["includeTimeField"]);
  const withLabels = asBool(options["labelsToFields"]);
  const rows = frames.flatMap((frame) =>
    frame.fields.filter((f) => f.type === "number" || (includeTime && f.type === "time")).map((f) => ({ f, name: nameOf(f, frame, frames) })),
  );
  const keys = withLabels ? [...new Set(rows.flatMap((r) => Object.keys(r.f.labels ?? {})))] : [];
  const shared = rows[0]?.f.config;
  return [{
    refId: frames[0]?.refId ?? "A",
    kind: "table",
    fields: [
      field("Field", "string", rows.map((r) => r.name)),
      ...keys.map((k) => field(k, "string", rows.map((r) => r.f.labels?.[k] ?? null))),
      ...calcs.map((c) => ({ ...field(reducerTitle(c), "number", rows.map((r) => reduceValues(r.f.values, c))), ...(shared === undefined ? {} : { config: shared }) })),
    ],
  }];
};

export const joinByField: Transform = (frames, options) => {
  if (frames.length < 2) return frames;
  const by = asString(options["byField"]);
  const joined = joinBy(frames, (f) => (by === "" ? timeField(f) : findField(f, by, frames)), options["mode"] === "inner" ? "inner" : "outer");
  return joined === undefined ? frames : [joined];
};

export const seriesToRows: Transform = (frames) => {
  const times: Cell[] = [];
  const metrics: Cell[] = [];
  const values: Cell[] = [];
  for (const frame of frames) {
    const time = timeField(frame);
    for (const f of frame.fields) {
      if (f.type !== "number") continue;
      f.values.forEach((v, i) => {
        times.push(time?.values[i] ?? null);
        metrics.push(nameOf(f, frame, frames));
        values.push(v);
      });
    }
  }
  const order = times.map((_, i) => i).sort((a, b) => Number(times[b]) - Number(times[a]));
  const like = frames.flatMap((f) => f.fields).find((f) => f.type === "number");
  const frame: Frame = { refId: frames[0]?.refId ?? "A", kind: "table", fields: [field("Time", "time", times), field("Metric", "string", metrics), { ...field("Value", "number", values), ...(like === undefined ? {} : { config: like.config }) }] };
  return [pickRows(frame, order)];
};

export const groupBy: Transform = (frames, options) => frames.flatMap((frame) => {
  const settings = asObject(options["fields"]);
  const of = (f: Field) => asObject(settings[nameOf(f, frame, frames)] ?? settings[f.name]);
  const keys = frame.fields.filter((f) => of(f)["operation"] === "groupby");
  if (keys.length === 0) return [];
  const groups = new Map<string, number[]>();
  for (let row = 0; row < rowCount(frame); row++) {
    const key = JSON.stringify(keys.map((f) => f.values[row] ?? null));
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const rows = [...groups.values()];
  const grouped = keys.map((f) => ({ ...f, values: rows.map((r) => f.values[r[0] ?? 0]) }));
  const totals = frame.fields.flatMap((f) => {
    if (of(f)["operation"] !== "aggregate") return [];
    return asStrings(of(f)["aggregations"]).map((calc): Field => ({
      ...f,
      name: `${nameOf(f, frame, frames)} (${calc})`,
      type: "number",
      config: { ...f.config, displayName: "" },
      values: rows.map((r) => reduceValues(r.map((i) => f.values[i]), calc)),
    }));
  });
  return [{ ...frame, kind: "table" as const, fields: [...grouped, ...totals] }];
});

export const sortBy: Transform = (frames, options) => frames.map((frame) => {
  const wanted = asObjects(options["sort"])[0];
  const by = findField(frame, asString(wanted?.["field"]), frames);
  if (by === undefined) return frame;
  return sortRows(frame, by, asBool(wanted?.["desc"]));
});

const natural = new Intl.Collator("en", { numeric: true });

export function sortRows(frame: Frame, by: Field, descending: boolean): Frame {
  const rows = by.values.map((_, i) => i);
  rows.sort((a, b) => {
    const [x, y] = [by.values[a], by.values[b]];
    // What is missing stands last in either direction.
    if (x == null || y == null) return x == null ? (y == null ? 0 : 1) : -1;
    const order = typeof x === "number" && typeof y === "number" ? x - y : natural.compare(String(x), String(y));
    return descending ? -order : order;
  });
  return pickRows(frame, rows);
}

export const limit: Transform = (frames, options) => {
  const count = asNumber(options["limitField"]) ?? 10;
  return frames.map((f) => ({ ...f, fields: f.fields.map((x) => ({ ...x, values: x.values.slice(0, count) })) }));
};

function passes(cell: Cell, id: string, options: JsonObject): boolean {
  const value = options["value"];
  const number = typeof cell === "number" ? cell : NaN;
  const wanted = asNumber(value) ?? NaN;
  switch (id) {
    case "isNull":
      return cell == null;
    case "isNotNull":
      return cell != null;
    case "equal":
      return cell === value || String(cell) === asString(value);
    case "notEqual":
      return String(cell) !== asString(value);
    case "greater":
      return number > wanted;
    case "greaterOrEqual":
      return number >= wanted;
    case "lower":
      return number < wanted;
    case "lowerOrEqual":
      return number <= wanted;
    case "between":
    case "range":
      return number > (asNumber(options["from"]) ?? -Infinity) && number < (asNumber(options["to"]) ?? Infinity);
    case "regex":
      return regexFrom(asString(value))?.test(String(cell)) === true;
    case "substring":
      return String(cell).toLowerCase().includes(asString(value).toLowerCase());
    default:
      return true;
  }
}

export const filterByValue: Transform = (frames, options) => frames.map((frame) => {
  const filters = asObjects(options["filters"]).flatMap((f) => {
    const column = findField(frame, asString(f["fieldName"]), frames);
    const test = (row: number) => passes(column?.values[row], asString(at(f, "config.id")), asObject(at(f, "config.options")));
    return column === undefined ? [] : [test];
  });
  if (filters.length === 0) return frame;
  const any = options["match"] === "any";
  const keep = options["type"] !== "exclude";
  const rows = Array.from({ length: rowCount(frame) }, (_, i) => i).filter((r) => (any ? filters.some((t) => t(r)) : filters.every((t) => t(r))) === keep);
  return pickRows(frame, rows);
});

export const labelsToFields: Transform = (frames, options) => {
  const keep = asStrings(options["keepLabels"]);
  if (options["mode"] === "rows") {
    return frames.flatMap((frame) => frame.fields.filter((f) => f.labels !== undefined).map((f) => {
      const pairs = Object.entries(f.labels ?? {}).filter(([k]) => keep.length === 0 || keep.includes(k));
      return { refId: frame.refId, name: nameOf(f, frame, frames), kind: "table" as const, fields: [field("label", "string", pairs.map((p) => p[0])), field("value", "string", pairs.map((p) => p[1]))] };
    }));
  }
  const columns = frames.map((frame) => {
    const wide = labelsAsColumns(frame, []);
    return { ...wide, fields: wide.fields.filter((f) => f.type !== "string" || keep.length === 0 || keep.includes(f.name)) };
  });
  return merge(columns, {});
};
