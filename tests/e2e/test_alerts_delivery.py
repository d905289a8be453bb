"""From a stopped service to an e-mail and a Slack message, and back; the drill; the history. With seconds in the place of minutes."""

import json
import re
import shutil
import unittest

from harness import ROOT, Http, Scratch, reba, wait_until

SERVICE = "wallet-service"

OUTSIDE = """receivers:
  - name: outside
    webhook_configs:
      - {url: "http://192.0.2.1/alerts/s3cret", http_config: {proxy_url: "http://192.0.2.1:3128"}}
      - url: http://192.0.2.1/alerts
        http_config: {oauth2: {client_id: c, client_secret: s3cret, token_url: "http://192.0.2.1/token"}}
    telegram_configs: [{api_url: "https://192.0.2.1", bot_token: s3cret, chat_id: 1, message: hello}]
    slack_configs: [{api_url: "https://192.0.2.1/services/s3cret", channel: "#out"}]
    email_configs: [{to: out@x.example, smarthost: "192.0.2.1:587", auth_password: s3cret}]
"""


class Delivery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        config = cls.scratch.folder / "monitoring"
        shutil.copytree(ROOT / "monitoring", config)
        file = config / "prometheus/prometheus.yml"
        text = re.sub(r"(scrape_interval|evaluation_interval): \d+s", r"\1: 1s", file.read_text())
        file.write_text(re.sub(r"scrape_timeout: \d+s", "scrape_timeout: 1s", text))
        file = config / "prometheus/alerts.yml"
        file.write_text(re.sub(r"for: \d+[sm]", "for: 3s", file.read_text()))
        file = config / "alertmanager/alertmanager.yml"
        text = re.sub(r"group_wait: \d+s", "group_wait: 1s", file.read_text())
        text = re.sub(r"group_interval: \d+m", "group_interval: 3s", text)
        # Addresses and keys that stand in the file itself, all of them on another host (TEST-NET-1, where nobody is).
        text = text.replace("  routes:\n", '  routes:\n    - {receiver: outside, matchers: [alertname="Outside"]}\n', 1)
        file.write_text(text.replace("receivers:\n", OUTSIDE, 1))
        file = config / "prometheus/prometheus.yml"
        file.write_text(file.read_text().replace('targets: ["127.0.0.1:9093"]', 'targets: ["127.0.0.1:9093", "192.0.2.1:9093"]', 1))
        # The node exporter is there, or HostDown would keep ServiceDown silent. Secrets that must not be used: a demo never leaves the house.
        (config / ".env").write_text("SLACK_WEBHOOK_URL=http://127.0.0.1:1/\nSENDGRID_API_KEY=x\n")
        cls.reba = cls.scratch.reba("--only", "prometheus,alertmanager,loki,node", "--speed", "5", command="demo", config=config)
        offset = cls.reba.offset
        cls.inbox = Http(f"http://127.0.1.100:{8025 + offset}")
        cls.alertmanager = f"http://127.0.0.1:{9093 + offset}"
        cls.loki = f"http://127.0.0.1:{3100 + offset}"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.__exit__()

    def incident(self, *words):
        code, _, err = reba("demo", "incident", "--port-offset", str(self.reba.offset), *words)
        self.assertEqual(code, 0, err)

    def messages(self, channel, *words):
        _, _, body = self.inbox.raw("/messages")
        found = [m for m in json.loads(body)["messages"] if m["channel"] == channel]
        return [m for m in found if all(w in m["subject"] for w in words)]

    def test_a_stopped_service_is_told_of_once_by_mail_and_in_slack_and_so_is_its_return(self):
        wait_until(lambda: self.reba.value(f'up{{service="{SERVICE}"}}') == 1, 60, "the service is up")
        self.incident("start", "service-down")
        states = lambda: {a["state"] for a in self.reba.data("alerts")["alerts"]
                          if a["labels"]["alertname"] == "ServiceDown" and a["labels"]["service"] == SERVICE}
        wait_until(lambda: "pending" in states(), 30, "ServiceDown is pending")
        wait_until(lambda: "firing" in states(), 30, "ServiceDown fires")
        for channel in ("email", "slack", "pagerduty", "opsgenie"):
            wait_until(lambda: self.messages(channel, "ServiceDown", SERVICE), 30, f"{channel} has heard")
        mail = self.messages("email", "ServiceDown", SERVICE)[0]
        self.assertIn("[FIRING]", mail["subject"])
        self.assertIn("critical", mail["subject"])
        self.assertEqual(mail["to"], "devops@easymo.example")
        slack = self.messages("slack", "ServiceDown", SERVICE)[0]
        self.assertIn("has not answered a scrape", slack["text"])
        self.assertEqual(slack["body"]["attachments"][0]["color"], "danger")

        self.incident("stop", "service-down")
        for channel in ("email", "slack"):
            wait_until(lambda: self.messages(channel, "[RESOLVED]", "ServiceDown", SERVICE), 60, f"{channel} has heard that it is over")
        wait_until(lambda: [m for m in self.messages("pagerduty") if m["to"] == "resolve"], 30, "PagerDuty is told to resolve")
        for channel in ("email", "slack"):
            subjects = [m["subject"] for m in self.messages(channel, "ServiceDown", SERVICE)]
            self.assertEqual(len(subjects), 2, subjects)

        def history():
            code, out, err = reba("alerts", "history", "ServiceDown", "--url", self.loki)
            assert code == 0, err
            lines = [line for line in out.splitlines() if SERVICE in line or "notification" in line]
            for wanted in ("alert firing", "alert resolved", "notification delivered", "/slack", "/email"):
                assert any(wanted in line for line in lines), out
            return True
        wait_until(history, 30, "the history has all of it")
        code, out, err = reba("query", "logql", '{job="alert-history", event="notification"} | json | outcome="delivered" | integration="slack"',
                              "--url", self.loki, "--output", "raw")
        self.assertEqual(code, 0, err)
        self.assertIn('"alertname":"ServiceDown"', out)
        code, out, err = reba("demo", "inbox", "--port-offset", str(self.reba.offset))
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"slack .*ServiceDown wallet-service")

    def test_a_drill_goes_all_the_way_and_says_so(self):
        code, out, err = reba("alerts", "drill", "HighErrorRate", "severity=critical", "--port-offset", str(self.reba.offset))
        self.assertEqual(code, 0, out + err)
        self.assertNotIn("no rule of this name", out)
        for wanted in ("route ", "group ", "inhibition  none", "on-call/email[0] delivered", "on-call/slack[0] delivered", "passed"):
            self.assertIn(wanted, out)
        self.assertTrue(self.messages("email", "HighErrorRate", "drill"))
        self.assertIn("DRILL", self.messages("slack", "HighErrorRate", "drill")[0]["text"])

    def test_a_drill_that_nobody_hears_of_fails_and_says_why(self):
        code, _, err = reba("silence", "add", "LowRideAcceptanceRate", "drill=true", "--comment", "test", "--url", self.alertmanager)
        self.assertEqual(code, 0, err)
        code, out, err = reba("alerts", "drill", "LowRideAcceptanceRate", "--url", self.alertmanager)
        self.assertEqual(code, 1, out + err)
        self.assertIn("silencedBy", out)

    def test_nothing_leaves_the_house_whatever_the_files_say(self):
        code, out, err = reba("alerts", "drill", "Outside", "--port-offset", str(self.reba.offset))
        self.assertEqual(code, 0, out + err)
        for kind in ("webhook[0]", "webhook[1]", "telegram[0]", "slack[0]", "email[0]"):
            self.assertIn(f"outside/{kind} delivered", out)
        places = {m["to"] for m in self.messages("webhook")}
        self.assertLessEqual({"/webhook/192.0.2.1", "/telegram/192.0.2.1"}, places)
        self.assertTrue([m for m in self.messages("slack") if m["to"] == "#out"])
        self.assertTrue([m for m in self.messages("email") if m["to"] == "out@x.example"])
        _, _, body = self.inbox.raw("/messages")
        self.assertNotIn(b"s3cret", body)
        found = self.reba.data("alertmanagers")
        urls = lambda key: [a["url"] for a in found[key]]
        own = 9093 + self.reba.offset
        self.assertEqual(urls("activeAlertmanagers"), [f"http://127.0.0.1:{own}/api/v2/alerts"])
        self.assertEqual(urls("droppedAlertmanagers"), ["http://192.0.2.1:9093/api/v2/alerts"])
        self.assertIn("a demo sends no alerts to other hosts", self.reba.log())
