//! Reduce, resample, threshold.

use reba_model::duration;
use serde_json::Value;

use super::value::{Cell, Set};
use crate::grafana::query::Query;

/// Points of a series that is sampled anew.
const MAX_SAMPLES: i64 = 100_000;

/// The query that an expression names, with or without the sign of a variable.
fn operand(query: &Query) -> Result<String, String> {
    let text = query.text("expression");
    let name = text.trim().trim_start_matches('$').trim_start_matches('{').trim_end_matches('}').trim();
    if name.is_empty() { Err("it names no query in `expression`".to_owned()) } else { Ok(name.to_owned()) }
}

/// A series becomes a number.
pub(super) struct Reduce {
    pub(super) of: String,
    reducer: Reducer,
    mode: Mode,
}

/// What is done with values that are no numbers.
#[derive(Clone, Copy)]
enum Mode {
    /// They spoil the result.
    Strict,
    /// They are left out.
    Drop,
    /// They are replaced.
    Replace(f64),
}

/// How one number is made of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reducer {
    Sum,
    Mean,
    Min,
    Max,
    Count,
    Last,
    Median,
}

impl Reducer {
    fn read(name: &str) -> Result<Self, String> {
        Ok(match name {
            "sum" => Reducer::Sum,
            "mean" | "avg" => Reducer::Mean,
            "min" => Reducer::Min,
            "max" => Reducer::Max,
            "count" => Reducer::Count,
            "last" => Reducer::Last,
            "median" => Reducer::Median,
            other => return Err(format!("the reducer {other:?} is not known")),
        })
    }

    /// One number of many; a value that is missing or no number makes all but `count` and `last` none.
    pub(super) fn of(self, cells: &[Cell]) -> Cell {
        match self {
            Reducer::Count => return Some(cells.len() as f64),
            Reducer::Last => return cells.last().copied().unwrap_or(Some(f64::NAN)),
            _ => {}
        }
        let numbers: Option<Vec<f64>> = cells.iter().map(|c| c.filter(|n| !n.is_nan())).collect();
        let Some(mut numbers) = numbers else { return Some(f64::NAN) };
        let sum: f64 = numbers.iter().sum();
        let n = numbers.len();
        Some(match self {
            Reducer::Sum => sum,
            Reducer::Mean => sum / n as f64,
            Reducer::Min => numbers.into_iter().reduce(f64::min).unwrap_or(f64::NAN),
            Reducer::Max => numbers.into_iter().reduce(f64::max).unwrap_or(f64::NAN),
            Reducer::Median if n > 0 => {
                numbers.sort_by(f64::total_cmp);
                f64::midpoint(numbers[(n - 1) / 2], numbers[n / 2])
            }
            _ => f64::NAN,
        })
    }
}

impl Reduce {
    pub(super) fn read(query: &Query) -> Result<Self, String> {
        let settings = query.model.get("settings");
        let setting = |key: &str| settings.and_then(|s| s.get(key));
        let mode = match setting("mode").and_then(Value::as_str).unwrap_or_default() {
            "" | "strict" => Mode::Strict,
            "dropNN" => Mode::Drop,
            "replaceNN" => {
                let with = setting("replaceWithValue").and_then(Value::as_f64);
                Mode::Replace(with.ok_or("`settings.replaceWithValue` is missing")?)
            }
            other => return Err(format!("the mode {other:?} is not known")),
        };
        Ok(Reduce { of: operand(query)?, reducer: Reducer::read(&query.text("reducer"))?, mode })
    }

    pub(super) fn run(&self, set: &Set) -> Set {
        let is_number = |c: &Cell| c.is_some_and(f64::is_finite);
        match set {
            Set::Series(all) => {
                let one = |points: &Vec<(i64, Cell)>| {
                    let cells = points.iter().map(|(_, cell)| *cell);
                    let cells: Vec<Cell> = match self.mode {
                        Mode::Strict => cells.collect(),
                        Mode::Drop => cells.filter(is_number).collect(),
                        Mode::Replace(with) => {
                            cells.map(|c| if is_number(&c) { c } else { Some(with) }).collect()
                        }
                    };
                    self.finish(self.reducer.of(&cells))
                };
                Set::Numbers(all.iter().map(|(labels, points)| (labels.clone(), one(points))).collect())
            }
            other => other.map(|cell| self.finish(cell)),
        }
    }

