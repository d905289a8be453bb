import type { Grid, Panel } from "./types";

export const COLUMNS = 24;
export const ROW_HEIGHT = 30;
export const GAP = 8;

const overlap = (a: Grid, b: Grid) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Panels fall upward until they rest on another: no gaps, no overlap. The first row is 0. */
export function compact<P extends { grid: Grid }>(panels: readonly P[]): readonly P[] {
  const placed: P[] = [];
  const order = [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
  for (const panel of order) {
    const column = placed.filter((p) => p.grid.x < panel.grid.x + panel.grid.w && panel.grid.x < p.grid.x + p.grid.w);
    const y = Math.max(0, ...column.map((p) => p.grid.y + p.grid.h));
    let grid = { ...panel.grid, y: Math.min(panel.grid.y, y) };
    // It may fit into a hole further up; else it rests on what is above.
    while (column.some((p) => overlap(p.grid, grid))) grid = { ...grid, y: grid.y + 1 };
    while (grid.y > 0 && !column.some((p) => overlap(p.grid, { ...grid, y: grid.y - 1 }))) grid = { ...grid, y: grid.y - 1 };
    placed.push({ ...panel, grid });
  }
  return placed;
}

export const rowsOf = (panels: readonly { grid: Grid }[]): number => Math.max(0, ...panels.map((p) => p.grid.y + p.grid.h));

/** Pixels of a number of grid rows. */
export const pixelsOf = (rows: number): number => rows * ROW_HEIGHT + Math.max(0, rows - 1) * GAP;

/** On a phone panels stand one below the other; small ones keep their height, two narrow ones share a line. */
export function narrow(panels: readonly Panel[]): readonly Panel[] {
  const order = [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
  const result: Panel[] = [];
  const lonely = new Set<Panel>();
  let y = 0;
  let half: Panel | undefined;
  for (const panel of order) {
    const small = panel.grid.w <= 6 && panel.grid.h <= 5;
    if (small && half !== undefined) {
      result.push({ ...panel, grid: { x: 12, y: half.grid.y, w: 12, h: half.grid.h } });
      half = undefined;
      continue;
    }
    if (half !== undefined) lonely.add(half);
    const placed = { ...panel, grid: { x: 0, y, w: small ? 12 : COLUMNS, h: panel.grid.h } };
    result.push(placed);
    y += panel.grid.h;
    half = small ? placed : undefined;
  }
  // A small one left alone takes the whole line.
  return result.map((p) => (p === half || lonely.has(p) ? { ...p, grid: { ...p.grid, w: COLUMNS } } : p));
}
