//! Alertmanager's own files, so that moving to Reba pages nobody twice: `nflog` and `silences` in its data folder.
//!
//! Both are protobuf messages, each behind its length (a varint). Fields that are not named here are passed over.

use std::collections::BTreeMap;

use reba_model::{MatchOp, Matcher};
use reba_storage::{StateChange, StateError, StateStore};
use thiserror::Error;

use crate::{
    log::LogEntry,
    saved::{self, entry_body, silence_body},
    silence::Silence,
};

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UpstreamError {
    /// It ends within a message, or is no such file.
    #[error("cut off or malformed at byte {0}")]
    Malformed(usize),
    /// Something in it is no UTF-8.
    #[error("a text of message {0} is not valid UTF-8")]
    Text(usize),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The changes for the state store. They replace documents of the same key.
    pub changes: Vec<StateChange>,
    /// How many silences, or entries of the notification log, these are.
    pub taken: usize,
    /// What was over already.
    pub expired: usize,
    /// What the state store has as new as this, or newer.
    pub known: usize,
    /// What could not be taken, as `silence ID: reason`.
    pub left_out: Vec<String>,
}

impl Imported {
    /// Leaves out what the store has as new or newer: a silence that was ended since must not come back by a second import. Of what
    /// comes twice the newest stays.
    pub fn only_news(mut self, store: &dyn StateStore) -> Result<Imported, StateError> {
        let mut news: BTreeMap<String, (i64, StateChange)> = BTreeMap::new();
        for change in self.changes {
            let StateChange::Put { space, key, body, .. } = &change else { continue };
            let time = saved::time_of(space, body);
            let known = match news.get(key) {
                Some((known, _)) => Some(*known),
                None => store.get(space, key)?.map(|known| saved::time_of(space, &known.body)),
            };
            if known.is_some_and(|known| known >= time) || news.insert(key.clone(), (time, change)).is_some()
            {
                self.known += 1;
            }
        }
        self.taken = news.len();
        Ok(Imported { changes: news.into_values().map(|(_, change)| change).collect(), ..self })
    }
}

/// Reads `nflog`.
pub fn read_log(file: &[u8], now_ms: i64) -> Result<Imported, UpstreamError> {
    let mut imported = Imported::default();
    each_message(file, |n, fields| {
        let mut expires_at_ms = 0;
        let mut parsed = None;
        for field in fields {
            match field? {
                (1, Value::Bytes(entry)) => parsed = Some(read_entry(n, entry)?),
                (2, Value::Bytes(time)) => expires_at_ms = timestamp(time)?,
                _ => {}
            }
        }
        let Some((key, mut entry)) = parsed else { return Ok(()) };
        if expires_at_ms <= now_ms {
            imported.expired += 1;
            return Ok(());
        }
        entry.expires_at_ms = expires_at_ms;
        imported.taken += 1;
        imported.changes.push(StateChange::put(saved::LOG, &key, entry_body(&entry), now_ms));
        Ok(())
    })?;
    Ok(imported)
}

/// Reads `silences`.
pub fn read_silences(file: &[u8], now_ms: i64) -> Result<Imported, UpstreamError> {
    let mut imported = Imported::default();
    each_message(file, |n, fields| {
        let mut expires_at_ms = 0;
        let mut parsed = None;
        for field in fields {
            match field? {
                (1, Value::Bytes(silence)) => parsed = Some(read_silence(n, silence)?),
                (2, Value::Bytes(time)) => expires_at_ms = timestamp(time)?,
                _ => {}
            }
        }
        match parsed {
            None => {}
            Some(_) if expires_at_ms <= now_ms => imported.expired += 1,
            Some(Ok(silence)) => {
                imported.taken += 1;
                let change = StateChange::put(saved::SILENCES, &silence.id, silence_body(&silence), now_ms);
                imported.changes.push(change);
            }
            Some(Err(why)) => imported.left_out.push(why),
        }
        Ok(())
    })?;
    Ok(imported)
}

