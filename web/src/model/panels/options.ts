/** Options that several panels share, read with their defaults. */
import { asBool, asNumber, asOneOf, asString, asStrings, at, type JsonObject } from "../json";

export interface LegendOptions {
  show: boolean;
  mode: "list" | "table";
  placement: "bottom" | "right";
  calcs: readonly string[];
  sortBy: string;
  sortDesc: boolean;
  width?: number;
}

export function readLegend(options: JsonObject): LegendOptions {
  const o = options["legend"];
  const width = asNumber(at(o, "width"));
  const mode = asString(at(o, "displayMode"), "list");
  return {
    show: asBool(at(o, "showLegend"), true) && mode !== "hidden",
    mode: mode === "table" ? "table" : "list",
    placement: at(o, "placement") === "right" ? "right" : "bottom",
    calcs: asStrings(at(o, "calcs")),
    sortBy: asString(at(o, "sortBy")),
    sortDesc: asBool(at(o, "sortDesc")),
    ...(width === undefined ? {} : { width }),
  };
}

export interface TooltipOptions {
  mode: "single" | "multi" | "none";
  sort: "none" | "asc" | "desc";
}

export const readTooltip = (options: JsonObject): TooltipOptions => ({
  mode: asOneOf(at(options, "tooltip.mode"), ["single", "multi", "none"], "single"),
  sort: asOneOf(at(options, "tooltip.sort"), ["none", "asc", "desc"], "none"),
});

export interface ReduceOptions {
  calc: string;
  /** All rows rather than one reduced value. */
  values: boolean;
  limit: number;
  /** A pattern for names; empty means all that are numbers. */
  fields: string;
}

export const readReduce = (options: JsonObject): ReduceOptions => ({
  calc: asStrings(at(options, "reduceOptions.calcs"))[0] ?? "lastNotNull",
  values: asBool(at(options, "reduceOptions.values")),
  limit: asNumber(at(options, "reduceOptions.limit")) ?? 25,
  fields: asString(at(options, "reduceOptions.fields")),
});
