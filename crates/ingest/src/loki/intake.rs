//! One push: its entries are checked one by one, gathered in a batch, and written as far as rates allow.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use reba_model::{LogBatch, LogBatchFull, Tenant, is_legacy_label_name};
use reba_storage::{AppendError, LogReport};

use super::{
    LokiReceiver, PushError,
    config::{Limits, Size},
    decode::{LabelsText, Pairs, PushSink},
    level,
    limits::InForce,
    metrics::Reason,
    rate::Rate,
    stream::{Known, Stream},
    tenant::TenantState,
};

/// Bytes of a mebibyte.
const MIB: f64 = 1_048_576.0;

/// A push that is being taken in.
pub(super) struct Intake<'a> {
    receiver: &'a LokiReceiver,
    tenant: &'a Tenant,
    state: Arc<TenantState>,
    in_force: Arc<InForce>,
    limits: Arc<Limits>,
    batch: &'a mut LogBatch,
    now_ns: i64,
    /// Entries before this are too old.
    oldest_ns: i64,
    newest_ns: i64,
    /// Seeds the keys of cached streams.
    salt: u64,
    stream: Option<Known>,
    /// The streams of the batch.
    taken: Vec<Taken>,
    /// Entries and bytes that came in, in good streams or bad.
    received: (usize, usize),
    /// The time of the entry before, as it was sent.
    last_sent_ns: Option<i64>,
    faults: Faults,
    /// From this process: nothing is refused.
    local: bool,
}

/// One stream of the batch.
struct Taken {
    stream: Arc<Stream>,
    entries: usize,
    /// Bytes of lines.
    bytes: usize,
}

/// What was wrong with entries, each text once, and how often.
#[derive(Debug, Default)]
struct Faults {
    most: usize,
    texts: Vec<(String, usize)>,
    unnamed: usize,
}

impl Faults {
    fn add(&mut self, text: String) {
        if let Some((_, count)) = self.texts.iter_mut().find(|(t, _)| *t == text) {
            *count += 1;
        } else if self.most == 0 || self.texts.len() < self.most {
            self.texts.push((text, 1));
        } else {
            self.unnamed += 1;
        }
    }

    /// As upstream puts them together.
    fn text(&self) -> Option<String> {
        let mut out = match self.texts.as_slice() {
            [] => return None,
            [(only, _)] => only.clone(),
            several => {
                let each = several.iter().map(|(text, count)| format!("{count} errors like: {text}"));
                each.collect::<Vec<_>>().join("; ")
            }
        };
        if self.unnamed > 0 {
            out.push_str(&format!("; and {} more errors", self.unnamed));
        }
        Some(out)
    }
}

