//! The collectors of postgres_exporter 0.15: queries whose first columns are labels and whose others are measures.
//!
//! A null label leaves out its row, a null measure leaves out itself. Names are upstream's, with their faults.

#![expect(clippy::unnecessary_wraps, reason = "all queries have one shape, and some versions have none")]

use std::borrow::Cow;

use super::{
    session::{Patience, QueryError, Session},
    table::{Row, Table},
};
use crate::page::{
    self,
    Kind::{self, Counter, Gauge},
    Page,
};

/// A collector.
pub struct Collector {
    pub name: &'static str,
    /// The flag that switches it.
    pub flag: &'static str,
    /// Whether it runs unless told otherwise.
    pub default: bool,
    pub help: &'static str,
    /// The query for a version of the server; none, if it has nothing of the kind.
    query: fn(u32) -> Option<Cow<'static, str>>,
    /// Labels, as the first columns have them.
    labels: &'static [&'static str],
    /// What the other columns are.
    measures: &'static [(&'static str, Kind)],
}

macro_rules! collector {
    ($name:literal, $default:literal, $help:literal, $query:expr, $labels:expr, $measures:expr) => {
        Collector {
            name: $name,
            flag: concat!("collector.", $name),
            default: $default,
            help: $help,
            query: $query,
            labels: $labels,
            measures: $measures,
        }
    };
}

const TABLE: &[&str] = &["datname", "schemaname", "relname"];

