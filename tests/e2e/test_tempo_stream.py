"""Tempo's StreamingQuerier as Grafana uses it: parts as blocks are done, progress, and together the answer of HTTP."""

import time
import unittest

import grpc
from harness import Scratch, wait_until
from traces import TEMPO, Tempo, otlp, span

BATCHES, TRACES = 6, 10


def index(message):
    """Series by their label, point by point."""
    return {s.promLabels: {sample.timestamp_ms: sample.value for sample in s.samples} for s in message.series}


class Streaming(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.scratch.__enter__()
        cls.addClassCleanup(cls.scratch.__exit__, None, None, None)
        cls.tempo = Tempo(cls.scratch)
        cls.now = int(time.time())
        # Older and older traces, each batch in a block of its own.
        for batch in reversed(range(BATCHES)):
            spans = []
            for i in range(TRACES):
                start = (cls.now - 10 - batch * 60 - i) * 10**9
                n = batch * TRACES + i + 1
                more = {"name": f"op-{batch}", "attributes": [{"key": f"key-{batch}", "value": {"intValue": str(i)}}]}
                spans.append(span(f"{n:032x}", f"{n:016x}", start=start, end=start + (i + 1) * 1_000_000, **more))
            assert cls.tempo.push(otlp(spans, service=f"service-{batch}"))[0] == 200
            if batch:
                # The newest ones stay in memory, so that there is more than one place to look however blocks are merged.
                cls.tempo.flush()

    def progress(self, messages):
        """All messages tell how far the question is, and only the last that it is done."""
        jobs = [(m.metrics.completedJobs, m.metrics.totalJobs) for m in messages]
        self.assertGreater(len(jobs), 1, "there are parts")
        self.assertTrue(all(done < total for done, total in jobs[:-1]), jobs)
        self.assertEqual(jobs[-1][0], jobs[-1][1])
        self.assertGreaterEqual(jobs[-1][1], 2)

    def test_traces_come_as_blocks_are_done_and_are_those_of_http(self):
        for query, limit in (("{}", 50), ("{ duration > 5ms }", 12), ('{ resource.service.name = "service-3" }', 20)):
            request = TEMPO["SearchRequest"](Query=query, Limit=limit, SpansPerSpanSet=3, start=self.now - 3600, end=self.now + 60)
            messages = self.tempo.stream("Search", request, "SearchResponse")
            self.progress(messages)
            streamed = [trace.traceID for message in messages for trace in message.traces]
            over_http = self.tempo.found(query, limit=limit, start=self.now - 3600, end=self.now + 60)
            self.assertEqual(streamed, over_http, query)
        self.assertEqual(messages[-1].metrics.inspectedTraces > 0, True)
        first = next(trace for message in messages for trace in message.traces)
        self.assertEqual((first.rootServiceName, first.serviceStats["service-3"].spanCount), ("service-3", 1))
        self.assertEqual((first.spanSets[0].matched, first.spanSet.spans[0].name), (1, "op-3"))

    def test_tags_of_old_are_a_search_too(self):
        request = TEMPO["SearchRequest"](Tags={"service.name": "SERVICE-2"}, MinDurationMs=8, Limit=20)
        messages = self.tempo.stream("Search", request, "SearchResponse")
        self.assertEqual(sum(len(m.traces) for m in messages), 3)

    def test_series_come_as_they_stand_and_end_as_those_of_http(self):
        start, end, step = self.now - 600, self.now + 60, 60
        query = "{} | count_over_time() by (resource.service.name)"
        request = TEMPO["QueryRangeRequest"](query=query, start=start * 10**9, end=end * 10**9, step=step * 10**9)
        messages = self.tempo.stream("MetricsQueryRange", request, "QueryRangeResponse")
        self.progress(messages)
        # As Grafana puts them together: of two values for one time the later one counts.
        together = {}
        for message in messages:
            for labels, points in index(message).items():
                together.setdefault(labels, {}).update(points)
        last = index(messages[-1])
        self.assertEqual(together, last)
        answer = self.tempo.get("/api/metrics/query_range", q=query, start=start, end=end, step=step)
        over_http = {s["promLabels"]: {int(p["timestampMs"]): p.get("value", 0) for p in s["samples"]} for s in answer["series"]}
        self.assertEqual(last, over_http)
        self.assertEqual(sum(value for points in last.values() for value in points.values()), BATCHES * TRACES)
        self.assertTrue(all(not s.exemplars for m in messages[:-1] for s in m.series))
        self.assertTrue(all(s.exemplars for s in messages[-1].series))
        instant = TEMPO["QueryInstantRequest"](query="{} | count_over_time()", start=start * 10**9, end=end * 10**9)
        messages = self.tempo.stream("MetricsQueryInstant", instant, "QueryInstantResponse")
        self.assertEqual([s.value for s in messages[-1].series], [BATCHES * TRACES])

    def test_names_and_values_come_once_each(self):
        names = lambda query: TEMPO["SearchTagsRequest"](scope="span", query=query)
        for query in ("", "{ duration > 1ms }"):
            messages = self.tempo.stream("SearchTagsV2", names(query), "SearchTagsV2Response")
            tags = [tag for m in messages for scope in m.scopes for tag in scope.tags]
            self.assertEqual(sorted(tags), [f"key-{batch}" for batch in range(BATCHES)])
        self.assertGreater(len(messages), 1)
        messages = self.tempo.stream("SearchTags", names(""), "SearchTagsResponse")
        self.assertEqual(sorted(tag for m in messages for tag in m.tagNames), [f"key-{batch}" for batch in range(BATCHES)])
        for query in ("", "{ duration > 1ms }"):
            request = TEMPO["SearchTagValuesRequest"](tagName="resource.service.name", query=query)
            messages = self.tempo.stream("SearchTagValuesV2", request, "SearchTagValuesV2Response")
            values = [(v.type, v.value) for m in messages for v in m.tagValues]
            self.assertEqual(sorted(values), [("string", f"service-{batch}") for batch in range(BATCHES)])
            self.assertGreater(len(messages), 1)
        request = TEMPO["SearchTagValuesRequest"](tagName="name")
        messages = self.tempo.stream("SearchTagValues", request, "SearchTagValuesResponse")
        self.assertEqual(sorted(v for m in messages for v in m.tagValues), [f"op-{batch}" for batch in range(BATCHES)])

    def test_a_trace_is_found_by_id_over_grpc(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.tempo.port(3200)}") as channel:
            find = channel.unary_unary("/tempopb.Querier/FindTraceByID", response_deserializer=TEMPO["TraceByIDResponse"].FromString)
            request = TEMPO["TraceByIDRequest"](traceID=(1).to_bytes(16, "big")).SerializeToString()
            answer = find(request, timeout=20)
            self.assertIn(b"op-0", answer.trace)
            with self.assertRaises(grpc.RpcError) as caught:
                find(TEMPO["TraceByIDRequest"](traceID=b"x").SerializeToString(), timeout=20)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_what_is_wrong_is_told_by_grpcs_codes(self):
        for method, request, answer, said in (
            ("Search", TEMPO["SearchRequest"](Query="{"), "SearchResponse", "parse error at line 1"),
            ("Search", TEMPO["SearchRequest"](Query="{} | rate()"), "SearchResponse", "invalid TraceQL query"),
            ("MetricsQueryRange", TEMPO["QueryRangeRequest"](query="{}", start=10**9, end=2 * 10**9), "QueryRangeResponse", "rate()"),
            ("SearchTagsV2", TEMPO["SearchTagsRequest"](scope="x"), "SearchTagsV2Response", "invalid scope"),
        ):
            with self.assertRaises(grpc.RpcError) as caught:
                self.tempo.stream(method, request, answer)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, method)
            self.assertIn(said, caught.exception.details())

    def test_a_reader_that_leaves_leaves_nothing_running(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.tempo.port(3200)}") as channel:
            search = channel.unary_stream("/tempopb.StreamingQuerier/Search")
            for _ in range(20):
                call = search(TEMPO["SearchRequest"](Query="{} >> {}", Limit=50).SerializeToString(), timeout=30)
                next(call)
                call.cancel()
        wait_until(lambda: self.tempo.metric("reba_traces_queries_active") == 0, 20, "nothing runs any more")


if __name__ == "__main__":
    unittest.main()
