"""Traces that are too large, make no sense, or were made by clocks that are wrong; senders that are too fast; and limits that say so."""

import itertools
import json
import struct
import time
import unittest

import grpc
from harness import Scratch, reba
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from traces import PROTOBUF, Tempo, otlp, span, wait_until

DAY = 24 * 3600 * 10**9


def field(number, data):
    """A field of bytes."""
    length, varint = len(data), b""
    while length > 127:
        varint, length = varint + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + varint + bytes([length]) + data


def request(spans, service=b"huge"):
    """A request in protobuf out of spans in protobuf."""
    resource = field(1, field(1, b"service.name") + field(2, field(1, service)))
    return field(1, field(1, resource) + field(2, b"".join(field(2, s) for s in spans)))


def chain(trace_id, count, start, links=None):
    """Spans of which each is the parent of the next; the parent of some may be another one."""
    parent = lambda i: (links or {}).get(i, i - 1)
    for i in range(1, count + 1):
        above = struct.pack(">Q", parent(i)) if parent(i) else b""
        times = b"\x39" + struct.pack("<Q", start + i * 1000) + b"\x41" + struct.pack("<Q", start + 10**9)
        yield field(1, trace_id) + field(2, struct.pack(">Q", i)) + field(4, above) + field(5, b"step") + b"\x30\x01" + times


