"""Remote read and remote write between Reba and Debian's Prometheus."""

import http.server
import subprocess
import threading
import time
import unittest

from harness import PEERS, Scratch, wait_until
from opentelemetry.exporter.otlp.proto.http.metric_exporter import Compression
from test_api import CONFIG, Page
from test_otlp import measure


class RemoteRead(unittest.TestCase):
    def test_prometheus_reads_what_reba_stores(self):
        with Scratch() as scratch:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            scratch.write("conf/prometheus/prometheus.yml", CONFIG.format(port=server.server_port))
            scratch.write("conf/prometheus/rules.yml", "groups: []\n")
            reba = scratch.reba(config=scratch.folder / "conf")
            wait_until(lambda: reba.value("count_over_time(temperature[5m])") >= 3, 30, "a few scrapes")
            reader = scratch.prometheus(scratch.write(
                "reader.yml",
                "global: {external_labels: {cluster: test}}\n"
                f"remote_read:\n- url: {reba.base}/api/v1/read\n  read_recent: true\n",
            ))
            # Asked for with the external label, which no stored series has, and answered in chunks.
            wait_until(lambda: reader.value('count_over_time(temperature[5m])') >= 3, 30, "samples through remote read")
            self.assertEqual(reader.value('temperature'), -0.25)
            now = time.time()
            for query in ["sum(lat_bucket) by (le)", "http_requests_total", 'up{job="gone"}', 'lat_count{zone=~"z.*"}']:
                ours, theirs = (p.query(query, time=now) for p in (reba, reader))
                self.assertTrue(ours, query)
                strip = lambda answer: {tuple(p for p in k if p[0] != "cluster"): v for k, v in answer.items()}
                self.assertEqual(strip(ours), strip(theirs), query)


    def test_reba_reads_what_prometheus_and_another_reba_store(self):
        with Scratch() as scratch:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            text = CONFIG.format(port=server.server_port)
            scratch.write("conf/prometheus/prometheus.yml", text)
            scratch.write("conf/prometheus/rules.yml", "groups: []\n")
            far = scratch.reba(config=scratch.folder / "conf", name="far")
            peer = scratch.prometheus(scratch.folder / "conf/prometheus/prometheus.yml")
            for source in (far, peer):
                wait_until(lambda: source.value("count_over_time(temperature[5m])") >= 3, 30, "a few scrapes")
            for name, source in (("a", far), ("b", peer)):
                # The external label of the source is asked for, and taken off what it answers.
                scratch.write(f"{name}/prometheus/prometheus.yml", (
                    "global: {external_labels: {cluster: test}}\n"
                    f"remote_read:\n- url: {source.base}/api/v1/read\n  read_recent: true\n"
                    "  required_matchers: {job: page}\n"))
                reader = scratch.reba(config=scratch.folder / name, name=f"reader-{name}")
                end = time.time() - 2
                for query in ('temperature{job="page"}', 'sum(lat_bucket{job="page"}) by (le)',
                              'count_over_time(lat_count{job="page"}[5m])'):
                    ours, theirs = (p.query(query, time=end) for p in (reader, source))
                    self.assertTrue(ours, query)
                    self.assertEqual(ours, theirs, query)
                self.assertEqual(reader.query("temperature"), {}, "it lacks the required matcher")
                series = {"match[]": 'temperature{job="page"}'}
                self.assertEqual(len(reader.data("series", **series)), 1)
                source.kill()
                answer = reader.api("query", query='temperature{job="page"}')
                self.assertEqual(answer["status"], "success")
                self.assertRegex(answer["warnings"][0], "^remote_read: error sending request: ")

    def test_native_histograms_are_streamed_to_another_reba(self):
        with Scratch() as scratch:
            far = scratch.reba(name="far")
            measure(far.base, Compression.NoCompression)
            scratch.write("near/prometheus/prometheus.yml", (
                f"remote_read:\n- url: {far.base}/api/v1/read\n  read_recent: true\n"))
            near = scratch.reba(config=scratch.folder / "near", name="near")
            now = time.time()
            for query in ("fine_seconds", "latency_seconds_bucket", '{__name__=~"fine_seconds|queue_length"}'):
                def result(program):
                    return program.data("query", query=query, time=now)["result"]
                self.assertTrue(result(far), query)
                self.assertEqual(result(near), result(far), query)
            stats = near.data("query", query="count(latency_seconds_bucket)", time=now, stats="all")["stats"]["samples"]
            self.assertEqual((stats["totalQueryableSamples"], [n for _, n in stats["totalQueryableSamplesPerStep"]]), (3, [3]))


