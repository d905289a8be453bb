"""SIGKILL at random moments, under every load there is: what was acknowledged is there, once, and Reba starts by itself.

`REBA_KILLS` says how often (20; `make torture`: 1,000), `REBA_SEED` when."""

import http.client
import http.server
import json
import os
import pathlib
import random
import struct
import threading
import time
import unittest

from harness import Scratch, wait_until
from test_api import Page
from test_hostile import PROTOBUF, field, now_ms, series, snappy, varint

KILLS = int(os.environ.get("REBA_KILLS", "20"))
SEED = int(os.environ.get("REBA_SEED", "7"))
SERIES = 20


def histogram(labels, t, count):
    """A `TimeSeries` with a native histogram of `count` zeros."""
    fields = varint(1 << 3) + varint(count) + b"\x19" + struct.pack("<d", 0.0) + b"\x29" + struct.pack("<d", 0.001)
    fields += varint(6 << 3) + varint(count) + varint(15 << 3) + varint(t)
    return field(1, b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels) + field(4, fields))


class Writer(threading.Thread):
    """Sends batch after batch, each with its number as value, one millisecond of its own for each; never one twice."""

    def __init__(self, program, name, moment, late):
        super().__init__(daemon=True)
        self.program, self.name, self.moment, self.late = program, name, moment, late
        self.sent, self.acknowledged, self.times = 0, [], {}
        self.over, self.go = False, threading.Event()
        self.answers = {}

    def batch(self, n, t):
        of = lambda **labels: [("__name__", "n"), *sorted({**labels, "w": self.name}.items())]
        body = b"".join(series(of(i=str(i)), [(t, float(n))]) for i in range(SERIES))
        if self.late and n % 5 == 0:
            # Older than the sample before, by its own odd milliseconds.
            body += series(of(i="late"), [(t - 600_000 if n % 10 else t, float(n))])
        return snappy(body + histogram(of(i="h"), t, n + 1))

    def run(self):
        while not self.over:
            self.go.wait(1)
            if not self.go.is_set():
                continue
            n, t = self.sent, self.moment()
            self.sent += 1
            self.times[n] = t
            try:
                status = self.program.raw("/api/v1/write", data=self.batch(n, t), headers=PROTOBUF)[0]
            except (OSError, http.client.HTTPException):
                self.go.wait(0.01)
                continue
            self.answers[status] = self.answers.get(status, 0) + 1
            if status == 204:
                self.acknowledged.append(n)

    def check(self, program, since):
        """All that was acknowledged from the batch `since` on is there, and nothing that was not sent."""
        want = [n for n in self.acknowledged if n >= since]
        if not want:
            return
        first, last = self.times[min(want)], self.times[self.sent - 1]
        data = {"query": f'n{{w="{self.name}"}}[{last - first + 1}ms]', "time": str(last / 1000)}
        answer = json.loads(program.raw("/api/v1/query", data)[2])
        assert answer["status"] == "success", answer
        found = answer["data"]["result"]
        found = {s["metric"]["i"]: s for s in found}
        assert len(found) >= SERIES + 1, sorted(found)
        for i, one in found.items():
            if i == "late":
                continue
            samples = [(t, float(h["count"]) - 1) for t, h in one["histograms"]] if i == "h" else one["values"]
            times = [t for t, _ in samples]
            assert times == sorted(set(times)), f"{i}: a sample is there twice"
            got = {int(float(v)): round(t * 1000) for t, v in samples}
            lost = [n for n in want if n not in got]
            assert not lost, f"w={self.name} i={i}: {len(lost)} of {len(want)} acknowledged batches are lost: {lost[:10]}"
            wrong = {n: t for n, t in got.items() if self.times.get(n) != t}
            assert not wrong, f"w={self.name} i={i}: samples that were never sent: {wrong}"
        if self.late:
            early = {"query": f'n{{w="{self.name}",i="late"}}[{last - first + 600_001}ms]', "time": data["time"]}
            found = json.loads(program.raw("/api/v1/query", early)[2])["data"]["result"]
            got = {int(float(v)) for s in found for _, v in s["values"]}
            lost = [n for n in want if n % 5 == 0 and n not in got]
            assert not lost, f"w={self.name}: {len(lost)} late samples are lost: {lost[:10]}"


