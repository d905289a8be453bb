//! What a store may know of a query: which rows certainly do not matter.
//!
//! Every condition is *necessary*: a row for which it is false does not pass the pipeline. Where that is not certain there is no
//! condition. A store may ignore any of them, so the pipeline runs over what it gives in any case.
//!
//! A condition on a label behind a parser also says something about the raw line: in a line without a backslash, a value stands
//! as it is. It is not spelt out as a condition on the line, since a store of columns would then build lines to look at.

use std::{collections::BTreeSet, sync::Arc};

use reba_logql::syntax::{
    CompareOp, LabelFilter, LabelFormat, LabelPick, LineFilter, LineMatch, LineOp, LogExpr, Stage, Unwrap,
};
use reba_model::{GoRegex, MatchOp, Matcher};
use reba_storage::{Comparison, Condition, LineParser, TextTest};

/// What is certain of the rows that matter to a query.
pub(super) fn conditions(log: &LogExpr, unwrap: Option<&Unwrap>) -> Vec<Condition> {
    let mut planner = Planner::default();
    for stage in &log.stages {
        planner.stage(stage);
    }
    if let Some(unwrap) = unwrap {
        // A row without the label, or with an empty one, has no sample.
        planner.text(&unwrap.label, TextTest::NotEquals(String::new()));
        unwrap.filters.iter().for_each(|filter| planner.filter(filter));
    }
    planner.conditions
}

/// Walks along a pipeline, as long as it knows what the line and the labels are.
#[derive(Default)]
struct Planner {
    conditions: Vec<Condition>,
    /// The line is no longer the one that is stored.
    new_line: bool,
    /// The parser that has run.
    parser: Option<LineParser>,
    /// Labels that are no longer what the store thinks they are.
    touched: BTreeSet<String>,
    /// No label is.
    lost: bool,
}

impl Planner {
    fn stage(&mut self, stage: &Stage) {
        match stage {
            Stage::Line(filter) if !self.new_line => self.conditions.extend(line_condition(filter)),
            Stage::Line(_) => {}
            Stage::Label(filter) => self.filter(filter),
            Stage::Json(names) if names.is_empty() => self.parser(LineParser::Json),
            Stage::Logfmt { strict: false, keep_empty: false, extractions } if extractions.is_empty() => {
                self.parser(LineParser::Logfmt);
            }
            Stage::Json(names) | Stage::Logfmt { extractions: names, .. } if !names.is_empty() => {
                self.touched.extend(names.iter().map(|e| e.label.clone()));
            }
            Stage::LabelFormat(formats) => formats.iter().for_each(|format| match format {
                LabelFormat::Rename { to, from } => self.touched.extend([to.clone(), from.clone()]),
                LabelFormat::Template { to, .. } => drop(self.touched.insert(to.clone())),
            }),
            Stage::Drop(picks) => self.touched.extend(picks.iter().map(|pick| match pick {
                LabelPick::Name(name) => name.clone(),
                LabelPick::Match(matcher) => matcher.name.clone(),
            })),
            Stage::LineFormat(_) | Stage::Decolorize => self.new_line = true,
            Stage::Unpack => (self.new_line, self.lost) = (true, true),
            _ => self.lost = true,
        }
    }

    /// Only one parser, and only over the stored line, can be part of a condition.
    fn parser(&mut self, parser: LineParser) {
        if self.parser.is_some() || self.new_line || !self.touched.is_empty() {
            self.lost = true;
        }
        self.parser = Some(parser);
    }

    fn filter(&mut self, filter: &LabelFilter) {
        if let Some(condition) = self.label_condition(filter) {
            self.conditions.push(condition);
        }
    }

    fn text(&mut self, name: &str, test: TextTest) {
        if self.knows(name) {
            self.conditions.push(Condition::Label { name: name.to_owned(), parser: self.parser, test });
        }
    }

    /// Whether the label is the one that a store finds under that name: not an error, not one that was moved out of the way.
    fn knows(&self, name: &str) -> bool {
        !self.lost && !name.starts_with("__") && !name.ends_with("_extracted") && !self.touched.contains(name)
    }

    fn label_condition(&self, filter: &LabelFilter) -> Option<Condition> {
        match filter {
            LabelFilter::Text(matcher) if self.knows(&matcher.name) => {
                let label = |test| Condition::Label { name: matcher.name.clone(), parser: self.parser, test };
                Some(
                    match matcher.regex().filter(|r| matcher.op == MatchOp::Regex && r.literals().is_none()) {
                        Some(regex) => with_required(regex, label),
                        None => any(text_tests(matcher).into_iter().map(label)),
                    },
                )
            }
            LabelFilter::Number(c) if self.knows(&c.name) => Some(Condition::Number {
                name: c.name.clone(),
                parser: self.parser,
                comparison: comparison(c.op),
                value: c.value,
            }),
            LabelFilter::And(left, right) => {
                match (self.label_condition(left), self.label_condition(right)) {
                    (Some(left), Some(right)) => Some(Condition::All(vec![left, right])),
                    (one, other) => one.or(other),
                }
            }
            LabelFilter::Or(left, right) => {
                Some(Condition::Any(vec![self.label_condition(left)?, self.label_condition(right)?]))
            }
            // What does not convert to a duration or a size stays, with an error: a store cannot tell.
            _ => None,
        }
    }
}

