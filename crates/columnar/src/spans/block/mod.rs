//! A block of spans: whole traces, by rising start, as columns (`docs/format/span-block.md`).
//!
//! Spans of a trace lie together, by rising start, so that structure, duration and services of a trace are known from one block.
//! Each row has a *shape*: the list of columns in which it has values, in order. Columns hold values only of rows that have
//! some, so that what a span does not have costs nothing, and attributes come back in the order they were given.

mod columns;
mod encode;
mod names;
mod read;
mod rows;

pub(crate) use columns::{Context, Strings};
pub use encode::{SpanBlockEncoder, SpanRow, SpanSummary};
pub(crate) use names::FieldNames;
pub use read::SpanBlock;
pub(in crate::spans) use read::once;
pub(crate) use read::{Column, Shapes};
pub(crate) use rows::Wanted;

/// Most rows of a block.
pub const MAX_BLOCK_ROWS: usize = crate::block::MAX_ROWS;

/// A block is closed behind the trace with which it has so many rows.
pub(crate) const TARGET_ROWS: usize = 4096;

/// And when its spans take so many bytes.
pub(crate) const TARGET_BYTES: usize = 4 << 20;

/// Columns of a block; what has no place in them stands in a column for the rest.
const MAX_COLUMNS: usize = 512;

/// A list of distinct names is left out if there are more.
const MAX_NAMES: usize = 1000;

/// What a column holds; its number in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(clippy::enum_variant_names, reason = "a kind may be of kinds")]
pub(crate) enum Kind {
    TraceIds = 1,
    TraceRows = 2,
    TraceStarts = 3,
    SpanIds = 4,
    /// 0: a root; n: row n - 1 of the same trace; more than the trace has rows: the next of [`Kind::ForeignParents`].
    Parents = 5,
    ForeignParents = 6,
    /// Since the start of the trace.
    Starts = 7,
    Durations = 8,
    /// Kind, and eight times the status.
    KindStatus = 9,
    Names = 10,
    Sources = 11,
    SourceTable = 12,
    Shapes = 13,
    ShapeTable = 14,
    /// Distinct names of events, of their attributes, and of attributes of links.
    EventNames = 15,
    EventKeys = 16,
    LinkKeys = 17,
    // What follows has values only for rows whose shape says so.
    StatusMessage = 32,
    TraceState = 33,
    /// Flags and counts of what was left out, as four numbers.
    Extra = 34,
    /// Items of a record: events, links, attributes without a column.
    Events = 35,
    Links = 36,
    Rest = 37,
    /// An attribute of the span.
    Attribute = 40,
}

impl Kind {
    const ALL: [Kind; 24] = [
        Kind::TraceIds,
        Kind::TraceRows,
        Kind::TraceStarts,
        Kind::SpanIds,
        Kind::Parents,
        Kind::ForeignParents,
        Kind::Starts,
        Kind::Durations,
        Kind::KindStatus,
        Kind::Names,
        Kind::Sources,
        Kind::SourceTable,
        Kind::Shapes,
        Kind::ShapeTable,
        Kind::EventNames,
        Kind::EventKeys,
        Kind::LinkKeys,
        Kind::StatusMessage,
        Kind::TraceState,
        Kind::Extra,
        Kind::Events,
        Kind::Links,
        Kind::Rest,
        Kind::Attribute,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// How the values of a column are written; its number in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Type {
    /// Bytes of fixed length, as they are.
    Raw = 0,
    /// Texts.
    Text = 1,
    /// Whole numbers.
    Int = 2,
    /// Bits of floats, as whole numbers.
    Float = 3,
    /// 0 and 1.
    Bool = 4,
    /// Bytes of any length.
    Blob = 5,
}

impl Type {
    fn of(byte: u8) -> Option<Self> {
        [Type::Raw, Type::Text, Type::Int, Type::Float, Type::Bool, Type::Blob]
            .into_iter()
            .find(|t| *t as u8 == byte)
    }
}

#[cfg(test)]
mod tests;
