"""The exporters beside Debian's, on the same host, the same servers and at the same moment; and when what they look at is down."""

import json
import os
import re
import time
import unittest

from databases import Postgres, Redis
from exposition import Differences, Page, structure, values
from harness import PEERS, Program, Scratch, free_port, reba

OWN = [
    (r"go_.*", "the Go runtime's figures: there is none; go_info and four others that dashboards draw are kept"),
    (r"promhttp_metric_handler_(requests_total|requests_in_flight|errors_total)", "each counts its own requests"),
    (r"process_.*", "figures of the exporter itself"),
    (r".*_exporter_build_info", "each its own; 1.7 and 0.15 have the label tags, which Debian's older ones lack"),
]

NODE = Differences(
    only_theirs=OWN,
    only_ours=[(r"node_softnet_(backlog_len|cpu_collision_total|flow_limit_count_total|received_rps_total)", "new after 1.5"),
               (r"node_cpu_scaling_governor", "new in 1.7")],
    kinds=[],
    labels=[(r".*_exporter_build_info", OWN[3][1]), (r"go_info", OWN[0][1]),
            (r"node_network_info", "1.7 has the label adminstate"), (r"promhttp_.*", OWN[1][1])],
    series=[(r"node_scrape_collector_.*", "collectors that only one of the versions has"),
            (r"node_filesystem_.*", "Debian leaves out more mount points by default"),
            (r"node_network_.*", "Debian leaves out lo by default"),
            (r"node_processes_.*", "processes come and go")],
    volatile=[*OWN, (r"node_scrape_collector_.*", "how long it took"),
              (r"node_(procs_(running|blocked)|processes_.*|load1|load5|load15|time_seconds|filefd_allocated)", "moves all the time"),
              (r"node_timex_.*", "moves all the time"), (r"node_entropy_available_bits", "moves all the time"),
              (r"node_(disk_io_now|sockstat_.*|netstat_Tcp_CurrEstab|udp_queues|arp_entries|softnet_.*|nf_conntrack_.*)", "moves all the time"),
              (r"node_memory_(?!(MemTotal|SwapTotal|HugePages_Total|Hugepagesize|VmallocTotal|CommitLimit)).*", "moves all the time"),
              (r"node_filesystem_(avail|free)_bytes|node_filesystem_files.*", "moves all the time")],
)

POSTGRES = Differences(
    only_theirs=[*OWN, (r"pg_stat_database_(active_time|checksum_.*|idle_in_transaction_time|session_time|sessions.*)", "untyped columns that are gone in 0.15")],
    only_ours=[(r"pg_replication_(is_replica|lag_seconds)", "collector replication is new after 0.11"),
               (r"pg_wal_.*", "collector wal is new after 0.11"),
               (r"pg_stat(io)?_user_tables_.*", "collectors of tables are new after 0.11"),
               (r"pg_replication_slot_.*", "collector replication_slot is new after 0.11"),
               (r"postgres_exporter_config_.*", "the configuration file is new after 0.11"),
               (r"promhttp_metric_handler_errors_total", OWN[1][1])],
    labels=[(r".*_exporter_build_info", OWN[3][1]), (r"go_info", OWN[0][1]), (r"promhttp_.*", OWN[1][1]),
            (r"pg_stat_activity_.*", "0.12 brought the labels usename and application_name")],
    series=[(r"pg_scrape_collector_.*", "collectors have other names in 0.11"),
            (r"pg_stat_database_.*", "0.15 leaves out what belongs to no database (datid 0)"),
            (r"pg_locks_count", "0.15 shows every mode of every database")],
    volatile=[*OWN, (r"pg_exporter_.*|pg_scrape_.*", "each counts its own scrapes"),
              (r"pg_locks_count|pg_stat_database_numbackends", "sessions of the exporters themselves"),
              (r"pg_settings_extra_float_digits", "what each client sets for its own session"),
              (r"pg_stat_database_stats_reset", "0.15 has 0 where 0.11 had NaN: never"),
              (r"pg_stat_bgwriter_stats_reset_total", "0.15 has whole seconds")],
)

