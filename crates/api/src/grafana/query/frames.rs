//! Data frames in Grafana's JSON.

use serde_json::{Map, Value, json};

/// A column in the making.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    kind: &'static str,
    frame: &'static str,
    labels: Option<Map<String, Value>>,
    config: Value,
    values: Vec<Value>,
    /// Rows of numbers that JSON cannot write.
    nan: Vec<usize>,
    inf: Vec<usize>,
    neg_inf: Vec<usize>,
    /// Nanoseconds beyond the milliseconds of times, if there are any.
    nanos: Vec<i64>,
}

impl Field {
    fn new(name: &str, kind: &'static str, frame: &'static str) -> Self {
        Field {
            name: name.to_owned(),
            kind,
            frame,
            labels: None,
            config: json!({}),
            values: Vec::new(),
            nan: Vec::new(),
            inf: Vec::new(),
            neg_inf: Vec::new(),
            nanos: Vec::new(),
        }
    }

    pub(super) fn time(name: &str) -> Self {
        Self::new(name, "time", "time.Time")
    }

    pub(super) fn number(name: &str) -> Self {
        Self::new(name, "number", "float64")
    }

    pub(super) fn string(name: &str) -> Self {
        Self::new(name, "string", "string")
    }

    pub(super) fn json(name: &str) -> Self {
        Self::new(name, "other", "json.RawMessage")
    }

    pub(super) fn labels(mut self, labels: Map<String, Value>) -> Self {
        self.labels = Some(labels);
        self
    }

    pub(super) fn config(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Some(config) = self.config.as_object_mut() {
            config.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds any value as it is.
    pub(super) fn push(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
    }

    /// Adds a number, whichever it is.
    pub(super) fn push_number(&mut self, n: f64) {
        let row = self.values.len();
        match n {
            n if n.is_nan() => self.nan.push(row),
            f64::INFINITY => self.inf.push(row),
            f64::NEG_INFINITY => self.neg_inf.push(row),
            _ => {}
        }
        self.values.push(serde_json::Number::from_f64(n).map_or(Value::Null, Value::Number));
    }

    /// Adds a time in nanoseconds.
    pub(super) fn push_ns(&mut self, ns: i64) {
        self.values.push(ns.div_euclid(1_000_000).into());
        self.nanos.push(ns.rem_euclid(1_000_000));
    }

    fn schema(&self) -> Value {
        let mut out = json!({"name": self.name, "type": self.kind, "typeInfo": {"frame": self.frame}, "config": self.config});
        if let (Some(labels), Some(object)) = (&self.labels, out.as_object_mut()) {
            object.insert("labels".to_owned(), Value::Object(labels.clone()));
        }
        out
    }

    fn entities(&self) -> Value {
        let mut out = Map::new();
        for (name, rows) in [("NaN", &self.nan), ("Inf", &self.inf), ("NegInf", &self.neg_inf)] {
            if !rows.is_empty() {
                out.insert(name.to_owned(), json!(rows));
            }
        }
        if out.is_empty() { Value::Null } else { Value::Object(out) }
    }
}

/// A frame of `fields`.
pub(super) fn frame(ref_id: &str, name: &str, meta: &Value, fields: Vec<Field>) -> Value {
    let mut schema = json!({"refId": ref_id, "meta": meta, "fields": fields.iter().map(Field::schema).collect::<Vec<_>>()});
    if let (false, Some(object)) = (name.is_empty(), schema.as_object_mut()) {
        object.insert("name".to_owned(), name.into());
    }
    let entities: Vec<Value> = fields.iter().map(Field::entities).collect();
    let nanos: Vec<Value> = fields
        .iter()
        .map(|f| if f.nanos.iter().any(|n| *n != 0) { json!(f.nanos) } else { Value::Null })
        .collect();
    let mut data = Map::new();
    for (name, column) in [("entities", entities), ("nanos", nanos)] {
        if column.iter().any(|one| !one.is_null()) {
            data.insert(name.to_owned(), column.into());
        }
    }
    data.insert(
        "values".to_owned(),
        fields.into_iter().map(|f| Value::Array(f.values)).collect::<Vec<_>>().into(),
    );
    json!({"schema": schema, "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_write_travels_beside_the_values() {
        let mut time = Field::time("Time");
        time.push_ns(1_000_000_001);
        time.push_ns(2_000_000_000);
        let mut value = Field::number("Value").config("displayNameFromDS", "x");
        value.push_number(f64::NAN);
        value.push_number(f64::NEG_INFINITY);
        let frame = frame("A", "n", &json!({}), vec![time, value]);
        let want = json!({
            "values": [[1000, 2000], [null, null]], "entities": [null, {"NaN": [0], "NegInf": [1]}], "nanos": [[1, 0], null],
        });
        assert_eq!(frame["data"], want);
        assert_eq!(frame["schema"]["fields"][1]["config"]["displayNameFromDS"], "x");
    }
}
