//! Classic histograms as native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
//!
//! A text page is read entry by entry without its order in the page before: the series of a classic histogram become one
//! sample, whose series stands nowhere in the page, so all series get names, as those of a protobuf page do.

use std::collections::BTreeMap;

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, LabelsBuilder, METRIC_NAME, Metadata, MetricType,
    Span, float::parse_go,
};

use super::{
    PageError,
    draft::{Draft, Line},
    previous::Previous,
    proto::{MAX_NAMES, SEPARATOR, fit},
    resolve::{Resolved, Resolver},
    text::MAX_EXEMPLAR_CHARACTERS,
};
use crate::exposition::{Event, TextParser, TextSample, exemplar_labels, series_labels};

/// A classic histogram, collected sample by sample.
#[derive(Debug, Default)]
pub(super) struct Classic {
    /// Upper bounds and cumulative counts, as they stand in the page.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    /// Its samples contradict each other.
    is_wrong: bool,
}

impl Classic {
    /// Adds a bucket. Of a bound that stands twice the first one counts.
    pub(super) fn bucket(&mut self, bound: f64, count: f64) {
        self.is_wrong |= bound.is_nan() || count < 0.0;
        self.buckets.push((bound, count));
    }

    pub(super) fn count(&mut self, count: f64) {
        self.is_wrong |= count < 0.0;
        self.count = Some(count);
    }

    pub(super) fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The native form; none if the samples contradict each other.
    pub(super) fn convert(mut self) -> Option<Histogram> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|later, first| later.0 == first.0);
        self.is_wrong |= self.buckets.windows(2).any(|w| w[1].1 < w[0].1);
        let count = self.count.or(self.buckets.last().map(|b| b.1)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.is_wrong || self.buckets.last().is_none_or(|b| b.1 != count) {
            return None;
        }
        let mut below = 0.0;
        let counts = self.buckets.iter().map(|b| b.1 - std::mem::replace(&mut below, b.1)).collect();
        let bounds = self.buckets.iter().map(|b| b.0).filter(|b| *b != f64::INFINITY).collect();
        let h = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: self.buckets.len() as u32 }],
            positive_buckets: counts,
            custom_values: bounds,
            ..Histogram::default()
        };
        h.validate().is_ok().then_some(h)
    }
}

/// Reads a text page. `parser` stands at its beginning.
pub(super) fn read(
    mut parser: TextParser<'_>,
    previous: Previous<'_>,
    resolver: &mut Resolver<'_>,
) -> Result<Draft, PageError> {
    let draft = Draft::with_capacity(previous.len());
    let mut reader = Reader {
        previous,
        draft,
        names: Vec::new(),
        labels: LabelsBuilder::new(),
        resolver,
        family: String::new(),
        kind: MetricType::Unknown,
        group: None,
    };
    let mut metadata: BTreeMap<String, Metadata> = BTreeMap::new();
    while let Some(event) = parser.next_event()? {
        match event {
            Event::Sample(sample) => {
                reader.sample(&sample)?;
                continue;
            }
            Event::Type { family, kind } => {
                reader.finish_group()?;
                (reader.family, reader.kind) = (family.to_string(), kind);
                metadata.entry(family.into_owned()).or_default().kind = kind;
            }
            Event::Help { family, text } => {
                metadata.entry(family.into_owned()).or_default().help = text.into_owned();
            }
            Event::Unit { family, unit } => {
                metadata.entry(family.into_owned()).or_default().unit = unit.into_owned();
            }
            Event::Comment => {}
        }
        reader.finish_group()?;
    }
    reader.finish_group()?;
    let mut draft = reader.draft;
    draft.bytes = Some(reader.names);
    draft.metadata = Some(metadata);
    Ok(draft)
}

/// A classic histogram of which not all samples may have come.
struct Group {
    /// Its labels without `le`, its name without a suffix.
    labels: Labels,
    classic: Classic,
    t: Option<i64>,
    exemplars: Vec<Exemplar>,
}

struct Reader<'p, 'r, 'o> {
    previous: Previous<'p>,
    draft: Draft,
    /// Names of the series, one behind the other.
    names: Vec<u8>,
    labels: LabelsBuilder,
    resolver: &'r mut Resolver<'o>,
    /// What the last line of type was about.
    family: String,
    kind: MetricType,
    group: Option<Group>,
}

