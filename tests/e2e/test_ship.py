"""The shipper inside the started program: rotations, kills, a store that is away, reloads, its pages, pushed lines.

`REBA_LOG_KILLS` says how often it is killed (3; `make torture`: 300)."""

import gzip
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import threading
import time
import unittest

from harness import Http, Scratch, free_offset, free_port, wait_until
from test_exporters_redis import certificates
from test_hostile import resident_mb
from test_logs_kills import CONFIG as LOKI
from test_logs_kills import SEED, entries, metric, number
from test_loki import PUSH, protobuf

KILLS = int(os.environ.get("REBA_LOG_KILLS", "3"))
# Lines of 350 bytes.
BULK = 20_000 if KILLS < 10 else 1_000_000

# A line begins with its time, so that one that is read twice is the same entry twice. What was copied away and cut is read
# under both its names: it must not matter which one a line was found in.
SHIP = """
server: {{http_listen_port: 9080, grpc_listen_port: 0, enable_runtime_reload: true}}
positions: {{filename: {folder}/positions.yaml, sync_period: 200ms}}
clients:
- url: {url}
  batchwait: 100ms
  backoff_config: {{min_period: 50ms, max_period: 500ms}}
target_config: {{sync_period: 300ms}}
scrape_configs:
- job_name: files
  static_configs: [{{targets: [localhost], labels: {{job: files, __path__: '{folder}/logs/*.log*', __path_exclude__: '{folder}/logs/multi.*'}}}}]
  pipeline_stages: &stages
  - regex: {{expression: '^(?P<ns>\\d+) (?P<source>\\w+) '}}
  - timestamp: {{source: ns, format: UnixNs}}
  - labels: {{source:}}
  - labeldrop: [filename]
- job_name: multi
  static_configs: [{{targets: [localhost], labels: {{job: multi, __path__: '{folder}/logs/multi.log*'}}}}]
  pipeline_stages:
  - multiline: {{firstline: '^\\d{{19}} ', max_wait_time: 3s}}
  - regex: {{expression: '^(?P<ns>\\d+) (?P<source>\\w+) '}}
  - timestamp: {{source: ns, format: UnixNs}}
  - labels: {{source:}}
  - labeldrop: [filename]
- job_name: packed
  decompression: {{enabled: true, format: gz, initial_delay: 0s}}
  static_configs: [{{targets: [localhost], labels: {{job: packed, __path__: '{folder}/logs/*.gz'}}}}]
  pipeline_stages: *stages
"""


class Writer(threading.Thread):
    """A service that writes numbered lines to a file, and rotates it in its own way."""

    def __init__(self, folder, name, pause=0.004):
        super().__init__(daemon=True)
        self.folder, self.name, self.pause = folder, name, pause
        self.written, self.rotations, self.over = {}, 0, False
        self.path = folder / f"{name}.log"

    def entry(self, n):
        ns = time.time_ns()
        return f"{ns} {self.name} {n} something happened", ns

    def run(self):
        n, file = 0, open(self.path, "ab", buffering=0)
        while not self.over:
            text = ""
            for _ in range(20):
                entry, ns = self.entry(n)
                text += entry + "\n"
                self.written[n] = (ns, entry)
                n += 1
            file.write(text.encode())
            time.sleep(self.pause)
            if n % 2000 == 0:
                file = self.rotate(file)
                self.rotations += 1
        self.finish(file)
        file.close()

    def finish(self, file):
        """What it does at the end."""

    def rotate(self, file):
        """By renaming; the service goes on in the old file for a moment."""
        self.path.rename(f"{self.path}.{self.rotations}")
        text, ns = self.entry(-1 - self.rotations)
        file.write(f"{text}\n".encode())
        self.written[-1 - self.rotations] = (ns, text)
        file.close()
        return open(self.path, "ab", buffering=0)


