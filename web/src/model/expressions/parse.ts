/** The grammar of `math` expressions: `$A * 100 / ($B + 1)`, `abs($A) > 5 && !is_nan($B)`. */
import { ExpressionError } from "./values";

export type Node =
  | { is: "number"; value: number | null }
  | { is: "ref"; name: string }
  | { is: "unary"; operator: "-" | "!"; of: Node }
  | { is: "binary"; operator: string; left: Node; right: Node }
  | { is: "call"; name: string; of: Node };

interface Token {
  kind: "number" | "ref" | "name" | "operator" | "end";
  text: string;
}

/** Brackets and signs within each other: what people write has a few. */
const MAX_DEPTH = 100;
const levels: readonly (readonly string[])[] = [["||"], ["&&"], ["==", "!=", ">=", "<=", ">", "<"], ["+", "-"], ["*", "/", "%"]];
const constants: Readonly<Record<string, number | null>> = { inf: Infinity, infn: -Infinity, nan: NaN, null: null };
export const functions: Readonly<Record<string, (v: number | null) => number | null>> = {
  abs: (v) => (v === null ? null : Math.abs(v)),
  log: (v) => (v === null ? null : Math.log(v)),
  round: (v) => (v === null ? null : Math.round(v)),
  ceil: (v) => (v === null ? null : Math.ceil(v)),
  floor: (v) => (v === null ? null : Math.floor(v)),
  is_nan: (v) => Number(v !== null && Number.isNaN(v)),
  is_inf: (v) => Number(v === Infinity || v === -Infinity),
  is_null: (v) => Number(v === null),
  is_number: (v) => Number(v !== null && Number.isFinite(v)),
};

function tokens(text: string): readonly Token[] {
  const pattern = /\s*(?:(?<number>(?:0x[\da-f]+)|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)|\$\{(?<braced>[^}]+)\}|\$(?<ref>\w+)|(?<name>[a-z_]\w*)|(?<operator>\*\*|\|\||&&|[=!<>]=|[-+*/%<>!(),]))/giy;
  const list: Token[] = [];
  const end = text.trimEnd().length;
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex;
    const groups = pattern.exec(text)?.groups;
    if (groups === undefined) throw new ExpressionError(`the expression is not understood at ${JSON.stringify(text.slice(at, at + 12).trim())}`);
    const { number, braced, ref, name, operator } = groups;
    if (number !== undefined) list.push({ kind: "number", text: number });
    else if (braced !== undefined || ref !== undefined) list.push({ kind: "ref", text: braced ?? ref ?? "" });
    else if (name !== undefined) list.push({ kind: "name", text: name });
    else list.push({ kind: "operator", text: operator ?? "" });
  }
  return [...list, { kind: "end", text: "" }];
}

class Parser {
  private at = 0;
  private depth = 0;
  constructor(private readonly list: readonly Token[]) {}

  private get here(): Token {
    return this.list[this.at] ?? { kind: "end", text: "" };
  }

  private take(text: string): boolean {
    if (this.here.kind !== "operator" || this.here.text !== text) return false;
    this.at++;
    return true;
  }

  private expect(text: string): void {
    if (!this.take(text)) throw new ExpressionError(`${JSON.stringify(text)} is missing${this.here.kind === "end" ? " at the end" : ` before ${JSON.stringify(this.here.text)}`}`);
  }

  all(): Node {
    const node = this.level(0);
    if (this.here.kind !== "end") throw new ExpressionError(`${JSON.stringify(this.here.text)} is not expected here`);
    return node;
  }

  private level(n: number): Node {
    const operators = levels[n];
    if (operators === undefined) return this.power();
    let left = this.level(n + 1);
    for (;;) {
      const operator = operators.find((o) => this.take(o));
      if (operator === undefined) return left;
      left = { is: "binary", operator, left, right: this.level(n + 1) };
    }
  }

  private power(): Node {
    const base = this.unary();
    return this.take("**") ? { is: "binary", operator: "**", left: base, right: this.within(() => this.power()) } : base;
  }

  private within(inner: () => Node): Node {
    if (++this.depth > MAX_DEPTH) throw new ExpressionError(`the expression is nested too deeply (MAX_DEPTH, ${MAX_DEPTH})`);
    const node = inner();
    this.depth--;
    return node;
  }

  private unary(): Node {
    const operator = (["-", "!"] as const).find((o) => this.take(o));
    return operator === undefined ? this.primary() : { is: "unary", operator, of: this.within(() => this.unary()) };
  }

  private primary(): Node {
    const token = this.here;
    this.at++;
    if (token.kind === "number") return { is: "number", value: Number(token.text) };
    if (token.kind === "ref") return { is: "ref", name: token.text };
    if (token.kind === "operator" && token.text === "(") {
      const node = this.within(() => this.level(0));
      this.expect(")");
      return node;
    }
    if (token.kind === "name") return this.call(token.text);
    throw new ExpressionError(token.kind === "end" ? "the expression ends too early" : `${JSON.stringify(token.text)} is not expected here`);
  }

  private call(name: string): Node {
    this.expect("(");
    const constant = constants[name];
    if (constant !== undefined) {
      this.expect(")");
      return { is: "number", value: constant };
    }
    if (functions[name] === undefined) throw new ExpressionError(`there is no function ${name}; there are ${Object.keys(functions).join(", ")}, inf, infn, nan, null`);
    const of = this.within(() => this.level(0));
    this.expect(")");
    return { is: "call", name, of };
  }
}

export const parseMath = (text: string): Node => new Parser(tokens(text)).all();

/** The queries that an expression reads. */
export function refsOf(node: Node): readonly string[] {
  switch (node.is) {
    case "ref":
      return [node.name];
    case "binary":
      return [...refsOf(node.left), ...refsOf(node.right)];
    case "unary":
    case "call":
      return refsOf(node.of);
    case "number":
      return [];
  }
}
