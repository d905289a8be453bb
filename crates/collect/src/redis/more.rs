//! What Redis says beside `INFO`: configuration, latencies, slow commands, clients, streams, Sentinel, scripts.

use super::{
    Out,
    info::Info,
    keys::Key,
    options::Options,
    resp::{Connection, RespError, Value},
};
use crate::page::Kind;

/// Clients at most that are shown.
const MAX_CLIENTS: usize = 20_000;

/// Settings that are shown in any case.
const SETTINGS: [&str; 3] = ["io-threads", "maxclients", "maxmemory"];

/// What `CONFIG GET` says; how many databases there are, if it does.
pub fn config(out: &mut Out<'_>, options: &Options, reply: &Value) -> Option<u32> {
    const SECRET: [&str; 4] = ["masterauth", "requirepass", "tls-key-file-pass", "tls-client-key-file-pass"];
    let mut databases = None;
    for pair in reply.list().chunks_exact(2) {
        let [key, value] = pair else { continue };
        let (Some(key), Some(value)) = (key.text(), value.text()) else { continue };
        let number = value.parse::<f64>().ok();
        if key == "databases" {
            databases = value.parse().ok();
        }
        if options.config_metrics && !(options.redact && SECRET.contains(&key.as_str())) {
            let labels = [("key", key.as_str()), ("value", value.as_str())];
            out.gauge("config_key_value", "A setting and its value; always 1.", &labels, 1.0);
            if let Some(number) = number {
                out.gauge("config_value", "A setting that is a number.", &[("key", &key)], number);
            }
        }
        if let Some(number) = number.filter(|_| SETTINGS.contains(&key.as_str())) {
            let name = format!("config_{}", key.replace('-', "_"));
            out.gauge(&name, "A setting that is a number.", &[], number);
        }
    }
    databases
}

/// What `LATENCY LATEST` says.
pub fn spikes(out: &mut Out<'_>, reply: &Value) {
    for spike in reply.list() {
        let [event, at, ms, ..] = spike.list() else { continue };
        let (Some(event), Some(at), Some(ms)) = (event.text(), at.number(), ms.number()) else { continue };
        let labels = [("event_name", event.as_str())];
        out.gauge("latency_spike_last", "When it last was slow, in Unix time.", &labels, at as f64);
        out.gauge("latency_spike_duration_seconds", "For how long it was slow.", &labels, ms as f64 / 1e3);
    }
}

/// What `LATENCY HISTOGRAM` says.
pub fn histograms(out: &mut Out<'_>, info: &Info, reply: &Value) {
    for pair in reply.list().chunks_exact(2) {
        let [cmd, details] = pair else { continue };
        let (Some(cmd), Some(calls)) = (cmd.text(), details.get("calls").and_then(Value::number)) else {
            continue;
        };
        let buckets = details.get("histogram_usec").map_or(&[][..], Value::list);
        let sum = info.microseconds(&cmd);
        let mut rows =
            out.rows(Kind::Histogram, "commands_latencies_usec", "Each command's time, in microseconds.");
        for bucket in buckets.chunks_exact(2) {
            let [bound, count] = bucket else { continue };
            let (Some(bound), Some(count)) = (bound.number(), count.number()) else { continue };
            let le = reba_model::float::format_g(bound as f64);
            rows.suffixed("_bucket", &[("cmd", &cmd), ("le", &le)], count as f64);
        }
        rows.suffixed("_bucket", &[("cmd", &cmd), ("le", "+Inf")], calls as f64);
        rows.suffixed("_sum", &[("cmd", &cmd)], sum).suffixed("_count", &[("cmd", &cmd)], calls as f64);
    }
}

/// What `SLOWLOG LEN` and `SLOWLOG GET 1` say.
pub fn slow_log(out: &mut Out<'_>, length: &Value, newest: &Value) {
    if let Some(length) = length.number() {
        out.gauge("slowlog_length", "Commands in the log of slow ones.", &[], length as f64);
    }
    let Value::List(entries) = newest else { return };
    let entry = entries.first().map_or(&[][..], Value::list);
    let number = |n: usize| entry.get(n).and_then(Value::number).unwrap_or(0) as f64;
    out.gauge("slowlog_last_id", "The number of the newest slow command.", &[], number(0));
    let help = "How long the newest slow command took.";
    out.gauge("last_slow_execution_duration_seconds", help, &[], number(2) / 1e6);
}

