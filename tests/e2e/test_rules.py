"""`reba test rules` gives promtool's verdicts."""

import os
import pathlib
import unittest

from harness import ROOT, Scratch, promtool, reba

ALERTS = ROOT / "monitoring/prometheus/alerts_test.yml"
SLOS = ROOT / "monitoring/prometheus/slos_test.yml"
CONFORMANCE = pathlib.Path(os.environ.get("REBA_CONFORMANCE", ROOT / "../shared/conformance")) / "promtool"

# Files of upstream, a selection of their tests, and what upstream says of them.
VERDICTS = [
    ("unittest.yml", None, True), ("long-period.yml", None, True), ("no-test-group-interval.yml", None, True),
    ("at-modifier-test.yml", None, True), ("negative-offset-test.yml", None, True), ("start-time-test.yml", None, True),
    ("bad-input-series.yml", None, False), ("bad-promql.yml", None, False), ("bad-rules-error-test.yml", None, False),
    ("bad-rules-syntax-test.yml", None, False), ("failing.yml", None, False),
    ("rules_run.yml", "correct", True), ("rules_run.yml", "wrong", False), ("rules_run.yml", None, False),
    ("rules_run_fuzzy.yml", "correct", True), ("rules_run_fuzzy.yml", "wrong", False),
    ("rules_run_no_fuzzy.yml", None, False), ("rules_run_extrafields.yml", None, False),
]

RULES = "groups: [{name: g, rules: [{alert: High, expr: x > 1, labels: {level: '{{ $value }}'}}]}]"

TEST = """
rule_files: [rules.yml]
tests:
- name: as it should be
  input_series: [{series: 'x{a="b"}', values: 1 2}]
  alert_rule_test: [{eval_time: 1m, alertname: High, exp_alerts: [{exp_labels: {a: b, level: 2}}]}]
- name: not as it should be
  input_series: [{series: 'x{a="b"}', values: 1 2}]
  promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: 'x{a="b"}', value: 3}]}]
"""


class Rules(unittest.TestCase):
    def test_the_alerts_that_come_with_the_product_pass_here_and_under_promtool(self):
        code, out, _ = reba("test", "rules", str(ALERTS), str(SLOS))
        self.assertEqual(code, 0, out)
        self.assertIn("SUCCESS", out)
        code, out = promtool("test", "rules", str(ALERTS), str(SLOS))
        self.assertEqual(code, 0, out)

    def test_upstreams_files_pass_and_fail_as_upstream_says(self):
        if not CONFORMANCE.exists():
            self.skipTest("the conformance data is not there")
        for name, run, passes in VERDICTS:
            with self.subTest(name=name, run=run):
                selection = ["--run", run] if run else []
                code, out, err = reba("test", "rules", *selection, str(CONFORMANCE / name))
                self.assertEqual(code, 0 if passes else 1, out + err)
                self.assertIn("SUCCESS" if passes else "FAILED:", out)

    def test_a_failure_names_its_test_what_was_expected_and_what_came(self):
        with Scratch() as scratch:
            scratch.write("rules.yml", RULES)
            path = str(scratch.write("t.yml", TEST))
            code, out, _ = reba("test", "rules", path)
            self.assertEqual(code, 1)
            self.assertIn("not as it should be:", out)
            self.assertNotIn("  as it should be:", out)
            self.assertIn('exp: {__name__="x", a="b"} 3e+00', out)
            self.assertIn('got: {__name__="x", a="b"} 2e+00', out)
            self.assertIn("1 passed, 1 failed", out)
            self.assertEqual(promtool("test", "rules", path)[0], 1)
            code, out, _ = reba("test", "rules", "--run", "^as", path)
            self.assertEqual((code, "1 passed, 0 failed" in out), (0, True), out)

    def test_a_file_that_is_not_there_and_a_bad_selection_are_errors(self):
        self.assertEqual(reba("test", "rules", "/nonexistent/t.yml")[0], 1)
        code, _, err = reba("test", "rules", "--run", "(", str(ALERTS))
        self.assertEqual(code, 1)
        self.assertIn("--run", err)


if __name__ == "__main__":
    unittest.main()
