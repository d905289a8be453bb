"""The same entries to Reba and to a real Loki 3 (the environment's LOKI names its binary), the same questions to both."""

import json
import math
import os
import time
import unittest
import urllib.parse

import loki_cases as cases
import websocket
from harness import Program, Scratch, free_port
from test_loki import Loki, protobuf

PEER = """
auth_enabled: false
server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}, log_level: error}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {folder}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}}
  storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}
memberlist: {{bind_addr: [127.0.0.1], bind_port: {gossip}}}
schema_config:
  configs: [{{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}]
storage_config: {{tsdb_shipper: {{active_index_directory: {folder}/index, cache_location: {folder}/cache}}, filesystem: {{directory: {folder}/chunks}}}}
ingester: {{lifecycler: {{min_ready_duration: 0s}}}}
pattern_ingester: {{enabled: true}}
analytics: {{reporting_enabled: false}}
limits_config: {{discover_service_name: [], volume_enabled: true, ingestion_rate_mb: 100, ingestion_burst_size_mb: 200, max_query_series: 5000}}
"""


def named(labels):
    """Labels as a text; what exactly is wrong with a line each parser says in words of its own."""
    return json.dumps({n: v for n, v in labels.items() if n != "__error_details__"}, sort_keys=True, ensure_ascii=False)


def compared(answer):
    """An answer in a form in which order and statistics do not count, where they are free."""
    status, body = answer
    if status != 200:
        return status, body.strip()
    answer = json.loads(body)
    if not isinstance(answer, dict) or "resultType" not in (answer.get("data") or {} if isinstance(answer.get("data"), dict) else {}):
        return status, answer
    data = answer["data"]
    kind, result = data["resultType"], data["result"]
    flags = data.get("encodingFlags")
    if kind == "streams":
        streams = {}
        for s in result:
            # Without being asked, Loki 2.9 and Reba show structured metadata beside the line, too.
            streams.setdefault(named(s["stream"]), []).extend(s["values"] if flags else [v[:2] for v in s["values"]])
        result = {labels: sorted(values, key=str) for labels, values in streams.items()}
    elif kind in ("matrix", "vector"):
        result = {named(s["metric"]): s.get("values") or s["value"] for s in result}
    return status, kind, flags, result


