/** Durations in the notation of PromQL and Grafana: `15s`, `1h30m`, `1d`. */
const lengths: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  M: 2_592_000_000,
  y: 31_536_000_000,
};

/** Milliseconds, or undefined when the text is no duration. A bare number is seconds; a leading `>` or `<` is skipped. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim().replace(/^[<>]=?\s*/, "");
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  if (!/^(\d+(\.\d+)?(ms|[smhdwMy]))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, amount, , unit] of trimmed.matchAll(/(\d+(\.\d+)?)(ms|[smhdwMy])/g)) {
    total += Number(amount) * (lengths[unit ?? ""] ?? 0);
  }
  return total;
}

/** The shortest text with one unit that says exactly that many milliseconds: `90000` is `90s`. */
export function formatDuration(ms: number): string {
  for (const unit of ["y", "w", "d", "h", "m", "s"]) {
    const length = lengths[unit] ?? 1;
    if (ms >= length && ms % length === 0) return `${ms / length}${unit}`;
  }
  return `${Math.max(1, Math.round(ms))}ms`;
}

/** For reading: at most two units, `1d 3h`, `2m 5s`. */
export function humanDuration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  if (Math.abs(ms) < 1000) return `${Math.round(ms)}ms`;
  let rest = Math.round(Math.abs(ms) / 1000) * 1000;
  const parts: string[] = [];
  for (const unit of ["y", "d", "h", "m", "s"]) {
    const length = lengths[unit] ?? 1;
    const count = Math.floor(rest / length);
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    rest -= count * length;
    if (parts.length === 2) break;
  }
  return (ms < 0 ? "-" : "") + parts.join(" ");
}
