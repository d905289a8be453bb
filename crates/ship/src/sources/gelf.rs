//! GELF over UDP: JSON, plain or compressed, in one packet or in chunks.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use reba_model::Relabel;

use super::{datagrams, syslog::SEVERITIES};
use crate::{client::wait, config::GelfConfig, entry::Entry, job::Job};

/// Bytes of a message, decompressed.
const MAX_MESSAGE: u64 = 16 << 20;

/// Chunks of one message, as the protocol says.
const MAX_CHUNKS: u8 = 128;

/// Chunks that wait for the rest of their message may have so many bytes together.
const MAX_WAITING: usize = 16 << 20;

/// How long the chunks of a message may take to come, as the protocol says.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message of which some chunks are there.
#[derive(Debug)]
struct Partial {
    chunks: Vec<Option<Vec<u8>>>,
    since: Instant,
}

impl Partial {
    fn bytes(&self) -> usize {
        self.chunks.iter().flatten().map(Vec::len).sum()
    }
}

/// Puts chunks together.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    waiting: BTreeMap<[u8; 8], Partial>,
    bytes: usize,
}

impl Chunks {
    /// The message that is complete with this packet; `Err` if it is no packet of GELF.
    pub fn take(&mut self, packet: &[u8], now: Instant) -> Result<Option<Vec<u8>>, ()> {
        let Some(chunk) = packet.strip_prefix(&[0x1e, 0x0f]) else { return Ok(Some(packet.to_vec())) };
        let (id, rest) = chunk.split_first_chunk::<8>().ok_or(())?;
        let [number, count, data @ ..] = rest else { return Err(()) };
        if *count == 0 || *count > MAX_CHUNKS || number >= count {
            return Err(());
        }
        self.forget(now, data.len());
        let empty = || Partial { chunks: vec![None; usize::from(*count)], since: now };
        let partial = self.waiting.entry(*id).or_insert_with(empty);
        let slot = partial.chunks.get_mut(usize::from(*number)).ok_or(())?;
        if slot.is_none() {
            self.bytes += data.len();
            *slot = Some(data.to_vec());
        }
        if partial.chunks.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole = self.waiting.remove(id);
        let whole: Vec<u8> = whole.into_iter().flat_map(|p| p.chunks).flatten().flatten().collect();
        self.bytes -= whole.len();
        Ok(Some(whole))
    }

    /// Gives up messages whose rest does not come, and the oldest when there are too many.
    fn forget(&mut self, now: Instant, more: usize) {
        let old = |p: &Partial| now.saturating_duration_since(p.since) >= PATIENCE;
        let bytes = &mut self.bytes;
        self.waiting.retain(|_, p| {
            let gone = old(p);
            *bytes -= if gone { p.bytes() } else { 0 };
            !gone
        });
        while self.bytes + more > MAX_WAITING {
            let oldest = self.waiting.iter().min_by_key(|(_, p)| p.since).map(|(id, _)| *id);
            let Some(partial) = oldest.and_then(|id| self.waiting.remove(&id)) else { break };
            self.bytes -= partial.bytes();
        }
    }
}

/// The text of a message.
fn text(message: Vec<u8>) -> io::Result<String> {
    let mut out = Vec::new();
    match message[..] {
        [0x1f, 0x8b, ..] => MultiGzDecoder::new(&message[..]).take(MAX_MESSAGE).read_to_end(&mut out)?,
        [0x78, ..] => ZlibDecoder::new(&message[..]).take(MAX_MESSAGE).read_to_end(&mut out)?,
        _ => {
            out = message;
            0
        }
    };
    // Senders over TCP end a message with it; some do here.
    let end = out.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    out.truncate(end);
    String::from_utf8(out).map_err(io::Error::other)
}

/// A receiver.
pub(crate) struct Gelf {
    pub config: GelfConfig,
    pub relabel: Vec<Relabel>,
    pub job: Arc<Job>,
}

impl Gelf {
    /// Listens until the job is stopped.
    pub fn run(&self) {
        while !self.job.stop.is_cancelled() {
            let mut chunks = Chunks::default();
            let each = |packet: &[u8], _: IpAddr| self.packet(&mut chunks, packet);
            if let Err(error) = datagrams::receive(&self.job, "gelf", &self.config.address, each) {
                tracing::warn!(address = %self.config.address, %error, "GELF cannot be received; it is tried again");
                wait(&self.job.stop, Duration::from_secs(10));
            }
        }
    }

