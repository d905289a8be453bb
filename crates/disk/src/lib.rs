//! Crash-safe files: a framed log with group commit, checksums, atomic publication of directories, memory maps.
//!
//! This is the only crate of the workspace with `unsafe` code (a function in each of `mmap`, `program` and `timex`) and the only one that decides
//! when something is durable. Everything works on an [`Env`], a file system and a clock given as values, so that tests
//! can lose power, fill the disk or move time ([`FaultFs`], [`ManualClock`]).
//!
//! Rules kept here, so that no engine has to remember them:
//! - what a [`Log`] acknowledged was handed to the kernel: the death of the process loses nothing;
//! - a failed fsync is never retried: the log is poisoned until it is opened again;
//! - a full disk is an error of its own, and goes away by itself when there is space;
//! - readers trust no length and no byte without a checksum.

mod clock;
mod dir;
mod error;
mod fault;
mod frame;
mod fs;
mod log;
mod log_reader;
mod mmap;
mod program;
mod timex;

pub use clock::{Clock, ManualClock, SystemClock};
pub use dir::{Dir, Env, FileWriter};
pub use error::{DiskError, Result};
pub use fault::{Fault, FaultFs, FaultKind, FaultOp};
pub use frame::{FRAME_HEADER, FrameError, checksum, next_frame, push_frame};
pub use fs::{Entry, Fs, FsFile, Lock, RealFs};
pub use log::{Log, LogConfig, LogStats, Seq};
pub use log_reader::{
    SEGMENT_HEADER, SegmentEnd, read_segment, repair_segment, segment_header, segment_name, segments,
    sync_segment,
};
pub use mmap::Mapped;
pub use program::give_back_code_pages;
pub use timex::{KernelClock, kernel_clock};
