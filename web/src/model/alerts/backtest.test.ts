import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { lanesOfReplay, replay, ruleFile, ruleYaml, totalOf } from "./backtest";

const series = (text: string) => ({ labels: {}, times: [...text].map((_, i) => i * 60_000), values: [...text].map((c) => (c === "x" ? 1 : null)) });
const shown = (text: string, holdMin: number, keepMin = 0) => {
  const list = replay([series(text)], 60_000, holdMin * 60_000, keepMin * 60_000);
  const at = (t: number) => list[0]?.periods.find((p) => p.from <= t && t < p.to);
  const { fired, spared } = totalOf(list);
  return [[...text].map((_, i) => { const p = at(i * 60_000); return p === undefined ? "." : p.firing ? "F" : "p"; }).join(""), fired, spared];
};

describe("a replayed rule", () => {
  it("waits as long as it must hold, and begins anew after a gap", () => {
    expect(shown("..xxxx.xx..", 2)).toEqual(["..ppFF.pp..", 1, 1]);
    expect(shown("xxx", 0)).toEqual(["FFF", 1, 0]);
    expect(shown("....", 0)).toEqual(["....", 0, 0]);
  });
  it("fires on for as long as it is told, and does not fire twice for a short gap", () => {
    expect(shown("xx.x...", 0, 2)).toEqual(["FFFFFF.", 1, 0]);
    expect(shown("xx.x...", 0)).toEqual(["FF.F...", 2, 0]);
  });
  it("is added up, and drawn at the moments at which something changes", () => {
    const list = replay([series("xx"), series(".x"), series("..")], 60_000, 60_000, 0);
    expect(totalOf(list)).toEqual({ alerts: 2, fired: 1, firingFor: 60_000, spared: 1 });
    const [lane] = lanesOfReplay(list, { from: 0, to: 180_000 });
    expect(lane?.fields.map((f) => f.values)).toEqual([[0, 60_000, 120_000, 180_000], ["pending", "firing", null, null]]);
  });
});

it("a rule is written so that YAML reads it", () => {
  for (const query of ["up == 0", 'rate(x{a="b"}[5m]) > 1', "a\n  > 5"]) {
    const [rule = {}] = parse(ruleYaml({ name: "A", query, hold: "5m", keep: "0s", labels: { severity: "critical" }, annotations: { summary: 'it: "x"' } })) as Record<string, unknown>[];
    expect({ ...rule, expr: String(rule["expr"]).trimEnd() }).toEqual({ alert: "A", expr: query, for: "5m", labels: { severity: "critical" }, annotations: { summary: 'it: "x"' } });
  }
});

it("a file with the rule is read as one group", () => {
  expect(parse(ruleFile({ name: "A", query: "a\n> 5", hold: "", keep: "", labels: {}, annotations: {} }, 15))).toMatchObject({ groups: [{ interval: "15s", rules: [{ alert: "A" }] }] });
});