/// All of them, by name.
pub const COLLECTORS: &[Collector] = &[
    collector!(
        "database",
        true,
        "Sizes of databases.",
        database,
        &["datname"],
        &[("pg_database_size_bytes", Gauge)]
    ),
    collector!(
        "database_wraparound",
        false,
        "Ages of databases' oldest transactions.",
        |_| Some(
            "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database WHERE datallowconn"
                .into()
        ),
        &["datname"],
        &[
            ("pg_database_wraparound_age_datfrozenxid_seconds", Gauge),
            ("pg_database_wraparound_age_datminmxid_seconds", Gauge),
        ]
    ),
    collector!(
        "locks",
        true,
        "Locks by mode.",
        |_| Some(LOCKS.into()),
        &["datname", "mode"],
        &[("pg_locks_count", Gauge)]
    ),
    collector!(
        "long_running_transactions",
        false,
        "Transactions that are open.",
        |_| Some(
            "SELECT count(*), extract(epoch FROM max(clock_timestamp())) FROM pg_stat_activity \
             WHERE state IS DISTINCT FROM 'idle' AND query NOT LIKE 'autovacuum:%'"
                .into()
        ),
        &[],
        &[
            ("pg_long_running_transactions", Gauge),
            ("pg_long_running_transactions_oldest_timestamp_seconds", Gauge),
        ]
    ),
    collector!(
        "postmaster",
        false,
        "When the server started.",
        |_| Some("SELECT extract(epoch FROM pg_postmaster_start_time())".into()),
        &[],
        &[("pg_postmaster_start_time_seconds", Gauge)]
    ),
    // Its rows become a histogram, below.
    collector!(
        "process_idle",
        false,
        "How long sessions have been idle.",
        |_| Some(IDLE.into()),
        &["state", "application_name"],
        &[]
    ),
    collector!(
        "replication",
        true,
        "How far a replica is behind.",
        replication,
        &[],
        &[("pg_replication_lag_seconds", Gauge), ("pg_replication_is_replica", Gauge)]
    ),
    collector!(
        "replication_slot",
        true,
        "Replication slots.",
        |_| Some(SLOTS.into()),
        &["slot_name"],
        &[
            ("pg_replication_slot_slot_current_wal_lsn", Gauge),
            ("pg_replication_slot_slot_confirmed_flush_lsn", Gauge),
            ("pg_replication_slot_slot_is_active", Gauge),
        ]
    ),
    collector!(
        "stat_activity_autovacuum",
        false,
        "Autovacuums that run.",
        |_| Some(
            "SELECT split_part(query, '.', 2), extract(epoch FROM xact_start) FROM pg_stat_activity \
             WHERE query LIKE 'autovacuum:%'"
                .into()
        ),
        &["relname"],
        &[("pg_stat_activity_autovacuum_timestamp_seconds", Gauge)]
    ),
    collector!(
        "stat_bgwriter",
        true,
        "What background writer and checkpointer do.",
        bgwriter,
        &[],
        &[
            ("pg_stat_bgwriter_checkpoints_timed_total", Counter),
            ("pg_stat_bgwriter_checkpoints_req_total", Counter),
            ("pg_stat_bgwriter_checkpoint_write_time_total", Counter),
            ("pg_stat_bgwriter_checkpoint_sync_time_total", Counter),
            ("pg_stat_bgwriter_buffers_checkpoint_total", Counter),
            ("pg_stat_bgwriter_buffers_clean_total", Counter),
            ("pg_stat_bgwriter_maxwritten_clean_total", Counter),
            ("pg_stat_bgwriter_buffers_backend_total", Counter),
            ("pg_stat_bgwriter_buffers_backend_fsync_total", Counter),
            ("pg_stat_bgwriter_buffers_alloc_total", Counter),
            ("pg_stat_bgwriter_stats_reset_total", Counter),
        ]
    ),
    collector!(
        "stat_checkpointer",
        false,
        "What the checkpointer does, as PostgreSQL 17 tells it.",
        |version| (version >= 170_000).then(|| CHECKPOINTER.into()),
        &[],
        &[
            ("pg_stat_checkpointer_num_timed_total", Counter),
            ("pg_stat_checkpointer_num_requested_total", Counter),
            ("pg_stat_checkpointer_restartpoints_timed_total", Counter),
            ("pg_stat_checkpointer_restartpoints_req_total", Counter),
            ("pg_stat_checkpointer_restartpoints_done_total", Counter),
            ("pg_stat_checkpointer_write_time_total", Counter),
            ("pg_stat_checkpointer_sync_time_total", Counter),
            ("pg_stat_checkpointer_buffers_written_total", Counter),
            ("pg_stat_checkpointer_stats_reset_total", Counter),
        ]
    ),
    collector!(
        "stat_database",
        true,
        "Work in each database.",
        |_| Some(DATABASES.into()),
        &["datid", "datname"],
        &[
            ("pg_stat_database_numbackends", Gauge),
            ("pg_stat_database_xact_commit", Counter),
            ("pg_stat_database_xact_rollback", Counter),
            ("pg_stat_database_blks_read", Counter),
            ("pg_stat_database_blks_hit", Counter),
            ("pg_stat_database_tup_returned", Counter),
            ("pg_stat_database_tup_fetched", Counter),
            ("pg_stat_database_tup_inserted", Counter),
            ("pg_stat_database_tup_updated", Counter),
            ("pg_stat_database_tup_deleted", Counter),
            ("pg_stat_database_conflicts", Counter),
            ("pg_stat_database_temp_files", Counter),
            ("pg_stat_database_temp_bytes", Counter),
            ("pg_stat_database_deadlocks", Counter),
            ("pg_stat_database_blk_read_time", Counter),
            ("pg_stat_database_blk_write_time", Counter),
            ("pg_stat_database_stats_reset", Counter),
        ]
    ),
    collector!(
        "stat_statements",
        false,
        "The statements that cost most.",
        statements,
        &["datname", "queryid", "user"],
        &[
            ("pg_stat_statements_calls_total", Counter),
            ("pg_stat_statements_seconds_total", Counter),
            ("pg_stat_statements_rows_total", Counter),
            ("pg_stat_statements_block_read_seconds_total", Counter),
            ("pg_stat_statements_block_write_seconds_total", Counter),
        ]
    ),
    collector!(
        "stat_user_tables",
        true,
        "Work on each table.",
        |_| Some(TABLES.into()),
        TABLE,
        &[
            ("pg_stat_user_tables_seq_scan", Counter),
            ("pg_stat_user_tables_seq_tup_read", Counter),
            ("pg_stat_user_tables_idx_scan", Counter),
            ("pg_stat_user_tables_idx_tup_fetch", Counter),
            ("pg_stat_user_tables_n_tup_ins", Counter),
            ("pg_stat_user_tables_n_tup_upd", Counter),
            ("pg_stat_user_tables_n_tup_del", Counter),
            ("pg_stat_user_tables_n_tup_hot_upd", Counter),
            ("pg_stat_user_tables_n_live_tup", Gauge),
            ("pg_stat_user_tables_n_dead_tup", Gauge),
            ("pg_stat_user_tables_n_mod_since_analyze", Gauge),
            ("pg_stat_user_tables_last_vacuum", Gauge),
            ("pg_stat_user_tables_last_autovacuum", Gauge),
            ("pg_stat_user_tables_last_analyze", Gauge),
            ("pg_stat_user_tables_last_autoanalyze", Gauge),
            ("pg_stat_user_tables_vacuum_count", Counter),
            ("pg_stat_user_tables_autovacuum_count", Counter),
            ("pg_stat_user_tables_analyze_count", Counter),
            ("pg_stat_user_tables_autoanalyze_count", Counter),
            ("pg_stat_user_tables_size_bytes", Gauge),
        ]
    ),
    collector!(
        "stat_wal_receiver",
        false,
        "What a replica receives.",
        wal_receiver,
        &["slot_name", "status", "upstream_host"],
        &[
            ("pg_stat_wal_receiver_receive_start_lsn", Counter),
            ("pg_stat_wal_receiver_flushed_lsn", Counter),
            ("pg_stat_wal_receiver_receive_start_tli", Gauge),
            ("pg_stat_wal_receiver_received_tli", Gauge),
            ("pg_stat_wal_receiver_last_msg_send_time", Counter),
            ("pg_stat_wal_receiver_last_msg_receipt_time", Counter),
            ("pg_stat_wal_receiver_latest_end_lsn", Counter),
            ("pg_stat_wal_receiver_latest_end_time", Counter),
            ("pg_stat_wal_receiver_upstream_node", Gauge),
        ]
    ),
    collector!(
        "statio_user_indexes",
        false,
        "Blocks read for each index.",
        |_| {
            Some(
            "SELECT schemaname, relname, indexrelname, coalesce(idx_blks_read, 0), coalesce(idx_blks_hit, 0) \
             FROM pg_statio_user_indexes"
                .into()
        )
        },
        &["schemaname", "relname", "indexrelname"],
        &[
            ("pg_statio_user_indexes_idx_blks_read_total", Counter),
            ("pg_statio_user_indexes_idx_blks_hit_total", Counter),
        ]
    ),
    collector!(
        "statio_user_tables",
        true,
        "Blocks read for each table.",
        |_| Some(TABLE_IO.into()),
        TABLE,
        &[
            ("pg_statio_user_tables_heap_blocks_read", Counter),
            ("pg_statio_user_tables_heap_blocks_hit", Counter),
            ("pg_statio_user_tables_idx_blocks_read", Counter),
            ("pg_statio_user_tables_idx_blocks_hit", Counter),
            ("pg_statio_user_tables_toast_blocks_read", Counter),
            ("pg_statio_user_tables_toast_blocks_hit", Counter),
            ("pg_statio_user_tables_tidx_blocks_read", Counter),
            ("pg_statio_user_tables_tidx_blocks_hit", Counter),
        ]
    ),
    collector!(
        "wal",
        true,
        "The write-ahead log on disk.",
        |_| Some(
            "SELECT count(*), coalesce(sum(size), 0) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
                .into()
        ),
        &[],
        &[("pg_wal_segments", Gauge), ("pg_wal_size_bytes", Gauge)]
    ),
    collector!(
        "xlog_location",
        false,
        "The place in the log, before PostgreSQL 10.",
        |version| (version < 100_000).then(|| XLOG.into()),
        &[],
        &[("pg_xlog_location_bytes", Gauge)]
    ),
];

