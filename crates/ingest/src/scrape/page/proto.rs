//! Protobuf pages. Their series get a name made of all that tells them apart, and by that are found in the page before.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use reba_model::{Exemplar, Histogram, LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME, Metadata, MetricType};

use super::{
    PageError, PageOptions,
    draft::{Draft, Line},
    nhcb::Classic,
    previous::Previous,
    resolve::{Resolved, Resolver},
    text::MAX_EXEMPLAR_CHARACTERS,
};
use crate::exposition::{
    LabelsError,
    protobuf::{self, Family, HistogramValue, Metric, ProtobufParser, Value},
};

/// Separates the parts of a name; no UTF-8 holds it.
pub(super) const SEPARATOR: u8 = 0xff;

/// Most bytes of all names of a page. The labels of a metric stand once in the page, but in the name of each of its
/// buckets: a megabyte could ask for gigabytes.
pub(super) const MAX_NAMES: usize = 256 << 20;

/// The coarsest resolution of native histograms.
const MIN_SCHEMA: i32 = -4;

pub(super) fn read(
    page: &[u8],
    previous: Previous<'_>,
    resolver: &mut Resolver<'_>,
) -> Result<Draft, PageError> {
    let draft = Draft::with_capacity(previous.len());
    let mut reader = Reader { previous, draft, names: Vec::new(), labels: LabelsBuilder::new(), resolver };
    let mut metadata = BTreeMap::new();
    let mut parser = ProtobufParser::new(page);
    while let Some(family) = parser.next_family()? {
        for message in &family.metrics {
            let metric = Metric::decode(message, family.kind).map_err(|e| parser.error(e.to_string()))?;
            reader.metric(&family, &metric)?;
        }
        if !family.metrics.is_empty() {
            let (help, unit) = (family.help.to_owned(), family.unit.to_owned());
            metadata.insert(family.name.to_owned(), Metadata { kind: family.kind, help, unit });
        }
    }
    let mut draft = reader.draft;
    draft.bytes = Some(reader.names);
    draft.metadata = Some(metadata);
    Ok(draft)
}

struct Reader<'p, 'r, 'o> {
    previous: Previous<'p>,
    draft: Draft,
    /// Names of the series, one behind the other.
    names: Vec<u8>,
    labels: LabelsBuilder,
    resolver: &'r mut Resolver<'o>,
}

/// What a sample of a metric is called.
struct Name<'n> {
    suffix: &'static str,
    extra: Option<(&'static str, Cow<'n, str>)>,
}

