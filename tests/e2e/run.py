"""Runs every test of this folder and ends with `N passed, N failed`.

    tests/e2e/run.py            all, two files at a time: most of what they do is to wait
    tests/e2e/run.py alerts     only test_alerts.py

E2E_JOBS says how many files run at a time.
"""

import concurrent.futures
import os
import pathlib
import queue
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).parent
JOBS = int(os.environ.get("E2E_JOBS", "2"))
# These take all of the machine, or measure what is left of it: one after the other, when the rest is done.
ALONE = ["test_crowds", "test_exporters", "test_hostile", "test_logs_cardinality", "test_tempo_hostile"]
# The longest, which should not be the last to begin.
FIRST = ["test_alertmanager", "test_demo", "test_exporters_postgres", "test_instrumentation", "test_transfer"]
TOTAL = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def run_here(names):
    """Runs the tests of these files in this process; whether all of them passed."""
    sys.path.insert(0, str(HERE))
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName(name) for name in names)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len({id(test) for test, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")
    print(f"{result.testsRun - bad - skipped} passed, {bad} failed")
    return bad == 0 and result.testsRun > 0


class Runs:
    """Files, each in a process of its own; what one says is shown when it has ended."""

    def __init__(self, jobs):
        self.passed, self.failed = 0, 0
        # Programs of different slots have different ports.
        self.slots = queue.SimpleQueue()
        for slot in range(jobs):
            self.slots.put(slot)

    def run(self, name):
        slot, began = self.slots.get(), time.monotonic()
        command = [sys.executable, "-u", str(HERE / "run.py"), "--here", name]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env={**os.environ, "E2E_SLOT": str(slot)})
        self.slots.put(slot)
        return name, done, time.monotonic() - began

    def show(self, name, done, seconds):
        totals = TOTAL.findall(done.stdout)
        passed, failed = map(int, totals[-1]) if totals else (0, 0)
        if done.returncode != 0 and failed == 0:
            # It died, or found nothing to run.
            failed = 1
        self.passed, self.failed = self.passed + passed, self.failed + failed
        print(f"-- {name}: {seconds:.0f} s, exit status {done.returncode}\n{TOTAL.sub('', done.stdout).rstrip()}", flush=True)


def run_all(names):
    """Runs files side by side; whether all tests passed."""
    runs = Runs(JOBS)
    together = sorted((n for n in names if n not in ALONE), key=lambda n: (n not in FIRST, n))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for done in concurrent.futures.as_completed([pool.submit(runs.run, name) for name in together]):
            runs.show(*done.result())
    for name in names:
        if name in ALONE:
            runs.show(*runs.run(name))
    print(f"{runs.passed} passed, {runs.failed} failed")
    return runs.failed == 0 and runs.passed > 0


def main(words):
    if words[:1] == ["--here"]:
        return run_here(words[1:])
    names = sorted(path.stem for path in HERE.glob("test_*.py"))
    wanted = [name for name in names if not words or any(word in name for word in words)]
    return run_all(wanted) if len(wanted) > 1 and JOBS > 1 else run_here(wanted)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
