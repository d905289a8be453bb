"""The admin API beside Debian's Prometheus: same answers, same effect."""

import json
import os
import pathlib
import struct
import time
import unittest
import urllib.parse

from harness import PEERS, Program, Scratch, free_port, reba

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def remote_write(series):
    """A remote write 1.0 request of {labels: [(ms, value)]}, snappy-framed as one literal."""
    request = b""
    for labels, samples in series.items():
        body = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels))
        for t, v in samples:
            body += field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t))
        request += field(1, body)
    assert 60 < len(request) < 1 << 16
    return varint(len(request)) + b"\xf4" + struct.pack("<H", len(request) - 1) + request


def write(program, series):
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    status, _, body = program.raw("/api/v1/write", data=remote_write(series), method="POST", headers=headers)
    assert status in (200, 204), (status, body)


def metric(name, **labels):
    return tuple(sorted({"__name__": name, **labels}.items()))


class Admin(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.scratch.write("on/reba.yml", "web: {admin_api: true}\n")
        self.config = self.scratch.folder / "on"
        self.reba = self.scratch.reba(config=self.config, name="ours")
        port, folder = free_port(), self.scratch.sub("theirs")
        empty = self.scratch.write("empty.yml", "{}\n")
        line = [str(PEERS / "prometheus"), f"--config.file={empty}", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--web.enable-admin-api"]
        self.upstream = Program(line, f"http://127.0.0.1:{port}", folder)
        self.scratch.programs.append(self.upstream)
        self.now = int(time.time()) // 60 * 60
        self.times = [(self.now - 600 + 60 * i) * 1000 for i in range(10)]
        data = {metric("a", job="x"): [(t, 1.5 * i) for i, t in enumerate(self.times)],
                metric("a", job="y"): [(t, 2.0 * i) for i, t in enumerate(self.times)],
                metric("b", job="x"): [(t, 3.0) for t in self.times]}
        self.both = (self.reba, self.upstream)
        for program in self.both:
            write(program, data)

    def ask(self, path, params=None, method="POST", **more):
        """The answers of both: status and, where there is one, the parsed body."""
        out = []
        for program in self.both:
            status, _, body = program.raw("/api/v1/admin/tsdb/" + path, params, method=method, **more)
            out.append((status, json.loads(body) if body else None))
        return out

    def contents(self):
        """What each of them still has."""
        return [{json.dumps(s["metric"], sort_keys=True): s["values"]
                 for name in "ab" for s in p.data("query", query=f"{name}[20m]", time=self.now)["result"]}
                for p in self.both]

    def assert_same_answer(self, path, params=None, **more):
        ours, theirs = self.ask(path, params, **more)
        self.assertEqual(ours, theirs, (path, params))
        return ours

    def test_deleted_samples_are_gone_at_once_and_after_a_restart(self):
        ours, theirs = self.contents()
        self.assertEqual(ours, theirs)
        self.assertEqual(len(ours), 3)
        start, end = self.times[2] / 1000, self.times[4] / 1000
        answer = self.assert_same_answer("delete_series", {"match[]": 'a{job="x"}', "start": start, "end": end})
        self.assertEqual(answer, (204, None))
        ours, theirs = self.contents()
        self.assertEqual(ours, theirs)
        self.assertEqual(sorted(len(v) for v in ours.values()), [7, 10, 10])
        # Several selectors, as a form, by PUT, without a range.
        form = urllib.parse.urlencode({"match[]": ['b', 'a{job="y"}']}, doseq=True).encode()
        self.assertEqual(self.assert_same_answer("delete_series", data=form, method="PUT", headers=FORM)[0], 204)
        ours, theirs = self.contents()
        self.assertEqual(ours, theirs)
        self.assertEqual([len(v) for v in ours.values()], [7])
        self.assertEqual(self.assert_same_answer("clean_tombstones"), (204, None))
        before = self.contents()
        self.reba.kill()
        self.reba.start()
        self.assertEqual(self.contents(), before)

    def test_wrong_requests_get_upstreams_errors_and_delete_nothing(self):
        for path, params in [
            ("delete_series", None), ("delete_series", {"match[]": "a", "start": "x"}),
            ("delete_series", {"match[]": "a", "end": "y"}), ("snapshot", {"skip_head": "perhaps"}),
        ]:
            with self.subTest(path=path, params=params):
                self.assertEqual(self.assert_same_answer(path, params)[0], 400)
        (status, ours), (expected, _) = self.ask("delete_series", {"match[]": ["b", "a{"]})
        self.assertEqual((status, ours["errorType"]), (expected, "bad_data"))
        self.assertIn("match[]", ours["error"])
        self.assertEqual([p.raw("/api/v1/admin/tsdb/snapshot")[0] for p in self.both], [405, 405])
        self.assertEqual(len(self.contents()[0]), 3)

    def test_a_snapshot_is_a_store_of_its_own(self):
        (ours, answer), (theirs, expected) = self.ask("snapshot")
        self.assertEqual((ours, theirs), (200, 200))
        form = r"^\d{8}T\d{6}Z-[0-9a-f]{16}$"
        self.assertRegex(answer["data"]["name"], form)
        self.assertRegex(expected["data"]["name"], form)
        self.assertEqual(set(answer), set(expected))
        snapshots = self.scratch.folder / "ours-data/metrics/snapshots"
        self.assertEqual(os.listdir(snapshots), [answer["data"]["name"]])
        # What happens to the original afterwards does not touch the copy.
        self.ask("delete_series", {"match[]": '{job=~".+"}'})
        self.assertEqual(self.contents(), [{}, {}])
        copy = self.scratch.sub("copy-data") / "metrics"
        pathlib.Path(snapshots / answer["data"]["name"]).rename(copy)
        second = self.scratch.reba(config=self.config, name="copy")
        for name, samples in [("a", 20), ("b", 10)]:
            self.assertEqual(second.value(f"sum(count_over_time({name}[20m]))", time=self.now), samples)

    def test_it_is_off_unless_switched_on(self):
        off = self.scratch.reba(name="off")
        for path in ["delete_series", "clean_tombstones", "snapshot"]:
            status, _, body = off.raw("/api/v1/admin/tsdb/" + path, {"match[]": "a"}, method="POST")
            answer = json.loads(body)
            self.assertEqual((status, answer["errorType"], answer["error"]),
                             (500, "unavailable", "admin APIs disabled"))
        self.assertEqual(off.data("status/flags")["web.enable-admin-api"], "false")
        self.assertEqual(self.reba.data("status/flags")["web.enable-admin-api"], "true")
        self.assertEqual(reba("check", "--config", str(self.config))[0], 0)


if __name__ == "__main__":
    unittest.main()
