/** Matchers as Alertmanager writes them: `service="wallet"`, `severity=~"crit.*"`, in braces or one by one. */
import type { Labels } from "../data/frame";

export type Operator = "=" | "!=" | "=~" | "!~";
export const operators: readonly Operator[] = ["=", "!=", "=~", "!~"];

export interface Matcher {
  name: string;
  operator: Operator;
  value: string;
}

/** Anchored at both ends, as the server does it. */
function pattern(text: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${text})$`, "s");
  } catch {
    return undefined;
  }
}

/** A label that is missing counts as empty; a pattern that cannot be read matches nothing. */
export function matches(matcher: Matcher, labels: Labels): boolean {
  const value = labels[matcher.name] ?? "";
  switch (matcher.operator) {
    case "=":
      return value === matcher.value;
    case "!=":
      return value !== matcher.value;
    case "=~":
      return pattern(matcher.value)?.test(value) === true;
    case "!~":
      return pattern(matcher.value)?.test(value) === false;
  }
}

export const matchesAll = (matchers: readonly Matcher[], labels: Labels): boolean => matchers.every((m) => matches(m, labels));

export const formatMatcher = (m: Matcher): string => `${m.name}${m.operator}${JSON.stringify(m.value)}`;
export const formatMatchers = (list: readonly Matcher[]): string => `{${list.map(formatMatcher).join(", ")}}`;

const one = /^\s*("(?:[^"\\]|\\.)*"|[^\s"=!~{},]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^,}]*?)\s*(?:,|$)/;

const unquoted = (text: string): string => (text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)) : text.trim());

/** All matchers of a text, or undefined when a part of it is none. */
export function parseMatchers(text: string): readonly Matcher[] | undefined {
  let rest = text.trim().replace(/^\{(.*)\}$/s, "$1").trim();
  const found: Matcher[] = [];
  while (rest !== "") {
    const hit = one.exec(rest);
    if (hit === null) return undefined;
    found.push({ name: unquoted(hit[1] ?? ""), operator: operators.find((o) => o === hit[2]) ?? "=", value: unquoted(hit[3] ?? "") });
    rest = rest.slice(hit[0].length).trim();
  }
  return found;
}

export const fromLabels = (labels: Labels): readonly Matcher[] =>
  Object.keys(labels)
    .sort((a, b) => Number(b === "alertname") - Number(a === "alertname") || a.localeCompare(b))
    .map((name) => ({ name, operator: "=", value: labels[name] ?? "" }));

/** Why the server would refuse a silence with these, in words; undefined when it would not. */
export function faultOf(list: readonly Matcher[]): string | undefined {
  if (list.length === 0) return "A silence needs a matcher.";
  const unnamed = list.some((m) => m.name.trim() === "");
  if (unnamed) return "Every matcher needs the name of a label.";
  const broken = list.find((m) => (m.operator === "=~" || m.operator === "!~") && pattern(m.value) === undefined);
  if (broken !== undefined) return `${broken.value} is no regular expression.`;
  if (list.every((m) => matches(m, {}))) return "At least one matcher must not match an empty label, or everything would be silenced.";
  return undefined;
}
