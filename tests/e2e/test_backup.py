"""`reba backup` and `reba restore`: nothing acknowledged is missing, whether Reba runs, was stopped, or was killed."""

import base64
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import REBA, ROOT, Http, Scratch, reba, wait_until

PASSWORD = "backup password"
JSON = {"Content-Type": "application/json"}
START = int(time.time()) - 3000


class Load:
    """Writes numbered samples, lines and spans until it is stopped, and counts those that were acknowledged."""

    def __init__(self, server):
        self.server, self.acknowledged, self.failure = server, 0, None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def post(self, offset, path, body, headers):
        status, _, text = self.server(offset).raw(path, data=body, headers=headers)
        assert status in (200, 204), (path, status, text)

    def run(self):
        i = 0
        try:
            while not self.stopped.is_set():
                write(self.post, i)
                i += 1
                self.acknowledged = i
        except (AssertionError, OSError) as error:
            self.failure = error

    def stop(self):
        self.stopped.set()
        self.thread.join(30)
        assert self.failure is None, self.failure


def write(post, i):
    """One sample, one line, one span, each with the number in it."""
    post(9090, "/write?precision=s", f"backup_test value={i} {START + i}\n".encode(), {})
    line = {"streams": [{"stream": {"app": "backup"}, "values": [[str((START + i) * 10**9), f"line {i}"]]}]}
    post(3100, "/loki/api/v1/push", json.dumps(line).encode(), JSON)
    span = {"traceId": f"{i + 1:032x}", "spanId": f"{i + 1:016x}", "name": "call", "startTimeUnixNano": str((START + i) * 10**9),
            "endTimeUnixNano": str((START + i) * 10**9 + 1000)}
    spans = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}
    post(4318, "/v1/traces", json.dumps(spans).encode(), JSON)


