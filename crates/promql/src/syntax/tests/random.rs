//! Random trees and random texts.

use std::time::Instant;

use proptest::prelude::*;
use reba_model::{MatchOp, Matcher};

use super::parsed;
use crate::syntax::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Duration, DurationExpr, Expr, ExprKind, Func,
    MatchCardinality, MatrixSelector, Number, ParseOptions, Sign, Span, StringLiteral, Subquery, Unary,
    ValueType, Variadic, VectorMatching, VectorSelector, parse, parse_selector,
};

fn expr(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn paren(inner: Expr) -> Expr {
    expr(ExprKind::Paren(Box::new(inner)))
}

/// Whether the text of the expression begins with a sign.
fn is_signed(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Unary(_) => true,
        ExprKind::Number(_) => e.to_string().starts_with(['-', '+']),
        _ => false,
    }
}

/// The expression as the left side of `op`, in parentheses if it would be read otherwise without.
fn as_left(e: Expr, op: BinaryOp) -> Expr {
    let loose = match &e.kind {
        ExprKind::Binary(b) if op.is_right_associative() => b.op.precedence() <= op.precedence(),
        ExprKind::Binary(b) => b.op.precedence() < op.precedence(),
        _ => op == BinaryOp::Pow && is_signed(&e),
    };
    if loose { paren(e) } else { e }
}

fn as_right(e: Expr, op: BinaryOp) -> Expr {
    let loose = match &e.kind {
        ExprKind::Binary(b) if op.is_right_associative() => b.op.precedence() < op.precedence(),
        ExprKind::Binary(b) => b.op.precedence() <= op.precedence(),
        _ => false,
    };
    if loose { paren(e) } else { e }
}

fn signed(op: Sign, e: Expr) -> Expr {
    let folds = matches!(&e.kind, ExprKind::Number(_));
    let loose = matches!(&e.kind, ExprKind::Binary(b) if b.op != BinaryOp::Pow);
    let inner = if folds || loose { paren(e) } else { e };
    expr(ExprKind::Unary(Box::new(Unary { op, expr: inner })))
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<f64>().prop_map(|value| Number { value, duration: false }),
        (-100i32..100).prop_map(|n| Number { value: f64::from(n), duration: false }),
        (-1_000_000_000_000i64..1_000_000_000_000)
            .prop_map(|ms| Number { value: ms as f64 / 1000.0, duration: true }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    // U+FFFD alone stands for what is no UTF-8, and is refused in a query.
    any::<String>().prop_map(|s| s.replace('\u{fffd}', ""))
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,5}".prop_filter("a word that is no label", |s| s != "inf" && s != "nan"),
        Just("sum".to_owned()),
        Just("offset".to_owned()),
        text().prop_filter("empty", |s| !s.is_empty()),
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    (op, label(), text(), "[a-z.*+|]{0,6}").prop_map(|(op, name, plain, pattern)| {
        let value = if matches!(op, MatchOp::Equal | MatchOp::NotEqual) { plain } else { pattern };
        let name = if name == "__name__" { "name".to_owned() } else { name };
        Matcher::new(op, name.clone(), value).unwrap_or_else(|_| Matcher::equal(name, "x"))
    })
}

fn at() -> impl Strategy<Value = Option<At>> {
    prop_oneof![
        3 => Just(None),
        1 => (-10_000_000_000_000i64..10_000_000_000_000).prop_map(|t| Some(At::Timestamp(t))),
        1 => Just(Some(At::Start)),
        1 => Just(Some(At::End)),
    ]
}

fn duration_expr() -> impl Strategy<Value = DurationExpr> {
    let leaf = prop_oneof![
        (1i64..1_000_000)
            .prop_map(|ms| DurationExpr::Number(Number { value: ms as f64 / 1000.0, duration: true })),
        (1u32..1000).prop_map(|n| DurationExpr::Number(Number { value: f64::from(n), duration: false })),
        Just(DurationExpr::Step),
        Just(DurationExpr::Range),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let wrapped = inner.clone().prop_map(|d| match d {
            DurationExpr::Paren(_) => d,
            d => DurationExpr::Paren(Box::new(d)),
        });
        let op = prop_oneof![
            Just(BinaryOp::Add),
            Just(BinaryOp::Sub),
            Just(BinaryOp::Mul),
            Just(BinaryOp::Div),
            Just(BinaryOp::Mod),
            Just(BinaryOp::Pow),
        ];
        prop_oneof![
            wrapped.clone(),
            wrapped.clone().prop_map(|d| DurationExpr::Neg(Box::new(d))),
            (op, wrapped.clone(), wrapped).prop_map(|(op, a, b)| DurationExpr::Binary(
                op,
                Box::new(a),
                Box::new(b)
            )),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| DurationExpr::MinOf(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| DurationExpr::MaxOf(Box::new(a), Box::new(b))),
        ]
    })
}

