/** Transformations that choose, name and compute columns. */
import { asBool, asNumber, asObject, asObjects, asString, asStrings, at, isObject, type JsonObject } from "../json";
import { field, rowCount, type Cell, type Field, type Frame } from "../data/frame";
import { reduceValues, reducerTitle } from "../data/reducers";
import { parseTime } from "../time/range";
import { findField, nameOf } from "./rows";

export type Transform = (frames: readonly Frame[], options: JsonObject) => readonly Frame[];

const each = (change: (frame: Frame, options: JsonObject, all: readonly Frame[]) => Frame): Transform =>
  (frames, options) => frames.map((f) => change(f, options, frames));

export function regexFrom(text: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(text);
  try {
    return new RegExp(slashed?.[1] ?? text, slashed?.[2]);
  } catch {
    return undefined;
  }
}

const renamed = (f: Field, name: string): Field => ({ ...f, config: { ...f.config, displayName: name } });

export const organize = each((frame, options, all) => {
  const exclude = asObject(options["excludeByName"]);
  const include = asObject(options["includeByName"]);
  const index = asObject(options["indexByName"]);
  const names = asObject(options["renameByName"]);
  const only = Object.values(include).some((v) => v === true);
  const kept = frame.fields
    .map((f) => ({ f, name: nameOf(f, frame, all) }))
    .filter(({ f, name }) => exclude[name] !== true && exclude[f.name] !== true && (!only || include[name] === true));
  const place = ({ f, name }: { f: Field; name: string }) => asNumber(index[name] ?? index[f.name]) ?? Number.MAX_SAFE_INTEGER;
  if (Object.keys(index).length > 0) kept.sort((a, b) => place(a) - place(b));
  return {
    ...frame,
    fields: kept.map(({ f, name }) => {
      const to = asString(names[name] ?? names[f.name]);
      return to === "" ? f : renamed(f, to);
    }),
  };
});

export const filterFieldsByName = each((frame, options, all) => {
  const chosen = (side: unknown): ((name: string) => boolean) | undefined => {
    const names = asStrings(at(side, "names"));
    const pattern = asString(at(side, "pattern"));
    if (names.length === 0 && pattern === "") return undefined;
    const regex = pattern === "" ? undefined : regexFrom(pattern);
    return (name) => names.includes(name) || regex?.test(name) === true;
  };
  const include = chosen(options["include"]);
  const exclude = chosen(options["exclude"]);
  return {
    ...frame,
    fields: frame.fields.filter((f) => {
      const name = nameOf(f, frame, all);
      return (include === undefined || include(name)) && (exclude === undefined || !exclude(name));
    }),
  };
});

export const renameByRegex = each((frame, options, all) => {
  const regex = regexFrom(asString(options["regex"]));
  if (regex === undefined) return frame;
  return {
    ...frame,
    fields: frame.fields.map((f) => {
      const name = nameOf(f, frame, all);
      return f.type !== "time" && regex.test(name) ? renamed(f, name.replace(regex, asString(options["renamePattern"]))) : f;
    }),
  };
});

function converted(cell: Cell, to: string): Cell {
  if (cell === null || cell === undefined) return null;
  switch (to) {
    case "number":
      return asNumber(cell) ?? null;
    case "string":
      return typeof cell === "object" ? JSON.stringify(cell) : String(cell);
    case "boolean":
      return cell === true || cell === "true" || cell === 1 || cell === "1";
    case "time":
      return typeof cell === "number" ? cell : (parseTime(String(cell), Date.now(), false, "utc") ?? null);
    default:
      return cell;
  }
}

export const convertFieldType = each((frame, options, all) => {
  const wanted = asObjects(options["conversions"]);
  return {
    ...frame,
    fields: frame.fields.map((f) => {
      const name = nameOf(f, frame, all);
      const to = asString(wanted.find((c) => c["targetField"] === name || c["targetField"] === f.name)?.["destinationType"]);
      if (to !== "number" && to !== "string" && to !== "boolean" && to !== "time") return f;
      return { ...f, type: to, values: f.values.map((v) => converted(v, to)) };
    }),
  };
});

const arithmetic: Record<string, (a: number, b: number) => number> = {
  "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b, "**": (a, b) => a ** b, "%": (a, b) => a % b,
  ">": (a, b) => Number(a > b), "<": (a, b) => Number(a < b), ">=": (a, b) => Number(a >= b), "<=": (a, b) => Number(a <= b), "==": (a, b) => Number(a === b), "!=": (a, b) => Number(a !== b),
};
const unary: Record<string, (a: number) => number> = { abs: Math.abs, exp: Math.exp, ln: Math.log, floor: Math.floor, ceil: Math.ceil, round: Math.round, sqrt: Math.sqrt };

