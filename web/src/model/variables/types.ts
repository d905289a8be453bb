import type { DatasourceRef } from "../dashboard/types";
import type { JsonObject } from "../json";

export const kinds = ["query", "custom", "interval", "datasource", "textbox", "constant", "adhoc", "system", "groupby"] as const;
export type Kind = (typeof kinds)[number];

export interface Option {
  text: string;
  value: string;
}

export interface AdhocFilter {
  key: string;
  operator: string;
  value: string;
}

export interface Variable {
  name: string;
  kind: Kind;
  label: string;
  description: string;
  /** 0 shown, 1 without label, 2 not at all */
  hide: 0 | 1 | 2;
  skipUrlSync: boolean;
  /** The text for custom, interval, textbox, constant and datasource; the expression for query. */
  query: string;
  queryObject: JsonObject;
  datasource: DatasourceRef | null;
  refreshOnTime: boolean;
  regex: string;
  sort: number;
  multi: boolean;
  includeAll: boolean;
  allValue: string;
  current: readonly Option[];
  auto: boolean;
  autoCount: number;
  autoMin: string;
  filters: readonly AdhocFilter[];
}

export const ALL = "$__all";

/** A variable with what it can be and what it is now. */
export interface VariableState {
  variable: Variable;
  options: readonly Option[];
  /** Several only where the variable is `multi`; the one value `$__all` for All. */
  selected: readonly Option[];
  filters: readonly AdhocFilter[];
  loading: boolean;
  error?: string;
}
