//! Math: `$A / ($A + $B) * 100`.
//!
//! Operators, from those that bind least: `||`, `&&`, comparisons, `+ -`, `* / %`, `**`, then `!` and `-` before a value; all of one
//! rank from left to right. Where a value is missing so is the result; comparisons give 1 or 0.

use std::collections::BTreeMap;

use super::{
    MAX_PAIRS,
    value::{Cell, Labels, Set},
};

/// Parentheses and signs inside each other.
const MAX_DEPTH: usize = 100;

/// Operators of an expression: each is a step deeper for what walks over it.
const MAX_OPERATORS: usize = 500;

/// Bytes of an expression.
const MAX_LENGTH: usize = 10_000;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Number(f64),
    /// A number that is missing.
    Null,
    Name(String),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Call(Function, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Log,
    Round,
    Ceil,
    Floor,
    IsInf,
    IsNan,
    IsNull,
    IsNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Other,
    Above,
    NotBelow,
    Below,
    NotAbove,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Operators by how much they bind; of two that begin alike the longer comes first.
const RANKS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Other),
        (">=", Operator::NotBelow),
        (">", Operator::Above),
        ("<=", Operator::NotAbove),
        ("<", Operator::Below),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
    &[("**", Operator::Power)],
];

/// Parses an expression; the error says where it went wrong.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes (MAX_LENGTH)"));
    }
    let mut parser = Parser { text, at: 0, operators: 0 };
    let expr = parser.rank(0, MAX_DEPTH)?;
    parser.blanks();
    if parser.at < text.len() { Err(parser.wrong("an operator")) } else { Ok(expr) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// How many were found.
    operators: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn wrong(&self, wanted: &str) -> String {
        let found: String = self.rest().chars().take(12).collect();
        let found = if found.is_empty() { "its end".to_owned() } else { format!("{found:?}") };
        format!(
            "at character {}: {wanted} is expected, {found} is found",
            self.text[..self.at].chars().count() + 1
        )
    }

    /// Takes `token`, if it is next.
    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn operator(&mut self, rank: usize) -> Option<Operator> {
        self.blanks();
        // A factor of a power is none of a product.
        if rank == 4 && self.rest().starts_with("**") {
            return None;
        }
        let (token, operator) = RANKS[rank].iter().find(|(token, _)| self.rest().starts_with(token))?;
        self.at += token.len();
        Some(*operator)
    }

    fn rank(&mut self, rank: usize, depth: usize) -> Result<Expr, String> {
        if rank == RANKS.len() {
            return self.value(depth);
        }
        let mut left = self.rank(rank + 1, depth)?;
        while let Some(operator) = self.operator(rank) {
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(format!("it has more than {MAX_OPERATORS} operators (MAX_OPERATORS)"));
            }
            left = Expr::Binary(operator, Box::new(left), Box::new(self.rank(rank + 1, depth)?));
        }
        Ok(left)
    }

    fn value(&mut self, depth: usize) -> Result<Expr, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels (MAX_DEPTH)"));
        };
        if self.take("(") {
            return self.inside(depth);
        }
        if self.take("!") {
            return Ok(Expr::Not(Box::new(self.value(depth)?)));
        }
        if self.take("-") {
            return Ok(Expr::Minus(Box::new(self.value(depth)?)));
        }
        if self.take("${") {
            let name = self.rest().split_once('}').map(|(name, _)| name.to_owned());
            let name = name.filter(|n| !n.is_empty()).ok_or_else(|| self.wrong("a name and `}`"))?;
            self.at += name.len() + 1;
            return Ok(Expr::Name(name));
        }
        if self.take("$") {
            let name = self.word();
            return if name.is_empty() { Err(self.wrong("a name")) } else { Ok(Expr::Name(name)) };
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return self.number();
        }
        let start = self.at;
        let word = self.word();
        self.call(&word, depth).unwrap_or_else(|| {
            self.at = start;
            Err(self.wrong("a number, $NAME, a function or `(`"))
        })
    }

    /// What stands between parentheses, behind the first one.
    fn inside(&mut self, depth: usize) -> Result<Expr, String> {
        let inner = self.rank(0, depth)?;
        if self.take(")") { Ok(inner) } else { Err(self.wrong("`)`")) }
    }

    fn word(&mut self) -> String {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let end = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_owned();
        self.at += end;
        word
    }

    fn number(&mut self) -> Result<Expr, String> {
        let rest = self.rest();
        let mut end = 0;
        for (i, c) in rest.char_indices() {
            let is_sign = matches!(c, '+' | '-') && rest[..i].ends_with(['e', 'E']);
            if !(c.is_ascii_alphanumeric() || c == '.' || is_sign) {
                break;
            }
            end = i + 1;
        }
        let text = &rest[..end];
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let number = match hex {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as f64),
            None => text.parse().ok(),
        };
        let number = number.ok_or_else(|| self.wrong("a number"))?;
        self.at += end;
        Ok(Expr::Number(number))
    }

    /// A function by its name, or nothing.
    fn call(&mut self, name: &str, depth: usize) -> Option<Result<Expr, String>> {
        let constant = match name {
            "inf" => Some(Expr::Number(f64::INFINITY)),
            "infn" => Some(Expr::Number(f64::NEG_INFINITY)),
            "nan" => Some(Expr::Number(f64::NAN)),
            "null" => Some(Expr::Null),
            _ => None,
        };
        if let Some(constant) = constant {
            let closed = self.take("(") && self.take(")");
            return Some(if closed { Ok(constant) } else { Err(self.wrong("`()`")) });
        }
        let function = match name {
            "abs" => Function::Abs,
            "log" => Function::Log,
            "round" => Function::Round,
            "ceil" => Function::Ceil,
            "floor" => Function::Floor,
            "is_inf" => Function::IsInf,
            "is_nan" => Function::IsNan,
            "is_null" => Function::IsNull,
            "is_number" => Function::IsNumber,
            _ => return None,
        };
        if !self.take("(") {
            return Some(Err(self.wrong("`(`")));
        }
        Some(self.inside(depth).map(|inner| Expr::Call(function, Box::new(inner))))
    }
}

