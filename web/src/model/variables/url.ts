import type { AdhocFilter, Variable, VariableState } from "./types";

/** The values that the URL wants for a variable; undefined when it says nothing. */
export function wantedFromUrl(variable: Variable, params: URLSearchParams): readonly string[] | undefined {
  const values = params.getAll(`var-${variable.name}`);
  return values.length === 0 ? undefined : values;
}

const escapePart = (text: string) => text.replace(/\|/g, "__gfp__").replace(/,/g, "__gfc__");
const unescapePart = (text: string) => text.replace(/__gfp__/g, "|").replace(/__gfc__/g, ",");

/** Ad-hoc filters travel as `key|operator|value`. */
export function filtersFromUrl(values: readonly string[]): readonly AdhocFilter[] {
  return values.flatMap((text) => {
    const [key, operator, value] = text.split("|").map(unescapePart);
    return key === undefined || key === "" || operator === undefined || value === undefined ? [] : [{ key, operator, value }];
  });
}

export const filterToUrl = (f: AdhocFilter): string => [f.key, f.operator, f.value].map(escapePart).join("|");

/** The parameters that say what a variable is now. */
export function urlValues(state: VariableState): readonly string[] {
  if (state.variable.kind === "adhoc") return state.filters.map(filterToUrl);
  return state.selected.map((o) => o.value);
}
