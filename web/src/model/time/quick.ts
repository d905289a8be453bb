import type { RawRange } from "./range";
import { formatLayout } from "./format";

export interface QuickRange extends RawRange {
  label: string;
}

const last = (amount: string, label: string): QuickRange => ({ from: `now-${amount}`, to: "now", label: `Last ${label}` });

export const quickRanges: readonly QuickRange[] = [
  last("5m", "5 minutes"),
  last("15m", "15 minutes"),
  last("30m", "30 minutes"),
  last("1h", "1 hour"),
  last("3h", "3 hours"),
  last("6h", "6 hours"),
  last("12h", "12 hours"),
  last("24h", "24 hours"),
  last("2d", "2 days"),
  last("7d", "7 days"),
  last("30d", "30 days"),
  last("90d", "90 days"),
  last("6M", "6 months"),
  last("1y", "1 year"),
  last("5y", "5 years"),
  { from: "now-1d/d", to: "now-1d/d", label: "Yesterday" },
  { from: "now-7d/d", to: "now-7d/d", label: "This day last week" },
  { from: "now-1w/w", to: "now-1w/w", label: "Previous week" },
  { from: "now-1M/M", to: "now-1M/M", label: "Previous month" },
  { from: "now/d", to: "now/d", label: "Today" },
  { from: "now/d", to: "now", label: "Today so far" },
  { from: "now/w", to: "now", label: "This week so far" },
  { from: "now/M", to: "now", label: "This month so far" },
  { from: "now/y", to: "now", label: "This year so far" },
];

export const refreshIntervals = ["5s", "10s", "30s", "1m", "5m", "15m", "30m", "1h", "2h", "1d"] as const;

/** What the time picker's button says. */
export function describeRange(raw: RawRange, zone: string): string {
  const quick = quickRanges.find((q) => q.from === raw.from && q.to === raw.to);
  if (quick !== undefined) return quick.label;
  const relative = /^now-(\d+(?:ms|[smhdwMQy]))$/.exec(raw.from);
  if (relative !== null && raw.to === "now") return `Last ${relative[1]}`;
  const side = (text: string) => (/^\d{9,}$/.test(text) ? formatLayout(Number(text), "YYYY-MM-DD HH:mm:ss", zone) : text);
  return `${side(raw.from)} to ${side(raw.to)}`;
}
