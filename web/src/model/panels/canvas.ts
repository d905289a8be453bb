/** Drawings made by hand: boxes, words and values at fixed places, with lines between them. */
import { displayCell, plainText } from "../data/display";
import { reduceValues } from "../data/reducers";
import type { Frame } from "../data/frame";
import { asNumber, asObject, asObjects, asString, at, type Json, type JsonObject } from "../json";
import { cssColor } from "../color/named";
import { findField } from "../transform/rows";
import type { FormatContext } from "../units/format";

export interface Drawn {
  name: string;
  shape: "rectangle" | "ellipse";
  left: number;
  top: number;
  width: number;
  height: number;
  text: string;
  color: string;
  background: string;
  border: string;
  borderWidth: number;
  fontSize: number;
  align: "start" | "middle" | "end";
  /** What of the element is not drawn. */
  missing?: string;
}

export interface Wire {
  from: { x: number; y: number };
  to: { x: number; y: number };
  color: string;
  width: number;
}

/** More elements are not drawn by hand. */
export const MAX_ELEMENTS = 500;

/** Where an element lies: by its distances from the edges it is tied to. */
function boxOf(element: JsonObject, width: number, height: number) {
  const p = asObject(element["placement"]);
  const n = (key: string) => asNumber(p[key]) ?? 0;
  const across = asString(at(element, "constraint.horizontal"), "left");
  const upright = asString(at(element, "constraint.vertical"), "top");
  const one = (tie: string, near: string, far: string, length: string, room: number): [number, number] => {
    if (tie === near) return [n(near), n(length)];
    if (tie === far) return [room - n(far) - n(length), n(length)];
    if (tie === "scale") return [(n(near) / 100) * room, Math.max(0, room - ((n(near) + n(far)) / 100) * room)];
    if (tie === "center") return [room / 2 + n(near) - n(length) / 2, n(length)];
    return [n(near), Math.max(0, room - n(near) - n(far))];
  };
  const [left, w] = one(across, "left", "right", "width", width);
  const [top, h] = one(upright, "top", "bottom", "height", height);
  return { left, top, width: w, height: h };
}

const drawnTypes = new Set(["rectangle", "ellipse", "text", "metric-value", "button"]);

export function buildCanvas(frames: readonly Frame[], options: JsonObject, width: number, height: number, isDark: boolean, context: FormatContext): { elements: readonly Drawn[]; wires: readonly Wire[] } {
  const found = (name: string) => {
    for (const frame of frames) {
      const field = name === "" ? undefined : findField(frame, name, frames);
      if (field !== undefined) return displayCell(field, reduceValues(field.values, "lastNotNull"), isDark, context);
    }
    return undefined;
  };
  const colorFrom = (v: Json | undefined, otherwise: string) => found(asString(at(v, "field")))?.color ?? (asString(at(v, "fixed")) === "" ? otherwise : cssColor(asString(at(v, "fixed")), isDark));
  const raw = asObjects(at(options, "root.elements")).slice(0, MAX_ELEMENTS);
  const elements = raw.map((e): Drawn => {
    const type = asString(e["type"]);
    const config = asObject(e["config"]);
    const written = config["text"];
    const value = found(asString(at(written, "field")));
    const align = asString(config["align"], "center");
    return {
      ...boxOf(e, width, height),
      name: asString(e["name"]),
      shape: type === "ellipse" ? "ellipse" : "rectangle",
      text: value === undefined ? asString(at(written, "fixed")) : plainText(value),
      color: colorFrom(config["color"], "var(--text)"),
      background: colorFrom(config["backgroundColor"] ?? at(e, "background.color"), "transparent"),
      border: colorFrom(at(e, "border.color"), "var(--line)"),
      borderWidth: asNumber(at(e, "border.width")) ?? asNumber(config["width"]) ?? 0,
      fontSize: asNumber(config["size"]) ?? 14,
      align: align === "left" ? "start" : align === "right" ? "end" : "middle",
      ...(drawnTypes.has(type) ? {} : { missing: type }),
    };
  });
  const byName = new Map(elements.map((e) => [e.name, e]));
  const spot = (e: Drawn, v: Json | undefined) => ({ x: e.left + (e.width * (1 + (asNumber(at(v, "x")) ?? 0))) / 2, y: e.top + (e.height * (1 - (asNumber(at(v, "y")) ?? 0))) / 2 });
  const wires = raw.flatMap((e, i) => asObjects(e["connections"]).flatMap((c): Wire[] => {
    const [from, to] = [elements[i], asString(c["targetName"]) === "" ? elements[i] : byName.get(asString(c["targetName"]))];
    if (from === undefined || to === undefined) return [];
    return [{ from: spot(from, c["source"]), to: spot(to, c["target"]), color: colorFrom(c["color"], "var(--muted)"), width: asNumber(at(c, "size.fixed")) ?? 2 }];
  }));
  return { elements, wires };
}
