import { describe, expect, it } from "vitest";
import { hexId, readHits, readTrace, traceIdFrom, traceIdOfLabels } from "./trace";

const base = 1_700_000_000_000_000_000n;
const span = (spanId: string, parentSpanId: string, start: number, end: number, more = {}) => ({ spanId, parentSpanId, name: spanId, startTimeUnixNano: String(base + BigInt(start)), endTimeUnixNano: String(base + BigInt(end)), ...more });
const batch = (service: string, ...spans: object[]) => ({ resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] }, scopeSpans: [{ spans }] });
const [a, b, c, d] = ["a", "b", "c", "d"].map((x) => x.repeat(16)) as [string, string, string, string];

describe("traces", () => {
  it("become lines, parents before children, in order, with the time that is their own", () => {
    const trace = readTrace("x", { batches: [batch("one", span(a, "", 0, 100)), batch("two", span(c, a, 60, 90, { status: { code: "STATUS_CODE_ERROR" } }), span(b, a, 10, 40), span(d, b, 20, 30))] } as never);
    expect(trace?.lines.map((l) => [l.span.id[0], l.depth, l.own])).toEqual([["a", 0, 40], ["b", 1, 20], ["d", 2, 10], ["c", 1, 30]]);
    expect(trace).toMatchObject({ duration: 100, errors: 1, services: ["one", "two"], startMs: 1_700_000_000_000 });
  });
  it("show orphans and circles, and a span that came twice once", () => {
    const trace = readTrace("x", { trace: { resourceSpans: [batch("one", span(a, b, 0, 5), span(b, a, 1, 4), span(c, "e".repeat(16), 2, 3), span(c, "", 2, 3))] } } as never);
    expect(trace?.lines.map((l) => l.span.id[0]).sort()).toEqual(["a", "b", "c"]);
  });
  it("have ids as hex, whichever way they came", () => {
    expect(hexId("AAAAAAAAAAE=")).toBe("0000000000000001");
    expect(hexId("ABCDEF0123456789")).toBe("abcdef0123456789");
    expect(traceIdFrom("01234567-89ab-cdef-0123-456789ABCDEF")).toBe("0123456789abcdef0123456789abcdef");
    expect(traceIdFrom("{ .a = 1 }")).toBeUndefined();
    expect(traceIdOfLabels({ a: "1", traceID: "ABCDEF0123456789" })).toBe("abcdef0123456789");
    expect(traceIdOfLabels({ span_id: "1" })).toBeUndefined();
  });
  it("are found by search, missing zeros and all", () => {
    expect(readHits({ traces: [{ traceID: "1", rootServiceName: "s", rootTraceName: "n", startTimeUnixNano: "1700000000000000000", spanSets: [{ matched: 2 }] }] })).toEqual([{ id: "1", service: "s", name: "n", startMs: 1_700_000_000_000, durationMs: 0, matched: 2 }]);
    expect(readTrace("x", {})).toBeUndefined();
  });
});
