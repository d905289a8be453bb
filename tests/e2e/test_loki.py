"""Loki's API with its clients: curl, Python's handler for Loki, OpenTelemetry's SDK, followers, and hostile pushes."""

import gzip
import json
import logging
import subprocess
import threading
import time
import unittest
import urllib.parse

import cramjam
import logging_loki
import websocket
from harness import Http, Scratch, wait_until
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

PUSH = "/loki/api/v1/push"
CONFIG = """
auth_enabled: {auth}
querier:
  multi_tenant_queries_enabled: true
limits_config:
  max_line_size: 256KB
  ingestion_rate_mb: 500
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 500MB
  per_stream_rate_limit_burst: 500MB
{limits}
"""


class Loki(Http):
    """Reba's Loki role."""

    def __init__(self, scratch, auth="false", limits="", name="reba"):
        scratch.write(f"{name}-config/loki/loki-config.yml", CONFIG.format(auth=auth, limits=limits))
        self.program = scratch.reba(name=name)
        super().__init__(f"http://127.0.0.1:{3100 + self.program.offset}")
        wait_until(lambda: self.raw("/ready")[0] == 200, 20, "loki is ready")

    def push(self, body, kind="application/json", tenant=None, **headers):
        """Status and text."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind, **headers, **({"X-Scope-OrgID": tenant} if tenant else {})}
        status, _, answer = self.raw(PUSH, data=body, headers=headers)
        return status, answer.decode()

    def lines(self, query, tenant=None, **params):
        """The lines of an answer, oldest first, and its whole result."""
        params = {"query": query, "limit": 1000, "direction": "forward", **params}
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        status, _, body = self.raw("/loki/api/v1/query_range", params, headers=headers)
        assert status == 200, body
        result = json.loads(body)["data"]["result"]
        values = sorted((v for s in result for v in s["values"]), key=lambda v: v[0])
        return [v[1] for v in values], result

    def data(self, path, **params):
        status, _, body = self.raw("/loki/api/v1/" + path, params)
        assert status == 200, (path, body)
        return json.loads(body)["data"]


def stream(labels, *lines, at=None):
    """A stream with lines of this moment, a microsecond apart."""
    at = at or time.time_ns() - 1000 * len(lines)
    return {"stream": labels, "values": [[str(at + 1000 * i), line] for i, line in enumerate(lines)]}


def push_of(*streams):
    return {"streams": list(streams)}


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    """A field of a protobuf message: bytes or a whole number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def protobuf(labels, entries):
    """A PushRequest, compressed as Promtail sends it; entries are (nanoseconds, line, metadata)."""
    body = field(1, labels.encode())
    for ns, line, metadata in entries:
        entry = field(1, field(1, ns // 10**9) + field(2, ns % 10**9)) + field(2, line.encode())
        for name, value in metadata.items():
            entry += field(3, field(1, name.encode()) + field(2, value.encode()))
        body += field(2, entry)
    return bytes(cramjam.snappy.compress_raw(field(1, body)))


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.__exit__)
        cls.loki = Loki(cls.scratch)

    def curl(self, path, *arguments):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", self.loki.base + path, *arguments], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_examples_of_the_readme_work_with_curl(self):
        line = lambda level, event: json.dumps({"level": level, "event": event, "duration_ms": 120, "trace_id": "abc"})
        body = push_of(stream({"service": "agent-core"}, line("info", "started"), line("error", "llm_timeout")))
        answer = self.curl(PUSH, "-H", "Content-Type: application/json", "-d", json.dumps(body), "-w", "%{http_code}")
        self.assertEqual(answer, "204")
        for query, want in [
            ('{service="agent-core"}', 2),
            ('{service="agent-core"} | json | level="error"', 1),
            ('{service="agent-core"} |= "timeout"', 1),
            ('{service="agent-core"} | json | duration_ms > 100', 2),
            ('{service=~"agent-.*"} | json | trace_id="abc" | line_format "{{.event}}"', 2),
        ]:
            answer = self.curl("/loki/api/v1/query_range", "-G", "--data-urlencode", f"query={query}")
            answer = json.loads(answer)
            self.assertEqual(answer["status"], "success")
            count = sum(len(s["values"]) for s in answer["data"]["result"])
            self.assertEqual(count, want, query)
        query = 'sum by (level) (count_over_time({service="agent-core"} | json [5m]))'
        answer = json.loads(self.curl("/loki/api/v1/query", "-G", "--data-urlencode", f"query={query}"))
        values = {s["metric"]["level"]: s["value"][1] for s in answer["data"]["result"]}
        self.assertEqual(values, {"error": "1", "info": "1"})
        self.assertIn("agent-core", json.loads(self.curl("/loki/api/v1/label/service/values"))["data"])
        # Bare quotes and braces in an address, as people paste them.
        answer = json.loads(self.curl('/loki/api/v1/query_range?query={service="agent-core"}', "-g"))
        self.assertEqual(sum(len(s["values"]) for s in answer["data"]["result"]), 2)

    def test_gzip_and_snappy_are_taken_and_metadata_is_kept(self):
        body = gzip.compress(json.dumps(push_of(stream({"app": "zipped"}, "one"))).encode())
        status, text = self.loki.push(body, **{"Content-Encoding": "gzip"})
        self.assertEqual((status, text), (204, ""))
        now = time.time_ns()
        entries = [(now - 5000, "plain", {}), (now - 4000, "with metadata", {"pod": "p1"})]
        for kind in ("application/x-protobuf", "whatever/else"):
            body = protobuf('{app="snappy", quoted="a\\"b"}', entries)
            self.assertEqual(self.loki.push(body, kind)[0], 204)
        self.assertEqual(self.loki.lines('{app="zipped"}')[0], ["one"])
        # The second push repeats the first one.
        lines, result = self.loki.lines('{app="snappy"}')
        self.assertEqual(lines, ["plain", "with metadata"])
        self.assertTrue(all(s["stream"]["quoted"] == 'a"b' for s in result), result)
        self.assertEqual(self.loki.lines('{app="snappy"} | pod="p1"')[0], ["with metadata"])

    def test_pythons_handler_for_loki_is_understood_in_both_its_versions(self):
        for version, path in (("1", PUSH), ("0", "/api/prom/push")):
            log = logging.getLogger(f"handler-{version}")
            log.propagate = False
            handler = logging_loki.LokiHandler(
                url=self.loki.base + path, tags={"application": f"v{version}"}, version=version
            )
            raised = []
            handler.handleError = raised.append
            log.addHandler(handler)
            log.error('something "broke"', extra={"tags": {"service": "py"}})
            self.assertEqual(raised, [])
            lines, result = self.loki.lines(f'{{application="v{version}", service="py"}}')
            self.assertEqual(lines, ['something "broke"'])
            self.assertEqual(result[0]["stream"]["severity"], "error")

    def test_the_logs_sdk_of_opentelemetry_is_understood(self):
        provider = LoggerProvider(resource=Resource({"service.name": "otel-shop", "host.name": "h1"}))
        exporter = OTLPLogExporter(endpoint=self.loki.base + "/otlp/v1/logs")
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        log = logging.getLogger("otel")
        log.propagate = False
        log.addHandler(LoggingHandler(logger_provider=provider))
        log.warning("payment %s refused", "p-7", extra={"order.id": "o-1"})
        provider.force_flush()
        provider.shutdown()
        lines, result = self.loki.lines('{service_name="otel-shop"}')
        self.assertEqual(lines, ["payment p-7 refused"])
        labels = result[0]["stream"]
        self.assertEqual((labels["order_id"], labels["host_name"]), ("o-1", "h1"))
        self.assertEqual(labels["severity_text"].upper()[:4], "WARN")
        self.assertEqual(self.loki.lines('{service_name="otel-shop"} | order_id="o-1"')[0], lines)

    def follow(self, query, **params):
        url = self.loki.base.replace("http", "ws") + "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": query, **params})
        client = websocket.create_connection(url, timeout=20)
        self.addCleanup(client.close)
        return client

    def test_a_follower_sees_a_line_at_once(self):
        self.loki.push(push_of(stream({"app": "tailed"}, "before")))
        client = self.follow('{app="tailed"} != "noise"')
        frame = json.loads(client.recv())
        self.assertEqual(frame["streams"][0]["values"][0][1], "before")
        sent = time.monotonic()
        self.loki.push(push_of(stream({"app": "tailed"}, "noise", "<b>now</b>")))
        frame = json.loads(client.recv())
        self.assertLess(time.monotonic() - sent, 1)
        self.assertEqual(frame["streams"][0]["values"][0][1], "<b>now</b>")
        # Every line, once, while two write at the same time.
        client = self.follow('{app=~"busy.*"}', limit=1)
        def write(name):
            for i in range(20):
                self.loki.push(push_of(stream({"app": f"busy-{name}"}, *(f"{name} {i} {j}" for j in range(10)))))
        writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        [w.start() for w in writers]
        seen = []
        while len(seen) < 400:
            frame = json.loads(client.recv())
            self.assertNotIn("dropped_entries", frame)
            seen += [v[1] for s in frame["streams"] for v in s["values"]]
        [w.join() for w in writers]
        self.assertEqual(sorted(seen), sorted(f"{n} {i} {j}" for n in "ab" for i in range(20) for j in range(10)))

    def test_a_follower_with_a_wrong_query_or_of_a_strange_page_is_refused(self):
        for query, origin, status in [
            ("rate({a=\"b\"}[1m])", None, 400),
            ("{a=", None, 400),
            ('{a="b"}', "https://evil.example", 403),
        ]:
            url = self.loki.base.replace("http", "ws") + "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": query})
            with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
                options = {"origin": origin} if origin else {"suppress_origin": True}
                websocket.create_connection(url, timeout=10, **options)
            self.assertEqual(refused.exception.status_code, status)

    def test_deleted_lines_are_gone_at_once_and_after_a_restart(self):
        with Scratch() as scratch:
            loki = Loki(scratch)
            loki.push(push_of(stream({"app": "d"}, "keep", "token=1", "token=2", at=time.time_ns() - 5 * 10**9)))
            params = {"query": '{app="d"} |= "token"', "start": str(int(time.time()) - 600)}
            status, _, body = loki.raw("/loki/api/v1/delete", params, method="POST")
            self.assertEqual((status, body), (204, b""))
            self.assertEqual(loki.lines('{app="d"}')[0], ["keep"])
            before = json.loads(loki.raw("/loki/api/v1/delete")[2])
            self.assertEqual([d["status"] for d in before], ["processed"])
            loki.program.kill()
            loki.program.start()
            wait_until(lambda: loki.raw("/ready")[0] == 200, 20, "loki is ready again")
            self.assertEqual(loki.lines('{app="d"}')[0], ["keep"])
            self.assertEqual(json.loads(loki.raw("/loki/api/v1/delete")[2]), before)

    def test_lines_with_html_and_escapes_come_out_as_they_are(self):
        lines = ["<script>alert(1)</script>", "\u001b[31mred\u001b[0m", 'quote " back \\ slash', "emoji 🦀 \u2028 \u0000 end"]
        self.assertEqual(self.loki.push(push_of(stream({"app": "odd"}, *lines)))[0], 204)
        self.assertEqual(self.loki.lines('{app="odd"}')[0], lines)
        self.assertEqual(self.loki.lines('{app="odd"} | decolorize |= "red"')[0], ["red"])
        status, headers, body = self.loki.raw("/loki/api/v1/query_range", {"query": "{a=<script>"})
        self.assertEqual((status, headers["Content-Type"]), (400, "text/plain; charset=utf-8"))
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")

    def test_grafana_finds_what_it_asks_for(self):
        self.loki.push(push_of(stream({"app": "g"}, '{"level":"info","status":200}')))
        vector = self.loki.data("query", query="vector(1)+vector(1)", time=4)
        self.assertEqual(vector["result"], [{"metric": {}, "value": [4, "2"]}])
        status, _, body = self.loki.raw("/loki/api/v1/status/buildinfo")
        self.assertRegex(json.loads(body)["version"], r"^\d+\.\d+\.\d+$")
        stats = json.loads(self.loki.raw("/loki/api/v1/index/stats", {"query": '{app="g"}'})[2])
        self.assertEqual((stats["streams"], stats["entries"]), (1, 1))
        query = 'sum by (level, detected_level) (count_over_time({app="g"} | drop __error__ [1s]))'
        now = time.time_ns()
        matrix = self.loki.data("query_range", query=query, start=now - 60 * 10**9, end=now + 10**9, step="1000ms")
        self.assertEqual((matrix["resultType"], len(matrix["result"])), ("matrix", 1))
        self.assertEqual(matrix["result"][0]["metric"].get("detected_level"), "info")
        for path in ("labels", "label/app/values", "series"):
            self.assertTrue(self.loki.data(path, start=now - 10**12, end=now + 10**9), path)


