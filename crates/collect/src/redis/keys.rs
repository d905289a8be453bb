//! Keys that somebody wants to see: their lengths and values, how many match a pattern, and groups of them.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{
    Out,
    options::Options,
    resp::{Connection, RespError, Value},
};
use crate::web::percent_decoded;

/// Keys at most that one scrape looks at, of all patterns together: each costs the server two commands.
const MAX_CHECKED_KEYS: usize = 10_000;

/// Commands that are sent at once.
const PIPELINE: usize = 128;

/// The longest value that becomes a label.
const MAX_VALUE_BYTES: usize = 1024;

/// A key or a pattern, and the database it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub db: u32,
    pub name: Vec<u8>,
}

impl Key {
    fn has_wildcards(&self) -> bool {
        self.name.iter().any(|b| b"?*[]^".contains(b))
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Reads `db0=pattern,db1=other,third`; patterns may have `%xx`.
pub fn parse(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (db, name) = match part.split('=').collect::<Vec<_>>().as_slice() {
            [name] => ("0".to_owned(), *name),
            [db, name] => (db.trim().replace("db", ""), *name),
            _ => return Err(format!("not a key with its database: {part:?}")),
        };
        let name = percent_decoded(&name.trim().replace('+', " "));
        if db.is_empty() || name.is_empty() {
            continue;
        }
        let db = db.parse().map_err(|_| format!("not a database: {db:?}"))?;
        keys.push(Key { db, name: name.into_bytes() });
    }
    Ok(keys)
}

async fn select(connection: &mut Connection, db: u32) -> Result<(), RespError> {
    connection.ask(&[b"SELECT", db.to_string().as_bytes()]).await.map(|_| ())
}

/// Goes through the keys that match, a batch at a time; ends early if `each` says so.
async fn scan(
    connection: &mut Connection,
    pattern: &[u8],
    batch: u64,
    mut each: impl FnMut(&[Value]) -> bool,
) -> Result<(), RespError> {
    let batch = batch.to_string();
    let mut cursor = b"0".to_vec();
    loop {
        let command: [&[u8]; 6] = [b"SCAN", &cursor, b"MATCH", pattern, b"COUNT", batch.as_bytes()];
        let reply = connection.ask(&command).await?;
        let [Value::Text(next), Value::List(found)] = reply.list() else {
            return Err(RespError::Protocol("SCAN answers with a cursor and keys"));
        };
        if !each(found) || next == b"0" {
            return Ok(());
        }
        cursor.clone_from(next);
    }
}

/// Keys themselves, and those that match patterns.
pub async fn expand(
    connection: &mut Connection,
    options: &Options,
    keys: &[Key],
) -> Result<Vec<Key>, RespError> {
    let mut out: Vec<Key> = Vec::new();
    let mut cut = false;
    for key in keys {
        if !key.has_wildcards() {
            out.push(key.clone());
            continue;
        }
        select(connection, key.db).await?;
        scan(connection, &key.name, options.batch, |found| {
            for value in found {
                if let Value::Text(name) = value {
                    out.push(Key { db: key.db, name: name.clone() });
                }
            }
            cut |= out.len() > MAX_CHECKED_KEYS;
            !cut
        })
        .await?;
    }
    if out.len() > MAX_CHECKED_KEYS {
        tracing::warn!(
            limit = MAX_CHECKED_KEYS,
            "more keys match than a scrape looks at (MAX_CHECKED_KEYS): the rest is left out"
        );
        out.truncate(MAX_CHECKED_KEYS);
    }
    // A SCAN may tell a key twice.
    out.sort_by(|a, b| (a.db, &a.name).cmp(&(b.db, &b.name)));
    out.dedup();
    Ok(out)
}

/// Lengths and values of keys.
pub async fn check(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
    keys: &[Key],
) -> Result<(), RespError> {
    let mut rest = keys;
    while let Some(first) = rest.first() {
        let same = rest.iter().take(PIPELINE).take_while(|key| key.db == first.db).count();
        let (now, later) = rest.split_at(same);
        select(connection, first.db).await?;
        check_some(out, connection, options, now).await?;
        rest = later;
    }
    Ok(())
}

async fn check_some(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
    keys: &[Key],
) -> Result<(), RespError> {
    let asks: Vec<[&[u8]; 2]> = keys.iter().map(|key| [b"TYPE".as_slice(), &key.name]).collect();
    let types = connection.ask_all(&slices(&asks)).await?;
    // The lengths of HyperLogLogs are counted otherwise than those of strings, which they are as well.
    let mut asks: Vec<[&[u8]; 2]> = Vec::new();
    let mut owners: Vec<usize> = Vec::new();
    for (i, (key, kind)) in keys.iter().zip(&types).enumerate() {
        let kind = kind.text().unwrap_or_default();
        let lengths: &[&[u8]] = match kind.as_str() {
            "string" if options.hide_values => &[b"PFCOUNT", b"STRLEN"],
            "string" => &[b"PFCOUNT", b"STRLEN", b"GET"],
            "list" => &[b"LLEN"],
            "set" => &[b"SCARD"],
            "zset" => &[b"ZCARD"],
            "hash" => &[b"HLEN"],
            "stream" => &[b"XLEN"],
            // In a cluster: the key is elsewhere.
            "" => &[],
            "none" => {
                size(out, key, 0.0);
                &[]
            }
            other => {
                tracing::warn!(key = key.shown(), kind = other, "a key of an unknown type has no length");
                &[]
            }
        };
        asks.extend(lengths.iter().map(|command| [*command, key.name.as_slice()]));
        owners.extend(lengths.iter().map(|_| i));
    }
    let replies = if asks.is_empty() { Vec::new() } else { connection.ask_all(&slices(&asks)).await? };
    let mut done = vec![false; keys.len()];
    for ((i, ask), reply) in owners.iter().zip(&asks).zip(&replies) {
        let (Some(key), Some(done)) = (keys.get(*i), done.get_mut(*i)) else { continue };
        match (ask[0], reply) {
            (b"GET", Value::Text(bytes)) => value(out, key, bytes),
            (_, Value::Number(n)) if !*done => {
                size(out, key, *n as f64);
                *done = true;
            }
            _ => {}
        }
    }
    Ok(())
}

fn slices<'a>(asks: &'a [[&'a [u8]; 2]]) -> Vec<&'a [&'a [u8]]> {
    asks.iter().map(|ask| ask.as_slice()).collect()
}

fn size(out: &mut Out<'_>, key: &Key, size: f64) {
    let (db, name) = (format!("db{}", key.db), key.shown());
    out.gauge("key_size", "How long each checked key is.", &[("db", &db), ("key", &name)], size);
}

fn value(out: &mut Out<'_>, key: &Key, bytes: &[u8]) {
    let (db, name) = (format!("db{}", key.db), key.shown());
    // What is no text, a HyperLogLog for one, is no label either.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(number) = text.parse::<f64>() {
        out.gauge("key_value", "The number in each checked key.", &[("db", &db), ("key", &name)], number);
    } else if bytes.len() <= MAX_VALUE_BYTES {
        let labels = [("db", db.as_str()), ("key", &name), ("val", text)];
        out.gauge("key_value_as_string", "The text in each checked key; always 1.", &labels, 1.0);
    } else {
        tracing::debug!(
            key = name,
            limit = MAX_VALUE_BYTES,
            "a value is too long for a label (MAX_VALUE_BYTES)"
        );
    }
}

/// How many keys match each pattern.
pub async fn count(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
    patterns: &[Key],
) -> Result<(), RespError> {
    for pattern in patterns {
        select(connection, pattern.db).await?;
        let mut count = 0_usize;
        scan(connection, &pattern.name, options.batch, |found| {
            count += found.len();
            true
        })
        .await?;
        let (db, name) = (format!("db{}", pattern.db), pattern.shown());
        let labels = [("db", db.as_str()), ("key", &name)];
        out.gauge("keys_count", "Keys that match each pattern.", &labels, count as f64);
    }
    Ok(())
}

/// Puts a batch of keys into groups by Lua's patterns, where the keys are; adds up their memory.
const GROUP_SCRIPT: &str = r#"
local page = redis.call("SCAN", ARGV[1], "COUNT", ARGV[2])
local counts, bytes = {}, {}
for _, key in ipairs(page[2]) do
  local group = "unclassified"
  for i = 3, #ARGV do
    local found = {string.find(key, ARGV[i])}
    if found[1] then
      group = table.concat({unpack(found, 3, #found)}, "")
      break
    end
  end
  counts[group] = (counts[group] or 0) + 1
  bytes[group] = (bytes[group] or 0) + (redis.call("MEMORY", "USAGE", key) or 0)
end
local out = {}
for group, n in pairs(counts) do out[#out + 1] = {group, n, bytes[group]} end
return {page[1], out}
"#;

/// Groups that are held at once; a pattern that makes more has a key's own name in it.
const MAX_GROUPS: usize = 100_000;

/// Groups of keys in each database.
pub async fn groups(
    out: &mut Out<'_>,
    connection: &mut Connection,
    options: &Options,
    databases: u32,
) -> Result<(), RespError> {
    if options.key_groups.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    for db in 0..databases {
        select(connection, db).await?;
        let groups = groups_of(connection, options).await?;
        write_groups(out, db, groups, options.max_groups);
    }
    let ms = start.elapsed().as_millis() as f64;
    let help = "How long the groups of keys took, in milliseconds.";
    out.gauge("last_key_groups_scrape_duration_milliseconds", help, &[], ms);
    Ok(())
}

type Groups = BTreeMap<String, (f64, f64)>;

async fn groups_of(connection: &mut Connection, options: &Options) -> Result<Groups, RespError> {
    let batch = options.batch.to_string();
    let mut cursor = "0".to_owned();
    let mut groups = Groups::new();
    loop {
        let mut command: Vec<&[u8]> =
            vec![b"EVAL", GROUP_SCRIPT.as_bytes(), b"0", cursor.as_bytes(), batch.as_bytes()];
        command.extend(options.key_groups.iter().map(String::as_bytes));
        let reply = connection.ask(&command).await?;
        let [next, Value::List(found)] = reply.list() else {
            return Err(RespError::Protocol("the script of key groups answers with a cursor and groups"));
        };
        for one in found {
            let [name, count, bytes, ..] = one.list() else { continue };
            let name = name.text().unwrap_or_default();
            if groups.len() >= MAX_GROUPS && !groups.contains_key(&name) {
                return Err(RespError::TooLarge("MAX_GROUPS"));
            }
            let group = groups.entry(name).or_default();
            group.0 += count.number().unwrap_or(0) as f64;
            group.1 += bytes.number().unwrap_or(0) as f64;
        }
        cursor = next.text().unwrap_or_default();
        if cursor == "0" || cursor.is_empty() {
            return Ok(groups);
        }
    }
}

fn write_groups(out: &mut Out<'_>, db: u32, groups: Groups, most: usize) {
    let db = format!("db{db}");
    let distinct = groups.len() as f64;
    let mut sorted: Vec<(String, (f64, f64))> = groups.into_iter().collect();
    if sorted.len() > most {
        sorted.sort_by(|(an, (ac, am)), (bn, (bc, bm))| {
            bm.total_cmp(am).then(ac.total_cmp(bc)).then_with(|| an.cmp(bn))
        });
        let (mut count, mut bytes) = (0.0, 0.0);
        for (_, (c, b)) in sorted.drain(most..) {
            count += c;
            bytes += b;
        }
        sorted.push(("overflow".to_owned(), (count, bytes)));
    }
    for (group, (count, bytes)) in sorted {
        let labels = [("db", db.as_str()), ("key_group", &group)];
        out.gauge("key_group_count", "Keys in each group.", &labels, count);
        out.gauge("key_group_memory_usage_bytes", "Memory of the keys in each group.", &labels, bytes);
    }
    out.gauge("number_of_distinct_key_groups", "Groups of keys.", &[("db", &db)], distinct);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_databases() {
        let keys = parse("db2=a%20b*, c ,3=x,db=y,").unwrap();
        let shown: Vec<_> = keys.iter().map(|k| (k.db, k.shown(), k.has_wildcards())).collect();
        assert_eq!(shown, [(2, "a b*".into(), true), (0, "c".into(), false), (3, "x".into(), false)]);
        assert!(parse("a=b=c").is_err() && parse("dbx=a").is_err() && parse("-1=a").is_err());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn the_largest_groups_are_shown_and_the_rest_is_added_up() {
        let mut page = crate::page::Page::new();
        let groups = [("a", (1.0, 10.0)), ("b", (2.0, 30.0)), ("c", (3.0, 20.0))];
        let groups = groups.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        write_groups(&mut Out { page: &mut page, namespace: "redis", system: false }, 0, groups, 1);
        let text = page.text();
        assert!(text.contains("redis_key_group_count{db=\"db0\",key_group=\"b\"} 2"), "{text}");
        assert!(text.contains("redis_key_group_memory_usage_bytes{db=\"db0\",key_group=\"overflow\"} 30"));
        assert!(text.contains("redis_number_of_distinct_key_groups{db=\"db0\"} 3"));
    }
}