/// One query for all databases; those that we may not connect to have no size for us.
fn database(_: u32) -> Option<Cow<'static, str>> {
    let query = "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT') \
            OR pg_has_role('pg_read_all_stats', 'MEMBER') THEN pg_database_size(oid) END FROM pg_database";
    Some(query.into())
}

const LOCKS: &str = "\
    SELECT d.datname, m.mode, count(l.mode) \
    FROM pg_database d \
    CROSS JOIN unnest(ARRAY['accesssharelock', 'rowsharelock', 'rowexclusivelock', 'shareupdateexclusivelock', \
        'sharelock', 'sharerowexclusivelock', 'exclusivelock', 'accessexclusivelock', 'sireadlock']) AS m(mode) \
    LEFT JOIN pg_locks l ON l.database = d.oid AND lower(l.mode) = m.mode \
    GROUP BY 1, 2";

const SLOTS: &str = "\
    SELECT slot_name, \
        coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END - '0/0', 0), \
        CASE WHEN active THEN coalesce(confirmed_flush_lsn - '0/0', 0) END, \
        CASE WHEN active THEN 1 ELSE 0 END \
    FROM pg_replication_slots";

const DATABASES: &str = "\
    SELECT datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, \
        tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, \
        blk_write_time, coalesce(floor(extract(epoch FROM stats_reset)), 0) \
    FROM pg_stat_database";

