//! `io.prometheus.write.v2.Request`, field by field.
//!
//! Texts stand once in a table of symbols, and labels are numbers of symbols. What is wrong with one series or sample
//! is noted and passed over: a request of version 2.0 is written in part.

use std::{collections::HashMap, sync::Arc};

use reba_model::{Exemplar, Labels, LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME, NameScheme};
use reba_storage::{FloatSample, RejectReason, Rejection, SeriesRef, WriteBatch};

use super::{
    RemoteWriteError,
    decode::{MAX_EXEMPLAR_CHARACTERS, Target, histogram, sample},
};
use crate::{
    pushed_metadata::{Said, metric_type},
    wire::{Fields, WireError, put_varint},
};

/// Most symbols of a request. Two bytes of a message make a symbol, and each takes sixteen bytes of memory here.
const MAX_SYMBOLS: usize = 1 << 20;

/// Most bytes of the labels of one series.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// Most bytes of the labels of all series of a request. A symbol stands once in the message, but may be named a million
/// times: a message of megabytes could ask for terabytes.
const MAX_REQUEST_LABEL_BYTES: usize = 128 << 20;

/// Reasons that are spelt out; more are only counted, for a request may have a million bad samples.
const MAX_REASONS: usize = 20;

/// Why parts of a request were not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The first reasons.
    pub reasons: Vec<String>,
    /// How many parts were refused.
    pub count: usize,
}

impl Refused {
    fn add(&mut self, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(reason());
        }
    }

    /// One reason a line; `None` if nothing was refused.
    pub fn text(&self) -> Option<String> {
        let more = self.count - self.reasons.len();
        let text = self.reasons.join("\n");
        match more {
            0 if text.is_empty() => None,
            0 => Some(text),
            n => Some(format!("{text}\nand {n} more")),
        }
    }
}

/// A request as it was decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded<'a> {
    symbols: Vec<&'a [u8]>,
    /// The references that were handed out and the messages of their series, to name them in reasons.
    series: Vec<(SeriesRef, &'a [u8])>,
    /// What is said of each metric name: numbers of the type, of the help text and of the unit.
    metadata: HashMap<&'a [u8], [u64; 3]>,
    pub(super) refused: Refused,
    /// Samples that were passed over since their labels are invalid.
    pub(super) invalid_labels: usize,
}

/// Decodes a request into `batch`.
pub(super) fn request<'a>(
    message: &'a [u8],
    target: &Target<'_>,
    labels: &mut LabelsBuilder,
    batch: &mut WriteBatch,
) -> Result<Decoded<'a>, RemoteWriteError> {
    let mut out = Decoded::default();
    for field in Fields::new(message) {
        let field = field?;
        if field.number == 4 {
            if out.symbols.len() == MAX_SYMBOLS {
                return Err(RemoteWriteError::TooManySymbols { limit: MAX_SYMBOLS });
            }
            out.symbols.push(field.bytes()?);
        }
    }
    if out.symbols.first().is_some_and(|s| !s.is_empty()) {
        return Err(RemoteWriteError::FirstSymbol);
    }
    let mut scratch = Scratch::default();
    for field in Fields::new(message) {
        let field = field?;
        if field.number == 5 {
            time_series(field.bytes()?, target, &mut out, &mut Out { labels, batch, scratch: &mut scratch })?;
        }
    }
    Ok(out)
}

/// Memory that the series of a request share.
#[derive(Default)]
struct Scratch {
    refs: Vec<u64>,
    key: Vec<u8>,
    /// Bytes of the labels of all series so far.
    label_bytes: usize,
}

/// Where decoded samples go.
struct Out<'a> {
    labels: &'a mut LabelsBuilder,
    batch: &'a mut WriteBatch,
    scratch: &'a mut Scratch,
}

/// What a series holds, before any of it is decoded.
#[derive(Default)]
struct Content {
    samples: usize,
    /// Numbers of the type, of the help text and of the unit.
    metadata: [u64; 3],
    bad_metadata: Option<String>,
}

