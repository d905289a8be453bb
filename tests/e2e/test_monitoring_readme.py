"""monitoring/README.md: every command in it is run, every query asked, against `reba demo` on a copy of the folder."""

import os
import re
import shutil
import subprocess
import time
import unittest

from harness import REBA, ROOT, Http, Scratch, wait_until

README = (ROOT / "monitoring/README.md").read_text()

def blocks(language):
    """The fenced blocks of a language, with the number of their first line."""
    found = []
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", README, re.M | re.S):
        found.append((README.count("\n", 0, match.start()) + 2, match.group(1)))
    return found


def lines(language):
    """Lines that are no comments, with their numbers."""
    for first, block in blocks(language):
        for i, line in enumerate(block.splitlines()):
            if line.strip() and not line.startswith("#"):
                yield first + i, line.strip()


class Readme(unittest.TestCase):
    prometheus = None

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.__exit__)
        cls.folder = cls.scratch.folder / "monitoring"
        shutil.copytree(ROOT / "monitoring", cls.folder, ignore=shutil.ignore_patterns(".env"))
        done = cls.run_in_shell("./setup.sh --yes")
        assert done.returncode == 0, done.stdout + done.stderr
        cls.password = re.search(r"^GRAFANA_ADMIN_PASSWORD=(\w+)$", (cls.folder / ".env").read_text(), re.M).group(1)
        cls.prometheus = cls.scratch.reba(command="demo", config=cls.folder)
        cls.offset = cls.prometheus.offset
        (cls.scratch.sub("bin") / "reba").symlink_to(REBA.resolve())
        wait_until(lambda: cls.prometheus.value("count(up == 1)"), 60, "targets are scraped")

    @classmethod
    def run_in_shell(cls, command, **variables):
        """A command as a person types it, in the folder."""
        path = f"{cls.scratch.folder}/bin:{os.environ['PATH']}"
        # Every command finds the demo, whose ports are moved, by this one variable.
        moved = {"REBA_PORT_OFFSET": str(cls.offset)} if cls.prometheus else {}
        env = {**os.environ, "PATH": path, "REBA_BIN": str(REBA.resolve()), **moved, **variables}
        env.pop("GRAFANA_ADMIN_PASSWORD", None) if "GRAFANA_ADMIN_PASSWORD" not in variables else None
        return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cls.folder, env=env, capture_output=True, text=True, timeout=120)

    def at(self, port):
        return Http(f"http://127.0.0.1:{port + self.offset}")

    def test_every_command_does_what_it_says(self):
        backups = self.scratch.sub("backups")
        commands = list(lines("sh"))
        self.assertGreater(len(commands), 15)
        for number, command in commands:
            moved = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{int(m.group(1)) + self.offset}", command)
            with self.subTest(line=number, command=command):
                done = self.run_in_shell(moved, BACKUPS=str(backups), DATA=str(self.scratch.folder / "reba-data"),
                                         GRAFANA_ADMIN_PASSWORD=self.password)
                self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])

    def test_every_query_is_one(self):
        asked = 0
        now = int(time.time())
        paths = {"promql": (9090, "/api/v1/query", "query"), "logql": (3100, "/loki/api/v1/query_range", "query"),
                 "traceql": (3200, "/api/search", "q")}
        for language, (port, path, name) in paths.items():
            for number, query in lines(language):
                # A comment of PromQL may stand behind a query.
                with self.subTest(line=number, query=query):
                    form = {name: query} if language == "promql" else {name: query, "start": now - 600, "end": now}
                    status, _, body = self.at(port).raw(path, form)
                    self.assertEqual(status, 200, body[:500])
                    asked += 1
        self.assertGreater(asked, 50)

    def test_metrics_that_it_speaks_of_exist(self):
        """Of what the demo shows; names of host, PostgreSQL and Redis are those of their exporters."""
        known = set(self.prometheus.data("label/__name__/values"))
        for name in ["http_requests_total", "active_rides", "payment_amount_usd_sum", "whatsapp_delivery_failures_total",
                     "reba_tsdb_disk_bytes", "reba_logs_part_bytes", "reba_logs_wal_bytes", "node_filesystem_avail_bytes"]:
            self.assertIn(name, README)
            wait_until(lambda: name in known or name in self.prometheus.data("label/__name__/values"), 30, f"{name} is there")


class Setup(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.folder = self.scratch.folder / "monitoring"
        shutil.copytree(ROOT / "monitoring", self.folder, ignore=shutil.ignore_patterns(".env"))
        self.env = self.folder / ".env"

    def run_setup(self, *arguments, typed=""):
        env = {**os.environ, "REBA_BIN": str(REBA.resolve())}
        done = subprocess.run(["./setup.sh", *arguments], cwd=self.folder, env=env, input=typed, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_answers_go_to_env_and_are_read_back(self):
        typed = "p w$&|x\n\nops@example.com\n\nhttps://hooks.slack.example/x?y=1&z\n"
        code, out = self.run_setup(typed=typed)
        self.assertEqual((code, "all right" in out), (0, True), out)
        self.assertNotIn("p w$&|x", out)
        text = self.env.read_text()
        self.assertIn("GRAFANA_ADMIN_PASSWORD='p w$&|x'\n", text)
        self.assertIn("ALERT_EMAIL_TO=ops@example.com\n", text)
        self.assertEqual(oct(self.env.stat().st_mode & 0o777), "0o600")
        # A second run changes nothing.
        self.assertEqual(self.run_setup("--yes")[0], 0)
        self.assertEqual(self.env.read_text(), text)
        self.assertEqual(sorted(p.name for p in self.folder.glob(".env*")), [".env", ".env.example"])

    def test_what_cannot_be_written_down_is_refused_and_nothing_is_left(self):
        for arguments, typed in [((), "it's\n"), (("--nope",), "")]:
            code, out = self.run_setup(*arguments, typed=typed)
            self.assertEqual(code, 2, out)
            self.assertEqual([p.name for p in self.folder.glob(".env*")], [".env.example"])


if __name__ == "__main__":
    unittest.main()
