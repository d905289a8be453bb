/** How the values of a variable are written into a query: `${name:format}`. */
import { formatLayout } from "../time/format";
import { fixedQuote } from "./quote";

export const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
/** RE2 needs no escaped slash, and none is read more easily. */
const escapeRe2 = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** Inside a double-quoted string of PromQL or LogQL a backslash is written twice. */
const escapeInQuotes = (text: string): string => text.replace(/\\/g, "\\\\").replace(/"/g, '\\"');
const luceneEscape = (text: string): string => text.replace(/[+\-=&|><!(){}[\]^"~*?:\\/]/g, "\\$&");

const glob = (values: readonly string[]) => (values.length === 1 ? (values[0] ?? "") : `{${values.join(",")}}`);

function percent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

export interface FormatArguments {
  name: string;
  values: readonly string[];
  texts: readonly string[];
  zone: string;
}

export function formatVariable(format: string, { name, values, texts, zone }: FormatArguments): string {
  const [id, ...rest] = format.split(":");
  const argument = rest.join(":");
  switch (id) {
    case "csv":
    case "raw":
      return values.join(",");
    case "pipe":
      return values.join("|");
    case "regex":
      return values.length === 1 ? escapeRegex(values[0] ?? "") : `(${values.map(escapeRegex).join("|")})`;
    case "json":
      return values.length === 1 ? JSON.stringify(values[0]) : JSON.stringify(values);
    case "doublequote":
      return values.map((v) => `"${v.replace(/"/g, '\\"')}"`).join(",");
    case "singlequote":
      return values.map((v) => `'${v.replace(/'/g, "\\'")}'`).join(",");
    case "sqlstring":
      return values.map((v) => `'${v.replace(/'/g, "''")}'`).join(",");
    case "lucene":
      return values.length === 1 ? luceneEscape(values[0] ?? "") : `(${values.map((v) => `"${luceneEscape(v)}"`).join(" OR ")})`;
    case "percentencode":
      return percent(glob(values));
    case "distributed":
      return values.map((v, i) => (i === 0 ? v : `${name}=${v}`)).join(",");
    case "text":
      return texts.join(" + ");
    case "queryparam":
      return values.map((v) => `var-${percent(name)}=${percent(v)}`).join("&");
    case "customqueryparam":
      return values.map((v) => `${percent(name)}=${percent(v)}`).join("&");
    case "date":
      return formatDate(Number(values[0]), argument, zone);
    default:
      return glob(values);
  }
}

export function formatDate(ms: number, layout: string, zone: string): string {
  if (!Number.isFinite(ms)) return "";
  if (layout === "" || layout === "iso") return new Date(ms).toISOString();
  if (layout === "seconds") return String(Math.round(ms / 1000));
  return formatLayout(ms, layout, zone);
}

/** What `$name` becomes in PromQL and LogQL, where it stands inside a matcher's quotes. */
export function formatForLabels(values: readonly string[], multi: boolean): string {
  if (!multi) return fixedQuote(values[0] ?? "");
  // Regex escapes are doubled, since the pattern is inside a quoted string.
  const escaped = values.map((v) => escapeInQuotes(escapeRe2(v)));
  return escaped.length === 1 ? (escaped[0] ?? "") : `(${escaped.join("|")})`;
}
