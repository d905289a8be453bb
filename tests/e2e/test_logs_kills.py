"""SIGKILL, full disks and damage while logs come in: what was acknowledged is there, once, and Reba starts by itself.

`REBA_LOG_KILLS` says how often (8; `make torture`: 300), `REBA_SEED` when."""

import http.client
import json
import os
import random
import subprocess
import threading
import time
import unittest
import zlib

from harness import Scratch, wait_until
from test_loki import PUSH, protobuf

KILLS = int(os.environ.get("REBA_LOG_KILLS", "8"))
SEED = int(os.environ.get("REBA_SEED", "7"))
LINES = 10
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
CONFIG = """
auth_enabled: false
limits_config:
  reject_old_samples: false
  ingestion_rate_mb: 500
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 500MB
  per_stream_rate_limit_burst: 500MB
  max_entries_limit_per_query: 1000000
  max_query_length: 0
  max_query_series: 100000
"""


def start(scratch, name="reba", config=CONFIG):
    """A Reba that is nothing but a log store, seen through its port 3100."""
    scratch.write(f"{name}-config/loki/loki-config.yml", config)
    return scratch.reba("--only", "loki", name=name, port=3100, ready="/ready")


def send(program, body, kind):
    """The status of a push; `None` if there was no answer."""
    try:
        return program.raw(PUSH, data=body, headers={"Content-Type": kind})[0]
    except (OSError, http.client.HTTPException):
        return None


def push(program, labels, entries):
    """Pushes (nanoseconds, line) pairs; the status."""
    values = [[str(ns), line] for ns, line in entries]
    return send(program, json.dumps({"streams": [{"stream": labels, "values": values}]}).encode(), "application/json")


def entries(program, query, first, last):
    """(nanoseconds, line, labels) of everything in between, both ends with it."""
    params = {"query": query, "start": first, "end": last + 1, "limit": 1_000_000, "direction": "forward"}
    status, _, body = program.raw("/loki/api/v1/query_range", params)
    assert status == 200, body[:500]
    result = json.loads(body)["data"]["result"]
    return [(int(ns), line, s["stream"]) for s in result for ns, line, *_ in s["values"]]