/// An expression, behind the texts that it requires: those a store finds without putting a text together.
fn with_required(regex: &GoRegex, on: impl Fn(TextTest) -> Condition) -> Condition {
    let clause = |texts: &Vec<String>| any(texts.iter().map(|t| on(TextTest::Contains(t.clone()))));
    let mut all: Vec<Condition> = regex.required().iter().map(clause).collect();
    let matches = on(TextTest::Matches(Arc::new(regex.clone())));
    if all.is_empty() {
        return matches;
    }
    all.push(matches);
    Condition::All(all)
}

/// Most alternatives of an expression that are spelt out.
const MAX_LITERALS: usize = 32;

/// Tests of which one must hold.
fn text_tests(matcher: &Matcher) -> Vec<TextTest> {
    let value = || matcher.value.clone();
    match (matcher.op, matcher.regex()) {
        (MatchOp::Equal, _) => vec![TextTest::Equals(value())],
        (MatchOp::NotEqual, _) => vec![TextTest::NotEquals(value())],
        (MatchOp::Regex, Some(regex)) => match regex.literals() {
            Some(texts) if !texts.is_empty() && texts.len() <= MAX_LITERALS => {
                texts.iter().map(|t| TextTest::Equals(t.clone())).collect()
            }
            _ => vec![TextTest::Matches(Arc::new(regex.clone()))],
        },
        (MatchOp::NotRegex, Some(regex)) => vec![TextTest::NotMatches(Arc::new(regex.clone()))],
        // No expression was compiled, which `Matcher` does not let happen: nothing is certain.
        (MatchOp::Regex | MatchOp::NotRegex, None) => Vec::new(),
    }
}

fn comparison(op: CompareOp) -> Comparison {
    match op {
        CompareOp::Eq => Comparison::Equal,
        CompareOp::Ne => Comparison::NotEqual,
        CompareOp::Lt => Comparison::Less,
        CompareOp::Le => Comparison::LessOrEqual,
        CompareOp::Gt => Comparison::Greater,
        CompareOp::Ge => Comparison::GreaterOrEqual,
    }
}

fn any(conditions: impl Iterator<Item = Condition>) -> Condition {
    let mut conditions: Vec<_> = conditions.collect();
    match (conditions.len(), conditions.pop()) {
        (1, Some(only)) => only,
        (_, None) => Condition::All(Vec::new()),
        (_, Some(last)) => {
            conditions.push(last);
            Condition::Any(conditions)
        }
    }
}

/// What a filter on the stored line says; several conditions must all hold.
fn line_condition(filter: &LineFilter) -> Vec<Condition> {
    let line = |test| Condition::Line(test);
    let alternatives = &filter.alternatives;
    if filter.op.is_negative() {
        // No alternative may hold: each is a condition of its own.
        return alternatives.iter().filter_map(|a| not_test(filter.op, a)).map(line).collect();
    }
    let each: Option<Vec<Condition>> = alternatives.iter().map(|a| positive(filter.op, a)).collect();
    each.map(|each| vec![any(each.into_iter())]).unwrap_or_default()
}

fn not_test(op: LineOp, with: &LineMatch) -> Option<TextTest> {
    match (op, with) {
        (LineOp::NotContains, LineMatch::Text(text)) if !text.is_empty() => {
            Some(TextTest::NotContains(text.clone()))
        }
        (LineOp::NotMatches, LineMatch::Text(text)) => {
            GoRegex::line_filter(text).ok().map(|regex| TextTest::NotMatches(Arc::new(regex)))
        }
        _ => None,
    }
}

fn positive(op: LineOp, with: &LineMatch) -> Option<Condition> {
    let LineMatch::Text(text) = with else { return None };
    if text.is_empty() {
        return None;
    }
    match op {
        LineOp::Contains => Some(Condition::Line(TextTest::Contains(text.clone()))),
        LineOp::Matches => {
            let regex = GoRegex::line_filter(text).ok()?;
            Some(match plain_test(text) {
                Some(test) => Condition::Line(test),
                None => with_required(&regex, Condition::Line),
            })
        }
        LineOp::Pattern => {
            let pieces = text.split("<_>").filter(|piece| !piece.is_empty());
            let pieces = pieces.map(|piece| Condition::Line(TextTest::Contains(piece.to_owned())));
            Some(Condition::All(pieces.collect()))
        }
        _ => None,
    }
}