    /// What is no number at the end is treated as in the series.
    fn finish(&self, cell: Cell) -> Cell {
        match self.mode {
            Mode::Strict => cell,
            Mode::Drop => cell.filter(|n| n.is_finite()),
            Mode::Replace(with) => cell.filter(|n| n.is_finite()).or(Some(with)),
        }
    }
}

/// A series gets points at other times: one at the start of the range, and after every window.
pub(super) struct Resample {
    pub(super) of: String,
    window: i64,
    /// What stands for several points.
    down: Reducer,
    up: Upsampler,
}

/// What stands where there is no point.
#[derive(Clone, Copy)]
enum Upsampler {
    /// The one before.
    Pad,
    /// The one behind.
    Backfilling,
    /// Nothing.
    Fillna,
}

impl Resample {
    pub(super) fn read(query: &Query) -> Result<Self, String> {
        let text = query.text("window");
        let window = duration::parse(&text).ok().filter(|ms| *ms > 0);
        let down = match query.text("downsampler").as_str() {
            name @ ("sum" | "mean" | "min" | "max" | "last") => Reducer::read(name)?,
            other => return Err(format!("the downsampler {other:?} is not known")),
        };
        let up = match query.text("upsampler").as_str() {
            "pad" => Upsampler::Pad,
            "backfilling" => Upsampler::Backfilling,
            "fillna" => Upsampler::Fillna,
            other => return Err(format!("the upsampler {other:?} is not known")),
        };
        let window = window.ok_or_else(|| format!("the window {text:?} is no duration"))?;
        Ok(Resample { of: operand(query)?, window, down, up })
    }

    pub(super) fn run(&self, set: &Set, (from, to): (i64, i64)) -> Result<Set, String> {
        let Set::Series(all) = set else { return Err("only series can be sampled anew".to_owned()) };
        let steps = to.saturating_sub(from) / self.window;
        if steps <= 0 {
            return Err("the time range is shorter than the window".to_owned());
        }
        if steps.saturating_mul(all.len().max(1) as i64) > MAX_SAMPLES {
            return Err(format!("the window makes more than {MAX_SAMPLES} points (MAX_SAMPLES)"));
        }
        let one = |points: &Vec<(i64, Cell)>| {
            let mut rest = points.as_slice();
            let mut last = None;
            let mut out = Vec::new();
            for step in 0..=steps {
                let t = from + step * self.window;
                let (until, behind) = rest.split_at(rest.partition_point(|(at, _)| *at <= t));
                rest = behind;
                let cell = if until.is_empty() {
                    match self.up {
                        Upsampler::Pad => last,
                        Upsampler::Backfilling => behind.first().and_then(|(_, cell)| *cell),
                        Upsampler::Fillna => None,
                    }
                } else {
                    let cells: Vec<Cell> = until.iter().map(|(_, cell)| *cell).collect();
                    last = cells.last().copied().flatten();
                    self.down.of(&cells)
                };
                out.push((t, cell));
            }
            out
        };
        Ok(Set::Series(all.iter().map(|(labels, points)| (labels.clone(), one(points))).collect()))
    }
}

/// Every value becomes 1 or 0.
pub(super) struct Threshold {
    pub(super) of: String,
    test: Test,
}

/// A comparison with one or two bounds.
#[derive(Clone, Copy)]
pub(super) struct Test {
    kind: Kind,
    a: f64,
    b: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    Above,
    Below,
    Equal,
    Other,
    NotBelow,
    NotAbove,
    Within,
    Outside,
    WithinOrAt,
    OutsideOrAt,
}

