"""Metrics of OpenTelemetry: its real Python SDK, and requests made by hand."""

import gzip
import json
import time
import unittest

from harness import Scratch
from opentelemetry.exporter.otlp.proto.http.metric_exporter import Compression, OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

PATH = "/api/v1/otlp/v1/metrics"


def measure(url, compression):
    """Measures a little with the SDK and sends it."""
    exporter = OTLPMetricExporter(endpoint=url + PATH, compression=compression)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    resource = Resource({"service.name": "shop", "service.namespace": "web", "service.instance.id": "i1", "zone": "z"})
    views = [View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider(metric_readers=[reader], resource=resource, views=views)
    meter = provider.get_meter("lib", "1.0")
    meter.create_counter("http.requests", unit="1", description="Handled.").add(3, {"http.method": "GET"})
    meter.create_up_down_counter("queue.length").add(-2)
    meter.create_observable_gauge("temperature", unit="Cel", callbacks=[lambda _: [Observation(21.5)]])
    plain = meter.create_histogram("latency", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1])
    fine = meter.create_histogram("fine", unit="s")
    for v in (0.05, 0.5, 5):
        plain.record(v)
        fine.record(v)
    provider.force_flush()
    provider.shutdown()


def point(value, **attributes):
    """A number at this moment."""
    list_of = [{"key": k.replace("_dot_", "."), "value": {"stringValue": v}} for k, v in attributes.items()]
    return {"timeUnixNano": str(time.time_ns()), "asDouble": value, "attributes": list_of}


def request(metrics):
    resource = [{"key": "service.name", "value": {"stringValue": "s"}}, {"key": "a.b", "value": {"intValue": "5"}}]
    return {"resourceMetrics": [{"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": metrics}]}]}


class Otlp(unittest.TestCase):
    def post(self, program, body, kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, headers, answer = program.raw(PATH, data=body, headers={"Content-Type": kind, **headers})
        return status, headers["Content-Type"], answer

    def test_the_sdk_of_python_is_understood(self):
        for compression in (Compression.NoCompression, Compression.Gzip):
            with Scratch() as scratch:
                reba = scratch.reba()
                measure(reba.base, compression)
                source = 'job="web/shop",instance="i1"'
                self.assertEqual(reba.value(f'http_requests_total{{{source},http_method="GET"}}'), 3)
                self.assertEqual(reba.value(f"queue_length{{{source}}}"), -2)
                self.assertEqual(reba.value("temperature_celsius"), 21.5)
                buckets = {dict(k)["le"]: v for k, v in reba.query("latency_seconds_bucket").items()}
                self.assertEqual(buckets, {"0.1": 1, "1": 2, "+Inf": 3})
                self.assertEqual(reba.value("latency_seconds_sum"), 5.55)
                self.assertEqual(reba.value("histogram_count(fine_seconds)"), 3)
                self.assertAlmostEqual(reba.value("histogram_quantile(0.5, fine_seconds)"), 0.5, delta=0.05)
                self.assertEqual(reba.value('target_info{zone="z",job="web/shop"}'), 1)
                told = reba.data("metadata")
                self.assertEqual(told["http_requests_total"], [{"type": "counter", "help": "Handled.", "unit": ""}])
                self.assertEqual(told["temperature_celsius"], [{"type": "gauge", "help": "", "unit": "celsius"}])
                self.assertEqual(told["latency_seconds"], [{"type": "histogram", "help": "", "unit": "seconds"}])

    def test_what_is_refused_is_said_and_the_rest_is_kept(self):
        with Scratch() as scratch:
            reba = scratch.reba()
            delta = {"name": "d", "sum": {"aggregationTemporality": 1, "dataPoints": [point(1), point(2)]}}
            good = {"name": "good", "gauge": {"dataPoints": [point(7)]}}
            status, kind, answer = self.post(reba, request([delta, good]))
            partial = json.loads(answer)["partialSuccess"]
            self.assertEqual((status, kind, partial["rejectedDataPoints"]), (200, "application/json", "2"))
            self.assertIn("invalid temporality", partial["errorMessage"])
            self.assertEqual(reba.value("good"), 7)
            status, _, answer = self.post(reba, b'{"resourceMetrics": 5}')
            self.assertEqual((status, json.loads(answer)["code"]), (400, 3))
            self.assertRegex(json.loads(answer)["message"], r"^byte \d+: ")
            status, kind, answer = self.post(reba, b"\x0a\x05\x01", kind="application/x-protobuf")
            self.assertEqual((status, kind), (400, "application/x-protobuf"))
            self.assertIn(b"byte 0: protobuf message ends inside a field", answer)
            self.assertEqual(self.post(reba, b"", kind="text/plain")[0], 415)
            self.assertEqual(self.post(reba, b"x", **{"Content-Encoding": "gzip"})[0], 400)
            bomb = gzip.compress(bytes(100 << 20))
            self.assertEqual(self.post(reba, bomb, **{"Content-Encoding": "gzip"})[0], 413)

    def test_a_reload_changes_the_translation(self):
        with Scratch() as scratch:
            scratch.write("conf/prometheus/prometheus.yml", "otlp: {}\n")
            reba = scratch.reba(config=scratch.folder / "conf")
            metric = {"name": "a.b", "unit": "s", "gauge": {"dataPoints": [point(1, x_dot_y="z")]}}
            self.post(reba, request([metric]))
            text = "otlp: {translation_strategy: NoTranslation, promote_resource_attributes: [a.b]}\n"
            scratch.write("conf/prometheus/prometheus.yml", text)
            self.assertEqual(reba.raw("/-/reload", method="POST")[0], 200)
            self.post(reba, request([metric]))
            self.assertEqual(reba.value('a_b_seconds{x_y="z"}'), 1)
            self.assertEqual(reba.value('{"a.b", "x.y"="z", "a.b"="5", job="s"}'), 1)


if __name__ == "__main__":
    unittest.main()