/// An expression that is nothing but a text, with `(?i)` before it or not.
fn plain_test(expression: &str) -> Option<TextTest> {
    let (fold, text) = match expression.strip_prefix("(?i)") {
        Some(text) => (true, text),
        None => (false, expression),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-:/=\"',;@#%&<>~!".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return None;
    }
    if !fold {
        return Some(TextTest::Contains(text.to_owned()));
    }
    // To an expression, k is also the Kelvin sign and s the long s.
    let ascii_only = |c: char| !matches!(c, 'k' | 'K' | 's' | 'S');
    text.chars().all(ascii_only).then(|| TextTest::ContainsFold(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use reba_logql::syntax::{MetricExpr, parse_log, parse_metric};

    use super::*;

    /// The conditions in a short form.
    fn shown(conditions: &[Condition]) -> String {
        let test = |t: &TextTest| match t {
            TextTest::Contains(s) => format!("has {s}"),
            TextTest::ContainsFold(s) => format!("folds {s}"),
            TextTest::NotContains(s) => format!("lacks {s}"),
            TextTest::Equals(s) => format!("= {s}"),
            TextTest::NotEquals(s) => format!("!= {s}"),
            TextTest::Matches(r) => format!("~ {}", r.as_str()),
            TextTest::NotMatches(r) => format!("!~ {}", r.as_str()),
        };
        let one = |c: &Condition| match c {
            Condition::Line(t) => format!("line {}", test(t)),
            Condition::Label { name, parser, test: t } => format!("{name}{} {}", mark(*parser), test(t)),
            Condition::Number { name, parser, comparison, value } => {
                format!("{name}{} {comparison:?} {value}", mark(*parser))
            }
            Condition::Any(all) => format!("any({})", shown(all)),
            Condition::All(all) => format!("all({})", shown(all)),
        };
        conditions.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn mark(parser: Option<LineParser>) -> &'static str {
        match parser {
            None => "",
            Some(LineParser::Json) => "@json",
            Some(LineParser::Logfmt) => "@logfmt",
        }
    }

    fn of(query: &str) -> String {
        shown(&conditions(&parse_log(query).unwrap(), None))
    }

    #[test]
    fn filters_become_conditions_as_long_as_it_is_certain_what_they_see() {
        for (query, expected) in [
            (r#"{} |= "a" != "b" |~ "x|y" !~ "z""#, "line has a; line lacks b; line ~ x|y; line !~ z"),
            (r#"{} |= "a" or "b" != "c" or "d""#, "any(line has a; line has b); line lacks c; line lacks d"),
            (r#"{} |= "a" or ip("1.1.1.1") |= "" |~ "err""#, "line has err"),
            (r#"{} |~ "(?i)timeout" |~ "(?i)disk""#, "line folds timeout; line ~ (?i)disk"),
            (r#"{} |~ "order=8[0-9]+ (ok|bad)""#, "all(line has order=8; line ~ order=8[0-9]+ (ok|bad))"),
            (
                r#"{} | json | a=~"(refused|reset by).*""#,
                "all(any(a@json has refused; a@json has reset by); a@json ~ (refused|reset by).*)",
            ),
            (r#"{} |> "<_> took <_> ms""#, "all(line has  took ; line has  ms)"),
            (r#"{} | json | level="error" | line_format "x" |= "x""#, "level@json = error"),
            (
                r#"{} | a="1" | logfmt | b=~"x|y", c!="z""#,
                "a = 1; all(any(b@logfmt = x; b@logfmt = y); c@logfmt != z)",
            ),
            (r#"{} | json | a > 5 or b="x""#, "any(a@json Greater 5; b@json = x)"),
            ("{} | json | a > 5 or d > 5s", ""),
            ("{} | json | a > 5 and d > 5s", "a@json Greater 5"),
            (r#"{} | json | __error__="" | x_extracted="1""#, ""),
            (r#"{} | json | label_format a=b | a="1" | b="1" | c="1""#, "c@json = 1"),
            (r#"{} | json | drop a | a="1" | c="1""#, "c@json = 1"),
            (r#"{} | json | logfmt | c="1""#, ""),
            (r#"{} | json | keep a | a="1""#, ""),
            (r#"{} | line_format "{{.a}}" | json | c="1""#, ""),
            (r#"{} | json a="b" | a="1" | c="1" |= "x""#, "c = 1; line has x"),
            (r#"{} | unpack | c="1" |= "x""#, ""),
            (r#"{} | regexp "(?P<a>x)" | c="1" |= "x""#, "line has x"),
        ] {
            assert_eq!(of(query), expected, "{query}");
        }
    }

    #[test]
    fn a_row_without_the_unwrapped_label_does_not_matter() {
        let query = r#"sum_over_time({} | json | unwrap bytes | level="x" [1m])"#;
        let MetricExpr::Range(a) = parse_metric(query).unwrap() else { panic!("{query}") };
        assert_eq!(shown(&conditions(&a.log, a.unwrap.as_ref())), "bytes@json != ; level@json = x");
    }
}
