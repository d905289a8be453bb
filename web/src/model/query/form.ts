/** Queries as forms: what a builder shows of a query's text, and the text that it writes. Only shapes that a form can hold. */
import { formatMatcher, parseMatchers, type Matcher } from "../alerts/matchers";

/** What is done with the series of a selector, the same in both languages. */
interface Summary {
  /** `rate` and the like over a range; empty for none. */
  over: string;
  range: string;
  /** `sum` and the like; empty for none. */
  by: string;
  /** How many, for `topk` and `bottomk`. */
  count: string;
  labels: readonly string[];
  /** The labels are those that go. */
  without: boolean;
}

export interface PromForm extends Summary {
  metric: string;
  matchers: readonly Matcher[];
  /** A share from 0 to 1 of a histogram; empty for none. */
  quantile: string;
}

export interface LineFilter {
  operator: "|=" | "!=" | "|~" | "!~";
  text: string;
}

export interface LogForm extends Summary {
  matchers: readonly Matcher[];
  lines: readonly LineFilter[];
  parser: string;
  fields: readonly Matcher[];
}

export const promOver = ["rate", "increase", "irate", "delta", "deriv", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time"] as const;
export const logOver = ["count_over_time", "rate", "bytes_over_time", "bytes_rate"] as const;
export const aggregations = ["sum", "avg", "min", "max", "count", "topk", "bottomk", "stddev"] as const;
export const parsers = ["json", "logfmt"] as const;
export const lineOperators = ["|=", "!=", "|~", "!~"] as const;

const counts = (by: string) => by === "topk" || by === "bottomk";
const nothing: Summary = { over: "", range: "", by: "", count: "", labels: [], without: false };
export const emptyPromForm: PromForm = { ...nothing, metric: "", matchers: [], quantile: "" };
export const emptyLogForm: LogForm = { ...nothing, matchers: [], lines: [], parser: "", fields: [] };

/** Matchers whose label is not chosen yet are left out. */
const selector = (list: readonly Matcher[]): string => list.filter((m) => m.name !== "").map(formatMatcher).join(", ");

function summarised(inner: string, s: Summary): string {
  const ranged = s.over === "" ? inner : `${s.over}(${inner}${/[}\w]$/.test(inner) ? "" : " "}[${s.range || "$__rate_interval"}])`;
  if (s.by === "") return ranged;
  const labels = s.labels.length === 0 && !s.without ? "" : ` ${s.without ? "without" : "by"} (${s.labels.join(", ")})`;
  return `${s.by}${labels}${labels === "" ? "" : " "}(${counts(s.by) ? `${s.count || "5"}, ` : ""}${ranged})`;
}

export function writeProm(form: PromForm): string {
  const matchers = selector(form.matchers);
  if (form.metric === "" && matchers === "") return "";
  const text = summarised(matchers === "" ? form.metric : `${form.metric}{${matchers}}`, form);
  return form.quantile === "" ? text : `histogram_quantile(${form.quantile}, ${text})`;
}

export function writeLog(form: LogForm): string {
  const stages = [
    ...form.lines.filter((l) => l.text !== "").map((l) => `${l.operator} ${JSON.stringify(l.text)}`),
    ...(form.parser === "" ? [] : [`| ${form.parser}`]),
    ...form.fields.filter((f) => f.name !== "").map((f) => `| ${formatMatcher(f)}`),
  ];
  const matchers = selector(form.matchers);
  return matchers === "" ? "" : summarised([`{${matchers}}`, ...stages].join(" "), form);
}

/** The outer shapes of a text, and what stands inside of them. */
function readSummary(text: string, over: readonly string[]): { summary: Summary; inner: string } | undefined {
  let [summary, inner] = [nothing, text.trim()];
  const before = new RegExp(`^(${aggregations.join("|")})\\s*(?:(by|without)\\s*\\(([^()]*)\\)\\s*)?\\((.*)\\)$`, "s").exec(inner);
  const behind = new RegExp(`^(${aggregations.join("|")})\\s*\\((.*)\\)\\s*(by|without)\\s*\\(([^()]*)\\)$`, "s").exec(inner);
  const hit = behind === null ? before : [behind[0], behind[1], behind[3], behind[4], behind[2]];
  if (hit !== null) {
    const by = hit[1] ?? "";
    let rest = (hit[4] ?? "").trim();
    const count = counts(by) ? /^(\d+)\s*,\s*/.exec(rest) : undefined;
    if (count === null) return undefined;
    if (count !== undefined) rest = rest.slice(count[0].length);
    summary = { ...summary, by, count: count?.[1] ?? "", without: hit[2] === "without", labels: (hit[3] ?? "").split(",").map((l) => l.trim()).filter(Boolean) };
    inner = rest;
  }
  const ranged = new RegExp(`^(${over.join("|")})\\s*\\((.*)\\[([^\\[\\]:]+)\\]\\s*\\)$`, "s").exec(inner);
  if (ranged !== null) [summary, inner] = [{ ...summary, over: ranged[1] ?? "", range: (ranged[3] ?? "").trim() }, (ranged[2] ?? "").trim()];
  return { summary, inner };
}

const bare = (text: string) => text.replace(/"(?:[^"\\]|\\.)*"|\s+|,(?=\s*[})])/g, (part) => (part.startsWith('"') ? part : ""));

