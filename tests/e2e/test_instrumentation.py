"""The services that monitoring/README.md shows, in NestJS, Express and axum: compiled, run, scraped by Reba, traced into Reba, their
lines shipped into Reba."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest
import uuid

from harness import ROOT, Http, Program, Scratch, free_port, wait_until

PACKAGE = ROOT / "packages/commons"
README = ROOT / "monitoring/README.md"

PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: services
  static_configs: [{{targets: [{targets}]}}]
"""

# As in the owner's configuration: a trace's id is no label, and is found all the same.
PROMTAIL = """
server: {{http_listen_port: 9080, grpc_listen_port: 0}}
positions: {{filename: {folder}/positions.yaml, sync_period: 200ms}}
clients: [{{url: "http://127.0.0.1:3100/loki/api/v1/push", batchwait: 100ms}}]
target_config: {{sync_period: 300ms}}
scrape_configs:
- job_name: services
  static_configs: [{{targets: [localhost], labels: {{job: services, __path__: '{folder}/*/log'}}}}]
  pipeline_stages:
  - json: {{expressions: {{service: service, time: time}}}}
  - labels: {{service:}}
"""

ROLES = "prometheus,loki,promtail,tempo,otlp"

# Service, how it is asked, the route that its metrics and spans have, the line that it writes.
SERVICES = [
    ("agent-core", "/rides/motorbike", "/rides/:type", "ride requested"),
    ("wallet-service", "/wallets/0788123456/payments", "/wallets/:id/payments", "wallet paid"),
    ("insurance-service", "/policies/7/payments", "/policies/{id}/payments", "policy paid"),
]


def snippets():
    """The files that the README shows, by their names."""
    return dict(re.findall(r"```ts\n// file: (\S+)\n(.*?)```", README.read_text(), re.DOTALL))


def compile_snippets(folder):
    """Writes them to `folder`, checks their types and compiles them, as a service's build does."""
    for name, text in snippets().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = sorted(str(path) for path in folder.rglob("*.ts"))
    flags = ["--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "--types", "node", "--ignoreConfig",
             "--experimentalDecorators", "--emitDecoratorMetadata", "--rootDir", str(folder), "--outDir", str(folder)]
    run(["node", str(PACKAGE / "node_modules/typescript/bin/tsc"), *flags, *files], PACKAGE)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"


class Service(Program):
    """A program that is told its port and where spans go by the environment."""

    def __init__(self, command, folder, port, otlp):
        self.variables = {**os.environ, "PORT": str(port), "OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "ENVIRONMENT": "e2e"}
        super().__init__(command, f"http://127.0.0.1:{port}", folder, ready="/health")

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT, env=self.variables)
        wait_until(self.is_ready, self.patience, f"{self.command} is ready; its log:\n{self.log()[-2000:]}")


