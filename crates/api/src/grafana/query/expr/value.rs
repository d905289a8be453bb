//! What expressions calculate with: numbers and series, with labels.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::grafana::query::frames::{Field, frame};

/// Labels of a number or a series.
pub(super) type Labels = BTreeMap<String, String>;

/// A number that may be missing.
pub(super) type Cell = Option<f64>;

/// A result: of every query, and of every step of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Set {
    /// A number without labels that belongs to everything.
    Scalar(Cell),
    /// Numbers.
    Numbers(Vec<(Labels, Cell)>),
    /// Series: Unix milliseconds and values, by time.
    Series(Vec<(Labels, Vec<(i64, Cell)>)>),
}

impl Set {
    /// Reads frames. Those of instant queries hold numbers, others series.
    pub(super) fn of_frames(frames: &[Value]) -> Result<Self, String> {
        let is_numeric = |f: &Value| {
            let kind = f.pointer("/schema/meta/type").and_then(Value::as_str).unwrap_or_default();
            kind.starts_with("numeric") || columns(f, "time").next().is_none()
        };
        if !frames.is_empty() && frames.iter().all(is_numeric) {
            let numbers = frames.iter().flat_map(|f| columns(f, "number").map(move |c| (f, c)));
            return Ok(Set::Numbers(
                numbers.map(|(f, at)| (labels(f, at), cells(f, at).next().flatten())).collect(),
            ));
        }
        let mut all = Vec::new();
        for one in frames {
            let Some(time) = columns(one, "time").next() else {
                return Err("its answer has no times".to_owned());
            };
            let times = column(one, time).iter().map(|v| v.as_i64().unwrap_or_default());
            let times: Vec<i64> = times.collect();
            let before = all.len();
            for at in columns(one, "number") {
                let mut points: Vec<_> = times.iter().copied().zip(cells(one, at)).collect();
                points.sort_by_key(|(t, _)| *t);
                all.push((labels(one, at), points));
            }
            if all.len() == before && !times.is_empty() {
                return Err("its answer has no numbers to calculate with".to_owned());
            }
        }
        Ok(Set::Series(all))
    }

    /// How much there is of it.
    pub(super) fn points(&self) -> usize {
        match self {
            Set::Scalar(_) => 1,
            Set::Numbers(all) => all.len(),
            Set::Series(all) => all.iter().map(|(_, points)| points.len().max(1)).sum(),
        }
    }

    /// The same with `f` done to every value.
    pub(super) fn map(&self, f: impl Fn(Cell) -> Cell) -> Set {
        match self {
            Set::Scalar(cell) => Set::Scalar(f(*cell)),
            Set::Numbers(all) => Set::Numbers(all.iter().map(|(l, cell)| (l.clone(), f(*cell))).collect()),
            Set::Series(all) => {
                let one = |points: &Vec<(i64, Cell)>| points.iter().map(|(t, cell)| (*t, f(*cell))).collect();
                Set::Series(all.iter().map(|(l, points)| (l.clone(), one(points))).collect())
            }
        }
    }

    /// The frames of the result of the query `ref_id`.
    pub(super) fn frames(&self, ref_id: &str) -> Vec<Value> {
        let number = |of: &Labels, cell: Cell| {
            let mut field = named(ref_id, of);
            push(&mut field, cell);
            frame(ref_id, "", &json!({"type": "numeric-multi", "typeVersion": [0, 1]}), vec![field])
        };
        match self {
            Set::Scalar(cell) => vec![number(&Labels::new(), *cell)],
            Set::Numbers(all) => all.iter().map(|(labels, cell)| number(labels, *cell)).collect(),
            Set::Series(all) => {
                let meta = json!({"type": "timeseries-multi", "typeVersion": [0, 1]});
                let one = |(labels, points): &(Labels, Vec<(i64, Cell)>)| {
                    let (mut time, mut value) = (Field::time("Time"), named(ref_id, labels));
                    for (t, cell) in points {
                        time.push(*t);
                        push(&mut value, *cell);
                    }
                    frame(ref_id, "", &meta, vec![time, value])
                };
                all.iter().map(one).collect()
            }
        }
    }
}

fn named(name: &str, labels: &Labels) -> Field {
    let labels: Map<String, Value> = labels.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    Field::number(name).labels(labels)
}

fn push(field: &mut Field, cell: Cell) {
    match cell {
        Some(n) => field.push_number(n),
        None => field.push(Value::Null),
    }
}

/// Places of the fields of a kind.
fn columns<'a>(frame: &'a Value, kind: &'a str) -> impl Iterator<Item = usize> + 'a {
    let fields = frame.pointer("/schema/fields").and_then(Value::as_array).into_iter().flatten();
    fields
        .enumerate()
        .filter(move |(_, f)| f.get("type").and_then(Value::as_str) == Some(kind))
        .map(|(i, _)| i)
}

fn column(frame: &Value, at: usize) -> &[Value] {
    let column = frame.pointer(&format!("/data/values/{at}")).and_then(Value::as_array);
    column.map_or(&[], Vec::as_slice)
}

/// The numbers of a column, those that JSON cannot write included.
fn cells(frame: &Value, at: usize) -> impl Iterator<Item = Cell> + '_ {
    let special = |name: &str| -> Vec<usize> {
        let rows = frame.pointer(&format!("/data/entities/{at}/{name}")).and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(|v| usize::try_from(v.as_u64()?).ok()).collect()
    };
    let kinds = [("NaN", f64::NAN), ("Inf", f64::INFINITY), ("NegInf", f64::NEG_INFINITY)];
    let mut known: BTreeMap<usize, f64> = BTreeMap::new();
    for (name, value) in kinds {
        known.extend(special(name).into_iter().map(|row| (row, value)));
    }
    column(frame, at).iter().enumerate().map(move |(row, v)| v.as_f64().or_else(|| known.get(&row).copied()))
}

fn labels(frame: &Value, at: usize) -> Labels {
    let labels = frame.pointer(&format!("/schema/fields/{at}/labels")).and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs.map(|(n, v)| (n.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
        for set in [
            Set::Numbers(vec![(labels.clone(), Some(1.5)), (Labels::new(), None)]),
            Set::Series(vec![(labels, vec![(0, Some(f64::INFINITY)), (5, None), (9, Some(-2.0))])]),
        ] {
            assert_eq!(Set::of_frames(&set.frames("A")).unwrap(), set);
        }
        let nan = Set::Numbers(vec![(Labels::new(), Some(f64::NAN))]);
        let Set::Numbers(back) = Set::of_frames(&nan.frames("A")).unwrap() else { panic!("numbers") };
        assert!(back[0].1.unwrap().is_nan());
        assert_eq!(Set::of_frames(&[]), Ok(Set::Series(Vec::new())));
    }

    #[test]
    fn lines_are_nothing_to_calculate_with() {
        let frame = json!({"schema": {"fields": [{"name": "Time", "type": "time"}, {"name": "Line", "type": "string"}]},
                           "data": {"values": [[1], ["x"]]}});
        assert!(Set::of_frames(&[frame]).unwrap_err().contains("no numbers"));
    }
}
