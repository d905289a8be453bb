import { useEffect, useMemo, useRef, useState } from "react";
import { isAbort, wordsFor } from "../api/http";
import { loadOptions } from "../api/variables";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import type { Range } from "../model/time/range";
import type { Scope } from "../model/variables/interpolate";
import { selectOptions } from "../model/variables/options";
import { evaluationOrder } from "../model/variables/order";
import type { Variable, VariableState } from "../model/variables/types";
import { filtersFromUrl, wantedFromUrl } from "../model/variables/url";

interface Input {
  variables: readonly Variable[];
  params: URLSearchParams;
  range: Range;
  sources: readonly DatasourceInfo[];
  scope: Omit<Scope, "variables">;
}

/** What is known at once, before any question is answered. */
function initial(variable: Variable, params: URLSearchParams): VariableState {
  return {
    variable,
    options: [],
    selected: selectOptions(variable, [], wantedFromUrl(variable, params)),
    filters: params.has(`var-${variable.name}`) ? filtersFromUrl(params.getAll(`var-${variable.name}`)) : variable.filters,
    loading: true,
  };
}

/** Evaluates the variables in the order of their use, again when the URL or (where they say so) the time changes. */
export function useVariables({ variables, params, range, sources, scope }: Input): { states: readonly VariableState[]; ready: boolean } {
  const [result, setResult] = useState<{ states: readonly VariableState[]; ready: boolean }>({ states: [], ready: variables.length === 0 });
  const byTime = variables.some((v) => v.refreshOnTime || v.kind === "interval");
  const urlKey = useMemo(() => variables.map((v) => `${v.name}=${params.getAll(`var-${v.name}`).join("\u0000")}`).join("\u0001"), [variables, params]);
  const timeKey = byTime ? `${range.from} ${range.to}` : "";
  const latest = useRef({ params, range, sources, scope });
  useEffect(() => {
    latest.current = { params, range, sources, scope };
  });

  useEffect(() => {
    if (variables.length === 0) return;
    const abort = new AbortController();
    const evaluate = async () => {
      const { params: now, sources: all, scope: base } = latest.current;
      const { batches, cyclic } = evaluationOrder(variables);
      const done = new Map<string, VariableState>();
      for (const v of cyclic) done.set(v.name, { ...initial(v, now), loading: false, error: "This variable uses itself, by way of others." });
      for (const batch of batches) {
        const inner: Scope = { ...base, variables: [...done.values()] };
        const states = await Promise.all(
          batch.map(async (variable): Promise<VariableState> => {
            const start = initial(variable, now);
            try {
              const options = await loadOptions(variable, inner, all, abort.signal);
              return { ...start, options, selected: selectOptions(variable, options, wantedFromUrl(variable, now)), loading: false };
            } catch (error) {
              if (isAbort(error)) throw error;
              return { ...start, loading: false, error: wordsFor(error) };
            }
          }),
        );
        for (const state of states) done.set(state.variable.name, state);
      }
      if (!abort.signal.aborted) setResult({ states: variables.flatMap((v) => done.get(v.name) ?? []), ready: true });
    };
    evaluate().catch((error: unknown) => {
      if (!isAbort(error)) setResult((r) => ({ ...r, ready: true }));
    });
    return () => abort.abort();
  }, [variables, urlKey, timeKey]);
  return result;
}
