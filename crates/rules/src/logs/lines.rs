//! Which lines are behind an element of a result.

use std::collections::BTreeSet;

use reba_logql::{
    range_aggregations,
    syntax::{self, Expr, LabelFilter, MetricExpr, RangeOp, Stage},
};
use reba_model::{Labels, METRIC_NAME, Matcher};

/// Bytes of a line that go into an annotation.
const MAX_LINE: usize = 2048;

/// A query for lines, and the window in which they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub query: String,
    /// Nanoseconds.
    pub range: i64,
    /// Nanoseconds.
    pub offset: i64,
}

/// The lines that the first aggregation of `expr` counts or measures, those with the element's labels only. `None` if there
/// are none to be had: of a number, of lines that are absent.
pub(super) fn behind(expr: &str, labels: &Labels) -> Option<Question> {
    let Ok(Expr::Metric(metric)) = syntax::parse(expr) else { return None };
    let aggregation = range_aggregations(&metric).into_iter().find(|a| a.op != RangeOp::Absent)?;
    let mut made = BTreeSet::new();
    made_labels(&metric, &mut made);
    let mut log = aggregation.log.clone();
    let of_lines = labels.iter().filter(|(name, _)| *name != METRIC_NAME && !made.contains(*name));
    log.stages.extend(of_lines.map(|(n, v)| Stage::Label(LabelFilter::Text(Matcher::equal(n, v)))));
    Some(Question { query: Expr::Log(log).to_string(), range: aggregation.range, offset: aggregation.offset })
}

/// Labels that `label_replace` may have made: no line has them. (The parser bounds how deep an expression is.)
fn made_labels(expr: &MetricExpr, made: &mut BTreeSet<String>) {
    match expr {
        MetricExpr::LabelReplace(replace) => {
            made.insert(replace.dst.clone());
            made_labels(&replace.inner, made);
        }
        MetricExpr::Vector(vector) => made_labels(&vector.inner, made),
        MetricExpr::Binary(binary) => {
            made_labels(&binary.left, made);
            made_labels(&binary.right, made);
        }
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => {}
    }
}

/// A line as an annotation shows it.
pub(super) fn cut(mut line: String) -> String {
    if line.len() > MAX_LINE {
        let end = (0..=MAX_LINE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(expr: &str, labels: &[(&str, &str)]) -> Option<String> {
        behind(expr, &Labels::from_pairs(labels.iter().copied())).map(|q| q.query)
    }

    #[test]
    fn the_lines_are_those_of_the_first_window_with_the_labels_of_the_element() {
        let expr = r#"sum by (app) (rate({job="x"} |= "err" | json [5m] offset 1m)) / sum by (app) (rate({job="x"}[1h])) > 0.5"#;
        let found = behind(expr, &Labels::from_pairs([("app", "a\"b")])).unwrap();
        assert_eq!(found.query, r#"{job="x"} |= "err" | json | app="a\"b""#);
        assert_eq!((found.range, found.offset), (300_000_000_000, 60_000_000_000));
    }

    #[test]
    fn what_has_no_lines_has_no_question() {
        assert_eq!(question("vector(1)", &[]), None);
        assert_eq!(question(r#"absent_over_time({a="b"}[5m])"#, &[("a", "b")]), None);
    }

    #[test]
    fn labels_that_no_line_has_are_left_out() {
        let expr = r#"label_replace(count_over_time({a="b"}[1m]), "c", "$1", "a", "(.*)")"#;
        assert_eq!(question(expr, &[("a", "b"), ("c", "b")]).unwrap(), r#"{a="b"} | a="b""#);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = cut("é".repeat(2000));
        assert!(line.len() <= MAX_LINE + 3 && line.ends_with("é…"));
        assert_eq!(cut("short".to_owned()), "short");
    }
}
