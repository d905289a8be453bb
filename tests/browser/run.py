"""The web app in Chromium against the started program: `reba demo` with its fleet, a real PostgreSQL and a real Redis.

    tests/browser/run.py                 the tests; ends with `N passed, N failed`
    tests/browser/run.py screenshots     the pictures of the README, into docs/images

REBA_BIN names the program (target/debug/reba); web/node_modules must be there (scripts/web.sh). Whatever one waits for takes a
second here: scrapes, evaluations, groups of alerts.
"""

import os
import pathlib
import re
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from databases import Postgres, Redis  # noqa: E402
from harness import Scratch, hurried, wait_until  # noqa: E402

PASSWORD = "browser-password"
# The whole run: a fleet that starts, and a browser that looks at every panel.
LONGEST = 600


class Traffic(threading.Thread):
    """Somebody uses the database and the cache, so that their panels have something to show."""

    def __init__(self, postgres, redis):
        super().__init__(daemon=True)
        self.postgres, self.redis, self.done = postgres, redis, threading.Event()
        postgres.sql("CREATE DATABASE easymo")
        postgres.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE TABLE rides (id serial PRIMARY KEY, fare int)", "easymo")

    def run(self):
        turn = 0
        while not self.done.wait(0.5):
            turn += 1
            self.postgres.sql("INSERT INTO rides (fare) SELECT generate_series(1, 50); UPDATE rides SET fare = fare + 1 WHERE id % 7 = 0;"
                              " DELETE FROM rides WHERE id % 11 = 0; SELECT count(*) FROM rides; BEGIN; ROLLBACK", "easymo")
            for n in range(20):
                self.redis.ask("SET", f"ride:{turn % 50}:{n}", "x" * 100, "EX", "60", auth=False)
                self.redis.ask("GET", f"ride:{turn % 60}:{n}", auth=False)


def start(scratch):
    """The demo with everything that its dashboards draw."""
    postgres, redis = Postgres(scratch.sub("postgres")), Redis(scratch.sub("redis"))
    for server in (postgres, redis):
        scratch.programs.append(Stopper(server))
    config = hurried(
        scratch.folder / "monitoring",
        ("grafana/provisioning/datasources/datasources.yml", r"timeInterval: \S+", "timeInterval: 1s"),
        ("tempo/tempo.yml", r"^(\s+)registry:\n", r"\1registry:\n\1  collection_interval: 1s\n"),
    )
    variables = {"GRAFANA_ADMIN_PASSWORD": PASSWORD, "DATA_SOURCE_NAME": postgres.dsn(), "REDIS_ADDR": f"redis://127.0.0.1:{redis.port}"}
    (config / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    program = scratch.reba(command="demo", config=config)
    traffic = Traffic(postgres, redis)
    traffic.start()

    def all_up():
        down = [t["labels"]["job"] for t in program.data("targets", state="active")["activeTargets"] if t["health"] != "up"]
        assert not down, down
        return True

    wait_until(all_up, 60, "every target is up")
    return program, traffic


class Stopper:
    """A server that ends with the scratch folder."""

    def __init__(self, server):
        self.process = server.process

    def kill(self):
        self.process.kill()
        self.process.wait()


def main():
    script = sys.argv[1] if len(sys.argv) > 1 else "test:real"
    if not (Postgres.exists() and Redis.exists()):
        print("skipped: PostgreSQL and Redis are not there (scripts/peers.sh)")
        return 1 if os.environ.get("CI") == "true" else 0
    with Scratch() as scratch:
        program, traffic = start(scratch)
        try:
            env = dict(
                os.environ, REBA_URL=f"http://127.0.0.1:{3001 + program.offset}", REBA_PASSWORD=PASSWORD, REBA_PORT_OFFSET=str(program.offset), REBA_FULL="1",
            )
            done = subprocess.Popen(["npm", "run", "--silent", script], cwd=ROOT / "web", env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            timer = threading.Timer(LONGEST, done.kill)
            timer.start()
            counts = {}
            for line in done.stdout:
                print(line, end="", flush=True)
                if count := re.match(r"ℹ (pass|fail) (\d+)", line):
                    counts[count[1]] = int(count[2])
            status = done.wait()
            timer.cancel()
            if status != 0:
                print(f"\nThe last lines of Reba's log:\n{program.log()[-3000:]}")
        finally:
            traffic.done.set()
            traffic.join(10)
    if script == "test:real":
        failed = counts.get("fail", 0) or int(status != 0)
        print(f"{counts.get('pass', 0)} passed, {failed} failed")
    return status


if __name__ == "__main__":
    sys.exit(main())
