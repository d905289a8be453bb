import { describe, expect, it } from "vitest";
import type { PromSample } from "../data/prometheus";
import { buildTraceQuery, isTraceMetrics } from "../query/traceql";
import { buildGraph, graphFrames, layoutGraph, readGraph } from "./graph";
import { criticalPath, flames, flamesOfLevels, timeByService } from "./path";
import { readTrace } from "./trace";

const call = (client: string, server: string, value: number, connection_type = ""): PromSample => ({ metric: { client, server, connection_type }, value: [0, String(value)] });

describe("the service graph", () => {
  const graph = buildGraph({
    total: [call("user", "agent", 10, "virtual_node"), call("agent", "wallet", 4), call("wallet", "pg", 8, "database"), call("wallet", "agent", 1)],
    failed: [call("agent", "wallet", 1), call("agent", "wallet", NaN)],
    p95: [call("agent", "wallet", 0.25), call("wallet", "pg", NaN)],
  });

  it("adds up what a service answers and what of it failed", () => {
    const wallet = graph.nodes.find((n) => n.id === "wallet");
    expect(wallet).toMatchObject({ rate: 4, errors: 0.25, p95: 0.25 });
    expect(graph.nodes.find((n) => n.id === "agent")).toMatchObject({ rate: 11, errors: 0 });
    expect(graph.nodes.find((n) => n.id === "user")).toMatchObject({ rate: 10, subtitle: "outside" });
    expect(graph.nodes.find((n) => n.id === "pg")?.subtitle).toBe("database");
  });

  it("puts who calls left of who is called, circles or not", () => {
    const x = new Map(layoutGraph(graph).map((p) => [p.node.id, p.x]));
    expect([x.get("user"), x.get("agent"), x.get("wallet"), x.get("pg")]).toEqual([0, 1 / 3, 2 / 3, 1]);
    const circle = buildGraph({ total: [call("a", "b", 1), call("b", "a", 1), call("a", "a", 1)], failed: [], p95: [] });
    expect(layoutGraph(circle)).toHaveLength(2);
  });

  it("survives the way through frames", () => {
    const back = readGraph(graphFrames(graph, "A"));
    expect(back?.nodes.map((n) => [n.id, n.rate, n.errors])).toEqual(graph.nodes.map((n) => [n.id, n.rate, n.errors]));
    expect(back?.edges).toHaveLength(graph.edges.length);
    expect(readGraph([])).toBeUndefined();
  });
});

const span = (spanId: string, parentSpanId: string, name: string, from: number, to: number) => ({ spanId, parentSpanId, name, startTimeUnixNano: String(1_000_000_000 + from), endTimeUnixNano: String(1_000_000_000 + to) });
const trace = (...spans: ReturnType<typeof span>[]) => readTrace("t", { batches: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "s" } }] }, scopeSpans: [{ spans }] }] });

describe("where a trace's time went", () => {
  // a: 0-100, in it b: 0-40 beside c: 10-60, then d: 60-95; e outlives its parent.
  const found = trace(span("a", "", "a", 0, 100), span("b", "a", "b", 0, 40), span("c", "a", "c", 10, 60), span("d", "a", "d", 60, 95), span("e", "a", "late", 90, 300));

  it("follows the child that ended last, backwards", () => {
    const inside = trace(span("a", "", "a", 0, 100), span("b", "a", "b", 0, 40), span("c", "a", "c", 10, 60), span("d", "a", "d", 60, 95));
    expect(inside === undefined ? [] : [...criticalPath(inside)].sort()).toEqual(["a", "c", "d"]);
    expect(found === undefined ? [] : [...criticalPath(found)]).not.toContain("e");
  });

  it("counts a service's own time once", () => {
    expect(found === undefined ? [] : timeByService(found)).toMatchObject([{ service: "s", spans: 5 }]);
  });

  it("lays equal stacks together within their parent's width", () => {
    const twice = trace(span("a", "", "a", 0, 100), span("b", "a", "q", 0, 80), span("c", "a", "q", 10, 90));
    const list = twice === undefined ? [] : flames(twice.lines);
    expect(list.map((f) => [f.name, f.depth, f.spans])).toEqual([["a", 0, 1], ["q", 1, 2]]);
    expect(list[1]?.width).toBeLessThanOrEqual(1);
  });
});

describe("TraceQL", () => {
  it("is told apart by its pipeline, not by text in it", () => {
    expect(isTraceMetrics("{ status = error } | rate() by (name)")).toBe(true);
    expect(isTraceMetrics('{ name = "| rate()" }')).toBe(false);
  });
  it("is written out of a form, with quotes where they belong", () => {
    expect(buildTraceQuery([])).toBe("{}");
    const all = [{ field: "resource.service.name", operator: "=", value: 'a"b' }, { field: "status", operator: "=", value: "error" }, { field: "duration", operator: ">", value: "5ms" }, { field: "span.http.status_code", operator: ">=", value: "500" }, { field: "name", operator: "=~", value: "GET.*" }, { field: "x", operator: "=", value: "" }];
    expect(buildTraceQuery(all)).toBe('{ resource.service.name = "a\\"b" && status = error && duration > 5ms && span.http.status_code >= 500 && name =~ "GET.*" }');
  });
});

describe("profiles", () => {
  it("lay boxes of a level side by side below their parent", () => {
    const row = (level: number, value: number, name: string) => ({ level, value, own: 0, name });
    const list = flamesOfLevels([row(0, 100, "all"), row(1, 60, "a"), row(2, 30, "b"), row(1, 40, "c"), row(2, 10, "d"), row(5, 1, "orphan")]);
    expect(list.map((f) => [f.name, f.x, f.width])).toEqual([["all", 0, 1], ["a", 0, 0.6], ["b", 0, 0.3], ["c", 0.6, 0.4], ["d", 0.6, 0.1]]);
    expect(flamesOfLevels([])).toEqual([]);
  });
});
