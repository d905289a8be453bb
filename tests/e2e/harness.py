"""Starts the programs under test on free ports and asks them things. Standard library only."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
REBA = pathlib.Path(os.environ.get("REBA_BIN", ROOT / "target/debug/reba"))
PEERS = ROOT / "target/peers/usr/bin"


def wait_until(check, seconds, what):
    """Calls `check` until it returns something true; the last failure is the reason given."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            answer = check()
            if answer:
                return answer
        except (OSError, AssertionError, KeyError, IndexError, TypeError, ValueError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what} ({last})")


# Which of the test runs on this machine this is. Ports of roles lie at most 6186 apart (9187 and 3001): so programs of two slots
# never meet, and that a port is free when a test looks means that it still is when its program starts.
SLOT = int(os.environ.get("E2E_SLOT", "0")) % 2


def free_offset():
    """A port offset at which the ports of all roles and of the fleet are free. All of them lie below those that the system
    gives to whoever connects somewhere (32768 and up): one of these may be taken between this look and the start."""
    for step in range(90):
        offset = 10000 + SLOT * 9500 + (os.getpid() * 13 + step * 137) % 3300
        try:
            roles = [("127.0.0.1", port) for port in (9090, 3001, 3100, 3200, 9080, 9093, 4317, 4318, 9100, 9187, 9121)]
            for host, port in [*roles, ("127.0.1.1", 3000), ("127.0.1.5", 3004), ("127.0.1.100", 3999),
                               ("127.0.1.100", 2525), ("127.0.1.100", 8025)]:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((host, port + offset))
            return offset
        except OSError:
            continue
    raise AssertionError("no free ports")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Http:
    """A server's HTTP side."""

    def __init__(self, base):
        self.base = base

    def raw(self, path, params=None, data=None, method=None, headers=None):
        """Status, headers and body."""
        url = self.base + path
        if params:
            url += "?" + urllib.parse.urlencode(params, doseq=True)
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def api(self, path, **params):
        """The parsed answer of an API path, whatever its status."""
        _, _, body = self.raw("/api/v1/" + path, params)
        return json.loads(body)

    def data(self, path, **params):
        """The data of a successful answer."""
        answer = self.api(path, **params)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr, **params):
        """The result of an instant query as {labels: value}."""
        result = self.data("query", query=expr, **params)["result"]
        return {tuple(sorted(s["metric"].items())): float(s["value"][1]) for s in result}

    def value(self, expr, **params):
        """The one value of an instant query, or None."""
        values = list(self.query(expr, **params).values())
        assert len(values) <= 1, f"{expr}: {len(values)} values"
        return values[0] if values else None


class Program(Http):
    """A child process with an HTTP port, its log kept in its folder."""

    def __init__(self, command, base, folder, ready="/-/ready", patience=60):
        super().__init__(base)
        self.command, self.folder, self.ready, self.patience = command, pathlib.Path(folder), ready, patience
        self.process = None
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT)
        wait_until(self.is_ready, self.patience, f"{self.command[0]} is ready; its log:\n{self.log()[-2000:]}")

    def is_ready(self):
        if self.process.poll() is not None:
            # There is nothing to wait for.
            raise RuntimeError(f"ended with {self.process.returncode}: {self.log()[-2000:]}")
        return self.raw(self.ready)[0] == 200

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self):
        """SIGKILL, as a power-hungry kernel would."""
        self.process.kill()
        self.process.wait()

    def stop(self, patience=20):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.command[0]} did not stop within {patience} s")
        return self.process.returncode


class Scratch:
    """A temporary folder and the programs started in it; all gone at the end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reba-e2e-"))
        self.programs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            if program.process and program.process.poll() is None:
                program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sub(self, name):
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def reba(self, *arguments, command="run", config=None, offset=None, name="reba", port=9090, ready="/-/ready"):
        """Starts Reba, seen through `port`; without a configuration folder it gets an empty one."""
        offset = free_offset() if offset is None else offset
        config = config or self.sub(f"{name}-config")
        line = [str(REBA), command, "--config", str(config), "--data", str(self.sub(f"{name}-data"))]
        line += ["--port-offset", str(offset), *arguments]
        program = Program(line, f"http://127.0.0.1:{port + offset}", self.sub(name), ready)
        program.offset = offset
        self.programs.append(program)
        return program

    def prometheus(self, config):
        """Debian's prometheus on the same configuration file."""
        port, folder = free_port(), self.sub("prometheus")
        line = [
            str(PEERS / "prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle", "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
        ]
        program = Program(line, f"http://127.0.0.1:{port}", folder)
        self.programs.append(program)
        return program

    def alertmanager(self, config):
        """Debian's alertmanager."""
        port, folder = free_port(), self.sub("alertmanager")
        line = [
            str(PEERS / "prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]
        program = Program(line, f"http://127.0.0.1:{port}", folder)
        program.port = port
        self.programs.append(program)
        return program


def promtool(*arguments):
    """Status and output of Debian's promtool."""
    done = subprocess.run([str(PEERS / "promtool"), *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def reba(*arguments, **variables):
    """Status, standard output and standard error of a Reba command that ends by itself; `variables` are of its environment."""
    env = {**os.environ, **variables}
    done = subprocess.run([str(REBA), *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT, env=env)
    return done.returncode, done.stdout, done.stderr


def hurried(folder, *more):
    """A copy of the owner's configuration in which nobody waits; `more` are further (file, pattern, replacement)."""
    shutil.copytree(ROOT / "monitoring", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".env"))

    def change(name, *changes):
        path = folder / name
        text = path.read_text()
        for pattern, replacement in changes:
            text, n = re.subn(pattern, replacement, text, flags=re.M)
            assert n, f"{name} has no {pattern}"
        path.write_text(text)

    change("prometheus/prometheus.yml", (r"scrape_interval: \S+", "scrape_interval: 1s"),
           (r"evaluation_interval: \S+", "evaluation_interval: 1s"), (r"scrape_timeout: \S+", "scrape_timeout: 1s"))
    change("prometheus/alerts.yml", (r"(alert: ServiceDown\n\s+expr: .*\n\s+for:) 1m", r"\1 2s"))
    change("alertmanager/alertmanager.yml", (r"group_wait: \S+", "group_wait: 1s"), (r"group_interval: \S+", "group_interval: 1s"))
    for name, pattern, replacement in more:
        change(name, (pattern, replacement))
    return folder
