"""Remote read and remote write between Reba and Debian's Prometheus."""

import http.server
import threading
import time
import unittest

from harness import Scratch, wait_until
from test_api import CONFIG, Page


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


if __name__ == "__main__":
    unittest.main()
