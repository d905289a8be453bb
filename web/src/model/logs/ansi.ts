/** Terminal colours in log lines. Only text and a colour come out: nothing of a line is ever HTML. */
export interface Span {
  text: string;
  color?: string;
  bold?: boolean;
}

const base = ["#6b7280", "#e5484d", "#46a758", "#d9a514", "#3e84f2", "#b061d8", "#1fa7b5", "#9aa3af"];
const sequence = /\u001b\[([\d;]*)([A-Za-z])/g;

export const hasAnsi = (line: string): boolean => line.includes("\u001b[");

export function ansiSpans(line: string): readonly Span[] {
  const spans: Span[] = [];
  let color: string | undefined;
  let bold = false;
  let from = 0;
  const push = (text: string) => {
    if (text !== "") spans.push({ text, ...(color === undefined ? {} : { color }), ...(bold ? { bold } : {}) });
  };
  for (const hit of line.matchAll(sequence)) {
    push(line.slice(from, hit.index));
    from = hit.index + hit[0].length;
    if (hit[2] !== "m") continue;
    for (const code of (hit[1] ?? "").split(";").map(Number)) {
      if (code === 0) [color, bold] = [undefined, false];
      else if (code === 1) bold = true;
      else if (code === 39) color = undefined;
      else if (code >= 30 && code <= 37) color = base[code - 30];
      else if (code >= 90 && code <= 97) color = base[code - 90];
    }
  }
  push(line.slice(from));
  return spans;
}

export const stripAnsi = (line: string): string => line.replace(sequence, "");