class Hostile(unittest.TestCase):
    def start(self, **options):
        scratch = Scratch()
        scratch.__enter__()
        self.addCleanup(scratch.__exit__, None, None, None)
        return Tempo(scratch, **options)

    def test_a_trace_of_100_000_spans_each_below_the_one_before_is_stored_found_and_shown(self):
        tempo = self.start(tempo="overrides: {max_bytes_per_trace: 100MB}")
        trace_id, start = b"\x07" * 16, time.time_ns() - 10**10
        spans = list(chain(trace_id, 100_000, start))
        for at in range(0, len(spans), 25_000):
            status, text = tempo.push(request(spans[at:at + 25_000]), kind=PROTOBUF)
            self.assertEqual((status, text), (200, ""))
        tempo.get("/api/search", q="{} >> {}")
        tempo.flush()
        self.assertEqual(len(tempo.spans(trace_id.hex())), 100_000)
        [found] = tempo.get("/api/search", q='{ nestedSetParent < 0 } >> { name = "step" && childCount = 0 }')["traces"]
        self.assertEqual((found["spanSet"]["matched"], found["serviceStats"]["huge"]["spanCount"]), (1, 100_000))
        for query, matched in (("{} >> {}", 99_999), ("{} !< {}", 1)):
            [found] = tempo.get("/api/search", q=query)["traces"]
            self.assertEqual(found["spanSet"]["matched"], matched, query)
        code, out, err = reba("trace", trace_id.hex(), "--url", tempo.address(3200), "--no-logs")
        self.assertEqual((code, len(out.splitlines())), (0, 100_002), err)

    def test_a_trace_that_is_too_large_keeps_its_root_and_its_failures_and_says_what_it_lost(self):
        tempo = self.start(tempo="overrides: {max_bytes_per_trace: 20_000}")
        filler = [{"key": "k", "value": {"stringValue": "x" * 1000}}]
        spans = [span("1" * 32, f"{i:016x}", "f" * 16, attributes=filler) for i in range(1, 41)]
        spans += [span("1" * 32, "e" * 16, "f" * 16, status={"code": 2}), span("1" * 32, "f" * 16)]
        status, text = tempo.push(otlp(spans))
        partial = json.loads(text)["partialSuccess"]
        self.assertEqual(status, 200)
        self.assertIn("TRACE_TOO_LARGE: max size of trace (20000) exceeded", partial["errorMessage"])
        kept = {s["spanId"] for s in tempo.spans("1" * 32)}
        self.assertEqual(len(kept), 42 - int(partial["rejectedSpans"]))
        self.assertTrue(10 < len(kept) < 25, len(kept))
        names = [s.get("status", {}).get("code") for s in tempo.spans("1" * 32)]
        self.assertEqual(names.count("STATUS_CODE_ERROR"), 1)
        [found] = tempo.get("/api/search", q="{ nestedSetParent < 0 && status != error }")["traces"]
        self.assertEqual(found["rootTraceName"], "op")
        refused = tempo.metric('tempo_discarded_spans_total{reason="trace_too_large",tenant="single-tenant"}')
        self.assertEqual(refused, int(partial["rejectedSpans"]))

    def test_an_attribute_of_10_mb_is_kept_cut_or_refused_as_the_configuration_says(self):
        text = "ä" * (5 << 20)
        whole = lambda n: otlp([span(f"{n:032x}", "1" * 16, attributes=[{"key": "big", "value": {"stringValue": text}}])])
        value = lambda tempo, n: tempo.spans(f"{n:032x}")[0]["attributes"][0]["value"]["stringValue"]
        tempo = self.start(tempo="overrides: {max_bytes_per_trace: 0}")
        self.assertEqual(tempo.push(whole(1))[0], 200)
        self.assertEqual(value(tempo, 1), text)
        tempo.flush()
        self.assertEqual(value(tempo, 1), text)
        self.assertEqual(tempo.found("{ span.big =~ \"ä+\" }"), ["1"])
        # A reload changes the limits: first attributes are cut, then whole traces refused, then whole requests.
        change = lambda text: (tempo.scratch.write("conf/tempo/tempo.yml", text), tempo.reload())
        change("overrides: {max_bytes_per_trace: 0}\ndistributor: {max_attribute_bytes: 2047}")
        # A span that is sent again stays as it was.
        fresh = itertools.count(100)
        wait_until(lambda: (n := next(fresh)) and tempo.push(whole(n))[0] == 200 and len(value(tempo, n).encode()) == 2046, 20, "attributes are cut")
        change("overrides: {max_bytes_per_trace: 1MB}")
        wait_until(lambda: "TRACE_TOO_LARGE" in tempo.push(whole(3))[1], 20, "large traces are refused")
        change("server: {grpc_server_max_recv_msg_size: 1048576}")
        answer = wait_until(lambda: next((a for a in [tempo.push(whole(4))] if a[0] == 413), None), 20, "large requests are refused")
        self.assertIn("1048576", answer[1])
        # What is wrong changes nothing, and is told.
        change("overrides: {max_bytes_per_trace: 0, nonsense: 1}")
        wait_until(lambda: "key overrides.nonsense: unknown key" in tempo.program.log(), 20, "the fault is told")
        self.assertEqual(tempo.push(whole(5))[0], 413)
        self.assertEqual(tempo.push(otlp([span("6" * 32, "1" * 16)]))[0], 200)

    def test_parents_in_circles_and_clocks_that_were_set_are_survived(self):
        tempo = self.start()
        now = time.time_ns()
        one, two, three, four = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
        circle = [span(one, f"{i:016x}", f"{i % 3 + 1:016x}", name="ring") for i in (1, 2, 3)]
        own = [span(two, "a" * 16, "a" * 16, name="self"), span(two, "b" * 16, "a" * 16, name="below")]
        # A child that begins before its parent, one that ends before it begins, one from the future, one from 1970.
        skewed = [
            span(three, "a" * 16, start=now, end=now + 10**9, name="root"),
            span(three, "b" * 16, "a" * 16, start=now - 5 * 10**9, end=now - 4 * 10**9, name="early"),
            span(three, "c" * 16, "a" * 16, start=now, end=now - 10**9, name="backwards"),
            span(three, "d" * 16, "a" * 16, start=now + 400 * DAY, end=now + 401 * DAY, name="ahead"),
            span(three, "e" * 16, "a" * 16, start=1, end=2, name="first"),
        ]
        edges = [span(four, "f" * 16, start=2**63 - 1, end=2**64 - 1, name="last")]
        self.assertEqual(tempo.push(otlp([*circle, *own, *skewed, *edges])), (200, '{"partialSuccess":{}}'))
        for round_ in range(2):
            self.assertEqual([len(tempo.spans(t)) for t in (one, two, three, four)], [3, 2, 5, 1])
            for operator in (">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~"):
                tempo.get("/api/search", q=f"{{}} {operator} {{}}", limit=10)
            self.assertEqual(tempo.found('{ name = "root" } > { name = "early" }'), [three])
            self.assertEqual(tempo.found("{ duration < 0s }"), [three])
            self.assertEqual(set(tempo.found("{ name =~ `ring|self` }")), {one, two})
            for query in ("{ nestedSetLeft > 0 }", "{} | avg(duration) > 0s", "{ traceDuration > 1s }", "{ rootName != nil }"):
                tempo.get("/api/search", q=query)
            series = tempo.get("/api/metrics/query_range", q="{} | histogram_over_time(duration)", since="1h")["series"]
            self.assertTrue(series)
            for trace_id, spans in ((one, 3), (two, 2), (three, 5)):
                code, out, err = reba("trace", trace_id, "--url", tempo.address(3200), "--no-logs")
                self.assertEqual((code, len(out.splitlines())), (0, spans + 2), err)
            if not round_:
                tempo.flush()
        tempo.restart()
        self.assertEqual([len(tempo.spans(t)) for t in (one, two, three, four)], [3, 2, 5, 1])

    def test_what_cannot_be_read_is_refused_at_its_byte_over_every_way(self):
        tempo = self.start()
        good = otlp([span("1" * 32, "1" * 16)])
        for body, at in ((b'{"resourceSpans": [7]}', None), (good[:50], 50), (good.replace(b'"kind": 2', b'"kind": ]2'), good.index(b'"kind": 2') + 9)):
            status, text = tempo.push(body)
            failed = json.loads(text)
            self.assertEqual((status, failed["code"]), (400, 3), text)
            self.assertRegex(failed["message"], r"byte \d+")
            if at:
                told = int(failed["message"].partition("byte ")[2].split(":")[0].split()[0])
                self.assertTrue(abs(told - at) <= 1, (failed["message"], at))
        spans = list(chain(b"\x01" * 16, 3, time.time_ns()))
        whole = request(spans)
        for cut in range(3, len(whole), 7):
            status, text = tempo.push(whole[:cut], kind=PROTOBUF)
            self.assertEqual(status, 400, cut)
        with grpc.insecure_channel(f"127.0.0.1:{tempo.port(4317)}") as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            for cut in range(3, len(whole), 29):
                with self.assertRaises(grpc.RpcError) as caught:
                    export(whole[:cut], timeout=20)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                self.assertRegex(caught.exception.details(), r"^byte \d+: ")
            self.assertEqual(export(whole, timeout=20), b"")
        self.assertEqual(len(tempo.spans("01" * 16)), 3)

    def test_a_sender_that_is_too_fast_is_told_when_to_come_again(self):
        tempo = self.start(tempo="overrides: {ingestion_rate_limit_bytes: 10_000, ingestion_burst_size_bytes: 20_000, max_traces_per_user: 3}")
        large = otlp([span("1" * 32, "1" * 16, attributes=[{"key": "k", "value": {"stringValue": "x" * 30_000}}])])
        status, headers, text = tempo.http.raw("/v1/traces", data=large, headers={"Content-Type": "application/json"})
        self.assertEqual((status, json.loads(text)["code"]), (429, 8))
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        self.assertIn("RATE_LIMITED: ingestion rate limit (10000 bytes) exceeded while adding 30", json.loads(text)["message"])
        stub = trace_service_pb2_grpc.TraceServiceStub(grpc.insecure_channel(f"127.0.0.1:{tempo.port(4317)}"))
        huge = trace_service_pb2.ExportTraceServiceRequest.FromString(request([field(1, b"1" * 16) + field(2, b"1" * 8) + field(5, b"x" * 30_000)]))
        with self.assertRaises(grpc.RpcError) as caught:
            stub.Export(huge, timeout=20)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn(b"google.rpc.RetryInfo", dict(caught.exception.trailing_metadata())["grpc-status-details-bin"])
        self.assertEqual(tempo.metric('tempo_discarded_spans_total{reason="rate_limited",tenant="single-tenant"}'), 2)
        # Live traces beyond the limit are refused one by one; the others are taken.
        partial = json.loads(tempo.push(otlp([span(f"{i:032x}", "1" * 16) for i in range(1, 6)]))[1])["partialSuccess"]
        self.assertEqual(partial["rejectedSpans"], "2")
        self.assertIn("LIVE_TRACES_EXCEEDED: max live traces exceeded for tenant single-tenant", partial["errorMessage"])
        self.assertEqual(len(tempo.found("{}")), 3)


if __name__ == "__main__":
    unittest.main()
