"""Grafana's role on port 3001, as its clients see it: PyPI's grafana-client and foundation SDK, a WebSocket, restarts, live reload."""

import json
import re
import time
import unittest

import requests
import websocket
from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError
from grafana_client.model import DatasourceIdentifier
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import expr, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from harness import Http, Scratch, free_offset, wait_until

PASSWORD = "correct horse battery"
PROVIDER = """
apiVersion: 1
providers:
  - {name: files, folder: Files, type: file, updateIntervalSeconds: 1, options: {path: grafana/dashboards}}
"""
SOURCES = """
apiVersion: 1
datasources:
  - {name: Prometheus, type: prometheus, url: 'http://prometheus:9090', isDefault: true, jsonData: {timeInterval: 1s}}
  - {name: Loki, uid: logs, type: loki, url: 'http://loki:3100'}
"""
SCRAPE = """
global: {scrape_interval: 1s}
scrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:%d']}]}]
"""


class Grafana:
    """Reba with its web app's server."""

    def __init__(self, scratch, password=PASSWORD):
        self.scratch = scratch
        scratch.write("conf/.env", f"GRAFANA_ADMIN_PASSWORD={password}\n" if password else "")
        scratch.write("conf/grafana/provisioning/dashboards/d.yml", PROVIDER)
        scratch.write("conf/grafana/provisioning/datasources/d.yml", SOURCES)
        offset = free_offset()
        scratch.write("conf/prometheus/prometheus.yml", SCRAPE % (9090 + offset))
        scratch.write("conf/grafana/dashboards/good.json", json.dumps({"uid": "good", "title": "Good", "panels": []}))
        scratch.write("conf/grafana/dashboards/bad.json", '{\n  "title": "Bad"\n  "panels": []\n}')
        self.program = scratch.reba("--only", "grafana,prometheus,loki", config=scratch.folder / "conf", offset=offset, port=3001,
                                    ready="/api/health")
        self.offset = self.program.offset
        self.url = self.program.base
        self.prometheus = Http(f"http://127.0.0.1:{9090 + self.offset}")
        self.loki = Http(f"http://127.0.0.1:{3100 + self.offset}")
        for role, path in ((self.prometheus, "/-/ready"), (self.loki, "/ready")):
            wait_until(lambda role=role, path=path: role.raw(path)[0] == 200, 30, f"{path} answers")

    def client(self, user="admin", password=PASSWORD):
        return GrafanaApi.from_url(self.url, credential=(user, password))

    def log_in(self, user="admin", password=PASSWORD, **headers):
        session = requests.Session()
        answer = session.post(f"{self.url}/login", json={"user": user, "password": password}, headers=headers, timeout=30)
        return session, answer

    def push(self, line):
        body = {"streams": [{"stream": {"app": "e2e"}, "values": [[str(time.time_ns()), line]]}]}
        status, _, text = self.loki.raw("/loki/api/v1/push", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        assert status == 204, text


class TestGrafana(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.grafana = Grafana(cls.scratch)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.__exit__()

    def test_a_client_keeps_dashboards_folders_and_annotations(self):
        api = self.grafana.client()
        self.assertEqual(api.health.check()["version"], "10.2.2")
        folder = api.folder.create_folder("Team A", "team-a")
        self.assertEqual(folder["uid"], "team-a")
        board = {"title": "Rides", "tags": ["rides"], "panels": [{"type": "text", "title": "one"}]}
        saved = api.dashboard.update_dashboard({"dashboard": board, "folderUid": "team-a"})
        uid = saved["uid"]
        got = api.dashboard.get_dashboard(uid)
        self.assertEqual((got["meta"]["folderTitle"], got["dashboard"]["panels"]), ("Team A", board["panels"]))
        got["dashboard"]["title"] = "Rides today"
        api.dashboard.update_dashboard({"dashboard": got["dashboard"], "message": "renamed"})
        with self.assertRaises(GrafanaClientError) as refused:
            api.dashboard.update_dashboard({"dashboard": got["dashboard"]})
        self.assertEqual(refused.exception.status_code, 412)
        versions = api.dashboard_versions.get_dashboard_versions_by_uid(uid)
        self.assertEqual([(v["version"], v["message"]) for v in versions], [(2, "renamed"), (1, "")])
        by_id = api.dashboard_versions.get_dashboard_versions_by_id(saved["id"])
        self.assertEqual(len(by_id), 2)
        self.assertEqual(api.dashboard_versions.get_dashboard_version_by_uid(uid, 1)["data"]["title"], "Rides")
        diff = api.dashboard_versions.calculate_diff(saved["id"], 1, saved["id"], 2)
        self.assertIn("/title", [c["path"] for c in diff["changes"]])
        api.dashboard_versions.restore_dashboard_by_uid(uid, 1)
        self.assertEqual([h["title"] for h in api.search.search_dashboards(tag="rides")], ["Rides"])
        note = api.annotations.add_annotation(dashboard_uid=uid, text="deployed", tags=["deploy"], time_from=1000, time_to=2000)
        self.assertEqual([a["text"] for a in api.annotations.find_annotations(tags=["deploy"])], ["deployed"])
        api.annotations.delete_annotations_by_id(note["id"])
        api.user.star_dashboard(uid)
        self.assertEqual([h["uid"] for h in api.search.search_dashboards(starred=True)], [uid])
        self.assertIn("Rides", api.dashboard.delete_dashboard(uid)["message"])
        api.folder.delete_folder("team-a")
        with self.assertRaises(GrafanaClientError):
            api.folder.get_folder("team-a")

    def test_a_client_asks_prometheus_and_loki(self):
        api = self.grafana.client()
        self.grafana.push("hello from e2e")
        self.assertEqual({d["name"] for d in api.datasource.list_datasources()}, {"Prometheus", "Loki"})
        source = api.datasource.get(DatasourceIdentifier(name="Prometheus"))
        self.assertEqual(source["uid"], "PBFA97CFB590B2093")
        self.assertTrue(api.datasource.health_check(DatasourceIdentifier(uid=source["uid"])).success)
        self.assertEqual(api.datasource.health("logs")["status"], "OK")

        def counted():
            answer = api.datasource.query(datasource_uid=source["uid"], query="count(prometheus_build_info)", timestamp=time.time())
            return answer["data"]["result"][0]["value"][1] == "1"

        wait_until(counted, 30, "our own metrics are scraped")
        by_id = api.datasource.query_range(datasource_id=source["id"], query="up", start=time.time() - 60, end=time.time(), step=1)
        self.assertEqual(by_id["data"]["resultType"], "matrix")

        def frame_of_up():
            answer = api.datasource.smartquery(source, "count(up)", attrs={"expr": "count(up)"})
            return next(iter(answer["results"].values()))["frames"][0]

        # The steps of a range lie on a grid: the first one with data may be seconds away.
        frame = wait_until(frame_of_up, 30, "a step has data")
        self.assertEqual([f["type"] for f in frame["schema"]["fields"]], ["time", "number"])
        loki = api.datasource.get(DatasourceIdentifier(uid="logs"))

        def found():
            lines = api.datasource.smartquery(loki, '{app="e2e"}', attrs={"queryType": "range"})
            return "hello from e2e" in next(iter(lines["results"].values()))["frames"][0]["data"]["values"][2]

        wait_until(found, 20, "the line is found")

    def test_expressions_calculate_with_what_data_sources_answer(self):
        """The queries as the foundation SDK builds them, asked as grafana-client asks."""
        api = self.grafana.client()
        source = api.datasource.get(DatasourceIdentifier(name="Prometheus"))

        def ask(*queries):
            up = {"refId": "A", "datasource": {"uid": source["uid"]}, "expr": "count(prometheus_build_info) * 4", "hide": True}
            expression = {"type": "__expr__", "uid": "__expr__"}
            body = {"from": "now-30s", "to": "now", "queries": [*[{**q, "datasource": expression} for q in queries], up]}
            answer = requests.post(f"{self.grafana.url}/api/ds/query", json=body, auth=("admin", PASSWORD), timeout=30)
            return answer.status_code, answer.json()["results"]

        reduce = json.loads(JSONEncoder().encode(expr.TypeReduce().ref_id("B").expression("A").reducer("last").build()))
        math = json.loads(JSONEncoder().encode(expr.TypeMath().ref_id("C").expression("$B / 2 + 1").build()))
        over = {"refId": "D", "type": "threshold", "expression": "C", "conditions": [{"evaluator": {"type": "gt", "params": [2.5]}}]}

        def value(result):
            return result["frames"][0]["data"]["values"][-1][-1]

        def calculated():
            status, results = ask(over, math, reduce)
            assert status == 200, results
            return [value(results[name]) for name in "BCD"] == [4, 3, 1] and "A" not in results

        wait_until(calculated, 30, "the expressions have their values")
        status, results = ask({"refId": "X", "type": "math", "expression": "$A +"}, {"refId": "Y", "type": "math", "expression": "$Q"})
        self.assertEqual(status, 400)
        self.assertIn("at character", results["X"]["error"])
        self.assertIn("there is no query Q", results["Y"]["error"])

    def test_a_dashboard_of_the_sdk_comes_back_as_it_was(self):
        panel = timeseries.Panel().title("Up").with_target(prometheus.Dataquery().expr("up").legend_format("{{job}}"))
        built = dashboards.Dashboard("Made by the SDK").uid("by-sdk").tags(["sdk"]).with_panel(panel).build()
        model = json.loads(JSONEncoder().encode(built))
        api = self.grafana.client()
        api.dashboard.update_dashboard({"dashboard": model, "overwrite": True})
        got = api.dashboard.get_dashboard("by-sdk")["dashboard"]
        for key, value in model.items():
            if key not in ("id", "version"):
                self.assertEqual(got[key], value, key)

    def test_programs_come_in_by_token_and_only_as_far_as_their_role(self):
        api = self.grafana.client()
        account = api.serviceaccount.create({"name": "ci", "role": "Viewer"})
        token = api.serviceaccount.create_token(account["id"], {"name": "one"})
        bot = GrafanaApi.from_url(self.grafana.url, credential=token["key"])
        self.assertEqual(bot.user.get_actual_user()["login"], account["login"])
        with self.assertRaises(GrafanaClientError) as refused:
            bot.dashboard.update_dashboard({"dashboard": {"title": "x"}})
        self.assertEqual(refused.exception.status_code, 403)
        api.serviceaccount.delete_token(account["id"], token["id"])
        with self.assertRaises(GrafanaClientError) as refused:
            bot.user.get_actual_user()
        self.assertEqual(refused.exception.status_code, 401)

    def test_a_browser_follows_logs_and_a_page_from_elsewhere_does_not(self):
        session, answer = self.grafana.log_in(Origin=self.grafana.url)
        self.assertEqual(answer.status_code, 200)
        cookie = f"grafana_session={session.cookies['grafana_session']}"
        address = self.grafana.url.replace("http", "ws") + "/api/datasources/proxy/uid/logs/loki/api/v1/tail?query=%7Bapp%3D%22e2e%22%7D"
        for headers in ({"origin": "http://evil.example", "cookie": cookie}, {"origin": self.grafana.url}):
            with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
                websocket.create_connection(address, timeout=10, **headers)
            self.assertEqual(refused.exception.status_code, 403 if "cookie" in headers else 401)
        follower = websocket.create_connection(address, timeout=20, origin=self.grafana.url, cookie=cookie)
        self.grafana.push("followed")
        frame = ""
        while "followed" not in frame:
            frame = follower.recv()
        follower.close()

    def test_files_are_reloaded_while_it_runs_and_faults_are_named(self):
        session, _ = self.grafana.log_in()
        get = lambda path: session.get(self.grafana.url + path, timeout=30).json()
        faults = get("/api/reba/provisioning")["faults"]
        self.assertEqual([(f["line"], f["column"]) for f in faults if f["file"].endswith("bad.json")], [(3, 3)])
        self.assertRegex(self.grafana.program.log(), r"bad\.json:3:3: expected `,` or `}`")
        self.scratch.write("conf/grafana/dashboards/good.json", json.dumps({"uid": "good", "title": "Better", "panels": []}))
        wait_until(lambda: get("/api/dashboards/uid/good")["dashboard"]["title"] == "Better", 20, "the change is seen")

    def test_the_app_is_served_with_a_policy_and_data_is_not_without_a_login(self):
        status, headers, body = self.grafana.program.raw("/d/whatever")
        self.assertEqual(status, 200)
        self.assertIn("script-src 'self'", headers["Content-Security-Policy"])
        self.assertIn(b"<html", body)
        for path in ("/api/search", "/api/datasources", "/api/datasources/proxy/uid/logs/loki/api/v1/labels"):
            self.assertEqual(self.grafana.program.raw(path)[0], 401, path)


class TestRestarts(unittest.TestCase):
    def test_sessions_survive_a_kill_and_guesses_are_stopped_without_a_trace_of_passwords(self):
        with Scratch() as scratch:
            grafana = Grafana(scratch)
            session, answer = grafana.log_in()
            self.assertEqual(answer.status_code, 200)
            cookie = session.cookies["grafana_session"]
            grafana.program.kill()
            grafana.program.start()
            self.assertEqual(session.get(f"{grafana.url}/api/user", timeout=30).json()["login"], "admin")
            statuses = [grafana.log_in(password=f"guess-{i}")[1].status_code for i in range(6)]
            self.assertEqual(statuses, [401] * 5 + [429])
            self.assertEqual(grafana.log_in()[1].status_code, 429)
            log = grafana.program.log()
            self.assertIn("login failed", log)
            for secret in (PASSWORD, cookie, "guess-0"):
                self.assertNotIn(secret, log)
            stored = (scratch.folder / "reba-data/state.db").read_bytes()
            for secret in (PASSWORD, cookie):
                self.assertNotIn(secret.encode(), stored)

    def test_a_password_that_was_made_up_is_printed_at_the_first_start_only(self):
        with Scratch() as scratch:
            grafana = Grafana(scratch, password=None)
            printed = re.findall(r"first user is admin, password (\w+)\.", grafana.program.log())
            self.assertEqual(len(printed), 1, grafana.program.log())
            self.assertEqual(grafana.log_in(password=printed[0])[1].status_code, 200)
            grafana.program.stop()
            grafana.program.start()
            self.assertEqual(grafana.program.log().count("first user is"), 1)
            self.assertEqual(grafana.log_in(password=printed[0])[1].status_code, 200)


if __name__ == "__main__":
    unittest.main()
