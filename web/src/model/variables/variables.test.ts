import { describe, expect, it } from "vitest";
import { formatVariable } from "./formats";
import { autoInterval, interpolate, roundInterval, type Scope } from "./interpolate";
import { applyRegex, customOptions, selectOptions, sortOptions } from "./options";
import { evaluationOrder } from "./order";
import { parseLokiVariable, parsePromVariable } from "./query";
import { readVariable } from "./read";
import { filterToUrl, filtersFromUrl } from "./url";
import type { Option, VariableState } from "./types";

const option = (value: string): Option => ({ text: value, value });
function state(name: string, values: string[], more: Record<string, string | boolean> = {}, options = values): VariableState {
  return { variable: readVariable({ name, type: "query", ...more }), options: options.map(option), selected: values.map(option), filters: [], loading: false };
}
const scope = (variables: VariableState[], extra: Record<string, string> = {}): Scope => ({
  variables,
  own: {},
  range: { from: 1_700_000_000_000, to: 1_700_003_600_000 },
  zone: "utc",
  dashboard: { uid: "abc", title: "Home" },
  user: { login: "ada", id: "1", email: "" },
  extra,
});

describe("formats of variables", () => {
  const format = (id: string) => formatVariable(id, { name: "x", values: ["a", "b.c"], texts: ["A", "B"], zone: "utc" });
  it.each([
    ["csv", "a,b.c"], ["raw", "a,b.c"], ["pipe", "a|b.c"], ["regex", "(a|b\\.c)"], ["glob", "{a,b.c}"], ["json", '["a","b.c"]'], ["doublequote", '"a","b.c"'],
    ["singlequote", "'a','b.c'"], ["sqlstring", "'a','b.c'"], ["lucene", '("a" OR "b.c")'], ["percentencode", "%7Ba%2Cb.c%7D"], ["distributed", "a,x=b.c"],
    ["text", "A + B"], ["queryparam", "var-x=a&var-x=b.c"],
  ])("%s", (id, text) => expect(format(id)).toBe(text));
});

describe("interpolation", () => {
  it("knows every way of writing a variable, and where a name ends", () => {
    const s = scope([state("svc", ["api"])]);
    expect(interpolate("$svc ${svc} [[svc]] ${svc:csv} $svc_x $none", s, "text")).toBe("api api api api $svc_x $none");
  });

  it("escapes several values as a regular expression inside quotes", () => {
    const s = scope([state("svc", ["a", "b.c"], { multi: true })]);
    expect(interpolate('up{service=~"$svc"}', s, "labels")).toBe('up{service=~"(a|b\\\\.c)"}');
    expect(interpolate("x{a='$one'}", scope([state("one", ["it's"])]), "labels")).toBe("x{a='it\\'s'}");
  });

  it("writes All as allValue, else as every option", () => {
    const all = (allValue: string) => ({ ...state("svc", [], { multi: true, includeAll: true, allValue }, ["a", "b"]), selected: [{ text: "All", value: "$__all" }] });
    expect(interpolate("$svc", scope([all(".*")]), "labels")).toBe(".*");
    expect(interpolate("$svc", scope([all("")]), "labels")).toBe("(a|b)");
    expect(interpolate("$svc", scope([all("")]), "text")).toBe("All");
    expect(interpolate("${svc:queryparam}", scope([all("")]), "text")).toBe("var-svc=%24__all");
  });

  it("knows the built-in ones", () => {
    const s = scope([], { __rate_interval: "1m" });
    expect(interpolate("$__from ${__to:date:seconds} $__range $__range_s [$__rate_interval] ${__dashboard.uid} ${__user.login}", s, "text")).toBe(
      "1700000000000 1700003600 3600s 3600 [1m] abc ada",
    );
    expect(interpolate("${__from:date:YYYY-MM}", s, "text")).toBe("2023-11");
  });

  it("lets the value of a clone win", () => {
    const s = { ...scope([state("svc", ["a", "b"], { multi: true })]), own: { svc: option("b") } };
    expect(interpolate("$svc", s, "labels")).toBe("b");
  });
});