impl Test {
    /// Reads `{"type": "gt", "params": [5]}`.
    pub(super) fn read(evaluator: &Value) -> Result<Self, String> {
        let (kind, bounds) = match evaluator.get("type").and_then(Value::as_str).unwrap_or_default() {
            "gt" => (Kind::Above, 1),
            "lt" => (Kind::Below, 1),
            "eq" => (Kind::Equal, 1),
            "ne" => (Kind::Other, 1),
            "gte" | "ge" => (Kind::NotBelow, 1),
            "lte" | "le" => (Kind::NotAbove, 1),
            "within_range" => (Kind::Within, 2),
            "outside_range" => (Kind::Outside, 2),
            "within_range_included" => (Kind::WithinOrAt, 2),
            "outside_range_included" => (Kind::OutsideOrAt, 2),
            other => return Err(format!("the evaluator {other:?} is not known")),
        };
        let params = evaluator.get("params").and_then(Value::as_array);
        let params: Vec<f64> = params.into_iter().flatten().filter_map(Value::as_f64).collect();
        if params.len() < bounds {
            return Err(format!("the evaluator needs {bounds} `params`, and has {}", params.len()));
        }
        Ok(Test { kind, a: params[0], b: params.get(1).copied().unwrap_or(f64::NAN) })
    }

    /// The same with the bounds of a range in order, whichever was given first.
    pub(super) fn in_order(self) -> Self {
        if self.a > self.b { Test { a: self.b, b: self.a, ..self } } else { self }
    }

    pub(super) fn holds(&self, n: f64) -> bool {
        let (a, b) = (self.a, self.b);
        match self.kind {
            Kind::Above => n > a,
            Kind::Below => n < a,
            #[expect(clippy::float_cmp, reason = "that is what was asked for")]
            Kind::Equal => n == a,
            #[expect(clippy::float_cmp, reason = "that is what was asked for")]
            Kind::Other => n != a,
            Kind::NotBelow => n >= a,
            Kind::NotAbove => n <= a,
            Kind::Within => a < n && n < b,
            Kind::Outside => n < a || n > b,
            Kind::WithinOrAt => a <= n && n <= b,
            Kind::OutsideOrAt => n <= a || n >= b,
        }
    }
}

impl Threshold {
    pub(super) fn read(query: &Query) -> Result<Self, String> {
        let conditions = query.model.get("conditions").and_then(Value::as_array);
        let [condition] = conditions.map_or(&[][..], Vec::as_slice) else {
            return Err("a threshold has exactly one condition".to_owned());
        };
        if condition.get("unloadEvaluator").is_some_and(|v| !v.is_null()) {
            return Err("recovery thresholds are not supported: they need the state of an alert".to_owned());
        }
        let evaluator = condition.get("evaluator").unwrap_or(&Value::Null);
        Ok(Threshold { of: operand(query)?, test: Test::read(evaluator)? })
    }

