import { mentioned } from "./interpolate";
import type { Variable } from "./types";

export const dependencies = (variable: Variable): readonly string[] =>
  mentioned([variable.query, variable.regex, variable.datasource?.uid ?? "", JSON.stringify(variable.queryObject)].join(" "));

/** Batches in which variables can be evaluated, each after those it uses; what is in a circle is told apart. */
export function evaluationOrder(variables: readonly Variable[]): { batches: readonly (readonly Variable[])[]; cyclic: readonly Variable[] } {
  const names = new Set(variables.map((v) => v.name));
  let waiting = variables.map((v) => ({ variable: v, needs: dependencies(v).filter((n) => names.has(n)) }));
  const done = new Set<string>();
  const batches: Variable[][] = [];
  while (waiting.length > 0) {
    const ready = waiting.filter((w) => w.needs.every((n) => done.has(n)));
    if (ready.length === 0) return { batches, cyclic: waiting.map((w) => w.variable) };
    for (const { variable } of ready) done.add(variable.name);
    waiting = waiting.filter((w) => !done.has(w.variable.name));
    batches.push(ready.map((r) => r.variable));
  }
  return { batches, cyclic: [] };
}