class Kills(unittest.TestCase):
    def torture(self, scratch, program, writers, between=None):
        """Kills and starts again; everything is checked at the end, what is new after every start."""
        luck = random.Random(SEED)
        began = time.monotonic()
        for w in writers:
            w.start()
        for kill in range(KILLS):
            since = [w.sent for w in writers]
            for w in writers:
                w.go.set()
            # Maintenance comes a second after the start: half of the kills hit it.
            time.sleep(luck.uniform(*luck.choice([(0.01, 0.3), (0.85, 1.15)])))
            if between:
                threading.Thread(target=between, args=(luck.random(),), daemon=True).start()
                time.sleep(luck.uniform(0, 0.05))
            program.kill()
            for w in writers:
                w.go.clear()
            program.start()
            for w, n in zip(writers, since):
                w.check(program, n)
            if kill % 100 == 99:
                print(f"{kill + 1} kills, {sum(len(w.acknowledged) for w in writers)} batches acknowledged, "
                      f"{time.monotonic() - began:.0f} s", flush=True)
        for w in writers:
            w.go.set()
        time.sleep(0.5)
        for w in writers:
            w.over = True
            w.join(30)
        for w in writers:
            # 503: it was starting.
            self.assertLessEqual(set(w.answers), {204, 503}, w.answers)
            self.assertGreater(len(w.acknowledged), KILLS)
            # In parts, as no query may fetch as much as it likes.
            for start in range(0, w.sent, 5000):
                part = Writer(program, w.name, None, w.late)
                part.acknowledged = [n for n in w.acknowledged if start <= n < start + 5000]
                part.times, part.sent = w.times, min(start + 5000, w.sent)
                part.check(program, start)
        self.assertNotIn("panicked", program.log())

    def test_under_remote_write_through_days_of_data_nothing_acknowledged_is_lost(self):
        # Time runs so fast that blocks are written, merged and checkpointed all the while.
        with Scratch() as scratch:
            config = scratch.write("conf/prometheus.yml", "storage: {tsdb: {out_of_order_time_window: 30m}}\n").parent
            scratch.write("conf/reba.yml", "metrics: {retention: 5y}\n")
            program = scratch.reba(config=config)
            # A day is 4,300 batches; a kill comes after a thousand or so. What is ahead of the clock would be refused.
            lock, at = threading.Lock(), [now_ms() - (30 + KILLS) * 86_400_000]

            def moment():
                with lock:
                    at[0] += 20_007
                    return at[0]

            self.torture(scratch, program, [Writer(program, str(i), moment, i == 1) for i in range(2)])
            self.assertGreater(self.metric(program, "prometheus_tsdb_blocks_loaded"), 0, "blocks were written meanwhile")

    def metric(self, program, name):
        lines = program.raw("/metrics")[2].decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def test_with_scrapes_rules_sending_snapshots_and_deletion_all_at_once(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Scratch() as scratch:
            receiver = scratch.reba(name="receiver")
            scratch.write("conf/prometheus.yml", f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: page, static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]}}]
remote_write:
- url: {receiver.base}/api/v1/write
  send_native_histograms: true
  write_relabel_configs: [{{source_labels: [i], regex: '0|h', action: keep}}]
  queue_config: {{batch_send_deadline: 100ms, max_backoff: 200ms}}
""")
            scratch.write("conf/rules.yml", "groups: [{name: g, rules: [{record: r, expr: sum(up)}, {alert: A, expr: up}]}]\n")
            scratch.write("conf/reba.yml", "web: {admin_api: true}\n")
            program = scratch.reba(config=scratch.folder / "conf")
            lock, at = threading.Lock(), [0]

            def moment():
                # Every batch has a millisecond of its own.
                with lock:
                    at[0] = max(at[0] + 1, now_ms())
                    return at[0]

            def between(luck):
                calls = [("snapshot", {}), ("delete_series", {"match[]": "up"}), ("clean_tombstones", {}), ("snapshot", {"skip_head": "true"})]
                path, params = calls[int(luck * len(calls))]
                try:
                    program.raw(f"/api/v1/admin/tsdb/{path}", params, method="POST")
                except (OSError, http.client.HTTPException):
                    pass

            writers = [Writer(program, str(i), moment, False) for i in range(2)]
            try:
                self.torture(scratch, program, writers, between)
                for w in writers:
                    wait_until(lambda: self.arrived(receiver, w), 60, "all was sent on")
                wait_until(lambda: (program.value("r") or 0) >= 1, 30, "rules are evaluated")
            finally:
                server.shutdown()
                server.server_close()

    def arrived(self, receiver, w):
        """Everything acknowledged came to the receiver, too."""
        for i in ["0", "h"]:
            got = set()
            for start in range(0, w.sent, 5000):
                last = self.last_of(w, start)
                query = {"query": f'n{{w="{w.name}",i="{i}"}}[{last - w.times[start] + 1}ms]', "time": str(last / 1000)}
                for one in json.loads(receiver.raw("/api/v1/query", query)[2])["data"]["result"]:
                    got |= {int(float(h["count"])) - 1 for _, h in one.get("histograms", [])}
                    got |= {int(float(v)) for _, v in one.get("values", [])}
            lost = [n for n in w.acknowledged if n not in got]
            assert not lost, f"w={w.name} i={i}: {len(lost)} of {len(w.acknowledged)} were not sent on: {lost[:10]}"
        return True

    @staticmethod
    def last_of(w, start):
        return w.times[min(start + 5000, w.sent) - 1]


if __name__ == "__main__":
    unittest.main()