    pub(super) fn run(&self, set: &Set) -> Set {
        set.map(|cell| cell.map(|n| f64::from(u8::from(self.test.holds(n)))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::grafana::query::expr::value::Labels;

    fn query(value: Value) -> Query {
        Query::of(value).unwrap()
    }

    fn series(points: &[(i64, Cell)]) -> Set {
        Set::Series(vec![(Labels::new(), points.to_vec())])
    }

    fn reduced(settings: Value, reducer: &str, cells: &[Cell]) -> Cell {
        let reduce = json!({"expression": "$A", "reducer": reducer, "settings": settings});
        let points: Vec<_> = cells.iter().enumerate().map(|(i, c)| (i as i64, *c)).collect();
        let Set::Numbers(all) = Reduce::read(&query(reduce)).unwrap().run(&series(&points)) else {
            panic!("numbers")
        };
        all[0].1
    }

    #[test]
    fn series_are_reduced_strictly_or_without_what_is_no_number() {
        let plain = [Some(1.0), Some(4.0), Some(2.0), Some(9.0)];
        for (reducer, want) in [
            ("sum", 16.0),
            ("mean", 4.0),
            ("min", 1.0),
            ("max", 9.0),
            ("count", 4.0),
            ("last", 9.0),
            ("median", 3.0),
        ] {
            assert_eq!(reduced(json!({}), reducer, &plain), Some(want), "{reducer}");
        }
        let holes = [Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY), Some(3.0)];
        assert!(reduced(json!({"mode": ""}), "sum", &holes).unwrap().is_nan());
        assert_eq!(reduced(json!({"mode": "dropNN"}), "mean", &holes), Some(2.0));
        assert_eq!(reduced(json!({"mode": "dropNN"}), "max", &[None]), None);
        let replace = json!({"mode": "replaceNN", "replaceWithValue": 10});
        assert_eq!(reduced(replace, "sum", &holes), Some(34.0));
        assert!(reduced(json!({}), "last", &[]).unwrap().is_nan());
        assert_eq!(reduced(json!({}), "sum", &[]), Some(0.0));
        assert!(reduced(json!({}), "mean", &[]).unwrap().is_nan());
    }

    #[test]
    fn series_get_points_at_other_times() {
        let points = [(0, Some(1.0)), (1000, Some(3.0)), (2000, Some(5.0)), (7000, Some(7.0))];
        for (up, want) in [
            ("pad", [Some(1.0), Some(4.0), Some(5.0), Some(5.0), Some(7.0), Some(7.0)]),
            ("backfilling", [Some(1.0), Some(4.0), Some(7.0), Some(7.0), Some(7.0), None]),
            ("fillna", [Some(1.0), Some(4.0), None, None, Some(7.0), None]),
        ] {
            let resample = json!({"expression": "A", "window": "2s", "downsampler": "mean", "upsampler": up});
            let out = Resample::read(&query(resample)).unwrap().run(&series(&points), (0, 10_000)).unwrap();
            let want: Vec<_> = want.iter().enumerate().map(|(i, c)| (i as i64 * 2000, *c)).collect();
            assert_eq!(out, series(&want), "{up}");
        }
        let tiny = json!({"expression": "A", "window": "1ms", "downsampler": "mean", "upsampler": "pad"});
        let error = Resample::read(&query(tiny)).unwrap().run(&series(&points), (0, 1_000_000)).unwrap_err();
        assert!(error.contains("MAX_SAMPLES"));
    }

    #[test]
    fn thresholds_say_one_or_zero_and_leave_holes() {
        for (kind, params, want) in [
            ("gt", json!([5]), [0.0, 0.0, 1.0]),
            ("lt", json!([5]), [1.0, 0.0, 0.0]),
            ("gte", json!([5]), [0.0, 1.0, 1.0]),
            ("lte", json!([5]), [1.0, 1.0, 0.0]),
            ("eq", json!([5]), [0.0, 1.0, 0.0]),
            ("ne", json!([5]), [1.0, 0.0, 1.0]),
            ("within_range", json!([4, 6]), [0.0, 1.0, 0.0]),
            ("outside_range", json!([4, 6]), [1.0, 0.0, 1.0]),
            ("within_range_included", json!([5, 6]), [0.0, 1.0, 0.0]),
            ("outside_range_included", json!([5, 7]), [1.0, 1.0, 1.0]),
        ] {
            let threshold =
                json!({"expression": "A", "conditions": [{"evaluator": {"type": kind, "params": params}}]});
            let set = series(&[(0, Some(1.0)), (1, Some(5.0)), (2, Some(7.0)), (3, None)]);
            let out = Threshold::read(&query(threshold)).unwrap().run(&set);
            let want = [(0, Some(want[0])), (1, Some(want[1])), (2, Some(want[2])), (3, None)];
            assert_eq!(out, series(&want), "{kind}");
        }
        let wrong = |conditions: Value| {
            Threshold::read(&query(json!({"expression": "A", "conditions": conditions}))).err().unwrap()
        };
        assert!(wrong(json!([])).contains("exactly one"));
        assert!(wrong(json!([{"evaluator": {"type": "gt", "params": []}}])).contains("needs 1"));
        assert!(wrong(json!([{"evaluator": {"type": "odd", "params": [1]}}])).contains("\"odd\""));
    }
}
