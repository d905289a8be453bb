/** Writes variables into text: `$name`, `${name}`, `${name:format}`, `[[name]]`, and the built-in ones. */
import type { Range } from "../time/range";
import { formatDuration } from "../time/duration";
import { formatForLabels, formatDate, formatVariable } from "./formats";
import { ALL, type AdhocFilter, type Option, type VariableState } from "./types";

export interface Scope {
  variables: readonly VariableState[];
  /** The clone's own values, which win over the variable's. */
  own: Readonly<Record<string, Option>>;
  range: Range;
  zone: string;
  dashboard: { uid: string; title: string };
  user: { login: string; id: string; email: string };
  /** Values that depend on the query: `__interval`, `__rate_interval` … */
  extra: Readonly<Record<string, string>>;
}

export type Style = "labels" | "text" | "url" | "glob";

const syntax = /\$(\w+)|\$\{([^}:]+)(?::([^}]*))?\}|\[\[(\w+)(?::(\w+))?\]\]/g;

interface Values {
  values: readonly string[];
  texts: readonly string[];
  /** All with an `allValue`: written as it is. */
  verbatim?: string;
  multi: boolean;
}

export function valuesOf(state: VariableState): Values {
  const { variable, selected, options } = state;
  const multi = variable.multi || variable.includeAll;
  if (selected[0]?.value === ALL) {
    const all = options.filter((o) => o.value !== ALL);
    const base = { values: all.map((o) => o.value), texts: ["All"], multi };
    return variable.allValue === "" ? base : { ...base, verbatim: variable.allValue };
  }
  return { values: selected.map((o) => o.value), texts: selected.map((o) => o.text), multi };
}

function builtIn(name: string, format: string | undefined, scope: Scope): string | undefined {
  const { range, zone } = scope;
  const extra = scope.extra[name];
  if (extra !== undefined) return extra;
  const seconds = Math.round((range.to - range.from) / 1000);
  switch (name) {
    case "__from":
      return format?.startsWith("date") === true ? formatDate(range.from, format.slice(5), zone) : String(range.from);
    case "__to":
      return format?.startsWith("date") === true ? formatDate(range.to, format.slice(5), zone) : String(range.to);
    case "__range":
      return `${seconds}s`;
    case "__range_s":
      return String(seconds);
    case "__range_ms":
      return String(range.to - range.from);
    case "__dashboard":
    case "__dashboard.name":
      return scope.dashboard.title;
    case "__dashboard.uid":
      return scope.dashboard.uid;
    case "__org":
      return "1";
    case "__org.name":
      return "Main Org.";
    case "__user.login":
    case "__user":
      return scope.user.login;
    case "__user.id":
      return scope.user.id;
    case "__user.email":
      return scope.user.email;
    case "__timezone":
      return zone;
    case "timeFilter":
    case "__timeFilter":
      return `time >= ${range.from}ms and time <= ${range.to}ms`;
    case "__url_time_range":
      return `from=${range.from}&to=${range.to}`;
    case "__all_variables":
      return allVariables(scope);
    default:
      return undefined;
  }
}

/** All variables as parameters of a URL. */
export function allVariables(scope: Scope): string {
  return scope.variables
    .filter((s) => !s.variable.skipUrlSync && s.variable.kind !== "adhoc")
    .flatMap((s) => {
      const own = scope.own[s.variable.name];
      const values = own === undefined ? s.selected.map((o) => o.value) : [own.value];
      return values.map((v) => `var-${encodeURIComponent(s.variable.name)}=${encodeURIComponent(v)}`);
    })
    .join("&");
}

function valueText(name: string, format: string | undefined, scope: Scope, style: Style): string | undefined {
  const own = scope.own[name];
  const state = scope.variables.find((s) => s.variable.name === name);
  if (state === undefined && own === undefined) return undefined;
  const multi = state === undefined ? false : state.variable.multi || state.variable.includeAll;
  const v: Values = own !== undefined ? { values: [own.value], texts: [own.text], multi } : valuesOf(state as VariableState);
  if (format !== undefined && format !== "") {
    if (v.verbatim !== undefined && format !== "text" && format !== "queryparam") return v.verbatim;
    const values = format === "queryparam" && own === undefined && state?.selected[0]?.value === ALL ? [ALL] : v.values;
    return formatVariable(format, { name, values, texts: v.texts, zone: scope.zone });
  }
  if (style === "text") return v.texts.join(" + ");
  if (v.verbatim !== undefined) return v.verbatim;
  if (style === "url") return formatVariable("percentencode", { name, values: v.values, texts: v.texts, zone: scope.zone });
  if (style === "labels") {
    if (state?.variable.kind === "interval" || state?.variable.kind === "datasource") return v.values[0] ?? "";
    if (state?.variable.kind === "textbox" || state?.variable.kind === "constant") return v.values[0] ?? "";
    return formatForLabels(v.values, v.multi);
  }
  return formatVariable("glob", { name, values: v.values, texts: v.texts, zone: scope.zone });
}

/** The text with its variables; a name that nothing defines stays as it is written. */
export function interpolate(text: string, scope: Scope, style: Style): string {
  if (!text.includes("$") && !text.includes("[[")) return text;
  return text.replace(syntax, (whole, plain?: string, braced?: string, format?: string, square?: string, squareFormat?: string) => {
    const name = plain ?? braced ?? square ?? "";
    const how = format ?? squareFormat;
    return valueText(name, how, scope, style) ?? builtIn(name, how, scope) ?? whole;
  });
}

/** The names that a text mentions, for ordering variables that use each other. */
export function mentioned(text: string): readonly string[] {
  return [...text.matchAll(syntax)].map((m) => (m[1] ?? m[2] ?? m[4] ?? "").replace(/\..*$/, ""));
}

/** `$__auto_interval_name` for interval variables on `auto`. */
export function autoInterval(range: Range, count: number, minMs: number): string {
  return formatDuration(Math.max(minMs, roundInterval((range.to - range.from) / Math.max(1, count))));
}

/** Upper limit (ms) of a raw interval and what it becomes. */
const ladder: readonly (readonly [number, number])[] = [
  [15, 10], [35, 20], [75, 50], [150, 100], [350, 200], [750, 500], [1500, 1000], [3500, 2000], [7500, 5000], [12_500, 10_000],
  [17_500, 15_000], [25_000, 20_000], [45_000, 30_000], [90_000, 60_000], [210_000, 120_000], [450_000, 300_000], [750_000, 600_000],
  [1_050_000, 900_000], [1_500_000, 1_200_000], [2_700_000, 1_800_000], [5_400_000, 3_600_000], [9_000_000, 7_200_000],
  [16_200_000, 10_800_000], [32_400_000, 21_600_000], [86_400_000, 43_200_000], [604_800_000, 86_400_000], [1_814_400_000, 604_800_000],
  [3_628_800_000, 2_592_000_000],
];

/** A round interval near the raw one, as Grafana rounds. */
export function roundInterval(ms: number): number {
  if (ms < 10) return 1;
  return ladder.find(([limit]) => ms < limit)?.[1] ?? 31_536_000_000;
}

export const filtersOf = (states: readonly VariableState[]): readonly AdhocFilter[] =>
  states.filter((s) => s.variable.kind === "adhoc").flatMap((s) => s.filters);
