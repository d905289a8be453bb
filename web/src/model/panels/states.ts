/** States over time: a lane a series, neighbours with the same state as one piece. */
import { displayCell, plainText } from "../data/display";
import { timeField, type Cell, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { thresholdFor, boundsOf } from "../data/display";
import type { FormatContext } from "../units/format";

export interface Piece {
  from: number;
  to: number;
  text: string;
  color: string;
}
export interface Lane {
  name: string;
  pieces: readonly Piece[];
}

/** What makes two samples the same state: the text shown, or the limit reached. */
function stateOf(field: Field, cell: Cell, isDark: boolean, context: FormatContext): { key: string; text: string; color: string } | undefined {
  if (cell === null || cell === undefined || cell === "") return undefined;
  const shown = displayCell(field, cell, isDark, context);
  const text = plainText(shown);
  const byLimit = typeof cell === "number" && field.config.colorMode === "thresholds" && field.config.mappings.length === 0;
  const key = byLimit ? String(thresholdFor(field.config, cell, boundsOf(field))?.value) : text;
  return { key, text, color: shown.color ?? hashColor(text) };
}

function hashColor(text: string): string {
  let h = 0;
  for (const c of text) h = (h * 31 + c.charCodeAt(0)) % 360;
  return `hsl(${h} 50% 50%)`;
}

export function buildLanes(frames: readonly Frame[], merge: boolean, isDark: boolean, context: FormatContext, end: number): readonly Lane[] {
  return frames.flatMap((frame) => {
    const times = (timeField(frame)?.values ?? []).map(Number);
    const step = (times[1] ?? 0) - (times[0] ?? 0);
    return frame.fields
      .filter((f) => f.type !== "time" && f.type !== "other")
      .slice(0, 100)
      .map((field): Lane => {
        const pieces: (Piece & { key: string })[] = [];
        field.values.forEach((cell, i) => {
          const state = stateOf(field, cell, isDark, context);
          if (state === undefined) return;
          const from = times[i] ?? 0;
          const to = times[i + 1] ?? Math.min(end, from + (step || end - from));
          const last = pieces[pieces.length - 1];
          if (merge && last !== undefined && last.key === state.key && last.to === from) last.to = to;
          else pieces.push({ from, to, ...state });
        });
        return { name: displayName(field, frame, frames), pieces };
      });
  });
}
