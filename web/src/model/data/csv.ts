import type { Cell, Frame } from "./frame";
import { rowCount } from "./frame";
import { displayName } from "./names";

function csvCell(cell: Cell): string {
  if (cell === null || cell === undefined) return "";
  const text = typeof cell === "object" ? JSON.stringify(cell) : String(cell);
  // A spreadsheet would take text that begins so for a formula.
  const safe = typeof cell === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** Comma-separated, with times as ISO 8601. */
export function frameToCsv(frame: Frame, all: readonly Frame[]): string {
  const head = frame.fields.map((f) => csvCell(displayName(f, frame, all))).join(",");
  const lines = [head];
  for (let row = 0; row < rowCount(frame); row++) {
    lines.push(
      frame.fields
        .map((f) => {
          const cell = f.values[row];
          return f.type === "time" && typeof cell === "number" ? new Date(cell).toISOString() : csvCell(cell);
        })
        .join(","),
    );
  }
  return `${lines.join("\r\n")}\r\n`;
}
