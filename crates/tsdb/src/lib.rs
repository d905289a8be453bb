//! The embedded metric engine: head, write-ahead log, blocks, compaction, retention.
