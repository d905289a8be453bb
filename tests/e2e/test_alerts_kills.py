"""From a target that is down to a webhook and a mail, with a `kill -9` of everything in between: at least once, twice at most, and
the end is told once. Rules, routing and receivers are those of one process, as in production."""

import json
import threading
import unittest
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Scratch, wait_until
from recorder import Mail, Recorder

RULES = """
groups:
  - name: g
    rules:
      - {alert: ServiceDown, expr: 'up{job="service"} == 0', for: 2s, labels: {severity: critical}, annotations: {summary: down}}
"""


class Service:
    """A target that can be down."""

    def __init__(self):
        service = self
        self.down = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"m 1\n"
                self.send_response(500 if service.down else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Kills(unittest.TestCase):
    def setUp(self):
        self.service, self.recorder, self.mail, self.scratch = Service(), Recorder(), Mail(), Scratch()
        for part in (self.service.stop, self.recorder.stop, self.mail.stop, self.scratch.__exit__):
            self.addCleanup(part)
        config = self.scratch.sub("config")
        # The port as it is without an offset: what is meant is the role of this process, wherever it listens.
        (config / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
            "scrape_configs": [{"job_name": "service", "static_configs": [{"targets": [self.service.address]}]}],
        }))
        (config / "rules.yml").write_text(RULES)
        (config / "alertmanager.yml").write_text(json.dumps({
            "global": {"smtp_require_tls": False},
            "route": {"receiver": "all", "group_by": ["alertname"], "group_wait": "4s", "group_interval": "2s", "repeat_interval": "1h"},
            "receivers": [{"name": "all", "webhook_configs": [{"url": f"{self.recorder.url}/all"}],
                           "email_configs": [{"to": "a@x.example", "from": "b@x.example", "smarthost": self.mail.address,
                                              "send_resolved": True, "headers": {"Subject": "{{ .Status }}"}}]}],
        }))
        self.reba = self.scratch.reba("--only", "prometheus,alertmanager,loki", config=config)
        self.alertmanager = f"http://127.0.0.1:{9093 + self.reba.offset}"
        wait_until(lambda: self.reba.value('up{job="service"}') == 1, 30, "the service is up")

    def hooks(self, status):
        """Posts that were begun, answered or not."""
        return [n for n in self.recorder.at("/all", None) if n["status"] == status]

    def mails(self, status):
        return [m for m in self.mail.mails if f"Subject: {status}" in m]

    def known(self):
        """Whether alerting knows of the alert."""
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts", timeout=10) as answer:
            return [a["labels"]["alertname"] for a in json.loads(answer.read())] == ["ServiceDown"]

    def check(self, most):
        """It was told, and so is the end, once each and no more; `most` times where a kill came in between."""
        wait_until(lambda: self.recorder.at("/all") and self.mails("firing"), 60, "both are told")
        # The rules know again that it fires: they tell of the end then. (Otherwise alerting waits until it counts as over.)
        wait_until(lambda: [a for a in self.reba.data("alerts")["alerts"] if a["state"] == "firing"], 60, "the rule fires")
        self.service.down = False
        wait_until(lambda: self.hooks("resolved") and self.mails("resolved"), 60, "both are told of the end")
        self.assertLessEqual(len(self.hooks("firing")), most)
        self.assertLessEqual(len(self.mails("firing")), most)
        self.assertEqual((len(self.hooks("resolved")), len(self.mails("resolved"))), (1, 1))
        self.assertEqual(self.reba.stop(), 0)
        self.assertEqual((len(self.hooks("resolved")), len(self.mails("resolved"))), (1, 1))

    def test_a_kill_between_firing_and_notification_is_no_silence(self):
        self.service.down = True
        wait_until(self.known, 30, "the alert is on its way")
        self.reba.kill()
        self.assertEqual((self.hooks("firing"), self.mail.mails), ([], []))
        self.reba.start()
        self.check(most=1)

    def test_a_kill_between_notification_and_its_record_costs_one_duplicate_at_most(self):
        # The receiver has taken it, and Reba is gone before it hears so.
        self.recorder.behave("/all", lambda: self.reba.process.kill())
        self.service.down = True
        self.reba.process.wait(60)
        self.assertEqual(len(self.hooks("firing")), 1)
        self.recorder.behave("/all", "ok")
        self.reba.start()
        self.check(most=2)

    def test_a_restart_in_between_changes_nothing(self):
        self.service.down = True
        wait_until(lambda: self.recorder.at("/all") and self.mails("firing"), 30, "both are told")
        self.assertEqual(self.reba.stop(), 0)
        self.reba.start()
        self.check(most=1)
