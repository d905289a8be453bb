/** Changes to a dashboard's JSON. What the app does not know of it stays as it is. */
import { asBool, asNumber, asObject, asObjects, asString, at, isObject, withPath, type Json, type JsonObject } from "../json";
import { compact, rowsOf } from "./layout";
import { loadDashboard, modernDashboard } from "./load";
import type { Dashboard, Grid } from "./types";

const gridJson = ({ x, y, w, h }: Grid): JsonObject => ({ x, y, w, h });

/** Panels of the file in their rows: what is below an open row is in it. */
interface Part {
  row?: JsonObject;
  panels: readonly JsonObject[];
}

const idOf = (p: JsonObject): number => asNumber(p["id"]) ?? 0;

function partsOf(json: JsonObject): readonly Part[] {
  const parts: { row?: JsonObject; panels: JsonObject[] }[] = [{ panels: [] }];
  for (const p of asObjects(json["panels"])) {
    if (p["type"] === "row") parts.push({ row: p, panels: [...asObjects(p["panels"])] });
    else parts[parts.length - 1]?.panels.push(p);
  }
  return parts;
}

const readGrid = (p: JsonObject): Grid => {
  const g = asObject(p["gridPos"]);
  const w = Math.min(24, Math.max(1, asNumber(g["w"]) ?? 12));
  return { w, h: Math.max(1, asNumber(g["h"]) ?? 8), x: Math.min(24 - w, Math.max(0, asNumber(g["x"]) ?? 0)), y: Math.max(0, asNumber(g["y"]) ?? 0) };
};

/** Lays all parts below each other and writes every place anew. */
function withParts(json: JsonObject, parts: readonly Part[]): JsonObject {
  const panels: Json[] = [];
  let y = 0;
  for (const { row, panels: own } of parts) {
    if (row === undefined && own.length === 0) continue;
    const least = Math.min(...own.map((p) => readGrid(p).y));
    const placed = compact(own.map((raw) => ({ raw, grid: { ...readGrid(raw), y: readGrid(raw).y - (Number.isFinite(least) ? least : 0) } })));
    const collapsed = row !== undefined && asBool(row["collapsed"]);
    if (row !== undefined) y += 1;
    const list = placed.map(({ raw, grid }): JsonObject => ({ ...raw, gridPos: gridJson({ ...grid, y: grid.y + y }) }));
    if (row !== undefined) panels.push({ ...row, gridPos: gridJson({ x: 0, y: y - 1, w: 24, h: 1 }), panels: collapsed ? list : [] });
    if (!collapsed) {
      panels.push(...list);
      y += rowsOf(placed);
    }
  }
  return { ...json, panels };
}

/** The newest form of a dashboard, with ids and places for every panel: what editing starts from. */
export function startEditing(dashboard: Dashboard): JsonObject {
  const json = modernDashboard(dashboard.raw);
  const used = new Set<number>();
  let next = Math.max(0, ...asObjects(json["panels"]).flatMap((p) => [p, ...asObjects(p["panels"])]).map(idOf)) + 1;
  const withId = (p: JsonObject): JsonObject => {
    const own = idOf(p);
    const id = own > 0 && !used.has(own) ? own : next++;
    used.add(id);
    return { ...p, id, ...(p["type"] === "row" ? { panels: asObjects(p["panels"]).map(withId) } : {}) };
  };
  const sorted = [...asObjects(json["panels"])].sort((a, b) => (asNumber(at(a, "gridPos.y")) ?? 1e9) - (asNumber(at(b, "gridPos.y")) ?? 1e9) || (asNumber(at(a, "gridPos.x")) ?? 0) - (asNumber(at(b, "gridPos.x")) ?? 0));
  const whole: JsonObject = { ...json, panels: sorted.map(withId) };
  return withParts(whole, partsOf(whole));
}

const mapPanels = (json: JsonObject, change: (p: JsonObject) => readonly JsonObject[]): JsonObject =>
  withParts(json, partsOf(json).map((part) => ({ ...part, panels: part.panels.flatMap(change) })));

export const panelById = (json: JsonObject, id: number): JsonObject | undefined => partsOf(json).flatMap((p) => [...p.panels, ...(p.row === undefined ? [] : [p.row])]).find((p) => idOf(p) === id);

export const changePanel = (json: JsonObject, id: number, change: (p: JsonObject) => JsonObject): JsonObject => mapPanels(json, (p) => [idOf(p) === id ? { ...change(p), id } : p]);

export const removePanel = (json: JsonObject, id: number): JsonObject => mapPanels(json, (p) => (idOf(p) === id ? [] : [p]));

const freeId = (json: JsonObject): number => Math.max(0, ...partsOf(json).flatMap((p) => [...p.panels, ...(p.row === undefined ? [] : [p.row])]).map(idOf)) + 1;

/** A copy right below the panel. */
export function duplicatePanel(json: JsonObject, id: number): JsonObject {
  const copy = freeId(json);
  return mapPanels(json, (p) => {
    if (idOf(p) !== id) return [p];
    const grid = readGrid(p);
    return [p, { ...p, id: copy, title: `${asString(p["title"])} (copy)`, gridPos: gridJson({ ...grid, y: grid.y + grid.h }) }];
  });
}

