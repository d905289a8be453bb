"""Samples on their way between files, Debian's Prometheus and Reba: every bit of every sample comes along."""

import json
import math
import re
import struct
import subprocess
import time
import unittest

from harness import PEERS, REBA, ROOT, Program, Scratch, free_port, promtool, reba, wait_until
from test_admin import field, metric, varint, write


def zigzag(n):
    return varint((n << 1) ^ (n >> 63))


def double(number, v):
    return varint(number << 3 | 1) + struct.pack("<d", v)


def spans(number, runs):
    return b"".join(field(number, b"\x08" + zigzag(offset) + b"\x10" + varint(length)) for offset, length in runs)


def integer_histogram(t, count, total, zero, schema, positive, deltas, negative=(), negative_deltas=()):
    """A native histogram with integer counts in the protobuf of remote write."""
    body = b"\x08" + varint(count) + double(3, total) + b"\x20" + zigzag(schema) + double(5, 2.0**-128)
    body += b"\x30" + varint(zero) + spans(8, negative) + field(9, b"".join(map(zigzag, negative_deltas)))
    return body + spans(11, positive) + field(12, b"".join(map(zigzag, deltas))) + b"\x78" + varint(t)


def float_histogram(t, count, total, zero, schema, positive, counts):
    """The same with float counts."""
    body = double(2, count) + double(3, total) + b"\x20" + zigzag(schema) + double(5, 0.001) + double(7, zero)
    return body + spans(11, positive) + field(13, struct.pack(f"<{len(counts)}d", *counts)) + b"\x78" + varint(t)


def write_histograms(program, labels, histograms):
    pairs = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels)
    request = field(1, pairs + b"".join(field(4, h) for h in histograms))
    assert 60 < len(request) < 1 << 16
    body = varint(len(request)) + b"\xf4" + struct.pack("<H", len(request) - 1) + request
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    status, _, answer = program.raw("/api/v1/write", data=body, method="POST", headers=headers)
    assert status in (200, 204), (status, answer)