@unittest.skipUnless(shutil.which("npm"), "there is no npm")
class Instrumentation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run([str(PACKAGE / "scripts/prepare.sh")], ROOT)
        # Within the package, so that it finds what the package has installed and the package itself.
        cls.compiled = PACKAGE / "dist/documented"
        shutil.rmtree(cls.compiled, ignore_errors=True)
        compile_snippets(cls.compiled)
        # Together with Reba, so that what both need is compiled once.
        run(["cargo", "build", "--locked", "--quiet", "--package", "reba", "--package", "easymo-commons", "--example", "axum"], ROOT)
        axum = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/examples/axum"
        cls.commands = {
            "agent-core": ["node", str(cls.compiled / "nestjs/main.js")],
            "wallet-service": ["node", str(cls.compiled / "express/server.js")],
            "insurance-service": [str(axum)],
        }

    def setUp(self):
        self.scratch = Scratch()
        self.scratch.__enter__()
        self.addCleanup(self.scratch.__exit__, None, None, None)
        logs = self.scratch.sub("services")
        ports = {service: free_port() for service in self.commands}
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports.values())
        self.scratch.write("conf/prometheus/prometheus.yml", PROMETHEUS.format(targets=targets))
        self.scratch.write("conf/promtail/promtail-config.yml", PROMTAIL.format(folder=logs))
        self.reba = self.scratch.reba("--only", ROLES, config=self.scratch.sub("conf"))
        role = lambda port: Http(f"http://127.0.0.1:{self.reba.offset + port}")
        self.loki, self.tempo, otlp = role(3100), role(3200), role(4318).base
        self.services = {}
        for service, command in self.commands.items():
            folder = self.scratch.sub(f"services/{service}")
            self.services[service] = Service(command, folder, ports[service], otlp)
            self.scratch.programs.append(self.services[service])

    def trace(self, trace_id):
        """The spans of a trace that Reba has, with the services that they are of."""
        status, _, body = self.tempo.raw(f"/api/traces/{trace_id}")
        if status == 404:
            return []
        attributes = lambda of: {a["key"]: next(iter(a["value"].values())) for a in of.get("attributes", [])}
        return [
            {**span, "attributes": attributes(span), "service": attributes(batch["resource"])["service.name"]}
            for batch in json.loads(body)["batches"] for scope in batch["scopeSpans"] for span in scope["spans"]
        ]

    def lines(self, query):
        """The lines that a query finds, as objects."""
        _, _, body = self.loki.raw("/loki/api/v1/query_range", {"query": query, "limit": 100})
        streams = json.loads(body)["data"]["result"]
        return [json.loads(value[1]) for stream in streams for value in stream["values"]]

    def test_the_documents_services_are_scraped_traced_and_their_lines_shipped(self):
        for service, path, route, said in SERVICES:
            with self.subTest(service):
                trace_id, sender = uuid.uuid4().hex, uuid.uuid4().hex[:16]
                status, _, body = self.services[service].raw(
                    path, data=b"", method="POST", headers={"traceparent": f"00-{trace_id}-{sender}-01"})
                self.assertIn(status, (200, 201), body)
                self.check_metrics(service, route, trace_id)
                self.check_trace(service, route, trace_id, sender)
                self.check_line(service, said, trace_id)
        self.check_business()
        self.check_end()

    def check_metrics(self, service, route, trace_id):
        selector = f'service="{service}", environment="e2e", method="POST", route="{route}", status_code=~"200|201"'
        wait_until(lambda: self.reba.value(f"http_requests_total{{{selector}}}") == 1, 60, f"{service}: the request is counted")
        for name in ("http_request_duration_seconds_count", "http_request_size_bytes_count", "http_response_size_bytes_count"):
            labels = selector if "duration" in name else selector.replace(', status_code=~"200|201"', "")
            self.assertEqual(self.reba.value(f"{name}{{{labels}}}"), 1, name)
        self.assertGreater(self.reba.value(f'process_resident_memory_bytes{{service="{service}"}}'), 1e6)
        self.assertEqual(self.reba.value(f'http_requests_in_flight{{service="{service}"}}'), 0)
        # The metric leads to the trace.
        now = time.time()
        found = self.reba.data("query_exemplars", query=f'http_request_duration_seconds_bucket{{service="{service}"}}', start=now - 300, end=now + 60)
        exemplars = [exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]]
        self.assertEqual(set(exemplars), {trace_id})

    def check_trace(self, service, route, trace_id, sender):
        spans = wait_until(lambda: self.trace(trace_id), 60, f"{service}: the trace is stored")
        self.assertEqual([(span["name"], span["service"]) for span in spans], [(f"POST {route}", service)])
        self.assertEqual(spans[0]["attributes"]["http.route"], route)
        self.assertNotIn("0788123456", json.dumps(spans))

    def check_line(self, service, said, trace_id):
        lines = wait_until(lambda: self.lines(f'{{service="{service}"}} | json | trace_id="{trace_id}"'), 60, f"{service}: its lines are stored")
        line = next(line for line in lines if line["msg"] == said)
        self.assertEqual((line["level"], line["environment"], line["phone"]), (30, "e2e", "+2507******56"), line)
        self.assertRegex(line["span_id"], "^[0-9a-f]{16}$")
        if service == "wallet-service":
            bridged = next(line for line in lines if line.get("source") == "console")
            self.assertEqual((bridged["level"], bridged["msg"]), (40, "card ****1111 was kept"))

    def check_business(self):
        for expression, value in [
            ('ride_requests_total{service="agent-core", service_type="motorbike", status="pending"}', 1),
            ('payment_transactions_total{service="agent-core", payment_method="mpesa", status="success"}', 1),
            ('payment_amount_usd_sum{service="agent-core", payment_method="mpesa"}', 100),
            ('whatsapp_messages_total{service="agent-core", message_type="text", status="sent"}', 1),
            ('payment_amount_usd_sum{service="wallet-service", payment_method="momo"}', 12.5),
            ('payment_amount_usd_sum{service="insurance-service", payment_method="momo"}', 12.5),
        ]:
            self.assertEqual(self.reba.value(expression), value, expression)

    def check_end(self):
        """Told to end, a service answers what is under way, sends its last spans, and ends well."""
        for service, path, route, _ in SERVICES:
            trace_id = uuid.uuid4().hex
            headers = {"traceparent": f"00-{trace_id}-{uuid.uuid4().hex[:16]}-01", "Connection": "close"}
            self.services[service].raw(path, data=b"", method="POST", headers=headers)
            self.assertEqual(self.services[service].stop(), 0, self.services[service].log()[-1000:])
            wait_until(lambda: self.trace(trace_id), 30, f"{service}: the last span is stored")


if __name__ == "__main__":
    unittest.main()
