"""The HTTP API beside Debian's Prometheus on the same configuration and the same targets: same shapes, same answers."""

import http.server
import json
import re
import threading
import unittest

from harness import Scratch, promtool, wait_until

PAGE = """# HELP http_requests_total All requests.
# TYPE http_requests_total counter
http_requests_total{code="200",method="get"} 1027
http_requests_total{code="400",method="post"} 3
# HELP temperature Degrees.
# TYPE temperature gauge
temperature{room="a \\"b\\" \\\\ c"} -0.25
# HELP lat Latency.
# TYPE lat histogram
lat_bucket{le="0.1"} 5
lat_bucket{le="1"} 7
lat_bucket{le="+Inf"} 8
lat_sum 3.5
lat_count 8
"""

CONFIG = """global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
  external_labels: {{cluster: test}}
rule_files: [rules.yml]
scrape_configs:
- job_name: page
  static_configs:
  - targets: ['127.0.0.1:{port}']
    labels: {{zone: z1}}
  relabel_configs:
  - source_labels: [__address__]
    regex: '.*:1$'
    action: drop
- job_name: gone
  static_configs:
  - targets: ['127.0.0.1:1']
"""

RULES = """groups:
- name: g
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
    labels: {kind: recorded}
  - alert: Gone
    expr: up{job="gone"} == 0
    labels: {severity: critical}
    annotations:
      summary: '{{ $labels.instance }} is {{ $value }}'
  - alert: Waiting
    expr: up == 1
    for: 1h
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def shape(value, path=""):
    """Where which JSON type stands, list items merged."""
    if isinstance(value, dict):
        found = set()
        for key, item in value.items():
            found |= shape(item, f"{path}.{key}")
        return found or {f"{path}: {{}}"}
    if isinstance(value, list):
        found = set()
        for item in value:
            found |= shape(item, f"{path}[]")
        return found or {f"{path}: []"}
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    return {f"{path}: {kind}"}


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        text = CONFIG.format(port=cls.server.server_port)
        config = cls.scratch.write("conf/prometheus/prometheus.yml", text)
        cls.scratch.write("conf/prometheus/rules.yml", RULES)
        cls.config = config
        cls.reba = cls.scratch.reba(config=config.parent.parent)
        cls.upstream = cls.scratch.prometheus(config)
        for program in (cls.reba, cls.upstream):
            wait_until(lambda p=program: p.value("count_over_time(temperature[1m])") >= 3, 30, "three scrapes")
            wait_until(lambda p=program: p.value('ALERTS{alertname="Gone",alertstate="firing"}'), 30, "an alert fires")
            wait_until(lambda p=program: p.value('job:up:sum{job="page"}') == 1, 30, "a rule recorded")

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.scratch.__exit__()

    def both(self, path, **params):
        return self.reba.api(path, **params), self.upstream.api(path, **params)

    def assert_same_shape(self, path, ignore=(), **params):
        ours, theirs = self.both(path, **params)
        drop = lambda found: {s for s in found if not any(i in s for i in ignore)}
        self.assertEqual(drop(shape(ours)), drop(shape(theirs)), path)

    def assert_same(self, path, **params):
        ours, theirs = self.both(path, **params)
        self.assertEqual(ours, theirs, f"{path} {params}")

    def test_state_endpoints_have_the_same_shape(self):
        # What 2.48 has and Debian's 2.42 has not, or has under another name.
        newer = ("droppedTargetCounts", "GOMEMLIMIT", "keepFiringFor", "keepFiringSince", "serverTime", "hostname")
        for path in ["targets", "targets/metadata", "metadata", "rules", "alerts", "alertmanagers", "status/config",
                     "status/runtimeinfo", "status/buildinfo", "status/tsdb", "status/walreplay"]:
            with self.subTest(path):
                self.assert_same_shape(path, ignore=newer)

    def test_label_and_series_endpoints_give_the_same_answers(self):
        for path, params in [
            ("labels", {}), ("labels", {"match[]": "temperature"}), ("label/job/values", {}),
            ("label/room/values", {"match[]": "{zone=\"z1\"}"}), ("label/__name__/values", {"match[]": "{job=\"page\"}"}),
            ("label/nope/values", {}), ("series", {"match[]": ["temperature", "up"]}),
        ]:
            with self.subTest(path=path, params=params):
                ours, theirs = self.both(path, **params)
                key = lambda x: json.dumps(x, sort_keys=True)
                self.assertEqual(sorted(ours["data"] or [], key=key), sorted(theirs["data"] or [], key=key))

    def test_errors_are_the_same(self):
        for path, params in [
            ("query", {}), ("query", {"query": "sum("}), ("query", {"query": "up", "time": "x"}),
            ("query", {"query": "up", "timeout": "y"}), ("query_range", {"query": "up"}),
            ("query_range", {"query": "up", "start": "1", "end": "0", "step": "1"}),
            ("query_range", {"query": "up", "start": "0", "end": "1", "step": "0"}),
            ("query_range", {"query": "up", "start": "0", "end": "100000", "step": "1"}),
            ("query_range", {"query": "up[5m]", "start": "0", "end": "1", "step": "1"}),
            ("series", {}), ("series", {"match[]": "{a=\"\"}"}),
            ("query", {"query": "up + on() group_left() up"}),
        ]:
            with self.subTest(path=path, params=params):
                (ours_status, _, ours), (theirs_status, _, theirs) = (
                    p.raw("/api/v1/" + path, params) for p in (self.reba, self.upstream))
                ours, theirs = json.loads(ours), json.loads(theirs)
                self.assertEqual((ours_status, ours["status"], ours.get("errorType")),
                                 (theirs_status, theirs["status"], theirs.get("errorType")), (ours, theirs))

    def test_values_are_printed_the_same(self):
        for expr in ["1", "1/3", "-0.25", "1e21", "1e-7", "NaN", "Inf", "-Inf", "123456789012345680", "0.1+0.2",
                     "'text \"quoted\"'", "vector(1)", "scalar(vector(2))"]:
            self.assert_same("query", query=expr, time="1700000000.3")
        self.assert_same("query_range", query="vector(time())", start="1700000000.05", end="1700000010", step="2.5")

    def test_post_forms_work(self):
        status, _, body = self.reba.raw("/api/v1/query", data=b"query=1%2B1&time=0",
                                        headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((status, json.loads(body)["data"]["result"]), (200, [0, "2"]))

    def test_addresses_pasted_from_upstreams_documentation_work(self):
        # `curl -g` sends braces and quotes as they stand.
        import http.client
        for program in (self.reba, self.upstream):
            connection = http.client.HTTPConnection(program.base.removeprefix("http://"))
            connection.request("GET", '/api/v1/series?match[]=up{job="page"}')
            answer = connection.getresponse()
            self.assertEqual((answer.status, len(json.loads(answer.read())["data"])), (200, 1))
            connection.close()

    def test_plain_routes(self):
        for path, code, text in [("/-/healthy", 200, b"Prometheus Server is Healthy.\n"),
                                 ("/-/ready", 200, b"Prometheus Server is Ready.\n"),
                                 ("/nope", 404, b"404 page not found\n"), ("/api/v1/nope", 404, b"404 page not found\n")]:
            status, _, body = self.reba.raw(path)
            self.assertEqual((status, body), (code, text))
        self.assertEqual(self.reba.raw("/api/v1/query", method="OPTIONS")[0], 204)
        self.assertEqual(self.reba.raw("/api/v1/query", method="DELETE")[0], 405)
        self.assertEqual(self.reba.raw("/-/reload")[0], 405)

    def test_the_tree_of_a_query(self):
        tree = self.reba.data("parse_query", query="rate(up[5m])")
        self.assertEqual((tree["type"], tree["args"][0]["type"]), ("call", "matrixSelector"))

    def test_federation(self):
        params = {"match[]": 'temperature'}
        ours, theirs = (p.raw("/federate", params)[2].decode() for p in (self.reba, self.upstream))
        # The order of labels is free, the timestamps are each server's own.
        strip = lambda text: [sorted(re.findall(r'\w+="(?:\\.|[^"])*"|^\w+|# .*|} \S+', line)) for line in text.splitlines()]
        self.assertEqual(strip(ours), strip(theirs))
        self.assertIn('cluster="test"', ours)
        self.assertEqual(self.reba.raw("/federate", {"match[]": "("})[0], 400)

    def test_promtool_queries(self):
        for arguments in [["query", "instant", self.reba.base, "up"], ["query", "labels", self.reba.base, "job"],
                          ["query", "series", "--match=up", self.reba.base],
                          ["query", "range", "--step=1s", self.reba.base, "up"]]:
            code, out = promtool(*arguments)
            self.assertEqual(code, 0, out)
        self.assertIn('instance="127.0.0.1', promtool("query", "instant", self.reba.base, "up")[1])

    def test_own_metrics_are_a_valid_exposition(self):
        status, _, body = self.reba.raw("/metrics")
        self.assertEqual(status, 200)
        text = body.decode()
        for name in ["prometheus_build_info", "prometheus_config_last_reload_successful 1", "prometheus_tsdb_head_series",
                     "prometheus_tsdb_head_samples_appended_total", "prometheus_rule_evaluations_total",
                     "prometheus_engine_queries", "prometheus_http_requests_total", "process_cpu_seconds_total",
                     "prometheus_target_scrape_pool_targets", "prometheus_notifications_queue_capacity"]:
            self.assertIn(name, text)
        import subprocess
        from harness import PEERS
        done = subprocess.run([PEERS / "promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr.decode()[:2000])

    def test_the_python_client_works(self):
        from datetime import datetime, timedelta
        from prometheus_api_client import MetricsList, PrometheusConnect
        client = PrometheusConnect(url=self.reba.base)
        self.assertTrue(client.check_prometheus_connection())
        self.assertIn("temperature", client.all_metrics())
        self.assertEqual(client.get_current_metric_value("temperature")[0]["value"][1], "-0.25")
        end = datetime.now()
        data = client.get_metric_range_data("up", start_time=end - timedelta(seconds=20), end_time=end)
        self.assertGreaterEqual(len(MetricsList(data)), 2)
        self.assertEqual(client.custom_query_range("up", end - timedelta(seconds=5), end, "1")[0]["metric"]["__name__"], "up")

    def test_remote_write_from_promtool_style_senders_is_accepted(self):
        # The real sender: Debian's Prometheus ships what it scrapes.
        text = self.config.read_text().split("- job_name: gone")[0]
        text += f"remote_write:\n- url: {self.reba.base}/api/v1/write\n"
        text = text.replace("job_name: page", "job_name: shipped").replace("cluster: test", "cluster: shipped")
        with Scratch() as scratch:
            config = scratch.write("prometheus.yml", text)
            scratch.write("rules.yml", "groups: []\n")
            scratch.prometheus(config)
            wait_until(lambda: self.reba.value('temperature{cluster="shipped"}') == -0.25, 60, "shipped samples arrive")

    def test_malformed_writes_are_refused(self):
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        for body in [b"", b"\xff" * 100, b"\xff\xff\xff\xff\x0f" + b"x" * 20]:
            status, _, answer = self.reba.raw("/api/v1/write", data=body, headers=headers)
            self.assertIn(status, (204, 400) if body == b"" else (400, 413), answer)


class Reload(unittest.TestCase):
    def test_a_bad_configuration_leaves_the_old_one_and_a_good_one_keeps_targets(self):
        with Scratch() as scratch:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            text = CONFIG.format(port=server.server_port)
            config = scratch.write("conf/prometheus/prometheus.yml", text)
            scratch.write("conf/prometheus/rules.yml", RULES)
            program = scratch.reba(config=scratch.folder / "conf")
            wait_until(lambda: program.value('up{job="page"}') == 1, 20, "first scrape")
            config.write_text(text + "nonsense: 1\n")
            status, _, body = program.raw("/-/reload", method="POST")
            self.assertEqual(status, 500)
            self.assertRegex(body.decode(), r"prometheus\.yml:\d+.*nonsense")
            self.assertEqual(program.value('up{job="page"}'), 1)
            self.assertIn("prometheus_config_last_reload_successful 0", program.raw("/metrics")[2].decode())
            # What is found to be wrong late, here a proxy of a kind that there is not, must not have changed anything either.
            config.write_text(text + "- job_name: far\n  proxy_url: socks5://127.0.0.1:1\n"
                              "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}\n")
            self.assertEqual(program.raw("/-/reload", method="POST")[0], 500)
            self.assertEqual(program.data("alertmanagers")["activeAlertmanagers"], [])
            config.write_text(text + "- job_name: new\n  static_configs: [{targets: ['127.0.0.1:%d']}]\n" % server.server_port)
            self.assertEqual(program.raw("/-/reload", method="POST")[0], 200)
            wait_until(lambda: program.value('up{job="new"}') == 1, 20, "the new target")
            gaps = program.value('max_over_time((time() - timestamp(up{job="page"}))[10s:100ms])')
            self.assertLess(gaps, 3, "the old target was scraped all along")
            server.shutdown()
