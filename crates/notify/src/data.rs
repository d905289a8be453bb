//! What templates are told of a notification, with the fields and methods of Alertmanager.

use std::{collections::BTreeMap, sync::Arc};

use reba_alerting::{Notification, NotifiedAlert};
use reba_model::Labels;
use reba_template::{Object, Time, Value, alertmanager::ZERO_TIME_MS};
use serde::{Serialize, Serializer};

/// Names and texts: labels or annotations.
pub(crate) type Pairs = BTreeMap<String, String>;

/// The data of a notification. As JSON it is what webhooks get.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data {
    /// The receiver's name, quoted as a regular expression.
    pub receiver: String,
    /// `firing` if any alert is, else `resolved`.
    pub status: &'static str,
    pub alerts: Vec<AlertData>,
    #[serde(serialize_with = "shared")]
    pub group_labels: Arc<Pairs>,
    #[serde(serialize_with = "shared")]
    pub common_labels: Arc<Pairs>,
    #[serde(serialize_with = "shared")]
    pub common_annotations: Arc<Pairs>,
    #[serde(rename = "externalURL")]
    pub external_url: String,
    /// Why it is sent.
    #[serde(skip)]
    pub reason: &'static str,
}

/// One alert.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertData {
    pub status: &'static str,
    #[serde(serialize_with = "shared")]
    pub labels: Arc<Pairs>,
    #[serde(serialize_with = "shared")]
    pub annotations: Arc<Pairs>,
    pub starts_at: Moment,
    pub ends_at: Moment,
    #[serde(rename = "generatorURL", serialize_with = "shared")]
    pub generator_url: Arc<str>,
    pub fingerprint: String,
}

fn shared<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, s: S) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(s)
}

/// Unix milliseconds, written as Go writes times in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub i64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = Time::from_unix_ms(self.0).map(|t| t.format("2006-01-02T15:04:05.999999999Z07:00"));
        s.serialize_str(&text.unwrap_or_default())
    }
}

const FIRING: &str = "firing";
const RESOLVED: &str = "resolved";

impl Data {
    /// The data of a notification; `external_url` has no slash at its end.
    pub fn new(note: &Notification, external_url: &str) -> Self {
        Data::of(note, &note.alerts, external_url)
    }

    /// The data of some of its alerts.
    pub fn of(note: &Notification, alerts: &[NotifiedAlert], external_url: &str) -> Self {
        let firing = alerts.iter().any(|a| a.firing);
        Data {
            receiver: quote_regex(&note.receiver),
            status: if firing { FIRING } else { RESOLVED },
            alerts: alerts.iter().map(AlertData::new).collect(),
            group_labels: Arc::new(pairs(&note.group_labels)),
            common_labels: Arc::new(common(alerts, |a| &a.labels)),
            common_annotations: Arc::new(common(alerts, |a| &a.annotations)),
            external_url: external_url.to_owned(),
            reason: note.reason.as_str(),
        }
    }

    pub fn is_firing(&self) -> bool {
        self.status == FIRING
    }

    /// The same as a value of templates.
    pub fn value(&self) -> Value {
        Value::object(Template {
            receiver: Value::from(self.receiver.as_str()),
            status: Value::from(self.status),
            alerts: Value::object(Alerts::new(&self.alerts)),
            group_labels: kv(&self.group_labels),
            common_labels: kv(&self.common_labels),
            common_annotations: kv(&self.common_annotations),
            external_url: Value::from(self.external_url.as_str()),
            reason: Value::from(self.reason),
        })
    }
}

impl AlertData {
    fn new(alert: &NotifiedAlert) -> Self {
        AlertData {
            status: if alert.firing { FIRING } else { RESOLVED },
            labels: Arc::new(pairs(&alert.labels)),
            annotations: Arc::new(pairs(&alert.annotations)),
            starts_at: Moment(alert.starts_at_ms),
            ends_at: Moment(alert.ends_at_ms.filter(|_| !alert.firing).unwrap_or(ZERO_TIME_MS)),
            generator_url: Arc::clone(&alert.generator_url),
            fingerprint: reba_alerting::fingerprint_text(alert.fingerprint),
        }
    }
}

fn pairs(labels: &Labels) -> Pairs {
    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// What all alerts have in common.
fn common(alerts: &[NotifiedAlert], of: impl Fn(&NotifiedAlert) -> &Labels) -> Pairs {
    let Some((first, others)) = alerts.split_first() else { return Pairs::new() };
    let mut common = pairs(of(first));
    for alert in others {
        common.retain(|name, value| of(alert).get(name) == Some(value.as_str()));
        if common.is_empty() {
            break;
        }
    }
    common
}

/// As Go's `regexp.QuoteMeta`.
fn quote_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// `template.Data`
struct Template {
    receiver: Value,
    status: Value,
    alerts: Value,
    group_labels: Value,
    common_labels: Value,
    common_annotations: Value,
    external_url: Value,
    reason: Value,
}

impl Object for Template {
    fn type_name(&self) -> &'static str {
        "*template.Data"
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![
            ("Receiver", self.receiver.clone()),
            ("Status", self.status.clone()),
            ("Alerts", self.alerts.clone()),
            ("NotificationReason", self.reason.clone()),
            ("GroupLabels", self.group_labels.clone()),
            ("CommonLabels", self.common_labels.clone()),
            ("CommonAnnotations", self.common_annotations.clone()),
            ("ExternalURL", self.external_url.clone()),
        ]
    }
}

/// `template.Alerts`: a list that can be asked for its parts.
struct Alerts {
    all: Value,
    firing: Value,
    resolved: Value,
}

