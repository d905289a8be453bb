//! Times in templates.

use reba_template::{Functions, Param, Time, Value};

/// A moment, as templates see one.
pub(super) fn time(ns: i64) -> Value {
    Time::from_unix_ns(ns).map_or(Value::Nil, Value::object)
}

/// The functions that take moments or make them.
pub(super) fn add(table: &mut Functions) {
    use Param::{Any, Text};
    table
        .add("date", &[Text, Any], |args| {
            let layout = text(args, 0);
            match as_time(&args[1]) {
                Some(time) => Ok(Value::from(time.format(&layout))),
                None => Err("date takes a moment or seconds".to_owned()),
            }
        })
        .add("toDate", &[Text, Text], |args| {
            Time::parse(&text(args, 0), &text(args, 1), None).map(Value::object)
        })
        .add("toDateInZone", &[Text, Text, Text], |args| {
            Time::parse(&text(args, 0), &text(args, 2), Some(&text(args, 1))).map(Value::object)
        })
        .add("unixEpoch", &[Any], |args| epoch(&args[0], 1_000_000_000))
        .add("unixEpochMillis", &[Any], |args| epoch(&args[0], 1_000_000))
        .add("unixEpochNanos", &[Any], |args| epoch(&args[0], 1))
        .add("unixToTime", &[Text], |args| unix_to_time(&text(args, 0)));
}

fn text(args: &[Value], i: usize) -> String {
    args.get(i).and_then(Value::as_str).map(|s| s.to_string()).unwrap_or_default()
}

/// A moment, or seconds since 1970.
fn as_time(value: &Value) -> Option<Time> {
    match value {
        Value::Int(seconds) => Time::from_unix_ns(seconds.checked_mul(1_000_000_000)?),
        other => Time::of(other),
    }
}

fn epoch(value: &Value, unit: i64) -> Result<Value, String> {
    match as_time(value).and_then(|t| i64::try_from(t.unix_nanos()).ok()) {
        Some(ns) => Ok(Value::from((ns.div_euclid(unit)).to_string())),
        None => Err("a moment was expected".to_owned()),
    }
}

/// Days, seconds, milliseconds, microseconds or nanoseconds since 1970, by the number of digits.
fn unix_to_time(digits: &str) -> Result<Value, String> {
    let fail = || format!("unable to parse time '{digits}'");
    let n: i64 = digits.parse().map_err(|_| fail())?;
    let unit = match digits.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(fail()),
    };
    n.checked_mul(unit).and_then(Time::from_unix_ns).map(Value::object).ok_or_else(fail)
}
