//! Questions about streams: labels, values, series, sizes, volumes.

use std::collections::{BTreeMap, BTreeSet};

use reba_model::{Labels, Matcher, NanoRange, Tenant};

use super::{
    LogData, LogError, LogQueryEngine, MatrixSeries, demoted, limits, scans::Context, tenants::TENANT_LABEL,
};

/// How much of the log lies in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredStats {
    /// Streams.
    pub streams: u64,
    /// Blocks (chunks, in upstream's words).
    pub chunks: u64,
    /// Bytes of lines and metadata.
    pub bytes: u64,
    /// Lines.
    pub entries: u64,
}

/// What volumes are added up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumeBy {
    /// The values of the target labels, or of the selector's if there are none.
    #[default]
    Series,
    /// The names of labels: the target labels, or all of them.
    Labels,
}

/// A question about volumes.
#[derive(Clone, Debug)]
pub struct VolumeQuery {
    /// Whose logs.
    pub tenant: Tenant,
    /// The streams; none: all.
    pub matchers: Vec<Matcher>,
    /// The range.
    pub range: NanoRange,
    /// Labels to add up by; empty: those of the matchers.
    pub target_labels: Vec<String>,
    /// What to add up by.
    pub by: VolumeBy,
    /// Most series of the answer; 0: as the engine's limits have it.
    pub limit: usize,
    /// Nanoseconds of a bucket, for volumes over time.
    pub step: Option<i64>,
}

/// Internal names are not shown, but for the one that tells joined tenants apart.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with("__") && name != TENANT_LABEL
}

impl LogQueryEngine {
    /// Label sets of the streams that match any of `sets` and have data near `range`, sorted. No set means every stream.
    pub async fn series(
        &self,
        tenant: Tenant,
        sets: Vec<Vec<Matcher>>,
        range: NanoRange,
        now_ns: i64,
    ) -> Result<Vec<Labels>, LogError> {
        let question = move |context: Context<'_>| {
            let names = context.demoted();
            let bare = demoted::without_demoted(&sets, &names);
            // No set at all means every stream, but none that is left does not.
            let none = bare.is_empty() && !sets.is_empty();
            let streams = if none { Vec::new() } else { context.streams(&bare, range)? };
            let shown = |labels: Labels| {
                if labels.iter().any(|(name, _)| is_hidden(name)) {
                    Labels::from_pairs(labels.iter().filter(|(name, _)| !is_hidden(name)))
                } else {
                    labels
                }
            };
            let mut series: Vec<Labels> = streams.into_iter().map(|s| shown(s.labels)).collect();
            if !context.demoted().is_empty() {
                series.extend(context.demoted_series(&sets, range)?.into_iter().map(shown));
                series.sort();
            }
            series.dedup();
            Ok(series)
        };
        self.ask(tenant, now_ns, question).await
    }

    /// Names of labels of those streams, sorted.
    pub async fn label_names(
        &self,
        tenant: Tenant,
        sets: Vec<Vec<Matcher>>,
        range: NanoRange,
        now_ns: i64,
    ) -> Result<Vec<String>, LogError> {
        let question = move |context: Context<'_>| {
            let streams = context.streams(&sets, range)?;
            let mut names: BTreeSet<&str> =
                streams.iter().flat_map(|s| s.labels.iter().map(|(name, _)| name)).collect();
            let demoted = context.demoted();
            for name in demoted.iter() {
                if context.has_demoted(&sets, range, name)? {
                    names.insert(name);
                }
            }
            Ok(names.into_iter().filter(|name| !is_hidden(name)).map(str::to_owned).collect())
        };
        self.ask(tenant, now_ns, question).await
    }

    /// Values of one label of those streams, sorted.
    pub async fn label_values(
        &self,
        tenant: Tenant,
        name: String,
        sets: Vec<Vec<Matcher>>,
        range: NanoRange,
        now_ns: i64,
    ) -> Result<Vec<String>, LogError> {
        let question = move |context: Context<'_>| {
            let streams = context.streams(&sets, range)?;
            let mut values: BTreeSet<&str> = streams.iter().filter_map(|s| s.labels.get(&name)).collect();
            let demoted = if context.demoted().contains(&name) {
                context.values_of_demoted(&sets, range, &name)?
            } else {
                BTreeSet::new()
            };
            values.extend(demoted.iter().map(String::as_str));
            Ok(values.into_iter().map(str::to_owned).collect())
        };
        self.ask(tenant, now_ns, question).await
    }

    /// How much of the matching streams lies in a range, about.
    pub async fn stored_stats(
        &self,
        tenant: Tenant,
        matchers: Vec<Matcher>,
        range: NanoRange,
        now_ns: i64,
    ) -> Result<StoredStats, LogError> {
        let question = move |context: Context<'_>| {
            let mut sum = StoredStats::default();
            for stream in context.streams(std::slice::from_ref(&matchers), range)? {
                sum.streams += 1;
                sum.chunks += stream.blocks;
                sum.bytes += stream.bytes;
                sum.entries += stream.entries;
            }
            Ok(sum)
        };
        self.ask(tenant, now_ns, question).await
    }

    /// Bytes of the matching streams, added up by labels: the largest first at the end of the range, or, with a step, in buckets
    /// whose time is their beginning.
    pub async fn volume(&self, query: VolumeQuery, now_ns: i64) -> Result<LogData, LogError> {
        let most = self.limits_of(&query.tenant).volume_max_series;
        // More than may be answered may be asked for.
        let limit = if query.limit == 0 || (most != 0 && query.limit > most) { most } else { query.limit };
        let tenant = query.tenant.clone();
        self.ask(tenant, now_ns, move |context| context.volume(&query, limit)).await
    }
}

