"""The testing checklist of the owner's document, box by box, against the started program.

Starts `reba demo` on free ports with a copy of monitoring/ in which whatever one waits for takes a second: intervals of scrapes
and evaluations, the hold of alerts, the waits of groups. Ends with `N passed, N failed`.
"""

import json
import os
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("REBA_BIN", str(ROOT / "target/release/reba"))

from harness import Http, Scratch, hurried, wait_until  # noqa: E402

PASSWORD = "checklist-password"
# Everything in one process in the place of nine containers: role, port, and a path that says whether it is there.
ROLES = [
    ("Prometheus", 9090, "/-/ready"), ("Grafana", 3001, "/api/health"), ("Loki", 3100, "/ready"), ("Promtail", 9080, "/ready"),
    ("Tempo", 3200, "/ready"), ("Alertmanager", 9093, "/-/ready"), ("Node exporter", 9100, "/metrics"),
]
# Those run where a database and a cache are configured; the demo has neither.
OPTIONAL = ["postgres-exporter", "redis-exporter"]


class Checklist:
    def __init__(self, scratch):
        os.environ["GRAFANA_ADMIN_PASSWORD"] = PASSWORD
        self.prometheus = scratch.reba(command="demo", config=hurried(scratch.folder / "monitoring"))
        self.offset = self.prometheus.offset
        self.grafana = self.at(3001)
        self.cookie = None

    def at(self, port, host="127.0.0.1"):
        return Http(f"http://{host}:{port + self.offset}")

    def incident(self, action, name):
        status, _, body = self.at(3999, "127.0.1.100").raw(f"/incidents/{name}/{action}", data=b"", method="POST")
        assert status == 200, body

    def inbox(self, channel, word):
        """Messages of a channel that have a word in them."""
        _, _, body = self.at(8025, "127.0.1.100").raw("/messages")
        found = [m for m in json.loads(body)["messages"] if m["channel"] == channel]
        return [m for m in found if word in m["subject"] + m["text"]]

    def ask(self, path, body=None):
        """Asks Grafana's API as the logged-in user."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Cookie": self.cookie or ""}
        status, answer, text = self.grafana.raw(path, data=data, headers=headers)
        assert status == 200, f"{path}: {status} {text[:300]}"
        return answer, json.loads(text)

    # Infrastructure

    def the_stack_starts_as_one_process(self):
        assert self.prometheus.process.poll() is None

    def every_part_of_it_answers(self):
        for name, port, path in ROLES:
            wait_until(lambda: self.at(port).raw(path)[0] == 200, 10, f"{name} answers on {port}")

    def prometheus_is_accessible_in_a_browser(self):
        status, headers, body = self.prometheus.raw("/")
        assert status == 200 and "text/html" in headers["Content-Type"] and b"<html" in body.lower(), (status, body[:200])

    def grafana_is_accessible_and_asks_who_is_there(self):
        status, headers, _ = self.grafana.raw("/login")
        assert status == 200 and "text/html" in headers["Content-Type"]
        assert self.grafana.raw("/api/search")[0] == 401
        headers, _ = self.ask("/login", {"user": "admin", "password": PASSWORD})
        self.cookie = headers["Set-Cookie"].split(";")[0]
        assert self.ask("/api/user")[1]["login"] == "admin"

    def loki_responds(self):
        assert self.at(3100).raw("/ready")[0] == 200

    # Metrics

    def prometheus_shows_all_targets_as_up(self):
        def all_up():
            targets = self.prometheus.data("targets", state="active")["activeTargets"]
            needed = [t for t in targets if t["labels"]["job"] not in OPTIONAL]
            down = [t["labels"]["job"] for t in needed if t["health"] != "up"]
            assert not down and len(needed) >= 14, f"down: {down}, of {len(needed)}"
            return True
        wait_until(all_up, 20, "every target is up")

    def sample_metrics_are_visible(self):
        for metric in ["http_requests_total", "ride_requests_total", "payment_transactions_total", "node_cpu_seconds_total"]:
            wait_until(lambda: self.prometheus.value(f"count({metric})"), 20, f"{metric} has series")

    def the_system_overview_loads(self):
        found = self.ask("/api/search?query=System%20Overview")[1]
        assert len(found) == 1, found
        self.overview = self.ask(f"/api/dashboards/uid/{found[0]['uid']}")[1]["dashboard"]
        assert self.overview["panels"], "no panels"

    def its_panels_show_data(self):
        def fill(text):
            text = re.sub(r"\$\{?__(rate_interval|interval|range)\}?", "1m", text)
            return re.sub(r"\$\{?[a-z]\w*(:\w+)?\}?", ".*", text)
        panels = [p for panel in self.overview["panels"] for p in [panel, *panel.get("panels", [])]]
        for panel in panels:
            queries = [{**t, "expr": fill(t["expr"]), "datasource": t.get("datasource") or panel["datasource"]}
                       for t in panel.get("targets", []) if t.get("expr")]
            if not queries:
                continue

            def shows():
                body = {"from": str(int((time.time() - 60) * 1000)), "to": str(int(time.time() * 1000)), "queries": queries}
                answer = self.ask("/api/ds/query", body)[1]["results"]
                frames = [f for r in answer.values() for f in r.get("frames", [])]
                return any(f["data"]["values"] and f["data"]["values"][0] for f in frames)
            wait_until(shows, 20, f"the panel {panel['title']!r} shows data")

    # Logs and traces: not in the document's list, since it had them running already

    def logs_of_the_services_flow(self):
        query = 'sum by (service) (count_over_time({service=~".+"}[1m]))'
        def services():
            _, _, body = self.at(3100).raw("/loki/api/v1/query", {"query": query})
            return len(json.loads(body)["data"]["result"]) >= 10
        wait_until(services, 20, "ten services have lines")

    def traces_can_be_found_and_shown(self):
        def found():
            _, _, body = self.at(3200).raw("/api/search", {"q": "{ kind = server }", "limit": 5})
            return json.loads(body)["traces"]
        trace = wait_until(found, 30, "a trace is found")[0]["traceID"]
        status, _, body = self.at(3200).raw(f"/api/traces/{trace}")
        assert status == 200 and json.loads(body), body[:200]

    # Alerts

    def a_stopped_service_fires_service_down(self):
        self.incident("start", "service-down")
        firing = 'ALERTS{alertname="ServiceDown",alertstate="firing",job!~"postgres-exporter|redis-exporter"}'
        labels = next(iter(wait_until(lambda: self.prometheus.query(firing), 20, "ServiceDown fires")))
        self.service = dict(labels)["service"]

    def the_alert_is_routed_to_alertmanager(self):
        def routed():
            _, _, body = self.at(9093).raw("/api/v2/alerts", {"filter": ['alertname="ServiceDown"', f'service="{self.service}"']})
            return json.loads(body)
        alert = wait_until(routed, 15, "Alertmanager has it")[0]
        assert "on-call" in [r["name"] for r in alert["receivers"]], alert["receivers"]

    def an_email_is_received_once(self):
        wait_until(lambda: self.inbox("email", f"ServiceDown {self.service}"), 15, "the e-mail is there")
        self.fired = len(self.inbox("email", f"[FIRING] critical: ServiceDown {self.service}"))
        assert self.fired == 1, self.inbox("email", self.service)

    def a_slack_message_is_received_once(self):
        wait_until(lambda: self.inbox("slack", f"ServiceDown {self.service}"), 15, "the message is there")
        assert len(self.inbox("slack", f"[FIRING] ServiceDown {self.service}")) == 1

    def both_hear_when_the_service_is_back(self):
        self.incident("stop", "service-down")
        for channel in ("email", "slack"):
            resolved = lambda: [m for m in self.inbox(channel, f"ServiceDown {self.service}") if "[RESOLVED]" in m["subject"] + m["text"]]
            wait_until(resolved, 20, f"{channel} says that it is resolved")


BOXES = [
    ("Infrastructure", ["the_stack_starts_as_one_process", "every_part_of_it_answers", "prometheus_is_accessible_in_a_browser",
                        "grafana_is_accessible_and_asks_who_is_there", "loki_responds"]),
    ("Metrics", ["prometheus_shows_all_targets_as_up", "sample_metrics_are_visible", "the_system_overview_loads",
                 "its_panels_show_data"]),
    ("Logs and traces", ["logs_of_the_services_flow", "traces_can_be_found_and_shown"]),
    ("Alerts", ["a_stopped_service_fires_service_down", "the_alert_is_routed_to_alertmanager", "an_email_is_received_once",
                "a_slack_message_is_received_once", "both_hear_when_the_service_is_back"]),
]


def main():
    began = time.monotonic()
    passed, failed = 0, 0
    with Scratch() as scratch:
        checklist = Checklist(scratch)
        for title, boxes in BOXES:
            print(f"\n{title}")
            for box in boxes:
                since = time.monotonic()
                try:
                    getattr(checklist, box)()
                    mark, why = "x", ""
                    passed += 1
                except Exception as error:  # A box that fails must not hide the others.
                    mark, why = " ", f"\n      {type(error).__name__}: {error}"
                    failed += 1
                print(f"  [{mark}] {box.replace('_', ' ')} ({time.monotonic() - since:.1f} s){why}", flush=True)
        if failed:
            print(f"\nThe last lines of Reba's log:\n{checklist.prometheus.log()[-3000:]}")
    print(f"\nin {time.monotonic() - began:.0f} s\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
