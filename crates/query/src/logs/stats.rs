//! What queries about logs cost.

use std::{fmt::Write as _, time::Duration};

use reba_storage::ScanStats;

/// What a query about logs cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Scans that were run, and what they did.
    pub scans: u64,
    /// What the store did.
    pub store: ScanStats,
    /// Lines that were looked at.
    pub lines: u64,
    /// Lines that passed the pipeline.
    pub lines_passed: u64,
    /// Lines, or samples, in the answer.
    pub entries_returned: u64,
    /// Bytes of structured metadata that were looked at.
    pub metadata_bytes: u64,
    /// Pieces of time that were asked for one after the other.
    pub splits: u64,
    /// Waiting for others.
    pub queue: Duration,
    /// Everything else.
    pub exec: Duration,
}

impl LogStats {
    /// Adds what another thread did, or what another part of the query cost. Times stay.
    pub fn add(&mut self, other: &LogStats) {
        self.scans += other.scans;
        self.store.add(other.store);
        self.lines += other.lines;
        self.lines_passed += other.lines_passed;
        self.entries_returned += other.entries_returned;
        self.metadata_bytes += other.metadata_bytes;
        self.splits += other.splits;
    }

    /// The object `stats` of an answer, every key of upstream's present.
    pub fn to_json(&self) -> String {
        let bytes = self.store.bytes_decoded;
        let seconds = self.exec.as_secs_f64();
        let a_second = |n: u64| if seconds > 0.0 { (n as f64 / seconds) as u64 } else { 0 };
        let mut out = String::with_capacity(2048);
        let _ = write!(
            out,
            r#"{{"summary":{{"bytesProcessedPerSecond":{},"linesProcessedPerSecond":{},"totalBytesProcessed":{bytes},"totalLinesProcessed":{},"execTime":{},"queueTime":{},"subqueries":0,"totalEntriesReturned":{},"splits":{},"shards":0,"totalPostFilterLines":{},"totalStructuredMetadataBytesProcessed":{}}}"#,
            a_second(bytes),
            a_second(self.lines),
            self.lines,
            seconds,
            self.queue.as_secs_f64(),
            self.entries_returned,
            self.splits,
            self.lines_passed,
            self.metadata_bytes,
        );
        out.push_str(r#","querier":{"store":"#);
        store_json(&mut out, Some(self));
        out.push_str(r#"},"ingester":{"totalReached":0,"totalChunksMatched":0,"totalBatches":0,"totalLinesSent":0,"store":"#);
        store_json(&mut out, None);
        out.push_str(r#"},"cache":{"#);
        let caches = [
            "chunk",
            "index",
            "result",
            "statsResult",
            "volumeResult",
            "seriesResult",
            "labelResult",
            "instantMetricResult",
        ];
        for (i, name) in caches.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            let _ = write!(
                out,
                r#"{separator}"{name}":{{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0}}"#
            );
        }
        out.push_str("}}");
        out
    }
}

fn store_json(out: &mut String, stats: Option<&LogStats>) {
    let stats = stats.copied().unwrap_or_default();
    let refs = stats.store.blocks + stats.store.blocks_skipped;
    let _ = write!(
        out,
        r#"{{"totalChunksRef":{refs},"totalChunksDownloaded":{},"chunksDownloadTime":0,"chunk":{{"headChunkBytes":0,"headChunkLines":0,"decompressedBytes":{},"decompressedLines":{},"compressedBytes":{},"totalDuplicates":0,"postFilterLines":{},"headChunkStructuredMetadataBytes":0,"decompressedStructuredMetadataBytes":{}}}}}"#,
        stats.store.blocks,
        stats.store.bytes_decoded,
        stats.store.rows,
        stats.store.bytes_read,
        stats.lines_passed,
        stats.metadata_bytes,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_every_part_and_its_brackets_close() {
        let stats = LogStats { lines: 10, exec: Duration::from_millis(500), ..LogStats::default() };
        let json = stats.to_json();
        for part in [
            "\"summary\":{",
            "\"linesProcessedPerSecond\":20",
            "\"execTime\":0.5",
            "\"ingester\":{",
            "\"cache\":{",
        ] {
            assert!(json.contains(part), "{part} in {json}");
        }
        let count = |c: char| json.matches(c).count();
        assert_eq!(count('{'), count('}'));
        assert!(!json.contains(",}") && !json.contains("{,"));
    }
}
