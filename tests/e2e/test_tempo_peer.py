"""The same spans to Reba and to a real Tempo (the environment's TEMPO names its binary), the same questions to both."""

import json
import os
import random
import time
import unittest

from harness import Http, Program, Scratch, free_port, wait_until
from traces import JSON, Tempo, otlp, span

PEER = """
server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
distributor: {{receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}}}
ingester: {{lifecycler: {{ring: {{kvstore: {{store: inmemory}}, replication_factor: 1}}, address: 127.0.0.1}}}}
compactor: {{ring: {{kvstore: {{store: inmemory}}}}}}
memberlist: {{bind_addr: [127.0.0.1], bind_port: {gossip}}}
storage: {{trace: {{backend: local, wal: {{path: {folder}/wal}}, local: {{path: {folder}/blocks}}}}}}
usage_report: {{reporting_enabled: false}}
"""

# What 2.3 and later versions answer alike.
QUERIES = [
    "{}", "{ true }", '{ resource.service.name = "shop" }', '{ .service.name = "bank" }', '{ name = "charge" }', "{ status = error }",
    "{ status != ok }", "{ kind = server }", "{ duration > 200ms }", "{ duration >= 0.1s && duration < 300ms }", "{ span.code >= 500 }",
    "{ span.code != 200 }", "{ .code = 404 || .code = 500 }", "{ !(.code = 200) && .code > 0 }", '{ span.user =~ "u[12]$" }', '{ span.user !~ "u1.*" }',
    "{ span.ratio > 0.5 }", "{ span.paid }", "{ span.paid = false }", "{ span.nothing = 1 }", "{ rootName = \"GET /\" }", '{ rootServiceName = "gate" }',
    "{ traceDuration > 500ms }", '{ resource.service.name = "gate" } > { resource.service.name = "shop" }', '{ name = "GET /" } >> { status = error }',
    '{ name = "charge" } ~ { name = "list" }', '{ name = "charge" } && { name = "list" }', '{ name = "charge" } || { name = "nothing" }',
    "{} | count() > 4", "{ status = error } | count() >= 2", "{} | avg(duration) > 150ms", "{} | max(span.code) >= 500", "{} | min(duration) < 20ms",
    "{} | sum(span.code) > 1000", "{ status = error } | by(resource.service.name) | count() > 1", "{ .code + 1 = 501 }", "{ .code = 500 } | select(span.user)",
]
TAGS = ["service.name", "name", "code", "user"]


def spans(dice, n, now):
    """A trace of a small shop, by service."""
    trace_id, by_service = f"{dice.getrandbits(128):032x}", {}
    start = now - n * 10**9 - 10**9
    ids = []
    for i in range(dice.randint(1, 7)):
        service = "gate" if i == 0 else dice.choice(["shop", "bank", "users"])
        begin = start + i * 1_000_000
        values = {"code": {"intValue": str(dice.choice([200, 200, 404, 500]))}, "user": {"stringValue": f"u{dice.randint(1, 30)}"},
                  "ratio": {"doubleValue": dice.random()}, "paid": {"boolValue": dice.random() < 0.5}}
        some = [{"key": k, "value": v} for k, v in values.items() if dice.random() < 0.8]
        ids.append(f"{dice.getrandbits(64):016x}")
        parent = dice.choice(ids[:-1]) if i else ""
        name = "GET /" if i == 0 else dice.choice(["charge", "list", "query"])
        made = span(trace_id, ids[-1], parent, start=begin, end=begin + dice.randint(1, 700) * 1_000_000, name=name, kind=dice.randint(1, 5),
                    status={"code": dice.randint(0, 2)}, attributes=some)
        by_service.setdefault(service, []).append(made)
    return trace_id, by_service


@unittest.skipUnless(os.environ.get("TEMPO"), "TEMPO names no binary")
class Peer(unittest.TestCase):
    def test_a_real_tempo_gives_the_same_answers(self):
        with Scratch() as scratch:
            ports = {name: free_port() for name in ("http", "grpc", "otlp", "gossip")}
            folder = scratch.sub("tempo")
            config = scratch.write("peer.yml", PEER.format(folder=folder, **ports))
            peer = Program([os.environ["TEMPO"], f"-config.file={config}"], f"http://127.0.0.1:{ports['http']}", folder, ready="/ready", patience=90)
            scratch.programs.append(peer)
            receiver, reba = Http(f"http://127.0.0.1:{ports['otlp']}"), Tempo(scratch)
            dice, now, ids = random.Random(7), time.time_ns(), []
            for n in range(60):
                trace_id, by_service = spans(dice, n, now)
                ids.append(trace_id)
                for service, made in by_service.items():
                    body = otlp(made, service)
                    self.assertEqual(reba.push(body)[0], 200)
                    self.assertEqual(receiver.raw("/v1/traces", data=body, headers={"Content-Type": JSON})[0], 200)
            both = {"reba": reba.program, "tempo": peer}
            around = {"start": now // 10**9 - 600, "end": now // 10**9 + 60}

            def ask(program, path, params):
                status, _, body = program.raw(path, params)
                return json.loads(body) if status == 200 else (status, body.decode())

            def traces(program, query):
                answer = ask(program, "/api/search", {"q": query, "limit": 100, "spss": 100, **around})
                assert isinstance(answer, dict), (query, answer)
                shown = {}
                for trace in answer.get("traces", []):
                    sets = trace.get("spanSets") or [trace["spanSet"]]
                    shown[trace["traceID"]] = sorted(sorted(s["spanID"] for s in spanset["spans"]) for spanset in sets)
                return shown
            wait_until(lambda: len(traces(peer, "{}")) == len(ids), 60, "the peer finds every trace")
            for query in QUERIES:
                found = {name: traces(program, query) for name, program in both.items()}
                self.assertEqual(found["reba"], found["tempo"], query)
            for tag in TAGS:
                values = {name: sorted(ask(program, f"/api/search/tag/{tag}/values", around)["tagValues"]) for name, program in both.items()}
                self.assertEqual(values["reba"], values["tempo"], tag)
            for trace_id in ids[:10]:
                shown = {}
                for name, program in both.items():
                    batches = ask(program, f"/api/traces/{trace_id}", {})["batches"]
                    one = [s for b in batches for scope in b.get("scopeSpans", b.get("instrumentationLibrarySpans", [])) for s in scope["spans"]]
                    shown[name] = sorted((s["spanId"], s["name"], s.get("kind"), s["startTimeUnixNano"], json.dumps(s.get("attributes"), sort_keys=True)) for s in one)
                self.assertEqual(shown["reba"], shown["tempo"])
            for program in both.values():
                self.assertEqual(program.raw("/api/traces/0")[0], 404)
                self.assertEqual(program.raw("/api/search", {"q": "{"})[0], 400)


if __name__ == "__main__":
    unittest.main()
