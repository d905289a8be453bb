"""Labels with a value of its own for every line cost what their bytes cost; and lines are seen at once.

`REBA_LOG_LINES` says how many lines a label has (50,000; `make torture`: 1,000,000)."""

import hashlib
import json
import os
import statistics
import threading
import time
import unittest
import urllib.parse
import zlib

import websocket
from harness import Scratch, wait_until
from test_hostile import resident_mb
from test_logs_kills import CONFIG, SECOND, entries, number, push, start
from test_loki import PUSH

LINES = int(os.environ.get("REBA_LOG_LINES", "50000"))
BATCH = 2000
# Labels of every line, and whether their names are among those that Reba knows to have many values.
LABELS = {"trace_id": True, "request_id": True, "order": False}


class HighCardinality(unittest.TestCase):
    def line(self, name, n):
        told = {"level": "info", "event": "checkout", "amount": n % 977, "took_ms": n * 7919 % 1000}
        return json.dumps({**told, "customer": f"c-{zlib.crc32(b'%d' % n) % 5000}"})

    def value(self, name, n):
        # As random as real ones: they do not compress.
        return hashlib.md5(f"{name} {n}".encode()).hexdigest()

    def send(self, program, name, first):
        """Pushes all lines, each a stream of its own; the raw bytes of lines and values."""
        size = 0
        for begin in range(0, LINES, BATCH):
            streams = []
            for n in range(begin, begin + BATCH):
                line = self.line(name, n)
                size += len(line) + 32
                labels = {"service": f"s-{name}", name: self.value(name, n)}
                streams.append({"stream": labels, "values": [[str(first + n * 1000), line]]})
            body = json.dumps({"streams": streams}).encode()
            status, _, answer = program.raw(PUSH, data=body, headers={"Content-Type": "application/json"})
            self.assertEqual(status, 204, answer[:300])
        return size

    def timed(self, what):
        began = time.monotonic()
        found = what()
        return found, time.monotonic() - began

    def test_a_value_of_its_own_for_every_line_costs_its_bytes(self):
        with Scratch() as scratch:
            config = CONFIG + "  max_global_streams_per_user: 0\n  max_streams_per_user: 0\n"
            program = start(scratch, config=config)
            base, first, size = resident_mb(program), time.time_ns() - 600 * SECOND, 0
            for name in LABELS:
                (more, took), before = self.timed(lambda: self.send(program, name, first)), resident_mb(program)
                size += more
                print(f"{name}: {LINES} lines in {took:.1f} s, at most {before - base} MB more than at the start", flush=True)
            self.assertEqual(program.raw("/flush", method="POST")[0], 204)
            params = {"start": first, "end": time.time_ns()}
            for name in LABELS:
                middle = LINES // 2
                selector = f'{{{name}="{self.value(name, middle)}"}}'
                found, took = self.timed(lambda: entries(program, selector, first, time.time_ns()))
                self.assertEqual([line for _, line, _ in found], [self.line(name, middle)])
                self.assertEqual(found[0][2][name], self.value(name, middle))
                print(f"{selector}: {took * 1000:.0f} ms")
                self.assertLess(took, 2)
                count = number(program, f'sum(count_over_time({{service="s-{name}"}}[1h]))', time.time_ns())
                self.assertEqual(count, LINES)
            for path, query in [("labels", {}), ("series", {"match[]": '{service=~"s-.*"}'}), ("label/service/values", {}),
                                ("index/stats", {"query": '{service="s-order"}'})]:
                (status, _, body), took = self.timed(lambda: program.raw("/loki/api/v1/" + path, {**params, **query}))
                self.assertEqual(status, 200, body[:300])
                print(f"/{path}: {took * 1000:.0f} ms, {len(body)} bytes")
                self.assertLess(took, 2, path)
            names = json.loads(program.raw("/loki/api/v1/labels", params)[2])["data"]
            self.assertLessEqual({"service", *LABELS}, set(names))
            files = (scratch.folder / "reba-data/logs").rglob("*")
            disk = sum(path.stat().st_blocks * 512 for path in files if path.is_file())
            memory = resident_mb(program) - base
            print(f"{size >> 20} MB of lines and values: {disk / size:.2f} of that on disk, {memory} MB more memory at most")
            self.assertLess(disk, size)
            self.assertLess(memory, 300)
            # They are all there after a start, which is quick, too.
            self.assertEqual(program.stop(), 0)
            _, took = self.timed(program.start)
            self.assertLess(took, 5)
            found = entries(program, f'{{order="{self.value("order", LINES - 1)}"}}', first, time.time_ns())
            self.assertEqual(len(found), 1)
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("panicked", program.log())


class Latency(unittest.TestCase):
    def test_rebas_own_lines_are_there_seconds_after_it_starts(self):
        with Scratch() as scratch:
            program = start(scratch)
            began = time.monotonic()
            own = lambda: entries(program, '{job="reba"}', time.time_ns() - 60 * SECOND, time.time_ns())
            found = wait_until(own, 5, "own lines")
            self.assertLess(time.monotonic() - began, 5)
            for _, line, labels in found:
                self.assertEqual(labels["service"], "reba")
                self.assertEqual(json.loads(line)["level"].lower(), labels["level"])

    def test_a_follower_sees_a_line_well_within_a_second(self):
        with Scratch() as scratch:
            program = start(scratch)
            query = urllib.parse.urlencode({"query": '{app="tailed"} |= "line"'})
            client = websocket.create_connection(program.base.replace("http", "ws") + "/loki/api/v1/tail?" + query, timeout=20)
            try:
                took, sent = [], {}

                def pushes():
                    for n in range(50):
                        sent[n] = time.monotonic()
                        assert push(program, {"app": "tailed", "n": str(n % 3)}, [(time.time_ns(), f"line {n}")]) == 204
                        time.sleep(0.04)

                pusher = threading.Thread(target=pushes)
                pusher.start()
                while len(took) < 50:
                    frame, at = json.loads(client.recv()), time.monotonic()
                    lines = [line for s in frame["streams"] for _, line, *_ in s["values"]]
                    took += [at - sent[int(line.split()[1])] for line in lines]
                pusher.join()
            finally:
                client.close()
            print(f"push to follower: median {statistics.median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms")
            self.assertLess(statistics.median(took), 0.2)
            self.assertLess(max(took), 1)


if __name__ == "__main__":
    unittest.main()