/// Most buckets of an answer.
const MAX_BUCKETS: i64 = 11_000;

impl Context<'_> {
    pub(super) fn streams(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<Vec<reba_storage::StreamInfo>, LogError> {
        let range = limits::visible(self.limits, range, self.now_ns)?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.demoted();
        let of_streams;
        let sets = if names.is_empty() {
            sets
        } else {
            of_streams = demoted::of_streams(sets, &names);
            &of_streams
        };
        // An empty set of matchers means every stream, just as no set does.
        let sets = if sets.iter().any(Vec::is_empty) { &[] } else { sets };
        Ok(self.store.streams(self.tenant, sets, range, self.budget)?)
    }

    fn volume(&self, query: &VolumeQuery, limit: usize) -> Result<LogData, LogError> {
        let range = query.range;
        let Some(step) = query.step else {
            let largest = largest(self.bytes_by_labels(query, range)?, limit);
            return Ok(LogData::Vector { ns: range.end, samples: samples(&largest) });
        };
        let length = range.end.saturating_sub(range.start);
        if step <= 0 || length / step > MAX_BUCKETS {
            return Err(LogError::bad(
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ));
        }
        let mut buckets = Vec::new();
        let mut start = range.start;
        while start < range.end {
            self.budget.check()?;
            let end = start.saturating_add(step).min(range.end);
            buckets.push((start, self.bytes_by_labels(query, NanoRange::new(start, end))?));
            start = end;
        }
        if let [(ns, only)] = buckets.as_slice() {
            return Ok(LogData::Vector { ns: *ns, samples: samples(&largest(only.clone(), limit)) });
        }
        Ok(LogData::Matrix(over_time(&buckets, limit)))
    }

    /// Bytes in a range by labels.
    fn bytes_by_labels(&self, query: &VolumeQuery, range: NanoRange) -> Result<Volumes, LogError> {
        let mut names: Vec<&str> = query.target_labels.iter().map(String::as_str).collect();
        if names.is_empty() && query.by == VolumeBy::Series {
            names = query.matchers.iter().map(|m| m.name.as_str()).collect();
        }
        let mut bytes: Volumes = BTreeMap::new();
        for stream in self.streams(std::slice::from_ref(&query.matchers), range)? {
            let wanted = |name: &str| names.is_empty() || names.contains(&name);
            let labels = stream.labels.iter().filter(|(name, _)| wanted(name) && !is_hidden(name));
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            match query.by {
                VolumeBy::Series => {
                    let labels: Vec<_> = labels.map(own).collect();
                    // Streams without one of the target labels are in no series.
                    let has = |name: &String| labels.iter().any(|(n, _)| n == name);
                    if query.target_labels.iter().all(has) && (names.is_empty() || !labels.is_empty()) {
                        *bytes.entry(labels).or_default() += stream.bytes;
                    }
                }
                VolumeBy::Labels => {
                    for (name, _) in labels {
                        *bytes.entry(vec![own((name, ""))]).or_default() += stream.bytes;
                    }
                }
            }
        }
        Ok(bytes)
    }
}

type Volume = (Vec<(String, String)>, u64);

/// Bytes by labels.
type Volumes = BTreeMap<Vec<(String, String)>, u64>;

/// The largest, largest first, those of one size by name.
fn largest(bytes: Volumes, limit: usize) -> Vec<Volume> {
    let mut all: Vec<Volume> = bytes.into_iter().collect();
    all.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    all.truncate(limit);
    all
}

/// Labels whose values may be empty.
fn labels_of(pairs: &[(String, String)]) -> Labels {
    Labels::from_sorted_verbatim(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
}

fn samples(volumes: &[Volume]) -> Vec<(Labels, f64)> {
    volumes.iter().map(|(labels, bytes)| (labels_of(labels), *bytes as f64)).collect()
}

fn over_time(buckets: &[(i64, Volumes)], limit: usize) -> Vec<MatrixSeries> {
    let mut totals: Volumes = BTreeMap::new();
    for (_, bucket) in buckets {
        for (labels, bytes) in bucket {
            *totals.entry(labels.clone()).or_default() += bytes;
        }
    }
    let mut kept: Vec<_> = largest(totals, limit).into_iter().map(|(labels, _)| labels).collect();
    kept.sort();
    let point = |(ns, bucket): &(i64, Volumes), labels: &Vec<(String, String)>| {
        bucket.get(labels).map(|bytes| (*ns, *bytes as f64))
    };
    kept.into_iter()
        .map(|labels| MatrixSeries {
            points: buckets.iter().filter_map(|bucket| point(bucket, &labels)).collect(),
            labels: labels_of(&labels),
        })
        .collect()
}
