/** From what a query or a text lists to the options a person chooses from. */
import type { Option, Variable } from "./types";

/** `a,b,key : value`; `\,` is a comma. */
export function customOptions(query: string): readonly Option[] {
  const parts = query.match(/(?:\\,|[^,])+/g) ?? [];
  return parts.flatMap((part) => {
    const text = part.replace(/\\,/g, ",").trim();
    if (text === "") return [];
    const pair = /^\s*(.+)\s:\s(.+)$/.exec(text);
    return [pair === null ? { text, value: text } : { text: (pair[1] ?? "").trim(), value: (pair[2] ?? "").trim() }];
  });
}

function regexOf(text: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(text);
  try {
    return new RegExp(slashed?.[1] ?? `^${text}$`, (slashed?.[2] ?? "").replace("g", ""));
  } catch {
    return undefined;
  }
}

/** Keeps what matches; the first capture, or the groups `text` and `value`, become the option. Doubles are removed. */
export function applyRegex(options: readonly Option[], regex: string): readonly Option[] {
  const pattern = regex === "" ? undefined : regexOf(regex);
  const kept = options.flatMap((option): Option[] => {
    if (pattern === undefined) return [option];
    const hit = pattern.exec(option.text);
    if (hit === null) return [];
    const { text, value } = hit.groups ?? {};
    if (text !== undefined || value !== undefined) return [{ text: text ?? value ?? "", value: value ?? text ?? "" }];
    return hit[1] === undefined ? [option] : [{ text: hit[1], value: hit[1] }];
  });
  const seen = new Set<string>();
  return kept.filter((o) => !seen.has(o.value) && seen.add(o.value));
}

const leadingNumber = (text: string) => Number(/-?\d+(?:\.\d+)?/.exec(text)?.[0] ?? Infinity);
const natural = new Intl.Collator("en", { numeric: true });

/** 0 none; then alphabetical, numeric, alphabetical without case, natural: odd is ascending, even descending. */
export function sortOptions(options: readonly Option[], sort: number): readonly Option[] {
  const compare: Record<number, (a: Option, b: Option) => number> = {
    0: (a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0),
    1: (a, b) => leadingNumber(a.text) - leadingNumber(b.text),
    2: (a, b) => a.text.toLowerCase().localeCompare(b.text.toLowerCase(), "en"),
    3: (a, b) => natural.compare(a.text, b.text),
  };
  const by = compare[Math.floor((sort - 1) / 2)];
  if (sort === 0 || by === undefined) return options;
  const ascending = [...options].sort(by);
  return sort % 2 === 0 ? ascending.reverse() : ascending;
}

/** What is selected once the options are known: what the URL says, else the stored choice, else the first. */
export function selectOptions(variable: Variable, options: readonly Option[], wanted: readonly string[] | undefined): readonly Option[] {
  const all: Option = { text: "All", value: "$__all" };
  const find = (value: string): Option | undefined => {
    if (variable.includeAll && (value === "$__all" || value === "All")) return all;
    return options.find((o) => o.value === value) ?? options.find((o) => o.text === value);
  };
  const fromUrl = wanted?.map((value) => find(value) ?? { text: value, value });
  if (fromUrl !== undefined && fromUrl.length > 0) return variable.multi ? fromUrl : fromUrl.slice(0, 1);
  const stored = variable.current.flatMap((o) => find(o.value) ?? []);
  if (stored.length > 0) return variable.multi ? stored : stored.slice(0, 1);
  const first = options[0];
  if (variable.includeAll && first === undefined) return [all];
  if (first !== undefined) return [variable.includeAll && variable.current.length === 0 ? all : first];
  return variable.current;
}