/// An entry with the key of its document.
fn read_entry(n: usize, message: &[u8]) -> Result<(String, LogEntry), UpstreamError> {
    let mut entry = LogEntry::default();
    let (mut group_key, mut receiver) = (String::new(), String::new());
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => group_key = text(n, bytes)?,
            (2, Value::Bytes(bytes)) => receiver = read_receiver(n, bytes)?,
            (5, Value::Bytes(bytes)) => entry.at_ms = timestamp(bytes)?,
            (6, value) => hashes(value, &mut entry.firing)?,
            (7, value) => hashes(value, &mut entry.resolved)?,
            (8, Value::Bytes(bytes)) => entry.remembered.extend(read_remembered(n, bytes)?),
            _ => {}
        }
    }
    entry.firing.sort_unstable();
    entry.resolved.sort_unstable();
    Ok((format!("{group_key}:{receiver}"), entry))
}

/// `RECEIVER/INTEGRATION/INDEX`, as in the keys of our own entries.
fn read_receiver(n: usize, message: &[u8]) -> Result<String, UpstreamError> {
    let (mut name, mut integration, mut index) = (String::new(), String::new(), 0);
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(n, bytes)?,
            (2, Value::Bytes(bytes)) => integration = text(n, bytes)?,
            (3, Value::Number(number)) => index = number,
            _ => {}
        }
    }
    Ok(format!("{name}/{integration}/{index}"))
}

/// What a receiver remembered; texts only.
fn read_remembered(n: usize, message: &[u8]) -> Result<BTreeMap<String, String>, UpstreamError> {
    let (mut key, mut value) = (String::new(), None);
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => key = text(n, bytes)?,
            (2, Value::Bytes(bytes)) => {
                for field in Fields::new(bytes) {
                    if let (1, Value::Bytes(bytes)) = field? {
                        value = Some(text(n, bytes)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(value.map(|value| (key, value)).into_iter().collect())
}

/// A silence, or why it cannot be one of ours.
fn read_silence(n: usize, message: &[u8]) -> Result<Result<Silence, String>, UpstreamError> {
    let mut silence = Silence {
        id: String::new(),
        matchers: Vec::new(),
        starts_at_ms: 0,
        ends_at_ms: 0,
        updated_at_ms: 0,
        created_by: String::new(),
        comment: String::new(),
        until_resolved: false,
        has_matched: false,
        recurring: None,
    };
    let mut why = None;
    let mut sets = Vec::new();
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => silence.id = text(n, bytes)?,
            (2, Value::Bytes(bytes)) => add_matcher(n, bytes, &mut silence.matchers, &mut why)?,
            (3, Value::Bytes(bytes)) => silence.starts_at_ms = timestamp(bytes)?,
            (4, Value::Bytes(bytes)) => silence.ends_at_ms = timestamp(bytes)?,
            (5, Value::Bytes(bytes)) => silence.updated_at_ms = timestamp(bytes)?,
            (8, Value::Bytes(bytes)) => silence.created_by = text(n, bytes)?,
            (9, Value::Bytes(bytes)) => silence.comment = text(n, bytes)?,
            (11, Value::Bytes(bytes)) => sets.push(bytes),
            (12, Value::Bytes(_)) => why = Some("it is for some receivers only".to_owned()),
            _ => {}
        }
    }
    match sets[..] {
        [set] if silence.matchers.is_empty() => {
            for field in Fields::new(set) {
                if let (1, Value::Bytes(bytes)) = field? {
                    add_matcher(n, bytes, &mut silence.matchers, &mut why)?;
                }
            }
        }
        [_, _, ..] => why = Some("it has several sets of matchers".to_owned()),
        _ => {}
    }
    if silence.matchers.is_empty() {
        why.get_or_insert_with(|| "it has no matchers".to_owned());
    }
    Ok(match why {
        None => Ok(silence),
        Some(why) => Err(format!("silence {}: {why}", silence.id)),
    })
}

fn add_matcher(
    n: usize,
    message: &[u8],
    matchers: &mut Vec<Matcher>,
    why: &mut Option<String>,
) -> Result<(), UpstreamError> {
    let (mut kind, mut name, mut pattern) = (0, String::new(), String::new());
    for field in Fields::new(message) {
        match field? {
            (1, Value::Number(number)) => kind = number,
            (2, Value::Bytes(bytes)) => name = text(n, bytes)?,
            (3, Value::Bytes(bytes)) => pattern = text(n, bytes)?,
            _ => {}
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::Regex,
        2 => MatchOp::NotEqual,
        3 => MatchOp::NotRegex,
        other => {
            *why = Some(format!("unknown type {other} of a matcher"));
            return Ok(());
        }
    };
    match Matcher::new(op, name, pattern) {
        Ok(matcher) => matchers.push(matcher),
        Err(error) => *why = Some(error.to_string()),
    }
    Ok(())
}

fn text(n: usize, bytes: &[u8]) -> Result<String, UpstreamError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| UpstreamError::Text(n))
}

/// A timestamp as milliseconds.
fn timestamp(message: &[u8]) -> Result<i64, UpstreamError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Fields::new(message) {
        match field? {
            (1, Value::Number(number)) => seconds = number as i64,
            (2, Value::Number(number)) => nanos = number as i64,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

/// Numbers, one by one or packed.
fn hashes(value: Value<'_>, into: &mut Vec<u64>) -> Result<(), UpstreamError> {
    match value {
        Value::Number(number) => into.push(number),
        Value::Bytes(packed) => {
            let mut pos = 0;
            while pos < packed.len() {
                into.push(varint(packed, &mut pos)?);
            }
        }
        Value::Other => {}
    }
    Ok(())
}

/// Hands over each message of a file, with its number from 1.
fn each_message(
    file: &[u8],
    mut take: impl FnMut(usize, Fields<'_>) -> Result<(), UpstreamError>,
) -> Result<(), UpstreamError> {
    let (mut pos, mut n) = (0, 0);
    while pos < file.len() {
        n += 1;
        let message = bytes(file, &mut pos)?;
        take(n, Fields::new(message))?;
    }
    Ok(())
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a size that no field of ours has.
    Other,
}

/// The fields of a message.
struct Fields<'a> {
    message: &'a [u8],
    pos: usize,
}

impl<'a> Fields<'a> {
    fn new(message: &'a [u8]) -> Self {
        Fields { message, pos: 0 }
    }

    fn read(&mut self) -> Result<(u64, Value<'a>), UpstreamError> {
        let tag = varint(self.message, &mut self.pos)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(self.message, &mut self.pos)?),
            1 => self.skip(8)?,
            2 => Value::Bytes(bytes(self.message, &mut self.pos)?),
            5 => self.skip(4)?,
            _ => return Err(UpstreamError::Malformed(self.pos)),
        };
        Ok((tag >> 3, value))
    }

    fn skip(&mut self, n: usize) -> Result<Value<'a>, UpstreamError> {
        if self.message.len() - self.pos < n {
            return Err(UpstreamError::Malformed(self.pos));
        }
        self.pos += n;
        Ok(Value::Other)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), UpstreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.pos >= self.message.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.pos = self.message.len();
        }
        Some(field)
    }
}

