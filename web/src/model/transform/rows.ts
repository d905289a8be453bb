/** Helpers that treat a frame as rows. */
import { field, rowCount, type Cell, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";

export const nameOf = (f: Field, frame: Frame, all: readonly Frame[]): string => displayName(f, frame, all);

/** The frame with only the rows at these positions. */
export const pickRows = (frame: Frame, rows: readonly number[]): Frame => ({ ...frame, fields: frame.fields.map((f) => ({ ...f, values: rows.map((r) => f.values[r]) })) });

export const findField = (frame: Frame, name: string, all: readonly Frame[]): Field | undefined =>
  frame.fields.find((f) => nameOf(f, frame, all) === name) ?? frame.fields.find((f) => f.name === name);

/** Columns by name, filled with null where a part lacks them: one frame below the other. */
export function stack(frames: readonly Frame[], all: readonly Frame[]): Frame {
  const columns = new Map<string, { like: Field; values: Cell[] }>();
  let rows = 0;
  for (const frame of frames) {
    for (const f of frame.fields) {
      const name = f.type === "time" ? f.name : nameOf(f, frame, all);
      if (!columns.has(name)) columns.set(name, { like: f, values: Array<Cell>(rows).fill(null) });
    }
    const count = rowCount(frame);
    const byName = new Map(frame.fields.map((f) => [f.type === "time" ? f.name : nameOf(f, frame, all), f]));
    for (const [name, column] of columns) {
      const values = byName.get(name)?.values;
      for (let r = 0; r < count; r++) column.values.push(values?.[r] ?? null);
    }
    rows += count;
  }
  return { refId: frames[0]?.refId ?? "A", kind: "table", fields: [...columns].map(([name, c]) => ({ ...field(name, c.like.type, c.values), config: c.like.config })) };
}

/** All fields side by side, rows matched by the key's value. `inner` keeps only keys that all frames have. */
export function joinBy(frames: readonly Frame[], keyOf: (frame: Frame) => Field | undefined, mode: "outer" | "inner"): Frame | undefined {
  const parts = frames.flatMap((frame) => {
    const key = keyOf(frame);
    return key === undefined ? [] : [{ frame, key, rowOf: new Map(key.values.map((v, i) => [v, i])) }];
  });
  const first = parts[0];
  if (first === undefined) return undefined;
  const keys = new Set<Cell>();
  for (const p of parts) for (const v of p.key.values) keys.add(v);
  const kept = mode === "inner" ? [...keys].filter((k) => parts.every((p) => p.rowOf.has(k))) : [...keys];
  if (first.key.type === "time" || first.key.type === "number") kept.sort((a, b) => Number(a) - Number(b));
  const fields = parts.flatMap(({ frame, key, rowOf }) =>
    frame.fields
      .filter((f) => f !== key)
      .map((f): Field => ({
        ...f,
        ...(f.sourceName === undefined && f.labels === undefined && frame.name !== undefined && f.name === "Value" ? { sourceName: frame.name } : {}),
        values: kept.map((k) => {
          const row = rowOf.get(k);
          return row === undefined ? null : (f.values[row] ?? null);
        }),
      })),
  );
  return { refId: first.frame.refId, kind: "table", fields: [{ ...first.key, values: kept }, ...fields] };
}
