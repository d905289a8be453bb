/** A dashboard as the app knows it. What the app does not know stays in `raw`, so that saving loses nothing. */
import type { QuickRange } from "../time/quick";
import type { FieldConfigSource } from "../data/fieldConfig";
import type { JsonObject } from "../json";
import type { RawRange } from "../time/range";
import type { Variable } from "../variables/types";

/** As written: resolved later, by uid, name, type, default. */
export interface DatasourceRef {
  uid?: string;
  type?: string;
}

export interface Grid {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Target {
  refId: string;
  datasource: DatasourceRef | null;
  hide: boolean;
  raw: JsonObject;
}

export interface Transformation {
  id: string;
  disabled: boolean;
  options: JsonObject;
  /** A matcher that limits it to some frames. */
  filter?: JsonObject;
}

export interface Link {
  title: string;
  url: string;
  targetBlank: boolean;
}

export interface DashboardLink extends Link {
  kind: "dashboards" | "link";
  tags: readonly string[];
  tooltip: string;
  keepTime: boolean;
  includeVars: boolean;
  asDropdown: boolean;
}

export interface Annotation {
  name: string;
  enable: boolean;
  hide: boolean;
  builtIn: boolean;
  iconColor: string;
  datasource: DatasourceRef | null;
  raw: JsonObject;
}

export interface Panel {
  id: number;
  /** Tells clones of a repeated panel apart. */
  key: string;
  type: string;
  title: string;
  description: string;
  grid: Grid;
  datasource: DatasourceRef | null;
  targets: readonly Target[];
  fieldConfig: FieldConfigSource;
  options: JsonObject;
  transformations: readonly Transformation[];
  links: readonly Link[];
  transparent: boolean;
  repeat?: string;
  repeatDirection: "h" | "v";
  maxPerRow: number;
  maxDataPoints?: number;
  interval?: string;
  timeFrom?: string;
  timeShift?: string;
  hideTimeOverride: boolean;
  /** Values of the repeated variable that hold for this clone only. */
  scope: Readonly<Record<string, { text: string; value: string }>>;
  raw: JsonObject;
}

/** A row with what is below it; the first section of a dashboard may have no row. */
export interface Section {
  key: string;
  title?: string;
  collapsed: boolean;
  repeat?: string;
  scope: Panel["scope"];
  panels: readonly Panel[];
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  tags: readonly string[];
  timezone: string;
  /** 0 each alone, 1 shared crosshair, 2 shared tooltip */
  graphTooltip: 0 | 1 | 2;
  refresh: string;
  time: RawRange;
  refreshIntervals: readonly string[];
  /** In place of the usual ones, where the dashboard lists its own. */
  quickRanges: readonly QuickRange[];
  hideTimePicker: boolean;
  nowDelay: string;
  variables: readonly Variable[];
  annotations: readonly Annotation[];
  links: readonly DashboardLink[];
  sections: readonly Section[];
  /** What was migrated, guessed or skipped, in words for a person. */
  notices: readonly string[];
  raw: JsonObject;
}
