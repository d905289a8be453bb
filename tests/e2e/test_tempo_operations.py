"""Tenants of the traces, the pages for operators, Reba's own spans, and metrics of spans that lead to their traces."""

import json
import time
import unittest

from harness import Http, Scratch, wait_until
from traces import QUIET, TEMPO, Tempo, attributes, otlp, span

TENANTS = """
multitenancy_enabled: true
overrides: {max_bytes_per_trace: 100_000, per_tenant_override_config: tenants.yml}
"""
PAGES = {
    "version": "tempo, version ", "services": "query-frontend: Running", "endpoints": "GET /api/search", "config": "multitenancy_enabled: true",
    "runtime_config": "defaults:", "overrides": "max_bytes_per_trace: 2000", "overrides/a": "max_bytes_per_trace: 2000",
    "overrides/b": "max_bytes_per_trace: 100000", "usage-stats": "never",
}


class Operations(unittest.TestCase):
    def scratch(self):
        scratch = Scratch()
        scratch.__enter__()
        self.addCleanup(scratch.__exit__, None, None, None)
        return scratch

    def test_tenants_see_their_own_traces_and_have_their_own_limits(self):
        scratch = self.scratch()
        scratch.write("conf/tempo/tenants.yml", "overrides: {a: {max_bytes_per_trace: 2000}}")
        tempo = Tempo(scratch, tempo=TENANTS)
        one = lambda service: otlp([span("1" * 32, "1" * 16, attributes=[{"key": f"of-{service}", "value": {"stringValue": "x" * 3000}}])], service)
        status, text = tempo.push(one("nobody"))
        self.assertEqual((status, "no org id" in text), (401, True), text)
        # The same ids for two tenants; what is too large for one is not for the other.
        small = otlp([span("1" * 32, "1" * 16, attributes=[{"key": "of-a", "value": {"stringValue": "x"}}])], "a")
        self.assertEqual(tempo.push(small, tenant="a")[0], 200)
        self.assertEqual(tempo.push(one("b"), tenant="b"), (200, '{"partialSuccess":{}}'))
        self.assertIn("TRACE_TOO_LARGE", tempo.push(otlp([span("2" * 32, "1" * 16, "2" * 16, name="x" * 3000)]), tenant="a")[1])
        for path in ("/api/traces/1", "/api/search", "/api/search/tags", "/api/metrics/query_range?q={}|rate()"):
            self.assertEqual(tempo.ask(path)[0], 401, path)
        for tenant, other in (("a", "b"), ("b", "a")):
            self.assertEqual(list(tempo.groups("1" * 32, tenant)), [tenant])
            self.assertEqual(tempo.found(f'{{ resource.service.name = "{tenant}" }}', tenant), ["1" * 32])
            self.assertEqual(tempo.found(f'{{ resource.service.name = "{other}" }}', tenant), [])
            names = tempo.get("/api/v2/search/tags", tenant, scope="span")["scopes"][0]["tags"]
            self.assertEqual(names, [f"of-{tenant}"])
            values = tempo.get("/api/v2/search/tag/resource.service.name/values", tenant)["tagValues"]
            self.assertEqual([v["value"] for v in values], [tenant])
            series = tempo.get("/api/metrics/query_range", tenant, q="{} | count_over_time() by (resource.service.name)", since="1h")["series"]
            self.assertEqual([s["labels"][0]["value"]["stringValue"] for s in series], [tenant])
            streamed = tempo.stream("Search", TEMPO["SearchRequest"](Query="{}", Limit=20), "SearchResponse", tenant)
            self.assertEqual([t.rootServiceName for m in streamed for t in m.traces], [tenant])
            self.assertEqual(tempo.metric(f'tempo_distributor_spans_received_total{{tenant="{tenant}"}}'), 2 if tenant == "a" else 1)
        self.assertEqual(tempo.metric('tempo_discarded_spans_total{reason="trace_too_large",tenant="a"}'), 1)
        for page, text in PAGES.items():
            status, body = tempo.ask(f"/status/{page}")
            self.assertEqual((status, text in body.decode()), (200, True), (page, body))
        self.assertIn(b"metrics_generator", tempo.ask("/status/overrides/b")[1])
        self.assertNotIn(b"Limits {", tempo.ask("/status/overrides")[1])
        self.assertEqual(tempo.ask("/api/echo"), (200, b"echo"))
        self.assertEqual(tempo.ask("/ready")[0], 200)
        info = tempo.get("/api/status/buildinfo")
        self.assertEqual({"version", "revision", "branch", "buildDate", "buildUser", "goVersion"} - set(info), set())
        page = tempo.ask("/metrics")[1].decode()
        for name in ("tempo_build_info", "tempo_request_duration_seconds_bucket", "tempo_distributor_bytes_received_total", "process_cpu_seconds_total"):
            self.assertIn(f"\n{name}", page)
        self.assertEqual(tempo.ask("/status/nonsense")[0], 404)

    def test_reba_records_what_it_does_itself(self):
        scratch = self.scratch()
        scratch.write("conf/prometheus/prometheus.yml", "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n")
        scratch.write("conf/prometheus/rules.yml", "groups: [{name: things, rules: [{record: a, expr: vector(1)}, {record: b, expr: '{x=\"1\"} + on() group_left() {y=\"1\"}'}]}]\n")
        tempo = Tempo(scratch, reba="traces: {own: {slow: 0s, max_per_second: 1000}}\n", roles="tempo,otlp,prometheus,grafana")
        metrics = Http(tempo.address(9090))
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        metrics.raw("/api/v1/query", {"query": "vector(7)", "token": "secret"}, headers={"traceparent": parent})
        own = lambda query: tempo.found(f'{{ resource.service.name = "reba" && {query} }}')
        wait_until(lambda: own('name = "GET /api/v1/query" && span.reba.query = "vector(7)"'), 20, "the request is a span")
        [request] = [s for s in tempo.spans("0af7651916cd43dd8448eb211c80319c") if s["name"] == "GET /api/v1/query"]
        known = attributes(request)
        self.assertEqual((known["reba.role"], known["http.response.status_code"], known["http.route"]), ("prometheus", "200", "/api/v1/query"))
        self.assertNotIn("secret", json.dumps(request))
        [group, *_] = wait_until(lambda: own('name = "evaluate things"'), 20, "the evaluation of a group is a span")
        self.assertTrue({"evaluate things"} <= {s["name"] for s in tempo.spans(group)})
        wait_until(lambda: own('name = "maintain traces"'), 20, "maintenance is a span")
        # Requests through the web app's data sources: the part that answers stands below the one that asks.
        wait_until(lambda: own('span.reba.role = "tempo"'), 20, "searches are spans, too")
        # By default only what is slow, fails, or belongs to a trace that is recorded.
        scratch.write("conf/reba.yml", "")
        tempo.restart()
        since = int(time.time())
        metrics.raw("/api/v1/query", {"query": "vector(8)"})
        metrics.raw("/api/v1/query", {"query": "vector(9)"}, headers={"traceparent": parent})
        wait_until(lambda: own('span.reba.query = "vector(9)"'), 20, "the one that is asked for")
        self.assertEqual(own('span.reba.query = "vector(8)"'), [])
        scratch.write("conf/reba.yml", QUIET)
        tempo.restart()
        metrics.raw("/api/v1/query", {"query": "vector(10)"}, headers={"traceparent": parent})
        self.assertNotIn("reba_traces_own_spans_lost_total", tempo.ask("/metrics")[1].decode())
        self.assertGreater(since, 0)

    def test_exemplars_of_metrics_of_spans_lead_to_the_traces_and_a_stop_loses_no_count(self):
        scratch = self.scratch()
        generator = "overrides: {metrics_generator_processors: [service-graphs, span-metrics]}\nmetrics_generator: {registry: {collection_interval: 1h}}\n"
        tempo = Tempo(scratch, tempo=generator, roles="tempo,otlp,prometheus")
        metrics = Http(tempo.address(9090))
        ids = [f"{n:032x}" for n in (0xabc0, 0xabc1)]
        self.assertEqual(tempo.push(otlp([span(ids[0], "1" * 16)], "api"))[0], 200)
        # The first counts are written at once, the others in an hour: or when Reba stops.
        wait_until(lambda: metrics.value('traces_spanmetrics_calls_total{service="api"}') == 1, 20, "the first count")
        self.assertEqual(tempo.push(otlp([span(ids[1], "1" * 16)], "api"))[0], 200)
        self.assertEqual(tempo.program.stop(), 0)
        tempo.program.start()
        self.assertEqual(metrics.value('max_over_time(traces_spanmetrics_calls_total{service="api"}[5m])'), 2)
        now = time.time()
        found = metrics.data("query_exemplars", query='traces_spanmetrics_latency_bucket{service="api"}', start=now - 600, end=now + 60)
        named = {e["labels"]["traceID"] for series in found for e in series["exemplars"]}
        self.assertEqual(named, {"abc0", "abc1"})
        for trace_id in named:
            self.assertEqual(list(tempo.groups(trace_id)), ["api"])


if __name__ == "__main__":
    unittest.main()
