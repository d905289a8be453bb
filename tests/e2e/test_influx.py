"""InfluxDB's line protocol, as Telegraf writes it, beside VictoriaMetrics."""

import gzip
import json
import time
import unittest

from harness import PEERS, Program, Scratch, free_port, wait_until


class Influx(unittest.TestCase):
    def write(self, program, body, path="/write", encoding=None, **parameters):
        headers = {"Content-Encoding": encoding} if encoding else {}
        status, _, answer = program.raw(path, parameters, data=body, headers=headers)
        return status, answer

    def test_lines_become_series_and_wrong_ones_are_named(self):
        with Scratch() as scratch:
            scratch.write("conf/reba.yml", "influx: {db_label: database}\n")
            reba = scratch.reba(config=scratch.folder / "conf")
            now = int(time.time())
            lines = f"cpu,host=a\\ b usage_idle=99.5,up=true,mode=\"x\" {now}\ncpu,host=c usage_idle=5i\n".encode()
            self.assertEqual(self.write(reba, lines, db="telegraf", precision="s"), (204, b""))
            self.assertEqual(reba.value('cpu_usage_idle{host="a b",database="telegraf"}'), 99.5)
            self.assertEqual(reba.value('cpu_up{host="a b"}'), 1)
            for path in ("/api/v2/write", "/influx/write", "/influx/api/v2/write"):
                name = path.replace("/", "_")
                self.assertEqual(self.write(reba, gzip.compress(f"m v{name}=1".encode()), path, "gzip")[0], 204)
                self.assertEqual(reba.value(f"m_v{name}"), 1)
            status, answer = self.write(reba, b"good v=1\nbad\nworse v=x\n")
            self.assertEqual(status, 400)
            error = json.loads(answer)["error"]
            self.assertTrue(error.startswith("partial write: line 2: ") and error.endswith("dropped=2"), error)
            self.assertEqual(reba.value("good_v"), 1)
            self.assertIn("message", json.loads(self.write(reba, b"bad", "/api/v2/write")[1]))
            self.assertEqual(self.write(reba, b"a v=1", precision="y")[0], 400)
            self.assertEqual(self.write(reba, b"x", encoding="gzip")[0], 400)
            status, headers, _ = reba.raw("/ping")
            self.assertEqual((status, headers["X-Influxdb-Version"]), (204, "1.8.0"))
            self.assertEqual(json.loads(reba.raw("/health")[2])["status"], "pass")
            self.assertEqual(reba.raw("/query", {"q": "CREATE DATABASE telegraf"}, data=b"")[0], 200)
            self.assertIn(b"reba_influx_refused_lines_total 3", reba.raw("/metrics")[2])

    def test_victoria_metrics_makes_the_same_series(self):
        with Scratch() as scratch:
            reba = scratch.reba()
            port, folder = free_port(), scratch.sub("vm")
            line = [str(PEERS / "victoria-metrics"), f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data"]
            peer = Program(line, f"http://127.0.0.1:{port}", folder, ready="/health")
            scratch.programs.append(peer)
            now = int(time.time()) - 5
            body = "\n".join([
                f'cpu,host=a,cpu=0 usage=1.5,num="12",i=5i,u=7u,b=true,t=T,f=false {now}000000000',
                f"m\\ x,t\\,g=a\\ b\\=c f\\=x=1 {now}000",
                "# comment", "",
                f"empty,tag=,o=x v=1 {now}", f",a=b v=1 {now}000000", f"dup,a=b,a=c v=1 {now}",
                f"db,db=y v=-3.5e2 {now}", f"dots.name,host.name=x cpu.load=3 {now}",
            ]).encode()
            for program in (reba, peer):
                self.assertEqual(self.write(program, body, db="mine")[0], 204)
            peer.raw("/internal/force_flush")
            matcher = {"match[]": '{__name__!="",__name__!~"reba_.*"}'}
            def theirs():
                lines = peer.raw("/api/v1/export", matcher)[2].decode().splitlines()
                return {tuple(sorted(s["metric"].items())): (s["timestamps"][0] / 1000, s["values"][0])
                        for s in map(json.loads, lines)}
            wait_until(lambda: len(theirs()) >= 13, 20, "VictoriaMetrics shows what it took")
            result = reba.data("query", query='{__name__=~".+"}[1m]')["result"]
            ours = {tuple(sorted(s["metric"].items())): (s["values"][0][0], float(s["values"][0][1])) for s in result}
            self.assertEqual(ours, theirs())


if __name__ == "__main__":
    unittest.main()