impl Alerts {
    fn new(alerts: &[AlertData]) -> Self {
        let values: Vec<(&str, Value)> = alerts.iter().map(|a| (a.status, alert_value(a))).collect();
        let of = |status: &str| {
            Value::list(values.iter().filter(|(s, _)| *s == status).map(|(_, v)| v.clone()).collect())
        };
        let (firing, resolved) = (of(FIRING), of(RESOLVED));
        Alerts { all: Value::list(values.into_iter().map(|(_, v)| v).collect()), firing, resolved }
    }
}

impl Object for Alerts {
    fn type_name(&self) -> &'static str {
        "template.Alerts"
    }

    fn underlying(&self) -> Value {
        self.all.clone()
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let part = match name {
            "Firing" => &self.firing,
            "Resolved" => &self.resolved,
            _ => return None,
        };
        Some(takes(name, args, 0).map(|()| part.clone()))
    }
}

/// `template.Alert`
struct Alert {
    status: Value,
    labels: Value,
    annotations: Value,
    starts_at: Value,
    ends_at: Value,
    generator_url: Value,
    fingerprint: Value,
}

fn alert_value(alert: &AlertData) -> Value {
    let time = |m: Moment| Time::from_unix_ms(m.0).map_or(Value::Nil, Value::object);
    Value::object(Alert {
        status: Value::from(alert.status),
        labels: kv(&alert.labels),
        annotations: kv(&alert.annotations),
        starts_at: time(alert.starts_at),
        ends_at: time(alert.ends_at),
        generator_url: Value::String(Arc::clone(&alert.generator_url)),
        fingerprint: Value::from(alert.fingerprint.as_str()),
    })
}

impl Object for Alert {
    fn type_name(&self) -> &'static str {
        "template.Alert"
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![
            ("Status", self.status.clone()),
            ("Labels", self.labels.clone()),
            ("Annotations", self.annotations.clone()),
            ("StartsAt", self.starts_at.clone()),
            ("EndsAt", self.ends_at.clone()),
            ("GeneratorURL", self.generator_url.clone()),
            ("Fingerprint", self.fingerprint.clone()),
        ]
    }
}

/// `template.KV`: a map of texts that can be asked for its parts in order.
struct Kv(Arc<Pairs>);

fn kv(pairs: &Arc<Pairs>) -> Value {
    Value::object(Kv(Arc::clone(pairs)))
}

/// `alertname` first, then by name.
fn sorted(pairs: &Pairs) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    all.sort_by_key(|(name, _)| *name != "alertname");
    all
}

impl Object for Kv {
    fn type_name(&self) -> &'static str {
        "template.KV"
    }

    fn underlying(&self) -> Value {
        Value::StringMap(Arc::clone(&self.0))
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let sorted_pairs = || PairList(list_of(&self.0));
        Some(match name {
            "SortedPairs" => takes(name, args, 0).map(|()| Value::object(sorted_pairs())),
            "Names" => takes(name, args, 0).map(|()| sorted_pairs().names()),
            "Values" => takes(name, args, 0).map(|()| sorted_pairs().values()),
            "Remove" => takes(name, args, 1).and_then(|()| {
                let names = match args[0].plain() {
                    Value::List(_) => texts(&args[0]),
                    _ => return Err(format!("expected []string; got {}", args[0].type_name())),
                };
                let kept = self.0.iter().filter(|(n, _)| !names.contains(n));
                Ok(kv(&Arc::new(kept.map(|(n, v)| (n.clone(), v.clone())).collect())))
            }),
            _ => return None,
        })
    }
}

fn list_of(pairs: &Pairs) -> Vec<(String, String)> {
    sorted(pairs).into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<String> {
    list.items().iter().map(|v| v.as_str().unwrap_or_default().to_string()).collect()
}

/// Methods take a fixed number of arguments.
fn takes(method: &str, args: &[Value], count: usize) -> Result<(), String> {
    if args.len() == count {
        return Ok(());
    }
    Err(format!("wrong number of args for {method}: want {count} got {}", args.len()))
}

/// `template.Pairs`
struct PairList(Vec<(String, String)>);

impl PairList {
    fn names(&self) -> Value {
        strings(self.0.iter().map(|(n, _)| n.as_str()))
    }

    fn values(&self) -> Value {
        strings(self.0.iter().map(|(_, v)| v.as_str()))
    }
}

impl Object for PairList {
    fn type_name(&self) -> &'static str {
        "template.Pairs"
    }

    fn underlying(&self) -> Value {
        let pair = |(n, v): &(String, String)| {
            Value::object(Pair { name: Value::from(n.as_str()), value: Value::from(v.as_str()) })
        };
        Value::list(self.0.iter().map(pair).collect())
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        match name {
            "Names" => Some(takes(name, args, 0).map(|()| self.names())),
            "Values" => Some(takes(name, args, 0).map(|()| self.values())),
            _ => None,
        }
    }
}

/// `template.Pair`
struct Pair {
    name: Value,
    value: Value,
}

impl Object for Pair {
    fn type_name(&self) -> &'static str {
        "template.Pair"
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![("Name", self.name.clone()), ("Value", self.value.clone())]
    }
}

/// `template.Strings`
struct Strings(Value);

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::object(Strings(Value::list(texts.map(Value::from).collect())))
}

impl Object for Strings {
    fn type_name(&self) -> &'static str {
        "template.Strings"
    }

    fn underlying(&self) -> Value {
        self.0.clone()
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        (name == "Join").then(|| {
            takes(name, args, 1)?;
            let separator =
                args[0].as_str().ok_or_else(|| format!("expected string; got {}", args[0].type_name()))?;
            Ok(Value::from(texts(&self.0).join(&separator)))
        })
    }
}