/// What `CLIENT LIST` says.
pub fn clients(out: &mut Out<'_>, options: &Options, text: &str, now: f64) {
    for line in text.lines().take(MAX_CLIENTS) {
        let field = |key: &str| {
            let value = line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default()
        };
        let since = |key: &str| field(key).parse::<f64>().ok().map(|s| format!("{}", (now - s) as i64));
        let (Some(created), Some(idle)) = (since("age"), since("idle")) else { continue };
        let (host, port) = field("addr").rsplit_once(':').unwrap_or((field("addr"), ""));
        let mut labels = vec![
            ("cmd", field("cmd")),
            ("created_at", &created),
            ("db", field("db")),
            ("flags", field("flags")),
            ("host", host),
            ("idle_since", &idle),
            ("name", field("name")),
            ("omem", field("omem")),
        ];
        if options.client_port {
            labels.push(("port", port));
        }
        labels
            .extend(["resp", "user"].map(|key| (key, field(key))).into_iter().filter(|(_, v)| !v.is_empty()));
        out.gauge("connected_clients_details", "A client; always 1.", &labels, 1.0);
    }
}

/// The time in an entry's name.
fn entry_time(value: Option<&Value>) -> f64 {
    let text = value.and_then(Value::text).unwrap_or_default();
    text.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0.0)
}

/// Streams, their groups and consumers.
pub async fn streams(out: &mut Out<'_>, connection: &mut Connection, keys: &[Key]) -> Result<(), RespError> {
    for key in keys {
        connection.ask(&[b"SELECT", key.db.to_string().as_bytes()]).await?;
        let name = key.name.as_slice();
        let asks: [&[&[u8]]; 2] = [&[b"XINFO", b"STREAM", name], &[b"XINFO", b"GROUPS", name]];
        let replies = connection.ask_all(&asks).await?;
        let [stream @ Value::List(_), groups] = replies.as_slice() else {
            tracing::warn!(stream = %String::from_utf8_lossy(name), "this is no stream, or it is gone");
            continue;
        };
        let (db, shown) = (format!("db{}", key.db), String::from_utf8_lossy(name).into_owned());
        stream_itself(out, &db, &shown, stream);
        for group in groups.list() {
            let Some(Value::Text(group_name)) = group.get("name") else { continue };
            let consumers = connection.ask(&[b"XINFO", b"CONSUMERS", name, group_name]).await;
            let group_name = String::from_utf8_lossy(group_name).into_owned();
            stream_group(out, [&db, &shown, &group_name], group, consumers.as_ref().map_or(&[], Value::list));
        }
    }
    Ok(())
}

fn stream_itself(out: &mut Out<'_>, db: &str, name: &str, stream: &Value) {
    let labels = [("db", db), ("stream", name)];
    let mut put =
        |metric: &str, value: f64| out.gauge(metric, "What a stream says of itself.", &labels, value);
    let number = |key: &str| stream.get(key).and_then(Value::number).unwrap_or(0) as f64;
    put("stream_length", number("length"));
    put("stream_groups", number("groups"));
    put("stream_radix_tree_keys", number("radix-tree-keys"));
    put("stream_radix_tree_nodes", number("radix-tree-nodes"));
    put("stream_last_generated_id", entry_time(stream.get("last-generated-id")));
    put("stream_max_deleted_entry_id", entry_time(stream.get("max-deleted-entry-id")));
    put("stream_first_entry_id", entry_time(stream.get("first-entry").and_then(|e| e.list().first())));
    put("stream_last_entry_id", entry_time(stream.get("last-entry").and_then(|e| e.list().first())));
}

