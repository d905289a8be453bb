"""`reba tail` and `reba query logql` against the started program, and the demo's logs from file to screen."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import threading
import time
import unittest

from harness import REBA, ROOT, Http, Scratch, reba, wait_until

SECOND = 1_000_000_000


class Loki(Http):
    """The log store of a started Reba."""

    def __init__(self, program):
        super().__init__(f"http://127.0.0.1:{3100 + program.offset}")

    def push(self, labels, lines):
        """Stores (nanoseconds, line) pairs."""
        values = [[str(ns), line] for ns, line in lines]
        body = json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()
        status, _, answer = self.raw("/loki/api/v1/push", data=body, headers={"Content-Type": "application/json"})
        assert status == 204, (status, answer)


def store(scratch):
    """A Reba with a log store that asks for no tenant."""
    scratch.write("config/loki/loki-config.yml", "auth_enabled: false\n")
    return scratch.reba("--only", "loki,prometheus", config=scratch.folder / "config")


class Tail:
    """A `reba tail` that runs; its lines as they come."""

    def __init__(self, *arguments):
        self.lines, self.errors = [], []
        self.process = subprocess.Popen([str(REBA), "tail", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, cwd=ROOT)
        for stream, kept in [(self.process.stdout, self.lines), (self.process.stderr, self.errors)]:
            threading.Thread(target=self.collect, args=(stream, kept), daemon=True).start()

    @staticmethod
    def collect(stream, kept):
        for line in stream:
            kept.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.reba = store(cls.scratch)
        cls.loki = Loki(cls.reba)
        wait_until(lambda: cls.loki.raw("/ready")[0] == 200, 30, "the log store is ready")
        cls.now = time.time_ns() - 600 * SECOND

    @classmethod
    def tearDownClass(cls):
        cls.scratch.__exit__()

    def store(self, case, lines, **labels):
        """Lines a second apart under a label of their own; returns their selector."""
        self.loki.push({"case": case, **labels}, [(self.now + i * SECOND, line) for i, line in enumerate(lines)])
        return f'{{case="{case}"}}'

    def ask(self, *arguments):
        code, out, err = reba(*arguments, "--url", self.loki.base)
        return code, out, err

    def good(self, *arguments):
        code, out, err = self.ask(*arguments)
        self.assertEqual(code, 0, err)
        return out

    def test_the_last_lines_are_shown_oldest_first(self):
        selector = self.store("last", [f"line {n}" for n in range(30)])
        out = self.good("tail", selector, "--no-follow", "--output", "raw", "-n", "5")
        self.assertEqual(out.splitlines(), [f"line {n}" for n in range(25, 30)])
        out = self.good("tail", f'{selector} |= "line 1"', "--no-follow", "--output", "raw")
        self.assertEqual(out.splitlines(), ["line 1"] + [f"line {n}" for n in range(10, 20)])
        out = self.good("tail", selector, "--no-follow", "--since", "1m")
        self.assertEqual(out, "", "nothing is that young")

    def test_a_word_is_a_service_and_json_lines_are_pretty(self):
        line = {"level": 50, "time": 1, "service": "cli-service", "amount": 12.5, "err": {"stack": "E: x\n    at y"}, "msg": "no"}
        self.store("pretty", [json.dumps(line)], service="cli-service")
        out = self.good("tail", "cli-service", "--no-follow")
        self.assertRegex(out, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR cli-service no  amount=12\.5\n")
        self.assertIn("\n    err.stack: E: x\n        at y\n", out)
        self.assertNotIn("\x1b", out)
        out = self.good("tail", "cli-service", "--no-follow", "--output", "jsonl")
        told = json.loads(out)
        self.assertEqual((told["line"], told["labels"]["service"]), (json.dumps(line), "cli-service"))
        out = self.good("tail", "cli-service", "--no-follow", "--output", "table")
        self.assertRegex(out.splitlines()[1], r" error  cli-service +\{")

    def test_times_are_in_the_users_zone(self):
        selector = self.store("zone", ["x"])
        shown = []
        for zone in ["UTC", "Africa/Kigali"]:
            done = subprocess.run([str(REBA), "tail", selector, "--no-follow", "--url", self.loki.base], capture_output=True,
                                  text=True, env={**os.environ, "TZ": zone}, timeout=30)
            shown.append(int(done.stdout[11:13]))
        self.assertEqual((shown[1] - shown[0]) % 24, 2)

    def test_context_stands_around_matches_of_the_same_stream(self):
        selector = self.store("context", [f"line {n}" for n in range(20)], stream="a")
        self.store("context", ["elsewhere"] * 20, stream="b")
        out = self.good("tail", f'{selector} |~ "line (5|7|15)$"', "--no-follow", "-C", "2", "--output", "raw")
        self.assertEqual(out.splitlines(), [f"line {n}" for n in range(3, 10)] + ["--"] + [f"line {n}" for n in range(13, 18)])
        out = self.good("tail", f'{selector} |= "line 15"', "--no-follow", "-C", "1")
        self.assertEqual([line[0] for line in out.splitlines()], [" ", ">", " "])

    def test_new_lines_come_within_a_second_after_those_of_before(self):
        selector = self.store("follow", ["before 0", "before 1"])
        with Tail(selector, "--url", self.loki.base, "--output", "raw") as tail:
            wait_until(lambda: tail.lines == ["before 0", "before 1"], 10, "history")
            for n in range(3):
                self.loki.push({"case": "follow"}, [(time.time_ns(), f"new {n}")])
                began = time.monotonic()
                wait_until(lambda: tail.lines[-1] == f"new {n}", 5, "a new line")
                self.assertLess(time.monotonic() - began, 1.0)
            self.assertEqual(tail.interrupt(), 0)
            self.assertEqual(tail.lines, ["before 0", "before 1", "new 0", "new 1", "new 2"])
            self.assertEqual(tail.errors, [])

    def test_numbers_and_lines_are_answered_in_every_form(self):
        selector = self.store("forms", [f'{{"n":{n},"k":"{"ab"[n % 2]}"}}' for n in range(10)])
        out = self.good("query", "logql", f"{selector} | json", "--output", "csv")
        self.assertEqual(len(out.splitlines()), 11)
        out = self.good("query", "logql", selector, "--output", "raw", "--direction", "forward", "-n", "3")
        self.assertEqual([json.loads(line)["n"] for line in out.splitlines()], [0, 1, 2])
        out = self.good("query", "logql", selector, "--output", "json")
        self.assertEqual(json.loads(out)["data"]["resultType"], "streams")
        code, out, err = self.ask("query", "logql", f'{selector} | json | k="b"')
        self.assertEqual((code, len(out.splitlines())), (0, 6), err)
        self.assertIn('case="forms"', err)
        count = f"sum by (k) (count_over_time({selector} | json [1h]))"
        out = self.good("query", "logql", count)
        self.assertRegex(out, r'\{k="a"\} +5 ')
        self.assertEqual(self.good("query", "logql", count, "--output", "raw"), "5\n5\n")
        self.assertRegex(self.good("query", "logql", count, "--since", "1h"), "[▁-█]{20}")
        points = [json.loads(p) for p in self.good("query", "logql", count, "--since", "1h", "--output", "jsonl").splitlines()]
        self.assertEqual({p["series"] for p in points}, {'{k="a"}', '{k="b"}'})

    def test_more_lines_than_the_server_gives_at_once_are_fetched(self):
        lines = [(self.now + n // 7, f"{n}") for n in range(6500)]
        for i in range(0, len(lines), 2000):
            self.loki.push({"case": "many"}, lines[i:i + 2000])
        for direction in ["forward", "backward"]:
            out = self.good("query", "logql", '{case="many"}', "-n", "10000", "--output", "raw", "--direction", direction)
            self.assertEqual(sorted(map(int, out.splitlines())), list(range(6500)))

    def test_what_is_wrong_is_said(self):
        code, out, err = self.ask("query", "logql", '{a="b"')
        self.assertEqual((code, out), (1, ""))
        self.assertIn("parse error", err)
        code, _, err = self.ask("tail", '{a="b"')
        self.assertEqual(code, 1)
        self.assertIn("parse error", err)
        code, _, err = self.ask("tail", 'count_over_time({a="b"}[1m])')
        self.assertEqual(code, 1, err)
        code, _, err = reba("tail", "x", "--url", "http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("no answer from http://127.0.0.1:1", err)
        self.assertEqual(self.ask("tail", "x", "--no-such-flag")[0], 2)
        self.assertEqual(self.ask("query", "logql", '{a="b"}', "--output", "plot")[0], 1)

    def test_a_terminal_gets_colours_and_nothing_to_obey(self):
        selector = self.store("terminal", ["\x1b]0;gotcha\x07\x1b[2Jboo"], level="error")
        for no_color, coloured in [("", True), ("1", False)]:
            out = self.on_a_terminal("tail", selector, "--no-follow", "--url", self.loki.base, NO_COLOR=no_color, TERM="xterm")
            self.assertIn("\\x1b]0;gotcha\\x07\\x1b[2Jboo", out)
            self.assertEqual("\x1b[31mERROR" in out, coloured)
            self.assertNotIn("\x1b]", out)
        raw = self.on_a_terminal("tail", selector, "--no-follow", "--output", "raw", "--url", self.loki.base)
        self.assertNotIn("\x1b", raw)
        self.assertIn("\x1b]0;gotcha", self.good("tail", selector, "--no-follow", "--output", "raw"), "a program gets all")

    def on_a_terminal(self, *arguments, **environment):
        master, slave = pty.openpty()
        process = subprocess.Popen([str(REBA), *arguments], stdout=slave, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **environment})
        os.close(slave)
        out = b""
        while select.select([master], [], [], 20)[0]:
            try:
                out += os.read(master, 65536)
            except OSError:
                break
        self.assertEqual(process.wait(20), 0)
        os.close(master)
        return out.decode()

    def test_a_reader_who_leaves_is_no_error(self):
        selector = self.store("leave", [f"line {n}" for n in range(500)])
        for words in [f"tail '{selector}' --no-follow -n 500", f"query logql '{selector}' -n 500"]:
            command = f"{REBA} {words} --url {self.loki.base} | head -1; echo ${{PIPESTATUS[0]}}"
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
            self.assertEqual((done.stdout.splitlines()[-1], done.stderr.count("panic")), ("0", 0), done.stderr)


class Interrupted(unittest.TestCase):
    def test_no_line_is_lost_or_repeated_while_the_server_restarts(self):
        with Scratch() as scratch:
            program = store(scratch)
            loki = Loki(program)
            wait_until(lambda: loki.raw("/ready")[0] == 200, 30, "ready")
            sent = []

            def send(count):
                for _ in range(count):
                    loki.push({"case": "restart"}, [(time.time_ns(), f"line {len(sent)}")])
                    sent.append(f"line {len(sent)}")

            send(5)
            with Tail('{case="restart"}', "--url", loki.base, "--output", "raw") as tail:
                wait_until(lambda: tail.lines == sent, 10, "history")
                send(20)
                for _ in range(2):
                    program.kill()
                    program.start()
                    # Some lines before `tail` is back, some after.
                    send(30)
                    wait_until(lambda: len(tail.lines) >= len(sent), 20, "the gap is closed")
                    send(10)
                wait_until(lambda: len(tail.lines) >= len(sent), 20, "all lines")
                time.sleep(0.5)
                self.assertEqual(tail.lines, sent)
                self.assertEqual(tail.interrupt(), 0)
                self.assertTrue(any("connected again" in line for line in tail.errors), tail.errors)


class Demo(unittest.TestCase):
    def test_the_fleets_lines_reach_the_screen_and_an_incident_is_seen_in_them(self):
        with Scratch() as scratch:
            config = scratch.folder / "monitoring"
            shutil.copytree(ROOT / "monitoring", config)
            program = scratch.reba("--speed", "10", command="demo", config=config)
            url = ("--url", f"http://127.0.0.1:{3100 + program.offset}")

            def count(query):
                code, out, err = reba("query", "logql", f"sum(count_over_time({query} [1h]))", "--output", "raw", *url)
                assert code == 0, err
                return float(out or 0)

            def services():
                code, out, err = reba("query", "logql", 'count by (service) (count_over_time({job="services"} [1h]))', "--output",
                                      "jsonl", *url)
                assert code == 0, err
                return len(out.splitlines()) == 13
            wait_until(services, 60, "lines of 13 services")
            # The two that write for people have levels and whole stack traces.
            wait_until(lambda: count('{service="voice-bridge", level="info"}') > 5, 60, "plain lines have a level")

            code, _, err = reba("demo", "incident", "--port-offset", str(program.offset), "start", "payments-down")
            self.assertEqual(code, 0, err)
            failed = '{service="wallet-service", level="error"} | json | error_code="provider_unavailable"'
            wait_until(lambda: count(failed) > 10, 60, "payments fail in the logs")
            code, _, err = reba("demo", "incident", "--port-offset", str(program.offset), "stop", "payments-down")
            self.assertEqual(code, 0, err)
            # Once both have been collected, there are as many lines as the metric has counted.
            counted = 'sum(payment_failures_total{error_code="provider_unavailable"})'
            wait_until(lambda: count(failed) == program.value(counted), 60, "lines and metrics agree")

            code, out, err = reba("tail", failed, "--no-follow", "-n", "1", *url)
            self.assertEqual(code, 0, err)
            self.assertIn("ERROR wallet-service payment failed", out)
            self.assertIn("    at ProviderClient.request", out)
            # One trace leads through the services.
            code, out, err = reba("tail", failed, "--no-follow", "-n", "1", "--output", "jsonl", *url)
            trace = json.loads(json.loads(out)["line"])["trace_id"]
            wait_until(lambda: count(f'{{job="services"}} | trace_id="{trace}"') >= 2, 30, "lines of the trace")
            wait_until(lambda: count(f'{{trace_id="{trace}"}}') >= 2, 30, "a selector finds the trace")
            # No stream a trace: levels of 13 services.
            code, out, err = reba("query", "logql", 'count(count by (service, level) (count_over_time({job="services"} [1h])))',
                                  "--output", "raw", *url)
            self.assertEqual(code, 0, err)
            self.assertLess(float(out), 13 * 6)