fn range() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (1i64..1_000_000_000_000).prop_map(Duration::from_ms),
        1 => duration_expr().prop_map(|d| match d {
            DurationExpr::Number(_) => Duration::from_ms(60_000),
            d => Duration { ms: 0, expr: Some(Box::new(d)) },
        }),
    ]
}

fn offset() -> impl Strategy<Value = Duration> {
    // Behind parentheses upstream reads operators as part of the offset: such an offset does not stand alone.
    let closed = duration_expr().prop_filter("open", |d| {
        matches!(d, DurationExpr::Step | DurationExpr::Range | DurationExpr::MinOf(..) | DurationExpr::Neg(_))
    });
    prop_oneof![
        4 => Just(Duration::default()),
        2 => (-1_000_000_000_000i64..1_000_000_000_000).prop_map(Duration::from_ms),
        1 => closed.prop_map(|d| Duration { ms: 0, expr: Some(Box::new(d)) }),
    ]
}

fn selector() -> impl Strategy<Value = VectorSelector> {
    let name = prop_oneof![Just(String::new()), "[a-z]{2,6}(:[a-z]{1,3})?_x", Just("sum".to_owned())];
    (name, prop::collection::vec(matcher(), 0..4), offset(), at(), 0..4u8).prop_map(
        |(name, mut matchers, offset, at, extension)| {
            if name.is_empty() {
                matchers.push(Matcher::equal("a", "b"));
            }
            matchers.sort_by_key(ToString::to_string);
            if !name.is_empty() {
                matchers.push(Matcher::equal("__name__", name.as_str()));
            }
            VectorSelector { name, matchers, offset, at, anchored: extension == 1, smoothed: extension == 2 }
        },
    )
}

fn leaf(wanted: ValueType) -> BoxedStrategy<Expr> {
    match wanted {
        ValueType::Scalar => number().prop_map(|n| expr(ExprKind::Number(n))).boxed(),
        ValueType::String => {
            text().prop_map(|value| expr(ExprKind::String(StringLiteral { value, raw: None }))).boxed()
        }
        ValueType::Vector => selector().prop_map(|s| expr(ExprKind::Vector(s))).boxed(),
        ValueType::Matrix => (selector(), range())
            .prop_map(|(selector, range)| {
                expr(ExprKind::Matrix(MatrixSelector { selector, selector_span: Span::default(), range }))
            })
            .boxed(),
    }
}

/// Calls of functions that return `wanted`.
fn call(wanted: ValueType, depth: u32) -> BoxedStrategy<Expr> {
    let funcs: Vec<Func> =
        Func::ALL.into_iter().filter(|f| f.signature().returns == wanted && *f != Func::Info).collect();
    prop::sample::select(funcs)
        .prop_flat_map(move |func| {
            let signature = func.signature();
            let declared: Vec<BoxedStrategy<Expr>> =
                signature.args.iter().map(|t| any_expr(*t, depth)).collect();
            (declared, any::<bool>()).prop_map(move |(mut args, fewer)| {
                if fewer && signature.variadic != Variadic::No {
                    args.pop();
                }
                expr(ExprKind::Call(Call { func, args }))
            })
        })
        .boxed()
}

fn aggregate(depth: u32) -> BoxedStrategy<Expr> {
    (prop::sample::select(&AggregateOp::ALL[..]), prop::collection::vec(label(), 0..3), any::<bool>())
        .prop_flat_map(move |(op, grouping, without)| {
            let param = match op.param_type() {
                None => Just(None).boxed(),
                Some(wanted) => any_expr(wanted, depth).prop_map(Some).boxed(),
            };
            (param, any_expr(ValueType::Vector, depth)).prop_map(move |(param, expr_)| {
                let grouping = grouping.clone();
                expr(ExprKind::Aggregate(Box::new(Aggregate { op, expr: expr_, param, grouping, without })))
            })
        })
        .boxed()
}

