"""The exporters, ours and Debian's, and what may differ between them."""

import os
import time

from exposition import Differences, Page, structure, values
from harness import PEERS, Program, free_port

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
               (r"pg_stat_bgwriter_(?!.*_total).*|pg_replication_lag", "names of older versions, which dashboards ask for (compat.old-names)"),
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
    only_ours=[(r"redis_commands_latencies_usec|redis_script_result", "new after 1.45"), (r"redis_pubsubshard_channels", "new after 1.45"),
               (r"redis_stream_(first_entry_id|last_entry_id|max_deleted_entry_id|group_entries_read|group_lag)", "new after 1.45")],
    labels=[(r"go_info", OWN[0][1]), (r"redis_script_values", "the label filename came with several scripts, after 1.45")],
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


def compare(case, ours, theirs, known, prepare=lambda page: page):
    """Asks both in turn: names, types, labels, series and values are Debian's, but for what is known. Our first page."""
    ours(), theirs()  # each has seen the other
    faults = []
    for _ in range(6):
        before, middle, after = ours(), prepare(theirs()), ours()
        found = structure(before, middle, known) + values(before, middle, after, known)
        # What is wrong every time is wrong.
        faults = found if not faults else [f for f in faults if any(f.split(":")[:2] == g.split(":")[:2] for g in found)]
        if not faults:
            break
    print("\n".join([f"\ndifferences from Debian's that are known ({case.id().split('.')[-1]}):", *known.report()]))
    case.assertEqual(faults, [])
    case.assertGreater(len(before.families.keys() & middle.families.keys()), 30)
    return before
