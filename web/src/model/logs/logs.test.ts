import { describe, expect, it } from "vitest";
import { logRows } from "../data/loki";
import { ansiSpans, stripAnsi } from "./ansi";
import { fieldsOfLine, prettyLine, traceIdOf } from "./fields";
import { levelOf } from "./level";
import { fieldStatistics, foldRepeats } from "./view";

const rows = (lines: string[]) => logRows([{ stream: { app: "x" }, values: lines.map((l, i) => [`${1_700_000_000_000_000_000n + BigInt(i)}`, l] as const) }], false);

describe("log lines", () => {
  it.each([
    [{ level: "30" }, {}, "", "info"], [{}, { severity: "WARN" }, "", "warning"], [{}, {}, '{"level":50,"msg":"x"}', "error"], [{}, {}, "ts=1 level=debug", "debug"],
    [{}, {}, "2026 ERROR boom", "error"], [{}, {}, "nothing here", "unknown"], [{ level: "nonsense" }, {}, "lvl=FATAL", "critical"],
  ] as const)("compares levels as levels: %j %j %s", (labels, fields, line, level) => expect(levelOf(labels, fields, line)).toBe(level));

  it("reads fields of JSON and logfmt", () => {
    expect(fieldsOfLine('{"a":{"b":1},"c":null,"d":[1]}')).toEqual({ a_b: "1", d: "[1]" });
    expect(fieldsOfLine('level=info msg="hello \\"you\\"" n=3')).toEqual({ level: "info", msg: 'hello "you"', n: "3" });
    expect(prettyLine('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(prettyLine("{broken")).toBe("{broken");
  });

  it("finds a trace id under any of its names, dashes or not", () => {
    const id = "0123456789abcdef0123456789abcdef";
    expect(traceIdOf("", { trace_id: id })).toBe(id);
    expect(traceIdOf('{"traceID":"01234567-89ab-cdef-0123-456789abcdef"}', {})).toBe(id);
    expect(traceIdOf("trace_id=short", {})).toBeUndefined();
  });

  it("turns terminal colours into spans of text", () => {
    expect(ansiSpans("a\u001b[31;1mred\u001b[0mb").map((s) => [s.text, s.bold === true])).toEqual([["a", false], ["red", true], ["b", false]]);
    expect(stripAnsi("\u001b[1mx\u001b[0m")).toBe("x");
  });

  it("folds repeated lines and counts fields", () => {
    expect(foldRepeats(rows(["a 1", "a 2", "b"]), "numbers").map((f) => f.repeats)).toEqual([1, 0]);
    expect(foldRepeats(rows(["a", "a"]), "none")).toHaveLength(2);
    expect(fieldStatistics(rows(["u=1", "u=1", "u=2", "x"]), "u")).toMatchObject({ present: 3, distinct: 2, top: [{ value: "1", count: 2 }, { value: "2" }] });
  });
});
