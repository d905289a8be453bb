import type { Alert, AlertState, Rule, RuleGroup } from "../../api/prometheus";

const rank: Record<AlertState, number> = { firing: 0, pending: 1, unknown: 2, inactive: 3 };

export interface Listed {
  group: RuleGroup;
  rule: Rule;
}

/** All alerting rules, the loudest first, then by name. */
export function alertingRules(groups: readonly RuleGroup[]): readonly Listed[] {
  return groups
    .flatMap((group) => group.rules.filter((r) => r.kind === "alerting").map((rule) => ({ group, rule })))
    .sort((a, b) => rank[a.rule.state] - rank[b.rule.state] || a.rule.name.localeCompare(b.rule.name));
}

export interface Filter {
  text: string;
  state: AlertState | "";
  severity: string;
}

export function filterRules(list: readonly Listed[], { text, state, severity }: Filter): readonly Listed[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return list.filter(({ rule, group }) => {
    if (state !== "" && rule.state !== state) return false;
    if (severity !== "" && rule.labels["severity"] !== severity) return false;
    const all = [rule.name, group.name, rule.query, ...Object.entries(rule.labels).flat(), ...rule.alerts.flatMap((a) => Object.entries(a.labels).flat())].join(" ").toLowerCase();
    return words.every((w) => all.includes(w));
  });
}

export function countStates(groups: readonly RuleGroup[]): Readonly<Record<AlertState, number>> {
  const counts = { firing: 0, pending: 0, inactive: 0, unknown: 0 };
  for (const { rule } of alertingRules(groups)) counts[rule.state]++;
  return counts;
}

/** Firing and pending alerts of all rules, the longest first. */
export function activeAlerts(groups: readonly RuleGroup[]): readonly { alert: Alert; rule: Rule }[] {
  return alertingRules(groups)
    .flatMap(({ rule }) => rule.alerts.map((alert) => ({ alert, rule })))
    .sort((a, b) => rank[a.alert.state] - rank[b.alert.state] || a.alert.activeAt.localeCompare(b.alert.activeAt));
}

/** An annotation of a rule that no alert has filled in yet: `{{ $labels.service }}` reads ⟨service⟩. */
export function readableTemplate(text: string): string {
  return text.replace(/\{\{-?\s*(.*?)\s*-?\}\}/gs, (_, inner: string) => {
    const label = /\$labels\.(\w+)/.exec(inner)?.[1];
    return `⟨${label ?? (inner.includes("$value") ? "value" : "…")}⟩`;
  });
}

/** The limit in a rule's expression, for drawing it over the graph: the number compared with at the outermost end. */
export function limitOf(query: string): { expr: string; operator: string; limit: number } | undefined {
  const hit = /^(.*?)\s*(>=|<=|>|<|==|!=)\s*(?:bool\s+)?([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/is.exec(query.trim());
  if (hit === null) return undefined;
  const expr = (hit[1] ?? "").trim();
  // An open bracket means that the comparison is not the outermost.
  const depth = [...expr.replace(/"(?:[^"\\]|\\.)*"/g, "")].reduce((d, c) => d + (c === "(" ? 1 : c === ")" ? -1 : 0), 0);
  return depth === 0 && expr !== "" ? { expr, operator: hit[2] ?? "", limit: Number(hit[3]) } : undefined;
}