const ARITHMETIC: [BinaryOp; 9] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Atan2,
    BinaryOp::TrimUpper,
    BinaryOp::TrimLower,
];
const COMPARISON: [BinaryOp; 6] =
    [BinaryOp::Eq, BinaryOp::Ne, BinaryOp::Lt, BinaryOp::Le, BinaryOp::Gt, BinaryOp::Ge];
const SET: [BinaryOp; 3] = [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless];

fn binary(op: BinaryOp, lhs: Expr, rhs: Expr, bool_modifier: bool, matching: Option<VectorMatching>) -> Expr {
    let (lhs, rhs) = (as_left(lhs, op), as_right(rhs, op));
    expr(ExprKind::Binary(Box::new(Binary { op, lhs, rhs, bool_modifier, matching })))
}

fn scalar_binary(depth: u32) -> BoxedStrategy<Expr> {
    let ops: Vec<BinaryOp> = ARITHMETIC.into_iter().chain(COMPARISON).collect();
    let side = || any_expr(ValueType::Scalar, depth);
    (prop::sample::select(ops), side(), side())
        .prop_map(|(op, a, b)| binary(op, a, b, op.is_comparison(), None))
        .boxed()
}

fn matching(op: BinaryOp) -> impl Strategy<Value = VectorMatching> {
    let labels = || prop::collection::vec(label(), 0..3);
    (any::<bool>(), labels(), 0..3u8, labels(), prop::option::of(-5i32..5), prop::option::of(-5i32..5))
        .prop_map(move |(on, labels, card, include, left, right)| {
            if op.is_set() {
                let card = MatchCardinality::ManyToMany;
                return VectorMatching { card, labels, on, ..VectorMatching::default() };
            }
            let card = [MatchCardinality::OneToOne, MatchCardinality::ManyToOne, MatchCardinality::OneToMany]
                [usize::from(card)];
            let grouped = card != MatchCardinality::OneToOne;
            let include = include.into_iter().filter(|l| grouped && !labels.contains(l)).collect();
            let (fill_left, fill_right) = (left.map(f64::from), right.map(f64::from));
            VectorMatching { card, labels, on, include, fill_left, fill_right }
        })
}

fn vector_binary(depth: u32) -> BoxedStrategy<Expr> {
    let ops: Vec<BinaryOp> = ARITHMETIC.into_iter().chain(COMPARISON).chain(SET).collect();
    let side = move || any_expr(ValueType::Vector, depth);
    let vectors = prop::sample::select(ops)
        .prop_flat_map(move |op| (Just(op), side(), side(), any::<bool>(), matching(op)))
        .prop_map(|(op, a, b, bool_modifier, matching)| {
            binary(op, a, b, bool_modifier && op.is_comparison(), Some(matching))
        });
    let ops: Vec<BinaryOp> = ARITHMETIC.into_iter().chain(COMPARISON).collect();
    let mixed = (
        prop::sample::select(ops),
        any_expr(ValueType::Vector, depth),
        any_expr(ValueType::Scalar, depth),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(op, a, b, swap, bool_modifier)| {
            let (a, b) = if swap { (b, a) } else { (a, b) };
            binary(op, a, b, bool_modifier && op.is_comparison(), None)
        });
    prop_oneof![vectors, mixed].boxed()
}

fn subquery(depth: u32) -> BoxedStrategy<Expr> {
    (any_expr(ValueType::Vector, depth), range(), prop::option::of(range()), offset(), at())
        .prop_map(|(inner, range, step, offset, at)| {
            let loose = matches!(inner.kind, ExprKind::Binary(_) | ExprKind::Unary(_));
            let inner = if loose { paren(inner) } else { inner };
            expr(ExprKind::Subquery(Box::new(Subquery { expr: inner, range, step, offset, at })))
        })
        .boxed()
}

