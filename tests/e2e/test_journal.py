"""The shipper beside a real journald: an instance of its own, with a namespace, so that the journal of the host stays as it is."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import unittest

from harness import Scratch, free_offset, wait_until

JOURNALD = pathlib.Path("/lib/systemd/systemd-journald")

SHIP = """
positions: {{filename: {folder}/positions.yaml, sync_period: 100ms}}
clients: [{{url: 'http://127.0.0.1:3100/loki/api/v1/push', batchwait: 100ms}}]
scrape_configs:
- job_name: journal
  journal: {{path: {journal}, max_age: 12h, labels: {{job: journal}}}}
  relabel_configs:
  - {{source_labels: [__journal_syslog_identifier], target_label: ident}}
  - {{source_labels: [__journal_priority_keyword], target_label: level}}
"""


class Journald:
    """A journald with a namespace of its own, and what it keeps on disk."""

    def __init__(self, scratch):
        self.name = f"reba-test-{os.getpid()}"
        self.sockets = pathlib.Path(f"/run/systemd/journal.{self.name}")
        self.log = open(scratch.folder / "journald.log", "wb")

    def __enter__(self):
        self.process = subprocess.Popen([JOURNALD, self.name], stdout=self.log, stderr=self.log)
        wait_until((self.sockets / "dev-log").exists, 20, "journald listens")
        self.write("first", 6, ["here"])
        self.folder = wait_until(self.find, 20, "journald has written to its disk")
        return self

    def find(self):
        return next((path for root in ("/var/log/journal", "/run/log/journal")
                     for path in pathlib.Path(root).glob(f"*.{self.name}")), None)

    def write(self, ident, priority, lines):
        """As syslog's clients do."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(str(self.sockets / "dev-log"))
            for line in lines:
                s.send(f"<{8 + priority}>{ident}: {line}".encode())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for folder in (self.find(), pathlib.Path(f"/run/systemd/journal.{self.name}")):
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


@unittest.skipUnless(JOURNALD.exists() and shutil.which("journalctl") and os.geteuid() == 0,
                     "needs systemd's journald and journalctl, and root to start one")
class Journal(unittest.TestCase):
    def test_every_entry_of_a_real_journal_arrives_once_through_a_kill(self):
        with Scratch() as scratch, Journald(scratch) as journald:
            offset = free_offset()
            config = scratch.write("config/promtail/promtail-config.yml",
                                   SHIP.format(folder=scratch.folder, journal=journald.folder)).parents[1]
            arguments = ("--only", "loki,promtail")
            reba = scratch.reba(*arguments, config=config, offset=offset, port=3100, ready="/ready")
            journald.write("payments", 3, [f"before {n} äöü" for n in range(50)])
            wait_until(lambda: self.counts(reba).get(("payments", "error")) == 50, 60, "fifty entries are there")
            reba.kill()
            journald.write("payments", 4, [f"while it was away {n}" for n in range(50)])
            reba.start()
            journald.write("rides", 6, [f"after {n}" for n in range(50)])
            wait_until(lambda: self.counts(reba).get(("rides", "info")) == 50, 60, "the last ones are there")
            expected = {("first", "info"): 1, ("payments", "error"): 50, ("payments", "warning"): 50, ("rides", "info"): 50}
            # What journald says of itself is there, too.
            found = {key: n for key, n in self.counts(reba).items() if key[0] in ("first", "payments", "rides")}
            self.assertEqual(found, expected)
            answer = self.ask(reba, "query_range", '{ident="payments", level="error"} |= "äöü"')
            texts = {line for stream in answer["result"] for _, line, *_ in stream["values"]}
            self.assertEqual(texts, {f"before {n} äöü" for n in range(50)})

    def ask(self, reba, path, query):
        status, _, body = reba.raw(f"/loki/api/v1/{path}", {"query": query, "limit": 1000})
        self.assertEqual(status, 200, body)
        return json.loads(body)["data"]

    def counts(self, reba):
        answer = self.ask(reba, "query", 'sum by (ident, level) (count_over_time({job="journal"}[1h]))')
        return {(s["metric"].get("ident"), s["metric"].get("level")): int(s["value"][1]) for s in answer["result"]}
