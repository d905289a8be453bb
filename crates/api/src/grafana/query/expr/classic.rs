//! Classic conditions: several queries, each reduced and compared; one number says whether all of it holds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    commands::{Reducer, Test},
    value::{Cell, Set},
};
use crate::grafana::query::Query;

pub(super) struct Conditions(Vec<Condition>);

struct Condition {
    of: String,
    reducer: Classic,
    test: Option<Test>,
    /// Joined to what comes before by `or`; by `and` otherwise.
    or: bool,
}

/// How a series is reduced: what is no number is left out first.
#[derive(Clone, Copy)]
enum Classic {
    Plain(Reducer),
    CountNonNull,
    /// Last minus first.
    Diff {
        absolute: bool,
        percent: bool,
    },
}

impl Classic {
    fn read(name: &str) -> Result<Self, String> {
        let diff = |absolute, percent| Classic::Diff { absolute, percent };
        Ok(match name {
            "avg" => Classic::Plain(Reducer::Mean),
            "min" => Classic::Plain(Reducer::Min),
            "max" => Classic::Plain(Reducer::Max),
            "sum" => Classic::Plain(Reducer::Sum),
            "count" => Classic::Plain(Reducer::Count),
            "last" => Classic::Plain(Reducer::Last),
            "median" => Classic::Plain(Reducer::Median),
            "count_non_null" => Classic::CountNonNull,
            "diff" => diff(false, false),
            "diff_abs" => diff(true, false),
            "percent_diff" => diff(false, true),
            "percent_diff_abs" => diff(true, true),
            other => return Err(format!("the reducer {other:?} is not known")),
        })
    }

    fn of(self, cells: &[Cell]) -> Cell {
        if let Classic::Plain(Reducer::Count) = self {
            return Some(cells.len() as f64).filter(|n| *n > 0.0);
        }
        let numbers: Vec<Cell> = cells.iter().copied().filter(|c| c.is_some_and(|n| !n.is_nan())).collect();
        if numbers.is_empty() {
            return None;
        }
        match self {
            Classic::Plain(reducer) => reducer.of(&numbers),
            Classic::CountNonNull => Some(numbers.len() as f64),
            Classic::Diff { absolute, percent } => {
                let (first, last) = (numbers.first().copied().flatten()?, numbers.last().copied().flatten()?);
                let diff = last - first;
                let diff = if percent { diff / first.abs() * 100.0 } else { diff };
                Some(if absolute { diff.abs() } else { diff })
            }
        }
    }
}

impl Conditions {
    pub(super) fn read(query: &Query) -> Result<Self, String> {
        let all = query.model.get("conditions").and_then(Value::as_array);
        let all: Vec<Condition> = all.into_iter().flatten().map(condition).collect::<Result<_, _>>()?;
        if all.is_empty() { Err("it has no conditions".to_owned()) } else { Ok(Conditions(all)) }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|c| c.of.clone()).collect()
    }

    /// 1 or 0; nothing if no condition had anything to look at.
    pub(super) fn run(&self, sets: &BTreeMap<String, Set>) -> Result<Set, String> {
        let (mut holds, mut any_data) = (false, false);
        for (i, condition) in self.0.iter().enumerate() {
            let set = sets.get(&condition.of).ok_or_else(|| format!("there is no query {}", condition.of))?;
            let reduced: Vec<Cell> = match set {
                Set::Scalar(cell) => vec![*cell],
                Set::Numbers(all) => all.iter().map(|(_, cell)| *cell).collect(),
                Set::Series(all) => {
                    let cells = |points: &Vec<(i64, Cell)>| points.iter().map(|p| p.1).collect::<Vec<_>>();
                    all.iter().map(|(_, points)| condition.reducer.of(&cells(points))).collect()
                }
            };
            any_data |= reduced.iter().any(Option::is_some);
            let own = match condition.test {
                Some(test) => reduced.iter().flatten().any(|n| test.holds(*n)),
                None => {
                    let empty = reduced.iter().all(Option::is_none);
                    any_data |= empty;
                    empty
                }
            };
            holds = match (i, condition.or) {
                (0, _) => own,
                (_, true) => holds || own,
                (_, false) => holds && own,
            };
        }
        let number = any_data.then(|| f64::from(u8::from(holds)));
        Ok(Set::Numbers(vec![(BTreeMap::new(), number)]))
    }
}

fn condition(value: &Value) -> Result<Condition, String> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let of = text("/query/params/0");
    if of.is_empty() {
        return Err("a condition names no query in `query.params`".to_owned());
    }
    let test = match text("/evaluator/type") {
        "no_value" => None,
        _ => Some(Test::read(value.get("evaluator").unwrap_or(&Value::Null))?.in_order()),
    };
    let or = match text("/operator/type") {
        "" | "and" => false,
        "or" => true,
        other => return Err(format!("the operator {other:?} is not supported")),
    };
    Ok(Condition { of: of.to_owned(), reducer: Classic::read(text("/reducer/type"))?, test, or })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(conditions: Value) -> Cell {
        let series = |cells: &[Cell]| {
            let points = cells.iter().enumerate().map(|(i, c)| (i as i64, *c)).collect();
            Set::Series(vec![(BTreeMap::new(), points)])
        };
        let sets = BTreeMap::from([
            ("A".to_owned(), series(&[Some(4.0), None, Some(10.0)])),
            ("B".to_owned(), Set::Numbers(vec![(BTreeMap::new(), Some(1.0))])),
            ("N".to_owned(), series(&[None])),
        ]);
        let query = Query::of(json!({"conditions": conditions})).unwrap();
        match Conditions::read(&query).unwrap().run(&sets).unwrap() {
            Set::Numbers(all) => all[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn one(of: &str, reducer: &str, kind: &str, params: Value, operator: &str) -> Value {
        json!({"query": {"params": [of]}, "reducer": {"type": reducer}, "evaluator": {"type": kind, "params": params},
               "operator": {"type": operator}})
    }

    #[test]
    fn conditions_are_reduced_compared_and_joined_from_left_to_right() {
        for (reducer, value) in [
            ("avg", 7.0),
            ("sum", 14.0),
            ("min", 4.0),
            ("max", 10.0),
            ("last", 10.0),
            ("median", 7.0),
            ("count", 3.0),
            ("count_non_null", 2.0),
            ("diff", 6.0),
            ("percent_diff", 150.0),
        ] {
            let at = |kind, bound: f64| run(json!([one("A", reducer, kind, json!([bound]), "and")]));
            assert_eq!((at("gt", value - 0.5), at("gt", value + 0.5)), (Some(1.0), Some(0.0)), "{reducer}");
        }
        let yes = |operator| one("A", "avg", "gt", json!([1]), operator);
        let no = |operator| one("B", "last", "lt", json!([0]), operator);
        assert_eq!(run(json!([yes("and"), no("and")])), Some(0.0));
        assert_eq!(run(json!([yes("and"), no("or")])), Some(1.0));
        assert_eq!(run(json!([no("and"), yes("or"), yes("and")])), Some(1.0));
        assert_eq!(run(json!([one("A", "avg", "within_range", json!([9, 5]), "and")])), Some(1.0));
    }

    #[test]
    fn without_data_there_is_no_answer_unless_that_was_the_question() {
        assert_eq!(run(json!([one("N", "avg", "gt", json!([1]), "and")])), None);
        assert_eq!(run(json!([one("N", "avg", "no_value", json!([]), "and")])), Some(1.0));
        assert_eq!(run(json!([one("A", "avg", "no_value", json!([]), "and")])), Some(0.0));
    }
}