/** A text is a form's only if the form writes it the same; labels may stand before or behind. */
function same(text: string, written: string): boolean {
  const moved = text.replace(new RegExp(`^(\\s*(?:histogram_quantile\\([^,]*,\\s*)?)(${aggregations.join("|")})\\s*(\\(.*\\))\\s*((?:by|without)\\s*\\([^()]*\\))(\\)?)\\s*$`, "s"), "$1$2 $4 $3$5");
  return bare(text) === bare(written) || bare(moved) === bare(written);
}

export function readProm(text: string): PromForm | undefined {
  if (text.trim() === "") return emptyPromForm;
  const quantile = /^histogram_quantile\(\s*([\d.]+)\s*,(.*)\)$/s.exec(text.trim());
  const read = readSummary(quantile === null ? text : (quantile[2] ?? ""), promOver);
  const hit = read === undefined ? null : /^([a-zA-Z_:][\w:]*)?\s*(?:\{(.*)\})?$/s.exec(read.inner);
  const matchers = parseMatchers(`{${hit?.[2] ?? ""}}`);
  if (read === undefined || hit === null || matchers === undefined) return undefined;
  const form: PromForm = { ...read.summary, metric: hit[1] ?? "", matchers, quantile: quantile?.[1] ?? "" };
  return same(text, writeProm(form)) ? form : undefined;
}

export function readLog(text: string): LogForm | undefined {
  if (text.trim() === "") return emptyLogForm;
  const read = readSummary(text, logOver);
  if (read === undefined) return undefined;
  const head = /^\{((?:"(?:[^"\\]|\\.)*"|[^"}])*)\}\s*/s.exec(read.inner);
  const matchers = parseMatchers(`{${head?.[1] ?? ""}}`);
  if (head === null || matchers === undefined) return undefined;
  const lines: LineFilter[] = [];
  const fields: Matcher[] = [];
  let parser = "";
  let rest = read.inner.slice(head[0].length);
  while (rest !== "") {
    const line = /^(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*")\s*/s.exec(rest);
    const parsed = line === null ? new RegExp(`^\\|\\s*(${parsers.join("|")})(?![\\w=!])\\s*`).exec(rest) : null;
    const field = line === null && parsed === null ? /^\|\s*([a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*")\s*/s.exec(rest) : null;
    if (line !== null) lines.push({ operator: (line[1] ?? "|=") as LineFilter["operator"], text: String(JSON.parse(line[2] ?? '""')) });
    else if (parsed !== null) parser = parsed[1] ?? "";
    else if (field !== null) fields.push(...(parseMatchers(`{${field[1] ?? ""}}`) ?? []));
    else return undefined;
    rest = rest.slice((line ?? parsed ?? field)?.[0].length ?? rest.length);
  }
  const form: LogForm = { ...read.summary, matchers, lines, parser, fields };
  return same(text, writeLog(form)) ? form : undefined;
}
