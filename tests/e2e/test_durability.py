"""What was acknowledged survives SIGKILL; shutdown is orderly; alerts reach a real Alertmanager."""

import http.server
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import Http, Scratch, wait_until
from test_api import CONFIG, RULES, Page


class Durability(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.scratch.__exit__()

    def configure(self, extra=""):
        config = self.scratch.write("conf/prometheus/prometheus.yml", CONFIG.format(port=self.server.server_port) + extra)
        self.scratch.write("conf/prometheus/rules.yml", RULES)
        return config.parent.parent

    def test_samples_and_alert_state_survive_sigkill(self):
        program = self.scratch.reba(config=self.configure())
        wait_until(lambda: (program.value("count_over_time(temperature[1m])") or 0) >= 5, 30, "five scrapes")
        wait_until(lambda: program.value('ALERTS_FOR_STATE{alertname="Waiting"}'), 30, "a pending alert")
        pending_since = program.value('ALERTS_FOR_STATE{alertname="Waiting",job="page"}')
        seen = program.data("query", query="temperature[5m]")["result"][0]["values"]
        program.kill()
        program.start()
        after = program.data("query", query="temperature[5m]")["result"][0]["values"]
        self.assertEqual(after[:len(seen)], seen)
        times = [t for t, _ in after]
        self.assertEqual(times, sorted(set(times)))
        wait_until(lambda: program.value('ALERTS_FOR_STATE{alertname="Waiting",job="page"}') is not None, 30, "restored")
        self.assertLess(abs(program.value('ALERTS_FOR_STATE{alertname="Waiting",job="page"}') - pending_since), 30)

    def test_sigterm_stops_in_order_and_a_restart_continues(self):
        program = self.scratch.reba(config=self.configure())
        wait_until(lambda: (program.value("count_over_time(temperature[1m])") or 0) >= 3, 30, "three scrapes")
        before = program.value("count_over_time(temperature[5m])")
        self.assertEqual(program.stop(), 0, program.log())
        program.start()
        self.assertGreaterEqual(program.value("count_over_time(temperature[5m])"), before)
        # Shutting down is no reason to call a series stale.
        self.assertNotIn("panicked", program.log())

    def test_sigterm_during_the_start_is_an_orderly_end_too(self):
        program = self.scratch.reba(config=self.configure())
        self.assertEqual(program.stop(), 0, program.log())
        with open(program.folder / "log", "ab") as log:
            process = subprocess.Popen(program.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        # Sockets are bound before stores are opened: who asks without a pause comes in far ahead of who finds it ready.
        end = time.monotonic() + 30
        with socket.socket() as client:
            while client.connect_ex(("127.0.0.1", 9090 + program.offset)) != 0 and time.monotonic() < end:
                pass
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0, program.log())

    def test_alerts_reach_a_real_alertmanager_and_resolve(self):
        alertmanager = self.scratch.alertmanager(self.scratch.write(
            "alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n"))
        extra = f"alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: ['127.0.0.1:{alertmanager.port}']\n"
        program = self.scratch.reba(config=self.configure(extra))

        def alerts():
            import json
            return [a for a in json.loads(alertmanager.raw("/api/v2/alerts")[2]) if a["labels"]["alertname"] == "Gone"]

        found = wait_until(alerts, 30, "the alert arrives")[0]
        self.assertEqual(found["labels"]["cluster"], "test")
        self.assertEqual(found["labels"]["severity"], "critical")
        self.assertEqual(found["annotations"]["summary"], "127.0.0.1:1 is 0")
        self.assertRegex(found["generatorURL"], r"/graph\?g0\.expr=up%7Bjob%3D%22gone%22%7D")
        active = program.data("alertmanagers")["activeAlertmanagers"]
        self.assertEqual([a["url"] for a in active], [f"http://127.0.0.1:{alertmanager.port}/api/v2/alerts"])
        rules = self.scratch.folder / "conf/prometheus/rules.yml"
        rules.write_text(re.sub(r'up\{job="gone"\} == 0', 'up{job="gone"} == 2', rules.read_text()))
        self.assertEqual(program.raw("/-/reload", method="POST")[0], 200)
