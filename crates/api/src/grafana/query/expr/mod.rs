//! Server-side expressions: queries of the data source `__expr__`, which calculate with the answers of the others.
//!
//! What they mean follows Grafana's documentation and behaviour: math, reduce, resample, threshold, classic conditions.

mod classic;
mod commands;
mod math;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::value::Set;
use super::{Failure, Query};

/// The data source of expressions, and what older clients call it.
const NAMES: [&str; 2] = ["__expr__", "-100"];

/// Points of all results of one expression.
const MAX_POINTS: usize = 5_000_000;

/// Pairs of series that an operator may look at to find those that belong together.
const MAX_PAIRS: usize = 4_000_000;

/// What became of a query.
pub(super) type Outcome = Result<Vec<Value>, Failure>;

/// Whether a query is an expression.
pub(super) fn is_expression(query: &Query) -> bool {
    let named = match query.model.get("datasource") {
        Some(Value::String(name)) => Some(name.clone()),
        Some(reference) => {
            let of = |key: &str| reference.get(key).and_then(Value::as_str).map(str::to_owned);
            of("uid").or_else(|| of("type"))
        }
        None => None,
    };
    let by_id = query.model.get("datasourceId").and_then(Value::as_i64) == Some(-100);
    by_id
        || [named, Some(query.text("datasourceUid"))]
            .into_iter()
            .flatten()
            .any(|n| NAMES.contains(&n.as_str()))
}

/// Calculates all expressions, each after those that it needs; `answers` has what data sources answered, and gets their outcome.
pub(super) fn calculate(expressions: Vec<Query>, answers: &mut BTreeMap<String, Outcome>, range: (i64, i64)) {
    let mut sets: BTreeMap<String, Set> = BTreeMap::new();
    let mut waiting: Vec<(Query, Result<Command, String>)> = expressions
        .into_iter()
        .map(|query| {
            let command = Command::read(&query);
            (query, command)
        })
        .collect();
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, command)| {
            command.as_ref().map_or(true, |c| c.needs().iter().all(|name| answers.contains_key(name)))
        });
        waiting = rest;
        if ready.is_empty() {
            break;
        }
        for (query, command) in ready {
            let outcome = command
                .and_then(|command| command.run(answers, &mut sets, range))
                .map_err(|reason| Failure::new(400, format!("expression {}: {reason}", query.ref_id)));
            let outcome = outcome.map(|set| {
                let frames = set.frames(&query.ref_id);
                sets.insert(query.ref_id.clone(), set);
                frames
            });
            answers.insert(query.ref_id, outcome);
        }
    }
    let left: BTreeSet<String> = waiting.iter().map(|(query, _)| query.ref_id.clone()).collect();
    for (query, command) in waiting {
        let needs = command.map(|c| c.needs()).unwrap_or_default();
        let missing = needs.iter().find(|name| !left.contains(*name) && !answers.contains_key(*name));
        let reason = match missing {
            Some(name) => format!("there is no query {name}"),
            None => "it needs its own result, or waits for one that does".to_owned(),
        };
        let failure = Failure::new(400, format!("expression {}: {reason}", query.ref_id));
        answers.insert(query.ref_id, Err(failure));
    }
}

/// What an expression does.
enum Command {
    Math(math::Expr),
    Reduce(commands::Reduce),
    Resample(commands::Resample),
    Threshold(commands::Threshold),
    Classic(classic::Conditions),
}

impl Command {
    fn read(query: &Query) -> Result<Self, String> {
        Ok(match query.text("type").as_str() {
            "math" => Command::Math(math::parse(&query.text("expression"))?),
            "reduce" => Command::Reduce(commands::Reduce::read(query)?),
            "resample" => Command::Resample(commands::Resample::read(query)?),
            "threshold" => Command::Threshold(commands::Threshold::read(query)?),
            "classic_conditions" => Command::Classic(classic::Conditions::read(query)?),
            "" => return Err("it has no type".to_owned()),
            other => return Err(format!("the type {other:?} is not supported")),
        })
    }

    /// Names of the queries whose results it needs.
    fn needs(&self) -> Vec<String> {
        match self {
            Command::Math(expr) => expr.names(),
            Command::Reduce(reduce) => vec![reduce.of.clone()],
            Command::Resample(resample) => vec![resample.of.clone()],
            Command::Threshold(threshold) => vec![threshold.of.clone()],
            Command::Classic(conditions) => conditions.names(),
        }
    }