impl Reader<'_, '_, '_> {
    fn metric(&mut self, family: &Family<'_>, metric: &Metric<'_>) -> Result<(), PageError> {
        let o = self.resolver.options();
        if let Value::Histogram(h) = &metric.value
            && let Form::Native(native) = form_of(h, family.kind, o)
        {
            let name = Name { suffix: "", extra: None };
            // Of a classic one whose buckets contradict each other nothing is kept, upstream too.
            if let Some(native) = native
                && self.sample(family, metric, &name, 0.0)?
            {
                let (native, is_over) = fit(family.name, native, o)?;
                self.draft.over_bucket_limit |= is_over;
                self.draft.push_histogram(native);
                let own: Vec<_> = if h.exemplars.is_empty() {
                    h.buckets.iter().filter_map(|b| b.2.as_ref()).collect()
                } else {
                    h.exemplars.iter().collect()
                };
                // Exemplars of native histograms need a time, or repeated ones could not be told from new ones.
                for e in own.into_iter().filter(|e| e.t.is_some()) {
                    self.exemplar(e);
                }
            }
            if !o.always_classic || h.buckets.is_empty() {
                return Ok(());
            }
        }
        metric.floats(|s| {
            let name = Name { suffix: s.suffix, extra: s.extra };
            let kept = self.sample(family, metric, &name, s.v)?;
            if let Some(e) = s.exemplar.filter(|_| kept) {
                self.exemplar(e);
            }
            Ok(())
        })
    }

    /// Adds a sample; `false`: the page is over its limit, and the sample is not there.
    fn sample(
        &mut self,
        family: &Family<'_>,
        metric: &Metric<'_>,
        name: &Name<'_>,
        v: f64,
    ) -> Result<bool, PageError> {
        let o = self.resolver.options();
        let start = self.names.len();
        if metric.labels.len() > MAX_SERIES_LABELS {
            return Err(LabelsError::TooMany.into());
        }
        self.push_name(family, metric, name);
        if self.names.len() > MAX_NAMES {
            return Err(PageError::TooLarge);
        }
        let end = self.names.len();
        let line = if let Some((line, in_place)) = self.previous.find(&self.names[start..]) {
            self.draft.changed |= !in_place;
            self.resolver.admit(line.series_ref());
            line.with(start, end, v)
        } else {
            self.draft.changed = true;
            let empty = self.read_labels(family, metric, name)?;
            let target = match self.resolver.resolve(&mut self.labels, &empty)? {
                Resolved::OverLimit => return Ok(false),
                Resolved::Dropped => None,
                Resolved::Series(series) => {
                    self.draft.added += 1;
                    Some(series)
                }
            };
            Line::sample(start, end, end - start, target, v)
        };
        self.draft.push_sample(line, metric.t.filter(|_| o.honor_timestamps), o.track_timestamps_staleness);
        Ok(true)
    }

    fn push_name(&mut self, family: &Family<'_>, metric: &Metric<'_>, name: &Name<'_>) {
        self.names.extend_from_slice(family.name.as_bytes());
        self.names.extend_from_slice(name.suffix.as_bytes());
        let extra = name.extra.as_ref().map(|(n, v)| (*n, v.as_ref()));
        for (n, v) in metric.labels.iter().copied().chain(extra) {
            for part in [n, v] {
                self.names.push(SEPARATOR);
                self.names.extend_from_slice(part.as_bytes());
            }
        }
        // A series of this name with a float and one with a histogram are one series.
        self.names.push(SEPARATOR);
    }

    fn read_labels(
        &mut self,
        family: &Family<'_>,
        metric: &Metric<'_>,
        name: &Name<'_>,
    ) -> Result<Vec<String>, PageError> {
        self.labels.clear();
        self.labels.set(METRIC_NAME, &format!("{}{}", family.name, name.suffix));
        let mut empty = Vec::new();
        let extra = name.extra.as_ref().map(|(n, v)| (*n, v.as_ref()));
        for (n, v) in metric.labels.iter().copied().chain(extra) {
            if !self.labels.value(n).is_empty() {
                return Err(LabelsError::Duplicate(n.to_owned()).into());
            }
            if v.is_empty() {
                empty.push(n.to_owned());
            }
            self.labels.set(n, v);
        }
        Ok(empty)
    }

    fn exemplar(&mut self, e: &protobuf::Exemplar<'_>) {
        let characters: usize = e.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        if characters > MAX_EXEMPLAR_CHARACTERS {
            return;
        }
        self.labels.clear();
        for (n, v) in &e.labels {
            self.labels.set(n, v);
        }
        let exemplar = Exemplar { labels: self.labels.build(), value: e.v, t: e.t.unwrap_or_default() };
        self.draft.push_exemplar(e.t.is_some(), exemplar);
    }
}

/// What is written for a histogram.
enum Form {
    /// A native one; none if its classic buckets were to be converted and contradict each other.
    Native(Option<Histogram>),
    /// Its classic series.
    Classic,
}

fn form_of(h: &HistogramValue<'_>, kind: MetricType, o: &PageOptions) -> Form {
    if let Some(native) = h.native.as_ref().filter(|_| o.native_histograms) {
        return Form::Native(Some(Histogram::clone(native)));
    }
    if !o.convert_classic || kind != MetricType::Histogram {
        return Form::Classic;
    }
    let mut classic = Classic::default();
    for (bound, count, _) in &h.buckets {
        classic.bucket(*bound, *count);
    }
    classic.count(h.count);
    classic.sum(h.sum);
    Form::Native(classic.convert())
}

/// Merges buckets until the histogram fits the limits of schema and number; says whether it cannot.
pub(super) fn fit(
    name: &str,
    mut h: Histogram,
    o: &PageOptions,
) -> Result<(Arc<Histogram>, bool), PageError> {
    let valid = h.normalize_schema().and_then(|()| h.validate());
    valid.map_err(|e| PageError::Histogram(name.to_owned(), e.to_string()))?;
    h.compact(0);
    if h.schema > o.max_schema && !h.uses_custom_buckets() {
        h.reduce_resolution(o.max_schema.max(MIN_SCHEMA));
    }
    let buckets = |h: &Histogram| h.positive_buckets.len() + h.negative_buckets.len();
    let mut is_over = false;
    while o.bucket_limit > 0 && buckets(&h) > o.bucket_limit {
        if h.uses_custom_buckets() || h.schema <= MIN_SCHEMA {
            is_over = true;
            break;
        }
        h.reduce_resolution(h.schema - 1);
    }
    Ok((Arc::new(h), is_over))
}
