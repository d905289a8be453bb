/** The expressions of a panel, each worked out after those that it reads. */
import type { Frame } from "../data/frame";
import { asString, type JsonObject } from "../json";
import { evaluateMath } from "./math";
import { parseMath, refsOf, type Node } from "./parse";
import { classic, conditionRefs, reduce, resample, threshold } from "./steps";
import { ExpressionError, framesOf, valuesOf, type Value } from "./values";

export interface Expression {
  refId: string;
  raw: JsonObject;
}

/** What a query gave, or why it gave nothing. */
export interface Known {
  frames: readonly Frame[];
  instant: boolean;
  error?: string;
}

export type Outcome = { frames: readonly Frame[]; error?: undefined } | { frames: readonly []; error: string };

const single = new Set(["reduce", "resample", "threshold"]);
const kindOf = (raw: JsonObject): string => asString(raw["type"], "math");
const inputOf = (raw: JsonObject): string => asString(raw["expression"]).trim().replace(/^\$\{?(.*?)\}?$/, "$1");

const parsed = (raw: JsonObject): Node => parseMath(asString(raw["expression"]));

/** The queries that an expression reads; none of one that cannot be read. */
export function inputsOf(raw: JsonObject): readonly string[] {
  const kind = kindOf(raw);
  if (single.has(kind)) return [inputOf(raw)];
  if (kind === "classic_conditions") return conditionRefs(raw);
  if (kind !== "math") return [];
  try {
    return refsOf(parsed(raw));
  } catch {
    return [];
  }
}

function workOut(raw: JsonObject, of: (ref: string) => readonly Value[], range: { from: number; to: number }): readonly Value[] {
  const kind = kindOf(raw);
  switch (kind) {
    case "math":
      return evaluateMath(parsed(raw), of);
    case "reduce":
      return reduce(of(inputOf(raw)), raw);
    case "resample":
      return resample(of(inputOf(raw)), raw, range);
    case "threshold":
      return threshold(of(inputOf(raw)), raw);
    case "classic_conditions":
      return classic(raw, of);
    default:
      throw new ExpressionError(`expressions of the type ${kind} are not worked out`);
  }
}

/** All expressions by their names. One that fails, or stands in a circle, says why and leaves the others. */
export function evaluateExpressions(list: readonly Expression[], known: ReadonlyMap<string, Known>, range: { from: number; to: number }): ReadonlyMap<string, Outcome> {
  const done = new Map<string, readonly Value[] | ExpressionError>();
  const under = new Set<string>();
  const of = (ref: string): readonly Value[] => {
    const before = done.get(ref);
    if (before instanceof ExpressionError) throw new ExpressionError(`${ref} failed: ${before.message}`);
    if (before !== undefined) return before;
    const expression = list.find((e) => e.refId === ref);
    if (expression !== undefined) return now(expression);
    const query = known.get(ref);
    if (query === undefined) throw new ExpressionError(`there is no query ${ref}`);
    if (query.error !== undefined) throw new ExpressionError(`${ref} failed: ${query.error}`);
    return valuesOf(query.frames, query.instant);
  };
  const now = ({ refId, raw }: Expression): readonly Value[] => {
    if (under.has(refId)) throw new ExpressionError(`${refId} reads itself`);
    under.add(refId);
    try {
      const values = workOut(raw, of, range);
      done.set(refId, values);
      return values;
    } catch (error) {
      const failed = error instanceof ExpressionError ? error : new ExpressionError(String(error));
      done.set(refId, failed);
      throw failed;
    } finally {
      under.delete(refId);
    }
  };
  return new Map(
    list.map((e): [string, Outcome] => {
      try {
        return [e.refId, { frames: framesOf(of(e.refId), e.refId, range.to) }];
      } catch (error) {
        return [e.refId, { frames: [], error: error instanceof Error ? error.message : String(error) }];
      }
    }),
  );
}
