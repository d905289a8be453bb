"""`reba rules backtest` tells when alerts would have fired, and Prometheus' own alerts agree."""

import json
import socket
import time
import unittest
import urllib.parse

from harness import Scratch, promtool, reba, wait_until

RULES = """
groups:
- name: availability
  rules:
  - {alert: Down, expr: up == 0, for: 5m, labels: {severity: critical}}
  - {alert: Never, expr: up > 7}
- name: fast
  interval: 15s
  rules:
  - {alert: Busy, expr: 'sum(load) > 10', keep_firing_for: 2m}
"""


class Backtest(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.end = int(time.time()) // 3600 * 3600
        self.start = self.end - 3 * 86400
        self.rules = str(self.scratch.write("alerts.yml", RULES))
        lines = []
        for pod, down in [("a", range(600, 660)), ("b", range(700, 703))]:
            lines += [f'up{{pod="{pod}"}} {0 if i in down else 1} {self.start + 60 * i}' for i in range(3 * 1440)]
        load = [f"load {20 if 1000 <= i < 1001 else 1} {self.start + 60 * i}" for i in range(3 * 1440)]
        source = self.scratch.write("in.om", "\n".join(load + lines) + "\n# EOF\n")
        self.data = str(self.scratch.sub("reba-data"))
        code, _, err = reba("import", "openmetrics", str(source), "--data", self.data)
        self.assertEqual(code, 0, err)

    def periods(self, *arguments):
        code, out, err = reba("rules", "backtest", self.rules, "--since", "3d", "--until", str(self.end),
                              "--output", "json", *arguments)
        self.assertEqual(code, 0, out + err)
        rules = {r["alert"]: r for r in json.loads(out)["rules"]}
        self.assertEqual(set(rules), {"Down", "Never", "Busy"})
        return {(name, a["labels"].get("pod")): [(p["state"], p["start"], p["end"]) for p in a["periods"]]
                for name, r in rules.items() for a in r["alerts"]}

    def test_the_store_and_a_server_tell_the_same_story(self):
        at = lambda minute: self.start + 60.0 * minute
        want = {
            ("Down", "a"): [("pending", at(600), at(605)), ("firing", at(605), at(660))],
            ("Down", "b"): [("pending", at(700), at(703))],
            ("Busy", None): [("firing", at(1000), at(1003))],
        }
        self.assertEqual(self.periods("--data", self.data), want)
        config = self.scratch.sub("config")
        server = self.scratch.reba(config=config)
        self.assertEqual(self.periods("--url", server.base), want)
        code, out, _ = reba("rules", "backtest", self.rules, "--since", "3d", "--until", str(self.end), "--url", server.base)
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r'Down +\{pod="a", severity="critical"\} +firing +\S+Z +\S+Z +55m')
        self.assertIn("█", out)
        self.assertIn("3 alerting rules, 1 of them silent", out)

    def test_the_api_tells_what_the_command_tells_and_knows_its_limits(self):
        server = self.scratch.reba(config=self.scratch.sub("config"))

        def ask(method="POST", **form):
            data = urllib.parse.urlencode(form).encode() if method == "POST" else None
            status, _, body = server.raw("/api/v1/rules/backtest", data=data, method=method)
            return status, json.loads(body) if body.startswith(b"{") else body

        # The form that an editor sends: a rule file, as JSON is YAML, too.
        code, out, err = reba("rules", "backtest", self.rules, "--since", "3d", "--until", str(self.end),
                              "--output", "json", "--url", server.base)
        self.assertEqual(code, 0, err)
        status, answer = ask(rules=RULES, start=self.start, end=self.end)
        self.assertEqual((status, answer["status"]), (200, "success"), answer)
        self.assertEqual(answer["data"], json.loads(out))
        edited = {"groups": [{"name": "g", "rules": [{"alert": "Down", "expr": "up == 0", "for": "1m"}]}]}
        status, answer = ask(rules=json.dumps(edited), start=self.start, end=self.end)
        periods = [p for a in answer["data"]["rules"][0]["alerts"] for p in a["periods"] if p["state"] == "firing"]
        self.assertEqual([p["for"] for p in periods], ["59m", "2m"])

        for form, words in [
            ({"rules": RULES}, "start"),
            ({"start": 1, "end": 2}, "rules"),
            ({"rules": "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", "start": 1, "end": 2}, "parse error"),
            ({"rules": RULES, "start": 0, "end": self.end}, "more than 2000000"),
            ({"rules": RULES, "start": 2, "end": 1}, "end"),
            ({"rules": RULES, "start": 1, "end": 2, "interval": "0"}, "interval"),
        ]:
            status, answer = ask(**form)
            self.assertEqual((status, answer["errorType"], words in answer["error"]), (400, "bad_data", True), answer)
        self.assertEqual(ask(method="GET")[0], 405)
        # Alerts that did not fire are not told of as if they did.
        self.assertNotIn("alert fires", server.log())

        # Whoever leaves stops the work.
        # Far more than the twenty seconds after which it must be over.
        rules = [{"alert": f"A{i}", "expr": "count(count_over_time(up[3d:1s])) > 9"} for i in range(400)]
        slow = json.dumps({"groups": [{"name": "g", "rules": rules}]})
        body = urllib.parse.urlencode({"rules": slow, "start": self.start, "end": self.end})
        request = (f"POST /api/v1/rules/backtest HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                   f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}")
        with socket.create_connection(("127.0.0.1", int(server.base.rsplit(":", 1)[1]))) as client:
            client.sendall(request.encode())
            wait_until(lambda: server.data("status/active_queries"), 10, "the query runs")
        wait_until(lambda: not server.data("status/active_queries"), 20, "the query has ended")

    def test_promtool_agrees_on_one_of_them(self):
        """The same samples as a unit test: what the back-test says must hold there."""
        test = f"""
rule_files: [{self.rules}]
evaluation_interval: 1m
tests:
- input_series: [{{series: 'up{{pod="a"}}', values: '1x599 0x59 1x20'}}]
  interval: 1m
  alert_rule_test:
  - {{eval_time: 604m, alertname: Down}}
  - {{eval_time: 605m, alertname: Down, exp_alerts: [{{exp_labels: {{pod: a, severity: critical}}}}]}}
  - {{eval_time: 659m, alertname: Down, exp_alerts: [{{exp_labels: {{pod: a, severity: critical}}}}]}}
  - {{eval_time: 660m, alertname: Down}}
"""
        # Debian's promtool is older than `keep_firing_for`.
        self.scratch.write("alerts.yml", RULES.replace(", keep_firing_for: 2m", ""))
        code, out = promtool("test", "rules", str(self.scratch.write("t.yml", test)))
        self.assertEqual(code, 0, out)

    def test_what_is_wrong_is_said(self):
        self.assertEqual(reba("rules", "backtest", "/nonexistent.yml", "--data", self.data)[0], 1)
        bad = self.scratch.write("bad.yml", "groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]")
        code, _, err = reba("rules", "backtest", str(bad), "--data", self.data)
        self.assertEqual((code, "bad.yml" in err), (1, True), err)
        # Nobody there is one line, not one for every rule.
        code, out, err = reba("rules", "backtest", self.rules, "--url", "http://127.0.0.1:1")
        self.assertEqual((code, out, err), (1, "", "reba: no answer from http://127.0.0.1:1: connection refused\n"))


if __name__ == "__main__":
    unittest.main()