fn time_series<'a>(
    message: &'a [u8],
    target: &Target<'_>,
    decoded: &mut Decoded<'a>,
    out: &mut Out<'_>,
) -> Result<(), RemoteWriteError> {
    let content = content(message, &decoded.symbols, &mut out.scratch.refs)?;
    let series = match series(target, decoded, out)? {
        Ok(series) => series,
        Err(reason) => {
            decoded.invalid_labels += content.samples;
            decoded.refused.add(|| reason);
            return Ok(());
        }
    };
    if let Some(reason) = content.bad_metadata {
        decoded.refused.add(|| reason);
        return Ok(());
    }
    if content.samples == 0 {
        let name = name_of(message, &decoded.symbols);
        decoded
            .refused
            .add(|| format!("TimeSeries must contain at least one sample or histogram for series {name}"));
        return Ok(());
    }
    decoded.series.push((series, message));
    if content.metadata != [0; 3]
        && let Some(name) = metric_name(&out.scratch.refs, &decoded.symbols)
    {
        decoded.metadata.insert(name, content.metadata);
    }
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            2 => {
                let (t, v) = sample(field.bytes()?)?;
                if t > target.latest {
                    decoded.refuse(message, "out of bounds: timestamp is too far in the future");
                } else {
                    out.batch.floats.push(FloatSample { series, t, v });
                }
            }
            3 => {
                let (t, h) = histogram(field.bytes()?)?;
                if t > target.latest {
                    decoded.refuse(message, "out of bounds: timestamp is too far in the future");
                } else if let Err(e) = h.validate() {
                    decoded.refuse(message, &e.to_string());
                } else {
                    out.batch.histograms.push((series, t, Arc::new(h)));
                }
            }
            4 => match exemplar(field.bytes()?, &decoded.symbols, out)? {
                Ok(Some(e)) if e.t <= target.latest => out.batch.exemplars.push((series, e)),
                Ok(_) => {}
                Err(reason) => {
                    let name = name_of(message, &decoded.symbols);
                    decoded.refused.add(|| format!("parsing exemplar for series {name}: {reason}"));
                }
            },
            _ => {}
        }
    }
    Ok(())
}

/// Counts the samples of a series, reads the numbers of its labels, and looks whether its metadata makes sense.
fn content(message: &[u8], symbols: &[&[u8]], refs: &mut Vec<u64>) -> Result<Content, WireError> {
    let mut out = Content::default();
    refs.clear();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => field.varints(refs)?,
            2 | 3 => out.samples += 1,
            5 => {
                for part in Fields::new(field.bytes()?) {
                    let part = part?;
                    let at = match part.number {
                        1 => {
                            out.metadata[0] = part.varint()?;
                            continue;
                        }
                        3 | 4 => part.varint()?,
                        _ => continue,
                    };
                    out.metadata[part.number as usize - 2] = at;
                    if at > 0 && symbol(symbols, at).is_none() {
                        out.bad_metadata = Some(format!(
                            "parsing metadata for series {refs:?}: reference {at} lies outside of the symbols table \
                             (size {})",
                            symbols.len()
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

fn symbol<'a>(symbols: &[&'a [u8]], at: u64) -> Option<&'a [u8]> {
    symbols.get(usize::try_from(at).ok()?).copied()
}

/// The metric name among the labels with these numbers.
fn metric_name<'a>(refs: &[u64], symbols: &[&'a [u8]]) -> Option<&'a [u8]> {
    let name = refs.chunks_exact(2).find(|p| symbol(symbols, p[0]) == Some(METRIC_NAME.as_bytes()))?;
    symbol(symbols, name[1])
}

/// Looks up pairs of symbols; an error says what is wrong with the numbers.
fn each_pair<'a>(
    refs: &[u64],
    symbols: &[&'a [u8]],
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(), String> {
    if !refs.len().is_multiple_of(2) {
        return Err(format!("invalid labelRefs length {}", refs.len()));
    }
    for pair in refs.chunks_exact(2) {
        let (Some(name), Some(value)) = (symbol(symbols, pair[0]), symbol(symbols, pair[1])) else {
            return Err(format!(
                "labelRefs {} (name) = {} (value) outside of symbols table (size {})",
                pair[0],
                pair[1],
                symbols.len()
            ));
        };
        each(name, value);
    }
    Ok(())
}

/// The reference of the series with the labels in `refs`, or why there can be none.
fn series(
    target: &Target<'_>,
    decoded: &Decoded<'_>,
    out: &mut Out<'_>,
) -> Result<Result<SeriesRef, String>, RemoteWriteError> {
    if let Err(e) = measure(&decoded.symbols, out.scratch) {
        return Ok(Err(e));
    }
    let refs = &out.scratch.refs;
    let bad = |e: String| format!("parsing labels for series {refs:?}: {e}");
    let key = &mut out.scratch.key;
    key.clear();
    // No message of version 1.0 begins like this, so the two never share a key.
    key.push(0xff);
    let put = |name: &[u8], value: &[u8]| {
        for text in [name, value] {
            put_varint(text.len() as u64, key);
            key.extend_from_slice(text);
        }
    };
    if let Err(e) = each_pair(refs, &decoded.symbols, put) {
        return Ok(Err(bad(e)));
    }
    let key = target.cache.key(&out.scratch.key);
    if target.use_cache
        && let Some(series) = target.cache.get(key)
    {
        return Ok(Ok(series));
    }
    let labels = match read_labels(refs, &decoded.symbols, out.labels) {
        Ok(labels) => labels,
        Err(reason) => return Ok(Err(reason)),
    };
    let series = target.appender.series_ref(&labels)?;
    target.cache.insert(key, series);
    Ok(Ok(series))
}

/// Refuses labels that take too much memory before any of it is taken.
fn measure(symbols: &[&[u8]], scratch: &mut Scratch) -> Result<(), String> {
    if scratch.refs.len() > 2 * MAX_SERIES_LABELS {
        return Err(format!("more than {MAX_SERIES_LABELS} labels in one series"));
    }
    let bytes: usize = scratch.refs.iter().filter_map(|at| symbol(symbols, *at)).map(<[u8]>::len).sum();
    if bytes > MAX_LABEL_BYTES {
        return Err(format!("labels of a series take more than {MAX_LABEL_BYTES} bytes"));
    }
    scratch.label_bytes += bytes;
    if scratch.label_bytes > MAX_REQUEST_LABEL_BYTES {
        return Err(format!("labels of the request take more than {MAX_REQUEST_LABEL_BYTES} bytes"));
    }
    Ok(())
}

fn read_labels(refs: &[u64], symbols: &[&[u8]], out: &mut LabelsBuilder) -> Result<Labels, String> {
    out.clear();
    let mut twice = None;
    let mut valid = true;
    each_pair(refs, symbols, |name, value| {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            valid = false;
            return;
        };
        valid &= NameScheme::Utf8.is_label_name(name);
        if !out.value(name).is_empty() {
            twice = Some(name.to_owned());
        }
        out.set(name, value);
    })?;
    let labels = out.build();
    if !valid || labels.metric_name().is_empty() {
        return Err(format!("invalid metric name or labels, got {labels}"));
    }
    match twice {
        Some(name) => Err(format!("invalid labels for series, labels {labels}, duplicated label {name}")),
        None => Ok(labels),
    }
}

