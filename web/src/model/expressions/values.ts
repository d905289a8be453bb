/** What expressions work on: numbers and series with labels, as queries gave them. */
import { field, numberFields, rowCount, timeField, type Frame, type Labels } from "../data/frame";

export interface Series {
  kind: "series";
  labels: Labels;
  /** Milliseconds, ascending. */
  times: readonly number[];
  values: readonly (number | null)[];
}

export interface Num {
  kind: "number";
  labels: Labels;
  value: number | null;
}

export type Value = Series | Num;

/** Nobody reads more, and each costs a step of each operation. */
export const MAX_VALUES = 2000;

/** What a person can be told of an expression that cannot be worked out. */
export class ExpressionError extends Error {}

/** The text columns of a row name its number. */
function rowNumbers(frame: Frame): readonly Num[] {
  const names = frame.fields.filter((f) => f.type === "string");
  return Array.from({ length: rowCount(frame) }, (_, row) => {
    const labels = Object.fromEntries(names.map((f) => [f.name, String(f.values[row] ?? "")]));
    return numberFields(frame).map((f): Num => {
      const v = f.values[row];
      return { kind: "number", labels, value: typeof v === "number" ? v : null };
    });
  }).flat();
}

/** The frames of one query as values; `instant` says that each is one number. */
export function valuesOf(frames: readonly Frame[], instant: boolean): readonly Value[] {
  const values = frames.flatMap((frame): readonly Value[] => {
    if (frame.kind === "table") return rowNumbers(frame);
    const times = (timeField(frame)?.values ?? []).map(Number);
    return numberFields(frame).map((f): Value => {
      const list = f.values.map((v) => (typeof v === "number" ? v : null));
      return instant ? { kind: "number", labels: f.labels ?? {}, value: list[list.length - 1] ?? null } : { kind: "series", labels: f.labels ?? {}, times, values: list };
    });
  });
  if (values.length > MAX_VALUES) throw new ExpressionError(`${values.length} series are more than an expression takes (MAX_VALUES, ${MAX_VALUES})`);
  return values;
}

/** Values as frames that panels draw; a number stands at the end of the range. */
export function framesOf(values: readonly Value[], refId: string, endMs: number): readonly Frame[] {
  return values.map((v): Frame => {
    const [times, list] = v.kind === "series" ? [v.times, v.values] : [[endMs], [v.value]];
    const value = field("Value", "number", list, v.labels);
    return { refId, kind: "series", fields: [field("Time", "time", times), Object.keys(v.labels).length === 0 ? { ...value, sourceName: refId } : value] };
  });
}
