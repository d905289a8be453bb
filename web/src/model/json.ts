/** JSON from outside, read without trust: each reader returns what was asked for, or a fallback. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

export const isObject = (v: unknown): v is JsonObject => typeof v === "object" && v !== null && !Array.isArray(v);

export const asObject = (v: unknown): JsonObject => (isObject(v) ? v : {});
export const asArray = (v: unknown): readonly Json[] => (Array.isArray(v) ? (v as readonly Json[]) : []);
export const asObjects = (v: unknown): readonly JsonObject[] => asArray(v).filter(isObject);
export const asString = (v: unknown, fallback = ""): string =>
  typeof v === "string" ? v : typeof v === "number" || typeof v === "boolean" ? String(v) : fallback;
export const asStrings = (v: unknown): readonly string[] => asArray(v).flatMap((x) => (typeof x === "string" ? [x] : []));
export const asBool = (v: unknown, fallback = false): boolean => (typeof v === "boolean" ? v : fallback);

/** A number, or text that is one: old dashboards write `"decimals": "2"`. */
export function asNumber(v: unknown): number | undefined {
  if (typeof v === "number") return Number.isFinite(v) ? v : undefined;
  if (typeof v === "string" && v.trim() !== "" && Number.isFinite(Number(v))) return Number(v);
  return undefined;
}

/** One of the words allowed, else the fallback. */
export function asOneOf<const T extends string>(v: unknown, allowed: readonly T[], fallback: NoInfer<T>): T {
  return allowed.find((word) => word === v) ?? fallback;
}

/** The value at a dotted path: `at(panel, "options.legend.calcs")`. */
export function at(v: unknown, path: string): Json | undefined {
  let here: Json | undefined = v as Json | undefined;
  for (const key of path.split(".")) {
    if (!isObject(here)) return undefined;
    here = here[key];
  }
  return here;
}

/** A copy with the value at a dotted path replaced; what lies beside stays. */
export function withPath(object: JsonObject, path: string, value: Json): JsonObject {
  const dot = path.indexOf(".");
  if (dot < 0) return { ...object, [path]: value };
  const head = path.slice(0, dot);
  return { ...object, [head]: withPath(asObject(object[head]), path.slice(dot + 1), value) };
}
