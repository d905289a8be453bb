/** Tables of columns: what every query becomes and every panel draws. */
import type { Json, JsonObject } from "../json";

export type Labels = Readonly<Record<string, string>>;
export type FieldType = "time" | "number" | "string" | "boolean" | "other";
export type Cell = Json | undefined;

export interface Threshold {
  color: string;
  /** The first step has none: it reaches down to minus infinity. */
  value: number | null;
}

export type Mapping =
  | { type: "value"; options: Readonly<Record<string, MappingResult>> }
  | { type: "range"; from: number | null; to: number | null; result: MappingResult }
  | { type: "regex"; pattern: string; result: MappingResult }
  | { type: "special"; match: "null" | "nan" | "null+nan" | "true" | "false" | "empty"; result: MappingResult };

export interface MappingResult {
  text?: string;
  color?: string;
  index?: number;
}

export interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

export interface FieldConfig {
  unit: string;
  decimals?: number;
  min?: number;
  max?: number;
  displayName?: string;
  description?: string;
  noValue?: string;
  colorMode: string;
  fixedColor?: string;
  /** Which value of the series picks the colour: last, min, max. */
  seriesBy: "last" | "min" | "max";
  thresholdsMode: "absolute" | "percentage";
  thresholds: readonly Threshold[];
  mappings: readonly Mapping[];
  links: readonly DataLink[];
  filterable: boolean;
  custom: JsonObject;
}

export interface Field {
  name: string;
  type: FieldType;
  values: readonly Cell[];
  labels?: Labels;
  /** The name from `legendFormat`. */
  sourceName?: string;
  /** The least and greatest value of all series beside it, for colours and gauges without limits of their own. */
  extent?: readonly [number, number];
  config: FieldConfig;
}

export interface Frame {
  refId: string;
  name?: string;
  /** What the query promised: rows of logs, the buckets of a histogram. */
  kind?: "series" | "table" | "logs" | "heatmap";
  fields: readonly Field[];
}

export const emptyConfig: FieldConfig = {
  unit: "",
  colorMode: "palette-classic",
  seriesBy: "last",
  thresholdsMode: "absolute",
  thresholds: [],
  mappings: [],
  links: [],
  filterable: false,
  custom: {},
};

export function field(name: string, type: FieldType, values: readonly Cell[], labels?: Labels): Field {
  return { name, type, values, config: emptyConfig, ...(labels === undefined ? {} : { labels }) };
}

export const rowCount = (frame: Frame): number => frame.fields[0]?.values.length ?? 0;
export const timeField = (frame: Frame): Field | undefined => frame.fields.find((f) => f.type === "time");
export const numberFields = (frame: Frame): readonly Field[] => frame.fields.filter((f) => f.type === "number");

/** A cell as a number, or null: what charts and reducers count. */
export const numberOf = (cell: Cell): number | null => (typeof cell === "number" ? cell : null);
