import { asArray, asBool, asNumber, asObject, asObjects, asOneOf, asString, isObject, type Json, type JsonObject } from "../json";
import { readDatasource } from "../dashboard/datasource";
import { ALL, kinds, type Option, type Variable } from "./types";

/** `current` may be one value or a list, as text or as object. */
function readCurrent(v: Json | undefined): readonly Option[] {
  const { text, value } = asObject(v);
  if (value === undefined) return [];
  const values = Array.isArray(value) ? asArray(value) : [value];
  const texts = Array.isArray(text) ? asArray(text) : [text];
  return values.flatMap((x, i): Option[] => {
    if (isObject(x) || x === null || x === "") return [];
    const one = asString(x);
    const shown = asString(texts[i], one);
    return [{ value: one === "All" && shown === "All" ? ALL : one, text: one === ALL ? "All" : shown }];
  });
}

export function readVariable(o: JsonObject): Variable {
  const query = o["query"];
  const definition = asString(o["definition"]);
  const hide = asNumber(o["hide"]);
  return {
    name: asString(o["name"]),
    kind: asOneOf(o["type"], kinds, "custom"),
    label: asString(o["label"]),
    description: asString(o["description"]),
    hide: hide === 1 || hide === 2 ? hide : o["type"] === "constant" ? 2 : 0,
    skipUrlSync: asBool(o["skipUrlSync"]),
    query: isObject(query) ? asString(query["query"], definition) : asString(query, definition),
    queryObject: asObject(query),
    datasource: readDatasource(o["datasource"]),
    refreshOnTime: asNumber(o["refresh"]) === 2,
    regex: asString(o["regex"]),
    sort: asNumber(o["sort"]) ?? 0,
    multi: asBool(o["multi"]),
    includeAll: asBool(o["includeAll"]),
    allValue: asString(o["allValue"]),
    current: readCurrent(o["current"]),
    auto: asBool(o["auto"]),
    autoCount: asNumber(o["auto_count"]) ?? 30,
    autoMin: asString(o["auto_min"], "10s"),
    filters: asObjects(o["filters"]).map((f) => ({ key: asString(f["key"]), operator: asString(f["operator"], "="), value: asString(f["value"]) })),
  };
}
