/** Works out `math` expressions over numbers and series, label by label. */
import { functions, type Node } from "./parse";
import { ExpressionError, MAX_VALUES, type Value } from "./values";
import type { Labels } from "../data/frame";

const truth = (b: boolean) => Number(b);

/** Null and NaN go through arithmetic; a comparison with either is false. */
function operate(operator: string, a: number | null, b: number | null): number | null {
  if (a === null || b === null) return null;
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "**":
      return a ** b;
    case "==":
      return truth(a === b);
    case "!=":
      return truth(a !== b);
    case ">":
      return truth(a > b);
    case "<":
      return truth(a < b);
    case ">=":
      return truth(a >= b);
    case "<=":
      return truth(a <= b);
    case "&&":
      return Number.isNaN(a) || Number.isNaN(b) ? NaN : truth(a !== 0 && b !== 0);
    case "||":
      return Number.isNaN(a) || Number.isNaN(b) ? NaN : truth(a !== 0 || b !== 0);
    default:
      throw new ExpressionError(`there is no operator ${operator}`);
  }
}

const map = (value: Value, change: (v: number | null) => number | null): Value => (value.kind === "number" ? { ...value, value: change(value.value) } : { ...value, values: value.values.map(change) });

/** Whether every label of one is on the other with the same value. */
const within = (small: Labels, large: Labels): boolean => Object.entries(small).every(([k, v]) => large[k] === v);

function together(operator: string, a: Value, b: Value, labels: Labels): Value {
  if (a.kind === "number" && b.kind === "number") return { kind: "number", labels, value: operate(operator, a.value, b.value) };
  if (a.kind === "number" && b.kind === "series") return { ...b, labels, values: b.values.map((v) => operate(operator, a.value, v)) };
  if (a.kind === "series" && b.kind === "number") return { ...a, labels, values: a.values.map((v) => operate(operator, v, b.value)) };
  if (a.kind !== "series" || b.kind !== "series") throw new ExpressionError("two values of unknown kinds");
  // Only moments that both have.
  const other = new Map(b.times.map((t, i) => [t, b.values[i] ?? null]));
  const rows = a.times.flatMap((t, i) => (other.has(t) ? [[t, operate(operator, a.values[i] ?? null, other.get(t) ?? null)] as const] : []));
  return { kind: "series", labels, times: rows.map(([t]) => t), values: rows.map(([, v]) => v) };
}

/** Pairs whose labels are equal, or those of one among those of the other; one with one fit always. */
function binary(operator: string, left: readonly Value[], right: readonly Value[]): readonly Value[] {
  const pairs = left.flatMap((a) =>
    right.flatMap((b): readonly Value[] => {
      if (within(b.labels, a.labels)) return [together(operator, a, b, a.labels)];
      if (within(a.labels, b.labels)) return [together(operator, a, b, b.labels)];
      return [];
    }),
  );
  const [a, b] = [left[0], right[0]];
  if (pairs.length === 0 && left.length === 1 && right.length === 1 && a !== undefined && b !== undefined) return [together(operator, a, b, a.labels)];
  if (pairs.length > MAX_VALUES) throw new ExpressionError(`the expression makes ${pairs.length} series (MAX_VALUES, ${MAX_VALUES})`);
  return pairs;
}

export function evaluateMath(node: Node, of: (ref: string) => readonly Value[]): readonly Value[] {
  switch (node.is) {
    case "number":
      return [{ kind: "number", labels: {}, value: node.value }];
    case "ref":
      return of(node.name);
    case "unary":
      return evaluateMath(node.of, of).map((v) => map(v, (x) => (x === null ? null : node.operator === "-" ? -x : truth(x === 0))));
    case "call":
      return evaluateMath(node.of, of).map((v) => map(v, functions[node.name] ?? ((x) => x)));
    case "binary":
      return binary(node.operator, evaluateMath(node.left, of), evaluateMath(node.right, of));
  }
}
