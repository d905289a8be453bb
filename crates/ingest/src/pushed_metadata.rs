//! What senders say of their metric families.
//!
//! Metadata of targets lives as long as the target; what is pushed has nobody to live with, so it is kept until nobody has
//! repeated it for hours.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use reba_model::{Metadata, MetricType};

/// Most bytes of names, help texts and units of all families together.
const MAX_BYTES: usize = 16 << 20;

/// What a family takes besides its texts, about.
const FAMILY_BYTES: usize = 200;

/// What nobody has repeated for so long is forgotten: remote write 1.0 repeats it every minute.
const FORGOTTEN_AFTER_MS: i64 = 6 * 3_600_000;

/// The metadata that one receiver was told, by family; the latest word counts. When all memory is taken, families that are
/// new are not noted.
#[derive(Debug, Default)]
pub struct PushedMetadata {
    families: Mutex<Families>,
}

#[derive(Debug, Default)]
struct Families {
    by_name: BTreeMap<String, Told>,
    bytes: usize,
    /// When families were last forgotten.
    swept: i64,
}

#[derive(Debug)]
struct Told {
    metadata: Metadata,
    at: i64,
}

fn size(name: &str, m: &Metadata) -> usize {
    FAMILY_BYTES + name.len() + m.help.len() + m.unit.len()
}

impl PushedMetadata {
    /// Everything that is known, by family.
    pub fn all(&self) -> BTreeMap<String, Metadata> {
        let families = self.families.lock();
        families.by_name.iter().map(|(name, told)| (name.clone(), told.metadata.clone())).collect()
    }

    /// Notes what a request says at `now` (Unix milliseconds).
    pub(crate) fn note<'a>(&self, said: impl IntoIterator<Item = (&'a str, Said<'a>)>, now: i64) {
        let mut said = said.into_iter().filter(|(_, said)| *said != Said::default()).peekable();
        if said.peek().is_none() {
            return;
        }
        let mut families = self.families.lock();
        families.sweep(now);
        for (name, said) in said {
            families.note(family_of(name, said.kind), said, now);
        }
    }
}

impl Families {
    fn note(&mut self, name: &str, said: Said<'_>, now: i64) {
        if let Some(told) = self.by_name.get_mut(name)
            && said == Said::of(&told.metadata)
        {
            told.at = now;
            return;
        }
        let metadata = Metadata { kind: said.kind, help: said.help.to_owned(), unit: said.unit.to_owned() };
        let before = self.by_name.get(name).map_or(0, |told| size(name, &told.metadata));
        let bytes = self.bytes - before + size(name, &metadata);
        if bytes <= MAX_BYTES {
            self.bytes = bytes;
            self.by_name.insert(name.to_owned(), Told { metadata, at: now });
        }
    }

    /// Forgets what is old; not at every request.
    fn sweep(&mut self, now: i64) {
        if now.saturating_sub(self.swept) < FORGOTTEN_AFTER_MS / 12 && now >= self.swept {
            return;
        }
        self.swept = now;
        let Families { by_name, bytes, .. } = self;
        by_name.retain(|name, told| {
            let keep = now.saturating_sub(told.at) < FORGOTTEN_AFTER_MS;
            *bytes -= if keep { 0 } else { size(name, &told.metadata) };
            keep
        });
    }
}

/// Metadata as it stands in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub(crate) kind: MetricType,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
}

impl<'a> Said<'a> {
    pub(crate) fn of(m: &'a Metadata) -> Self {
        Said { kind: m.kind, help: &m.help, unit: &m.unit }
    }
}

/// The family of a series: classic histograms and summaries have several series each.
fn family_of(name: &str, kind: MetricType) -> &str {
    let suffixes: &[&str] = match kind {
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_count", "_sum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// The type with this number in messages of remote write; a number that is not known is no type.
pub(crate) fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: MetricType, help: &str) -> Said<'_> {
        Said { kind, help, unit: "" }
    }

    #[test]
    fn the_series_of_a_histogram_are_one_family_and_the_latest_word_counts() {
        let pushed = PushedMetadata::default();
        let histogram = said(MetricType::Histogram, "a");
        pushed.note([("h_bucket", histogram), ("h_sum", histogram), ("h_count", histogram)], 0);
        pushed.note([("x_count", said(MetricType::Gauge, "b")), ("_sum", histogram)], 0);
        pushed.note([("h_sum", said(MetricType::Histogram, "c")), ("nothing", Said::default())], 1);
        let all = pushed.all();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["_sum", "h", "x_count"]);
        assert_eq!(all["h"].help, "c");
    }

    #[test]
    fn what_nobody_repeats_is_forgotten() {
        let pushed = PushedMetadata::default();
        pushed.note([("a", said(MetricType::Gauge, "a")), ("b", said(MetricType::Gauge, "b"))], 0);
        pushed.note([("b", said(MetricType::Gauge, "b"))], FORGOTTEN_AFTER_MS - 1);
        assert_eq!(pushed.all().len(), 2);
        pushed.note([("c", said(MetricType::Gauge, "c"))], 2 * FORGOTTEN_AFTER_MS - 2);
        assert_eq!(pushed.all().keys().collect::<Vec<_>>(), ["b", "c"]);
        let families = pushed.families.lock();
        assert_eq!(families.bytes, 2 * (FAMILY_BYTES + 2));
    }

    #[test]
    fn a_flood_of_families_is_bounded_and_what_is_known_may_still_change() {
        let pushed = PushedMetadata::default();
        let help = "h".repeat(1 << 20);
        for i in 0..20 {
            pushed.note([(format!("m{i}").as_str(), said(MetricType::Gauge, &help))], 0);
        }
        assert_eq!(pushed.all().len(), 15);
        pushed.note([("m0", said(MetricType::Gauge, "short")), ("new", said(MetricType::Gauge, "short"))], 0);
        assert_eq!(pushed.all().len(), 16);
        assert!(pushed.families.lock().bytes <= MAX_BYTES);
    }
}
