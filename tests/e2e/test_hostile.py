"""Targets, clients and circumstances that mean harm: Reba refuses them by name, keeps its memory, and goes on."""

import http.client
import http.server
import os
import pathlib
import random
import select
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse
import zlib

from harness import REBA, Scratch, free_offset, reba, wait_until

PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def series(labels, samples):
    """A `TimeSeries` of a remote write request."""
    out = b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels)
    for t, v in samples:
        out += field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t))
    return field(1, out)


def snappy(data):
    """A snappy block of literals only."""
    out = varint(len(data))
    for i in range(0, len(data), 65536):
        part = data[i:i + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
    return out


def bomb(megabytes):
    """So many megabytes of zeros, gzipped."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def resident_mb(program):
    """What the process has used at most so far, in megabytes."""
    status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def now_ms():
    return int(time.time() * 1000)


class Hostile(http.server.BaseHTTPRequestHandler):
    """A target that answers each path with another nastiness."""

    BOMB = bomb(400)
    asked = {}

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = urllib.parse.urlparse(self.path).path.strip("/")
        self.asked.setdefault(name, []).append(dict(self.headers))
        try:
            getattr(self, name)()
        except OSError:
            pass

    def page(self, body, **headers):
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.page(b"good 1\n")

    crossed = good

    def endless(self):
        self.page(b"")
        while True:
            self.wfile.write(b"x" * 65536)

    def drip(self):
        self.page(b"")
        while True:
            self.wfile.write(b"a")
            time.sleep(0.2)

    def gzipbomb(self):
        self.page(self.BOMB, Content_Encoding="gzip")

    def labels(self):
        self.page(b"a{" + b",".join(b'l%d="x"' % i for i in range(500_000, 0, -1)) + b"} 1\n")

    def redirect(self, to):
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def loop(self):
        self.redirect("/loop")

    def cross(self):
        self.redirect(f"http://localhost:{self.server.server_port}/crossed")

    def lie(self):
        self.page(b"a 1\n", Content_Length="1000")
        self.close_connection = True

    def ancient(self):
        self.wfile.write(b"a 1\nb 2\n")

    def forged(self):
        page = b"\xff\xff\xff\xff\x7f\x0a\xff\xff\xff\xff\x7f"
        self.page(page, Content_Type="application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily")

    def text(self):
        self.page(b'a{b="\xff"} 1\n')


# What the target's last error says.
TARGETS = {
    "good": "", "cross": "", "endless": "limit|deadline", "drip": "deadline", "gzipbomb": "limit|deadline",
    "labels": "more than 1024 labels", "loop": "stopped after 10 redirects", "lie": "unexpected EOF",
    "ancient": "invalid HTTP version", "forged": "longer than the page", "text": "invalid UTF-8",
}


class HostileTargets(unittest.TestCase):
    def test_each_bad_target_fails_by_name_and_the_good_one_does_not_notice(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = "global: {scrape_interval: 2s, scrape_timeout: 2s}\nscrape_configs:\n"
        for name in TARGETS:
            config += (f"- job_name: {name}\n  metrics_path: /{name}\n  body_size_limit: 32MB\n"
                       f"  basic_auth: {{username: u, password: secret}}\n"
                       f"  static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]\n")
        with Scratch() as scratch:
            scratch.write("conf/prometheus.yml", config)
            program = scratch.reba(config=scratch.folder / "conf")

            def targets():
                found = {t["scrapePool"]: t for t in program.data("targets")["activeTargets"]}
                assert all(t["health"] != "unknown" for t in found.values())
                return found

            found = wait_until(targets, 20, "every target was scraped")
            for name, reason in TARGETS.items():
                with self.subTest(name):
                    self.assertEqual(found[name]["health"], "up" if reason == "" else "down")
                    self.assertRegex(found[name]["lastError"], reason or "^$")
            wait_until(lambda: program.value('count_over_time(up{job="good"}[1m])') >= 4, 20, "the good one goes on")
            self.assertEqual(program.value('min_over_time(up{job="good"}[1m])'), 1)
            self.assertLess(resident_mb(program), 700)
            # Credentials stay with the host that they are for.
            self.assertTrue(all("authorization" in {k.lower() for k in h} for h in Hostile.asked["good"]))
            self.assertTrue(all("authorization" not in {k.lower() for k in h} for h in Hostile.asked["crossed"]))
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("panicked", program.log())
        server.shutdown()


class HostileClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.reba = cls.scratch.reba()
        now = now_ms()
        times = [now - 600_000 + i * 15_000 for i in range(40)]
        body = b"".join(series([("__name__", "m"), ("a", f"v{i}")], [(t, float(i)) for t in times]) for i in range(300))
        assert cls.write(snappy(body))[0] == 204

    @classmethod
    def tearDownClass(cls):
        assert "panicked" not in cls.reba.log()
        cls.scratch.__exit__()

    @classmethod
    def write(cls, body, **headers):
        status, _, answer = cls.reba.raw("/api/v1/write", data=body, headers={**PROTOBUF, **headers})
        return status, answer.decode()

    def post(self, path, **params):
        body = urllib.parse.urlencode(params, doseq=True).encode()
        status, _, answer = self.reba.raw("/api/v1/" + path, data=body, headers=FORM)
        return status, answer[:300].decode(errors="replace")

    def tearDown(self):
        wait_until(lambda: self.reba.data("status/active_queries") == [], 10, "nothing runs any more")
        self.assertEqual(self.reba.value("vector(2)"), 2)
        self.assertLess(resident_mb(self.reba), 1200)

    def test_queries_of_death_are_refused_with_a_reason(self):
        nest = lambda f, tail, n, inner: f * n + inner + tail * n
        grow = ', "x", "y$1$1$1$1$1$1$1$1$1$1", "x", "(.*)")'
        regexes = ",".join(f'a=~"\\\\pL{{40}}{i}"' for i in range(2000))
        cases = [
            (400, "nested", nest("(", ")", 10_000, "1")),
            (400, "nested", "-" * 10_000 + "1"),
            (400, "levels deep", "1" + "+1" * 10_000),
            (422, "too many samples", "max_over_time(m[10m:1ms])"),
            (422, "too many samples", "max_over_time(max_over_time(m[1h:1ms])[1h:1ms])"),
            (422, "label value", nest("label_replace(", grow, 12, "m")),
            (400, "size limit", 'm{a=~"(a{1000}){1000}"}'),
            (400, "too large", "m{" + regexes + "}"),
            (400, "unexpected", "m " * 500_000),
            (422, "duplicate series", '{__name__=~".+"} * on() group_left {__name__=~".+"}'),
            (503, "queue", None),
        ]
        for status, reason, query in cases:
            with self.subTest((query or "timeout=0")[:40]):
                found = self.post("query", query=query) if query else self.post("query", query="m", timeout="0")
                self.assertEqual(found[0], status, found)
                self.assertIn(reason, found[1])
        for path in ["format_query", "query_exemplars", "series"]:
            for query in ["(" * 100_000, "m{" + regexes + "}"]:
                found = self.post(path, **{"query": query, "match[]": query})
                self.assertEqual(found[0], 400, found)
        for t in ["-9223372036854775.8", "9.2e18", "NaN", "-Inf", "292277025-08-18T07:12:54.999999999Z"]:
            self.assertIn(self.post("query", query="rate(m[5m]) or m offset 1y", time=t)[0], (200, 400), t)

    def test_queries_end_when_their_clients_leave(self):
        now = int(time.time())
        path = "/api/v1/query_range?" + urllib.parse.urlencode(
            {"query": "quantile_over_time(0.5, m[1h:1s])", "start": now - 3600, "end": now, "step": 1})
        clients = []
        for _ in range(60):
            client = http.client.HTTPConnection("127.0.0.1", 9090 + self.reba.offset)
            client.request("GET", path)
            clients.append(client)
        wait_until(lambda: len(self.reba.data("status/active_queries")) >= 20, 10, "they run")
        for client in clients:
            client.close()
        wait_until(lambda: self.reba.data("status/active_queries") == [], 10, "they stopped")

    def test_a_crowd_of_cheap_queries_is_answered(self):
        answers = []
        ask = lambda: answers.append(self.reba.raw("/api/v1/query", {"query": "sum(m)"})[0])
        crowd = [threading.Thread(target=ask) for _ in range(300)]
        for c in crowd:
            c.start()
        for c in crowd:
            c.join()
        self.assertEqual(set(answers), {200})
        self.assertEqual(len(answers), 300)

    def test_writes_that_are_never_finished_take_bounded_memory_together(self):
        head = b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 33554432\r\n\r\n"
        port, senders = int(self.reba.base.rsplit(":", 1)[1]), []
        try:
            # One has room; all of them together have not, and whoever is read last is told so.
            for _ in range(17):
                senders.append(socket.create_connection(("127.0.0.1", port), 30))
                senders[-1].sendall(head + bytes(31 << 20))
            told, _, _ = select.select(senders, [], [], 30)
            self.assertEqual([t.recv(4096).split(b"\r\n")[0] for t in told[:1]], [b"HTTP/1.1 503 Service Unavailable"])
        finally:
            for sender in senders:
                sender.close()
        body = snappy(series([("__name__", "after")], [(now_ms(), 1.0)]))
        wait_until(lambda: self.write(body)[0] == 204, 10, "there is room again")

    def test_malformed_writes_are_refused_and_write_nothing(self):
        t = now_ms()
        one = lambda name, *samples: snappy(series([("__name__", name)], samples))
        for name, status, body in [
            ("garbage", 400, b"garbage" * 100), ("empty", 400, b""), ("forged length", 400, varint(2 ** 40) + b"\0abc"),
            ("too large", 413, varint(900 << 20) + b"\0abc"), ("copy before the start", 400, varint(100) + b"\x01\x10"),
            ("forged field", 400, snappy(b"\x0a\xff\xff\xff\xff\x0f")), ("group", 400, snappy(b"\x0b\x0b")),
            ("future", 400, one("bad_future", (t + 3_600_000, 1))), ("past", 400, one("bad_past", (0, 1))),
            ("far future", 400, one("bad_far", (2 ** 63 - 1, 1))), ("far past", 400, one("bad_old", (-2 ** 63, 1))),
            ("disorder", 400, one("bad_order", (t, 1), (t - 5, 1))),
            ("many labels", 204, snappy(series([("__name__", "bad_many")] + [(f"l{i}", "v") for i in range(99_999)], [(t, 1)]))),
            ("two names", 204, snappy(series([("__name__", "bad_a"), ("__name__", "bad_b")], [(t, 1)]))),
        ]:
            with self.subTest(name):
                self.assertEqual(self.write(body)[0], status)
        self.assertEqual(self.reba.query('{__name__=~"bad.*"}'), {})
        odd = [("__name__", 'o"dd\n\0😀'), ('l"\n', 'v"\\\n\0')]
        self.assertEqual(self.write(snappy(series(odd, [(t, 1)])))[0], 204)
        self.assertEqual(self.reba.query('{"o\\"dd\\n\\x00😀"}'), {tuple(sorted(odd)): 1})

    def test_short_messages_that_ask_for_much_are_refused(self):
        v2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
        symbols = b"".join(field(4, s) for s in (b"", b"__name__", b"m", b"a", b"x" * (1 << 19)))
        of = lambda refs: field(5, field(1, bytes(refs)) + field(2, b"\x09" + bytes(8) + b"\x10" + varint(now_ms())))
        for name, reason, message in [
            ("many labels", "labels in one series", of([3, 4] * 1_000_000)), ("many series", "labels of the request", of([1, 4]) * 20_000),
        ]:
            with self.subTest(name):
                status, text = self.write(snappy(symbols + message), **v2)
                self.assertEqual(status, 400)
                self.assertIn(reason, text)
        matchers = b"".join(field(3, b"\x08\x02" + field(2, b"a") + field(3, b"\\pL{40}%d" % i)) for i in range(5000))
        status, _, answer = self.reba.raw("/api/v1/read", data=snappy(field(1, matchers)), headers=PROTOBUF)
        self.assertEqual((status, answer), (400, b"regular expressions are too large\n"))

    def test_pages_from_elsewhere_change_nothing(self):
        for origin in ["http://evil.example", "null", "http://localhost.evil.example", "https://127.0.0.1.evil.example"]:
            for path in ["/-/reload", "/-/quit", "/api/v1/write", "/api/v1/status/active_queries/1/kill",
                         "/api/v1/admin/tsdb/delete_series"]:
                status, headers, _ = self.reba.raw(path, method="POST", headers={"Origin": origin})
                self.assertEqual(status, 403, path)
                self.assertNotIn("Access-Control-Allow-Origin", headers)
        self.assertEqual(self.reba.raw("/-/reload")[0], 405)

    def test_nonsense_on_the_wire_is_answered_or_dropped(self):
        for request in [b"GET /\r\n\r\n", b"\x16\x03\x01\x02\0" + bytes(200), b"GET / HTTP/1.1\r\nX: " + b"a" * 500_000,
                        b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nquery=1",
                        b"GET /api/v1/label/%ff/values HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                        b"GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", 9090 + self.reba.offset), timeout=10) as s:
                answer = b""
                try:
                    s.sendall(request)
                    answer = s.recv(100)
                except ConnectionError:
                    pass
                self.assertRegex(answer, rb"^(HTTP/1.1 4\d\d .*)?", request[:40])
                self.assertNotRegex(answer, rb"^HTTP/1.1 (2|5)\d\d")


class Circumstances(unittest.TestCase):
    def test_a_storm_of_reloads_keeps_scraping_and_a_bad_one_changes_nothing(self):
        with Scratch() as scratch:
            offset = free_offset()
            job = "- job_name: {}\n  static_configs: [{{targets: ['127.0.0.1:" + str(9090 + offset) + "']}}]\n"
            head = "global: {scrape_interval: 1s}\nscrape_configs:\n"
            file = scratch.write("conf/prometheus.yml", head + job.format("a") + job.format("b"))
            program = scratch.reba(config=file.parent, offset=offset)
            answers = []
            crowd = [threading.Thread(target=lambda: answers.append(program.raw("/-/reload", method="POST")[0]))
                     for _ in range(100)]
            for i, c in enumerate(crowd):
                c.start()
                if i % 10 == 0:
                    text = head + job.format("a") + (job.format("b") if i % 20 else "")
                    temporary = scratch.write("next", text)
                    os.replace(temporary, file)
                    program.process.send_signal(signal.SIGHUP)
            for c in crowd:
                c.join()
            self.assertEqual(set(answers), {200})
            # At once: a reload that a signal asked for may still be to come, and would take half a file for a whole one.
            os.replace(scratch.write("next", head + job.format("a") + "  nonsense: 1\n"), file)
            self.assertEqual(program.raw("/-/reload", method="POST")[0], 500)
            before = program.value('count_over_time(up{job="a"}[1m])') or 0
            wait_until(lambda: (program.value('count_over_time(up{job="a"}[1m])') or 0) >= before + 2, 10, "a goes on")
            self.assertEqual(program.stop(), 0)

    def test_a_full_disk_stops_ingestion_not_queries_and_ends_by_itself(self):
        with Scratch() as scratch:
            data = scratch.sub("reba-data")
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", data], capture_output=True)
            if mounted.returncode != 0:
                self.skipTest("may not mount a tmpfs")
            try:
                program = scratch.reba()
                begin, acknowledged, ballast = now_ms() - 60_000, [], data / "ballast"

                def write(n):
                    labels = lambda i: [("__name__", "n"), ("i", str(i)), ("long", f"{n}" * 20)]
                    body = b"".join(series(labels(i), [(begin + n, float(n))]) for i in range(100))
                    return program.raw("/api/v1/write", data=snappy(body), headers=PROTOBUF)[0]

                for n in range(5):
                    self.assertEqual(write(n), 204)
                with open(ballast, "wb", buffering=0) as file, self.assertRaises(OSError):
                    while True:
                        file.write(bytes(65536))
                status = 204
                for n in range(5, 400):
                    status = write(n)
                    if status != 204:
                        break
                    acknowledged.append(n)
                self.assertEqual(status // 100, 5, "a full disk is said")
                self.assertGreaterEqual(program.value("count(last_over_time(n[5m]))"), 500)
                ballast.unlink()
                wait_until(lambda: write(1000) == 204, 20, "it takes samples again")
                program.kill()
                program.start()
                count = program.value("count(count by (long) (last_over_time(n[5m])))")
                # The batch that was refused may be there: its sender was told to send it again.
                self.assertIn(count - len(acknowledged), (6, 7))
                self.assertEqual(program.stop(), 0)
            finally:
                for p in scratch.programs:
                    p.kill()
                subprocess.run(["umount", "-l", data], check=True)

    def test_a_reader_that_leaves_the_pipe_is_no_panic(self):
        for command in ["--help", "run --help", "check --config ."]:
            line = f"{REBA} {command} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30)
            self.assertNotIn("panicked", done.stderr, command)
        line = f"{REBA} check --config . >&-"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30)
        self.assertNotIn("panicked", done.stderr)

    def test_a_server_that_is_not_there_is_said_in_one_line(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{s.getsockname()[1]}"
        status, out, err = reba("query", "promql", "up", "--url", url)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "^reba: no answer from .*: .*refused")
        self.assertEqual(len(err.strip().splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
