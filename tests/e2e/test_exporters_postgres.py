"""The PostgreSQL exporter on every version from 12 to 17, through files of variables, and at servers that are down or silent."""

import re
import socket
import time
import unittest

from databases import Postgres
from exporters import Exporter
from exposition import Page
from harness import ROOT, Scratch, free_port, reba, wait_until

# Collectors that are off by default; xlog_location is for servers before version 10.
MORE = ("database_wraparound", "long_running_transactions", "postmaster", "process_idle", "stat_activity_autovacuum", "stat_statements",
        "stat_wal_receiver", "statio_user_indexes")


def statements():
    """What docs/exporters.md says to run for a role with few rights, with a password filled in."""
    text = (ROOT / "docs/exporters.md").read_text()
    block = re.search(r"## A role with few rights in PostgreSQL\n\n((?:    .*\n)+)", text)[1]
    return re.sub(r"--.*", "", block).replace("'…'", "'w@tch'")


@unittest.skipUnless(Postgres.exists(), "there is no PostgreSQL")
class Versions(unittest.TestCase):
    def told(self, version):
        """All families of a server of this version, asked by the documented role with every collector on."""
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"), version)
            try:
                server.sql("CREATE TABLE rides (id int PRIMARY KEY, note text)")
                server.sql("INSERT INTO rides SELECT i, 'x' FROM generate_series(1, 100) i")
                server.sql("CREATE DATABASE other")
                server.sql(statements())
                for _ in range(20):
                    server.sql("SELECT count(*) FROM rides")
                # Until version 14 a process of its own gathers statistics, some time later.
                counted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'rides'"
                wait_until(lambda: server.sql(counted).strip() == "100", 30, "the server has counted the rows")
                dsn = f"postgresql://watcher:w%40tch@127.0.0.1:{server.port}/postgres?sslmode=disable"
                ours = Exporter(scratch, "postgres", *(f"--collector.{name}" for name in MORE), env={"DATA_SOURCE_NAME": dsn})
                page = ours.get()
                log = ours.program.log()
                self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (1, 0), log)
                failed = [labels for labels, ok in page.families["pg_scrape_collector_success"].items() if ok != 1]
                self.assertEqual(failed, [], log)
                self.assertEqual(len(page.families["pg_scrape_collector_success"]), 9 + len(MORE))
                short = dict(next(iter(page.families["pg_static"]))[1])["short_version"]
                number = server.sql("SHOW server_version_num").strip()
                self.assertEqual(short, f"{int(number) // 10000}.{int(number) % 10000}.0")
                self.assertEqual(page.value("pg_stat_user_tables_n_tup_ins", relname="rides"), 100)
                self.assertGreater(page.value("pg_database_size_bytes", datname="other"), 1e6)
                self.assertGreater(page.value("pg_stat_bgwriter_buffers_alloc_total"), 0)
                self.assertGreaterEqual(page.value("pg_stat_bgwriter_checkpoints_timed_total"), 0)
                self.assertEqual(page.value("pg_replication_is_replica"), 0)
                self.assertIn("pg_stat_statements_calls_total", page.families)
                self.assertGreater(page.value("pg_settings_max_connections"), 1)
                return set(page.families)
            finally:
                server.stop()

    def test_every_version_tells_the_same_to_a_role_with_few_rights(self):
        told = {}
        for version in ("12", "13", "14", None, "16", "17"):
            if version and not (Postgres.other(version) / "bin/initdb").exists():
                print(f"\nPostgreSQL {version} is left out: scripts/peers.sh could not fetch it (it needs npm)")
                continue
            with self.subTest(version=version or "Debian's"):
                told[version] = {name for name in self.told(version) if not name.startswith("pg_settings_")}
        for version, families in told.items():
            self.assertEqual(families, told[None], f"{version} and Debian's differ")


