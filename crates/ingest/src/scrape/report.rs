//! The series that every target has: `up` and what was scraped.

use reba_model::{Labels, METRIC_NAME, STALE_NAN};
use reba_storage::{AppendError, FloatSample, MetricAppender, SeriesRef, WriteBatch};

/// What a scrape says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub up: bool,
    pub duration_seconds: f64,
    pub scraped: usize,
    pub post_relabel: usize,
    pub series_added: usize,
    /// The three below are written only if asked for.
    pub timeout_seconds: f64,
    pub sample_limit: u64,
    /// Bytes of the page; -1 if it exceeded its limit.
    pub body_bytes: f64,
}

const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

impl Report {
    fn values(&self) -> [f64; 8] {
        [
            f64::from(u8::from(self.up)),
            self.duration_seconds,
            self.scraped as f64,
            self.post_relabel as f64,
            self.series_added as f64,
            self.timeout_seconds,
            self.sample_limit as f64,
            self.body_bytes,
        ]
    }
}

/// References of a target's report series.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    refs: Vec<SeriesRef>,
}

impl ReportSeries {
    /// Forgets the references, after the store has dropped a series.
    pub fn forget(&mut self) {
        self.refs.clear();
    }

    fn resolve(
        &mut self,
        labels: &Labels,
        extra: bool,
        store: &dyn MetricAppender,
    ) -> Result<(), AppendError> {
        let wanted = if extra { NAMES.len() } else { 5 };
        while self.refs.len() < wanted {
            let mut b = labels.to_builder();
            b.set(METRIC_NAME, NAMES[self.refs.len()]);
            self.refs.push(store.series_ref(&b.build())?);
        }
        self.refs.truncate(wanted);
        Ok(())
    }

    /// Puts the report in front of the batch: a target that exposes a series of the same name loses against it.
    pub fn write(
        &mut self,
        report: Option<&Report>,
        t: i64,
        labels: &Labels,
        extra: bool,
        store: &dyn MetricAppender,
        batch: &mut WriteBatch,
    ) -> Result<(), AppendError> {
        self.resolve(labels, extra, store)?;
        let values = report.map_or([STALE_NAN; 8], Report::values);
        let samples = self.refs.iter().zip(values).map(|(series, v)| FloatSample { series: *series, t, v });
        batch.floats.splice(0..0, samples);
        Ok(())
    }
}