/// An entry that was held back, with its number in the batch.
struct HeldBack {
    entry: usize,
    reason: Reason,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        receiver: &'a LokiReceiver,
        tenant: &'a Tenant,
        batch: &'a mut LogBatch,
    ) -> Result<Self, PushError> {
        batch.clear();
        let in_force = receiver.limits.in_force();
        let limits = in_force.of(tenant);
        let now_ns = (receiver.now_ns)();
        let state = receiver.tenant(tenant, now_ns, in_force.idle_ns)?;
        let max_age = limits.reject_old_samples_max_age;
        let oldest_ns = if limits.reject_old_samples && !max_age.is_zero() {
            now_ns.saturating_sub(max_age.as_ns())
        } else {
            i64::MIN
        };
        Ok(Intake {
            receiver,
            tenant,
            salt: state.salt(in_force.generation),
            state,
            batch,
            now_ns,
            oldest_ns,
            newest_ns: now_ns.saturating_add(limits.creation_grace_period.as_ns()),
            stream: None,
            taken: Vec::new(),
            received: (0, 0),
            last_sent_ns: None,
            faults: Faults { most: in_force.max_returned_errors, ..Faults::default() },
            local: false,
            limits,
            in_force,
        })
    }

    /// For entries of this process, of which none is refused.
    pub(super) fn local(
        receiver: &'a LokiReceiver,
        tenant: &'a Tenant,
        batch: &'a mut LogBatch,
    ) -> Result<Self, PushError> {
        Ok(Intake { local: true, ..Self::new(receiver, tenant, batch)? })
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    pub(super) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    pub(super) fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// A stream whose labels were written as `raw`: known from before, or made by `resolve`.
    pub(super) fn begin(
        &mut self,
        raw: &[u8],
        resolve: impl FnOnce(&Limits, &mut dyn FnMut(&str, &str) -> bool) -> Known,
    ) {
        let key = self.receiver.streams.salted_key(raw, self.salt);
        let known = self.receiver.streams.get(key).unwrap_or_else(|| {
            let mut is_demoted = |name: &str, value: &str| {
                self.receiver.is_demoted(self.tenant, &self.state, (name, value), &self.limits, self.now_ns)
            };
            let known = resolve(&self.limits, &mut is_demoted);
            // Labels that are stored as metadata from now on are looked at again in the next push.
            self.receiver.streams.insert(key, known.clone());
            known
        });
        match &known {
            Ok(stream) => {
                self.batch.begin_stream(stream.labels.clone());
                self.taken.push(Taken { stream: Arc::clone(stream), entries: 0, bytes: 0 });
            }
            Err(refusal) => self.faults.add(refusal.message.clone()),
        }
        self.last_sent_ns = None;
        self.stream = Some(known);
    }

    /// The first of upstream's rules that an entry breaks.
    fn check(&self, ns: i64, line: &str, metadata: &Pairs, stream: &Stream) -> Result<(), (Reason, String)> {
        let sent = &stream.sent;
        if ns < self.oldest_ns {
            let text = format!(
                "entry for stream '{sent}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                second(ns),
                second(self.oldest_ns)
            );
            return Err((Reason::TooOld, text));
        }
        if ns > self.newest_ns {
            let text = format!("entry for stream '{sent}' has timestamp too new: {}", second(ns));
            return Err((Reason::TooNew, text));
        }
        let most = self.limits.max_line_size.bytes();
        if most != 0 && line.len() > most {
            let text = format!(
                "Max entry size '{most}' bytes exceeded for stream '{sent}' while adding an entry with length '{}' bytes",
                line.len()
            );
            return Err((Reason::LineTooLong, text));
        }
        self.check_metadata(metadata, stream)
    }

    fn check_metadata(&self, metadata: &Pairs, stream: &Stream) -> Result<(), (Reason, String)> {
        let (size, most) = (metadata.bytes(), self.limits.max_structured_metadata_size.bytes());
        if most != 0 && size > most {
            let text = format!(
                "stream '{}' has structured metadata too large: '{size}' bytes, limit: '{most}' bytes. Please see \
                 `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it",
                stream.sent
            );
            return Err((Reason::MetadataTooLarge, text));
        }
        let (count, most) = (metadata.len(), self.limits.max_structured_metadata_entries_count);
        if most != 0 && count > most {
            let text = format!(
                "stream '{}' has too many structured metadata labels: '{count}', limit: '{most}'. Please see \
                 `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it",
                stream.sent
            );
            return Err((Reason::MetadataTooMany, text));
        }
        Ok(())
    }

    /// The time to store: with `increment_duplicate_timestamp`, the next nanosecond if the entry before has this one and another
    /// line.
    fn stored_ns(&mut self, ns: i64, line: &str) -> i64 {
        if !self.limits.increment_duplicate_timestamp {
            return ns;
        }
        let last_sent = self.last_sent_ns.replace(ns);
        let in_stream = self.taken.last().is_some_and(|t| t.entries > 0);
        let Some(last_sent) = last_sent.filter(|_| in_stream) else { return ns };
        let before = self.batch.entry(self.batch.len() - 1);
        if before.line != line && (ns == last_sent || ns == before.ns) {
            before.ns.saturating_add(1)
        } else {
            ns
        }
    }

    /// Writes what was gathered, as far as rates and the number of streams allow. How many entries were refused, and the answer.
    pub(super) fn finish(mut self) -> (u64, Result<(), PushError>) {
        let total = self.received.0;
        self.state.counters.received(self.received.0, self.received.1);
        let result = self.write();
        let stored = self.taken.iter().map(|t| t.entries).sum::<usize>();
        match result {
            Ok(held_back) => {
                let answer = match (self.faults.text(), held_back) {
                    (Some(faults), Some(held_back)) => Err(PushError::bad(format!("{faults}; {held_back}"))),
                    (Some(faults), None) => Err(PushError::bad(faults)),
                    (None, Some(held_back)) => Err(PushError::too_fast(held_back)),
                    (None, None) => Ok(()),
                };
                ((total - stored) as u64, answer)
            }
            Err(e) => (total as u64, Err(e)),
        }
    }

    /// Writes what was gathered from this process.
    pub(super) fn finish_local(self) -> Result<LogReport, AppendError> {
        self.state.counters.received(self.received.0, self.received.1);
        if self.batch.is_empty() {
            return Ok(LogReport::default());
        }
        self.receiver.appender.append_logs(self.tenant, self.batch)
    }

    /// Writes the batch; what was held back, in upstream's words.
    fn write(&mut self) -> Result<Option<String>, PushError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        self.check_rate()?;
        let (held_back, message) = self.hold_back();
        if held_back.is_empty() {
            self.receiver.appender.append_logs(self.tenant, self.batch)?;
        } else {
            let rest = self.without(&held_back)?;
            if !rest.is_empty() {
                self.receiver.appender.append_logs(self.tenant, &rest)?;
            }
        }
        Ok(message)
    }

    /// The tenant's rate: a push goes through as a whole, or not at all.
    fn check_rate(&self) -> Result<(), PushError> {
        let bytes = self.taken.iter().map(|t| t.bytes).sum();
        let limits = &self.limits;
        let rate =
            Rate { bytes: limits.ingestion_rate_mb * MIB, burst: limits.ingestion_burst_size_mb * MIB };
        let Err(wait_s) = self.state.take(self.now_ns, bytes, rate) else { return Ok(()) };
        let lines = self.batch.len();
        self.state.counters.discarded(Reason::RateLimited, lines, bytes);
        let message = format!(
            "Ingestion rate limit exceeded for user {} (limit: {} bytes/sec) while attempting to ingest '{lines}' lines \
             totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be \
             increased",
            self.tenant, rate.bytes as u64,
        );
        Err(PushError { retry_after_s: Some(wait_s), ..PushError::too_fast(message) })
    }

    /// Entries of streams that are too many or too fast, and what to say of them. They no longer count as taken.
    fn hold_back(&mut self) -> (Vec<HeldBack>, Option<String>) {
        let rate = Rate {
            bytes: self.limits.per_stream_rate_limit.0 as f64,
            burst: self.limits.per_stream_rate_limit_burst.0 as f64,
        };
        let (mut held_back, mut messages) = (Vec::new(), Vec::new());
        let (now, idle, most) = (self.now_ns, self.in_force.idle_ns, self.limits.max_streams());
        let mut next = 0;
        for taken in &mut self.taken {
            let entries = next..next + taken.entries;
            next = entries.end;
            if entries.is_empty() {
                continue;
            }
            let before = held_back.len();
            match self.state.activate(&taken.stream, now, idle, most) {
                None => {
                    held_back.extend(entries.map(|entry| HeldBack { entry, reason: Reason::StreamLimit }));
                    messages.push(format!(
                        "Maximum active stream limit exceeded, reduce the number of active streams (reduce labels or \
                         reduce label values), or contact your Loki administrator to see if the limit can be \
                         increased, user: '{}'",
                        self.tenant
                    ));
                }
                Some(active) if !active.take(now, taken.bytes, rate) => {
                    let line = |entry: &usize| self.batch.entry(*entry).line.len();
                    let late = entries.filter(|entry| !active.take(now, line(entry), rate));
                    held_back.extend(late.map(|entry| HeldBack { entry, reason: Reason::StreamRate }));
                    let entries: Vec<usize> = held_back[before..].iter().map(|h| h.entry).collect();
                    messages.extend(self.faults.too_fast(self.tenant, taken, self.batch, &entries, rate));
                }
                Some(_) => {}
            }
            for held in &held_back[before..] {
                let bytes = self.batch.entry(held.entry).line.len();
                self.state.counters.discarded(held.reason, 1, bytes);
            }
            taken.entries -= held_back.len() - before;
        }
        messages.dedup();
        messages.truncate(self.in_force.max_returned_errors.max(1));
        (held_back, (!messages.is_empty()).then(|| messages.join("\n")))
    }

    /// The batch without some of its entries, whose numbers rise.
    fn without(&self, held_back: &[HeldBack]) -> Result<LogBatch, PushError> {
        let mut rest = LogBatch::default();
        let mut out = held_back.iter().map(|h| h.entry).peekable();
        let mut number = 0;
        for stream in self.batch.streams() {
            let mut begun = false;
            for entry in stream.entries() {
                let skipped = out.next_if_eq(&number).is_some();
                number += 1;
                if skipped {
                    continue;
                }
                if !begun {
                    rest.begin_stream(stream.labels().clone());
                    begun = true;
                }
                let pushed = rest.push(entry.ns, entry.line, entry.metadata());
                pushed.map_err(|e| PushError::bad(e.to_string()))?;
            }
        }
        Ok(rest)
    }
}

