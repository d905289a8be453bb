/** Links of a value: their address with what the value, its series and its row say. */
import { displayName } from "./names";
import type { Cell, Field, Frame } from "./frame";

export interface LinkedValue {
  field: Field;
  frame: Frame;
  all: readonly Frame[];
  row: number;
  /** The value itself, if it is no cell of the frame. */
  value?: Cell;
  /** As it is shown, with its unit. */
  shown: string;
  /** Of the sample, in ms. */
  timeMs?: number;
}

const pattern = /\$\{__(value|field|series|data)(?:\.([A-Za-z]+))?(?:\.([^}[\]:]+)|\[(?:"([^"]+)"|'([^']+)'|(\d+))\])?(?::([a-z]+))?\}/g;

/** Writes what belongs to the value into the template, encoded for a URL unless it asks for `raw`; variables stay for others. */
export function linkTemplate(template: string, v: LinkedValue): string {
  const cell = v.value === undefined ? v.field.values[v.row] : v.value;
  return template.replace(pattern, (whole: string, of: string, part = "", dotted?: string, quoted?: string, single?: string, index?: string, format?: string) => {
    const key = dotted ?? quoted ?? single;
    const written = (() => {
      switch (of) {
        case "value":
          return part === "text" ? v.shown : part === "time" ? (v.timeMs === undefined ? "" : String(Math.round(v.timeMs))) : String(cell ?? "");
        case "series":
          return part === "name" ? displayName(v.field, v.frame, v.all) : undefined;
        case "field":
          if (part === "labels") return key === undefined ? Object.entries(v.field.labels ?? {}).map(([k, l]) => `${k}="${l}"`).join(", ") : (v.field.labels?.[key] ?? "");
          return part === "name" || part === "displayName" ? displayName(v.field, v.frame, v.all) : undefined;
        default: {
          const other = index !== undefined ? v.frame.fields[Number(index)] : v.frame.fields.find((f) => f.name === key || displayName(f, v.frame, v.all) === key);
          return part === "fields" ? String(other?.values[v.row] ?? "") : undefined;
        }
      }
    })();
    if (written === undefined) return whole;
    return format === "raw" ? written : encodeURIComponent(written);
  });
}
