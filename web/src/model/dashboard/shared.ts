/** Panels that show the data of another panel of the dashboard (`-- Dashboard --`). */
import { asBool, asNumber } from "../json";
import { specialOf } from "./datasource";
import type { Dashboard, Panel } from "./types";

const isShared = (panel: Panel, target: Panel["targets"][number]): boolean => specialOf(target.datasource ?? panel.datasource) === "dashboard";

/** The panel with the other's queries in the place of references to it; a reference that leads nowhere, or to another reference, stays. */
export function withShared(panel: Panel, dashboard: Dashboard): Panel {
  if (!panel.targets.some((t) => isShared(panel, t))) return panel;
  const all = dashboard.sections.flatMap((s) => s.panels);
  const transformations: Panel["transformations"][number][] = [];
  const targets = panel.targets.flatMap((target) => {
    if (!isShared(panel, target)) return [target];
    const other = all.find((p) => p.id === asNumber(target.raw["panelId"]) && p.id !== panel.id);
    if (other === undefined || other.targets.some((t) => isShared(other, t))) return [target];
    if (asBool(target.raw["withTransforms"])) transformations.push(...other.transformations);
    return other.targets.map((t) => ({ ...t, datasource: t.datasource ?? other.datasource }));
  });
  return { ...panel, datasource: null, targets, transformations: [...transformations, ...panel.transformations] };
}