impl Faults {
    /// What upstream says of entries of a stream that came too fast.
    fn too_fast(
        &self,
        tenant: &Tenant,
        taken: &Taken,
        batch: &LogBatch,
        entries: &[usize],
        rate: Rate,
    ) -> Option<String> {
        if entries.is_empty() {
            return None;
        }
        let named = if self.most == 0 { entries.len() } else { self.most };
        let mut text = String::new();
        for entry in entries.iter().take(named).map(|e| batch.entry(*e)) {
            let time = Timestamp::from_nanosecond(i128::from(entry.ns)).unwrap_or_default();
            text.push_str(&format!(
                "entry with timestamp {} ignored, reason: 'Per stream rate limit exceeded (limit: {}/sec) while attempting \
                 to ingest for stream '{}' totaling {}, consider splitting a stream via additional labels or contact your \
                 Loki administrator to see if the limit can be increased',\n",
                time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC"),
                Size(rate.bytes as u64),
                taken.stream.sent,
                Size(entry.line.len() as u64),
            ));
        }
        let (ignored, all, stream) = (entries.len(), taken.entries, &taken.stream.sent);
        Some(format!("{text}user '{tenant}', total ignored: {ignored} out of {all} for stream: {stream}"))
    }
}

impl PushSink for Intake<'_> {
    fn stream(&mut self, labels: LabelsText<'_>) {
        self.begin(labels.as_bytes(), |limits, is_demoted| {
            super::stream::resolve(labels, limits, is_demoted)
        });
    }

    fn entry(&mut self, ns: i64, line: &str, metadata: &Pairs) -> Result<(), LogBatchFull> {
        let bytes = line.len() + metadata.bytes();
        self.received.0 += 1;
        self.received.1 += bytes;
        let stream = match &self.stream {
            Some(Ok(stream)) => Arc::clone(stream),
            Some(Err(refusal)) => {
                self.state.counters.discarded(refusal.reason, 1, bytes);
                return Ok(());
            }
            None => return Ok(()),
        };
        let mut line = line;
        let most = self.limits.max_line_size.bytes();
        if self.limits.max_line_size_truncate && most != 0 && line.len() > most {
            line = cut(line, most);
        }
        if !self.local
            && let Err((reason, text)) = self.check(ns, line, metadata, &stream)
        {
            self.state.counters.discarded(reason, 1, bytes);
            self.faults.add(text);
            return Ok(());
        }
        let ns = self.stored_ns(ns, line);
        let level = if self.limits.discover_log_levels { level_of(line, metadata, &stream) } else { None };
        let attached = stream.attached.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let level = level.map(|level| (DETECTED_LEVEL, level));
        // An empty value is kept, as upstream keeps it: queries tell it from none.
        let sent = || metadata.iter().filter(|(n, _)| !n.is_empty());
        if sent().all(|(name, _)| is_legacy_label_name(name)) {
            self.batch.push(ns, line, sent().chain(attached).chain(level))?;
        } else {
            let named: Vec<(Cow<'_, str>, &str)> = sent().map(|(n, v)| (metadata_name(n), v)).collect();
            let sent = named.iter().map(|(n, v)| (n.as_ref(), *v));
            self.batch.push(ns, line, sent.chain(attached).chain(level))?;
        }
        if let Some(taken) = self.taken.last_mut() {
            taken.entries += 1;
            taken.bytes += line.len();
        }
        Ok(())
    }
}

