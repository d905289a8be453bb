import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { faultOf, formatMatchers, fromLabels, matches, parseMatchers } from "./matchers";
import { flatten, groupOf, parseLabels, readRouting, routesFor } from "./routing";

describe("matchers", () => {
  it("are read in every form that is written, and written back", () => {
    for (const text of ['{a="b", c=~"d|e"}', 'a="b", c=~"d|e"', "a=b,c=~d|e", ' a = "b" , c =~ "d|e" ']) {
      expect(parseMatchers(text), text).toEqual([{ name: "a", operator: "=", value: "b" }, { name: "c", operator: "=~", value: "d|e" }]);
    }
    expect(parseMatchers('x!="a,\\"b}"')).toEqual([{ name: "x", operator: "!=", value: 'a,"b}' }]);
    expect(parseMatchers("nothing here")).toBeUndefined();
    expect(parseMatchers(formatMatchers(fromLabels({ z: 'a"b', alertname: "X" })))).toEqual([{ name: "alertname", operator: "=", value: "X" }, { name: "z", operator: "=", value: 'a"b' }]);
  });

  it("match as the server does: anchored, and a missing label is empty", () => {
    expect(matches({ name: "a", operator: "=~", value: "x|y" }, { a: "xy" })).toBe(false);
    expect(matches({ name: "a", operator: "!=", value: "x" }, {})).toBe(true);
    expect(matches({ name: "a", operator: "=~", value: "(" }, { a: "(" })).toBe(false);
  });

  it("of a silence must name something", () => {
    expect(faultOf([])).toBeDefined();
    expect(faultOf([{ name: "a", operator: "=~", value: ".*" }])).toBeDefined();
    expect(faultOf([{ name: "a", operator: "=~", value: "(" }])).toBeDefined();
    expect(faultOf([{ name: "a", operator: "=", value: "b" }])).toBeUndefined();
  });
});

const config = {
  route: {
    receiver: "all", group_by: ["alertname"], group_wait: "10s",
    routes: [
      { matchers: ['severity="critical"'], receiver: "pager", continue: true, routes: [{ match_re: { service: "wallet.*" }, receiver: "money", group_by: ["..."] }] },
      { match: { severity: "critical" }, receiver: "mail" },
      { matchers: ["severity=warning"] },
    ],
  },
  receivers: [{ name: "all" }, { name: "pager", slack_configs: [{}, {}], email_configs: [{}] }],
  inhibit_rules: [{ source_matchers: ['severity="critical"'], target_match: { severity: "warning" }, equal: ["service"] }],
};

describe("the routing tree", () => {
  const routing = readRouting(config);
  const where = (labels: Record<string, string>) => (routing === undefined ? [] : routesFor(routing.root, labels).map((r) => `${r.path} ${r.receiver}`));

  it("leads to the deepest route that matches, and on where it says so", () => {
    expect(where({ severity: "critical", service: "wallet-service" })).toEqual(["0.0.0 money", "0.1 mail"]);
    expect(where({ severity: "critical" })).toEqual(["0.0 pager", "0.1 mail"]);
    expect(where({ severity: "warning" })).toEqual(["0.2 all"]);
    expect(where({})).toEqual(["0 all"]);
  });

  it("hands down what a route does not say", () => {
    expect(routing === undefined ? [] : flatten(routing.root).map((r) => [r.path, r.groupWait, r.groupBy.join()])).toEqual([["0", "10s", "alertname"], ["0.0", "10s", "alertname"], ["0.0.0", "10s", "..."], ["0.1", "10s", "alertname"], ["0.2", "10s", "alertname"]]);
    const [money] = routing === undefined ? [] : routesFor(routing.root, { severity: "critical", service: "wallet" });
    expect(money === undefined ? {} : groupOf(money, { severity: "critical", service: "wallet" })).toEqual({ severity: "critical", service: "wallet" });
    expect(routing?.receivers[1]?.kinds).toEqual(["slack", "slack", "email"]);
    expect(routing?.inhibitions[0]).toMatchObject({ source: [{ value: "critical" }], target: [{ value: "warning" }], equal: ["service"] });
  });

  it("reads the mission's own configuration", () => {
    const text = readFileSync(new URL("../../../../monitoring/alertmanager/alertmanager.yml", import.meta.url), "utf8");
    const own = readRouting(parse(text));
    const names = new Set(own?.receivers.map((r) => r.name));
    for (const route of own === undefined ? [] : flatten(own.root)) {
      expect(names).toContain(route.receiver);
      expect(route.unread).toEqual([]);
    }
    expect(own === undefined ? 0 : routesFor(own.root, { severity: "critical", alertname: "ServiceDown" }).length).toBeGreaterThan(0);
  });

  it("takes labels as a person types them", () => {
    expect(parseLabels('alertname=X\nservice="a b", severity=critical')).toEqual({ alertname: "X", service: "a b", severity: "critical" });
  });
});