class Backup(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        os.environ["GRAFANA_ADMIN_PASSWORD"] = PASSWORD
        self.addCleanup(os.environ.pop, "GRAFANA_ADMIN_PASSWORD")
        self.config = self.scratch.sub("config")

    def start(self, name="reba"):
        """All stores, and the state."""
        return self.scratch.reba("--only", "prometheus,loki,tempo,otlp,grafana", config=self.config, name=name)

    def at(self, program, port):
        return Http(f"http://127.0.0.1:{port + program.offset}")

    def load(self, program):
        return Load(lambda port: self.at(program, port))

    def data(self, name="reba"):
        return self.scratch.folder / f"{name}-data"

    def backup(self, to, name="reba", code=0):
        found, out, err = reba("backup", str(to), "--data", str(self.data(name)))
        self.assertEqual(found, code, out + err)
        return out + err

    def restore(self, source, to, code=0):
        found, out, err = reba("restore", str(source), "--data", str(to))
        self.assertEqual(found, code, out + err)
        return out + err

    def save_dashboard(self, program, title):
        who = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        body = json.dumps({"dashboard": {"uid": title, "title": title, "panels": []}}).encode()
        headers = {**JSON, "Authorization": f"Basic {who}"}
        wait_until(lambda: self.at(program, 3001).raw("/api/health")[0] == 200, 30, "the web app answers")
        status, _, text = self.at(program, 3001).raw("/api/dashboards/db", data=body, headers=headers)
        self.assertEqual(status, 200, text)
        return lambda program: self.at(program, 3001).raw(f"/api/dashboards/uid/{title}", headers=headers)[0] == 200

    def assert_has(self, program, n):
        """The first `n` of everything are there."""
        until = START + max(n - 1, 0)
        samples = f"count_over_time(backup_test_value[{n + 10}s])"
        self.assertGreaterEqual(program.value(f"sum({samples})", time=until) or 0, n)
        self.assertEqual(program.value("backup_test_value", time=until), n - 1)
        params = {"query": '{app="backup"}', "start": START - 1, "end": START + n, "limit": 5000}
        _, _, body = self.at(program, 3100).raw("/loki/api/v1/query_range", params)
        lines = {value[1] for stream in json.loads(body)["data"]["result"] for value in stream["values"]}
        self.assertLessEqual({f"line {i}" for i in range(min(n, 4000))}, lines)
        for i in {0, n // 2, n - 1}:
            self.assertEqual(self.at(program, 3200).raw(f"/api/traces/{i + 1:032x}")[0], 200, i)

    def test_what_was_acknowledged_before_a_backup_under_load_is_in_it(self):
        program = self.start()
        there = self.save_dashboard(program, "kept")
        load = self.load(program)
        wait_until(lambda: load.acknowledged > 30 or load.failure, 60, "there is something to back up")
        archive, folder = self.scratch.folder / "b.tar.zst", self.scratch.folder / "b"
        for target in (archive, folder):
            before = load.acknowledged
            said = self.backup(target)
            self.assertIn("of a running Reba", said)
            # It went on meanwhile.
            wait_until(lambda: load.acknowledged > before + 3 or load.failure, 30, "Reba takes more")
            with self.subTest(target=target.name):
                name = f"from-{target.name}"
                self.assertIn("restored", self.restore(target, self.data(name)))
                copy = self.start(name)
                self.assert_has(copy, before)
                self.assertTrue(there(copy))
                # It is a store like any other.
                write(lambda port, path, body, headers: self.assertIn(
                    self.at(copy, port).raw(path, data=body, headers=headers)[0], (200, 204)), 2_500)
                self.assertEqual(copy.stop(), 0)
        load.stop()
        # Nothing of the backups is left behind.
        self.assertEqual([p.name for p in self.data().glob("*/snapshots/*")], [])
        self.assertEqual([p.name for p in self.data().glob("backup-*.tmp")], [])
        # The folder can be checked without Reba.
        done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(oct(archive.stat().st_mode & 0o777), "0o600")

    def test_a_reba_that_was_killed_is_backed_up_too(self):
        program = self.start()
        load = self.load(program)
        wait_until(lambda: load.acknowledged > 20 or load.failure, 60, "there is something")
        before = load.acknowledged
        program.kill()
        load.stopped.set()
        load.thread.join(30)
        self.assertTrue(list(self.data().glob("backup-*.sock")), "a kill leaves the socket")
        self.assertIn("that nobody uses", self.backup(self.scratch.folder / "killed.tar.zst"))
        self.restore(self.scratch.folder / "killed.tar.zst", self.data("copy"))
        copy = self.start("copy")
        self.assert_has(copy, before)
        # It may have the ports that the original had.
        self.assertEqual(copy.stop(), 0)
        # The original goes on, with a socket of its own only.
        program.start()
        self.assertEqual(len(list(self.data().glob("backup-*.sock"))), 1)
        self.assert_has(program, before)
        self.assertEqual(program.stop(), 0, program.log()[-3000:])
        self.assertEqual(list(self.data().glob("backup-*")), [])
        self.assertIn("that nobody uses", self.backup(self.scratch.folder / "stopped.tar.zst"))

    def test_copies_for_a_backup_last_as_long_as_somebody_copies_them(self):
        program = self.start()
        load = self.load(program)
        wait_until(lambda: load.acknowledged > 5 or load.failure, 60, "there is something")
        load.stop()

        def ask():
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(next(self.data().glob("backup-*.sock"))))
            client.sendall(b"backup\n")
            return client, json.loads(client.makefile().readline())

        copies = lambda: list(self.data().glob("*/snapshots/backup-*"))
        client, answer = ask()
        self.assertEqual(sorted(p["at"] for p in answer["parts"]), ["logs", "metrics", "traces"])
        self.assertEqual(len(copies()), 3)
        other, refused = ask()
        self.assertIn("another backup", refused["error"])
        other.close()
        client.close()
        wait_until(lambda: not copies(), 20, "the copies are removed")
        # A kill leaves them; the next start does not.
        client, _ = ask()
        program.kill()
        self.assertEqual(len(copies()), 3)
        program.start()
        self.assertEqual(copies(), [])
        client.close()

    def test_nothing_is_overwritten_and_damage_is_found_before_anything_is_in_its_place(self):
        program = self.start()
        load = self.load(program)
        wait_until(lambda: load.acknowledged > 5 or load.failure, 60, "there is something")
        load.stop()
        program.stop()
        folder, archive = self.scratch.folder / "b", self.scratch.folder / "b.tar.zst"
        self.backup(folder)
        self.backup(archive)
        self.assertIn("overwrites nothing", self.backup(archive, code=1))
        self.assertIn("is not empty", self.restore(archive, self.data(), code=1))
        self.assertIn("whole and as it was", reba("restore", str(archive), "--check")[1])
        # `tar` reads it as well.
        names = subprocess.run(["tar", "--zstd", "-tf", str(archive)], capture_output=True, text=True)
        if names.returncode == 0:
            self.assertIn("SHA256SUMS", names.stdout)

        target = self.scratch.folder / "empty"
        victim = next(p for p in sorted(folder.glob("logs/**/*.part")))
        text = bytearray(victim.read_bytes())
        text[len(text) // 2] ^= 1
        victim.write_bytes(text)
        self.assertIn(f"{victim.relative_to(folder)} is not as it was", self.restore(folder, target, code=1))
        archive.write_bytes(archive.read_bytes()[:-100])
        self.restore(archive, target, code=1)
        self.assertEqual(list(target.iterdir()), [])
        for arguments, words in [
            (("backup", str(self.scratch.folder / "x"), "--data", "/nonexistent"), "no data folder"),
            (("restore", "/nonexistent"), "no such backup"),
            (("restore", str(self.config), "--data", str(target)), "no backup, or not a whole one"),
        ]:
            code, out, err = reba(*arguments)
            self.assertEqual((code, words in err), (1, True), out + err)
        # A restore that was killed half-way is not taken for data.
        (target / "restore.tmp").mkdir()
        code, _, err = reba("run", "--only", "prometheus", "--config", str(self.config), "--data", str(target), "--port-offset", "11111")
        self.assertEqual((code, "did not end" in err), (1, True), err)

    def test_a_restore_killed_at_any_moment_is_finished_by_the_next_one(self):
        program = self.start()
        load = self.load(program)
        wait_until(lambda: load.acknowledged > 20 or load.failure, 60, "there is something")
        load.stop()
        n = load.acknowledged
        program.stop()
        archive, target = self.scratch.folder / "b.tar.zst", self.data("copy")
        self.backup(archive)
        for delay in (0.005, 0.02, 0.05, 0.1):
            command = [str(REBA), "restore", str(archive), "--data", str(target)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if target.is_dir() and not any(p.name.startswith("restore.") for p in target.iterdir()) and any(target.iterdir()):
                break
        else:
            self.restore(archive, target)
        self.assert_has(self.start("copy"), n)


if __name__ == "__main__":
    unittest.main()
