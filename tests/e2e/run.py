"""Runs every test of this folder and ends with `N passed, N failed`."""

import pathlib
import sys
import unittest

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here))
suite = unittest.TestSuite()
names = sys.argv[1:]
for path in sorted(here.glob("test_*.py")):
    if not names or any(n in path.stem for n in names):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromName(path.stem))
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
bad = len({id(test) for test, _ in result.failures + result.errors})
skipped = len(result.skipped)
for test, reason in result.skipped:
    print(f"skipped: {test}: {reason}")
print(f"{result.testsRun - bad - skipped} passed, {bad} failed")
sys.exit(0 if bad == 0 and result.testsRun > 0 else 1)
