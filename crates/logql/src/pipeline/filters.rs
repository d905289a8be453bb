//! Filters on lines and on labels.

use memchr::memmem::Finder;
use reba_model::{GoRegex, Matcher};

use super::{
    ip::IpPattern,
    pattern::Pattern,
    state::{ERROR, LineState},
};
use crate::{
    syntax::{CompareOp, LabelFilter, LineFilter, LineMatch, LineOp},
    units,
};

/// The error of a label that does not convert.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A line filter ready to run.
#[derive(Clone, Debug)]
pub(super) struct LineTest {
    negative: bool,
    any: Vec<LineProbe>,
}

#[derive(Clone, Debug)]
enum LineProbe {
    Contains(Finder<'static>),
    Matches(GoRegex),
    Shape(Pattern),
    Ip(IpPattern),
}

impl LineTest {
    pub(super) fn compile(filter: &LineFilter) -> Result<Self, String> {
        let any =
            filter.alternatives.iter().map(|a| LineProbe::compile(filter.op, a)).collect::<Result<_, _>>()?;
        Ok(LineTest { negative: filter.op.is_negative(), any })
    }

    /// How large its expressions are, see [`GoRegex::size`].
    pub(super) fn regex_size(&self) -> usize {
        let size = |probe: &LineProbe| if let LineProbe::Matches(regex) = probe { regex.size() } else { 0 };
        self.any.iter().map(size).sum()
    }

    pub(super) fn passes(&self, line: &str) -> bool {
        self.any.iter().any(|probe| probe.holds(line)) != self.negative
    }
}

impl LineProbe {
    fn compile(op: LineOp, with: &LineMatch) -> Result<Self, String> {
        Ok(match (op, with) {
            (LineOp::Contains | LineOp::NotContains, LineMatch::Text(text)) => {
                LineProbe::Contains(Finder::new(text.as_bytes()).into_owned())
            }
            (LineOp::Matches | LineOp::NotMatches, LineMatch::Text(text)) => {
                LineProbe::Matches(GoRegex::line_filter(text).map_err(|e| e.to_string())?)
            }
            (LineOp::Pattern | LineOp::NotPattern, LineMatch::Text(text)) => {
                LineProbe::Shape(Pattern::filter(text)?)
            }
            (LineOp::Contains | LineOp::NotContains, LineMatch::Ip(pattern)) => {
                LineProbe::Ip(IpPattern::parse(pattern)?)
            }
            (_, LineMatch::Ip(_)) => {
                return Err("ip: invalid operation: only |= and != take addresses".to_owned());
            }
        })
    }

    fn holds(&self, line: &str) -> bool {
        match self {
            LineProbe::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            LineProbe::Matches(regex) => regex.is_match(line),
            LineProbe::Shape(pattern) => pattern.matches(line),
            LineProbe::Ip(pattern) => pattern.matches(line),
        }
    }
}

/// A label filter ready to run.
#[derive(Clone, Debug)]
pub(super) enum LabelTest {
    Text(Matcher),
    Converted { name: String, op: CompareOp, with: Constant },
    Ip { name: String, negated: bool, pattern: IpPattern },
    And(Box<LabelTest>, Box<LabelTest>),
    Or(Box<LabelTest>, Box<LabelTest>),
}

/// What a converted label is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Constant {
    Number(f64),
    Nanoseconds(i64),
    Bytes(u64),
}

impl Constant {
    /// Whether the value, converted, stands to the constant as `op` says; or why it does not convert.
    pub(super) fn compares(&self, value: &str, op: CompareOp) -> Result<bool, String> {
        match *self {
            Constant::Number(b) => parse_float(value).map(|a| op.holds(a, b)),
            Constant::Nanoseconds(b) => units::go_duration(value).map(|a| op.holds(a, b)),
            Constant::Bytes(b) => units::byte_size(value).map(|a| op.holds(a, b)),
        }
    }
}

impl LabelTest {
    pub(super) fn compile(filter: &LabelFilter) -> Result<Self, String> {
        let converted = |name: &String, op, with| LabelTest::Converted { name: name.clone(), op, with };
        Ok(match filter {
            LabelFilter::Text(matcher) => LabelTest::Text(matcher.clone()),
            LabelFilter::Number(c) => converted(&c.name, c.op, Constant::Number(c.value)),
            LabelFilter::Duration(c) => converted(&c.name, c.op, Constant::Nanoseconds(c.value)),
            LabelFilter::Bytes(c) => converted(&c.name, c.op, Constant::Bytes(c.value)),
            LabelFilter::Ip { name, negated, pattern } => {
                LabelTest::Ip { name: name.clone(), negated: *negated, pattern: IpPattern::parse(pattern)? }
            }
            LabelFilter::And(l, r) => {
                LabelTest::And(Box::new(Self::compile(l)?), Box::new(Self::compile(r)?))
            }
            LabelFilter::Or(l, r) => LabelTest::Or(Box::new(Self::compile(l)?), Box::new(Self::compile(r)?)),
        })
    }

    /// Whether the line passes. One whose label does not convert passes with an error; one that has an error already passes every
    /// filter on addresses, and is compared by the others all the same.
    pub(super) fn passes(&self, state: &mut LineState) -> bool {
        match self {
            LabelTest::Text(matcher) => matcher.matches(state.get(&matcher.name).unwrap_or("")),
            LabelTest::Converted { name, op, with } => converted_passes(state, name, *op, *with),
            LabelTest::Ip { name, negated, pattern } => {
                if state.error().is_some() {
                    return true;
                }
                match state.get(name) {
                    Some(value) => pattern.matches(value) != *negated,
                    None => false,
                }
            }
            LabelTest::And(left, right) => {
                // Both are asked, so that both leave their errors.
                let left = left.passes(state);
                right.passes(state) && left
            }
            LabelTest::Or(left, right) => left.passes(state) || right.passes(state),
        }
    }
}

fn converted_passes(state: &mut LineState, name: &str, op: CompareOp, with: Constant) -> bool {
    // A converting filter cannot see the error itself.
    let Some(value) = state.get(name).filter(|_| name != ERROR) else { return false };
    match with.compares(value, op) {
        Ok(holds) => holds,
        Err(details) => {
            state.fail(LABEL_FILTER_ERROR, details);
            true
        }
    }
}

/// A float, or Go's words for why it is none.
pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    reba_model::float::parse_go(text).ok_or_else(|| {
        format!("strconv.ParseFloat: parsing {}: invalid syntax", reba_model::float::go_quote(text))
    })
}
