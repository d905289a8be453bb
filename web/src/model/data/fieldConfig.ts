/** `fieldConfig` of a panel: read, and laid over the frames. */
import { asArray, asBool, asNumber, asObject, asObjects, asOneOf, asString, asStrings, at, isObject, withPath, type Json, type JsonObject } from "../json";
import { emptyConfig, type Cell, type DataLink, type Field, type FieldConfig, type Frame, type Mapping, type MappingResult, type Threshold } from "./frame";
import { extentOf } from "./display";
import { displayName } from "./names";
import { reduceValues } from "./reducers";

export interface FieldConfigSource {
  defaults: JsonObject;
  overrides: readonly JsonObject[];
}

function readResult(v: unknown): MappingResult {
  const o = asObject(v);
  const index = asNumber(o["index"]);
  return {
    ...(o["text"] === undefined ? {} : { text: asString(o["text"]) }),
    ...(typeof o["color"] === "string" ? { color: o["color"] } : {}),
    ...(index === undefined ? {} : { index }),
  };
}

export function readMappings(v: unknown): readonly Mapping[] {
  return asObjects(v).flatMap((m): Mapping[] => {
    const options = asObject(m["options"]);
    switch (m["type"]) {
      case "value":
        return [{ type: "value", options: Object.fromEntries(Object.entries(options).map(([k, r]) => [k, readResult(r)])) }];
      case "range":
        return [{ type: "range", from: asNumber(options["from"]) ?? null, to: asNumber(options["to"]) ?? null, result: readResult(options["result"]) }];
      case "regex":
        return [{ type: "regex", pattern: asString(options["pattern"]), result: readResult(options["result"]) }];
      case "special":
        return [{ type: "special", match: asOneOf(options["match"], ["null", "nan", "null+nan", "true", "false", "empty"], "null"), result: readResult(options["result"]) }];
      default:
        return [];
    }
  });
}

export function readThresholds(v: unknown): readonly Threshold[] {
  return asObjects(at(v, "steps"))
    .map((s, i) => ({ color: asString(s["color"], "green"), value: i === 0 ? null : (asNumber(s["value"]) ?? null) }))
    .sort((a, b) => (a.value ?? -Infinity) - (b.value ?? -Infinity));
}

const readLinks = (v: unknown): readonly DataLink[] =>
  asObjects(v).map((l) => ({ title: asString(l["title"]), url: asString(l["url"]), targetBlank: asBool(l["targetBlank"]) }));

/** The typed form of one merged object of defaults and overrides. */
export function readFieldConfig(o: JsonObject, defaultColor = "palette-classic"): FieldConfig {
  const optional = (key: string) => (typeof o[key] === "string" && o[key] !== "" ? { [key]: o[key] } : {});
  const numeric = (key: string) => {
    const n = asNumber(o[key]);
    return n === undefined ? {} : { [key]: n };
  };
  const fixedColor = at(o, "color.fixedColor");
  return {
    ...emptyConfig,
    unit: asString(o["unit"]),
    ...numeric("decimals"),
    ...numeric("min"),
    ...numeric("max"),
    ...optional("displayName"),
    ...optional("description"),
    ...optional("noValue"),
    colorMode: asString(at(o, "color.mode"), defaultColor),
    ...(typeof fixedColor === "string" ? { fixedColor } : {}),
    seriesBy: asOneOf(at(o, "color.seriesBy"), ["last", "min", "max"], "last"),
    thresholdsMode: asOneOf(at(o, "thresholds.mode"), ["absolute", "percentage"], "absolute"),
    thresholds: readThresholds(o["thresholds"]),
    mappings: readMappings(o["mappings"]),
    links: readLinks(o["links"]),
    filterable: asBool(o["filterable"]),
    custom: asObject(o["custom"]),
  };
}

function patternOf(text: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(text);
  try {
    return new RegExp(slashed?.[1] ?? text, slashed?.[2]);
  } catch {
    return undefined;
  }
}

function compare(left: Cell, op: string, right: Cell): boolean {
  if (typeof left !== "number") return false;
  const r = asNumber(right) ?? NaN;
  switch (op) {
    case "gt":
      return left > r;
    case "gte":
      return left >= r;
    case "lt":
      return left < r;
    case "lte":
      return left <= r;
    case "ne":
      return left !== r;
    default:
      return left === r;
  }
}

