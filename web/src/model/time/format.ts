import { wallOf } from "./zone";

const two = (n: number) => String(n).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** The layouts that dashboards use, in the letters of moment.js: `YYYY-MM-DD HH:mm:ss.SSS`. Text in [brackets] is literal. */
export function formatLayout(ms: number, layout: string, zone: string): string {
  const w = wallOf(ms, zone);
  const weekday = days[new Date(Date.UTC(w.year, w.month - 1, w.day)).getUTCDay()] ?? "";
  const hour12 = w.hour % 12 === 0 ? 12 : w.hour % 12;
  const month = months[w.month - 1] ?? "";
  const words: Record<string, string> = {
    YYYY: String(w.year),
    YY: two(w.year % 100),
    MMM: month,
    MM: two(w.month),
    M: String(w.month),
    DD: two(w.day),
    D: String(w.day),
    ddd: weekday,
    HH: two(w.hour),
    H: String(w.hour),
    hh: two(hour12),
    h: String(hour12),
    mm: two(w.minute),
    m: String(w.minute),
    ss: two(w.second),
    s: String(w.second),
    SSS: String(Math.floor(ms - Math.floor(ms / 1000) * 1000)).padStart(3, "0"),
    A: w.hour < 12 ? "AM" : "PM",
    a: w.hour < 12 ? "am" : "pm",
    X: String(Math.floor(ms / 1000)),
    x: String(ms),
  };
  return layout.replace(/\[([^\]]*)\]|YYYY|YY|MMM|MM|M|DD|D|ddd|HH|H|hh|h|mm|m|ss|s|SSS|A|a|X|x/g, (token, literal?: string) =>
    literal !== undefined ? literal : (words[token] ?? token),
  );
}

export const formatDateTime = (ms: number, zone: string) => formatLayout(ms, "YYYY-MM-DD HH:mm:ss", zone);
export const formatDateTimeMs = (ms: number, zone: string) => formatLayout(ms, "YYYY-MM-DD HH:mm:ss.SSS", zone);

/** How long ago, in words a person uses. */
export function fromNow(ms: number, now: number): string {
  const seconds = Math.round((ms - now) / 1000);
  const size = Math.abs(seconds);
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (size < 60) return format.format(seconds, "second");
  if (size < 3600) return format.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return format.format(Math.round(seconds / 3600), "hour");
  if (size < 2_592_000) return format.format(Math.round(seconds / 86_400), "day");
  if (size < 31_536_000) return format.format(Math.round(seconds / 2_592_000), "month");
  return format.format(Math.round(seconds / 31_536_000), "year");
}
