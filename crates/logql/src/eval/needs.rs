//! What an aggregation needs of rows.

use std::collections::BTreeSet;

use super::cells::counts;
use crate::{
    pipeline::{ERROR, ERROR_DETAILS, Wanted},
    syntax::{
        Conversion, Grouping, LabelFilter, LabelFormat, LabelPick, LineFilter, RangeAggregation, RangeOp,
        Stage,
    },
};

/// A parser whose findings a store may know already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// `| json`
    Json,
    /// `| logfmt`
    Logfmt,
}

/// What has to be known of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowNeeds {
    /// Whether the lines are needed, even if there are `extract`ed values.
    pub lines: bool,
    /// The names of structured metadata that matter; none if all of it does.
    pub metadata: Option<Vec<String>>,
    /// Values of a parser that make the lines unnecessary as far as the parser is concerned. Without them, or if any line is one
    /// that the parser refuses, the lines are needed.
    pub extract: Option<ExtractNeeds>,
    /// Whether labels are made of lines.
    parses: bool,
    /// Whether nothing but the length of lines is looked at, and of rows nothing but their time.
    pub(super) countable: bool,
}

/// Values of a parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractNeeds {
    /// The parser.
    pub parser: Parsed,
    /// The names, and whether nothing but the number of the value is looked at.
    pub names: Vec<(String, bool)>,
}

/// What is put behind a name that is taken.
const EXTRACTED: &str = "_extracted";

impl RowNeeds {
    pub(super) fn of(aggregation: &RangeAggregation, wanted: &Wanted, grouping: Option<&Grouping>) -> Self {
        let by_stages = LineUse::of(&aggregation.log.stages, wanted);
        let sizes = matches!(aggregation.op, RangeOp::Bytes | RangeOp::BytesRate);
        let extract = by_stages.parser.zip(names(wanted)).filter(|_| !by_stages.otherwise).and_then(
            |(parser, names)| {
                let texts = text_names(aggregation, grouping);
                // A name that was moved out of the way: what it comes from is not to be told by columns.
                if names.iter().any(|n| n.ends_with(EXTRACTED)) {
                    return None;
                }
                let found = names.iter().filter(|n| **n != ERROR && **n != ERROR_DETAILS);
                let names = found.map(|n| (n.clone(), !texts.contains(n))).collect();
                Some(ExtractNeeds { parser, names })
            },
        );
        let parser_needs_lines = by_stages.parser.is_some() && extract.is_none();
        RowNeeds {
            countable: counts(aggregation.op, aggregation.unwrap.is_some())
                && !(by_stages.filters || by_stages.otherwise || by_stages.parser.is_some()),
            lines: by_stages.filters || by_stages.otherwise || sizes || parser_needs_lines,
            metadata: names(wanted).map(|names| {
                let bases = names.iter().filter_map(|n| n.strip_suffix(EXTRACTED).map(str::to_owned));
                bases.chain(names.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()
            }),
            parses: by_stages.otherwise || by_stages.parser.is_some(),
            extract,
        }
    }
}

impl RowNeeds {
    /// Whether blocks may be taken by columns: if no stage makes labels of the line but the parser whose values may come along.
    pub(super) fn is_columnar(&self) -> bool {
        !self.parses || self.extract.is_some()
    }
}

fn names(wanted: &Wanted) -> Option<&BTreeSet<String>> {
    match wanted {
        Wanted::All => None,
        Wanted::Names(names) => Some(names),
    }
}

/// What stages do with the line.
#[derive(Default)]
struct LineUse {
    /// Filters look at it.
    filters: bool,
    /// The one plain parser.
    parser: Option<Parsed>,
    /// Something else needs it, or makes labels that columns do not tell.
    otherwise: bool,
}

impl LineUse {
    fn of(stages: &[Stage], wanted: &Wanted) -> Self {
        let mut used = LineUse::default();
        // Parsers do not run if nothing is wanted of them.
        let nothing = matches!(wanted, Wanted::Names(names) if names.is_empty());
        for stage in stages {
            match stage {
                Stage::Line(filter) => used.filters |= !LineFilter::is_trivial(filter),
                Stage::Json(names) if names.is_empty() => used.parse(Parsed::Json, nothing),
                Stage::Logfmt { strict: false, keep_empty: false, extractions } if extractions.is_empty() => {
                    used.parse(Parsed::Logfmt, nothing);
                }
                Stage::Json(_) | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_) => {
                    used.otherwise |= !nothing;
                }
                Stage::Unpack | Stage::LineFormat(_) | Stage::Decolorize => used.otherwise = true,
                Stage::LabelFormat(formats) => {
                    let templates = |f: &LabelFormat| matches!(f, LabelFormat::Template { .. });
                    used.otherwise |= formats.iter().any(templates);
                }
                Stage::Label(_) | Stage::Drop(_) | Stage::Keep(_) => {}
            }
        }
        used
    }

    fn parse(&mut self, parser: Parsed, nothing: bool) {
        if nothing {
            return;
        }
        self.otherwise |= self.parser.is_some();
        self.parser = Some(parser);
    }
}

/// Names that something looks at otherwise than as a number.
fn text_names(aggregation: &RangeAggregation, grouping: Option<&Grouping>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        grouping.map(|g| g.labels.iter().cloned().collect()).unwrap_or_default();
    for stage in &aggregation.log.stages {
        match stage {
            Stage::Label(filter) => add_texts(filter, &mut names),
            Stage::Drop(picks) | Stage::Keep(picks) => {
                for pick in picks {
                    if let LabelPick::Match(matcher) = pick {
                        names.insert(matcher.name.clone());
                    }
                }
            }
            Stage::LabelFormat(formats) => {
                for format in formats {
                    if let LabelFormat::Rename { from, .. } = format {
                        names.insert(from.clone());
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(unwrap) = &aggregation.unwrap {
        unwrap.filters.iter().for_each(|filter| add_texts(filter, &mut names));
        if unwrap.conversion != Conversion::Float {
            names.insert(unwrap.label.clone());
        }
    }
    names
}

fn add_texts(filter: &LabelFilter, names: &mut BTreeSet<String>) {
    match filter {
        LabelFilter::Number(_) => {}
        LabelFilter::Text(matcher) => drop(names.insert(matcher.name.clone())),
        LabelFilter::Duration(c) => drop(names.insert(c.name.clone())),
        LabelFilter::Bytes(c) => drop(names.insert(c.name.clone())),
        LabelFilter::Ip { name, .. } => drop(names.insert(name.clone())),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            add_texts(left, names);
            add_texts(right, names);
        }
    }
}