impl Expr {
    /// The queries that it names.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Expr::Number(_) | Expr::Null => Vec::new(),
            Expr::Name(name) => vec![name.clone()],
            Expr::Not(inner) | Expr::Minus(inner) | Expr::Call(_, inner) => inner.names(),
            Expr::Binary(_, a, b) => [a.names(), b.names()].concat(),
        }
    }

    /// Its value; names are those of `sets`.
    pub(super) fn evaluate(&self, sets: &BTreeMap<String, Set>) -> Result<Set, String> {
        Ok(match self {
            Expr::Number(n) => Set::Scalar(Some(*n)),
            Expr::Null => Set::Scalar(None),
            Expr::Name(name) => sets.get(name).cloned().ok_or_else(|| format!("there is no query {name}"))?,
            Expr::Not(inner) => {
                inner.evaluate(sets)?.map(|c| c.map(|n| if n.is_nan() { n } else { truth(n == 0.0) }))
            }
            Expr::Minus(inner) => inner.evaluate(sets)?.map(|c| c.map(|n| -n)),
            Expr::Call(function, inner) => inner.evaluate(sets)?.map(|c| function.of(c)),
            Expr::Binary(operator, a, b) => join(*operator, &a.evaluate(sets)?, &b.evaluate(sets)?)?,
        })
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl Function {
    fn of(self, cell: Cell) -> Cell {
        match (self, cell) {
            (Function::IsNull, cell) => Some(truth(cell.is_none())),
            (Function::IsNan, cell) => Some(truth(cell.is_some_and(f64::is_nan))),
            (Function::IsInf, cell) => Some(truth(cell.is_some_and(f64::is_infinite))),
            (Function::IsNumber, cell) => Some(truth(cell.is_some_and(f64::is_finite))),
            (_, None) => None,
            (Function::Abs, Some(n)) => Some(n.abs()),
            (Function::Log, Some(n)) => Some(n.ln()),
            (Function::Round, Some(n)) => Some(n.round()),
            (Function::Ceil, Some(n)) => Some(n.ceil()),
            (Function::Floor, Some(n)) => Some(n.floor()),
        }
    }
}

impl Operator {
    fn of(self, a: Cell, b: Cell) -> Cell {
        let (a, b) = (a?, b?);
        // One side may be enough to know.
        match self {
            Operator::Or if a != 0.0 && !a.is_nan() => return Some(1.0),
            Operator::And if a == 0.0 => return Some(0.0),
            _ if a.is_nan() || b.is_nan() => return Some(f64::NAN),
            _ => {}
        }
        #[expect(clippy::float_cmp, reason = "that is what was asked for")]
        Some(match self {
            Operator::Or | Operator::And => truth(b != 0.0),
            Operator::Equal => truth(a == b),
            Operator::Other => truth(a != b),
            Operator::Above => truth(a > b),
            Operator::NotBelow => truth(a >= b),
            Operator::Below => truth(a < b),
            Operator::NotAbove => truth(a <= b),
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => a % b,
            Operator::Power => a.powf(b),
        })
    }
}

/// Calculates with all that belong together: a number without labels belongs to everything, others to those that have all their labels,
/// or whose labels they have all. Points of two series belong together if they are of one time.
fn join(operator: Operator, a: &Set, b: &Set) -> Result<Set, String> {
    Ok(match (a, b) {
        (Set::Scalar(a), b) => b.map(|b| operator.of(*a, b)),
        (a, Set::Scalar(b)) => a.map(|a| operator.of(a, *b)),
        (Set::Numbers(a), Set::Numbers(b)) => {
            Set::Numbers(pairs(a, b)?.map(|(l, a, b)| (l, operator.of(*a, *b))).collect())
        }
        (Set::Series(a), Set::Numbers(b)) => {
            let of = |(l, points, b): (Labels, &Points, &Cell)| {
                (l, points.iter().map(|(t, a)| (*t, operator.of(*a, *b))).collect())
            };
            Set::Series(pairs(a, b)?.map(of).collect())
        }
        (Set::Numbers(a), Set::Series(b)) => {
            let of = |(l, a, points): (Labels, &Cell, &Points)| {
                (l, points.iter().map(|(t, b)| (*t, operator.of(*a, *b))).collect())
            };
            Set::Series(pairs(a, b)?.map(of).collect())
        }
        (Set::Series(a), Set::Series(b)) => {
            let of = |(l, a, b): (Labels, &Points, &Points)| (l, same_times(operator, a, b));
            Set::Series(pairs(a, b)?.map(of).collect())
        }
    })
}

type Points = Vec<(i64, Cell)>;

fn same_times(operator: Operator, a: &Points, b: &Points) -> Points {
    let mut rest = b.as_slice();
    let mut out = Vec::new();
    for (t, a) in a {
        rest = &rest[rest.partition_point(|(at, _)| at < t)..];
        if let Some((_, b)) = rest.first().filter(|(at, _)| at == t) {
            out.push((*t, operator.of(*a, *b)));
        }
    }
    out
}

/// Those of two sets that belong together, with the labels of both. One and one always do.
fn pairs<'a, A, B>(
    a: &'a [(Labels, A)],
    b: &'a [(Labels, B)],
) -> Result<impl Iterator<Item = (Labels, &'a A, &'a B)>, String> {
    if a.len().saturating_mul(b.len()) > MAX_PAIRS {
        return Err(format!("{} by {} series are more than {MAX_PAIRS} pairs (MAX_PAIRS)", a.len(), b.len()));
    }
    let mut found = Vec::new();
    for (la, va) in a {
        for (lb, vb) in b {
            if contains(la, lb) {
                found.push((la.clone(), va, vb));
            } else if contains(lb, la) {
                found.push((lb.clone(), va, vb));
            }
        }
    }
    if let ([(la, va)], [(_, vb)], true) = (a, b, found.is_empty()) {
        found.push((la.clone(), va, vb));
    }
    Ok(found.into_iter())
}