fn stream_group(out: &mut Out<'_>, [db, stream, name]: [&str; 3], group: &Value, consumers: &[Value]) {
    let labels = [("db", db), ("group", name), ("stream", stream)];
    let mut put =
        |metric: &str, value: f64| out.gauge(metric, "What a group of a stream says.", &labels, value);
    let number = |key: &str| group.get(key).and_then(Value::number).unwrap_or(0) as f64;
    put("stream_group_consumers", number("consumers"));
    put("stream_group_messages_pending", number("pending"));
    put("stream_group_last_delivered_id", entry_time(group.get("last-delivered-id")));
    put("stream_group_entries_read", number("entries-read"));
    put("stream_group_lag", number("lag"));
    for consumer in consumers {
        let Some(who) = consumer.get("name").and_then(Value::text) else { continue };
        let labels = [("consumer", who.as_str()), ("db", db), ("group", name), ("stream", stream)];
        let number = |key: &str| consumer.get(key).and_then(Value::number).unwrap_or(0) as f64;
        let help = "What a consumer of a stream says.";
        out.gauge("stream_group_consumer_messages_pending", help, &labels, number("pending"));
        out.gauge("stream_group_consumer_idle_seconds", help, &labels, number("idle") / 1e3);
    }
}

/// What a Sentinel knows of its masters.
pub async fn sentinel(out: &mut Out<'_>, connection: &mut Connection) -> Result<(), RespError> {
    let masters = connection.ask(&[b"SENTINEL", b"MASTERS"]).await?;
    for master in masters.list() {
        let text = |key: &str| master.get(key).and_then(Value::text);
        let (Some(name), Some(ip), Some(port)) = (text("name"), text("ip"), text("port")) else { continue };
        let address = format!("{ip}:{port}");
        let who = name.as_bytes();
        let asks: [&[&[u8]]; 3] = [
            &[b"SENTINEL", b"CKQUORUM", who],
            &[b"SENTINEL", b"SENTINELS", who],
            &[b"SENTINEL", b"SLAVES", who],
        ];
        let replies = connection.ask_all(&asks).await?;
        let [quorum, sentinels, slaves] = replies.as_slice() else { continue };
        let (ok, message) = match quorum {
            Value::Error(text) => (0.0, text.clone()),
            value => (1.0, value.text().unwrap_or_default()),
        };
        let labels = [("master_name", name.as_str()), ("message", &message)];
        out.gauge("sentinel_master_ckquorum_status", "Whether Sentinels could agree.", &labels, ok);
        let labels = [("master_address", address.as_str()), ("master_name", &name)];
        // The one that answers is well.
        let sentinels = 1.0 + well(sentinels);
        out.gauge(
            "sentinel_master_ok_sentinels",
            "Sentinels of each master that are well.",
            &labels,
            sentinels,
        );
        out.gauge(
            "sentinel_master_ok_slaves",
            "Replicas of each master that are well.",
            &labels,
            well(slaves),
        );
    }
    Ok(())
}

fn well(list: &Value) -> f64 {
    let flags = list.list().iter().filter_map(|one| one.get("flags").and_then(Value::text));
    flags.filter(|flags| !flags.contains("o_down") && !flags.contains("s_down")).count() as f64
}

/// Results of scripts.
pub async fn scripts(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
) -> Result<(), RespError> {
    for (file, text) in &options.scripts {
        let reply = connection.ask(&[b"EVAL", text.as_bytes(), b"0", b"0"]).await;
        let result = match &reply {
            Err(error @ RespError::Refused(_)) => {
                tracing::warn!(file, %error, "a script failed");
                0.0
            }
            Err(_) => return reply.map(|_| ()),
            Ok(value) if value.list().is_empty() => 2.0,
            Ok(value) => values_of(out, file, value),
        };
        out.gauge(
            "script_result",
            "How each script ended: 1 well, 2 without a result, 0 badly.",
            &[("filename", file)],
            result,
        );
    }
    Ok(())
}

fn values_of(out: &mut Out<'_>, file: &str, value: &Value) -> f64 {
    for pair in value.list().chunks(2) {
        let text = |n: usize| pair.get(n).and_then(Value::text);
        let number = text(1).and_then(|v| v.parse::<f64>().ok());
        let (Some(key), Some(number)) = (text(0), number) else {
            tracing::warn!(file, "a script's result is not a list of names and numbers");
            return 0.0;
        };
        out.gauge("script_values", "What scripts found.", &[("filename", file), ("key", &key)], number);
    }
    1.0
}
