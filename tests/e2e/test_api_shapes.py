"""The rest of Prometheus' HTTP API, endpoint by endpoint: beside Debian's Prometheus where that has it, as upstream's newer
versions have it where it has not. And what of the configuration can be seen over the API."""

import http.server
import json
import threading
import time
import unittest
import urllib.parse
import urllib.request

from harness import REBA, Program, Scratch, free_offset, reba, wait_until
from test_api import CONFIG, RULES, Page, shape


class Shapes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        text = CONFIG.format(port=cls.server.server_port)
        text = text.replace("  external_labels:", "  query_log_file: queries.log\n  external_labels:")
        cls.config = cls.scratch.write("conf/prometheus/prometheus.yml", text)
        more = "- name: other\n  rules:\n  - record: twice\n    expr: 2 * up\n    labels: {kind: more}\n- name: none\n"
        cls.scratch.write("conf/prometheus/rules.yml", RULES + more)
        cls.upstream = cls.scratch.prometheus(cls.config)
        wait_until(lambda: cls.upstream.value('job:up:sum{job="page"}') == 1, 30, "a rule recorded")
        cls.config.write_text(text.replace("queries.log", "ours.log"))
        cls.reba = cls.scratch.reba(config=cls.config.parent.parent)
        wait_until(lambda: cls.reba.value('ALERTS{alertname="Gone",alertstate="firing"}'), 30, "an alert fires")
        wait_until(lambda: cls.reba.value('job:up:sum{job="page"}') == 1, 30, "a rule recorded")

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.scratch.__exit__()

    def test_filters_of_rules_select_the_same(self):
        def names(program, **params):
            groups = program.data("rules", **params)["groups"]
            return [(g["name"], [r["name"] for r in g["rules"]]) for g in groups if g["rules"]]
        # Debian's version knows no filter but the type.
        for params in [{}, {"type": "alert"}, {"type": "record"}]:
            with self.subTest(params):
                self.assertEqual(names(self.reba, **params), names(self.upstream, **params))
        for params, want in [({"rule_name[]": "Gone"}, [("g", ["Gone"])]), ({"rule_group[]": "other"}, [("other", ["twice"])]),
                             ({"file[]": "/nope"}, []),
                             ({"rule_group[]": ["g", "other"], "type": "record"}, [("g", ["job:up:sum"]), ("other", ["twice"])])]:
            with self.subTest(params):
                self.assertEqual(names(self.reba, **params), want)
        for params in [{"type": "x"}]:
            ours, theirs = (json.loads(p.raw("/api/v1/rules", params)[2]) for p in (self.reba, self.upstream))
            self.assertEqual(ours, theirs)
        self.assertEqual(names(self.reba, **{"match[]": '{kind="more"}'}), [("other", ["twice"])])
        self.assertEqual(self.reba.raw("/api/v1/rules", {"exclude_alerts": "perhaps"})[0], 400)
        alerts = self.reba.data("rules", type="alert", exclude_alerts="true")["groups"][0]["rules"][0]["alerts"]
        self.assertIsNone(alerts)

    def test_groups_come_in_pages(self):
        seen, token = [], None
        for _ in range(5):
            params = {"group_limit": "1"} | ({"group_next_token": token} if token else {})
            data = self.reba.data("rules", **params)
            self.assertEqual(len(data["groups"]), 1)
            seen.append(data["groups"][0]["name"])
            token = data.get("groupNextToken")
            if not token:
                break
        self.assertEqual(sorted(seen), ["g", "none", "other"])
        for params in [{"group_next_token": "x"}, {"group_limit": "1", "group_next_token": "x"}, {"group_limit": "0"},
                       {"group_limit": "y"}]:
            self.assertEqual(self.reba.raw("/api/v1/rules", params)[0], 400, params)

    def test_answers_can_be_limited(self):
        for path, params in [("query", {}), ("query_range", {"start": time.time() - 5, "end": time.time(), "step": 1})]:
            answer = self.reba.api(path, query="up", limit="1", **params)
            self.assertEqual(len(answer["data"]["result"]), 1)
            self.assertEqual(answer["warnings"], ["results truncated due to limit"])
            self.assertNotIn("warnings", self.reba.api(path, query="up", limit="2", **params))
        for limit in ["-1", "x"]:
            self.assertEqual(self.reba.raw("/api/v1/query", {"query": "up", "limit": limit})[0], 400)
        for limit in ["0", "-1", "x", "10001"]:
            self.assertEqual(self.reba.raw("/api/v1/status/tsdb", {"limit": limit})[0], 400, limit)
        self.assertEqual(len(self.reba.data("status/tsdb", limit="1")["seriesCountByMetricName"]), 1)

    def test_targets_of_a_pool_and_their_relabelling(self):
        for params in [{"scrapePool": "page"}, {"state": "dropped"}, {"state": "active", "scrapePool": "gone"}]:
            ours, theirs = (p.api("targets", **params) for p in (self.reba, self.upstream))
            newer = ("droppedTargetCounts", "droppedTargets[].scrapePool")
            drop = lambda found: {s for s in found if not any(n in s for n in newer)}
            self.assertEqual(drop(shape(ours)), drop(shape(theirs)), params)
        self.assertEqual(self.reba.data("scrape_pools"), self.upstream.data("scrape_pools"))
        text = self.reba.data("scrape_pools/config", scrapePool="page")["yaml"]
        self.assertIn("job_name: page", text)
        self.assertEqual(self.reba.raw("/api/v1/scrape_pools/config", {"scrapePool": "nope"})[0], 400)
        self.assertEqual(self.reba.raw("/api/v1/scrape_pools/config")[0], 400)
        steps = self.reba.data("targets/relabel_steps", scrapePool="page", labels='{"__address__": "a:1"}')["steps"]
        self.assertEqual((steps[0]["keep"], steps[0]["output"], steps[0]["rule"]["action"]), (False, {}, "drop"))
        steps = self.reba.data("targets/relabel_steps", scrapePool="page", labels='{"__address__": "a:2"}')["steps"]
        self.assertEqual((steps[0]["keep"], steps[0]["output"]), (True, {"__address__": "a:2"}))

    def test_status(self):
        info = self.reba.data("status/runtimeinfo")
        self.assertTrue(info["hostname"] and info["serverTime"])
        self.assertEqual(self.reba.data("status/tsdb/blocks"), {"blocks": []})
        features = self.reba.data("features")
        self.assertTrue(features["promql_functions"]["rate"] and features["api"]["lifecycle"])
        self.assertEqual(set(self.upstream.data("status/flags")) & {"web.route-prefix", "storage.tsdb.path"},
                         set(self.reba.data("status/flags")) & {"web.route-prefix", "storage.tsdb.path"})

    def test_what_is_not_there_says_so(self):
        self.assertEqual(self.reba.raw("/debug/pprof/heap")[0], 404)
        self.assertIn(b"/metrics", self.reba.raw("/debug/pprof/")[2])
        self.assertEqual(self.reba.raw("/consoles/x.html")[0], 404)

    def test_large_answers_are_compressed(self):
        start = time.time()
        params = urllib.parse.urlencode({"query": "vector(time())", "start": start - 9000, "end": start, "step": 1})
        plain = self.reba.raw(f"/api/v1/query_range?{params}")[2]
        self.assertGreater(len(plain), 100_000)
        request = urllib.request.Request(f"{self.reba.base}/api/v1/query_range?{params}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            import gzip
            self.assertEqual(answer.headers["Content-Encoding"], "gzip")
            self.assertEqual(json.loads(gzip.decompress(answer.read()))["data"], json.loads(plain)["data"])

    def test_queries_are_written_down_as_upstream_does(self):
        def lines(name, is_wanted):
            path = self.config.parent / name
            found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            return [line for line in found if is_wanted(line)]
        for program in (self.reba, self.upstream):
            program.api("query_range", query="up + 0", start="10", end="20.5", step="5")
        asked = lambda line: line["params"]["query"] == "up + 0"
        ruled = lambda line: "ruleGroup" in line
        for is_wanted in (asked, ruled):
            ours = wait_until(lambda w=is_wanted: lines("ours.log", w), 10, "our line")
            theirs = wait_until(lambda w=is_wanted: lines("queries.log", w), 10, "their line")
            for part in ("params", "stats", "httpRequest", "ruleGroup"):
                self.assertEqual(shape(ours[0].get(part)), shape(theirs[0].get(part)), part)
        one = lines("ours.log", asked)[0]
        self.assertEqual(one["params"], lines("queries.log", asked)[0]["params"])
        self.assertEqual(one["httpRequest"], {"clientIP": "127.0.0.1", "method": "GET", "path": "/api/v1/query_range"})
        # Who moves the file away and asks for a reload gets a new one.
        (self.config.parent / "ours.log").rename(self.config.parent / "moved.log")
        self.assertEqual(self.reba.raw("/-/reload", method="POST")[0], 200)
        self.reba.api("query", query="up + 1")
        wait_until(lambda: lines("ours.log", lambda line: line["params"]["query"] == "up + 1"), 10, "the new file")

    def test_notifications_tell_of_a_failed_reload_as_it_happens(self):
        self.assertEqual(self.reba.data("notifications"), [])
        good = self.config.read_text()
        with urllib.request.urlopen(f"{self.reba.base}/api/v1/notifications/live", timeout=10) as live:
            self.assertEqual(live.headers["Content-Type"], "text/event-stream")
            self.config.write_text(good + "nonsense: 1\n")
            self.assertEqual(self.reba.raw("/-/reload", method="POST")[0], 500)
            event = json.loads(live.readline().decode().removeprefix("data: "))
            self.assertEqual((event["text"], event["active"]), ("Configuration reload has failed.", True))
            self.assertEqual(self.reba.data("notifications"), [event])
            live.readline()
            self.config.write_text(good)
            self.assertEqual(self.reba.raw("/-/reload", method="POST")[0], 200)
            self.assertFalse(json.loads(live.readline().decode().removeprefix("data: "))["active"])
        self.assertEqual(self.reba.data("notifications"), [])

    def test_queries_are_listed_and_killed_from_the_command_line(self):
        code, out, _ = reba("query", "active", "--url", self.reba.base)
        self.assertEqual((code, out), (0, "no queries\n"), out)
        code, _, out = reba("query", "kill", "999999", "--url", self.reba.base)
        self.assertEqual(code, 1)
        self.assertIn("no active query has the number 999999", out)
        path = "/api/v1/status/active_queries/1/kill"
        self.assertEqual(self.reba.raw(path, method="POST", headers={"Origin": "http://evil.example"})[0], 403)
        self.assertEqual(self.reba.raw(path, method="GET")[0], 405)


class Configuration(unittest.TestCase):
    def test_variables_and_secrets_are_filled_in_everywhere_and_shown_nowhere(self):
        with Scratch() as scratch:
            scratch.write("conf/.env", "NAME=from-env\nTHRESHOLD=0\nPREFIX=/mon/x\n")
            scratch.write("conf/prometheus/token", 'hunter2: "#\n')
            scratch.write("conf/reba.yml", "web: {external_url: 'http://127.0.0.1:9090${PREFIX}'}\n")
            scratch.write("conf/prometheus/rules.yml", "groups:\n- name: ${NAME}\n  rules:\n  - alert: A\n    expr: vector(1) > ${THRESHOLD}\n"
                          "    annotations: {s: 'ls ${UNSET_THING}'}\n")
            config = scratch.write("conf/prometheus/prometheus.yml",
                                   "global: {external_labels: {a: '${NAME}', b: '${file:token}'}}\nrule_files: [rules.yml]\n")
            offset = free_offset()
            line = [str(REBA), "run", "--config", str(scratch.folder / "conf"), "--storage.tsdb.path", str(scratch.sub("data")),
                    "--port-offset", str(offset), "--web.enable-lifecycle"]
            base = f"http://127.0.0.1:{9090 + offset}"
            program = Program(line, base + "/mon/x", scratch.sub("reba"))
            scratch.programs.append(program)
            group = program.data("rules")["groups"][0]
            self.assertEqual((group["name"], group["rules"][0]["annotations"]["s"]), ("from-env", "ls ${UNSET_THING}"))
            shown = program.data("status/config")["yaml"]
            self.assertIn("from-env", shown)
            self.assertNotIn("hunter2", shown)
            # Below the prefix only.
            program.base = base
            self.assertEqual(program.raw("/api/v1/query?query=1")[0], 404)
            program.base = base + "/mon/x"
            config.write_text("scrape_configs: [{job_name: '${NOPE}'}]\n")
            status, _, body = program.raw("/-/reload", method="POST")
            self.assertEqual(status, 500)
            self.assertIn("prometheus.yml:1:30: key scrape_configs[0].job_name: ${NOPE}", body.decode())
            code, out, _ = reba("check", "--config", str(scratch.folder / "conf"))
            self.assertEqual(code, 1)
            self.assertIn("${NOPE}", out)


if __name__ == "__main__":
    unittest.main()
