import { formatLayout, fromNow } from "../time/format";
import { aliases, units, type Shown, type Unit } from "./table";

export interface FormatContext {
  zone: string;
  now: number;
}

const defaultContext = (): FormatContext => ({ zone: "browser", now: Date.now() });

/** Decimals that show three to four significant digits. */
export function autoDecimals(value: number): number {
  const size = Math.abs(value);
  if (size === 0 || !Number.isFinite(size)) return 0;
  return Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(size))));
}

/** With fixed decimals they are all shown; without, as many as are needed, trailing zeros stripped. */
export function fixedText(value: number, decimals?: number): string {
  if (decimals !== undefined) return value.toFixed(Math.min(20, Math.max(0, decimals)));
  const text = value.toFixed(autoDecimals(value));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function ladder(value: number, unit: Extract<Unit, { kind: "ladder" }>, decimals?: number): Shown {
  let step = unit.start;
  let rest = value;
  const small = unit.small ?? [];
  // Rounding may carry a value to the next step: 999.96 would read "1000".
  const fits = (v: number) => Math.abs(Number(fixedText(v, decimals))) < unit.base;
  while (!fits(rest) && step < unit.steps.length - 1) {
    rest /= unit.base;
    step++;
  }
  let below = 0;
  while (step === unit.start && rest !== 0 && Math.abs(rest) < 1 && below < small.length && unit.start === 0) {
    rest *= unit.base;
    below++;
  }
  while (step > 0 && step <= unit.start && below === 0 && rest !== 0 && Math.abs(rest) < 1) {
    rest *= unit.base;
    step--;
  }
  const suffix = below > 0 ? small[below - 1] : unit.steps[step];
  return { ...(unit.prefix === undefined ? {} : { prefix: unit.prefix }), text: fixedText(rest, decimals), suffix: suffix ?? "" };
}

const timeSteps: readonly (readonly [number, string])[] = [
  [31_536_000, " year"], [604_800, " week"], [86_400, " day"], [3600, " hour"], [60, " min"], [1, " s"], [1e-3, " ms"], [1e-6, " µs"], [1e-9, " ns"],
];

function time(value: number, perUnit: number, decimals?: number): Shown {
  const seconds = value * perUnit;
  if (seconds === 0) return { text: fixedText(0, decimals), suffix: timeSteps.find(([l]) => l === perUnit)?.[1] ?? " s" };
  // A hair of tolerance, since 0.001 * 1000 and the like are not exact.
  const [length, suffix] = timeSteps.find(([l]) => Math.abs(seconds) >= l * (1 - 1e-9)) ?? [1e-9, " ns"];
  const text = fixedText(seconds / length, decimals);
  const plural = length >= 3600 && Number(text) !== 1 ? "s" : "";
  return { text, suffix: suffix + plural };
}

const pad = (n: number) => String(n).padStart(2, "0");

function clock(value: number, unit: Extract<Unit, { kind: "clock" }>): string {
  const total = Math.abs(value * unit.perUnit);
  const sign = value < 0 ? "-" : "";
  const whole = Math.floor(total);
  const [days, hours, minutes, seconds] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (unit.style === "hms") return `${sign}${pad(Math.floor(whole / 3600))}:${pad(minutes)}:${pad(seconds)}`;
  if (unit.style === "dhms") return `${sign}${days} d ${pad(hours)}:${pad(minutes)}:${pad(seconds)}`;
  if (unit.style === "clock") {
    const ms = Math.round((total - whole) * 1000);
    if (whole >= 3600) return `${sign}${pad(Math.floor(whole / 3600))}h:${pad(minutes)}m:${pad(seconds)}s`;
    if (whole >= 60) return `${sign}${pad(minutes)}m:${pad(seconds)}s`;
    return `${sign}${pad(seconds)}s:${String(ms).padStart(3, "0")}ms`;
  }
  const years = Math.floor(days / 365);
  const words: readonly (readonly [number, string])[] = [
    [years, "year"], [days % 365, "day"], [hours, "hour"], [minutes, "minute"], [seconds, "second"], [whole === 0 ? Math.round(total * 1000) : 0, "millisecond"],
  ];
  const shown = words.filter(([n]) => n > 0).slice(0, 3).map(([n, word]) => `${n} ${word}${n === 1 ? "" : "s"}`);
  return shown.length === 0 ? "0 seconds" : sign + shown.join(", ");
}

function other(value: number, id: Extract<Unit, { kind: "other" }>["id"], decimals: number | undefined, context: FormatContext): string {
  switch (id) {
    case "string":
      return String(value);
    case "none":
      return fixedText(value, decimals);
    case "hex":
      return Math.round(value).toString(16).toUpperCase();
    case "hex0x":
      return `0x${Math.round(value).toString(16).toUpperCase()}`;
    case "sci":
      return value.toExponential(decimals);
    case "locale":
      return value.toLocaleString("en-US", { maximumFractionDigits: decimals ?? Math.max(3, autoDecimals(value)) });
    case "bool":
      return value === 0 ? "False" : "True";
    case "bool_yes_no":
      return value === 0 ? "No" : "Yes";
    case "bool_on_off":
      return value === 0 ? "Off" : "On";
    case "fromNow":
      return fromNow(value, context.now);
    case "dateLocal":
      return formatLayout(value, "YYYY-MM-DD HH:mm:ss", context.zone);
  }
}

function custom(value: number, id: string, decimals: number | undefined, context: FormatContext): Shown | undefined {
  const colon = id.indexOf(":");
  if (colon < 0) return undefined;
  const rest = id.slice(colon + 1);
  switch (id.slice(0, colon)) {
    case "prefix":
      return { prefix: rest, text: fixedText(value, decimals) };
    case "suffix":
      return { text: fixedText(value, decimals), suffix: rest };
    case "time":
      return { text: formatLayout(value, rest, context.zone) };
    case "si": {
      const start = ["", "k", "M", "G", "T"].findIndex((p) => p !== "" && rest.startsWith(p) && rest.length > 1);
      const unit = start > 0 ? rest.slice(1) : rest;
      const steps = ["", "k", "M", "G", "T", "P", "E"].map((p) => ` ${p}${unit}`);
      return ladder(value, { kind: "ladder", base: 1000, steps, start: Math.max(0, start), small: ["m", "µ", "n"].map((p) => ` ${p}${unit}`) }, decimals);
    }
    case "count":
      return ladder(value, { kind: "ladder", base: 1000, start: 0, steps: ["", "K", "M", "B", "T"].map((s) => `${s === "" ? "" : ` ${s}`} ${rest}`) }, decimals);
    case "currency": {
      const financial = /^financial:(.*)$/.exec(rest)?.[1];
      if (financial !== undefined) {
        const text = value.toLocaleString("en-US", { minimumFractionDigits: decimals ?? 2, maximumFractionDigits: decimals ?? 2 });
        return { prefix: financial.replace(/:.*$/, ""), text };
      }
      return ladder(value, { kind: "ladder", base: 1000, start: 0, steps: ["", "K", "M", "B", "T"], prefix: rest }, decimals);
    }
    default:
      return undefined;
  }
}

/** A number in its unit, in parts, so that a panel may print the unit smaller. An unknown id is printed behind the number. */
export function formatParts(value: number, id: string, decimals?: number, context: FormatContext = defaultContext()): Shown {
  if (Number.isNaN(value)) return { text: "NaN" };
  if (!Number.isFinite(value)) return { text: value > 0 ? "∞" : "-∞" };
  const unit = units[aliases[id] ?? id];
  if (unit === undefined) {
    if (id === "") return ladder(value, units["short"] as Extract<Unit, { kind: "ladder" }>, decimals);
    return custom(value, id, decimals, context) ?? { text: fixedText(value, decimals), suffix: ` ${id}` };
  }
  switch (unit.kind) {
    case "fixed":
      return { ...(unit.prefix === undefined ? {} : { prefix: unit.prefix }), text: fixedText(value, decimals), suffix: unit.suffix ?? "" };
    case "scaled":
      return { text: fixedText(value * unit.factor, decimals), suffix: unit.suffix };
    case "ladder":
      return ladder(value, unit, decimals);
    case "time":
      return time(value, unit.perUnit, decimals);
    case "clock":
      return { text: clock(value, unit) };
    case "date": {
      const today = formatLayout(value, "YYYY-MM-DD", context.zone) === formatLayout(context.now, "YYYY-MM-DD", context.zone);
      return { text: formatLayout(value, today ? (unit.sameDay ?? unit.layout) : unit.layout, context.zone) };
    }
    case "other":
      return { text: other(value, unit.id, decimals, context) };
  }
}

export function formatValue(value: number, id: string, decimals?: number, context?: FormatContext): string {
  const { prefix = "", text, suffix = "" } = formatParts(value, id, decimals, context);
  return prefix + text + suffix;
}