/** One side of a binary operation: a fixed number, or a field; newer versions wrap it as `{fixed}` or `{matcher}`. */
function operand(v: unknown, frame: Frame, all: readonly Frame[]): (row: number) => number | null {
  const text = isObject(v) ? asString(v["fixed"] ?? at(v, "matcher.options")) : asString(v);
  const found = findField(frame, text, all);
  if (found === undefined) {
    const fixed = asNumber(text);
    return () => fixed ?? null;
  }
  return (row) => {
    const cell = found.values[row];
    return typeof cell === "number" ? cell : null;
  };
}

function computed(frame: Frame, options: JsonObject, all: readonly Frame[]): { name: string; values: Cell[] } | undefined {
  const rows = Array.from({ length: rowCount(frame) }, (_, i) => i);
  const mode = asString(options["mode"], "reduceRow");
  if (mode === "index") return { name: "Row", values: rows };
  if (mode === "binary") {
    const operator = asString(at(options, "binary.operator"), "+");
    const apply = arithmetic[operator];
    if (apply === undefined) return undefined;
    const [left, right] = [at(options, "binary.left"), at(options, "binary.right")];
    const [a, b] = [operand(left, frame, all), operand(right, frame, all)];
    const label = (v: unknown) => (isObject(v) ? asString(v["fixed"] ?? at(v, "matcher.options")) : asString(v));
    return {
      name: `${label(left)} ${operator} ${label(right)}`,
      values: rows.map((r) => {
        const [x, y] = [a(r), b(r)];
        return x === null || y === null ? null : apply(x, y);
      }),
    };
  }
  if (mode === "unary") {
    const operator = asString(at(options, "unary.operator"), "abs");
    const source = asString(at(options, "unary.fieldName"));
    const apply = unary[operator];
    if (apply === undefined) return undefined;
    const value = operand(source, frame, all);
    return { name: `${operator}(${source})`, values: rows.map((r) => { const x = value(r); return x === null ? null : apply(x); }) };
  }
  const include = asStrings(at(options, mode === "reduceRow" ? "reduce.include" : "cumulative.field"));
  const fields = frame.fields.filter((f) => f.type === "number" && (include.length === 0 || include.includes(nameOf(f, frame, all))));
  if (mode === "cumulativeFunctions") {
    const source = findField(frame, asString(at(options, "cumulative.field")), all) ?? fields[0];
    const mean = at(options, "cumulative.reducer") === "mean";
    let sum = 0;
    return { name: `cumulative ${mean ? "mean" : "sum"}`, values: rows.map((r) => { const v = source?.values[r]; sum += typeof v === "number" ? v : 0; return mean ? sum / (r + 1) : sum; }) };
  }
  if (mode !== "reduceRow") return undefined;
  const reducer = asString(at(options, "reduce.reducer"), "sum");
  return { name: reducerTitle(reducer), values: rows.map((r) => reduceValues(fields.map((f) => f.values[r]), reducer)) };
}

export const calculateField: Transform = (frames, options) => frames.map((frame) => {
  const made = computed(frame, options, frames);
  if (made === undefined) return frame;
  const column = field(asString(options["alias"]) || made.name, "number", made.values);
  const kept = asBool(options["replaceFields"]) ? frame.fields.filter((f) => f.type === "time") : frame.fields;
  return { ...frame, fields: [...kept, column] };
});

export const extractFields = each((frame, options, all) => {
  const source = findField(frame, asString(options["source"]), all);
  if (source === undefined) return frame;
  const rows = source.values.map((cell): JsonObject => {
    if (isObject(cell)) return cell;
    const text = asString(cell);
    if (options["format"] === "kvp") return Object.fromEntries([...text.matchAll(/([\w.]+)[=:]"?([^\s,"]*)"?/g)].map((m) => [m[1] ?? "", m[2] ?? ""]));
    try {
      return asObject(JSON.parse(text));
    } catch {
      return {};
    }
  });
  const keys = [...new Set(rows.flatMap((r) => Object.keys(r)))];
  const columns = keys.map((key) => {
    const values = rows.map((r) => r[key] ?? null);
    const numeric = values.some((v) => v !== null) && values.every((v) => v === null || typeof v === "number");
    return field(key, numeric ? "number" : "string", numeric ? values : values.map((v) => converted(v, "string")));
  });
  const kept = asBool(options["replace"]) ? (asBool(options["keepTime"]) ? frame.fields.filter((f) => f.type === "time") : []) : frame.fields;
  return { ...frame, fields: [...kept, ...columns] };
});

