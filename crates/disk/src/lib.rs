//! Crash-safe files: framed log, checksums, atomic directory commit, memory maps.
