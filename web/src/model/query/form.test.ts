import { describe, expect, it } from "vitest";
import { emptyLogForm, emptyPromForm, readLog, readProm, writeLog, writeProm } from "./form";

const matcher = (name: string, value: string, operator: "=" | "!=" | "=~" | "!~" = "=") => ({ name, operator, value });

describe("forms of PromQL", () => {
  it("write what people write", () => {
    expect(writeProm({ ...emptyPromForm, metric: "up" })).toBe("up");
    expect(writeProm({ ...emptyPromForm, metric: "http_requests_total", matchers: [matcher("service", "a\"b"), matcher("", "x")], over: "rate", range: "5m", by: "sum", labels: ["service", "route"] })).toBe('sum by (service, route) (rate(http_requests_total{service="a\\"b"}[5m]))');
    expect(writeProm({ ...emptyPromForm, metric: "d_bucket", over: "rate", by: "sum", labels: ["le"], quantile: "0.95" })).toBe("histogram_quantile(0.95, sum by (le) (rate(d_bucket[$__rate_interval])))");
    expect(writeProm({ ...emptyPromForm, metric: "x", by: "topk", count: "3" })).toBe("topk(3, x)");
  });
  it("are read back from their text, and from what others wrote alike", () => {
    for (const text of ["up", 'up{job="a", x!~"b.*"}', "sum(rate(x[5m]))", "sum by (le) (rate(x_bucket[1m]))", "max without (pod) (x)", "topk(3, sum_over_time(x[1h]))", 'histogram_quantile(0.9, sum by (le) (rate(b{s="}"}[$__rate_interval])))', '{__name__="up"}']) {
      const form = readProm(text);
      expect(form === undefined ? undefined : writeProm(form), text).toBe(text);
    }
    expect(readProm("sum(rate(x[5m])) by (a,b)")).toMatchObject({ by: "sum", labels: ["a", "b"], over: "rate", metric: "x" });
    expect(readProm("")).toEqual(emptyPromForm);
  });
  it("leave alone what they cannot hold", () => {
    for (const text of ["a / b", "sum(x) + sum(y)", "rate(x[5m] offset 1h)", "sum(rate(x[5m:1m]))", "x > 3", "sum(a) by (x) / sum(b) by (x)", "sum by (a) (sum by (b) (x))", "up{"]) expect(readProm(text), text).toBeUndefined();
  });
});

describe("forms of LogQL", () => {
  it("are written and read back", () => {
    for (const text of ['{service="a"}', '{service=~"a|b", level="error"} |= "x } y" != "z" | json | status="500" | route!~"/h.*"', 'sum by (service) (count_over_time({job="x"} |= "e" [5m]))', 'rate({a="b"}[1m])']) {
      const form = readLog(text);
      expect(form === undefined ? undefined : writeLog(form), text).toBe(text);
    }
    expect(readLog("")).toEqual(emptyLogForm);
  });
  it("leave alone what they cannot hold", () => {
    for (const text of ['{a="b"} | line_format "x"', '{a="b"} | json | duration > 5s', '{a="b"} |= "x" or "y"', 'sum(rate({a="b"}[1m])) / 2', "{"]) expect(readLog(text), text).toBeUndefined();
  });
});
