"""CPU time of a scrape: our exporters beside Debian's, on the same host and servers, asked in turn.

    cargo build --release -p reba && scripts/peers.sh
    REBA_BIN=target/release/reba target/venv/bin/python bench/exporters/run.py [scrapes]

CPU time is that of the exporter's process (user and system, /proc/PID/stat), as a scraper asks: compressed, over one connection.
Memory is the largest resident set. Exits with 1 if a ratio is above the promise.
"""

import http.client
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))

from databases import Postgres, Redis  # noqa: E402
from exporters import Exporter, debian  # noqa: E402
from harness import REBA, Scratch  # noqa: E402

PROMISE = 0.3
WARM_UP = 20
TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(program, scrapes):
    """CPU milliseconds and wall milliseconds a scrape, and bytes of a page."""
    connection = http.client.HTTPConnection(program.base.removeprefix("http://"), timeout=60)

    def ask():
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200
        return len(body)

    for _ in range(WARM_UP):
        ask()
    before, start = cpu(program.process.pid), time.monotonic()
    for _ in range(scrapes):
        size = ask()
    return (cpu(program.process.pid) - before) / scrapes * 1e3, (time.monotonic() - start) / scrapes * 1e3, size


def compare(name, ours, theirs, scrapes):
    results = {}
    # In turn, in halves: what else the machine does strikes both.
    for who, program in (("reba", ours), ("debian", theirs), ("reba", ours), ("debian", theirs)):
        results.setdefault(who, []).append(measure(program, scrapes // 2))
    mean = {who: [sum(column) / len(rows) for column in zip(*rows)] for who, rows in results.items()}
    ratio = mean["reba"][0] / mean["debian"][0]
    for who, program in (("reba", ours), ("debian", theirs)):
        ms, wall, size = mean[who]
        print(f"| {name} | {who} | {ms:.3f} | {wall:.2f} | {size / 1024:.1f} | {peak(program.process.pid):.0f} |")
    print(f"| {name} | ratio | {ratio:.2f} | | | |")
    return ratio


def main():
    scrapes = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{scrapes} scrapes each, {REBA}\n")
    print("| exporter | of | CPU ms a scrape | wall ms | page KiB, gzip | peak MiB |\n|---|---|---|---|---|---|")
    ratios = []
    with Scratch() as scratch:
        ratios.append(compare("node", Exporter(scratch, "node").program, debian(scratch, "node").program, scrapes))
        if Postgres.exists():
            server = Postgres(scratch.sub("pg"))
            try:
                for n in range(50):
                    server.sql(f"CREATE TABLE t{n} (id int PRIMARY KEY)")
                env = {"DATA_SOURCE_NAME": server.dsn()}
                pair = Exporter(scratch, "postgres", env=env).program, debian(scratch, "postgres", env=env).program
                ratios.append(compare("postgres", *pair, scrapes))
            finally:
                server.stop()
        if Redis.exists():
            server = Redis(scratch.sub("redis"))
            try:
                flag = f"-redis.addr=redis://127.0.0.1:{server.port}"
                pair = Exporter(scratch, "redis", flag).program, debian(scratch, "redis", flag).program
                ratios.append(compare("redis", *pair, scrapes))
            finally:
                server.stop()
    sys.exit(0 if all(ratio <= PROMISE for ratio in ratios) else 1)


if __name__ == "__main__":
    main()
