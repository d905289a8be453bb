"""Rules about logs, end to end: pushed lines make alerts fire at a real Alertmanager and series appear on port 9090."""

import json
import time
import unittest

from harness import Http, Scratch, wait_until

CONFIG = """
auth_enabled: false
ruler:
  storage: {{type: local, local: {{directory: {rules}}}}}
  alertmanager_url: http://127.0.0.1:{alertmanager}
  external_url: http://grafana.example:3000
  external_labels: {{cluster: kgl}}
  evaluation_interval: 1s
  poll_interval: 1s
limits_config: {{ruler_max_rules_per_rule_group: 3}}
"""

RULES = """
groups:
- name: payments
  rules:
  - record: app:lines:count1h
    expr: sum by (app) (count_over_time({app=~".+"}[1h]))
    labels: {source: logs}
  - alert: PaymentsFail
    expr: sum by (app) (count_over_time({app="pay"} |= "declined" [1h])) > 2
    labels: {severity: page}
    annotations:
      summary: '{{ $labels.app }}: {{ $value }} declined, last:{{ range lines 1 }} {{ . }}{{ end }}'
"""

POSTED = """
name: posted
rules:
- alert: Quiet
  expr: absent_over_time({app="nobody"}[1m])
  labels: {severity: info}
"""

ALERTMANAGER = "route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n"


class LokiRules(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        path = self.scratch.write("alertmanager.yml", ALERTMANAGER)
        self.alertmanager = self.scratch.alertmanager(path)
        self.rules = self.scratch.write("rules/fake/pay.yml", RULES)
        config = CONFIG.format(rules=self.scratch.folder / "rules", alertmanager=self.alertmanager.port)
        self.scratch.write("reba-config/loki/loki-config.yml", config)
        self.reba = self.scratch.reba()
        self.loki = self.role()

    def role(self):
        loki = Http(f"http://127.0.0.1:{3100 + self.reba.offset}")
        wait_until(lambda: loki.raw("/ready")[0] == 200, 20, "loki is ready")
        return loki

    def push(self, app, *lines):
        now = time.time_ns()
        values = [[str(now + i), line] for i, line in enumerate(lines)]
        body = json.dumps({"streams": [{"stream": {"app": app}, "values": values}]}).encode()
        status, _, text = self.loki.raw("/loki/api/v1/push", data=body, headers={"Content-Type": "application/json"})
        self.assertEqual(status, 204, text)

    def rules_of(self, path="/prometheus/api/v1/rules"):
        status, _, body = self.loki.raw(path)
        self.assertEqual(status, 200, body)
        return json.loads(body)["data"]

    def received(self, name):
        """The alert as Alertmanager has it, if it does."""
        alerts = json.loads(self.alertmanager.raw("/api/v2/alerts")[2])
        return next((a for a in alerts if a["labels"]["alertname"] == name), None)

    def test_lines_become_alerts_and_series(self):
        self.push("pay", "ok", "declined 1", "declined 2", "declined 3")
        self.push("web", "ok")
        alert = wait_until(lambda: self.received("PaymentsFail"), 30, "the alert is at Alertmanager")
        self.assertEqual(alert["labels"], {
            "alertname": "PaymentsFail", "app": "pay", "severity": "page", "cluster": "kgl",
        })
        self.assertEqual(alert["annotations"]["summary"], "pay: 3 declined, last: declined 3")
        self.assertTrue(alert["generatorURL"].startswith("http://grafana.example:3000/explore?left="), alert)
        counts = 'app:lines:count1h{source="logs"}'
        series = wait_until(lambda: self.reba.query(counts), 20, "the recorded series is on port 9090")
        self.assertEqual({dict(labels)["app"]: value for labels, value in series.items()}, {"pay": 4.0, "web": 1.0})
        firing = 'ALERTS{alertname="PaymentsFail",alertstate="firing"}'
        wait_until(lambda: self.reba.value(firing) == 1, 20, "ALERTS is on port 9090")
        shown = self.rules_of("/prometheus/api/v1/alerts")["alerts"]
        self.assertEqual([a["state"] for a in shown], ["firing"])
        status, _, page = self.loki.raw("/metrics")
        self.assertEqual(status, 200)
        self.assertIn('loki_prometheus_rule_group_rules{rule_group="pay.yml;payments",user="fake"} 2', page.decode())

    def test_a_posted_group_outlives_a_kill_and_can_be_removed(self):
        path = "/loki/api/v1/rules/by%2Fhand"
        status, _, body = self.loki.raw(path, data=POSTED.encode(), method="POST")
        self.assertEqual((status, json.loads(body)["status"]), (202, "success"), body)
        status, _, body = self.loki.raw(path, data=b"name: x\nrules: [{alert: A, expr: '{app=\"a\"}'}]", method="POST")
        self.assertEqual(status, 400, body)
        self.reba.kill()
        self.reba.start()
        self.loki = self.role()
        self.assertIn("Quiet", self.loki.raw(path)[2].decode())
        wait_until(lambda: self.received("Quiet"), 30, "the posted alert is at Alertmanager")
        groups = {g["file"]: g["name"] for g in self.rules_of()["groups"]}
        self.assertEqual(groups, {"by/hand": "posted", "pay.yml": "payments"})
        self.assertEqual(self.loki.raw(path + "/posted", method="DELETE")[0], 202)
        self.assertEqual(self.loki.raw(path)[0], 404)

    def test_files_are_read_again_and_a_wrong_one_leaves_its_former_rules(self):
        wait_until(lambda: self.rules_of()["groups"], 10, "the file is read")
        self.rules.write_text(RULES.replace("count_over_time", "count_over_tim", 1))
        wait_until(lambda: f"{self.rules}:6:" in self.reba.log(), 20, "the fault is named with its place")
        self.assertEqual([g["name"] for g in self.rules_of()["groups"]], ["payments"])
        self.rules.write_text(RULES.replace("name: payments", "name: renamed"))
        wait_until(lambda: [g["name"] for g in self.rules_of()["groups"]] == ["renamed"], 20, "the new rules count")


if __name__ == "__main__":
    unittest.main()
