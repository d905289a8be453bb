import { describe, expect, it } from "vitest";
import { metricNames } from "./promql";
import { closest } from "./similar";

describe("metrics that are not there", () => {
  it("are found in the tree of the query", () => {
    expect(metricNames('sum by (le) (rate(a_bucket{x="b_total"}[5m])) / on (y) c # d')).toEqual(["a_bucket", "c"]);
    expect(metricNames("sum(")).toEqual([]);
  });
  it("have neighbours: a lost prefix first, then what is spelled alike", () => {
    const existing = ["up", "http_requests_total", "http_request_duration_seconds_bucket", "process_cpu_seconds_total"];
    expect(closest("wallet_service_http_requests_total", existing)[0]).toBe("http_requests_total");
    expect(closest("http_request_total", existing)[0]).toBe("http_requests_total");
    expect(closest("zzz", existing)).toEqual([]);
  });
});