fn contains(all: &Labels, some: &Labels) -> bool {
    some.iter().all(|(name, value)| all.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn sets() -> BTreeMap<String, Set> {
        let x = labels(&[("job", "x")]);
        let series = |points: &[(i64, Cell)]| points.to_vec();
        BTreeMap::from([
            (
                "A".to_owned(),
                Set::Series(vec![(x.clone(), series(&[(0, Some(1.0)), (1, Some(2.0)), (2, None)]))]),
            ),
            (
                "B".to_owned(),
                Set::Series(vec![(
                    labels(&[("job", "x"), ("pod", "1")]),
                    series(&[(1, Some(10.0)), (2, Some(5.0))]),
                )]),
            ),
            ("N".to_owned(), Set::Numbers(vec![(x, Some(4.0)), (labels(&[("job", "y")]), Some(6.0))])),
            ("My query".to_owned(), Set::Numbers(vec![(Labels::new(), Some(3.0))])),
        ])
    }

    fn number(text: &str) -> f64 {
        match parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).evaluate(&sets()).unwrap() {
            Set::Scalar(Some(n)) => n,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn operators_bind_as_people_expect() {
        for (text, want) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("10 - 2 - 3", 5.0),
            ("2 * 3 ** 2", 18.0),
            ("-2 ** 2", 4.0),
            ("7 % 4", 3.0),
            ("1 < 2 && 2 >= 3", 0.0),
            ("1 == 1 || nan() == 1", 1.0),
            ("!0 + !5", 1.0),
            ("1e3 + 0x10 + .5", 1016.5),
            ("abs(-3) + ceil(1.2) + floor(1.8) + round(2.5)", 9.0),
            ("log(1)", 0.0),
            ("is_nan(nan()) + is_inf(infn()) + is_null(null()) + is_number(1)", 4.0),
            ("1 / 0 == inf()", 1.0),
        ] {
            assert_eq!(number(text), want, "{text}");
        }
        assert!(number("nan() + 1").is_nan());
    }

    #[test]
    fn what_belongs_together_is_found_by_labels_and_times() {
        let run = |text: &str| parse(text).unwrap().evaluate(&sets()).unwrap();
        let both = labels(&[("job", "x"), ("pod", "1")]);
        assert_eq!(run("$A + $B"), Set::Series(vec![(both, vec![(1, Some(12.0)), (2, None)])]));
        let x = labels(&[("job", "x")]);
        assert_eq!(run("$A * $N"), Set::Series(vec![(x, vec![(0, Some(4.0)), (1, Some(8.0)), (2, None)])]));
        let Set::Numbers(all) = run("$N - ${My query}") else { panic!("numbers") };
        assert_eq!(all.iter().map(|(_, c)| *c).collect::<Vec<_>>(), [Some(1.0), Some(3.0)]);
        assert_eq!(parse("$A / ${My query} + $N").unwrap().names(), ["A", "My query", "N"]);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, place) in [
            ("", "character 1"),
            ("1 +", "character 4"),
            ("(1", "character 3"),
            ("$", "character 2"),
            ("foo(1)", "character 1"),
            ("1 2", "character 3"),
            ("abs 1", "character 5"),
            ("${x", "character 3"),
            ("1.2.3", "character 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(place), "{text:?}: {error}");
        }
        assert!(parse(&"(".repeat(5000)).unwrap_err().contains("MAX_DEPTH"));
        assert!(parse(&"1+".repeat(9000)).unwrap_err().contains("MAX_LENGTH"));
        assert!(parse(&"1+".repeat(4000)).unwrap_err().contains("MAX_OPERATORS"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[-+*/%!&|=<>().$ {}a-z0-9é]{0,60}") {
            if let Ok(expr) = parse(&text) {
                let _ = expr.evaluate(&sets());
            }
        }
    }
}