    fn run(
        &self,
        answers: &BTreeMap<String, Outcome>,
        sets: &mut BTreeMap<String, Set>,
        range: (i64, i64),
    ) -> Result<Set, String> {
        for name in self.needs() {
            match answers.get(&name) {
                Some(Ok(frames)) if !sets.contains_key(&name) => {
                    let set = Set::of_frames(frames).map_err(|e| format!("query {name}: {e}"))?;
                    sets.insert(name, set);
                }
                Some(Ok(_)) => {}
                _ => return Err(format!("query {name} failed")),
            }
        }
        let of = |name: &String| sets.get(name).ok_or_else(|| format!("there is no query {name}"));
        let set = match self {
            Command::Math(expr) => expr.evaluate(sets)?,
            Command::Reduce(reduce) => reduce.run(of(&reduce.of)?),
            Command::Resample(resample) => resample.run(of(&resample.of)?, range)?,
            Command::Threshold(threshold) => threshold.run(of(&threshold.of)?),
            Command::Classic(conditions) => conditions.run(sets)?,
        };
        if set.points() > MAX_POINTS {
            return Err(format!("its result has more than {MAX_POINTS} points (MAX_POINTS)"));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn series(labels: Value, points: &[(i64, Option<f64>)]) -> Value {
        let (times, values): (Vec<_>, Vec<_>) = points.iter().copied().unzip();
        json!({
            "schema": {"meta": {"type": "timeseries-multi"}, "fields": [
                {"name": "Time", "type": "time"}, {"name": "Value", "type": "number", "labels": labels}]},
            "data": {"values": [times, values]},
        })
    }

    fn run(queries: Vec<Value>, data: Vec<(&str, Outcome)>) -> BTreeMap<String, Result<Vec<Value>, String>> {
        let mut answers: BTreeMap<String, Outcome> =
            data.into_iter().map(|(name, outcome)| (name.to_owned(), outcome)).collect();
        let queries = queries.into_iter().filter_map(Query::of).collect();
        calculate(queries, &mut answers, (0, 10_000));
        answers.into_iter().map(|(name, o)| (name, o.map_err(|f| f.message))).collect()
    }

    #[test]
    fn the_data_source_of_expressions_has_several_names() {
        let is = |value: Value| is_expression(&Query::of(value).unwrap());
        assert!(is(json!({"datasource": {"type": "__expr__", "uid": "__expr__"}})));
        assert!(is(json!({"datasource": "__expr__"})) && is(json!({"datasourceUid": "-100"})));
        assert!(is(json!({"datasourceId": -100})) && is(json!({"datasource": {"type": "__expr__"}})));
        assert!(!is(json!({"datasource": {"uid": "prometheus"}})) && !is(json!({})));
    }

    #[test]
    fn expressions_run_after_what_they_need_whatever_their_order() {
        let a = series(json!({"job": "x"}), &[(0, Some(2.0)), (1000, Some(4.0))]);
        let out = run(
            vec![
                json!({"refId": "D", "type": "threshold", "expression": "C", "conditions": [{"evaluator": {"type": "gt", "params": [5]}}]}),
                json!({"refId": "C", "type": "math", "expression": "$B * 2"}),
                json!({"refId": "B", "type": "reduce", "expression": "A", "reducer": "mean"}),
            ],
            vec![("A", Ok(vec![a]))],
        );
        let frame = &out["D"].as_ref().unwrap()[0];
        assert_eq!(frame["data"]["values"], json!([[1.0]]));
        assert_eq!(frame["schema"]["fields"][0]["labels"], json!({"job": "x"}));
        assert_eq!(frame["schema"]["meta"]["type"], "numeric-multi");
        assert_eq!(out["C"].as_ref().unwrap()[0]["data"]["values"], json!([[6.0]]));
    }

    #[test]
    fn circles_missing_queries_and_failed_ones_are_told_of() {
        let out = run(
            vec![
                json!({"refId": "B", "type": "math", "expression": "$C + 1"}),
                json!({"refId": "C", "type": "math", "expression": "$B + 1"}),
                json!({"refId": "D", "type": "math", "expression": "$Z + 1"}),
                json!({"refId": "E", "type": "reduce", "expression": "A", "reducer": "sum"}),
                json!({"refId": "F", "type": "sql", "expression": "A"}),
                json!({"refId": "G", "type": "math", "expression": "$E"}),
            ],
            vec![("A", Err(Failure::new(500, "broken")))],
        );
        let said = |name: &str| out[name].as_ref().unwrap_err().clone();
        assert!(said("B").contains("its own result"), "{}", said("B"));
        assert!(said("D").contains("there is no query Z"), "{}", said("D"));
        assert!(said("E").contains("query A failed") && said("G").contains("query E failed"));
        assert!(said("F").contains("\"sql\" is not supported"), "{}", said("F"));
    }
}
