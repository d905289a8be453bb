import { describe, expect, it } from "vitest";
import type { LogRow } from "../data/loki";
import { findPatterns, fixedPart, patternOf } from "./patterns";
import { readableLine } from "./readable";

const row = (line: string, timeMs = 0, level = "info"): LogRow => ({ tsNs: `${timeMs}000000`, timeMs, line, labels: { level }, fields: {}, id: `${timeMs} ${line}` });

describe("patterns of lines", () => {
  it("are what stays when numbers, ids and quoted text go", () => {
    expect(patternOf("GET /rides/123 took 45ms for usr_0042")).toBe("GET /rides/<…> took <…> for <…>");
    expect(patternOf("Ticket #447821 opened { subject: 'driver is late' }")).toBe("Ticket #<…> opened { subject: <…> }");
    expect(patternOf('{"msg":"payment 12 failed","event":"payment_failed","trace_id":"0af7651916cd43dd8448eb211c80319c"}')).toBe("payment_failed: payment <…> failed");
    expect(patternOf("deadbeefcafe from 10.0.0.1:8080")).toBe("deadbeefcafe from <…>");
  });

  it("are counted over time, with the gravest level and a text to look for", () => {
    const rows = [row("job 1 done", 0), row("job 2 done", 50, "error"), row("job 3 done", 99), row("idle", 10)];
    const [first, second] = findPatterns(rows, { from: 0, to: 100 });
    expect(first).toMatchObject({ text: "job <…> done", count: 3, level: "error" });
    expect([first?.over[0], first?.over[12], first?.over[23]]).toEqual([1, 1, 1]);
    expect(second?.text).toBe("idle");
    expect(first === undefined ? "" : fixedPart(first)).toBe("done");
  });
});

describe("a readable line", () => {
  it("is its message and what is particular", () => {
    expect(readableLine('{"level":30,"time":1,"pid":7,"service":"w","msg":"paid","amount":1.5,"note":"two words","trace_id":"x"}')).toBe('paid  amount=1.5  note="two words"');
    expect(readableLine('level=info msg="it works" n=3')).toBe("it works  n=3");
  });
  it("is the line itself where nothing is structured", () => {
    for (const line of ["plain text", '{"a":1}', "[1,2]", "", '{"msg":""}']) expect(readableLine(line)).toBeUndefined();
  });
});