/// `Ok(None)`: its labels are too long or no texts, and it is dropped without a word.
fn exemplar(
    message: &[u8],
    symbols: &[&[u8]],
    out: &mut Out<'_>,
) -> Result<Result<Option<Exemplar>, String>, WireError> {
    let refs = &mut out.scratch.refs;
    refs.clear();
    let (mut value, mut t) = (0.0, 0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => field.varints(refs)?,
            2 => value = field.double()?,
            3 => t = field.varint()? as i64,
            _ => {}
        }
    }
    // A character takes four bytes at most, and a label has a character at least.
    let bytes: usize = refs.iter().filter_map(|at| symbol(symbols, *at)).map(<[u8]>::len).sum();
    if bytes > 4 * MAX_EXEMPLAR_CHARACTERS || refs.len() > 2 * MAX_EXEMPLAR_CHARACTERS {
        return Ok(Ok(None));
    }
    let labels = &mut *out.labels;
    labels.clear();
    let (mut characters, mut is_text) = (0, true);
    let pairs = each_pair(refs, symbols, |name, value| {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            is_text = false;
            return;
        };
        characters += name.chars().count() + value.chars().count();
        labels.set(name, value);
    });
    if let Err(e) = pairs {
        return Ok(Err(e));
    }
    let fits = is_text && characters <= MAX_EXEMPLAR_CHARACTERS;
    Ok(Ok(fits.then(|| Exemplar { labels: labels.build(), value, t })))
}

/// The labels of a series as text, for a reason.
fn name_of(message: &[u8], symbols: &[&[u8]]) -> String {
    let mut refs = Vec::new();
    for field in Fields::new(message).flatten().filter(|f| f.number == 1) {
        if field.varints(&mut refs).is_err() {
            break;
        }
    }
    let mut labels = LabelsBuilder::new();
    // They were good enough for the store.
    let _ = each_pair(&refs, symbols, |name, value| {
        labels.set(&String::from_utf8_lossy(name), &String::from_utf8_lossy(value));
    });
    labels.build().to_string()
}

impl Decoded<'_> {
    /// What the request says of its metrics; what is no text is passed over.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, Said<'_>)> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        self.metadata.iter().filter_map(move |(name, [kind, help, unit])| {
            let (help, unit) = (symbol(&self.symbols, *help)?, symbol(&self.symbols, *unit)?);
            Some((text(name)?, Said { kind: metric_type(*kind), help: text(help)?, unit: text(unit)? }))
        })
    }

    fn refuse(&mut self, message: &[u8], reason: &str) {
        let symbols = &self.symbols;
        self.refused.add(|| format!("{reason} for series {}", name_of(message, symbols)));
    }

    /// Notes what the store did not take; returns how many of them are floats, histograms and exemplars.
    pub(super) fn rejected(&mut self, rejected: &[Rejection], batch: &WriteBatch) -> [usize; 3] {
        let (floats, samples) = (batch.floats.len(), batch.samples());
        let mut counts = [0; 3];
        for r in rejected {
            let (kind, series) = if r.index < floats {
                (0, batch.floats[r.index].series)
            } else if r.index < samples {
                (1, batch.histograms[r.index - floats].0)
            } else {
                (2, batch.exemplars[r.index - samples].0)
            };
            counts[kind] += 1;
            if self.refused.reasons.len() == MAX_REASONS {
                self.refused.count += 1;
                continue;
            }
            let message = self.series.iter().find(|s| s.0 == series).map_or(&[][..], |s| s.1);
            let reason: RejectReason = r.reason;
            self.refuse(message, &reason.to_string());
        }
        counts
    }
}
