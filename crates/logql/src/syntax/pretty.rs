//! From tree to text on several lines, for people.
//!
//! What is at most [`WIDTH`] characters long stays on one line; anything longer opens, with its parts indented.

use std::{
    cmp::Ordering,
    fmt::{Display, Write as _},
};

use reba_model::float::{format_f, go_quote};

use super::ast::{
    Binary, BinaryOp, Expr, LabelReplace, LogExpr, MetricExpr, RangeAggregation, Unwrap, VectorAggregation,
};
use crate::units::format_duration;

/// Longest expression that stays on one line, in bytes.
const WIDTH: usize = 100;

impl Expr {
    /// The query as text, long parts of it on lines of their own.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        match self {
            Expr::Log(log) => write_log(&mut out, log, 0),
            Expr::Metric(metric) => write_metric(&mut out, metric, 0),
        }
        out
    }
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}

/// Writes what is short on one line; whether it was.
fn write_short(out: &mut String, item: &dyn Display, level: usize) -> bool {
    let text = item.to_string();
    let short = text.len() <= WIDTH;
    if short {
        write_line(out, &text, level);
    }
    short
}

fn write_line(out: &mut String, item: &dyn Display, level: usize) {
    indent(out, level);
    let _ = write!(out, "{item}");
}

fn write_log(out: &mut String, log: &LogExpr, level: usize) {
    if write_short(out, log, level) {
        return;
    }
    let selector = LogExpr { matchers: log.matchers.clone(), stages: Vec::new() };
    write_line(out, &selector, level);
    for stage in &log.stages {
        out.push('\n');
        write_line(out, stage, level + 1);
    }
}

fn write_metric(out: &mut String, metric: &MetricExpr, level: usize) {
    if write_short(out, metric, level) {
        return;
    }
    match metric {
        MetricExpr::Range(aggregation) => write_range(out, aggregation, level),
        MetricExpr::Vector(aggregation) => write_vector(out, aggregation, level),
        MetricExpr::Binary(binary) => write_binary(out, binary, level),
        MetricExpr::LabelReplace(call) => write_label_replace(out, call, level),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => write_line(out, metric, level),
    }
}

fn write_range(out: &mut String, aggregation: &RangeAggregation, level: usize) {
    write_line(out, &aggregation.op.as_str(), level);
    out.push_str("(\n");
    if let Some(parameter) = aggregation.parameter {
        write_line(out, &format_f(parameter), level + 1);
        out.push_str(",\n");
    }
    write_log(out, &aggregation.log, level + 1);
    if let Some(unwrap) = &aggregation.unwrap {
        out.push('\n');
        write_unwrap(out, unwrap, level + 2);
    }
    let _ = write!(out, " [{}]", format_duration(aggregation.range));
    if aggregation.offset != 0 {
        let _ = write!(out, " offset {}", format_duration(aggregation.offset));
    }
    out.push('\n');
    write_line(out, &")", level);
    if let Some(grouping) = &aggregation.grouping {
        let _ = write!(out, " {grouping}");
    }
}

fn write_unwrap(out: &mut String, unwrap: &Unwrap, level: usize) {
    write_line(out, &Unwrap { filters: Vec::new(), ..unwrap.clone() }, level);
    for filter in &unwrap.filters {
        out.push('\n');
        write_line(out, &format_args!("| {filter}"), level);
    }
}

fn write_vector(out: &mut String, aggregation: &VectorAggregation, level: usize) {
    write_line(out, &aggregation.op.as_str(), level);
    if let Some(grouping) = &aggregation.grouping {
        let _ = write!(out, " {grouping}");
    }
    out.push_str("(\n");
    if let Some(k) = aggregation.k {
        write_line(out, &k, level + 1);
        out.push_str(",\n");
    }
    write_metric(out, &aggregation.inner, level + 1);
    out.push('\n');
    write_line(out, &")", level);
}

fn write_binary(out: &mut String, binary: &Binary, level: usize) {
    write_operand(out, binary, &binary.left, level + 1);
    out.push('\n');
    write_line(out, &binary.op.as_str(), level);
    out.push_str(if binary.bool_modifier { " bool" } else { "" });
    if let Some(matching) = &binary.matching {
        let _ = write!(out, " {matching}");
    }
    out.push('\n');
    write_operand(out, binary, &binary.right, level + 1);
}

