/** The values of stat, gauge, bar gauge and pie: one a series, or one a row. */
import { colorOf, displayCell, type Display } from "../data/display";
import { numberOf, type Cell, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { keepsUnit, reduceValues } from "../data/reducers";
import { regexFrom } from "../transform/columns";
import type { FormatContext } from "../units/format";
import type { ReduceOptions } from "./options";

export interface Single {
  key: string;
  name: string;
  value: Cell;
  display: Display;
  /** Of the value; the text's own where a mapping gave one. */
  color: string;
  field: Field;
  /** The series behind a reduced value. */
  trend: readonly (number | null)[];
}

function picks(options: ReduceOptions): (field: Field, name: string) => boolean {
  if (options.fields === "") return (f) => f.type === "number";
  const pattern = regexFrom(options.fields);
  return (f, name) => f.type !== "time" && (name === options.fields || pattern?.test(name) === true);
}

const LIMIT = 250;

export function singleValues(frames: readonly Frame[], options: ReduceOptions, isDark: boolean, context: FormatContext): readonly Single[] {
  const wanted = picks(options);
  const result: Single[] = [];
  const add = (field: Field, name: string, value: Cell, trend: readonly (number | null)[]) => {
    const index = result.length;
    const shown = keepsUnit(options.calc) ? field : { ...field, config: { ...field.config, unit: "none" } };
    const display = displayCell(shown, value, isDark, context, index);
    const number = numberOf(value);
    const color = display.color ?? (number === null ? "inherit" : colorOf(field, number, index, name, isDark));
    result.push({ key: `${index} ${name}`, name, value, display, color, field, trend });
  };
  for (const frame of frames) {
    const label = frame.fields.find((f) => f.type === "string");
    for (const field of frame.fields) {
      if (result.length >= LIMIT) return result;
      const name = displayName(field, frame, frames);
      if (!wanted(field, name)) continue;
      if (options.values) {
        field.values.slice(0, options.limit).forEach((v, row) => add(field, String(label?.values[row] ?? name), v, []));
      } else add(field, name, reduceValues(field.values, options.calc), field.values.map(numberOf));
    }
  }
  return result;
}

/** Columns and rows for that many tiles, so that they come nearest to a wished shape. */
export function tileGrid(count: number, width: number, height: number, orientation: "auto" | "horizontal" | "vertical"): { columns: number; rows: number } {
  if (count === 0) return { columns: 1, rows: 1 };
  if (orientation === "horizontal") return { columns: 1, rows: count };
  if (orientation === "vertical") return { columns: count, rows: 1 };
  let best = { columns: 1, rows: count };
  let bestScore = -Infinity;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const w = width / columns;
    const h = height / rows;
    const empty = columns * rows - count;
    const score = Math.min(w / 2.6, h) - empty * 3;
    if (score > bestScore) {
      bestScore = score;
      best = { columns, rows };
    }
  }
  return best;
}
