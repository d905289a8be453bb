"""What upstream's mixins and the widespread dashboards ask for is there: every family, with the labels they select by (mixins.py)."""

import unittest

import mixins
from databases import Postgres, Redis
from exporters import Exporter
from harness import Scratch, wait_until


class Asked(unittest.TestCase):
    def served(self, page, names):
        missing = []
        for name, labels in names.items():
            if name not in page.families:
                missing.append(name)
                continue
            for shown in page.label_names(name):
                missing += [f"{name}{{{label}}}" for label in labels.split() if label not in shown]
        self.assertEqual(sorted(set(missing)), [])

    def said(self, absent):
        print("".join(f"\nnot served here: {names}: {reason}" for names, reason in absent.items()))

    def test_a_host_has_what_node_mixin_asks_for(self):
        with Scratch() as scratch:
            (scratch.sub("text") / "a.prom").write_text("jobs_done 7\n")
            more = [f"--collector.{name}" for name in ("interrupts", "processes", f"textfile.directory={scratch.folder}/text")]
            self.served(Exporter(scratch, "node", *more).get(), mixins.NODE)
            for collector, (files, names) in mixins.NODE_ELSEWHERE.items():
                with self.subTest(collector=collector):
                    for path, text in files.items():
                        scratch.write(f"{collector}/{path}", text)
                    roots = [f"--path.{flag}={scratch.sub(f'{collector}/{folder}')}" for flag, folder in (("procfs", "proc"), ("sysfs", "sys"))]
                    ours = Exporter(scratch, "node", "--collector.disable-defaults", f"--collector.{collector}", *roots)
                    page = ours.get()
                    self.served(page, names)
                    self.assertEqual([dict(labels)["collector"] for _, labels in page.families["node_scrape_collector_success"]], [collector])
            self.said(mixins.NODE_ABSENT)

    @unittest.skipUnless(Postgres.exists(), "there is no PostgreSQL")
    def test_postgresql_has_what_postgres_mixin_asks_for(self):
        with Scratch() as scratch:
            server = Postgres(scratch.sub("pg"))
            try:
                server.sql("CREATE TABLE rides (id int PRIMARY KEY)")
                server.sql("CREATE EXTENSION pg_stat_statements")
                server.sql("SELECT pg_create_physical_replication_slot('standby')")
                for _ in range(20):
                    server.sql("SELECT count(*) FROM rides")
                more = [f"--collector.{name}" for name in ("postmaster", "stat_statements")]
                self.served(Exporter(scratch, "postgres", *more, env={"DATA_SOURCE_NAME": server.dsn()}).get(), mixins.POSTGRES)
            finally:
                server.stop()

    @unittest.skipUnless(Redis.exists(), "there is no Redis")
    def test_redis_has_what_redis_mixin_asks_for(self):
        with Scratch() as scratch:
            servers = [Redis(scratch.sub("node"), "--cluster-enabled", "yes", "--latency-monitor-threshold", "1", "--enable-debug-command", "yes",
                             "--cluster-config-file", str(scratch.sub("node") / "nodes.conf"))]
            try:
                servers[0].do("DEBUG", "SLEEP", "0.02")
                servers[0].do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                wait_until(lambda: b"cluster_state:ok" in servers[0].ask("CLUSTER", "INFO"), 60, "the cluster is whole")
                self.served(Exporter(scratch, "redis", f"-redis.addr={servers[0].address}", "-include-system-metrics").get(), mixins.REDIS)
                servers.append(Redis(scratch.sub("master"), "--repl-diskless-sync-delay", "0"))
                servers.append(Redis(scratch.sub("replica"), "--replicaof", "127.0.0.1", str(servers[1].port)))
                wait_until(lambda: b"master_link_status:up" in servers[2].ask("INFO", "replication"), 60, "the replica follows")
                self.served(Exporter(scratch, "redis", f"-redis.addr={servers[2].address}").get(), mixins.REDIS_REPLICA)
                self.said(mixins.REDIS_ABSENT)
            finally:
                for server in reversed(servers):
                    server.stop()


if __name__ == "__main__":
    unittest.main()
