/** What is done to rows before they are shown: repeated lines folded, fields counted, files written. */
import type { LogRow } from "../data/loki";
import { fieldsOfLine } from "./fields";

export type Dedup = "none" | "exact" | "numbers" | "signature";
export interface Folded {
  row: LogRow;
  /** How many equal lines followed. */
  repeats: number;
}

function keyOf(line: string, dedup: Dedup): string {
  if (dedup === "exact") return line.replace(/\d{4}-\d{2}-\d{2}[T ][\d:.,]+Z?/g, "");
  if (dedup === "numbers") return line.replace(/\d/g, "");
  return line.replace(/\w/g, "");
}

/** Folds runs of lines that are the same, but for dates, numbers or words. */
export function foldRepeats(rows: readonly LogRow[], dedup: Dedup): readonly Folded[] {
  const folded: Folded[] = [];
  let last: string | undefined;
  for (const row of rows) {
    const key = dedup === "none" ? undefined : keyOf(row.line, dedup);
    const previous = folded[folded.length - 1];
    if (key !== undefined && key === last && previous !== undefined) previous.repeats++;
    else folded.push({ row, repeats: 0 });
    last = key;
  }
  return folded;
}

export interface FieldCount {
  value: string;
  count: number;
  share: number;
}
export interface FieldStatistics {
  /** In how many of the rows the field is. */
  present: number;
  distinct: number;
  top: readonly FieldCount[];
}

export function allFields(row: LogRow): Readonly<Record<string, string>> {
  return { ...fieldsOfLine(row.line), ...row.fields, ...row.labels };
}

export function fieldStatistics(rows: readonly LogRow[], name: string): FieldStatistics {
  const counts = new Map<string, number>();
  let present = 0;
  for (const row of rows) {
    const value = row.labels[name] ?? row.fields[name] ?? fieldsOfLine(row.line)[name];
    if (value === undefined) continue;
    present++;
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const top = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5);
  return { present, distinct: counts.size, top: top.map(([value, count]) => ({ value, count, share: count / present })) };
}

export function logsAsText(rows: readonly LogRow[]): string {
  return rows.map((r) => `${new Date(r.timeMs).toISOString()}\t${r.line}\n`).join("");
}

export function logsAsJson(rows: readonly LogRow[]): string {
  return JSON.stringify(rows.map(({ tsNs, line, labels, fields }) => ({ timestamp: tsNs, line, labels, fields })), null, 2);
}