class Tenants(unittest.TestCase):
    def test_tenants_do_not_see_each_other_unless_they_are_joined(self):
        with Scratch() as scratch:
            loki = Loki(scratch, auth="true")
            self.assertEqual(loki.push(push_of(stream({"app": "x"}, "nobody's"))), (401, "no org id\n"))
            for tenant in ("one", "two"):
                self.assertEqual(loki.push(push_of(stream({"app": "x"}, f"of {tenant}")), tenant=tenant)[0], 204)
            self.assertEqual(loki.lines('{app="x"}', tenant="one")[0], ["of one"])
            lines, result = loki.lines('{app="x"}', tenant="one|two")
            self.assertEqual(sorted(lines), ["of one", "of two"])
            self.assertEqual({s["stream"]["__tenant_id__"] for s in result}, {"one", "two"})
            self.assertEqual(loki.push(push_of(stream({"app": "x"}, "y")), tenant="../etc")[0], 400)


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.__exit__)
        cls.loki = Loki(cls.scratch)

    def assertAlive(self):
        self.assertEqual(self.loki.raw("/ready")[0], 200)

    def test_malformed_pushes_are_400_and_say_where(self):
        now = str(time.time_ns())
        good = stream({"app": "m"}, "good")
        for body, words in [
            (b'{"streams":[', "1"),
            (b"[]", "byte 0"),
            (push_of({"stream": {"app": "m"}, "values": [[5, "x"]]}), "stream 0, entry 0"),
            (push_of({"stream": {"app": "m"}, "values": [["12x", "x"]]}), "stream 0, entry 0"),
            (push_of({"stream": {"app": "m"}, "values": [[now, "x", {"a": 1}]]}), "stream 0, entry 0"),
            (push_of({"stream": {}, "values": [[now, "x"]]}), "at least one label pair is required per stream"),
            (push_of({"stream": {"9bad": "m"}, "values": [[now, "x"]]}), "9bad"),
            (push_of(good, {"stream": {"app": "m"}, "values": [["1000000000", "old"]]}), "has timestamp too old"),
        ]:
            status, text = self.loki.push(body)
            self.assertEqual(status, 400, (body, text))
            self.assertIn(words, text)
        # What was right in the last one is there.
        self.assertEqual(self.loki.lines('{app="m"}')[0], ["good"])
        deep = b'{"streams":' + b"[" * 200_000
        self.assertEqual(self.loki.push(deep)[0], 400)
        entry = [(time.time_ns(), "x", {})]
        for body in (b"\x05", b"\xff" * 100, protobuf("{app=", entry), protobuf('{app="a", app="b"}', entry)):
            status, text = self.loki.push(body, "application/x-protobuf")
            self.assertEqual(status, 400, (body, text))
        self.assertEqual(self.loki.push(b"{}", **{"Content-Encoding": "br"})[0], 400)
        self.assertAlive()

    def test_too_large_a_line_or_a_body_is_refused_by_its_limit(self):
        status, text = self.loki.push(push_of(stream({"app": "big"}, "x" * 90_000_000)))
        self.assertEqual(status, 400, text[:200])
        self.assertIn("Max entry size '262144' bytes exceeded", text)
        self.assertLess(len(text), 2000)
        status, text = self.loki.push(push_of(stream({"app": "big"}, "x" * 110_000_000)))
        self.assertEqual(status, 413, text[:200])
        self.assertAlive()

    def test_bombs_do_not_burst(self):
        zeros = gzip.compress(b" " * (400 << 20), 9)
        self.assertLess(len(zeros), 1 << 20)
        self.assertIn(self.loki.push(zeros, **{"Content-Encoding": "gzip"})[0], (400, 413))
        # A snappy block that claims four gigabytes.
        self.assertIn(self.loki.push(varint(2**32 - 1) + b"\x00a", "application/x-protobuf")[0], (400, 413))
        self.assertAlive()
        with open(f"/proc/{self.loki.program.process.pid}/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        self.assertLess(memory, 1_500_000, "kB at most")

    def test_pathological_expressions_and_templates_are_bounded(self):
        self.loki.push(push_of(stream({"app": "re"}, *("a" * 3000 + "!" for _ in range(50)))))
        for query in [
            '{app="re"} |~ "^(a+)+$"',
            '{app="re"} |~ "(a|a?)+b"',
            '{app="re"} |~ "' + "(" * 2000 + "a" + ")" * 2000 + '"',
            '{app="re"} |~ "(((a{100}){100}){100}){100}"',
            '{app="re"} | regexp "(?P<x>(a*)*)*b"',
            '{app="re"} | line_format "{{ range $i := (index . 0) }}{{ end }}"',
            '{app="re"} | line_format "{{ repeat 1000000000 .app }}"',
            '{app="re"} | label_format x="{{ define \\"t\\" }}{{ template \\"t\\" }}{{ end }}{{ template \\"t\\" }}"',
            "{" * 10_000,
            "(" * 50_000 + "vector(1)",
            "sum(" * 20_000 + 'rate({app="re"}[1m])' + ")" * 20_000,
        ]:
            began = time.monotonic()
            data = urllib.parse.urlencode({"query": query}).encode()
            status, _, body = self.loki.raw(
                "/loki/api/v1/query_range", data=data, headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
            self.assertIn(status, (200, 400), (query[:80], body[:200]))
            self.assertLess(time.monotonic() - began, 10, query[:80])
        self.assertAlive()

    def test_limits_are_kept_and_named(self):
        with Scratch() as scratch:
            limits = "  max_label_names_per_series: 2\n  max_entries_limit_per_query: 10\n  max_query_length: 24h\n"
            loki = Loki(scratch, limits=limits)
            status, text = loki.push(push_of(stream({"a": "1", "b": "2", "c": "3"}, "x")))
            self.assertEqual(status, 400)
            self.assertIn("has 3 label names; limit 2", text)
            loki.push(push_of(stream({"a": "1"}, "x")))
            for params, words in [
                ({"limit": 11}, "max entries limit per query exceeded, limit > max_entries_limit (11 > 10)"),
                ({"start": 1_600_000_000, "limit": 5}, "the query time range exceeds the limit"),
                ({"direction": "sideways"}, "invalid direction"),
            ]:
                status, _, body = loki.raw("/loki/api/v1/query_range", {"query": '{a="1"}', **params})
                self.assertEqual(status, 400)
                self.assertIn(words, body.decode())
            # Limits are read anew.
            config = scratch.folder / "reba-config/loki/loki-config.yml"
            config.write_text(config.read_text().replace("max_label_names_per_series: 2", "max_label_names_per_series: 9"))
            loki.program.raw("/-/reload", method="POST")
            wait_until(
                lambda: loki.push(push_of(stream({"a": "1", "b": "2", "c": "3"}, "x")))[0] == 204, 10, "the new limit holds"
            )


if __name__ == "__main__":
    unittest.main()
