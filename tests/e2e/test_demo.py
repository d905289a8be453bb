"""`reba demo`: live data of the whole fleet within a minute, and the alerts of its incidents."""

import re
import shutil
import subprocess
import time
import unittest

from harness import ROOT, Http, Scratch, reba, wait_until

SERVICES = {
    "agent-core", "voice-bridge", "wallet-service", "ranking-service", "vendor-service", "buyer-service",
    "notification-service", "message-service", "insurance-service", "simulator-service", "analytics-service",
    "support-service", "admin-app",
}

# The metrics contract: every one must have data while the fleet lives.
CONTRACT = """http_request_duration_seconds_bucket http_requests_total http_request_size_bytes_bucket
http_response_size_bytes_bucket ride_requests_total ride_requests_accepted_total ride_requests_rejected_total
ride_duration_seconds_bucket active_rides payment_transactions_total payment_amount_usd_bucket
whatsapp_messages_total db_connections_active db_query_duration_seconds_bucket user_signups_total active_users
user_sessions agents_online agent_response_time_seconds_bucket process_cpu_seconds_total
process_resident_memory_bytes""".split()


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        config = cls.scratch.folder / "monitoring"
        shutil.copytree(ROOT / "monitoring", config)
        cls.hasten(config / "prometheus")
        cls.reba = cls.scratch.reba("--speed", "20", command="demo", config=config)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.__exit__()

    @staticmethod
    def hasten(folder):
        """The owner's files with seconds for minutes, so that alerts come while somebody watches."""
        config = folder / "prometheus.yml"
        text = re.sub(r"(scrape_interval|evaluation_interval): \d+s", r"\1: 1s", config.read_text())
        config.write_text(re.sub(r"scrape_timeout: \d+s", "scrape_timeout: 1s", text))
        alerts = folder / "alerts.yml"
        text = re.sub(r"for: \d+[sm]", "for: 2s", alerts.read_text())
        text = re.sub(r"keep_firing_for: \d+[sm]", "keep_firing_for: 0s", text)
        alerts.write_text(re.sub(r"\[\d+m\]", "[15s]", text))

    def incident(self, *words):
        offset = str(self.reba.offset)
        return reba("demo", "incident", "--port-offset", offset, *words)

    def test_all_thirteen_services_are_up_within_a_minute(self):
        def up():
            services = {dict(labels)["service"] for labels, v in self.reba.query("up == 1").items() if "service" in dict(labels)}
            return SERVICES <= services
        wait_until(up, 60, "13 services are up")

    def test_every_metric_of_the_contract_has_data_with_service_and_environment(self):
        def all_there():
            names = set(self.reba.data("label/__name__/values"))
            missing = [m for m in CONTRACT if m not in names]
            assert not missing, missing
            return True
        wait_until(all_there, 60, "all metrics of the contract")
        for metric in CONTRACT:
            bare = self.reba.value(f'count({metric}{{service=""}}) or count({metric}{{environment=""}})')
            self.assertIsNone(bare, f"{metric} without service or environment")

    def test_counters_move(self):
        wait_until(lambda: (self.reba.value("sum(rate(http_requests_total[15s]))") or 0) > 1, 60, "requests flow")
        wait_until(lambda: (self.reba.value("sum(increase(ride_requests_total[30s]))") or 0) > 0, 60, "rides flow")

    def test_the_twelve_alerts_are_loaded_and_healthy(self):
        wanted = {"ServiceDown", "DiskSpaceLow", "HighPaymentFailureRate", "HighErrorRate", "HighResponseTime", "HighCPUUsage",
                  "HighMemoryUsage", "LowRideAcceptanceRate", "WhatsAppDeliveryFailures", "DatabaseConnectionPoolHigh",
                  "HostDown", "DatabaseDown"}

        def health():
            return [(r["name"], r["health"]) for g in self.reba.data("rules", type="alert")["groups"] for r in g["rules"]]

        wait_until(lambda: wanted <= {name for name, how in health() if how == "ok"}, 30, "the twelve are healthy")
        # Those of a group with minutes between its evaluations may not have had their first one yet.
        self.assertEqual([name for name, how in health() if how not in ("ok", "unknown")], [])

    def firing(self, alert):
        return {tuple(sorted(a["labels"].items())) for a in self.reba.data("alerts")["alerts"]
                if a["labels"]["alertname"] == alert and a["state"] == "firing"}

    def check_incident(self, incident, alert):
        before = self.firing(alert)
        code, _, err = self.incident("start", incident)
        self.assertEqual(code, 0, err)
        try:
            wait_until(lambda: self.firing(alert) - before, 60, f"{incident} makes {alert} fire")
        finally:
            code, _, err = self.incident("stop", incident)
            self.assertEqual(code, 0, err)
        wait_until(lambda: self.firing(alert) <= before, 90, f"{alert} resolves after {incident}")

    def test_incident_service_down(self):
        self.check_incident("service-down", "ServiceDown")

    def test_incident_payments_down(self):
        self.check_incident("payments-down", "HighPaymentFailureRate")

    def test_incident_whatsapp(self):
        self.check_incident("whatsapp-delivery-failures", "WhatsAppDeliveryFailures")

    def test_incident_low_acceptance(self):
        self.check_incident("low-ride-acceptance", "LowRideAcceptanceRate")

    def test_incident_pool_exhaustion(self):
        self.check_incident("pool-exhaustion", "DatabaseConnectionPoolHigh")

    def test_incident_error_burst(self):
        self.check_incident("error-burst", "HighErrorRate")

    def test_incident_memory_leak(self):
        self.check_incident("memory-leak", "HighMemoryUsage")

    def test_incident_slow_database(self):
        self.check_incident("slow-database", "HighResponseTime")

    def test_an_exemplar_of_a_service_leads_to_its_trace_and_what_was_logged_meanwhile(self):
        tempo, loki = (f"http://127.0.0.1:{port + self.reba.offset}" for port in (3200, 3100))

        def waterfall(*more):
            return reba("trace", self.trace_id, "--url", tempo, "--logs-url", loki, *more)

        def followed():
            found = self.reba.data("query_exemplars", query="http_request_duration_seconds_bucket", start=time.time() - 60, end=time.time())
            for exemplar in [e for series in found for e in series["exemplars"]][-20:]:
                self.trace_id = next(v for k, v in exemplar["labels"].items() if k.lower().replace("_", "") == "traceid")
                code, out, err = waterfall()
                services = re.search(r"spans of (\d+) services", out)
                # Lines of logs stand between the spans.
                if code == 0 and int(services[1]) >= 3 and re.search(r"^[a-z-]+ +· ", out, re.M):
                    return out
            return None
        out = wait_until(followed, 90, "an exemplar's trace has three services and lines of logs")
        code, bare, err = waterfall("--no-logs")
        self.assertEqual(code, 0, err)
        self.assertLess(len(bare.splitlines()), len(out.splitlines()))
        self.assertIn(self.trace_id.lstrip("0"), bare)

    def test_the_services_are_one_map_in_their_traces(self):
        def edges():
            found = self.reba.query('traces_service_graph_request_total{connection_type=""}')
            return {(dict(labels)["client"], dict(labels)["server"]) for labels in found}

        def one_map():
            pairs = edges()
            reached = {"admin-app"} if any("admin-app" in pair for pair in pairs) else set()
            while more := {x for pair in pairs for x in pair if reached & set(pair)} - reached:
                reached |= more
            missing = SERVICES - reached
            assert not missing, missing
            return True
        wait_until(one_map, 90, "13 services are one map")

    def test_an_unknown_incident_is_refused_with_the_list(self):
        code, _, err = self.incident("start", "no-such-thing")
        self.assertEqual(code, 2)
        self.assertIn("payments-down", err)

    def test_query_command_prints_a_table_and_a_plot(self):
        wait_until(lambda: len(self.reba.query("up == 1")) >= 13, 60, "13 targets")
        code, out, err = reba("query", "promql", 'up{job="agent-core"}', "--url", self.reba.base)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r'up\{.*job="agent-core".*\}\s+1\s')
        code, out, err = reba("query", "promql", "sum(up)", "--since", "1m", "--url", self.reba.base)
        self.assertEqual(code, 0, err)
        self.assertIn("█", out)
        code, _, err = reba("query", "promql", "sum(", "--url", self.reba.base)
        self.assertEqual(code, 1)
        self.assertIn("parse error", err)