impl Reader<'_, '_, '_> {
    fn sample(&mut self, sample: &TextSample<'_>) -> Result<(), PageError> {
        if self.collect(sample)? {
            if !self.resolver.options().always_classic {
                return Ok(());
            }
        } else {
            self.finish_group()?;
        }
        let start = self.names.len();
        self.names.extend_from_slice(sample.series);
        let line = match self.find(start, sample.v)? {
            Some(line) => line,
            None => {
                let empty = series_labels(sample.series, self.kind, &mut self.labels)?;
                let Some(line) = self.resolve(start, &empty, sample.v)? else { return Ok(()) };
                line
            }
        };
        self.push(line, sample.t);
        if let Some(e) = sample.exemplar
            && exemplar_labels(e.labels, MAX_EXEMPLAR_CHARACTERS, &mut self.labels) == Ok(true)
        {
            let exemplar = Exemplar { labels: self.labels.build(), value: e.v, t: e.t.unwrap_or_default() };
            self.draft.push_exemplar(e.t.is_some(), exemplar);
        }
        Ok(())
    }

    /// Takes a sample of a classic histogram in; `false`: it is none.
    fn collect(&mut self, sample: &TextSample<'_>) -> Result<bool, PageError> {
        if self.kind != MetricType::Histogram {
            return Ok(false);
        }
        series_labels(sample.series, self.kind, &mut self.labels)?;
        let suffix = self.labels.value(METRIC_NAME).strip_prefix(self.family.as_str()).unwrap_or_default();
        let bound = match suffix {
            "_bucket" => parse_go(self.labels.value("le")).filter(|bound| !bound.is_nan()),
            "_count" | "_sum" => Some(0.0),
            _ => None,
        };
        let Some(bound) = bound else { return Ok(false) };
        let is_sum = suffix == "_sum";
        let is_bucket = suffix == "_bucket";
        self.labels.set(METRIC_NAME, &self.family).remove("le");
        let labels = self.labels.build();
        if self.group.as_ref().is_some_and(|g| g.labels != labels) {
            self.finish_group()?;
        }
        let new = || Group { labels, classic: Classic::default(), t: None, exemplars: Vec::new() };
        let group = self.group.get_or_insert_with(new);
        group.t = sample.t;
        if is_bucket {
            group.classic.bucket(bound, sample.v);
        } else if is_sum {
            group.classic.sum(sample.v);
        } else {
            group.classic.count(sample.v);
        }
        // Exemplars of native histograms need a time, or repeated ones could not be told from new ones.
        if let Some(e) = sample.exemplar
            && let Some(t) = e.t
            && exemplar_labels(e.labels, MAX_EXEMPLAR_CHARACTERS, &mut self.labels) == Ok(true)
        {
            group.exemplars.push(Exemplar { labels: self.labels.build(), value: e.v, t });
        }
        Ok(true)
    }

    /// Writes the histogram that was collected, unless its samples contradict each other.
    fn finish_group(&mut self) -> Result<(), PageError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let Some(native) = group.classic.convert() else { return Ok(()) };
        let start = self.names.len();
        self.names.push(SEPARATOR);
        self.names.extend_from_slice(group.labels.as_packed().as_bytes());
        let line = match self.find(start, 0.0)? {
            Some(line) => line,
            None => {
                self.labels = group.labels.to_builder();
                let Some(line) = self.resolve(start, &[], 0.0)? else { return Ok(()) };
                line
            }
        };
        self.push(line, group.t);
        let (native, is_over) = fit(group.labels.metric_name(), native, self.resolver.options())?;
        self.draft.over_bucket_limit |= is_over;
        self.draft.push_histogram(native);
        for exemplar in group.exemplars {
            self.draft.push_exemplar(true, exemplar);
        }
        Ok(())
    }

    /// The entry of the series whose name stands last, if the page before had it.
    fn find(&mut self, start: usize, v: f64) -> Result<Option<Line>, PageError> {
        if self.names.len() > MAX_NAMES {
            return Err(PageError::TooLarge);
        }
        let Some((line, in_place)) = self.previous.find(&self.names[start..]) else { return Ok(None) };
        self.draft.changed |= !in_place;
        self.resolver.admit(line.series_ref());
        Ok(Some(line.with(start, self.names.len(), v)))
    }

    /// An entry for a new series; `None`: the page is over its limit.
    fn resolve(&mut self, start: usize, empty: &[String], v: f64) -> Result<Option<Line>, PageError> {
        self.draft.changed = true;
        let target = match self.resolver.resolve(&mut self.labels, empty)? {
            Resolved::OverLimit => return Ok(None),
            Resolved::Dropped => None,
            Resolved::Series(series) => {
                self.draft.added += 1;
                Some(series)
            }
        };
        let end = self.names.len();
        Ok(Some(Line::sample(start, end, end - start, target, v)))
    }

    fn push(&mut self, line: Line, t: Option<i64>) {
        let o = self.resolver.options();
        self.draft.push_sample(line, t.filter(|_| o.honor_timestamps), o.track_timestamps_staleness);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn convert(buckets: &[(f64, f64)], count: Option<f64>) -> Option<Histogram> {
        let mut classic = Classic::default();
        for (bound, n) in buckets {
            classic.bucket(*bound, *n);
        }
        if let Some(count) = count {
            classic.count(count);
        }
        classic.sum(1.5);
        classic.convert()
    }

    #[test]
    fn buckets_in_any_order_become_counts_between_bounds() {
        let inf = f64::INFINITY;
        let h = convert(&[(inf, 7.0), (1.0, 2.0), (0.5, 1.0), (1.0, 2.0)], Some(7.0)).unwrap();
        assert_eq!(
            (h.custom_values, h.positive_buckets, h.count, h.sum),
            (vec![0.5, 1.0], vec![1.0, 1.0, 5.0], 7.0, 1.5)
        );
        // Without a bucket for infinity, or a count, the other one tells.
        assert_eq!(convert(&[(1.0, 2.0)], Some(5.0)).unwrap().positive_buckets, [2.0, 3.0]);
        assert_eq!(convert(&[(1.0, 2.0)], None).unwrap().count, 2.0);
        assert_eq!(convert(&[], Some(3.0)).unwrap().positive_buckets, [3.0]);
    }

    #[test]
    fn samples_that_contradict_each_other_make_no_histogram() {
        let inf = f64::INFINITY;
        for (buckets, count) in [
            (&[(1.0, 2.0), (2.0, 1.0)][..], None),
            (&[(2.0, 1.0), (1.0, 2.0)], None),
            (&[(1.0, -1.0)], None),
            (&[(inf, 3.0)], Some(4.0)),
            (&[(1.0, 5.0)], Some(4.0)),
            (&[], Some(-1.0)),
        ] {
            assert_eq!(convert(buckets, count), None, "{buckets:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_samples_make_a_valid_histogram_or_none(
            buckets in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..6),
            count in proptest::option::of(any::<f64>()),
        ) {
            if let Some(h) = convert(&buckets, count) {
                prop_assert!(h.validate().is_ok());
            }
        }
    }
}