/// A name of structured metadata as queries can say it: what no name may have is `_`, and `key_` stands before a digit, as upstream has
/// it.
fn metadata_name(name: &str) -> Cow<'_, str> {
    if is_legacy_label_name(name) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 4);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    let mut replaced = false;
    for c in name.chars() {
        let good = c == '_' || c.is_ascii_alphanumeric();
        if good || !replaced {
            out.push(if good { c } else { '_' });
        }
        replaced = !good;
    }
    Cow::Owned(out)
}

/// The metadata that holds the level of an entry.
const DETECTED_LEVEL: &str = "detected_level";

/// The level of an entry, unless the sender says it under the same name.
fn level_of(line: &str, metadata: &Pairs, stream: &Stream) -> Option<&'static str> {
    if stream.sent.get(DETECTED_LEVEL).is_some() {
        return None;
    }
    let mut found = stream.level;
    for (name, value) in metadata.iter() {
        if name == DETECTED_LEVEL {
            return None;
        }
        if found.is_none() && level::is_level_name(name) {
            found = level::common_name(value);
        } else if found.is_none() && name == "severity_number" {
            found = value.parse().ok().and_then(level::of_severity_number);
        }
    }
    Some(found.unwrap_or_else(|| level::of_line(line)))
}

/// At most so many bytes of a line, which end with a whole character.
fn cut(line: &str, most: usize) -> &str {
    let end = (0..=most).rev().find(|end| line.is_char_boundary(*end));
    end.map_or("", |end| &line[..end])
}

/// A time as upstream prints it here: to the second.
fn second(ns: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metadata_can_be_said_in_queries() {
        for (sent, stored) in [
            ("trace.id", "trace_id"),
            ("bad name", "bad_name"),
            ("a..b", "a_b"),
            ("1x", "key_1x"),
            ("_x", "_x"),
            ("x ", "x_"),
            ("é.b", "_b"),
        ] {
            assert_eq!(metadata_name(sent), stored, "{sent}");
        }
    }
}