/// Bytes behind their length.
fn bytes<'a>(data: &'a [u8], pos: &mut usize) -> Result<&'a [u8], UpstreamError> {
    let at = *pos;
    let len = usize::try_from(varint(data, pos)?).map_err(|_| UpstreamError::Malformed(at))?;
    let end = pos.checked_add(len).ok_or(UpstreamError::Malformed(at))?;
    let found = data.get(*pos..end).ok_or(UpstreamError::Malformed(at))?;
    *pos = end;
    Ok(found)
}

fn varint(data: &[u8], pos: &mut usize) -> Result<u64, UpstreamError> {
    let at = *pos;
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*pos).ok_or(UpstreamError::Malformed(at))?;
        *pos += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(UpstreamError::Malformed(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_testkit::RamState;

    use super::*;
    use crate::Saved;

    fn number(field: u64, n: u64, out: &mut Vec<u8>) {
        put(field << 3, out);
        put(n, out);
    }

    fn nested(field: u64, body: &[u8], out: &mut Vec<u8>) {
        put(field << 3 | 2, out);
        put(body.len() as u64, out);
        out.extend(body);
    }

    fn put(mut n: u64, out: &mut Vec<u8>) {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    fn message(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        build(&mut out);
        out
    }

    fn time(ms: u64) -> Vec<u8> {
        message(|m| {
            number(1, ms / 1000, m);
            number(2, ms % 1000 * 1_000_000, m);
        })
    }

    fn file(messages: &[Vec<u8>]) -> Vec<u8> {
        message(|f| {
            for m in messages {
                put(m.len() as u64, f);
                f.extend(m);
            }
        })
    }

    fn silence(kind: u64, pattern: &str, expires: u64) -> Vec<u8> {
        let silence = message(|s| {
            nested(1, b"an-id", s);
            let matcher = message(|m| {
                number(1, kind, m);
                nested(2, b"host", m);
                nested(3, pattern.as_bytes(), m);
            });
            nested(2, &matcher, s);
            nested(3, &time(1_500), s);
            nested(4, &time(90_000), s);
            nested(5, &time(1_000), s);
            nested(8, b"me", s);
            nested(9, b"why", s);
        });
        message(|m| {
            nested(1, &silence, m);
            nested(2, &time(expires), m);
        })
    }

    #[test]
    fn of_what_comes_twice_one_is_taken_and_it_is_no_news_again() {
        let file = file(&[silence(3, "a.*", 5_000), silence(3, "b.*", 5_000)]);
        let store = RamState::default();
        let imported = read_silences(&file, 1_000).unwrap().only_news(&store).unwrap();
        assert_eq!((imported.taken, imported.known, imported.changes.len()), (1, 1, 1));
        store.write(&imported.changes).unwrap();
        let again = read_silences(&file, 1_000).unwrap().only_news(&store).unwrap();
        assert_eq!((again.taken, again.known, again.changes.len()), (0, 2, 0));
    }

    #[test]
    fn silences_are_taken_with_their_ids() {
        let file = file(&[
            silence(3, "a.*", 5_000),
            silence(0, "old", 999),
            silence(1, "(", 5_000),
            silence(9, "x", 5_000),
        ]);
        let imported = read_silences(&file, 1_000).unwrap();
        assert_eq!((imported.taken, imported.expired), (1, 1));
        assert!(
            imported.left_out[0].starts_with("silence an-id: error parsing regexp"),
            "{:?}",
            imported.left_out
        );
        assert_eq!(imported.left_out[1], "silence an-id: unknown type 9 of a matcher");
        let store = RamState::default();
        let imported = imported.only_news(&store).unwrap();
        store.write(&imported.changes).unwrap();
        // A second time there is nothing new.
        let again = read_silences(&file, 1_000).unwrap().only_news(&store).unwrap();
        assert_eq!((again.taken, again.known, again.changes.len()), (0, 1, 0));
        let saved = Saved::load(&store).unwrap().silences;
        assert_eq!(saved.len(), 1);
        assert_eq!(
            (saved[0].id.as_str(), saved[0].starts_at_ms, saved[0].ends_at_ms),
            ("an-id", 1_500, 90_000)
        );
        assert_eq!(saved[0].matchers[0].to_string(), r#"host!~"a.*""#);
    }

    #[test]
    fn entries_of_the_log_are_taken_packed_or_not() {
        let entry = message(|e| {
            nested(1, b"{}:{}", e);
            let receiver = message(|r| {
                nested(1, b"team", r);
                nested(2, b"slack", r);
                number(3, 2, r);
            });
            nested(2, &receiver, e);
            nested(5, &time(1_234), e);
            let packed = message(|p| [u64::MAX, 3].into_iter().for_each(|n| put(n, p)));
            nested(6, &packed, e);
            number(7, 9, e);
            number(7, 7, e);
        });
        let file = file(&[message(|m| {
            nested(1, &entry, m);
            nested(2, &time(9_000), m);
        })]);
        let imported = read_log(&file, 1_000).unwrap();
        let store = RamState::default();
        store.write(&imported.changes).unwrap();
        let log = Saved::load(&store).unwrap().log;
        assert_eq!(log[0].0, "{}:{}:team/slack/2");
        assert_eq!((log[0].1.at_ms, log[0].1.expires_at_ms), (1_234, 9_000));
        assert_eq!((&log[0].1.firing[..], &log[0].1.resolved[..]), (&[3, u64::MAX][..], &[7, 9][..]));
        assert_eq!(read_log(&file, 9_000).unwrap().expired, 1);
        assert!(read_log(&file[..file.len() - 1], 0).is_err());
    }

    proptest! {
        #[test]
        fn no_file_panics(file in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read_log(&file, 0), read_silences(&file, 0));
        }
    }
}