/// Writes one side of `binary`, in brackets where it would be read otherwise without them.
fn write_operand(out: &mut String, binary: &Binary, operand: &MetricExpr, level: usize) {
    let is_right = std::ptr::eq(operand, &raw const binary.right);
    let loose = match operand {
        MetricExpr::Binary(inner) => match binds(inner.op).cmp(&binds(binary.op)) {
            Ordering::Less => true,
            // Of equals the left one goes first, but for powers.
            Ordering::Equal => is_right != (binary.op == BinaryOp::Pow),
            Ordering::Greater => false,
        },
        _ => false,
    };
    if !loose || operand.to_string().len() <= WIDTH {
        write_metric(out, operand, level);
        return;
    }
    write_line(out, &"(", level);
    out.push('\n');
    write_metric(out, operand, level + 1);
    out.push('\n');
    write_line(out, &")", level);
}

/// How tightly an operator binds.
fn binds(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 0,
        BinaryOp::And | BinaryOp::Unless => 1,
        op if op.is_comparison() => 2,
        BinaryOp::Add | BinaryOp::Sub => 3,
        BinaryOp::Pow => 5,
        _ => 4,
    }
}

fn write_label_replace(out: &mut String, call: &LabelReplace, level: usize) {
    write_line(out, &"label_replace(", level);
    out.push('\n');
    write_metric(out, &call.inner, level + 1);
    for argument in [&call.dst, &call.replacement, &call.src, &call.regex] {
        out.push_str(",\n");
        write_line(out, &go_quote(argument), level + 1);
    }
    out.push('\n');
    write_line(out, &")", level);
}

#[cfg(test)]
mod tests {
    use crate::syntax::parse;

    #[test]
    fn long_queries_open_and_short_ones_do_not() {
        let short = r#"sum by (app)(rate({env="prod"} |= "error" [5m]))"#;
        assert!(!parse(short).unwrap().pretty().contains('\n'));
        let long = r#"topk(3, sum by (service, level) (rate({env="prod", cluster="eu-west-1"} |= "error" != "timeout" | json | level="error" | unwrap duration(took) | __error__="" [5m] offset 1h))) / 2"#;
        let expected = r#"  topk(
    3,
    sum by (service, level)(
      rate(
        {env="prod", cluster="eu-west-1"}
          |= "error"
          != "timeout"
          | json
          | level="error"
          | unwrap duration(took)
          | __error__="" [5m] offset 1h
      )
    )
  )
/
  2"#;
        let tree = parse(long).unwrap();
        let pretty = tree.pretty();
        // A pipeline that is short by itself stays on one line.
        let expected = expected.replace(
            "\n          |= \"error\"\n          != \"timeout\"\n          | json\n          | level=\"error\"\n",
            " |= \"error\" != \"timeout\" | json | level=\"error\"\n",
        );
        assert_eq!(pretty, expected);
        assert_eq!(parse(&pretty).unwrap(), tree);
    }

    #[test]
    fn what_is_written_on_lines_reads_back_as_the_same_tree() {
        let leaf = r#"label_replace(quantile_over_time(0.99, {app="a"} | logfmt | level=~"warn|error" | unwrap took | __error__="" [90s]) by (app, level), "x", "$1", "app", "(.*)")"#;
        for query in [
            format!("({leaf} + {leaf}) * on (app) group_left (level) ({leaf} > bool 1)"),
            format!("{leaf} - ({leaf} - {leaf}) ^ 2"),
            format!("({leaf} - {leaf}) - ({leaf} - {leaf})"),
            format!("({leaf} ^ {leaf}) ^ ({leaf} ^ {leaf})"),
            format!("{leaf} / {leaf} > 1 and {leaf} or {leaf} unless {leaf}"),
            format!(
                r#"{{app="{}"}} | json a="b.c" | drop x, y="z" | line_format "{{{{.a}}}}" | decolorize"#,
                "x".repeat(60)
            ),
        ] {
            let tree = parse(&query).unwrap();
            let pretty = tree.pretty();
            assert!(pretty.contains('\n'));
            assert_eq!(parse(&pretty).unwrap(), tree, "{pretty}");
        }
    }
}
