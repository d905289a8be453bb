"""Traces: OpenTelemetry's real Python SDK in, Tempo's API out; faults, clocks, metrics of spans, and kills."""

import json
import unittest

from harness import Http, Scratch, wait_until
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from traces import QUIET, otlp, span

TEMPO = """
overrides: {metrics_generator_processors: [service-graphs, span-metrics]}
metrics_generator: {registry: {collection_interval: 1s, external_labels: {source: tempo}}}
"""
ROLES = "tempo,otlp,prometheus"


def call(exporter):
    """Has a service call another one, in one trace, and sends both sides' spans. Gives back the trace's id."""
    front = TracerProvider(resource=Resource.create({"service.name": "front"}))
    back = TracerProvider(resource=Resource.create({"service.name": "back"}))
    for provider in (front, back):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    with front.get_tracer("lib", "1.0").start_as_current_span("GET /", kind=SpanKind.CLIENT) as client:
        client.set_attribute("http.response.status_code", 500)
        with back.get_tracer("lib", "1.0").start_as_current_span("serve", kind=SpanKind.SERVER) as server:
            server.add_event("boom", {"x": 1})
            server.set_status(Status(StatusCode.ERROR, "bad"))
            server.set_attribute("list", ["a", "b"])
    for provider in (front, back):
        provider.force_flush()
    return format(client.get_span_context().trace_id, "032x")


class Tempo(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.scratch.__enter__()
        self.addCleanup(self.scratch.__exit__, None, None, None)
        self.scratch.write("conf/tempo/tempo.yml", TEMPO)
        self.scratch.write("conf/reba.yml", QUIET)
        self.reba = self.scratch.reba("--only", ROLES, config=self.scratch.sub("conf"), port=9090)
        self.port = lambda port: self.reba.offset + port
        self.tempo = Http(f"http://127.0.0.1:{self.port(3200)}")
        self.http = Http(f"http://127.0.0.1:{self.port(4318)}")

    def push(self, body, path="/v1/traces", kind="application/json"):
        status, _, answer = self.http.raw(path, data=body, method="POST", headers={"Content-Type": kind})
        return status, answer.decode(errors="replace")

    def get(self, path, **params):
        status, _, body = self.tempo.raw(path, params)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def spans(self, trace_id):
        batches = self.get(f"/api/traces/{trace_id}")["batches"]
        return [s for b in batches for scope in b["scopeSpans"] for s in scope["spans"]]

    def test_spans_of_the_sdk_are_found_by_id_and_by_query(self):
        exporters = [
            OverGrpc(endpoint=f"http://127.0.0.1:{self.port(4317)}", insecure=True),
            OverHttp(endpoint=f"{self.http.base}/v1/traces"),
            # As the address of the signal, the bare one.
            OverHttp(endpoint=f"{self.http.base}/"),
        ]
        for exporter in exporters:
            trace_id = call(exporter)
            names = [s["name"] for s in self.spans(trace_id)]
            self.assertEqual(names, ["GET /", "serve"])
            uuid = "-".join([trace_id[:8], trace_id[8:12], trace_id[12:16], trace_id[16:20], trace_id[20:]])
            self.assertEqual(len(self.spans(uuid)), 2)
        found = self.get("/api/search", q='{ resource.service.name = "back" && status = error && span.list = "a" }')
        self.assertEqual(len(found["traces"]), 3)
        self.assertEqual(found["traces"][0]["rootServiceName"], "front")
        values = self.get("/api/v2/search/tag/resource.service.name/values")["tagValues"]
        self.assertEqual([v["value"] for v in values], ["back", "front"])
        status, _, body = self.tempo.raw("/api/traces/0")
        self.assertEqual((status, body), (404, b""))

    def test_what_makes_no_sense_is_refused_with_its_place_and_harms_nobody(self):
        code, text = self.push(b'{"resourceSpans": [7]}')
        self.assertEqual(code, 400)
        self.assertIn("byte 1", text)
        code, text = self.push(b"\x0a\x05\x12", kind="application/x-protobuf")
        self.assertEqual(code, 400)
        one, two = "1" * 32, "2" * 32
        ring = [span(one, "a" * 16, "b" * 16), span(one, "b" * 16, "a" * 16)]
        skewed = span(two, "c" * 16, start=2_000_000_000_000_000_000, end=1_000_000_000_000_000_000)
        large = span(two, "d" * 16, attributes=[{"key": "k", "value": {"stringValue": "x" * (4 << 20)}}])
        answer = json.loads(self.push(otlp([*ring, skewed, large, span("12", "e" * 16)]))[1])
        self.assertEqual(answer["partialSuccess"]["rejectedSpans"], "1")
        self.assertIn("trace ids must be 128 bit", answer["partialSuccess"]["errorMessage"])
        self.assertEqual((len(self.spans(one)), len(self.spans(two))), (2, 2))
        for q in ("{} >> {}", "{ duration < 0s }", "{ nestedSetParent < 0 }"):
            self.get("/api/search", q=q)

    def test_metrics_are_made_of_spans(self):
        call(OverHttp(endpoint=f"{self.http.base}/v1/traces"))
        edge = 'traces_service_graph_request_total{client="front",server="back",source="tempo"}'
        wait_until(lambda: self.reba.value(edge) == 1, 30, "the edge")
        calls = 'traces_spanmetrics_calls_total{service="back",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR"}'
        self.assertEqual(self.reba.value(calls), 1)
        self.assertEqual(self.reba.value(f"count({calls.replace('calls_total', 'latency_bucket')})"), 15)

    def test_no_acknowledged_span_is_lost_by_a_kill(self):
        for round_ in range(3):
            spans = [span(f"{round_ + 1:032x}", f"{i + 1:016x}") for i in range(500)]
            self.assertEqual(self.push(otlp(spans))[0], 200)
            self.reba.kill()
            self.reba.start()
        for round_ in range(3):
            self.assertEqual(len(self.spans(f"{round_ + 1:x}")), 500)


if __name__ == "__main__":
    unittest.main()
