import { describe, expect, it } from "vitest";
import type { AlertState, Rule, RuleGroup } from "../../api/prometheus";
import { alertingRules, countStates, filterRules, limitOf, readableTemplate } from "./list";

const rule = (name: string, state: AlertState, labels = {}): Rule => ({
  name, state, labels, query: "up == 0", kind: "alerting", health: "ok", lastError: "", durationS: 0, keepFiringForS: 0, annotations: {}, alerts: [], evaluationTimeS: 0, lastEvaluation: "",
});
const groups: RuleGroup[] = [{ sourceUid: "p", name: "g", file: "f", intervalS: 1, evaluationTimeS: 0, lastEvaluation: "", rules: [rule("B", "inactive"), rule("A", "firing", { severity: "critical" }), { ...rule("r", "inactive"), kind: "recording" }] }];

describe("lists of alerts", () => {
  it("puts the loudest first, leaves recording rules out, counts and filters", () => {
    const list = alertingRules(groups);
    expect(list.map((l) => l.rule.name)).toEqual(["A", "B"]);
    expect(countStates(groups)).toMatchObject({ firing: 1, inactive: 1 });
    expect(filterRules(list, { text: "CRIT a", state: "", severity: "" }).map((l) => l.rule.name)).toEqual(["A"]);
    expect(filterRules(list, { text: "", state: "inactive", severity: "" }).map((l) => l.rule.name)).toEqual(["B"]);
  });
  it("finds the limit only where it is the outermost comparison", () => {
    expect(limitOf("sum(rate(x[5m])) / sum(y) > 0.05")).toEqual({ expr: "sum(rate(x[5m])) / sum(y)", operator: ">", limit: 0.05 });
    expect(limitOf("up == 0")).toMatchObject({ limit: 0 });
    expect(limitOf("sum(up > 1)")).toBeUndefined();
    expect(limitOf('x{a="("} < 2e9')).toMatchObject({ limit: 2e9 });
  });
  it("makes templates readable", () => {
    expect(readableTemplate("{{ $labels.service }} uses {{ $value | humanize }} of {{ x }}")).toBe("⟨service⟩ uses ⟨value⟩ of ⟨…⟩");
  });
});