describe("options", () => {
  it("splits custom ones, with keys and escaped commas", () => {
    expect(customOptions("a, b\\,c ,key : value,")).toEqual([option("a"), option("b,c"), { text: "key", value: "value" }]);
  });

  it("captures with regular expressions, named groups too, and removes doubles", () => {
    expect(applyRegex([option("a-1"), option("a-2"), option("x")], "/(\\w)-\\d/")).toEqual([option("a")]);
    expect(applyRegex([option('up{i="h:1"}')], '/i="(?<text>[^:]+):(?<value>\\d+)"/')).toEqual([{ text: "h", value: "1" }]);
    expect(applyRegex([option("a"), option("b")], "/(/")).toHaveLength(2);
  });

  it("sorts in every way", () => {
    const list = ["b10", "B2", "a1"].map(option);
    const texts = (sort: number) => sortOptions(list, sort).map((o) => o.text).join();
    expect([0, 1, 2, 3, 4, 5, 7, 8].map(texts)).toEqual(["b10,B2,a1", "B2,a1,b10", "b10,a1,B2", "a1,B2,b10", "b10,B2,a1", "a1,b10,B2", "a1,B2,b10", "b10,B2,a1"]);
  });

  it("selects what the URL wants, else what was stored, else the first", () => {
    const v = readVariable({ name: "x", type: "query", current: { text: "b", value: "b" } });
    const options = ["a", "b"].map(option);
    expect(selectOptions(v, options, ["zzz"])).toEqual([option("zzz")]);
    expect(selectOptions(v, options, undefined)).toEqual([option("b")]);
    expect(selectOptions({ ...v, current: [] }, options, undefined)).toEqual([option("a")]);
    expect(selectOptions({ ...v, includeAll: true }, options, ["All"])).toEqual([{ text: "All", value: "$__all" }]);
  });

  it("evaluates variables after those they use, and tells circles apart", () => {
    const v = (name: string, query: string) => readVariable({ name, type: "query", query });
    const { batches, cyclic } = evaluationOrder([v("pod", "label_values(up{ns=\"$ns\"}, pod)"), v("ns", "label_values(ns)"), v("p", "$q"), v("q", "${p}")]);
    expect(batches.map((b) => b.map((x) => x.name))).toEqual([["ns"], ["pod"]]);
    expect(cyclic.map((x) => x.name)).toEqual(["p", "q"]);
  });

  it("understands the little language of queries", () => {
    expect(parsePromVariable("label_values(up{a=\"x,y\"}, service)")).toEqual({ kind: "labelValues", label: "service", selector: 'up{a="x,y"}' });
    expect(parsePromVariable("label_values(service)")).toEqual({ kind: "labelValues", label: "service" });
    expect(parsePromVariable("label_names()")).toEqual({ kind: "labelNames" });
    expect(parsePromVariable("metrics(http_.*)")).toEqual({ kind: "metrics", regex: "http_.*" });
    expect(parsePromVariable("query_result(topk(3, up))")).toEqual({ kind: "queryResult", expr: "topk(3, up)" });
    expect(parsePromVariable("up{job=\"a\"}")).toEqual({ kind: "series", selector: 'up{job="a"}' });
    expect(parseLokiVariable("", { type: 1, label: "app", stream: "{a=\"b\"}" })).toEqual({ kind: "labelValues", label: "app", selector: '{a="b"}' });
  });

  it("carries ad-hoc filters through the URL", () => {
    const filter = { key: "a|b", operator: "=~", value: "x,y|z" };
    expect(filtersFromUrl([filterToUrl(filter)])).toEqual([filter]);
  });
});

describe("intervals", () => {
  it("rounds as dashboards expect", () => {
    expect([7, 12, 40, 999, 12_000, 60_000, 600_000, 1e12].map(roundInterval)).toEqual([1, 10, 50, 1000, 10_000, 60_000, 600_000, 31_536_000_000]);
    expect(autoInterval({ from: 0, to: 3_600_000 }, 30, 10_000)).toBe("2m");
  });
});