def number(program, query, at):
    """The value of an instant query that has one, or 0."""
    status, _, body = program.raw("/loki/api/v1/query", {"query": query, "time": at})
    assert status == 200, body[:500]
    result = json.loads(body)["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def metric(program, name):
    lines = program.raw("/metrics")[2].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


class Pusher(threading.Thread):
    """Pushes batch after batch. One without an answer is pushed again, or never again; now and then one that was taken, too."""

    def __init__(self, program, name, kind, first, step, doomed=False):
        super().__init__(daemon=True)
        self.program, self.name, self.kind, self.first, self.step, self.doomed = program, name, kind, first, step, doomed
        self.luck = random.Random(f"{SEED} {name}")
        self.sent, self.acknowledged = 0, {}
        self.answers, self.again = {}, 0
        self.over, self.go, self.idle = False, threading.Event(), threading.Event()

    def ns(self, n, i):
        """Every line has a nanosecond of its own, in no order within its batch."""
        return self.first + n * self.step + i * 3 % LINES

    def line(self, n, i):
        words = "away" if self.is_doomed(n) else "kept"
        return f'{{"w":"{self.name}","n":{n},"i":{i},"fate":"{words}","pad":"{zlib.crc32(b"%d %d" % (n, i)):x}"}}'

    def is_doomed(self, n):
        return self.doomed and n % 3 == 0

    def body(self, n):
        metadata = {"batch": str(n)} if n % 5 == 0 else {}
        rows = [(self.ns(n, i), self.line(n, i)) for i in range(LINES)]
        if self.kind == "application/json":
            values = [[str(ns), line, *([metadata] if metadata else [])] for ns, line in rows]
            stream = {"stream": {"job": "kills", "w": self.name, "part": str(n % 3)}, "values": values}
            return json.dumps({"streams": [stream]}).encode()
        return protobuf(f'{{job="kills", w="{self.name}", part="{n % 3}"}}', [(ns, line, metadata) for ns, line in rows])

    def push(self, n):
        status = send(self.program, self.body(n), self.kind)
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == 204:
            self.acknowledged.setdefault(n, time.monotonic())
        return status == 204

    def may(self):
        """Waits until it may push; `False` once all is over."""
        while not self.over and not self.go.is_set():
            self.idle.set()
            self.go.wait(0.2)
        self.idle.clear()
        return not self.over

    def pause(self):
        """Returns when nothing of it is under way."""
        self.go.clear()
        assert self.idle.wait(30)

    def run(self):
        while self.may():
            n = self.sent
            self.sent += 1
            if not self.push(n) and self.luck.random() < 0.5:
                # Whoever heard nothing sends the same again, until somebody hears.
                while self.may() and not self.push(n):
                    self.again += 1
                    time.sleep(0.01)
            # More than a hundred a second would only make the checks long.
            time.sleep(0.005)
            if self.luck.random() < 0.1:
                old = self.luck.randrange(max(0, n - 200), n + 1)
                if old in self.acknowledged and not self.is_doomed(old):
                    self.again += 1
                    self.push(old)

    def check(self, program, since, until, gone=None):
        """Of the batches `since..until`: all that was acknowledged is there, once, and nothing that was not sent.

        Doomed ones that were acknowledged before `gone` must not be there; others may have been deleted."""
        until = min(until, self.sent)
        if since >= until:
            return
        want = {n for n in list(self.acknowledged) if since <= n < until and not self.is_doomed(n)}
        found = entries(program, f'{{job="kills", w="{self.name}"}}', self.ns(since, 0), self.ns(until - 1, 0) + LINES)
        seen = {}
        for ns, line, labels in found:
            told = json.loads(line)
            n, i = told["n"], told["i"]
            assert (n, i) not in seen, f"w={self.name} n={n} i={i} is there twice"
            seen[n, i] = line
            assert line == self.line(n, i) and ns == self.ns(n, i), f"never sent: {ns} {line}"
            assert labels.get("batch") == (str(n) if n % 5 == 0 else None), labels
            if gone and self.is_doomed(n):
                assert self.acknowledged.get(n, gone) >= gone, f"w={self.name} n={n} was deleted, and is there"
        lost = sorted({n for n in want for i in range(LINES) if (n, i) not in seen})
        assert not lost, f"w={self.name}: {len(lost)} of {len(want)} acknowledged batches are lost: {lost[:10]}"
        range_ns = self.ns(until - 1, 0) + LINES - self.ns(since, 0) + 1
        # A deletion that the kill broke off goes on meanwhile.
        seen = [key for key in seen if not self.is_doomed(key[0])]
        query = f'sum(count_over_time({{job="kills", w="{self.name}"}} != "away" [{range_ns}ns]))'
        counted = number(program, query, self.ns(since, 0) + range_ns - 1)
        assert counted == len(seen), f"w={self.name}: {counted} lines are counted, {len(seen)} are there"


class Kills(unittest.TestCase):
    def test_acknowledged_lines_are_there_once_whenever_it_is_killed(self):
        luck = random.Random(SEED)
        with Scratch() as scratch:
            program = start(scratch)
            now = time.time_ns()
            json_, protobuf_ = "application/json", "application/x-protobuf"
            pushers = [
                Pusher(program, "now", json_, now, 1_000_000),
                Pusher(program, "snappy", protobuf_, now - DAY, 2_000_000),
                # Days of data, in parts that are merged.
                Pusher(program, "days", protobuf_, now - 2000 * DAY, 300 * SECOND),
                Pusher(program, "doomed", json_, now - DAY, 1_000_000, doomed=True),
            ]
            for p in pushers:
                p.start()
            gone, began = [None], time.monotonic()
            for kill in range(KILLS):
                since = [p.sent for p in pushers]
                for p in pushers:
                    p.go.set()
                # Maintenance comes a second after the start: half of the kills hit it.
                time.sleep(luck.uniform(*luck.choice([(0.01, 0.5), (0.9, 1.2)])))
                call = [self.flush, self.delete, None][kill % 3]
                if call:
                    threading.Thread(target=call, args=(program, gone), daemon=True).start()
                    time.sleep(luck.choice([luck.uniform(0, 0.05), 0.3]))
                program.kill()
                program.start()
                for p in pushers:
                    p.pause()
                for p, n in zip(pushers, since):
                    p.check(program, max(0, n - 50), p.sent, gone[0])
                if kill % 50 == 49:
                    print(f"{kill + 1} kills, {sum(len(p.acknowledged) for p in pushers)} batches acknowledged, "
                          f"{time.monotonic() - began:.0f} s", flush=True)
            self.delete(program, gone)
            for p in pushers:
                p.over = True
                p.join(30)
            self.assertIsNotNone(gone[0], "something was deleted")
            for p in pushers:
                # 503: it was starting.
                self.assertLessEqual(set(p.answers), {204, 503, None}, p.answers)
                self.assertGreater(len(p.acknowledged), KILLS)
                for first in range(0, p.sent, 2000):
                    p.check(program, first, first + 2000, gone[0])
            self.assertGreater(sum(p.again for p in pushers), KILLS, "batches were pushed again")
            self.assertEqual(metric(program, "reba_logs_parts_quarantined_total"), 0)
            self.assertEqual(metric(program, "reba_logs_blocks_damaged_total"), 0)
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("panicked", program.log())
            print(f"{KILLS} kills, {sum(len(p.acknowledged) for p in pushers)} batches of {LINES} lines, "
                  f"{sum(p.again for p in pushers)} pushed again")

    @staticmethod
    def flush(program, _):
        try:
            program.raw("/flush", method="POST")
        except (OSError, http.client.HTTPException):
            pass

    @staticmethod
    def delete(program, gone):
        at = time.monotonic()
        params = {"query": '{w="doomed"} |= "away"', "start": "1"}
        try:
            if program.raw("/loki/api/v1/delete", params, method="POST")[0] == 204:
                gone[0] = at
        except (OSError, http.client.HTTPException):
            pass


class Disks(unittest.TestCase):
    def test_a_full_disk_refuses_pushes_not_queries_and_ends_by_itself(self):
        with Scratch() as scratch:
            data = scratch.sub("reba-data")
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", data], capture_output=True)
            if mounted.returncode != 0:
                self.skipTest("may not mount a tmpfs")
            try:
                program = start(scratch)
                first, ballast = time.time_ns(), data / "ballast"
                noise = lambda n, i: random.Random(f"{n} {i}").randbytes(300).hex()
                batch = lambda n: [(first + n * 100 + i, f"{n} {i} {noise(n, i)}") for i in range(50)]
                write = lambda n: push(program, {"app": "full"}, batch(n))
                acknowledged = {n for n in range(5) if write(n) == 204}
                self.assertEqual(len(acknowledged), 5)
                with open(ballast, "wb", buffering=0) as file, self.assertRaises(OSError):
                    while True:
                        file.write(bytes(65536))
                for n in range(5, 2000):
                    status = write(n)
                    if status != 204:
                        break
                    acknowledged.add(n)
                self.assertEqual(status, 503, "a full disk is said")
                begun = len(entries(program, '{app="full"}', first, first + 10**9))
                self.assertGreaterEqual(begun, 50 * len(acknowledged))
                # Neither a flush nor a deletion can be done; both say so, and nothing is lost by trying.
                self.assertEqual(program.raw("/flush", method="POST")[0] // 100, 5)
                self.assertEqual(write(n), 503)
                ballast.unlink()
                wait_until(lambda: write(n) == 204, 20, "it takes lines again")
                acknowledged.add(n)
                for n in range(2000, 2010):
                    self.assertEqual(write(n), 204)
                    acknowledged.add(n)
                self.assertEqual(program.raw("/flush", method="POST")[0], 204)
                program.kill()
                program.start()
                found = [(int(w[0]), int(w[1])) for w in (e[1].split() for e in entries(program, '{app="full"}', first, first + 10**9))]
                self.assertEqual(len(found), len(set(found)), "a line is there twice")
                self.assertEqual(set(found), {(n, i) for n in acknowledged for i in range(50)})
                self.assertEqual(program.stop(), 0)
                self.assertNotIn("panicked", program.log())
            finally:
                for p in scratch.programs:
                    p.kill()
                subprocess.run(["umount", "-l", data], check=True)

    def days(self, program, count):
        """Lines of as many days, each day a part of its own; returns the first's time."""
        first = time.time_ns() // DAY * DAY - 10 * DAY
        for day in range(count):
            lines = [(first + day * DAY + i * SECOND, f"day {day} line {i} {zlib.crc32(b'%d' % i):x}") for i in range(500)]
            self.assertEqual(push(program, {"app": "rot"}, lines), 204)
        self.assertEqual(program.raw("/flush", method="POST")[0], 204)
        return first

    def counts(self, program, first):
        """Lines a day."""
        counts = {}
        for _, line, _ in entries(program, '{app="rot"}', first, first + 10 * DAY):
            day = int(line.split()[1])
            counts[day] = counts.get(day, 0) + 1
        return counts

    def test_flipped_bits_cost_what_they_hit_and_one_line_in_the_log(self):
        with Scratch() as scratch:
            program = start(scratch)
            first = self.days(program, 4)
            self.assertEqual(program.stop(), 0)
            parts = sorted((scratch.folder / "reba-data/logs/parts").glob("*/*.part"))
            # Those after them are of today: Reba's own lines.
            self.assertEqual(len({part.parent for part in parts[:4]}), 4, parts)
            # The first day's rows; the second day's directory.
            for part, at in [(parts[0], 60), (parts[1], -30)]:
                bytes_ = bytearray(part.read_bytes())
                bytes_[at] ^= 0x10
                part.write_bytes(bytes_)
            before = len(program.log())
            program.start()
            for _ in range(3):
                self.assertEqual(self.counts(program, first), {2: 500, 3: 500})
            wait_until(lambda: metric(program, "reba_logs_blocks_damaged_total") == 1, 10, "the block is counted")
            self.assertEqual(metric(program, "reba_logs_parts_quarantined_total"), 1)
            errors = [line for line in program.log()[before:].splitlines() if "ERROR" in line]
            self.assertEqual(len(errors), 2, errors)
            # What was lost can be pushed again, and new lines come in.
            self.days(program, 1)
            self.assertEqual(self.counts(program, first), {0: 500, 2: 500, 3: 500})
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("panicked", program.log())

    def test_a_torn_end_of_the_log_costs_nothing_that_was_acknowledged(self):
        with Scratch() as scratch:
            program = start(scratch)
            first = time.time_ns()
            for round_, tail in enumerate([b"\x40\0\0\0half a frame", b"\xff" * 100, bytes(5000), None]):
                for n in range(20):
                    lines = [(first + round_ * 10**6 + n * 1000 + i, f"{round_} {n} {i}") for i in range(10)]
                    self.assertEqual(push(program, {"app": "torn"}, lines), 204)
                program.kill()
                last = max((scratch.folder / "reba-data/logs/wal").glob("*.log"))
                if tail:
                    with open(last, "ab") as file:
                        file.write(tail)
                else:
                    # As if the last batch had never been acknowledged: it is lost, and nothing else.
                    os.truncate(last, len(last.read_bytes().rstrip(b"\0")) - 3)
                program.start()
                found = [line for _, line, _ in entries(program, '{app="torn"}', first, first + 10**9)]
                want = {f"{r} {n} {i}" for r in range(round_ + 1) for n in range(20) for i in range(10)}
                if not tail:
                    want -= {f"{round_} 19 {i}" for i in range(10)}
                self.assertEqual(len(found), len(set(found)))
                self.assertEqual(set(found), want, f"round {round_}")
            self.assertEqual(program.stop(), 0)

    def test_a_clean_stop_and_start_are_quick_and_lose_nothing(self):
        with Scratch() as scratch:
            program = start(scratch)
            first = time.time_ns()
            for n in range(20):
                lines = [(first + n * 1000 + i, f'{{"n":{n},"i":{i},"level":"info"}}') for i in range(1000)]
                self.assertEqual(push(program, {"app": "quick", "stream": str(n)}, lines), 204)
            began = time.monotonic()
            self.assertEqual(program.stop(), 0)
            stopped = time.monotonic()
            program.start()
            started = time.monotonic()
            self.assertLess(stopped - began, 5)
            self.assertLess(started - stopped, 5)
            self.assertEqual(number(program, 'sum(count_over_time({app="quick"}[1h]))', time.time_ns()), 20_000)
            print(f"20,000 lines: stopped in {stopped - began:.2f} s, started in {started - stopped:.2f} s")


if __name__ == "__main__":
    unittest.main()
