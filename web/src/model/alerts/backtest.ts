/** What an alerting rule would have done: its expression at past evaluations, taken through pending and firing. */
import { field, type Frame, type Labels } from "../data/frame";
import { tellingName } from "../data/names";

export interface Evaluations {
  labels: Labels;
  /** Milliseconds, one a step; null where the expression had no result. */
  times: readonly number[];
  values: readonly (number | null)[];
}

export interface Period {
  firing: boolean;
  from: number;
  to: number;
}

export interface Replayed {
  labels: Labels;
  /** One after the other. */
  periods: readonly Period[];
}

/** As Prometheus does it: pending while it holds, firing once it has held for long enough, and on for a while after it ended. */
export function replay(series: readonly Evaluations[], stepMs: number, holdMs: number, keepMs: number): readonly Replayed[] {
  return series.map(({ labels, times, values }) => {
    const periods: Period[] = [];
    let since: number | undefined;
    let gone: number | undefined;
    let firing = false;
    const mark = (now: number, isFiring: boolean) => {
      const last = periods[periods.length - 1];
      if (last !== undefined && last.firing === isFiring && last.to === now) last.to = now + stepMs;
      else periods.push({ firing: isFiring, from: now, to: now + stepMs });
    };
    values.forEach((value, i) => {
      const now = times[i] ?? 0;
      if (value !== null) {
        since ??= now;
        gone = undefined;
        firing ||= now - since >= holdMs;
        return mark(now, firing);
      }
      if (firing && keepMs > 0) {
        gone ??= now;
        if (now - gone < keepMs) return mark(now, true);
      }
      since = undefined;
      gone = undefined;
      firing = false;
    });
    return { labels, periods };
  }).filter((r) => r.periods.length > 0);
}

export interface Total {
  alerts: number;
  fired: number;
  /** Milliseconds, of all alerts together. */
  firingFor: number;
  /** Times that one was pending and never fired. */
  spared: number;
}

export function totalOf(list: readonly Replayed[]): Total {
  const all = list.flatMap((r) => r.periods.map((p, i) => ({ ...p, next: r.periods[i + 1] })));
  const firing = all.filter((p) => p.firing);
  return {
    alerts: list.length,
    fired: firing.length,
    firingFor: firing.reduce((ms, p) => ms + p.to - p.from, 0),
    spared: all.filter((p) => !p.firing && !(p.next?.firing === true && p.next.from === p.to)).length,
  };
}

/** A lane an alert: the state at every moment at which any of them changes. */
export function lanesOfReplay(list: readonly Replayed[], range: { from: number; to: number }): readonly Frame[] {
  const times = [...new Set([range.from, ...list.flatMap((r) => r.periods.flatMap((p) => [p.from, p.to])), range.to])].sort((a, b) => a - b);
  const nameOf = tellingName(list.map((r) => r.labels));
  return list.map(({ labels, periods }): Frame => {
    const states = times.map((t) => {
      const at = periods.find((p) => p.from <= t && t < p.to);
      return at === undefined ? null : at.firing ? "firing" : "pending";
    });
    const name = nameOf(labels);
    return { refId: "A", kind: "series", fields: [field("Time", "time", times), { ...field("State", "string", states), sourceName: name || "alert" }] };
  });
}

/** The rule as a file has it, to be put in the place of the old one. */
export function ruleYaml(rule: { name: string; query: string; hold: string; keep: string; labels: Labels; annotations: Labels }): string {
  const pairs = (title: string, of: Labels) => (Object.keys(of).length === 0 ? [] : [`  ${title}:`, ...Object.entries(of).map(([k, v]) => `    ${k}: ${JSON.stringify(v)}`)]);
  return [
    `- alert: ${rule.name}`,
    ...(rule.query.includes("\n") ? ["  expr: |", ...rule.query.trim().split("\n").map((l) => `    ${l}`)] : [`  expr: ${/[:#{["'%]/.test(rule.query) ? JSON.stringify(rule.query) : rule.query}`]),
    ...(rule.hold === "" || rule.hold === "0s" ? [] : [`  for: ${rule.hold}`]),
    ...(rule.keep === "" || rule.keep === "0s" ? [] : [`  keep_firing_for: ${rule.keep}`]),
    ...pairs("labels", rule.labels),
    ...pairs("annotations", rule.annotations),
  ].join("\n");
}

/** A file with just this rule, evaluated that often. */
export const ruleFile = (rule: Parameters<typeof ruleYaml>[0], intervalS: number): string => `groups:\n- name: tried\n  interval: ${Math.max(1, Math.round(intervalS))}s\n  rules:\n${ruleYaml(rule).split("\n").map((l) => `  ${l}`).join("\n")}\n`;