/// Any expression of a type.
fn any_expr(wanted: ValueType, depth: u32) -> BoxedStrategy<Expr> {
    let Some(below) = depth.checked_sub(1) else { return leaf(wanted) };
    let wrapped = any_expr(wanted, below).prop_map(paren);
    let sign = prop_oneof![Just(Sign::Plus), Just(Sign::Minus)];
    let with_sign = (sign, any_expr(wanted, below)).prop_map(|(op, e)| signed(op, e));
    match wanted {
        ValueType::String => prop_oneof![leaf(wanted), wrapped].boxed(),
        ValueType::Matrix => prop_oneof![leaf(wanted), wrapped, subquery(below)].boxed(),
        ValueType::Scalar => {
            prop_oneof![leaf(wanted), wrapped, with_sign, call(wanted, below), scalar_binary(below)].boxed()
        }
        ValueType::Vector => prop_oneof![
            leaf(wanted),
            wrapped,
            with_sign,
            call(wanted, below),
            aggregate(below),
            vector_binary(below)
        ]
        .boxed(),
    }
}

fn any_query() -> impl Strategy<Value = Expr> {
    prop_oneof![
        4 => any_expr(ValueType::Vector, 3),
        2 => any_expr(ValueType::Scalar, 2),
        1 => any_expr(ValueType::Matrix, 2),
        1 => any_expr(ValueType::String, 1),
    ]
}

const SAMPLES: [&str; 6] = [
    "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m] offset 1h)) / on (job) group_left (x) y",
    "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m:30s] @ end())))",
    "-1 ^ 2 + 0x1F - 1_000 * 5m atan2 Inf",
    "{\"my.metric\", 'a b'!~`x`} # comment\n or topk(3, up) by (a) > bool 1",
    "rate(up[step() + 5m * (2 - -1)] offset -step() anchored @ 1.5) or rate(up[1m : min_of(range(), 1m)])",
    "label_replace(a, \"b\", \"\\x41\\u00e9\\n\", 'c', `.*`) / ignoring (z) fill(2) b </ 3",
];

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_tree(e in any_query()) {
        let printed = e.to_string();
        let again = parse(&printed, ParseOptions::all());
        prop_assert_eq!(again.as_ref(), Ok(&e), "{}", printed);
        let pretty = e.pretty_within(20);
        let again = parse(&pretty, ParseOptions::all());
        prop_assert_eq!(again.as_ref(), Ok(&e), "{}", pretty);
    }

    #[test]
    fn any_text_never_panics(s in any::<String>()) {
        let _ = parse(&s, ParseOptions::all());
        let _ = parse_selector(&s);
    }

    #[test]
    fn any_tokens_never_panic(s in "([a-z]{1,3}|sum|by|offset|on|group_left|bool|fill|[(){}\\[\\],:@=!~<>/+*^%\"'`\\\\#. -]|5m|1e|0x|\\n){0,40}") {
        if let Ok(e) = parse(&s, ParseOptions::all()) {
            let printed = e.to_string();
            prop_assert!(parse(&printed, ParseOptions::all()).is_ok(), "{} from {}", printed, s);
        }
        let _ = parse_selector(&s);
    }

    #[test]
    fn a_damaged_query_never_panics(
        sample in prop::sample::select(&SAMPLES[..]),
        at in any::<prop::sample::Index>(),
        len in 0usize..6,
        insert in "[a-z0-9(){}\\[\\]\"'`,:@ -]{0,3}",
    ) {
        let chars: Vec<char> = sample.chars().collect();
        let from = at.index(chars.len());
        let to = (from + len).min(chars.len());
        let damaged: String =
            chars[..from].iter().copied().chain(insert.chars()).chain(chars[to..].iter().copied()).collect();
        if let Err(e) = parse(&damaged, ParseOptions::all()) {
            prop_assert!(e.span.start as usize <= damaged.len());
            prop_assert!(e.to_string().contains(": parse error: "));
        }
    }
}

#[test]
fn the_damaged_samples_are_sound_before_they_are_damaged() {
    for sample in SAMPLES {
        parsed(sample);
    }
}

#[test]
fn a_long_query_takes_time_in_proportion_to_its_length() {
    let query = |n: usize| format!("up{{{}}}", "a=\"b\",".repeat(n));
    let time = |n: usize| {
        let text = query(n);
        let start = Instant::now();
        parsed(&text);
        start.elapsed()
    };
    time(1_000);
    let (short, long) = (time(2_000), time(40_000));
    assert!(long < short * 200, "{short:?} {long:?}");
    for junk in ["(", "[", "{", "1+", "a[", "sum(", "\"\\x", "#\n", "-", "foo "] {
        let _ = parse(&junk.repeat(50_000), ParseOptions::all());
    }
}