const TABLES: &str = "\
    SELECT current_database(), schemaname, relname, coalesce(seq_scan, 0), coalesce(seq_tup_read, 0), \
        coalesce(idx_scan, 0), coalesce(idx_tup_fetch, 0), n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, \
        n_live_tup, n_dead_tup, n_mod_since_analyze, \
        coalesce(floor(extract(epoch FROM last_vacuum)), 0), coalesce(floor(extract(epoch FROM last_autovacuum)), 0), \
        coalesce(floor(extract(epoch FROM last_analyze)), 0), coalesce(floor(extract(epoch FROM last_autoanalyze)), 0), \
        vacuum_count, autovacuum_count, analyze_count, autoanalyze_count, coalesce(pg_total_relation_size(relid), 0) \
    FROM pg_stat_user_tables";

const TABLE_IO: &str = "\
    SELECT current_database(), schemaname, relname, coalesce(heap_blks_read, 0), coalesce(heap_blks_hit, 0), \
        coalesce(idx_blks_read, 0), coalesce(idx_blks_hit, 0), coalesce(toast_blks_read, 0), coalesce(toast_blks_hit, 0), \
        coalesce(tidx_blks_read, 0), coalesce(tidx_blks_hit, 0) \
    FROM pg_statio_user_tables";

const XLOG: &str = "\
    SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_xlog_replay_location() ELSE pg_current_xlog_location() END - '0/0') \
        % (2 ^ 52)::bigint";

const CHECKPOINTER: &str = "\
    SELECT num_timed, num_requested, restartpoints_timed, restartpoints_req, restartpoints_done, write_time, sync_time, \
        buffers_written, coalesce(floor(extract(epoch FROM stats_reset)), 0) \
    FROM pg_stat_checkpointer";

/// How long sessions have been idle: sum, count, and how many of them for at most 1, 2, 5 … 300 seconds.
const IDLE: &str = "\
    SELECT coalesce(state, 'unknown'), coalesce(application_name, 'unknown'), sum(age), count(*), \
        count(*) FILTER (WHERE age <= 1), count(*) FILTER (WHERE age <= 2), count(*) FILTER (WHERE age <= 5), \
        count(*) FILTER (WHERE age <= 15), count(*) FILTER (WHERE age <= 30), count(*) FILTER (WHERE age <= 60), \
        count(*) FILTER (WHERE age <= 90), count(*) FILTER (WHERE age <= 120), count(*) FILTER (WHERE age <= 300) \
    FROM (SELECT state, application_name, extract(epoch FROM now() - state_change)::bigint AS age \
        FROM pg_stat_activity WHERE state LIKE 'idle%') AS idle \
    GROUP BY 1, 2";

const IDLE_BOUNDS: [&str; 9] = ["1", "2", "5", "15", "30", "60", "90", "120", "300"];

fn replication(_: u32) -> Option<Cow<'static, str>> {
    Some(
        "SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
            ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END, \
            CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END"
            .into(),
    )
}

/// Since version 17 the checkpointer has a view of its own, and what backends wrote is in a third.
fn bgwriter(version: u32) -> Option<Cow<'static, str>> {
    if version < 170_000 {
        let query = "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time, \
                buffers_checkpoint, buffers_clean, maxwritten_clean, buffers_backend, buffers_backend_fsync, \
                buffers_alloc, coalesce(floor(extract(epoch FROM stats_reset)), 0) FROM pg_stat_bgwriter";
        return Some(query.into());
    }
    let query = "SELECT c.num_timed, c.num_requested, c.write_time, c.sync_time, c.buffers_written, b.buffers_clean, \
            b.maxwritten_clean, io.writes, io.fsyncs, b.buffers_alloc, \
            coalesce(floor(extract(epoch FROM b.stats_reset)), 0) \
        FROM pg_stat_bgwriter b, pg_stat_checkpointer c, \
            (SELECT coalesce(sum(coalesce(writes, 0) + coalesce(extends, 0)), 0) AS writes, \
                coalesce(sum(fsyncs), 0) AS fsyncs FROM pg_stat_io \
             WHERE backend_type = 'client backend' AND object = 'relation') io";
    Some(query.into())
}