/** Whether an override's matcher picks the field. An unknown matcher picks none. */
export function matches(matcher: JsonObject, field: Field, name: string, frame: Frame): boolean {
  const options: Json | undefined = matcher["options"];
  switch (matcher["id"]) {
    case "byName":
      return name === options || field.name === options;
    case "byRegexp":
      return patternOf(asString(options))?.test(name) === true;
    case "byType":
      return field.type === options;
    case "byTypes":
      return asStrings(options).includes(field.type);
    case "byFrameRefID":
      return frame.refId === options;
    case "byNames": {
      const listed = asStrings(at(options, "names")).includes(name);
      return at(options, "mode") === "exclude" ? !listed : listed;
    }
    case "byValue":
      return field.type === "number" && compare(reduceValues(field.values, asString(at(options, "reducer"))), asString(at(options, "op")), at(options, "value"));
    case "numeric":
      return field.type === "number";
    case "time":
      return field.type === "time";
    default:
      return false;
  }
}

function applyProperties(config: JsonObject, properties: readonly JsonObject[]): JsonObject {
  return properties.reduce((merged, p) => {
    const id = asString(p["id"]);
    return id === "" || p["value"] === undefined ? merged : withPath(merged, id, p["value"]);
  }, config);
}

/** Panels that show values rather than lines colour by limits unless told otherwise. */
export const defaultColorOf = (panelType: string): string =>
  ["stat", "gauge", "bargauge", "table", "state-timeline", "status-history"].includes(panelType) ? "thresholds" : "palette-classic";

/** Defaults, then the overrides in their order, on every field of every frame. */
export function applyFieldConfig(given: readonly Frame[], source: FieldConfigSource, defaultColor?: string): readonly Frame[] {
  const frames = withExtent(given, source.defaults);
  const base = readFieldConfig(source.defaults, defaultColor);
  // The defaults are for values: a time in requests per second would be nonsense.
  const timeDefaults: JsonObject = source.defaults["custom"] === undefined ? {} : { custom: source.defaults["custom"] };
  const timeBase = readFieldConfig(timeDefaults, defaultColor);
  if (source.overrides.length === 0) {
    return frames.map((frame) => ({ ...frame, fields: frame.fields.map((f) => ({ ...f, config: keepOwn(f, f.type === "time" ? timeBase : base) })) }));
  }
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((f) => {
      const withBase = { ...f, config: keepOwn(f, f.type === "time" ? timeBase : base) };
      const name = displayName(withBase, frame, frames);
      const hits = source.overrides.filter((o) => matches(asObject(o["matcher"]), f, name, frame));
      if (hits.length === 0) return withBase;
      const merged = hits.reduce((c, o) => applyProperties(c, asObjects(asArray(o["properties"]).filter(isObject))), f.type === "time" ? timeDefaults : source.defaults);
      return { ...f, config: keepOwn(f, readFieldConfig(merged, defaultColor)) };
    }),
  }));
}

/** Series of one panel are compared with each other: they share the bounds of their data, unless each is to have its own. */
function withExtent(frames: readonly Frame[], defaults: JsonObject): readonly Frame[] {
  const series = frames.filter((f) => f.kind === "series").flatMap((f) => f.fields.filter((x) => x.type === "number"));
  if (series.length < 2 || asBool(defaults["fieldMinMax"])) return frames;
  const extent = extentOf(series);
  return frames.map((f) => (f.kind === "series" ? { ...f, fields: f.fields.map((x) => (x.type === "number" ? { ...x, extent } : x)) } : f));
}

/** A field that brought its own settings (a query told the unit) keeps them unless the panel says otherwise. */
function keepOwn(f: Field, config: FieldConfig): FieldConfig {
  const own = f.config;
  // A panel's settings are put on before and after its transformations: what was there is not there twice, and a name that one gave stays.
  const links = [...config.links, ...own.links.filter((l) => !config.links.some((c) => c.url === l.url && c.title === l.title))];
  const name = config.displayName ?? own.displayName;
  return { ...config, unit: config.unit === "" ? own.unit : config.unit, links, ...(name === undefined || name === "" ? {} : { displayName: name }) };
}
