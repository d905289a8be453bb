import { describe, expect, it } from "vitest";
import { nextRefId, paneFromGraphLink, panesFromUrl, panesToUrl, remember } from "./url";

describe("the URL of Explore", () => {
  it("reads what it wrote, unknown keys of queries included", () => {
    const panes = [{ id: "a", datasource: "prom", queries: [{ refId: "A", expr: 'up{a="&b"}', rest: { legendFormat: "x" } }], range: { from: "now-3h", to: "now" } }];
    expect(panesFromUrl(panesToUrl(panes))).toEqual(panes);
  });
  it("reads the older forms", () => {
    const list = new URLSearchParams({ left: JSON.stringify(["now-6h", "now", "Loki", { expr: '{a="b"}' }, { mode: "Logs" }]) });
    expect(panesFromUrl(list)).toMatchObject([{ datasource: "Loki", queries: [{ expr: '{a="b"}' }], range: { from: "now-6h" } }]);
    const object = new URLSearchParams({ left: JSON.stringify({ datasource: { uid: "x" }, queries: [{ refId: "B", query: "up" }] }) });
    expect(panesFromUrl(object)).toMatchObject([{ datasource: "x", queries: [{ refId: "B", expr: "up" }], range: { from: "now-1h" } }]);
    expect(paneFromGraphLink(new URLSearchParams("g0.expr=up&g0.range_input=2h"))).toMatchObject({ range: { from: "now-2h" } });
  });
  it("survives rubbish", () => {
    for (const text of ["", "{", "[]", "3", '{"a":7}', '{"a":{"queries":[1]}}']) expect(() => panesFromUrl(new URLSearchParams({ panes: text, left: text }))).not.toThrow();
  });
  it("keeps a history without doubles", () => {
    expect(remember(["a", "b"], " b ")).toEqual(["b", "a"]);
    expect(nextRefId([{ refId: "A", expr: "", rest: {} }])).toBe("B");
  });
});