class RemoteWrite(unittest.TestCase):
    SEND = """remote_write:
- url: {url}/api/v1/write
  name: peer
  send_exemplars: true
  send_native_histograms: {histograms}
  queue_config: {{batch_send_deadline: 200ms, max_backoff: 200ms}}
  protobuf_message: {message}
"""

    def sending(self, scratch, url, message="prometheus.WriteRequest", histograms="true"):
        """Reba that scrapes a page and sends to `url`."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = CONFIG.format(port=server.server_port) + self.SEND.format(url=url, message=message, histograms=histograms)
        scratch.write("conf/prometheus/prometheus.yml", text)
        scratch.write("conf/prometheus/rules.yml", "groups: []\n")
        return scratch.reba(config=scratch.folder / "conf")

    def same_samples(self, ours, theirs, since):
        """Both have the same samples of the last whole seconds, and nobody refused one."""
        query = 'lat_count[{}s]'.format(int(time.time() - since) + 1)
        end = time.time() - 2
        def values(program, strip):
            data = program.data("query", query=query, time=end)["result"]
            return {tuple(sorted((k, v) for k, v in s["metric"].items() if k not in strip)): s["values"] for s in data}
        stored = values(ours, ())
        self.assertTrue(all(len(v) >= 3 for v in stored.values()) and stored, stored)
        self.assertEqual(stored, values(theirs, ("cluster",)))
        status, _, body = ours.raw("/metrics")
        text = body.decode() if isinstance(body, bytes) else body
        self.assertRegex(text, r'prometheus_remote_storage_samples_failed_total\{remote_name="peer",[^}]*\} 0\n')
        return text

    def test_a_real_prometheus_gets_everything_also_what_came_while_it_was_away_and_we_restarted(self):
        with Scratch() as scratch:
            peer = scratch.prometheus(scratch.write("peer.yml", "global: {}\n"))
            reba = self.sending(scratch, peer.base)
            begun = time.time()
            wait_until(lambda: peer.value('count_over_time(lat_count{cluster="test"}[5m])') >= 3, 30, "samples arrive")
            peer.kill()
            time.sleep(2)
            reba.kill()
            reba.start()
            wait_until(lambda: reba.value('count_over_time(lat_count[5m])') >= 7, 30, "scraping goes on")
            peer.start()
            wait_until(lambda: peer.value('up{job="gone"}') == 0, 30, "the peer is back")
            time.sleep(3)
            self.same_samples(reba, peer, begun)
            reba.stop()

    def test_reba_sends_to_reba_in_version_2(self):
        with Scratch() as scratch:
            peer = scratch.reba(name="peer")
            reba = self.sending(scratch, peer.base, "io.prometheus.write.v2.Request")
            begun = time.time()
            wait_until(lambda: peer.value('count_over_time(lat_count{cluster="test"}[5m])') >= 3, 30, "samples arrive")
            time.sleep(3)
            text = self.same_samples(reba, peer, begun)
            for name in ["samples_total", "shards", "queue_highest_sent_timestamp_seconds", "bytes_total"]:
                self.assertIn("prometheus_remote_storage_" + name + '{remote_name="peer"', text)
            done = subprocess.run([PEERS / "promtool", "check", "metrics"], input=text.encode(), capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr.decode()[:2000])


if __name__ == "__main__":
    unittest.main()