export const newPanel: JsonObject = { type: "timeseries", title: "New panel", description: "", fieldConfig: { defaults: {}, overrides: [] }, options: { legend: { showLegend: true, displayMode: "list", placement: "bottom", calcs: [] }, tooltip: { mode: "multi", sort: "desc" } }, targets: [{ refId: "A", expr: "" }] };

/** A new panel at the top, where it is seen. */
export function addPanel(json: JsonObject, panel: JsonObject = newPanel): { json: JsonObject; id: number } {
  const id = freeId(json);
  const [first, ...rest] = partsOf(json);
  const top = (first?.panels ?? []).map((p) => ({ ...p, gridPos: gridJson({ ...readGrid(p), y: readGrid(p).y + 8 }) }));
  return { id, json: withParts(json, [{ panels: [{ ...panel, id, gridPos: gridJson({ x: 0, y: 0, w: 12, h: 8 }) }, ...top] }, ...rest]) };
}

export function addRow(json: JsonObject, title: string): JsonObject {
  return withParts(json, [...partsOf(json), { row: { type: "row", id: freeId(json), title, collapsed: false }, panels: [] }]);
}

/** A row goes; its panels join what is above. */
export function removeRow(json: JsonObject, id: number): JsonObject {
  const kept: { row?: JsonObject; panels: readonly JsonObject[] }[] = [];
  for (const part of partsOf(json)) {
    const last = kept[kept.length - 1];
    if (part.row === undefined || idOf(part.row) !== id || last === undefined) kept.push(part);
    else {
      const bottom = Math.max(0, ...last.panels.map((p) => readGrid(p).y + readGrid(p).h));
      last.panels = [...last.panels, ...part.panels.map((p) => ({ ...p, gridPos: gridJson({ ...readGrid(p), y: readGrid(p).y + bottom }) }))];
    }
  }
  return withParts(json, kept);
}

export const renameRow = (json: JsonObject, id: number, title: string): JsonObject => withParts(json, partsOf(json).map((p) => (p.row !== undefined && idOf(p.row) === id ? { ...p, row: { ...p.row, title } } : p)));

const overlap = (a: Grid, b: Grid) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** The panels of one row after one of them was put somewhere: it stays there, others make room, gaps close. */
export function place<P extends { grid: Grid }>(panels: readonly P[], moved: P, to: Grid): readonly P[] {
  const w = Math.min(24, Math.max(2, to.w));
  const grid = { w, h: Math.max(2, to.h), x: Math.min(24 - w, Math.max(0, to.x)), y: Math.max(0, to.y) };
  const placed: P[] = [{ ...moved, grid }];
  for (const p of panels.filter((o) => o !== moved).sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x)) {
    let own = p.grid;
    for (let hit = placed.find((o) => overlap(o.grid, own)); hit !== undefined; hit = placed.find((o) => overlap(o.grid, own))) own = { ...own, y: hit.grid.y + hit.grid.h };
    placed.push({ ...p, grid: own });
  }
  return compact(placed);
}

/** Writes the places of a row's panels, relative to its top. */
export function setGrids(json: JsonObject, grids: ReadonlyMap<number, Grid>): JsonObject {
  return withParts(json, partsOf(json).map((part) => ({ ...part, panels: part.panels.map((p) => {
    const grid = grids.get(idOf(p));
    return grid === undefined ? p : { ...p, gridPos: gridJson(grid) };
  }) })));
}

/** Moves a panel to the end of another row; row 0 is what stands above all rows. */
export function moveToRow(json: JsonObject, id: number, rowId: number): JsonObject {
  const panel = panelById(json, id);
  if (panel === undefined) return json;
  const without = partsOf(removePanel(json, id));
  return withParts(json, without.map((part) => {
    if ((part.row === undefined ? 0 : idOf(part.row)) !== rowId) return part;
    const bottom = Math.max(0, ...part.panels.map((p) => readGrid(p).y + readGrid(p).h));
    return { ...part, panels: [...part.panels, { ...panel, gridPos: gridJson({ ...readGrid(panel), y: bottom }) }] };
  }));
}

/** A value at a path, or its removal: options that are not set are not written. */
export function setAt(json: JsonObject, path: string, value: Json | undefined): JsonObject {
  if (value !== undefined) return withPath(json, path, value);
  const dot = path.lastIndexOf(".");
  const [parent, key] = dot < 0 ? ["", path] : [path.slice(0, dot), path.slice(dot + 1)];
  const holder = parent === "" ? json : at(json, parent);
  if (!isObject(holder)) return json;
  const rest: JsonObject = Object.fromEntries(Object.entries(holder).filter(([k]) => k !== key));
  return parent === "" ? rest : withPath(json, parent, rest);
}

export interface Fault {
  message: string;
  line?: number;
}

/** Text from a person as a dashboard, or why it is none. */
export function parseDashboard(text: string): { json: JsonObject } | Fault {
  try {
    const read: unknown = JSON.parse(text);
    const inner = isObject(read) && isObject(read["dashboard"]) && read["panels"] === undefined ? read["dashboard"] : read;
    if (!isObject(inner)) return { message: "This is no dashboard: an object is expected." };
    if (inner["panels"] === undefined && inner["rows"] === undefined) return { message: "This is no dashboard: it has no panels." };
    loadDashboard(inner);
    return { json: inner };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = Number(/position (\d+)/.exec(message)?.[1]);
    return Number.isFinite(position) ? { message, line: text.slice(0, position).split("\n").length } : { message };
  }
}
