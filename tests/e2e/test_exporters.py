"""The exporters beside Debian's, on the same host, the same servers and at the same moment; and when what they look at is down."""

import json
import re
import time
import unittest

from databases import Postgres, Redis
from exporters import NODE, POSTGRES, REDIS, Exporter, compare, debian
from exposition import Page
from harness import PEERS, Scratch, free_port, reba

class Beside(unittest.TestCase):
    """Names, types, labels, series and values are Debian's, but for what is listed above with its reason."""

    @unittest.skipUnless((PEERS / "prometheus-node-exporter").exists(), "there is no node_exporter")
    def test_the_host_is_told_as_by_node_exporter(self):
        with Scratch() as scratch:
            folder = scratch.sub("text")
            (folder / "a.prom").write_text('# HELP jobs_done Jobs.\n# TYPE jobs_done counter\njobs_done{kind="a b"} 7\n')
            # Debian's leaves out more devices and mount points unless it is told what upstream leaves out.
            flags = [f"--collector.textfile.directory={folder}", "--collector.processes", "--collector.interrupts",
                     "--no-collector.systemd",  # which Debian switches on
                     "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/k3s)($|/)",
                     "--collector.filesystem.fs-types-exclude=^(cgroup2?|devpts|mqueue|proc|sysfs|devtmpfs)$",
                     "--collector.netdev.device-exclude=^nothing$", "--collector.netclass.ignored-devices=^nothing$"]
            ours, theirs = Exporter(scratch, "node", *flags), debian(scratch, "node", *flags)
            compare(self, ours.get, theirs.get, NODE)
            success = lambda page: {dict(labels)["collector"]: v for (_, labels), v in page.families["node_scrape_collector_success"].items()}
            ours, theirs = success(ours.get()), success(theirs.get())
            # Each of them, whether this host has anything for it or not.
            self.assertEqual(set(theirs) ^ set(ours), set())
            self.assertEqual(len(ours), 45 + 2)
            self.assertEqual({name for name in theirs if theirs[name] != ours[name]}, set())

    @unittest.skipUnless((PEERS / "prometheus-postgres-exporter").exists() and Postgres.exists(), "there is no PostgreSQL")
    def test_postgresql_is_told_as_by_postgres_exporter(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                server.sql("CREATE TABLE rides (id int PRIMARY KEY, note text)")
                server.sql("INSERT INTO rides SELECT i, 'x' FROM generate_series(1, 1000) i")
                env = {"DATA_SOURCE_NAME": server.dsn()}
                ours, theirs = Exporter(scratch, "postgres", env=env), debian(scratch, "postgres", env=env)

                def without_server(page):
                    # 0.15 has collectors without this label where 0.11 had queries with it.
                    new = re.compile(r"pg_(database_size_bytes|locks_count|stat_bgwriter_.*|stat_database_(?!conflicts_).*)")
                    for name, series in page.families.items():
                        if new.fullmatch(name):
                            drop = lambda pairs: tuple(p for p in pairs if p[0] != "server")
                            page.families[name] = {(n, drop(pairs)): v for (n, pairs), v in series.items()}
                    return page

                compare(self, ours.get, theirs.get, POSTGRES, without_server)
            finally:
                server.stop()

    @unittest.skipUnless((PEERS / "prometheus-redis-exporter").exists() and Redis.exists(), "there is no Redis")
    def test_redis_is_told_as_by_redis_exporter(self):
        with Scratch() as scratch:
            server = Redis(scratch.sub("redis"))
            try:
                for n in range(20):
                    server.ask("SET", f"ride:{n}", n)
                server.ask("SELECT", 3), server.ask("LPUSH", "list", 1, 2, 3), server.ask("SET", "word", "hello")
                server.ask("XADD", "stream", "*", "f", "v"), server.ask("XGROUP", "CREATE", "stream", "group", 0)
                server.ask("XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "stream", ">")
                flags = ["-check-keys=db0=ride:1*", "-check-single-keys=list,word,absent", "-check-single-streams=stream",
                         "-count-keys=ride:*", "-include-system-metrics", "-include-config-metrics", "-export-client-list=false"]
                address = f"-redis.addr=redis://127.0.0.1:{server.port}"
                ours = Exporter(scratch, "redis", address, *flags)
                theirs = debian(scratch, "redis", address, *flags)
                compare(self, ours.get, theirs.get, REDIS)
                page = ours.get()
                self.assertEqual(page.value("redis_key_size", db="db0", key="list"), 3)
                self.assertEqual(page.value("redis_keys_count", key="ride:*"), 20)
                self.assertEqual(page.value("redis_stream_group_messages_pending", stream="stream"), 1)
            finally:
                server.stop()


class Alone(unittest.TestCase):
    """What only ours promises, or what has no peer in Debian."""

    def test_a_postgresql_that_is_down_is_said_so_at_once(self):
        with Scratch() as scratch:
            dsn = f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x?sslmode=disable"
            ours = Exporter(scratch, "postgres", env={"DATA_SOURCE_NAME": dsn})
            start = time.monotonic()
            page = ours.get()
            self.assertLess(time.monotonic() - start, 5)
            self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (0, 1))
            self.assertNotIn("pg_scrape_collector_success", page.families)
            log = ours.program.log()
            self.assertIn("PostgreSQL does not answer", log)
            self.assertNotIn("s3cret", log)

    def test_a_redis_that_is_down_or_silent_is_said_so_in_time(self):
        import socket

        with Scratch() as scratch, socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            ours = Exporter(scratch, "redis", f"-redis.addr=redis://:s3cret@127.0.0.1:{silent.getsockname()[1]}")
            start = time.monotonic()
            status, _, body = ours.program.raw("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "2"})
            self.assertLess(time.monotonic() - start, 5)
            page = Page(body.decode())
            self.assertEqual((status, page.value("redis_up")), (200, 0))
            self.assertIn("redis_exporter_last_scrape_error", page.families)
            down = ours.get("/scrape", {"target": f"127.0.0.1:{free_port()}"})
            self.assertEqual(down.value("redis_up"), 0)
            self.assertNotIn("s3cret", ours.program.log())
            self.assertEqual(ours.program.raw("/scrape")[0], 400)

    @unittest.skipUnless(Redis.exists(), "there is no Redis")
    def test_a_redis_that_wants_a_login_gets_it_from_flags_or_the_file(self):
        with Scratch() as scratch:
            server = Redis(scratch.sub("redis"), "--requirepass", "pa ss@1")
            try:
                address = f"redis://127.0.0.1:{server.port}"
                file = scratch.write("passwords.json", json.dumps({address: "pa ss@1"}))
                ours = Exporter(scratch, "redis", f"-redis.addr={address}", f"-redis.password-file={file}")
                self.assertEqual(ours.get().value("redis_up"), 1)
                self.assertEqual(ours.get("/scrape", {"target": f"127.0.0.1:{server.port}"}).value("redis_up"), 1)
                file.write_text(json.dumps({address: "wrong"}))
                self.assertEqual(ours.program.raw("/-/reload", method="POST")[0], 200)
                page = ours.get()
                self.assertEqual(page.value("redis_up"), 0)
                reason = dict(next(iter(page.families["redis_exporter_last_scrape_error"]))[1])["err"]
                self.assertIn("WRONGPASS", reason)
            finally:
                server.stop()

    @unittest.skipUnless(Postgres.exists(), "there is no PostgreSQL")
    def test_probes_and_queries_of_ones_own_reach_a_server_with_few_rights(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                server.sql("CREATE ROLE watcher LOGIN PASSWORD 'w' IN ROLE pg_monitor")
                server.sql("CREATE EXTENSION pg_stat_statements")
                config = scratch.write("p.yml", "auth_modules:\n  few:\n    type: userpass\n    userpass: {username: watcher, password: w}\n"
                                                "    options: {sslmode: disable}\n")
                queries = scratch.write("q.yml", "pg_own:\n  query: SELECT 'a' AS name, 7 AS rides, now() AS at, true AS fine\n  metrics:\n"
                                                 "    - name: {usage: LABEL}\n    - rides: {usage: COUNTER, description: Rides.}\n    - at: {usage: GAUGE}\n")
                every = [f"--collector.{c}" for c in ("database_wraparound", "long_running_transactions", "postmaster", "process_idle",
                                                      "stat_activity_autovacuum", "stat_statements", "stat_wal_receiver", "statio_user_indexes", "xlog_location")]
                ours = Exporter(scratch, "postgres", f"--config.file={config}", f"--extend.query-path={queries}", *every)
                self.assertEqual(ours.get().value("pg_up"), 0)
                page = ours.get("/probe", {"target": f"127.0.0.1:{server.port}/postgres", "auth_module": "few"})
                self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (1, 0), ours.program.log())
                bad = [k for k, v in page.families["pg_scrape_collector_success"].items() if v != 1]
                self.assertEqual(bad, [], ours.program.log())
                self.assertEqual(page.value("pg_own_rides", name="a"), 7)
                self.assertAlmostEqual(page.value("pg_own_at", name="a"), time.time(), delta=120)
                self.assertEqual(page.types["pg_own_fine"], "untyped")
                self.assertNotIn("process_cpu_seconds_total", page.families)
                for params in ({}, {"target": "x", "auth_module": "nobody"}):
                    self.assertEqual(ours.program.raw("/probe", params)[0], 400)
            finally:
                server.stop()

    def test_collectors_are_chosen_by_flags_and_by_the_request(self):
        with Scratch() as scratch:
            ours = Exporter(scratch, "node", "--no-collector.netstat", "--web.disable-exporter-metrics")
            page = ours.get("/metrics", {"collect[]": ["cpu", "loadavg"]})
            self.assertIn("node_load1", page.families)
            self.assertNotIn("node_memory_MemTotal_bytes", page.families)
            self.assertNotIn("process_open_fds", page.families)
            for name, want in (("nope", b"missing collector: nope"), ("netstat", b"disabled collector: netstat")):
                status, _, body = ours.program.raw("/metrics", {"collect[]": name})
                self.assertEqual(status, 400)
                self.assertIn(want, body)
            self.assertIn(b"/metrics", ours.program.raw("/")[2])

    def test_flags_are_listed_and_wrong_ones_refused(self):
        for role in ("node", "postgres", "redis"):
            code, out, _ = reba("run", "--only", role, "--", "--help")
            self.assertEqual(code, 0)
            self.assertIn("web.telemetry-path", out)
            code, _, error = reba("run", "--only", role, "--", "--nope")
            self.assertEqual(code, 2)
            self.assertIn("unknown flag", error)

    def test_many_probes_leave_no_connections_behind(self):
        with Scratch() as scratch:
            ours = Exporter(scratch, "redis", "-redis.addr=")
            self.assertNotIn("redis_up", ours.get().families)
            before = ours.get().value("process_open_fds")
            for _ in range(200):
                ours.get("/scrape", {"target": f"127.0.0.1:{free_port()}"})
            self.assertLess(ours.get().value("process_open_fds"), before + 10)


if __name__ == "__main__":
    unittest.main()