class CopyTruncate(Writer):
    def rotate(self, file):
        beside = self.folder / "copying"
        shutil.copy(self.path, beside)
        beside.rename(f"{self.path}.{self.rotations}")
        os.truncate(self.path, 0)
        return file

    def finish(self, file):
        # Who did not look while the file was cut and grew beyond where it was read to, cannot know; every line is in a copy.
        self.rotate(file)
        self.rotations += 1


class Traces(Writer):
    def entry(self, n):
        ns = time.time_ns()
        return f"{ns} {self.name} {n} Error: no" + "".join(f"\n    at frame {i}" for i in range(n % 4)), ns


class Packed(Writer):
    """Writes whole compressed files."""

    def run(self):
        while not self.over:
            rows = [self.entry(self.rotations * 1000 + i) for i in range(1000)]
            beside = self.folder / "packing"
            beside.write_bytes(gzip.compress("".join(text + "\n" for text, _ in rows).encode()))
            beside.rename(self.folder / f"{self.name}-{self.rotations}.gz")
            self.written |= {self.rotations * 1000 + i: (ns, text) for i, (text, ns) in enumerate(rows)}
            self.rotations += 1
            time.sleep(0.4)


class Ship(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.logs = self.scratch.sub("logs")

    def configure(self, name, url="http://127.0.0.1:3100/loki/api/v1/push", text=SHIP):
        path = self.scratch.write(f"{name}-config/promtail/promtail-config.yml", text.format(folder=self.scratch.folder, url=url))
        self.scratch.write(f"{name}-config/loki/loki-config.yml", LOKI)
        return path

    def writers(self, first):
        kinds = [(Writer, "renamed"), (CopyTruncate, "copied"), (Traces, "multi"), (Packed, "packed")]
        self.all = [kind(self.logs, name) for kind, name in kinds]
        for w in self.all:
            w.start()
        return self.all

    def found(self, loki, w, first):
        query = f'{{source="{w.name}"}}'
        return [(ns, line) for ns, line, _ in entries(loki, query, first, time.time_ns())]

    def assertArrived(self, loki, w, first):
        """Every line, once, as it was written."""
        count = lambda: number(loki, f'sum(count_over_time({{source="{w.name}"}}[1h]))', time.time_ns()) >= len(w.written)
        try:
            wait_until(count, 60, f"{len(w.written)} lines of {w.name}")
        finally:
            found = self.found(loki, w, first)
            want = set(w.written.values())
            lost, strange = sorted(want - set(found)), sorted(set(found) - want)
            self.assertEqual((len(lost), lost[:3], len(strange), strange[:3]), (0, [], 0, []), w.name)
            self.assertEqual(len(found), len(want), f"lines of {w.name} are there twice")

    def test_every_line_arrives_once_through_rotations_and_kills(self):
        luck = random.Random(SEED)
        self.configure("reba")
        program = self.scratch.reba("--only", "loki,promtail", port=3100, ready="/ready")
        first = time.time_ns()
        writers = self.writers(first)
        for kill in range(KILLS):
            # With hundreds of kills files would become too many for a quick check.
            for w in writers:
                w.pause = 0.004 if KILLS < 10 else 0.2
            time.sleep(luck.uniform(0.1, 1.2))
            program.kill()
            time.sleep(luck.uniform(0, 0.3))
            program.start()
        time.sleep(1)
        for w in writers:
            w.over = True
            w.join()
        for w in writers:
            self.assertGreater(w.rotations, 0, w.name)
            self.assertArrived(program, w, first)
        self.assertEqual(program.stop(), 0)
        # A clean stop and start ships nothing again.
        program.start()
        before = metric(program, "reba_logs_duplicate_entries_total")
        time.sleep(1)
        self.assertEqual(metric(program, "reba_logs_duplicate_entries_total"), before)
        self.assertNotIn("panicked", program.log())
        print(f"{sum(len(w.written) for w in writers)} lines, {sum(w.rotations for w in writers)} rotations, {KILLS} kills")

    def test_a_store_elsewhere_may_be_away_and_the_shipper_killed(self):
        self.scratch.write("store-config/loki/loki-config.yml", LOKI)
        store = self.scratch.reba("--only", "loki", name="store", port=3100, ready="/ready")
        self.configure("ship", store.base + PUSH)
        ship = self.scratch.reba("--only", "promtail", name="ship", offset=free_offset(), port=9080, ready="/ready")
        first = time.time_ns()
        writers = self.writers(first)
        time.sleep(1)
        store.kill()
        # Megabytes for which there is nobody.
        bulk = Writer(self.logs, "bulk")
        with open(bulk.path, "ab") as file:
            for n in range(BULK):
                ns = first + n * 10_000
                line = f"{ns} bulk {n} {'x' * 300}"
                bulk.written[n] = (ns, line)
                file.write(f"{line}\n".encode())
        time.sleep(1)
        ship.kill()
        ship.start()
        time.sleep(1)
        idle = resident_mb(ship)
        store.start()
        time.sleep(0.5)
        store.kill()
        store.start()
        for w in writers:
            w.over = True
            w.join()
        for w in [*writers, bulk]:
            self.assertArrived(store, w, first)
        memory = resident_mb(ship)
        print(f"the shipper took {memory} MB at most, {idle} MB while nobody took anything")
        self.assertLess(memory, 250)
        self.assertGreater(metric(ship, "promtail_batch_retries_total"), 0)
        self.assertEqual(metric(ship, "promtail_dropped_entries_total"), 0)
        for program in (ship, store):
            self.assertEqual(program.stop(), 0)
            self.assertNotIn("panicked", program.log())

    def test_a_reload_changes_what_is_read_and_a_bad_one_changes_nothing(self):
        file = self.configure("reba")
        loki = self.scratch.reba("--only", "loki,promtail", port=3100, ready="/ready")
        pages = Http(f"http://127.0.0.1:{9080 + loki.offset}")
        first = time.time_ns()
        w = Writer(self.logs, "app")
        w.start()
        wait_until(lambda: self.found(loki, w, first), 10, "lines arrive")
        for page, words in [("/ready", "Ready"), ("/targets", "files"), ("/service-discovery", "app.log"), ("/config", "batchwait")]:
            status, _, body = pages.raw(page)
            self.assertEqual((status, words in body.decode()), (200, True), (page, body[:2000]))
        targets = json.loads(pages.raw("/targets", headers={"Accept": "application/json"})[2])["targets"]
        self.assertIn("files", {t["job"] for t in targets})
        page = pages.raw("/metrics")[2].decode()
        path = self.logs / "app.log"
        self.assertRegex(page, rf'promtail_read_lines_total{{[^}}]*path="{re.escape(str(path))}"[^}}]*}} [1-9]')
        # More than before is read, with another label, and no line twice.
        other = self.scratch.sub("other")
        (other / "late.txt").write_text(f"{time.time_ns()} late 0 x\n")
        good = file.read_text().replace("job: files,", "job: files, round: two,") + f"""- job_name: other
  static_configs: [{{labels: {{job: other, __path__: '{other}/*.txt'}}}}]
"""
        file.write_text(good)
        loki.process.send_signal(signal.SIGHUP)
        wait_until(lambda: number(loki, 'sum(count_over_time({job="other"}[1h]))', time.time_ns()) == 1, 10, "the other job")
        wait_until(lambda: number(loki, 'sum(count_over_time({round="two"}[1h]))', time.time_ns()) > 0, 10, "the new label")
        file.write_text(good.replace("url:", "nonsense: {}\n  url: no "))
        status, _, body = pages.raw("/reload", method="POST")
        self.assertEqual(status, 500, body)
        self.assertIn("promtail-config.yml", body.decode())
        self.assertIn("round", pages.raw("/config")[2].decode())
        time.sleep(0.5)
        w.over = True
        w.join()
        self.assertArrived(loki, w, first)
        file.unlink()
        self.assertEqual(loki.stop(), 0)

    def test_syslog_over_tls_hears_only_who_shows_a_certificate(self):
        pki, port = self.scratch.sub("pki"), free_port()
        certificates(pki)
        text = f"""
clients: [{{url: 'http://127.0.0.1:3100/loki/api/v1/push', batchwait: 100ms}}]
positions: {{filename: {self.scratch.folder}/positions.yaml}}
scrape_configs:
- job_name: syslog
  syslog:
    listen_address: 127.0.0.1:{port}
    labels: {{job: syslog}}
    tls_config: {{cert_file: {pki}/localhost.crt, key_file: {pki}/localhost.key, ca_file: {pki}/ca.crt}}
  relabel_configs: [{{source_labels: [__syslog_message_app_name], target_label: app}}]
"""
        self.scratch.write("reba-config/promtail/promtail-config.yml", text)
        self.scratch.write("reba-config/loki/loki-config.yml", LOKI)
        program = self.scratch.reba("--only", "loki,promtail", port=3100, ready="/ready")
        first = time.time_ns()

        def send(lines, *identity):
            context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
            if identity:
                context.load_cert_chain(*identity)
            with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall("".join(f"<34>1 - host {app} - - - {line}\n" for app, line in lines).encode())
                # With TLS 1.3 a refusal comes after the handshake.
                tls.settimeout(2)
                try:
                    return tls.recv(1)
                except TimeoutError:
                    return None
        identity = (pki / "client.crt", pki / "client.key")
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 20, "the receiver listens")
        with self.assertRaises(ssl.SSLError):
            send([("a", "from nobody")])
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"<34>1 - host a - - - without any TLS\n")
            plain.recv(100)
        send([("a", "one"), ("b", "x" * 20_000)], *identity)
        found = lambda: sorted((line[:3], labels.get("app")) for _, line, labels in entries(program, '{job="syslog"}', first, time.time_ns()))
        wait_until(lambda: len(found()) == 2, 20, "both messages")
        self.assertEqual(found(), [("one", "a"), ("xxx", "b")])

    def test_lines_can_be_pushed_through_a_pipeline(self):
        port = 3500
        self.configure("reba", text=SHIP + f"""
- job_name: pushed
  loki_push_api:
    server: {{{{http_listen_port: {port}, grpc_listen_port: 0}}}}
    labels: {{{{via: promtail}}}}
    use_incoming_timestamp: true
  pipeline_stages:
  - json: {{{{expressions: {{{{level: level}}}}}}}}
  - labels: {{{{level:}}}}
  - drop: {{{{source: level, value: debug}}}}
""")
        loki = self.scratch.reba("--only", "loki,promtail", port=3100, ready="/ready")
        door = Http(f"http://127.0.0.1:{port + loki.offset}")
        now = time.time_ns()
        rows = [(now + i, json.dumps({"level": level, "i": i}), {}) for i, level in enumerate(["info", "debug", "error"])]
        body = protobuf('{app="pushed"}', rows)
        self.assertEqual(door.raw(PUSH, data=body, headers={"Content-Type": "application/x-protobuf"})[0], 204)
        values = {"streams": [{"stream": {"app": "pushed"}, "values": [[str(now + 9), '{"level":"warn"}']]}]}
        status = door.raw(PUSH, data=json.dumps(values).encode(), headers={"Content-Type": "application/json"})[0]
        self.assertEqual(status, 204)
        look = lambda: sorted((ns, s["level"]) for ns, _, s in entries(loki, '{app="pushed", via="promtail"}', now, now + 99))
        wait_until(lambda: len(look()) == 3, 10, "they arrive")
        self.assertEqual(look(), [(now, "info"), (now + 2, "error"), (now + 9, "warn")])
        self.assertEqual(door.raw("/promtail/api/v1/raw", data=b"one\ntwo\n")[0], 204)
        raw = lambda: [line for _, line, _ in entries(loki, '{via="promtail", app=""}', now, time.time_ns())]
        wait_until(lambda: sorted(raw()) == ["one", "two"], 10, "raw lines arrive")
        self.assertEqual(door.raw(PUSH, data=b"{", headers={"Content-Type": "application/json"})[0], 400)
        self.assertEqual(loki.stop(), 0)


if __name__ == "__main__":
    unittest.main()