@unittest.skipUnless(Postgres.exists(), "there is no PostgreSQL")
class Sources(unittest.TestCase):
    def test_addresses_come_from_files_and_several_servers_may_be_named(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                server.sql("CREATE ROLE watcher LOGIN PASSWORD 'w' IN ROLE pg_monitor")
                place = f"127.0.0.1:{server.port}/postgres?sslmode=disable"
                whole = scratch.write("dsn", f"postgresql://watcher:w@{place}\n")
                uri, user, password = scratch.write("uri", place), scratch.write("user", "watcher\n"), scratch.write("pass", "w\n")
                for env in ({"DATA_SOURCE_NAME_FILE": whole}, {"DATA_SOURCE_URI_FILE": uri, "DATA_SOURCE_USER_FILE": user, "DATA_SOURCE_PASS_FILE": password},
                            {"DATA_SOURCE_URI": place, "DATA_SOURCE_USER": "watcher", "DATA_SOURCE_PASS": "w"},
                            {"DATA_SOURCE_NAME": f"host=127.0.0.1 port={server.port} user=watcher password=w dbname=postgres sslmode=disable"}):
                    ours = Exporter(scratch, "postgres", env={name: str(value) for name, value in env.items()})
                    page = ours.get()
                    self.assertEqual(page.value("pg_up"), 1, f"{sorted(env)}: {ours.program.log()}")
                    self.assertEqual(page.value("pg_stat_archiver_failed_count", server=f"127.0.0.1:{server.port}"), 0)
                # One of two is down: up, but not without a fault.
                two = f"{server.dsn()},postgresql://x@127.0.0.1:{free_port()}/x?sslmode=disable"
                page = Exporter(scratch, "postgres", env={"DATA_SOURCE_NAME": two}).get()
                self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (1, 1))
                # Names of older versions stand beside the new ones, unless somebody does without.
                self.assertEqual(page.value("pg_stat_bgwriter_buffers_alloc"), page.value("pg_stat_bgwriter_buffers_alloc_total"))
                self.assertEqual(page.value("pg_replication_lag"), 0)
                page = Exporter(scratch, "postgres", "--no-compat.old-names", env={"DATA_SOURCE_NAME": server.dsn()}).get()
                self.assertNotIn("pg_stat_bgwriter_buffers_alloc", page.families)
                self.assertNotIn("pg_replication_lag", page.families)
            finally:
                server.stop()

    def test_queries_of_ones_own_run_where_and_as_often_as_they_say(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                server.sql("CREATE DATABASE other")
                server.sql("CREATE SEQUENCE asked")
                queries = scratch.write("q.yml", """
pg_here:
  query: SELECT current_database() AS datname, 1 AS n
  metrics: [{datname: {usage: LABEL}}, {n: {usage: GAUGE, description: One.}}]
pg_kept:
  query: SELECT nextval('asked') AS n
  master: true
  cache_seconds: 3600
  metrics: [{n: {usage: COUNTER, description: How often.}}]
pg_new:
  query: SELECT 1 AS n
  master: true
  runonserver: ">=99.0.0"
  metrics: [{n: {usage: GAUGE}}]
pg_broken:
  query: SELECT nothing FROM nowhere
  master: true
pg_stat_archiver:
  query: SELECT 7 AS archived_count
  master: true
  metrics: [{archived_count: {usage: COUNTER, description: Ours wins.}}]
""")
                flags = [f"--extend.query-path={queries}", "--auto-discover-databases", "--exclude-databases=template1"]
                ours = Exporter(scratch, "postgres", *flags, env={"DATA_SOURCE_NAME": server.dsn()})
                for _ in range(2):
                    page = ours.get()
                    self.assertEqual({dict(labels)["datname"] for _, labels in page.families["pg_here_n"]}, {"postgres", "other"})
                    self.assertEqual(page.value("pg_kept_n"), 1)
                    self.assertNotIn("pg_new_n", page.families)
                    self.assertEqual(page.value("pg_stat_archiver_archived_count"), 7)
                    # One that fails costs itself.
                    self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (1, 1))
                self.assertIn("nowhere", ours.program.log())
                self.assertEqual(page.value("pg_exporter_user_queries_load_error", filename=str(queries)), 0)
                wrong = scratch.write("wrong.yml", "pg_x: {querry: SELECT 1}\n")
                page = Exporter(scratch, "postgres", f"--extend.query-path={wrong}", env={"DATA_SOURCE_NAME": server.dsn()}).get()
                self.assertEqual((page.value("pg_up"), page.value("pg_exporter_user_queries_load_error", filename=str(wrong))), (1, 1))
            finally:
                server.stop()

    def test_a_restarted_server_is_found_again_and_a_stopped_one_said_so(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                ours = Exporter(scratch, "postgres", env={"DATA_SOURCE_NAME": server.dsn()})
                self.assertEqual(ours.get().value("pg_up"), 1)
                # The connection stays: no scrape but the first one is a new session.
                pids = {server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'postgres_exporter'") for _ in range(2) if ours.get()}
                self.assertEqual(len(pids), 1)
                server.stop()
                start = time.monotonic()
                page = ours.get()
                self.assertLess(time.monotonic() - start, 10)
                self.assertEqual((page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (0, 1))
                self.assertIn("PostgreSQL does not answer", ours.program.log())
                server.start()
                self.assertEqual(ours.get().value("pg_up"), 1)
            finally:
                if server.process.poll() is None:
                    server.stop()


class Silent(unittest.TestCase):
    def test_a_server_that_never_answers_never_hangs_a_scrape(self):
        with Scratch() as scratch, socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(16)
            place = f"127.0.0.1:{silent.getsockname()[1]}/x"
            for mode in ("disable", "require"):
                ours = Exporter(scratch, "postgres", env={"DATA_SOURCE_NAME": f"postgresql://u:s3cret@{place}?sslmode={mode}"})
                for path, params in (("/metrics", None), ("/probe", {"target": f"{place}?sslmode={mode}"})):
                    start = time.monotonic()
                    status, _, body = ours.program.raw(path, params, headers={"X-Prometheus-Scrape-Timeout-Seconds": "2"})
                    self.assertLess(time.monotonic() - start, 5)
                    page = Page(body.decode())
                    self.assertEqual((status, page.value("pg_up"), page.value("pg_exporter_last_scrape_error")), (200, 0, 1))
                log = ours.program.log()
                self.assertIn("no answer within", log)
                self.assertNotIn("s3cret", log)

    def test_a_port_that_is_taken_is_said_with_what_helps(self):
        with Scratch() as scratch, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            (scratch.sub("config") / "reba.yml").write_text(f"listen: {{node: '127.0.0.1:{port}', postgres: '127.0.0.1:{port}'}}\n")
            for role, off in (("node", "exporters: {node: {enabled: false}}"), ("postgres", "exporters: {postgres: {enabled: false}}")):
                code, _, error = reba("run", "--only", role, "--config", str(scratch.sub("config")), "--data", str(scratch.sub("data")))
                self.assertNotEqual(code, 0)
                for words in (f"{role}: cannot listen on 127.0.0.1:{port}", "Address already in use", off, f"listen: {{{role}: HOST:PORT}}"):
                    self.assertIn(words, error)


if __name__ == "__main__":
    unittest.main()
