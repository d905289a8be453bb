/** From a cell to what a person sees: text, colour. Mappings first, thresholds next, the palette last. */
import { cssColor } from "../color/named";
import { classicColor, colorByName, continuousColor } from "../color/palette";
import { formatParts, type FormatContext } from "../units/format";
import type { Cell, Field, FieldConfig, Mapping, MappingResult, Threshold } from "./frame";
import { reduceValues } from "./reducers";

export interface Display {
  text: string;
  prefix?: string;
  suffix?: string;
  color?: string;
}

function regexOf(pattern: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(pattern);
  try {
    return slashed === null ? new RegExp(pattern) : new RegExp(slashed[1] ?? "", slashed[2]);
  } catch {
    return undefined;
  }
}

function specialMatches(match: string, cell: Cell): boolean {
  const isNull = cell === null || cell === undefined;
  const isNaN = typeof cell === "number" && Number.isNaN(cell);
  switch (match) {
    case "null":
      return isNull;
    case "nan":
      return isNaN;
    case "null+nan":
      return isNull || isNaN;
    case "true":
      return cell === true || cell === "true";
    case "false":
      return cell === false || cell === "false";
    default:
      return cell === "";
  }
}

/** The first mapping that fits. */
export function mapped(mappings: readonly Mapping[], cell: Cell): MappingResult | undefined {
  for (const mapping of mappings) {
    if (mapping.type === "special") {
      if (specialMatches(mapping.match, cell)) return mapping.result;
    } else if (cell === null || cell === undefined) {
      continue;
    } else if (mapping.type === "value") {
      const hit = mapping.options[String(cell)];
      if (hit !== undefined) return hit;
    } else if (mapping.type === "range") {
      const value = typeof cell === "number" ? cell : Number(cell);
      if (Number.isNaN(value)) continue;
      if ((mapping.from === null || value >= mapping.from) && (mapping.to === null || value <= mapping.to)) return mapping.result;
    } else {
      const regex = regexOf(mapping.pattern);
      if (regex?.test(String(cell)) !== true) continue;
      const text = mapping.result.text;
      return text === undefined ? mapping.result : { ...mapping.result, text: String(cell).replace(regex, text) };
    }
  }
  return undefined;
}

/** The last step that the value reaches. Percentages are of the way from min to max. */
export function thresholdFor(config: FieldConfig, value: number, range: readonly [number, number]): Threshold | undefined {
  const [min, max] = range;
  const at = config.thresholdsMode === "percentage" ? ((value - min) / (max - min || 1)) * 100 : value;
  return config.thresholds.findLast((step) => step.value === null || at >= step.value) ?? config.thresholds[0];
}

/** From infinity to minus infinity when there is no number. */
export function extentOf(fields: readonly Field[]): readonly [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const field of fields) {
    for (const v of field.values) {
      if (typeof v !== "number" || !Number.isFinite(v)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  return [low, high];
}

/** The bounds a gauge or percentage uses: configured, else of the data. */
export function boundsOf(field: Field): readonly [number, number] {
  const [low, high] = field.extent ?? extentOf([field]);
  const min = field.config.min ?? (Number.isFinite(low) ? low : 0);
  const max = field.config.max ?? (Number.isFinite(high) ? high : 100);
  return [min, max > min ? max : min + 1];
}

/** The colour of one value, by the field's colour mode. */
export function colorOf(field: Field, value: number, index: number, name: string, isDark: boolean): string {
  const { config } = field;
  const mode = config.colorMode;
  if (mode === "fixed" || mode === "shades") return cssColor(config.fixedColor ?? "green", isDark);
  if (mode === "palette-classic") return classicColor(index, isDark);
  if (mode === "palette-classic-by-name") return colorByName(name, isDark);
  const bounds = boundsOf(field);
  if (mode.startsWith("continuous-")) {
    const share = (value - bounds[0]) / (bounds[1] - bounds[0]);
    return continuousColor(mode, share, isDark) ?? classicColor(index, isDark);
  }
  return cssColor(thresholdFor(config, value, bounds)?.color ?? "green", isDark);
}

/** The colour of a whole series: by its last, least or greatest value where the mode asks for a value. */
export function seriesColor(field: Field, index: number, name: string, isDark: boolean): string {
  const by = reduceValues(field.values, field.config.seriesBy === "last" ? "lastNotNull" : field.config.seriesBy);
  return colorOf(field, typeof by === "number" ? by : 0, index, name, isDark);
}

/** A cell as text and colour. */
export function displayCell(field: Field, cell: Cell, isDark: boolean, context: FormatContext, index = 0): Display {
  const { config } = field;
  const hit = mapped(config.mappings, cell);
  const number = typeof cell === "number" ? cell : undefined;
  const base = number === undefined ? undefined : colorOf(field, number, index, field.name, isDark);
  const color = hit?.color !== undefined ? cssColor(hit.color, isDark) : base;
  const paint = color === undefined ? {} : { color };
  if (hit?.text !== undefined && hit.text !== "") return { text: hit.text, ...paint };
  if (number !== undefined) {
    if (field.type === "time" && config.unit === "") return { text: formatParts(number, "dateTimeAsIso", undefined, context).text };
    return { ...formatParts(number, config.unit, config.decimals, context), ...paint };
  }
  if (cell === null || cell === undefined) return { text: config.noValue ?? "-", ...paint };
  if (typeof cell === "object") return { text: JSON.stringify(cell), ...paint };
  return { text: String(cell), ...paint };
}

export const plainText = (d: Display): string => `${d.prefix ?? ""}${d.text}${d.suffix ?? ""}`;
