/** Ad-hoc filters go into every selector of a query. Selectors are found by walking the text, past strings and comments. */
import type { AdhocFilter } from "../variables/types";

const operators = new Set(["=", "!=", "=~", "!~"]);

const matcherText = (f: AdhocFilter): string => `${/^[a-zA-Z_][\w.]*$/.test(f.key) && !f.key.includes(".") ? f.key : JSON.stringify(f.key)}${f.operator}${JSON.stringify(f.value)}`;

/** Words that are not metric names though no bracket follows them. */
const keywords = new Set([
  "by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2", "sum", "avg", "min", "max", "count",
]);

/** The end of the string that begins at `i`. */
function skipString(text: string, i: number): number {
  const quote = text[i];
  for (let j = i + 1; j < text.length; j++) {
    if (text[j] === "\\" && quote !== "`") j++;
    else if (text[j] === quote) return j + 1;
  }
  return text.length;
}

export function addFilters(text: string, filters: readonly AdhocFilter[]): string {
  const usable = filters.filter((f) => f.key !== "" && operators.has(f.operator));
  if (usable.length === 0) return text;
  const extra = usable.map(matcherText).join(",");
  let out = "";
  let i = 0;
  let afterGrouping = false;
  while (i < text.length) {
    const c = text[i] ?? "";
    if (c === '"' || c === "'" || c === "`") {
      const end = skipString(text, i);
      out += text.slice(i, end);
      i = end;
    } else if (c === "#") {
      const end = text.indexOf("\n", i);
      out += text.slice(i, end < 0 ? text.length : end);
      i = end < 0 ? text.length : end;
    } else if (c === "{") {
      const [body, end] = braces(text, i);
      const inner = body.trim().replace(/,$/, "");
      out += `{${inner}${inner === "" ? "" : ","}${extra}}`;
      i = end;
    } else if (c === "(" && afterGrouping) {
      // The labels of `by (…)` are no metrics.
      const end = text.indexOf(")", i) + 1 || text.length;
      out += text.slice(i, end);
      i = end;
      afterGrouping = false;
    } else if (c === "[") {
      const end = text.indexOf("]", i) + 1 || text.length;
      out += text.slice(i, end);
      i = end;
    } else if (/[a-zA-Z_:]/.test(c)) {
      const word = /^[\w:]+/.exec(text.slice(i))?.[0] ?? c;
      const next = text.slice(i + word.length).trimStart()[0];
      const grouping = /^(by|without|on|ignoring|group_left|group_right)$/i.test(word);
      afterGrouping = grouping && next === "(";
      out += word;
      if (next !== "(" && next !== "{" && !keywords.has(word.toLowerCase()) && !isPipeline(text, i)) out += `{${extra}}`;
      i += word.length;
    } else if (/[0-9.]/.test(c)) {
      const number = /^[0-9.][\w.]*/.exec(text.slice(i))?.[0] ?? c;
      out += number;
      i += number.length;
    } else {
      out += c;
      i++;
    }
  }
  return out;
}

/** Behind LogQL's selector come stages, in which a bare word is no metric. */
const isPipeline = (text: string, at: number): boolean => /\}\s*(\|[^\n]*)$/s.test(text.slice(0, at)) || /\|\s*$/.test(text.slice(0, at));

function braces(text: string, start: number): readonly [string, number] {
  for (let i = start + 1; i < text.length; i++) {
    const c = text[i];
    if (c === '"' || c === "'" || c === "`") i = skipString(text, i) - 1;
    else if (c === "}") return [text.slice(start + 1, i), i + 1];
  }
  return [text.slice(start + 1), text.length];
}
