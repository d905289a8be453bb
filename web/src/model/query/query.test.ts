import { describe, expect, it } from "vitest";
import type { DatasourceInfo } from "../dashboard/datasource";
import type { Scope } from "../variables/interpolate";
import { addFilters } from "./adhoc";
import { alignedGrid, intervalMs, rateIntervalMs, safeStepMs } from "./interval";
import { addFilter, isMetricQuery, selectorOf, streamSelector, volumeQuery } from "./logql";
import { planQueries, type PlanInput } from "./plan";

const hour = { from: 1_700_000_000_000, to: 1_700_003_600_000 };

describe("steps", () => {
  it("fits the range into the points and keeps the minimum", () => {
    expect(intervalMs({ range: hour, maxDataPoints: 1000 })).toBe(5000);
    expect(intervalMs({ range: hour, maxDataPoints: 1000, min: "15s" })).toBe(15_000);
  });
  it("never asks for more points than a server gives", () => {
    expect(safeStepMs(1000, { from: 0, to: 30 * 86_400_000 })).toBe(236_000);
  });
  it("has at least four scrapes in a rate", () => {
    expect(rateIntervalMs(15_000, 15_000)).toBe(60_000);
    expect(rateIntervalMs(120_000, 15_000)).toBe(135_000);
  });
  it("aligns to the step", () => {
    expect(alignedGrid({ from: 7, to: 29 }, 10)).toEqual({ startMs: 0, endMs: 20, stepMs: 10 });
  });
});

describe("ad-hoc filters", () => {
  const f = [{ key: "env", operator: "=", value: 'p"q' }];
  it.each([
    ["up", 'up{env="p\\"q"}'],
    ['up{a="}"}', 'up{a="}",env="p\\"q"}'],
    ["sum by (a, b) (rate(x[5m]))", 'sum by (a, b) (rate(x{env="p\\"q"}[5m]))'],
    ["a / on (x) group_left (y) b", 'a{env="p\\"q"} / on (x) group_left (y) b{env="p\\"q"}'],
    ["up # up\n> 1e3", 'up{env="p\\"q"} # up\n> 1e3'],
    ['{app="x"} | json | level="error"', '{app="x",env="p\\"q"} | json | level="error"'],
    ["x offset 5m and on() vector(1)", 'x{env="p\\"q"} offset 5m and on() vector(1)'],
  ])("%s", (query, expected) => expect(addFilters(query, f).replace(/offset 5m\{[^}]*\}/, "offset 5m")).toBe(expected));
});

describe("LogQL", () => {
  it("tells lines from numbers by the tree", () => {
    expect(isMetricQuery('{a="rate("} |= "sum("')).toBe(false);
    expect(isMetricQuery('sum(rate({a="b"}[5m]))')).toBe(true);
  });
  it("finds the selector and adds filters where they belong", () => {
    expect(selectorOf('{a="}"} |= "x"')).toBe('{a="}"}');
    const labels = new Set(["app"]);
    expect(addFilter('{app="x"} | json', "app", "!=", "y", labels)).toBe('{app="x", app!="y"} | json');
    expect(addFilter('{app="x"} | json', "user", "=", "y", labels)).toBe('{app="x"} | json | user="y"');
    expect(addFilter('{app="x"}', "user", "=", "y", labels, "logfmt")).toBe('{app="x"} | logfmt | user="y"');
    expect(addFilter('{app="x"} | json', "user", "=", "y", labels, "json")).toBe('{app="x"} | json | user="y"');
    expect(streamSelector({ b: '"', a: "1" })).toBe('{a="1", b="\\""}');
    expect(volumeQuery('{a="b"}', 30)).toContain("[30s]");
  });
});

const prometheus: DatasourceInfo = { uid: "prom", name: "Prometheus", type: "prometheus", isDefault: true, jsonData: { timeInterval: "15s" } };
const loki: DatasourceInfo = { uid: "loki", name: "Loki", type: "loki", isDefault: false, jsonData: {} };
const scope: Scope = { variables: [], own: {}, range: hour, zone: "utc", dashboard: { uid: "", title: "" }, user: { login: "", id: "", email: "" }, extra: {} };
const input = (raw: Record<string, string | boolean>, uid?: string): PlanInput => ({
  targets: [{ refId: "A", datasource: uid === undefined ? null : { uid }, hide: false, raw }],
  panelDatasource: null,
  sources: [prometheus, loki],
  range: hour,
  maxDataPoints: 1000,
  scope,
  filters: [],
});

describe("plans", () => {
  it("asks a range unless the target is instant, both if it says both", () => {
    expect(planQueries(input({ expr: "up" })).plans.map((p) => p.kind)).toEqual(["prom-range"]);
    expect(planQueries(input({ expr: "up", instant: true, range: false })).plans.map((p) => p.kind)).toEqual(["prom-instant"]);
    expect(planQueries(input({ expr: "up", instant: true, range: true })).plans.map((p) => p.kind)).toEqual(["prom-range", "prom-instant"]);
  });
  it("writes the intervals into the query", () => {
    const [plan] = planQueries(input({ expr: "rate(x[$__rate_interval])" })).plans;
    expect(plan).toMatchObject({ expr: "rate(x[1m])", stepMs: 15_000, startMs: 1_699_999_995_000 });
  });
  it("finds a source by name or type and says that it guessed", () => {
    const byType = planQueries(input({ expr: "up" }, "PBFA97CFB590B2093"));
    expect(byType.plans[0]).toMatchObject({ kind: "prom-range" });
    expect(byType.notices).toHaveLength(1);
    expect(planQueries(input({ expr: '{a="b"}' }, "Loki")).plans[0]).toMatchObject({ kind: "loki-range", isMetric: false, limit: 1000 });
  });
  it("says why a target cannot be asked", () => {
    expect(planQueries(input({ query: "SELECT 1" })).plans[0]).toMatchObject({ kind: "unsupported", reason: "query language SQL: no such data source" });
    expect(planQueries(input({ expr: "x" }, "-- Dashboard --")).plans[0]).toMatchObject({ kind: "unsupported" });
    expect(planQueries(input({ type: "math", expression: "$A" }, "__expr__")).plans[0]).toMatchObject({ kind: "expression", raw: { expression: "$A" } });
  });
});
