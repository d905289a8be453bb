"""Programs that send traces as they are: OpenTelemetry's SDK for Node over OTLP, Zipkin's and Jaeger's protocols; Jaeger over gRPC."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import time
import unittest

import grpc
from harness import ROOT, Http, Scratch
from protos import JAEGER
from traces import JSON, Tempo, attributes

RECEIVERS = """
distributor:
  receivers:
    otlp: {protocols: {grpc: {}, http: {}}}
    zipkin: {}
    jaeger: {protocols: {thrift_http: {}, grpc: {}}}
"""


def node_sdk():
    """The folder with the SDK, installed by the lock file once."""
    source, folder = pathlib.Path(__file__).parent / "otel-node", ROOT / "target/otel-node"
    folder.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != mark:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--silent"], cwd=folder, check=True, timeout=300)
        installed.write_text(mark)
    return folder


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.scratch.__enter__()
        cls.addClassCleanup(cls.scratch.__exit__, None, None, None)
        cls.tempo = Tempo(cls.scratch, tempo=RECEIVERS)

    @unittest.skipUnless(shutil.which("npm"), "there is no npm")
    def test_nodes_sdk_is_understood_over_otlp_zipkin_and_jaeger(self):
        folder, tempo = node_sdk(), self.tempo
        senders = {}
        for protocol, address in {
            "grpc": tempo.address(4317), "http": tempo.address(4318, "/v1/traces"), "gzip": tempo.address(4318, "/v1/traces"),
            "zipkin": tempo.address(9411, "/api/v2/spans"), "jaeger": tempo.address(14268, "/api/traces"),
        }.items():
            command = ["node", "send.mjs", protocol, address]
            senders[protocol] = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for protocol, sender in senders.items():
            with self.subTest(protocol):
                out, errors = sender.communicate(timeout=60)
                self.assertEqual(sender.returncode, 0, errors)
                trace_id = out.strip()
                groups = tempo.groups(trace_id)
                self.assertEqual(sorted(groups), ["node-back", "node-front"])
                [call], [serve] = groups["node-front"], groups["node-back"]
                self.assertEqual((call["name"], serve["name"]), ("GET /ride", "serve"))
                self.assertEqual((call["kind"], serve["kind"]), ("SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"))
                self.assertEqual(serve["parentSpanId"], call["spanId"])
                self.assertEqual((serve["status"]["code"], serve["status"]["message"]), ("STATUS_CODE_ERROR", "bad"))
                self.assertEqual([event["name"] for event in serve["events"]], ["boom"])
                # Zipkin has texts only.
                self.assertEqual(str(attributes(call)["http.response.status_code"]), "502")
                query = '{ resource.service.name = "node-front" } > { resource.service.name = "node-back" && status = error }'
                self.assertIn(trace_id.lstrip("0"), tempo.found(query))

    def test_zipkins_two_sides_of_a_call_share_an_id_and_become_two_spans(self):
        now_us = time.time_ns() // 1000
        def side(kind, service, start):
            return {"traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "a2fb4a1d1a96d312", "parentId": "0020000000000001", "kind": kind, "name": "get",
                    "timestamp": start, "duration": 1500, "localEndpoint": {"serviceName": service, "ipv4": "10.0.0.1"},
                    "tags": {"http.path": "/x"}, "shared": kind == "SERVER"}
        spans = [side("CLIENT", "zip-front", now_us), side("SERVER", "zip-back", now_us + 100)]
        zipkin = Http(self.tempo.address(9411))
        post = lambda body, path="/api/v2/spans", kind=JSON: zipkin.raw(path, data=body, method="POST", headers={"Content-Type": kind})
        self.assertEqual(post(json.dumps(spans).encode())[0], 202)
        groups = self.tempo.groups("463ac35c9f6413ad48485a3953bb6124")
        [client], [server] = groups["zip-front"], groups["zip-back"]
        self.assertEqual(server["parentSpanId"], client["spanId"])
        self.assertNotEqual(server["spanId"], client["spanId"])
        self.assertEqual(int(client["endTimeUnixNano"]) - int(client["startTimeUnixNano"]), 1_500_000)
        self.assertEqual(attributes(client)["http.path"], "/x")
        status, _, text = post(b'[{"traceId": "x"}]')
        self.assertEqual(status, 400)
        status, _, text = post(b'[{"traceId": "1", "id": }]')
        self.assertEqual((status, b"byte 24" in text), (400, True), text)
        status, _, text = post(b"[]", path="/api/v1/spans")
        self.assertEqual((status, b"/api/v2/spans" in text), (415, True))

    def test_jaegers_agent_is_understood_over_grpc(self):
        start = JAEGER["Time"](seconds=int(time.time()) - 1, nanos=5)
        tags = [JAEGER["KeyValue"](key="span.kind", v_str="server"), JAEGER["KeyValue"](key="error", v_type=1, v_bool=True),
                JAEGER["KeyValue"](key="retries", v_type=2, v_int64=0), JAEGER["KeyValue"](key="ratio", v_type=3, v_float64=0.25)]
        event = JAEGER["Log"](timestamp=start, fields=[JAEGER["KeyValue"](key="event", v_str="boom")])
        trace_id = bytes.fromhex("5af7183fb1d4cf5f6b221d5bc4a1e000")
        span = JAEGER["Span"](
            trace_id=trace_id, span_id=b"2" * 8, operation_name="GET /driver", start_time=start, duration=JAEGER["Time"](nanos=250_000),
            references=[JAEGER["SpanRef"](trace_id=trace_id, span_id=b"1" * 8)], tags=tags, logs=[event])
        request = JAEGER["PostSpansRequest"](batch=JAEGER["Batch"](spans=[span], process=JAEGER["Process"](service_name="driver")))
        with grpc.insecure_channel(f"127.0.0.1:{self.tempo.port(14250)}", compression=grpc.Compression.Gzip) as channel:
            post = channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans")
            self.assertEqual(post(request.SerializeToString(), timeout=20), b"")
            [span] = self.tempo.groups(trace_id.hex())["driver"]
            self.assertEqual((span["name"], span["kind"], span["status"]["code"]), ("GET /driver", "SPAN_KIND_SERVER", "STATUS_CODE_ERROR"))
            self.assertEqual(attributes(span), {"retries": "0", "ratio": 0.25})
            self.assertEqual(span["events"][0]["name"], "boom")
            self.assertEqual(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), 250_000)
            with self.assertRaises(grpc.RpcError) as caught:
                post(b"\x0a\xff", timeout=20)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertRegex(caught.exception.details(), r"^byte \d+: ")


if __name__ == "__main__":
    unittest.main()
