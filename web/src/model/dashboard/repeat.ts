/** Panels and rows that stand once for each value of a variable. */
import { ALL, type Option, type VariableState } from "../variables/types";
import { compact } from "./layout";
import type { Panel, Section } from "./types";

/** More clones than this would help nobody and stop the browser. */
const LIMIT = 100;

function valuesFor(name: string, states: readonly VariableState[]): readonly Option[] {
  const state = states.find((s) => s.variable.name === name);
  if (state === undefined) return [];
  const chosen = state.selected[0]?.value === ALL ? state.options.filter((o) => o.value !== ALL) : state.selected;
  return chosen.slice(0, LIMIT);
}

const inScope = (panel: Panel, name: string, value: Option, n: number): Panel => ({
  ...panel,
  key: n === 0 ? panel.key : `${panel.key}-${name}-${value.value}`,
  scope: { ...panel.scope, [name]: value },
});

/** The clones of one panel, laid out from where it stands; a single panel when nothing repeats. */
export function repeatPanel(panel: Panel, states: readonly VariableState[]): readonly Panel[] {
  if (panel.repeat === undefined) return [panel];
  const name = panel.repeat;
  const values = valuesFor(name, states);
  if (values.length === 0) return [panel];
  const perRow = Math.min(Math.max(1, panel.maxPerRow), values.length);
  const w = panel.repeatDirection === "v" ? panel.grid.w : Math.max(1, Math.floor(24 / perRow));
  return values.map((value, n) => {
    const column = panel.repeatDirection === "v" ? 0 : n % perRow;
    const line = panel.repeatDirection === "v" ? n : Math.floor(n / perRow);
    const x = panel.repeatDirection === "v" ? panel.grid.x : column * w;
    return { ...inScope(panel, name, value, n), grid: { x, y: panel.grid.y + line * panel.grid.h, w, h: panel.grid.h } };
  });
}

/** Repeats panels of a section; those below move down by what was added. */
function repeatPanels(panels: readonly Panel[], states: readonly VariableState[]): readonly Panel[] {
  const result: Panel[] = [];
  let moved = 0;
  for (const panel of [...panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x)) {
    const at = { ...panel, grid: { ...panel.grid, y: panel.grid.y + moved } };
    const clones = repeatPanel(at, states);
    result.push(...clones);
    if (clones.length > 1) moved += Math.max(...clones.map((c) => c.grid.y + c.grid.h)) - (at.grid.y + at.grid.h);
  }
  return compact(result);
}

export function repeatSections(sections: readonly Section[], states: readonly VariableState[]): readonly Section[] {
  return sections.flatMap((section) => {
    const values = section.repeat === undefined ? [] : valuesFor(section.repeat, states);
    if (section.repeat === undefined || values.length === 0) return [{ ...section, panels: repeatPanels(section.panels, states) }];
    const name = section.repeat;
    return values.map((value, n) => ({
      ...section,
      key: n === 0 ? section.key : `${section.key}-${value.value}`,
      scope: { [name]: value },
      panels: repeatPanels(section.panels.map((p) => inScope(p, name, value, n)), states),
    }));
  });
}
