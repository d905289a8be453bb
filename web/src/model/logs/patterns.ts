/** Lines that say the same but for their numbers, names and ids, counted together. */
import type { LogRow } from "../data/loki";
import { fieldsOfLine } from "./fields";
import { levelOf, levels, type Level } from "./level";

export const HOLE = "<…>";

export interface Pattern {
  text: string;
  count: number;
  /** The gravest of its lines. */
  level: Level;
  example: LogRow;
  /** How many in each of equal parts of the time. */
  over: readonly number[];
}

/** The words of a line that vary become holes: numbers, ids, addresses, times, quoted text. Neighbouring holes are one. */
export function patternOf(line: string): string {
  const fields = line.trimStart().startsWith("{") ? fieldsOfLine(line) : {};
  const said = fields["msg"] ?? fields["message"];
  const text = said === undefined ? line : fields["event"] === undefined ? said : `${fields["event"]}: ${said}`;
  return text
    .slice(0, 2000)
    .replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, HOLE)
    .replace(/\b(?:[0-9a-f]{8,}|[0-9a-f]{8}-[0-9a-f-]{27})\b/gi, (hit) => (/\d/.test(hit) ? HOLE : hit))
    .replace(/\b[\w-]*\d[\w.:%-]*/g, HOLE)
    .replace(/\s+/g, " ")
    .replace(/<…>(?:[\s,;:./-]*<…>)+/g, HOLE)
    .trim();
}

const PARTS = 24;

/** The most frequent first. */
export function findPatterns(rows: readonly LogRow[], range: { from: number; to: number }): readonly Pattern[] {
  const found = new Map<string, { count: number; level: Level; example: LogRow; over: number[] }>();
  const width = Math.max(1, range.to - range.from) / PARTS;
  for (const row of rows) {
    const text = patternOf(row.line);
    const level = levelOf(row.labels, row.fields, row.line);
    const entry = found.get(text) ?? { count: 0, level, example: row, over: Array<number>(PARTS).fill(0) };
    entry.count += 1;
    if (levels.indexOf(level) < levels.indexOf(entry.level)) entry.level = level;
    const part = Math.min(PARTS - 1, Math.max(0, Math.floor((row.timeMs - range.from) / width)));
    entry.over[part] = (entry.over[part] ?? 0) + 1;
    found.set(text, entry);
  }
  return [...found].map(([text, p]) => ({ text, ...p })).sort((a, b) => b.count - a.count || a.text.localeCompare(b.text));
}

/** The longest part of a pattern that always stands there: what a line filter can look for. */
export function fixedPart(pattern: Pattern): string {
  const said = pattern.text.includes(": ") ? pattern.text.slice(pattern.text.indexOf(": ") + 2) : pattern.text;
  const parts = said.split(HOLE).map((p) => p.trim()).filter((p) => pattern.example.line.includes(p));
  return parts.reduce((best, p) => (p.length > best.length ? p : best), "");
}
