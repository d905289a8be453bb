/** Levels of log lines, compared as levels: `30`, `INFO`, `info` and `Information` are one. */
import type { Labels } from "../data/frame";

export const levels = ["critical", "error", "warning", "info", "debug", "trace", "unknown"] as const;
export type Level = (typeof levels)[number];

const words: Record<string, Level> = {
  emerg: "critical", emergency: "critical", alert: "critical", fatal: "critical", critical: "critical", crit: "critical", panic: "critical", "60": "critical",
  err: "error", eror: "error", error: "error", "50": "error", e: "error", f: "critical",
  warn: "warning", warning: "warning", "40": "warning", w: "warning",
  info: "info", information: "info", informational: "info", notice: "info", "30": "info", i: "info",
  debug: "debug", dbug: "debug", dbg: "debug", "20": "debug", d: "debug",
  trace: "trace", verbose: "trace", "10": "trace", t: "trace",
};

export function levelFromText(text: string): Level | undefined {
  return words[text.trim().toLowerCase()];
}

const inLine = /(?:["']?(?:level|severity|lvl|severity_text)["']?\s*[:=]\s*["']?)([A-Za-z]+|\d{2})\b|\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|PANIC)\b/;

/** From the labels, the fields, then the line itself. */
export function levelOf(labels: Labels, fields: Labels, line: string): Level {
  for (const set of [labels, fields]) {
    for (const key of ["level", "detected_level", "severity", "severity_text", "lvl"]) {
      const found = set[key] === undefined ? undefined : levelFromText(set[key]);
      if (found !== undefined) return found;
    }
  }
  const hit = inLine.exec(line.slice(0, 2000));
  return levelFromText(hit?.[1] ?? hit?.[2] ?? "") ?? "unknown";
}

const colors: Record<Level, readonly [string, string]> = {
  critical: ["#b877d9", "#8f3bb8"],
  error: ["#f2495c", "#c4162a"],
  warning: ["#ff9830", "#d9730d"],
  info: ["#73bf69", "#37872d"],
  debug: ["#5794f2", "#1f60c4"],
  trace: ["#6ed0e0", "#0a7c8c"],
  unknown: ["#8e98a8", "#6b7280"],
};

export const levelColor = (level: Level, isDark: boolean): string => colors[level][isDark ? 0 : 1];