REDIS = Differences(
    only_theirs=[*OWN, (r"redis_last_key_groups_scrape_duration_milliseconds", "ours is there if groups of keys are asked for")],
    only_ours=[(r"redis_commands_latencies_usec", "new after 1.45"), (r"redis_pubsubshard_channels", "new after 1.45"),
               (r"redis_stream_(first_entry_id|last_entry_id|max_deleted_entry_id|group_entries_read|group_lag)", "new after 1.45")],
    labels=[(r"go_info", OWN[0][1])],
    series=[(r".*_exporter_build_info", OWN[3][1])],
    volatile=[*OWN, (r"redis_exporter_.*", "each counts its own scrapes"), (r"redis_latency_percentiles_usec", "percentiles move"),
              (r"redis_(memory|mem|allocator|client)_.*", "memory of the connections that ask"),
              (r"redis_(slowlog_.*|last_slow_.*|connected_clients|start_time_seconds|uptime_in_seconds|config_.*)", "moves all the time")],
)


class Exporter:
    """One of ours, alone in a process."""

    def __init__(self, scratch, role, *flags, env=None):
        self.env = env or {}
        old = {name: os.environ.get(name) for name in self.env}
        os.environ.update(self.env)
        port = {"node": 9100, "postgres": 9187, "redis": 9121}[role]
        try:
            extra = ["--", *flags] if flags else []
            self.program = scratch.reba("--only", role, *extra, port=port, ready="/", name=f"{role}-{time.monotonic_ns()}")
        finally:
            for name, value in old.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def get(self, path="/metrics", params=None):
        status, _, body = self.program.raw(path, params)
        assert status == 200, f"{path}: {status} {body[:300]}"
        return Page(body.decode())


class Peer:
    """One of Debian's."""

    def __init__(self, program):
        self.program = program

    def get(self):
        return Page(self.program.raw("/metrics")[2].decode())


def debian(scratch, name, *flags, env=None):
    """Debian's exporter."""
    port, folder = free_port(), scratch.sub(f"debian-{name}")
    line = [str(PEERS / f"prometheus-{name}-exporter"), f"--web.listen-address=127.0.0.1:{port}", *flags]
    old = {key: os.environ.get(key) for key in env or {}}
    os.environ.update(env or {})
    try:
        program = Program(line, f"http://127.0.0.1:{port}", folder, ready="/")
    finally:
        for key, value in old.items():
            os.environ.pop(key) if value is None else os.environ.__setitem__(key, value)
    scratch.programs.append(program)
    return Peer(program)


class Beside(unittest.TestCase):
    """Names, types, labels, series and values are Debian's, but for what is listed above with its reason."""

    def compare(self, ours, theirs, known, prepare=lambda page: page):
        ours(), theirs()  # each has seen the other
        faults = []
        for _ in range(6):
            before, middle, after = ours(), prepare(theirs()), ours()
            found = structure(before, middle, known) + values(before, middle, after, known)
            # What is wrong every time is wrong.
            faults = found if not faults else [f for f in faults if any(f.split(":")[:2] == g.split(":")[:2] for g in found)]
            if not faults:
                break
        print("\n".join([f"\ndifferences from Debian's that are known ({self.id().split('.')[-1]}):", *known.report()]))
        self.assertEqual(faults, [])
        self.assertGreater(len(before.families.keys() & middle.families.keys()), 30)

    @unittest.skipUnless((PEERS / "prometheus-node-exporter").exists(), "there is no node_exporter")
    def test_the_host_is_told_as_by_node_exporter(self):
        with Scratch() as scratch:
            folder = scratch.sub("text")
            (folder / "a.prom").write_text('# HELP jobs_done Jobs.\n# TYPE jobs_done counter\njobs_done{kind="a b"} 7\n')
            flag = f"--collector.textfile.directory={folder}"
            ours = Exporter(scratch, "node", flag, "--collector.processes")
            theirs = debian(scratch, "node", flag, "--collector.processes")
            self.compare(ours.get, theirs.get, NODE)

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

                self.compare(ours.get, theirs.get, POSTGRES, without_server)
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
                self.compare(ours.get, theirs.get, REDIS)
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