/// Columns were renamed in versions 13 and 17.
fn statements(version: u32) -> Option<Cow<'static, str>> {
    let total = if version >= 130_000 { "total_exec_time" } else { "total_time" };
    let (read, write) = if version >= 170_000 {
        ("shared_blk_read_time + local_blk_read_time", "shared_blk_write_time + local_blk_write_time")
    } else {
        ("blk_read_time", "blk_write_time")
    };
    let query = format!(
        "SELECT d.datname, coalesce(s.queryid::text, 'unknown'), pg_get_userbyid(s.userid), s.calls, \
            s.{total} / 1000.0, s.rows, ({read}) / 1000.0, ({write}) / 1000.0 \
         FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
         WHERE s.{total} > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY {total}) FROM pg_stat_statements) \
         ORDER BY s.{total} DESC LIMIT 100"
    );
    Some(query.into())
}

fn wal_receiver(version: u32) -> Option<Cow<'static, str>> {
    let flushed = if version >= 130_000 { "flushed_lsn" } else { "received_lsn" };
    let lsn = |column: &str| format!("({column} - '0/0') % (2 ^ 52)::bigint");
    let query = format!(
        "SELECT slot_name, status, trim(both '''' FROM substring(conninfo FROM 'host=([^ ]*)')), {}, {}, \
            receive_start_tli, received_tli, extract(epoch FROM last_msg_send_time), \
            extract(epoch FROM last_msg_receipt_time), {}, extract(epoch FROM latest_end_time), \
            substring(slot_name FROM 'repmgr_slot_([0-9]*)') \
         FROM pg_stat_wal_receiver",
        lsn("receive_start_lsn"),
        lsn(flushed),
        lsn("latest_end_lsn"),
    );
    Some(query.into())
}

/// Asks what a collector wants to know.
pub async fn ask(collector: &Collector, session: &Session, patience: Patience) -> Result<Table, QueryError> {
    match (collector.query)(session.version) {
        Some(query) => session.table(&query, patience).await,
        None => Ok(Table::default()),
    }
}

