//! The labels of a stream: read, checked and put into their canonical form, and remembered by how they were written.

use std::sync::Arc;

use parking_lot::Mutex;
use reba_model::{Labels, MatchOp, is_legacy_label_name};

use super::{
    config::Limits,
    decode::{LabelsText, Pairs, object_pairs},
    level,
    metrics::Reason,
    tenant::Active,
};

/// A stream as it is stored.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its labels, without those that are stored as metadata.
    pub(super) labels: Labels,
    /// The labels as they were sent, for messages.
    pub(super) sent: Labels,
    /// What every entry gets as structured metadata: labels with too many values, attributes of an OTLP resource.
    pub(super) attached: Vec<(String, String)>,
    /// The level of all its entries, if a label says it.
    pub(super) level: Option<&'static str>,
    /// Its place among the active streams, once it has one.
    pub(super) active: Mutex<Option<Arc<Active>>>,
}

/// Why nothing of a stream is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// What is known of the labels of a stream.
pub(super) type Known = Result<Arc<Stream>, Refusal>;

/// Reads and checks labels. `is_demoted` says which are stored as metadata.
pub(super) fn resolve(
    text: LabelsText<'_>,
    limits: &Limits,
    is_demoted: impl FnMut(&str, &str) -> bool,
) -> Known {
    let mut pairs = read(text).map_err(|e| {
        let text = String::from_utf8_lossy(text.as_bytes());
        Refusal {
            reason: Reason::InvalidLabels,
            message: format!("Error parsing labels '{text}' with error: {e}"),
        }
    })?;
    pairs.retain(|(_, value)| !value.is_empty());
    check(&pairs, limits)?;
    discover_service_name(&mut pairs, limits);
    Ok(Arc::new(Stream::new(&pairs, is_demoted)))
}

impl Stream {
    /// A stream of these labels, sorted by name.
    pub(super) fn new(pairs: &[(String, String)], mut is_demoted: impl FnMut(&str, &str) -> bool) -> Self {
        let sent = Labels::from_sorted(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let level =
            pairs.iter().filter(|(n, _)| level::is_level_name(n)).find_map(|(_, v)| level::common_name(v));
        let (attached, kept): (Vec<_>, Vec<_>) = pairs.iter().cloned().partition(|(n, v)| is_demoted(n, v));
        let labels = if attached.is_empty() {
            sent.clone()
        } else {
            Labels::from_sorted(kept.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        };
        Stream { labels, sent, attached, level, active: Mutex::default() }
    }
}

/// Names and values, sorted by name.
fn read(text: LabelsText<'_>) -> Result<Vec<(String, String)>, String> {
    let mut out: Vec<(String, String)> = Vec::new();
    match text {
        LabelsText::Object(text) => {
            let mut pairs = Pairs::default();
            object_pairs(text, &mut pairs).map_err(|e| e.to_string())?;
            for (name, value) in pairs.iter() {
                if !is_legacy_label_name(name) {
                    return Err(format!("{name:?} is no name of a label"));
                }
                // As everywhere in JSON, the last one of a name counts.
                match out.iter_mut().find(|(n, _)| n == name) {
                    Some((_, before)) => value.clone_into(before),
                    None => out.push((name.to_owned(), value.to_owned())),
                }
            }
        }
        LabelsText::Selector(text) => {
            for matcher in reba_logql::syntax::parse_matchers(text).map_err(|e| e.to_string())? {
                if matcher.op != MatchOp::Equal {
                    return Err(format!("the label {} must be given with '='", matcher.name));
                }
                out.push((matcher.name.clone(), matcher.value.clone()));
            }
        }
    }
    // Stable: of two labels of one name the first is told of.
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// Upstream's rules, in its order and its words.
pub(super) fn check(pairs: &[(String, String)], limits: &Limits) -> Result<(), Refusal> {
    let refuse = |reason, message| Err(Refusal { reason, message });
    let shown = || {
        let pairs: Vec<String> =
            pairs.iter().map(|(n, v)| format!("{n}={}", reba_model::float::go_quote(v))).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    if pairs.is_empty() {
        let message = "error at least one label pair is required per stream".to_owned();
        return refuse(Reason::MissingLabels, message);
    }
    let (count, most) = (pairs.len(), limits.max_label_names_per_series);
    if most != 0 && count > most {
        let message = format!("entry for stream '{}' has {count} label names; limit {most}", shown());
        return refuse(Reason::TooManyLabels, message);
    }
    let too_long = |text: &str, limit: usize| limit != 0 && text.len() > limit;
    let mut last = "";
    for (name, value) in pairs {
        if too_long(name, limits.max_label_name_length) {
            let message = format!("stream '{}' has label name too long: '{name}'", shown());
            return refuse(Reason::NameTooLong, message);
        }
        if too_long(value, limits.max_label_value_length) {
            let message = format!("stream '{}' has label value too long: '{value}'", shown());
            return refuse(Reason::ValueTooLong, message);
        }
        if name == last {
            let message = format!("stream '{}' has duplicate label name: '{name}'", shown());
            return refuse(Reason::DuplicateLabels, message);
        }
        last = name;
    }
    Ok(())
}

fn discover_service_name(pairs: &mut Vec<(String, String)>, limits: &Limits) {
    const LABEL: &str = "service_name";
    let names = &limits.discover_service_name;
    if names.is_empty() || pairs.iter().any(|(n, _)| n == LABEL) {
        return;
    }
    let named = names.iter().find_map(|name| pairs.iter().find(|(n, _)| n == name));
    let value = named.map_or("unknown_service", |(_, v)| v).to_owned();
    let at = pairs.partition_point(|(n, _)| n.as_str() < LABEL);
    pairs.insert(at, (LABEL.to_owned(), value));
}
