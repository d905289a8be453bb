/** Carries out plans: each becomes a request, each answer frames. One failed query does not take the others with it. */
import { field, type Frame } from "../model/data/frame";
import { lokiFrames } from "../model/data/loki";
import { promFrames } from "../model/data/prometheus";
import { evaluateExpressions, type Known } from "../model/expressions/evaluate";
import type { Plan } from "../model/query/plan";
import { traceTable } from "../model/traces/frames";
import { graphFrames } from "../model/traces/graph";
import { isAbort, wordsFor } from "./http";
import { lokiInstant, lokiRange, nanos } from "./loki";
import { searchTraces, serviceGraph, traceMetrics } from "./tempo";
import { queryExemplars, queryInstant, queryRange, type Exemplar } from "./prometheus";

export interface QueryResult {
  plan: Plan;
  frames: readonly Frame[];
  exemplars: readonly Exemplar[];
  error?: string;
  warnings: readonly string[];
  tookMs: number;
}

async function runOne(plan: Plan, signal: AbortSignal): Promise<Pick<QueryResult, "frames" | "exemplars" | "warnings">> {
  switch (plan.kind) {
    case "prom-range": {
      const [answer, exemplars] = await Promise.all([
        queryRange(plan.source, plan.expr, plan.startMs, plan.endMs, plan.stepMs, signal),
        // Exemplars are an extra: a store without them still draws its lines.
        plan.exemplars ? queryExemplars(plan.source, plan.expr, plan.startMs, plan.endMs, signal).catch(() => []) : [],
      ]);
      return { frames: promFrames(answer.data, plan, plan), exemplars, warnings: answer.warnings };
    }
    case "prom-instant": {
      const answer = await queryInstant(plan.source, plan.expr, plan.timeMs, signal);
      return { frames: promFrames(answer.data, plan), exemplars: [], warnings: answer.warnings };
    }
    case "loki-range": {
      const { data } = await lokiRange(
        plan.source,
        { query: plan.expr, start: nanos(plan.startMs), end: nanos(plan.endMs), direction: plan.direction, ...(plan.isMetric ? { stepMs: plan.stepMs } : { limit: plan.limit }) },
        signal,
      );
      return { frames: lokiFrames(data, { refId: plan.refId, legendFormat: plan.legendFormat, format: "time_series" }, plan, plan.direction === "backward"), exemplars: [], warnings: [] };
    }
    case "tempo-search": {
      const hits = await searchTraces(plan.source, plan.expr, { from: plan.startMs, to: plan.endMs }, plan.limit, signal, plan.spss);
      return { frames: hits.length === 0 ? [] : [traceTable(hits, plan.refId)], exemplars: [], warnings: [] };
    }
    case "tempo-metrics":
      return { frames: await traceMetrics(plan.source, plan.expr, plan, plan.refId, signal), exemplars: [], warnings: [] };
    case "tempo-trace":
      // The panel reads the trace itself: it is a tree, no table.
      return { frames: [{ refId: plan.refId, kind: "table", fields: [field("Trace ID", "string", [plan.expr])] }], exemplars: [], warnings: [] };
    case "service-map":
      return { frames: graphFrames(await serviceGraph(plan.source, plan.expr, plan.rangeS, plan.timeMs, signal), plan.refId), exemplars: [], warnings: [] };
    case "loki-instant": {
      const { data } = await lokiInstant(plan.source, plan.expr, plan.timeMs, signal);
      return { frames: lokiFrames(data, { refId: plan.refId, legendFormat: plan.legendFormat, format: "time_series" }), exemplars: [], warnings: [] };
    }
    case "unsupported":
      throw new Error(plan.reason);
    case "expression":
      throw new Error("An expression asks nothing.");
  }
}

const isInstant = (plan: Plan): boolean => plan.kind === "prom-instant" || plan.kind === "loki-instant";

/** Expressions are worked out here, of what the queries gave; what was asked for their sake only is not shown. */
function withExpressions(results: readonly QueryResult[]): readonly QueryResult[] {
  const expressions = results.flatMap(({ plan }) => (plan.kind === "expression" ? [plan] : []));
  const first = expressions[0];
  if (first === undefined) return results.map(shownOf);
  const known = new Map<string, Known>();
  for (const r of results) {
    if (r.plan.kind === "expression") continue;
    const before = known.get(r.plan.refId);
    known.set(r.plan.refId, { frames: [...(before?.frames ?? []), ...r.frames], instant: isInstant(r.plan), ...(r.error === undefined ? {} : { error: r.error }) });
  }
  const outcomes = evaluateExpressions(expressions, known, { from: first.startMs, to: first.endMs });
  return results.map((r) => {
    const outcome = r.plan.kind === "expression" ? outcomes.get(r.plan.refId) : undefined;
    return shownOf(outcome === undefined ? r : { ...r, frames: outcome.frames, ...(outcome.error === undefined ? {} : { error: outcome.error }) });
  });
}

function shownOf(result: QueryResult): QueryResult {
  if (result.plan.hidden !== true) return result;
  const { error: _error, ...rest } = result;
  return { ...rest, frames: [], exemplars: [] };
}

/** The value columns of several tables tell their queries apart, as Grafana names them: `Value #A`. */
function namedApart(result: Pick<QueryResult, "frames" | "exemplars" | "warnings">): Pick<QueryResult, "frames" | "exemplars" | "warnings"> {
  const frames = result.frames.map((f) => (f.kind === "table" ? { ...f, fields: f.fields.map((x) => (x.name === "Value" ? { ...x, name: `Value #${f.refId}` } : x)) } : f));
  return { ...result, frames };
}

export async function runPlans(plans: readonly Plan[], signal: AbortSignal): Promise<readonly QueryResult[]> {
  const several = plans.filter((p) => "format" in p && p.format === "table").length > 1;
  const results = await Promise.all(
    plans.map(async (plan): Promise<QueryResult> => {
      if (plan.kind === "expression") return { plan, frames: [], exemplars: [], warnings: [], tookMs: 0 };
      const began = performance.now();
      const done = () => Math.round(performance.now() - began);
      try {
        const result = await runOne(plan, signal);
        return { plan, ...(several ? namedApart(result) : result), tookMs: done() };
      } catch (error) {
        if (isAbort(error)) throw error;
        return { plan, frames: [], exemplars: [], warnings: [], error: wordsFor(error), tookMs: done() };
      }
    }),
  );
  return withExpressions(results);
}