/// What an older version called a family, if that is what dashboards still ask for: upstream's own overview does.
fn old_name(name: &'static str) -> Option<&'static str> {
    match name {
        "pg_replication_lag_seconds" => Some("pg_replication_lag"),
        name if name.starts_with("pg_stat_bgwriter_") => name.strip_suffix("_total"),
        _ => None,
    }
}

/// Writes the same once more under the names of older versions.
pub fn write_old_names(collector: &Collector, table: &Table, page: &mut Page) {
    let old = |(name, kind): &(&'static str, Kind)| Some((old_name(name)?, *kind));
    let measures: Vec<Option<(&'static str, Kind)>> = collector.measures.iter().map(old).collect();
    if measures.iter().any(Option::is_some) {
        rows(collector, &measures, table.rows(), page);
    }
}

/// Writes the answer; `excluded` are databases whose size nobody wants.
pub fn write(collector: &Collector, table: &Table, excluded: &[String], page: &mut Page) {
    let measures: Vec<Option<(&'static str, Kind)>> = collector.measures.iter().copied().map(Some).collect();
    match collector.name {
        "process_idle" => idle(table, page),
        "database" => {
            let is_wanted = |row: &Row<'_>| !excluded.iter().any(|one| Some(one.as_str()) == row.get(0));
            rows(collector, &measures, table.rows().filter(is_wanted), page);
        }
        _ => rows(collector, &measures, table.rows(), page),
    }
}

/// Writes those of the columns behind the labels that are among `measures`.
fn rows<'t>(
    collector: &Collector,
    measures: &[Option<(&'static str, Kind)>],
    rows: impl Iterator<Item = Row<'t>>,
    page: &mut Page,
) {
    // As columns come, and as labels are shown.
    let mut order: Vec<usize> = (0..collector.labels.len()).collect();
    order.sort_by_key(|i| collector.labels.get(*i));
    let mut pairs = Vec::with_capacity(order.len());
    let labelled = |row: Row<'t>| {
        pairs.clear();
        for i in &order {
            pairs.push((*collector.labels.get(*i)?, row.get(*i)?));
        }
        Some((page::labels(&pairs), row))
    };
    let rows: Vec<(String, Row<'_>)> = rows.filter_map(labelled).collect();
    for (i, measure) in measures.iter().enumerate() {
        let Some((name, kind)) = *measure else { continue };
        let mut family = page.family(name, kind, collector.help);
        for (labels, row) in &rows {
            if let Some(value) = row.get(order.len() + i).and_then(|v| v.parse().ok()) {
                family.ready(labels, value);
            }
        }
    }
}

fn idle(table: &Table, page: &mut Page) {
    let mut family =
        page.family("pg_process_idle_seconds", Kind::Histogram, "How long sessions have been idle.");
    for row in table.rows() {
        let (Some(state), Some(application)) = (row.get(0), row.get(1)) else { continue };
        let numbers: Vec<f64> =
            row.values().skip(2).map(|n| n.and_then(|n| n.parse().ok()).unwrap_or(0.0)).collect();
        let [sum, count, buckets @ ..] = numbers.as_slice() else { continue };
        let labels = [("application_name", application), ("state", state)];
        let with = |le| [("application_name", application), ("le", le), ("state", state)];
        for (bound, n) in IDLE_BOUNDS.iter().zip(buckets) {
            family.suffixed("_bucket", &with(bound), *n);
        }
        family.suffixed("_bucket", &with("+Inf"), *count);
        family.suffixed("_sum", &labels, *sum).suffixed("_count", &labels, *count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collector_has_a_query_for_every_version_from_12_on_or_says_that_it_has_none() {
        for collector in COLLECTORS {
            for version in [120_000, 130_000, 140_000, 150_000, 160_000, 170_000] {
                let none = match collector.name {
                    "xlog_location" => true,
                    "stat_checkpointer" => version < 170_000,
                    _ => false,
                };
                assert_eq!((collector.query)(version).is_none(), none, "{} {version}", collector.name);
            }
        }
        assert!(
            statements(120_000).unwrap().contains("total_time")
                && !statements(170_000).unwrap().contains(" blk_")
        );
    }

    #[test]
    fn nulls_leave_out_what_they_concern() {
        let collector = COLLECTORS.iter().find(|c| c.name == "replication_slot").unwrap();
        let columns = ["name", "lsn", "confirmed", "active"];
        let table = Table::of(
            &columns,
            &[&[Some("a"), Some("1"), None, Some("0")], &[None, Some("2"), Some("2"), Some("1")]],
        );
        let mut page = Page::new();
        write(collector, &table, &[], &mut page);
        let page = page.text();
        assert!(page.contains("pg_replication_slot_slot_current_wal_lsn{slot_name=\"a\"} 1\n"), "{page}");
        assert!(!page.contains("confirmed_flush") && page.matches("slot_name").count() == 2);
    }

    #[test]
    fn families_that_were_renamed_can_have_their_old_names_as_well() {
        let of = |name: &str| COLLECTORS.iter().find(|c| c.name == name).unwrap();
        let mut page = Page::new();
        write_old_names(of("replication"), &Table::of(&["lag", "is"], &[&[Some("3"), Some("1")]]), &mut page);
        let numbers = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
        write_old_names(of("stat_bgwriter"), &Table::of(&numbers, &[&numbers.map(Some)]), &mut page);
        write_old_names(
            of("locks"),
            &Table::of(&numbers[..3], &[&[Some("d"), Some("m"), Some("1")]]),
            &mut page,
        );
        let page = page.text();
        assert!(
            page.contains("pg_replication_lag 3\n") && page.contains("pg_stat_bgwriter_buffers_alloc 10\n"),
            "{page}"
        );
        assert!(
            !page.contains("_total") && !page.contains("is_replica") && !page.contains("locks"),
            "{page}"
        );
    }

    #[test]
    fn idle_sessions_become_a_histogram() {
        let row = ["idle", "app", "70", "2", "0", "0", "1", "1", "1", "1", "2", "2", "2"];
        let table = Table::of(&row, &[&row.map(Some)]);
        let mut page = Page::new();
        idle(&table, &mut page);
        let page = page.text();
        for line in [
            "pg_process_idle_seconds_bucket{application_name=\"app\",le=\"5\",state=\"idle\"} 1",
            "pg_process_idle_seconds_bucket{application_name=\"app\",le=\"+Inf\",state=\"idle\"} 2",
            "pg_process_idle_seconds_sum{application_name=\"app\",state=\"idle\"} 70",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
    }
}