def same(a, b):
    """Whether two answers are the same, but for the last digits of numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, str) and isinstance(b, str) and a != b:
        try:
            return math.isclose(float(a), float(b), rel_tol=1e-9)
        except ValueError:
            return False
    return a == b


class Pair:
    """Reba and its peer with the same entries."""

    def __init__(self, scratch):
        ports = {name: free_port() for name in ("http", "grpc", "gossip")}
        folder = scratch.sub("loki")
        config = scratch.write("peer.yml", PEER.format(folder=folder, **ports))
        self.loki = Program([os.environ["LOKI"], f"-config.file={config}"], f"http://127.0.0.1:{ports['http']}", folder, ready="/ready", patience=90)
        scratch.programs.append(self.loki)
        self.reba = Loki(scratch, limits="  max_query_series: 5000\n")
        # Buckets of all steps asked for begin at the same time in both.
        self.start = (time.time_ns() // cases.SECOND - cases.SPAN - 300) // 600 * 600
        self.end = self.start + cases.SPAN
        self.push()

    def push(self):
        for labels, entries in cases.streams(self.start * cases.SECOND):
            text = "{" + ", ".join(f"{n}={json.dumps(v, ensure_ascii=False)}" for n, v in labels.items()) + "}"
            body = protobuf(text, entries)
            for program in (self.loki, self.reba):
                status, _, answer = program.raw("/loki/api/v1/push", data=body, headers={"Content-Type": "application/x-protobuf"})
                assert status == 204, (status, answer)

    def both(self, path, params, headers=None):
        ask = lambda program: compared((lambda a: (a[0], a[2].decode(errors="surrogateescape")))(program.raw(path, params, headers=headers)))
        return ask(self.reba), ask(self.loki)

    def range(self, query, **more):
        return {"query": query, "start": self.start, "end": self.end, "limit": 5000, "direction": "forward", "step": 20, **more}


def ordered(value):
    """Lists in which order means nothing, in one order."""
    if isinstance(value, dict):
        return {k: ordered(v) for k, v in value.items() if not (k == "parsers" and v is None)}
    if isinstance(value, list):
        return sorted(map(ordered, value), key=lambda v: json.dumps(v, sort_keys=True))
    return value


@unittest.skipUnless(os.environ.get("LOKI"), "LOKI names no binary")
class Peer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.__exit__)
        cls.pair = Pair(cls.scratch)

    def check(self, path, params, headers=None, prepare=lambda answer: answer):
        """Compares one answer; a difference is one of the list, and those of the list are still there."""
        reba, loki = map(prepare, self.pair.both("/loki/api/v1/" + path, params, headers))
        reason = cases.DIFFERENT.get(params.get("query"))
        with self.subTest(path=path, **params):
            if reason is None:
                self.assertTrue(same(reba, loki), f"{params}\nReba: {reba}\nLoki: {loki}"[:3000])
            elif path != "query":
                self.assertFalse(same(reba, loki), f"no difference any more: {reason}")

    def test_lines_are_the_same_through_every_stage(self):
        for query in cases.PARSED + cases.FILTERED + cases.FORMATTED:
            self.check("query_range", self.pair.range(query))
        for query in cases.CATEGORIZED:
            self.check("query_range", self.pair.range(query), {"X-Loki-Response-Encoding-Flags": "categorize-labels"})

    def test_numbers_are_the_same_at_one_time_and_over_time(self):
        for query in cases.RANGED + cases.AGGREGATED:
            self.check("query_range", self.pair.range(query))
            kind = lambda answer: (*answer[:3], [0, answer[3][1]]) if answer[1] == "scalar" else answer
            # Scalars have their time in milliseconds there.
            self.check("query", {"query": query, "time": self.pair.end - 60}, prepare=kind)

    def test_what_is_wrong_is_refused_with_the_same_status(self):
        for query in cases.WRONG:
            self.check("query_range", self.pair.range(query), prepare=lambda answer: answer[0])

    def test_what_is_printed_is_the_same_query_to_loki(self):
        printed = lambda program, query: program.raw("/loki/api/v1/format_query", {"query": query})
        for query in cases.PRINTED:
            ours, theirs = printed(self.pair.reba, query), printed(self.pair.loki, query)
            if ours[0] == 200 and theirs[0] == 200:
                with self.subTest(query=query):
                    self.assertEqual(json.loads(printed(self.pair.loki, json.loads(ours[2])["data"])[2]), json.loads(theirs[2]))

    def test_streams_are_described_in_the_same_words(self):
        for path, params in cases.ASKED:
            params = {"start": self.pair.start, "end": self.pair.end, **params}
            plain = path.split("/")[0] in ("query", "query_range", "index")
            self.check(path, params, prepare=(lambda answer: answer) if plain else (lambda answer: (answer[0], ordered(answer[1]))))

    def test_volumes_are_about_the_same_and_in_the_same_order(self):
        around = {"start": self.pair.start, "end": self.pair.end}
        for params in [{"query": '{app=~".+"}'}, {"query": '{app=~".+"}', "targetLabels": "env"}, {"query": '{app=~".+"}', "aggregateBy": "labels"},
                       {"query": '{app=~".+"}', "targetLabels": "env,app"}, {"query": '{app="gate"}'}, {"query": '{app=~".+"}', "limit": 2}]:
            reba, loki = (answer[3] for answer in self.pair.both("/loki/api/v1/index/volume", {**params, **around}))
            self.assertEqual(reba.keys(), loki.keys(), params)
            for labels, (_, size) in reba.items():
                self.assertTrue(math.isclose(int(size), int(loki[labels][1]), rel_tol=0.3, abs_tol=3000), (params, labels, size, loki[labels]))
        # Loki counts in an index that it writes later; what counts here is that there are the same counts.
        reba, loki = (answer[1] for answer in self.pair.both("/loki/api/v1/index/stats", {"query": '{app="gate"}', **around}))
        self.assertEqual((reba.keys(), reba["streams"], reba["entries"]), (loki.keys(), 2, 300))

    def test_what_followers_are_sent_is_the_same(self):
        query = '{app=~"gate|late"} | logfmt | status=404'
        frames = {}
        for name, base in (("reba", self.pair.reba.base), ("loki", self.pair.loki.base)):
            params = urllib.parse.urlencode({"query": query, "start": self.pair.start * cases.SECOND, "limit": 5000})
            client = websocket.create_connection(base.replace("http", "ws") + "/loki/api/v1/tail?" + params, timeout=20)
            self.addCleanup(client.close)
            frames[name] = client
        now = time.time_ns()
        body = protobuf('{app="late"}', [(now, "status=404 last", {}), (now + 1, "status=200 not", {})])
        for program in (self.pair.loki, self.pair.reba):
            self.assertEqual(program.raw("/loki/api/v1/push", data=body, headers={"Content-Type": "application/x-protobuf"})[0], 204)

        def lines(client):
            found = []
            while not any(line.startswith("status=404 last") for _, _, line in found):
                for stream in json.loads(client.recv())["streams"]:
                    found += [(named(stream["stream"]), ns, line) for ns, line, *_ in stream["values"]]
            return sorted(found)
        self.assertEqual(lines(frames["reba"]), lines(frames["loki"]))


if __name__ == "__main__":
    unittest.main()