class Transfer(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.config = self.scratch.sub("config")
        (self.config / "reba.yml").write_text("metrics: {retention: 10y}\n")

    def upstream(self, name, data=None):
        """Debian's Prometheus on a data directory."""
        port, folder = free_port(), self.scratch.sub(name)
        empty = self.scratch.write("empty.yml", "{}\n")
        line = [str(PEERS / "prometheus"), f"--config.file={empty}", f"--storage.tsdb.path={data or folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--web.enable-admin-api",
                "--enable-feature=native-histograms", "--storage.tsdb.retention.time=10y"]
        program = Program(line, f"http://127.0.0.1:{port}", folder)
        self.scratch.programs.append(program)
        return program

    def contents(self, program, names, at, length="40d"):
        """Every sample as it is printed, shortest form that reads back to the same bits."""
        return {json.dumps(s["metric"], sort_keys=True): (s.get("values"), s.get("histograms"))
                for name in names for s in program.data("query", query=f"{name}[{length}]", time=at)["result"]}

    def openmetrics(self, end):
        """Some awkward numbers, names, values and times."""
        lines = ["# TYPE lat histogram"]
        for i in range(200):
            lines.append(f'lat_bucket{{le="0.1"}} {i} {end - 86400 * 20 + i * 3600.125:.3f}')
        lines.append("# TYPE odd gauge")
        numbers = ["0.1", "-0.0", "1e-300", "4.9e-324", "1.7976931348623157e308", "+Inf", "-Inf", "NaN",
                   "0.30000000000000004", "123456789012345680", "-17"]
        for i, number in enumerate(numbers):
            lines.append(f'odd{{text="a\\"b\\\\c\\nd ü"}} {number} {end - 7200 + i * 13.007:.3f}')
        for pod in range(3):
            for i in range(300):
                lines.append(f'up{{job="rides",pod="p{pod}"}} {math.sin(i) * 10 ** pod!r} {end - 86400 + i * 15}')
        return "\n".join(lines) + "\n# EOF\n"

    def test_blocks_made_by_promtool_come_along_bit_by_bit(self):
        end = int(time.time()) // 60 * 60
        source = self.scratch.write("in.om", self.openmetrics(end))
        blocks = self.scratch.sub("blocks")
        code, out = promtool("tsdb", "create-blocks-from", "openmetrics", str(source), str(blocks))
        self.assertEqual(code, 0, out)
        data = self.scratch.sub("reba-data")
        code, out, err = reba("import", "prometheus", str(blocks), "--data", str(data))
        self.assertEqual(code, 0, err)
        self.assertIn("1111 samples imported", out)
        upstream = self.upstream("theirs", blocks)
        ours = self.scratch.reba(config=self.config)
        names = ["lat_bucket", "odd", "up"]
        want = self.contents(upstream, names, end)
        self.assertEqual(sum(len(v) for v, _ in want.values()), 1111)
        self.assertEqual(self.contents(ours, names, end), want)

    def test_a_snapshot_with_histograms_and_deleted_samples_comes_along(self):
        upstream = self.upstream("theirs")
        now = int(time.time()) // 60 * 60
        times = [(now - 1800 + 15 * i) * 1000 + i for i in range(100)]
        stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
        for part in range(0, 100, 50):
            some = times[part:part + 50]
            write(upstream, {
                metric("f", k="walk"): [(t, math.sin(t) * 1e5) for t in some],
                metric("f", k="gone"): [(t, 1.0 if t < some[40] else stale) for t in some],
                metric("f", k="const"): [(t, 42.0) for t in some]})
        growing = []
        for i, t in enumerate(times):
            a, b, c, n = i + 1, 2 * i + 2, i // 3, i % 5 + i
            growing.append(integer_histogram(
                t, i + a + b + c + n, 0.1 * i, i, 3, [(-2, 2), (3, 1)], [a, b - a, c - b], [(0, 1)], [n]))
        write_histograms(upstream, [("__name__", "h"), ("k", "int")], growing[:50])
        write_histograms(upstream, [("__name__", "h"), ("k", "int")], growing[50:])
        floating = [float_histogram(t, 1.5 * i + 3.25, -0.1 * i, 0.25, -1, [(0, 3)], [0.5 * i, i + 1.0, 2.0])
                    for i, t in enumerate(times)]
        write_histograms(upstream, [("__name__", "h"), ("k", "float")], floating)
        status, _, body = upstream.raw("/api/v1/admin/tsdb/snapshot", method="POST")
        self.assertEqual(status, 200, body)
        snapshot = upstream.folder / "data/snapshots" / json.loads(body)["data"]["name"]
        # Deleting there leaves tombstones in the snapshot's block.
        second = self.upstream("second", snapshot)
        end = times[30] / 1000
        status, _, body = second.raw("/api/v1/admin/tsdb/delete_series", method="POST", params={
            "match[]": ['f{k="walk"}', 'h{k="int"}'], "start": times[10] / 1000, "end": end})
        self.assertEqual(status, 204, body)
        # A range selector of this version prints its last histogram in every place: a range query does not.
        grid = {"query": "h", "start": times[0] / 1000, "end": times[-1] / 1000, "step": 15.001}
        histograms = lambda p: {s["metric"]["k"]: s["histograms"] for s in p.data("query_range", **grid)["result"]}
        want, grown = self.contents(second, ["f"], now), histograms(second)
        self.assertEqual([len({json.dumps(h[1]) for h in grown[k]}) for k in ["int", "float"]], [79, 100])
        self.assertEqual(second.query("count_over_time(h[40d])", time=now),
                         {(("k", "int"),): 79, (("k", "float"),): 100})
        second.stop()
        code, out, err = reba("import", "prometheus", str(snapshot), "--data", str(self.scratch.sub("reba-data")))
        self.assertEqual(code, 0, err)
        self.assertIn("samples imported", out)
        ours = self.scratch.reba(config=self.config)
        self.assertEqual(self.contents(ours, ["f"], now), want)
        self.assertEqual(histograms(ours), grown)
        self.assertEqual(ours.query("count_over_time(h[40d])", time=now),
                         {(("k", "int"),): 79, (("k", "float"),): 100})

    def test_an_export_is_read_by_reba_and_by_promtool_without_loss(self):
        end = int(time.time()) // 60 * 60
        source = self.scratch.write("in.om", self.openmetrics(end))
        first, second = (str(self.scratch.sub(n)) for n in ["first", "reba-data"])
        code, out, err = reba("import", "openmetrics", str(source), "--data", first)
        self.assertEqual((code, "1111 samples imported" in out), (0, True), err)
        code, text, err = reba("export", "--data", first)
        self.assertEqual((code, err.strip()), (0, "1111 samples of 5 series"))
        exported = self.scratch.write("out.om", text)
        # The same again, and into another store: the same text.
        self.assertEqual(reba("import", "openmetrics", str(exported), "--data", first)[0], 0)
        self.assertEqual(reba("import", "openmetrics", str(exported), "--data", second)[0], 0)
        self.assertEqual(reba("export", "--data", first)[1], text)
        self.assertEqual(reba("export", "--data", second)[1], text)
        # Prometheus reads the export to what it reads from the original.
        names = ["lat_bucket", "odd", "up"]
        found = []
        for name, path in [("original", source), ("exported", exported)]:
            blocks = self.scratch.sub(f"blocks-{name}")
            code, out = promtool("tsdb", "create-blocks-from", "openmetrics", str(path), str(blocks))
            self.assertEqual(code, 0, out)
            found.append(self.contents(self.upstream(name, blocks), names, end))
        self.assertEqual(found[0], found[1])
        ours = self.scratch.reba(config=self.config)
        self.assertEqual(self.contents(ours, names, end), found[0])

    def test_an_export_can_be_narrowed_to_series_and_times(self):
        end = int(time.time()) // 60 * 60
        data = str(self.scratch.sub("d"))
        source = self.scratch.write("in.om", self.openmetrics(end))
        self.assertEqual(reba("import", "openmetrics", str(source), "--data", data)[0], 0)
        start = end - 86400
        code, text, err = reba("export", "--data", data, "--match", 'up{pod="p1"}', "--match", "odd",
                               "--start", str(start), "--end", str(start + 150))
        self.assertEqual((code, err.strip()), (0, "11 samples of 1 series"))
        self.assertTrue(text.startswith(f'up{{job="rides",pod="p1"}} 0 {start}\n') and text.endswith("# EOF\n"), text)
        self.assertEqual(reba("export", "--data", data, "--match", "{")[0], 1)
        self.assertEqual(reba("export", "--data", "/nonexistent")[0], 1)

    def test_what_cannot_be_read_is_refused_with_its_place_and_nothing_is_written(self):
        data = str(self.scratch.sub("d"))
        for text, reason in [("a 1 1\nb 2\n# EOF\n", "line 2: a sample without a timestamp"),
                             ("a 1 1\na{x=} 1 2\n# EOF\n", "line 2"), ("a 1 1\n", "does not end with # EOF")]:
            source = self.scratch.write("bad.om", text)
            code, _, err = reba("import", "openmetrics", str(source), "--data", data)
            self.assertEqual(code, 1)
            self.assertIn(reason, err)
        self.assertEqual(reba("export", "--data", data)[1], "# EOF\n")
        code, _, err = reba("import", "prometheus", str(self.scratch.sub("empty")), "--data", data)
        self.assertEqual((code, "no blocks" in err), (1, True), err)

    def test_damaged_blocks_are_refused_or_read_but_never_crash(self):
        end = int(time.time()) // 60 * 60
        blocks = self.scratch.sub("blocks")
        source = self.scratch.write("in.om", f"a 1 {end - 60}\na 2.5 {end - 45}\na 7 {end - 30}\n# EOF\n")
        self.assertEqual(promtool("tsdb", "create-blocks-from", "openmetrics", str(source), str(blocks))[0], 0)
        files = [p for p in sorted(blocks.rglob("*")) if p.is_file() and p.name in ("index", "000001", "tombstones")]
        self.assertEqual(len(files), 3)
        refused = 0
        for path in files:
            whole = path.read_bytes()
            for i in range(12):
                at = len(whole) * i // 12
                damaged = whole[:at] if i % 3 == 2 else whole[:at] + bytes([whole[at] ^ 1 << i % 8]) + whole[at + 1:]
                path.write_bytes(damaged)
                data = str(self.scratch.sub(f"d-{path.name}-{i}"))
                code, _, err = reba("import", "prometheus", str(blocks), "--data", data)
                self.assertIn(code, (0, 1), err)
                self.assertNotIn("panicked", err)
                if code == 1:
                    refused += 1
                    self.assertIn(str(blocks), err)
                else:
                    # What is read in spite of it is right: the damage was where nothing is said.
                    self.assertEqual(reba("export", "--data", data)[1].count("\na ") + 1, 3, (path, i))
            path.write_bytes(whole)
        self.assertGreater(refused, 20)

    def test_lines_of_another_loki_come_along_as_documented(self):
        old = self.scratch.reba("--only", "loki", name="old", port=3100, ready="/ready")
        new = self.scratch.reba("--only", "loki", name="new", port=3100, ready="/ready")
        at = (int(time.time()) - 2 * 86400) * 10**9
        lines = {"a": [[str(at), 'says "so"'], [str(at + 1), "{}"]], "b": [[str(at), "other"]]}
        streams = [{"stream": {"service": s, "level": "info"}, "values": v} for s, v in lines.items()]
        status, _, body = old.raw("/loki/api/v1/push", data=json.dumps({"streams": streams}).encode(), headers={"Content-Type": "application/json"})
        self.assertEqual(status, 204, body)
        text = (ROOT / "docs/moving-data.md").read_text()
        config = re.search(r"^```yaml\n(.*?)^```$", text, re.M | re.S).group(1).replace("http://127.0.0.1:3100", new.base)
        command = re.search(r"^    (reba query logql .*\|\n.*)$", text, re.M).group(1)
        file = self.scratch.write("move/move.yml", f"positions: {{filename: {self.scratch.folder}/positions.yml}}\n" + config)
        (self.scratch.sub("move") / "reba").symlink_to(REBA.resolve())
        command = command.replace("http://loki:3100", old.base).replace('{service=~".+"}', '{service=~"a|b"}')

        def stored():
            _, _, body = new.raw("/loki/api/v1/query_range", {"query": '{moved="true"}', "start": at - 10, "end": at + 10})
            found = json.loads(body)["data"]["result"]
            self.assertTrue(all(s["stream"]["level"] == "info" for s in found), found)
            return {s["stream"]["service"]: sorted(v[:2] for v in s["values"]) for s in found}
        # Twice, as somebody does who was interrupted.
        for _ in range(2):
            done = subprocess.run(["bash", "-o", "pipefail", "-c", f"PATH=$PWD:$PATH; {command}"], cwd=file.parent, capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            wait_until(lambda: stored() == {s: sorted(v) for s, v in lines.items()}, 20, "all lines, once")

    def test_a_data_directory_without_blocks_is_told_what_to_do(self):
        (self.scratch.sub("young") / "wal").mkdir()
        code, _, err = reba("import", "prometheus", str(self.scratch.folder / "young"), "--data", str(self.scratch.sub("young-data")))
        self.assertEqual((code, "snapshot" in err), (1, True), err)

    def test_a_store_in_use_is_left_alone(self):
        running = self.scratch.reba(config=self.config)
        code, _, err = reba("export", "--data", str(self.scratch.folder / "reba-data"))
        self.assertEqual(code, 1)
        self.assertIn("in use", err)
        self.assertEqual(running.raw("/-/ready")[0], 200)


if __name__ == "__main__":
    unittest.main()
