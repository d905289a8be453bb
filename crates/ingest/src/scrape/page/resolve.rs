//! From the labels of a series in a page to its reference in the store.

use reba_model::{Labels, LabelsBuilder, METRIC_NAME, Relabel};
use reba_storage::{MetricAppender, SeriesRef};

use super::{PageError, PageOptions};

/// What clashing labels of the page are renamed with.
const EXPORTED: &str = "exported_";

/// Most bytes of the labels of a series, whatever is configured: a series lives in memory for hours, and in the index of
/// every block.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// Resolves series of one page.
pub(super) struct Resolver<'a> {
    options: &'a PageOptions,
    appender: &'a dyn MetricAppender,
    /// Series of this page that have a reference.
    admitted: usize,
    /// Series that were not asked for, since the page is over its limit anyway.
    not_resolved: usize,
}

/// What became of a series.
pub(super) enum Resolved {
    /// It is in the store.
    Series(SeriesRef),
    /// Relabelling dropped it.
    Dropped,
    /// The page is over its limit: nothing of it will be written.
    OverLimit,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(options: &'a PageOptions, appender: &'a dyn MetricAppender) -> Self {
        Resolver { options, appender, admitted: 0, not_resolved: 0 }
    }

    pub(super) fn options(&self) -> &'a PageOptions {
        self.options
    }

    /// Counts a series that needed no resolving.
    #[inline]
    pub(super) fn admit(&mut self, series: Option<SeriesRef>) {
        self.admitted += usize::from(series.is_some());
    }

    pub(super) fn not_resolved(&self) -> usize {
        self.not_resolved
    }

    /// Merges the target's labels into those of the page, relabels, checks names and limits, and asks the store. `empty`
    /// are labels that the page has with an empty value.
    pub(super) fn resolve(
        &mut self,
        labels: &mut LabelsBuilder,
        empty: &[String],
    ) -> Result<Resolved, PageError> {
        let o = self.options;
        merge_target_labels(labels, empty, &o.target_labels, o.honor_labels);
        if !Relabel::apply_all(&o.metric_relabel, labels) || labels.is_empty() {
            return Ok(Resolved::Dropped);
        }
        let name = labels.value(METRIC_NAME);
        if name.is_empty() {
            return Err(PageError::NameMissing);
        }
        let valid = o.names.is_metric_name(name) && labels.iter().all(|(n, _)| o.names.is_label_name(n));
        if !valid {
            return Err(PageError::InvalidName(labels.build().to_string()));
        }
        check_label_limits(labels, o)?;
        if o.sample_limit > 0 && self.admitted >= o.sample_limit {
            self.not_resolved += 1;
            return Ok(Resolved::OverLimit);
        }
        self.admitted += 1;
        Ok(Resolved::Series(self.appender.series_ref(&labels.build())?))
    }
}

fn merge_target_labels(labels: &mut LabelsBuilder, empty: &[String], target: &Labels, honor: bool) {
    if honor {
        for (name, value) in target {
            if labels.value(name).is_empty() && !empty.iter().any(|e| e == name) {
                labels.set(name, value);
            }
        }
        return;
    }
    let mut clashing = Vec::new();
    for (name, value) in target {
        let scraped = labels.value(name);
        if !scraped.is_empty() {
            clashing.push((name, scraped.to_owned()));
        }
        labels.set(name, value);
    }
    // Short names first, so that `a` becomes `exported_a` before `exported_a` looks for another name.
    clashing.sort_by_key(|(name, _)| name.len());
    for (name, value) in clashing {
        let mut free = format!("{EXPORTED}{name}");
        while !labels.value(&free).is_empty() {
            free.insert_str(0, EXPORTED);
        }
        labels.set(&free, &value);
    }
}

/// At most 50 bytes of a text, for messages.
fn short(text: &str) -> &str {
    let mut n = text.len().min(50);
    while !text.is_char_boundary(n) {
        n -= 1;
    }
    &text[..n]
}

fn check_label_limits(labels: &LabelsBuilder, o: &PageOptions) -> Result<(), PageError> {
    let metric = short(labels.value(METRIC_NAME));
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in labels.iter() {
        count += 1;
        bytes += name.len() + value.len();
    }
    if bytes > MAX_LABEL_BYTES {
        return Err(PageError::LabelLimit(format!(
            "label size limit exceeded (metric: {metric}, the labels of a series may take {MAX_LABEL_BYTES} bytes, \
             not {bytes})"
        )));
    }
    if o.label_limit > 0 && count > o.label_limit {
        let limit = o.label_limit;
        return Err(PageError::LabelLimit(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {limit})"
        )));
    }
    for (name, value) in labels.iter() {
        let (len, limit) = (name.len(), o.label_name_length_limit);
        if limit > 0 && len > limit {
            let name = short(name);
            return Err(PageError::LabelLimit(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {name}, length: {len}, limit: {limit})"
            )));
        }
        let (len, limit) = (value.len(), o.label_value_length_limit);
        if limit > 0 && len > limit {
            let (name, value) = (short(name), short(value));
            return Err(PageError::LabelLimit(format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {name}, value: {value:?}, length: {len}, limit: {limit})"
            )));
        }
    }
    Ok(())
}
