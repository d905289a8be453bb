//! The tree as JSON, in the shape of upstream's `/api/v1/parse_query`.

use std::fmt::{self, Write as _};

use reba_model::{Matcher, float::format_f};

use super::{
    ast::{
        Aggregate, At, Binary, Call, Duration, DurationExpr, Expr, ExprKind, MatrixSelector, Subquery,
        ValueType, VectorMatching, VectorSelector,
    },
    function::Variadic,
};

impl Expr {
    /// The tree as one line of JSON, in the fields and the values of upstream.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        // Writing to a text does not fail.
        let _ = write_expr(&mut out, self);
        out
    }
}

fn write_expr(out: &mut String, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        ExprKind::Number(number) => {
            write!(out, r#"{{"type":"numberLiteral","val":"{}"}}"#, format_f(number.value))
        }
        ExprKind::String(text) => {
            out.push_str(r#"{"type":"stringLiteral","val":"#);
            write_string(out, &text.value)?;
            out.push('}');
            Ok(())
        }
        ExprKind::Vector(selector) => {
            out.push('{');
            write_selector(out, selector)?;
            out.push_str(r#","type":"vectorSelector"}"#);
            Ok(())
        }
        ExprKind::Matrix(matrix) => write_matrix(out, matrix),
        ExprKind::Subquery(subquery) => write_subquery(out, subquery),
        ExprKind::Call(call) => write_call(out, call),
        ExprKind::Aggregate(aggregate) => write_aggregate(out, aggregate),
        ExprKind::Binary(binary) => write_binary(out, binary),
        ExprKind::Unary(unary) => {
            out.push_str(r#"{"expr":"#);
            write_expr(out, &unary.expr)?;
            write!(out, r#","op":"{}","type":"unaryExpr"}}"#, unary.op.as_str())
        }
        ExprKind::Paren(inner) => {
            out.push_str(r#"{"expr":"#);
            write_expr(out, inner)?;
            out.push_str(r#","type":"parenExpr"}"#);
            Ok(())
        }
    }
}

/// The fields that selectors of both kinds have.
fn write_selector(out: &mut String, selector: &VectorSelector) -> fmt::Result {
    write!(out, r#""anchored":{},"matchers":["#, selector.anchored)?;
    write_list(out, &selector.matchers, write_matcher)?;
    out.push_str(r#"],"name":"#);
    write_string(out, &selector.name)?;
    out.push(',');
    write_duration(out, "offset", &selector.offset)?;
    write!(out, r#","smoothed":{},"#, selector.smoothed)?;
    write_at(out, selector.at)
}

fn write_matcher(out: &mut String, matcher: &Matcher) -> fmt::Result {
    out.push_str(r#"{"name":"#);
    write_string(out, &matcher.name)?;
    write!(out, r#","type":"{}","value":"#, matcher.op.as_str())?;
    write_string(out, &matcher.value)?;
    out.push('}');
    Ok(())
}

fn write_at(out: &mut String, at: Option<At>) -> fmt::Result {
    match at {
        None => out.push_str(r#""startOrEnd":null,"timestamp":null"#),
        Some(At::Start) => out.push_str(r#""startOrEnd":"start","timestamp":null"#),
        Some(At::End) => out.push_str(r#""startOrEnd":"end","timestamp":null"#),
        Some(At::Timestamp(ms)) => write!(out, r#""startOrEnd":null,"timestamp":{ms}"#)?,
    }
    Ok(())
}

/// Two fields: the milliseconds, and the expression they come from.
fn write_duration(out: &mut String, name: &str, duration: &Duration) -> fmt::Result {
    write!(out, r#""{name}":{},"{name}Expr":"#, duration.ms)?;
    match &duration.expr {
        Some(expr) => write_duration_expr(out, expr, false),
        None => out.write_str("null"),
    }
}

/// In upstream's tree parentheses are a field of what they enclose.
fn write_duration_expr(out: &mut String, expr: &DurationExpr, wrapped: bool) -> fmt::Result {
    let (op, lhs, rhs) = match expr {
        DurationExpr::Paren(inner) => match &**inner {
            number @ DurationExpr::Number(_) => ("+", None, Some(number)),
            inner => return write_duration_expr(out, inner, true),
        },
        DurationExpr::Number(number) => {
            let (duration, value) = (number.duration, format_f(number.value));
            return write!(out, r#"{{"duration":{duration},"type":"numberLiteral","val":"{value}"}}"#);
        }
        DurationExpr::Step => ("step", None, None),
        DurationExpr::Range => ("range", None, None),
        DurationExpr::Neg(inner) => ("-", None, Some(&**inner)),
        DurationExpr::Binary(op, a, b) => (op.as_str(), Some(&**a), Some(&**b)),
        DurationExpr::MinOf(a, b) => ("min_of", Some(&**a), Some(&**b)),
        DurationExpr::MaxOf(a, b) => ("max_of", Some(&**a), Some(&**b)),
    };
    let wrapped = wrapped || matches!(expr, DurationExpr::Paren(_));
    out.push_str(r#"{"lhs":"#);
    write_operand(out, lhs)?;
    write!(out, r#","op":"{op}","rhs":"#)?;
    write_operand(out, rhs)?;
    write!(out, r#","type":"durationExpr","wrapped":{wrapped}}}"#)
}

fn write_operand(out: &mut String, operand: Option<&DurationExpr>) -> fmt::Result {
    match operand {
        Some(operand) => write_duration_expr(out, operand, false),
        None => out.write_str("null"),
    }
}

fn write_matrix(out: &mut String, matrix: &MatrixSelector) -> fmt::Result {
    out.push('{');
    write_duration(out, "range", &matrix.range)?;
    out.push(',');
    write_selector(out, &matrix.selector)?;
    out.push_str(r#","type":"matrixSelector"}"#);
    Ok(())
}

fn write_subquery(out: &mut String, subquery: &Subquery) -> fmt::Result {
    out.push_str(r#"{"expr":"#);
    write_expr(out, &subquery.expr)?;
    out.push(',');
    write_duration(out, "offset", &subquery.offset)?;
    out.push(',');
    write_duration(out, "range", &subquery.range)?;
    out.push(',');
    write_at(out, subquery.at)?;
    out.push(',');
    let none = Duration::default();
    write_duration(out, "step", subquery.step.as_ref().unwrap_or(&none))?;
    out.push_str(r#","type":"subquery"}"#);
    Ok(())
}

fn write_call(out: &mut String, call: &Call) -> fmt::Result {
    out.push_str(r#"{"args":["#);
    write_list(out, &call.args, write_expr)?;
    out.push_str(r#"],"func":{"argTypes":["#);
    let signature = call.func.signature();
    write_list(out, signature.args, |out, t: &ValueType| write!(out, r#""{}""#, t.as_str()))?;
    let variadic: i64 = match signature.variadic {
        Variadic::No => 0,
        Variadic::Any => -1,
        Variadic::UpTo(n) => n as i64,
    };
    let (name, returns) = (signature.name, signature.returns.as_str());
    write!(out, r#"],"name":"{name}","returnType":"{returns}","variadic":{variadic}}},"type":"call"}}"#)
}

fn write_aggregate(out: &mut String, aggregate: &Aggregate) -> fmt::Result {
    out.push_str(r#"{"expr":"#);
    write_expr(out, &aggregate.expr)?;
    out.push_str(r#","grouping":"#);
    write_strings(out, &aggregate.grouping)?;
    write!(out, r#","op":"{}","param":"#, aggregate.op.as_str())?;
    match &aggregate.param {
        Some(param) => write_expr(out, param)?,
        None => out.push_str("null"),
    }
    write!(out, r#","type":"aggregation","without":{}}}"#, aggregate.without)
}

fn write_binary(out: &mut String, binary: &Binary) -> fmt::Result {
    write!(out, r#"{{"bool":{},"lhs":"#, binary.bool_modifier)?;
    write_expr(out, &binary.lhs)?;
    out.push_str(r#","matching":"#);
    match &binary.matching {
        Some(matching) => write_matching(out, matching)?,
        None => out.push_str("null"),
    }
    out.push_str(r#","op":"#);
    write_string(out, binary.op.as_str())?;
    out.push_str(r#","rhs":"#);
    write_expr(out, &binary.rhs)?;
    out.push_str(r#","type":"binaryExpr"}"#);
    Ok(())
}

fn write_matching(out: &mut String, matching: &VectorMatching) -> fmt::Result {
    // JSON has no infinities.
    let fill = |v: Option<f64>| v.filter(|v| v.is_finite()).map_or_else(|| "null".to_owned(), format_f);
    let (left, right) = (fill(matching.fill_left), fill(matching.fill_right));
    let card = matching.card.as_str();
    write!(out, r#"{{"card":"{card}","fillValues":{{"lhs":{left},"rhs":{right}}},"include":"#)?;
    write_strings(out, &matching.include)?;
    out.push_str(r#","labels":"#);
    write_strings(out, &matching.labels)?;
    write!(out, r#","on":{}}}"#, matching.on)
}

fn write_strings(out: &mut String, texts: &[String]) -> fmt::Result {
    out.push('[');
    write_list(out, texts, |out, text| write_string(out, text))?;
    out.push(']');
    Ok(())
}

fn write_list<T>(
    out: &mut String,
    items: &[T],
    mut write: impl FnMut(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    Ok(())
}

fn write_string(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // As Go does it, so that the text may stand in a page.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", c as u32)?,
            c if (c as u32) < 0x20 => write!(out, "\\u{:04x}", c as u32)?,
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}