    fn packet(&self, chunks: &mut Chunks, packet: &[u8]) -> Vec<Entry> {
        let counters = &self.job.outlet.counters;
        let now_ns = (self.job.outlet.now_ns)();
        let text = match chunks.take(packet, Instant::now()) {
            Ok(None) => return Vec::new(),
            Ok(Some(message)) => text(message).ok(),
            Err(()) => None,
        };
        let message = text.and_then(|t| Some((serde_json::from_str::<serde_json::Value>(&t).ok()?, t)));
        let Some((value, line)) = message.filter(|(v, _)| v.is_object()) else {
            counters.add("promtail_gelf_target_parsing_errors_total", &[], 1);
            return Vec::new();
        };
        counters.add("promtail_gelf_target_entries_total", &[], 1);
        self.entry(&value, line, now_ns).into_iter().collect()
    }

    fn entry(&self, message: &serde_json::Value, line: String, now_ns: i64) -> Option<Entry> {
        let mut b = self.config.labels.to_builder();
        let level = message.get("level").and_then(serde_json::Value::as_u64);
        if let Some(word) = level.and_then(|l| SEVERITIES.get(usize::try_from(l).ok()?)) {
            b.set("__gelf_message_level", word);
        }
        for name in ["host", "version", "facility"] {
            let text = message.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            b.set(&format!("__gelf_message_{name}"), text);
        }
        if !Relabel::apply_all(&self.relabel, &mut b) {
            return None;
        }
        b.retain(|n, _| !n.starts_with("__"));
        let sent = message.get("timestamp").and_then(serde_json::Value::as_f64);
        let sent = sent.filter(|s| self.config.use_incoming_timestamp && s.abs() < 9e9);
        // Milliseconds is what senders mean; a double holds no more than microseconds of our time.
        let ns = sent.map_or(now_ns, |s| (s * 1e6).round() as i64 * 1000);
        Some(Entry::new(ns, line, b.build()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn chunk(id: u8, number: u8, count: u8, data: &[u8]) -> Vec<u8> {
        [&[0x1e, 0x0f][..], &[id; 8], &[number, count], data].concat()
    }

    #[test]
    fn chunks_in_any_order_make_a_message() {
        let (mut chunks, now) = (Chunks::default(), Instant::now());
        assert_eq!(chunks.take(&chunk(1, 1, 2, b"world"), now), Ok(None));
        assert_eq!(chunks.take(&chunk(2, 0, 2, b"other"), now), Ok(None));
        assert_eq!(chunks.take(&chunk(1, 1, 2, b"again"), now), Ok(None));
        assert_eq!(chunks.take(&chunk(1, 0, 2, b"hello "), now), Ok(Some(b"hello world".to_vec())));
        assert_eq!(chunks.take(&chunk(3, 2, 2, b""), now), Err(()));
        // The rest of the second comes too late.
        assert_eq!(chunks.take(&chunk(2, 1, 2, b"x"), now + PATIENCE), Ok(None));
        assert_eq!((chunks.waiting.len(), chunks.bytes), (1, 1));
    }

    #[test]
    fn chunks_that_never_become_messages_do_not_fill_memory() {
        let (mut chunks, now) = (Chunks::default(), Instant::now());
        let data = vec![0; 60_000];
        for id in 0..=255 {
            for number in 0..10 {
                assert_eq!(chunks.take(&chunk(id, number, 11, &data), now), Ok(None));
            }
        }
        assert!(chunks.bytes <= MAX_WAITING);
        assert_eq!(chunks.bytes, chunks.waiting.values().map(Partial::bytes).sum::<usize>());
    }

    #[test]
    fn messages_may_be_compressed() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"{\"a\":1}").unwrap();
        let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        z.write_all(b"{\"a\":1}").unwrap();
        for message in [gz.finish().unwrap(), z.finish().unwrap(), b"{\"a\":1}\0".to_vec()] {
            assert_eq!(text(message).unwrap(), "{\"a\":1}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_makes_the_reader_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
            let (mut chunks, now) = (Chunks::default(), Instant::now());
            for mut packet in packets {
                let _ = chunks.take(&packet, now).map(|m| m.map(text));
                packet.splice(..0, [0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0]);
                let _ = chunks.take(&packet, now).map(|m| m.map(text));
            }
        }
    }
}
