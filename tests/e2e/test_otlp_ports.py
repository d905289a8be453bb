"""OpenTelemetry's ports, 4317 (gRPC) and 4318 (HTTP): its real Python SDK, a client of Loki's gRPC, and what is refused."""

import gzip
import json
import logging
import re
import time
import unittest
import urllib.error

import cramjam
import grpc
from harness import Http, Scratch, wait_until
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

LOKI = """
auth_enabled: {auth}
limits_config: {{max_line_size: 1KB, ingestion_rate_mb: {rate}, ingestion_burst_size_mb: {rate}}}
"""
GRPC_COMPRESSION = [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
HTTP_COMPRESSION = [Compression.NoCompression, Compression.Gzip, Compression.Deflate]


class Otlp:
    """Reba with its ports for OpenTelemetry."""

    def __init__(self, scratch, *arguments, auth="false", rate=100):
        scratch.write("conf/loki/loki-config.yml", LOKI.format(auth=auth, rate=rate))
        self.program = scratch.reba(*arguments, config=scratch.folder / "conf")
        offset = self.program.offset
        self.grpc, self.http = f"127.0.0.1:{4317 + offset}", Http(f"http://127.0.0.1:{4318 + offset}")
        self.loki = Http(f"http://127.0.0.1:{3100 + offset}")
        wait_until(lambda: self.loki.raw("/ready")[0] == 200, 20, "loki is ready")

    def lines(self, query, tenant=None):
        """Lines, oldest first."""
        params = {"query": query, "limit": 5000, "direction": "forward"}
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        status, _, body = self.loki.raw("/loki/api/v1/query_range", params, headers=headers)
        assert status == 200, body
        values = [v for s in json.loads(body)["data"]["result"] for v in s["values"]]
        return [v[1] for v in sorted(values, key=lambda v: int(v[0]))]

    def logs_stub(self, **options):
        return logs_service_pb2_grpc.LogsServiceStub(grpc.insecure_channel(self.grpc, **options))

    def export_logs(self, lines, stub=None, metadata=(), **options):
        return (stub or self.logs_stub()).Export(log_request(lines), timeout=20, metadata=metadata, **options)


def log_request(lines, service="raw"):
    request = logs_service_pb2.ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    name = resource.resource.attributes.add(key="service.name")
    name.value.string_value = service
    scope = resource.scope_logs.add()
    for i, line in enumerate(lines):
        scope.log_records.add(time_unix_nano=time.time_ns() + i).body.string_value = line
    return request


def say(exporter, service, lines):
    """Logs with the SDK."""
    provider = LoggerProvider(resource=Resource({"service.name": service}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = logging.getLogger(service)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    for line in lines:
        logger.warning(line, extra={"ride": "r-1"})
    provider.force_flush()
    logger.removeHandler(handler)
    provider.shutdown()


def count(exporter, service, n):
    """Counts with the SDK."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=Resource({"service.name": service}))
    provider.get_meter("lib").create_counter("rides").add(n, {"city": "Kigali"})
    provider.force_flush()
    provider.shutdown()


class Ports(unittest.TestCase):
    def test_logs_and_metrics_of_the_sdk_arrive_by_both_ports(self):
        with Scratch() as scratch:
            otlp = Otlp(scratch)
            exporters = [
                *[(GrpcLogs(endpoint=otlp.grpc, insecure=True, compression=c),
                   GrpcMetrics(endpoint=otlp.grpc, insecure=True, compression=c)) for c in GRPC_COMPRESSION],
                *[(HttpLogs(endpoint=otlp.http.base + "/v1/logs", compression=c),
                   HttpMetrics(endpoint=otlp.http.base + "/v1/metrics", compression=c)) for c in HTTP_COMPRESSION],
            ]
            for i, (logs, metrics) in enumerate(exporters):
                service = f"taxi-{i}"
                say(logs, service, [f"ride {n}" for n in range(100)])
                count(metrics, service, i + 1)
                found = otlp.lines(f'{{service_name="{service}"}} | ride="r-1" | severity_text="WARN"')
                self.assertEqual(found, [f"ride {n}" for n in range(100)], service)
                self.assertEqual(otlp.program.value(f'rides_total{{job="{service}",city="Kigali"}}'), i + 1, service)
            page = otlp.loki.raw("/metrics")[2].decode()
            received = re.search(r'loki_distributor_lines_received_total\{tenant="fake"\} (\d+)', page)
            # Reba's own lines come on top.
            self.assertGreaterEqual(int(received[1]), 600)

    def test_json_with_zstd_and_a_refusal_in_part(self):
        with Scratch() as scratch:
            otlp = Otlp(scratch)
            records = [{"timeUnixNano": str(time.time_ns()), "body": {"stringValue": text}} for text in ("ok", "x" * 2000)]
            body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
            for encoding, packed in (("zstd", bytes(cramjam.zstd.compress(body))), ("gzip", gzip.compress(body))):
                headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
                status, headers, answer = otlp.http.raw("/v1/logs", data=packed, headers=headers)
                partial = json.loads(answer)["partialSuccess"]
                self.assertEqual((status, partial["rejectedLogRecords"]), (200, "1"), answer)
                self.assertIn("Max entry size", partial["errorMessage"])
            answer = otlp.export_logs(["fine", "y" * 2000])
            self.assertEqual(answer.partial_success.rejected_log_records, 1)
            self.assertIn("Max entry size", answer.partial_success.error_message)
            self.assertEqual(otlp.lines('{service_name="raw"}'), ["fine"])

            request = metrics_service_pb2.ExportMetricsServiceRequest()
            metrics = request.resource_metrics.add().scope_metrics.add().metrics
            for name, temporality in (("kept", 2), ("delta", 1)):
                data = metrics.add(name=name).sum
                data.aggregation_temporality = temporality
                data.data_points.add(time_unix_nano=time.time_ns(), as_double=7)
            stub = metrics_service_pb2_grpc.MetricsServiceStub(grpc.insecure_channel(otlp.grpc))
            partial = stub.Export(request, timeout=20).partial_success
            self.assertEqual(partial.rejected_data_points, 1)
            self.assertIn("temporality", partial.error_message)
            self.assertEqual(otlp.program.value("kept"), 7)

    def test_refusals_have_the_codes_of_grpc(self):
        with Scratch() as scratch:
            otlp = Otlp(scratch, "--only", "prometheus,loki,otlp", rate=1)

            def refused(call):
                with self.assertRaises(grpc.RpcError) as caught:
                    call()
                return caught.exception

            channel = grpc.insecure_channel(otlp.grpc)
            bad = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            error = refused(lambda: bad(b"\x0a\xff", timeout=20))
            self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertRegex(error.details(), r"^byte \d+: ")
            # More than the rate: a time to come again stands beside the reason.
            error = refused(lambda: otlp.export_logs(["x" * 1000 for _ in range(3000)]))
            self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error)
            details = dict(error.trailing_metadata())["grpc-status-details-bin"]
            self.assertIn(b"google.rpc.RetryInfo", details)
            # Traces have no store among these roles.
            traces = trace_service_pb2_grpc.TraceServiceStub(channel)
            error = refused(lambda: traces.Export(trace_service_pb2.ExportTraceServiceRequest(), timeout=20))
            self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)
            self.assertEqual(error.details(), "traces (the role tempo) are not taken in by this process")
            nobody = channel.unary_unary("/a.B/C")
            self.assertEqual(refused(lambda: nobody(b"", timeout=20)).code(), grpc.StatusCode.UNIMPLEMENTED)
            # 110 MiB; the server may close before all of it is sent.
            error = refused(lambda: bad(bytes(110 << 20), timeout=60))
            self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error)
            self.assertEqual(otlp.export_logs(["still here"]).partial_success.rejected_log_records, 0)
            json_kind = {"Content-Type": "application/json"}
            self.assertEqual(otlp.http.raw("/v1/traces", data=b"{}", headers=json_kind)[0], 501)
            # The wrong port.
            wrong = Http(f"http://{otlp.grpc}")
            status, _, text = wrong.raw("/v1/logs", data=b"{}", headers=json_kind)
            self.assertEqual((status, b"4318" in text), (415, True))

    def test_tenants_and_lokis_own_service(self):
        with Scratch() as scratch:
            otlp = Otlp(scratch, auth="true")
            with self.assertRaises(grpc.RpcError) as caught:
                otlp.export_logs(["nobody's"])
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
            otlp.export_logs(["of a"], metadata=[("x-scope-orgid", "a")])
            otlp.export_logs(["of b"], metadata=[("x-scope-orgid", "b")])
            self.assertEqual(otlp.lines('{service_name="raw"}', tenant="a"), ["of a"])
            self.assertEqual(otlp.lines('{service_name="raw"}', tenant="b"), ["of b"])
            # logproto.PushRequest, by hand: streams{labels, entries{timestamp{seconds}, line}}
            seconds, varint = int(time.time()), b""
            while seconds > 127:
                varint, seconds = varint + bytes([seconds & 127 | 128]), seconds >> 7
            varint += bytes([seconds])

            def field(number, data):
                return bytes([number << 3 | 2, len(data)]) + data

            entry = field(1, b"\x08" + varint) + field(2, b"pushed")
            push = field(1, field(1, b'{app="x"}') + field(2, entry))
            channel = grpc.insecure_channel(otlp.grpc, compression=grpc.Compression.Gzip)
            pusher = channel.unary_unary("/logproto.Pusher/Push")
            self.assertEqual(pusher(push, timeout=20, metadata=[("x-scope-orgid", "a")]), b"")
            self.assertEqual(otlp.lines('{app="x"}', tenant="a"), ["pushed"])

    def test_what_is_acknowledged_outlives_a_kill_and_the_dead_acknowledge_nothing(self):
        with Scratch() as scratch:
            otlp = Otlp(scratch)
            stub = otlp.logs_stub()
            for i in range(50):
                otlp.export_logs([f"line {i}"], stub)
            otlp.program.kill()
            with self.assertRaises(grpc.RpcError) as caught:
                otlp.export_logs(["lost"], otlp.logs_stub())
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
            with self.assertRaises(urllib.error.URLError):
                otlp.http.raw("/v1/logs", data=b"{}", headers={"Content-Type": "application/json"})
            otlp.program.start()
            wait_until(lambda: otlp.loki.raw("/ready")[0] == 200, 20, "loki is ready")
            self.assertEqual(otlp.lines('{service_name="raw"}'), [f"line {i}" for i in range(50)])
            # The same channel finds the way again.
            wait_until(lambda: otlp.export_logs(["again"], stub, wait_for_ready=True), 20, "the channel recovers")


if __name__ == "__main__":
    unittest.main()
