//! The functions of Prometheus' alert templates.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{GoRegex, Labels, duration};

use crate::{
    escape,
    function::{Functions, Param},
    humanize,
    text::title,
    value::{Object, Value},
};

/// One element of a query's result.
#[derive(Clone, Debug)]
pub struct Sample {
    /// All labels, the metric name included.
    pub labels: Labels,
    /// A [`Value::Float`], or an object that prints a histogram.
    pub value: Value,
}

/// Runs a query for the `query` function; it may block, and ends by itself after the query timeout.
pub type Query = Arc<dyn Fn(&str) -> Result<Vec<Sample>, String> + Send + Sync>;

/// What the functions know of the world.
#[derive(Clone)]
pub struct Context {
    /// The `query` function.
    pub query: Query,
    /// The address under which this server is reached.
    pub external_url: String,
    /// The time of the evaluation, Unix milliseconds.
    pub now: i64,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("external_url", &self.external_url)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A context whose queries fail: enough to parse with.
    pub fn without_query(external_url: impl Into<String>, now: i64) -> Self {
        Context {
            query: Arc::new(|_| Err("no query function".to_owned())),
            external_url: external_url.into(),
            now,
        }
    }
}

const SAMPLE: &str = "*template.sample";
const RESULT: &str = "template.queryResult";

/// Steps that one query costs of a template's budget: a thousand queries at most.
const QUERY_COST: u64 = 1_000;

/// Steps that compiling one regular expression costs.
const REGEX_COST: u64 = 1_000;

/// Bytes that one replacement may yield at worst.
const MAX_REPLACED: usize = 16 << 20;

/// The longest regular expression a template may use.
const MAX_PATTERN: usize = 4096;

/// The table of functions: those of 2.48 and `toDuration`, `now`, `urlQueryEscape` of 3.x.
pub fn functions(context: &Context) -> Functions {
    let mut table = Functions::new();
    query_functions(&mut table, context);
    number_functions(&mut table, context);
    text_functions(&mut table);
    let url = context.external_url.clone();
    table.add("externalURL", &[], move |_| Ok(Value::from(url.as_str())));
    let path = path_of(&context.external_url).to_owned();
    table.add("pathPrefix", &[], move |_| Ok(Value::from(path.as_str())));
    table
}

fn query_functions(table: &mut Functions, context: &Context) {
    let query = context.query.clone();
    table
        .add("query", &[Param::Text], move |args| {
            let samples = query(&text(args, 0))?;
            Ok(Value::object(QueryResult(
                samples.into_iter().map(|s| Value::object(SampleObject(s))).collect(),
            )))
        })
        .cost("query", QUERY_COST)
        .add("first", &[Param::Of(RESULT)], |args| match args[0].plain() {
            Value::List(l) => {
                l.items.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
            }
            _ => Err("first() called on vector with no elements".to_owned()),
        })
        .add("label", &[Param::Text, Param::Of(SAMPLE)], |args| Ok(label_of(&args[1], &text(args, 0))))
        .add("value", &[Param::Of(SAMPLE)], |args| Ok(field_of(&args[0], "Value")))
        .add("strvalue", &[Param::Of(SAMPLE)], |args| Ok(label_of(&args[0], "__value__")))
        .add("sortByLabel", &[Param::Text, Param::Of(RESULT)], |args| {
            let name = text(args, 0);
            let mut items = match args[1].plain() {
                Value::List(l) => l.items.clone(),
                _ => Vec::new(),
            };
            items.sort_by_cached_key(|item| label_of(item, &name).as_str());
            Ok(Value::object(QueryResult(items)))
        })
        .add("args", &[], |args| {
            let named = args.iter().enumerate().map(|(i, v)| (format!("arg{i}"), v.clone()));
            Ok(Value::map(named.collect::<BTreeMap<_, _>>()))
        })
        .variadic("args", Param::Any);
}

fn number_functions(table: &mut Functions, context: &Context) {
    let formatted =
        |f: fn(f64) -> String| move |args: &[Value]| humanize::to_float(&args[0]).map(|v| Value::from(f(v)));
    let now = context.now as f64 / 1000.0;
    table
        .add("humanize", &[Param::Any], formatted(humanize::humanize))
        .add("humanize1024", &[Param::Any], formatted(humanize::humanize_1024))
        .add("humanizeDuration", &[Param::Any], formatted(humanize::humanize_duration))
        .add("humanizePercentage", &[Param::Any], formatted(humanize::humanize_percentage))
        .add("humanizeTimestamp", &[Param::Any], |args| {
            humanize::to_float(&args[0]).and_then(humanize::humanize_timestamp).map(Value::from)
        })
        .add("toTime", &[Param::Any], |args| {
            humanize::to_float(&args[0]).and_then(humanize::to_time).map(Value::object)
        })
        .add("toDuration", &[Param::Any], |args| {
            humanize::to_float(&args[0]).map(|v| Value::object(humanize::to_duration(v)))
        })
        .add("now", &[], move |_| Ok(Value::Float(now)))
        .add("parseDuration", &[Param::Text], |args| {
            let text = text(args, 0);
            let (sign, body) = match text.strip_prefix('-') {
                Some(body) => (-1.0, body),
                None => (1.0, &*text),
            };
            let ms = duration::parse(body).map_err(|e| e.to_string())?;
            Ok(Value::Float(sign * ms as f64 / 1000.0))
        });
}

fn text_functions(table: &mut Functions) {
    let mapped = |f: fn(&str) -> String| move |args: &[Value]| Ok(Value::from(f(&text(args, 0))));
    table
        .add("safeHtml", &[Param::Text], |args| Ok(args[0].clone()))
        .add("title", &[Param::Text], mapped(title))
        .add("toUpper", &[Param::Text], mapped(|s| s.to_uppercase()))
        .add("toLower", &[Param::Text], mapped(|s| s.to_lowercase()))
        .add("stripPort", &[Param::Text], mapped(strip_port))
        .add("stripDomain", &[Param::Text], mapped(strip_domain))
        .add("urlQueryEscape", &[Param::Text], mapped(escape::query))
        .add("graphLink", &[Param::Text], mapped(|e| link(e, 0)))
        .add("tableLink", &[Param::Text], mapped(table_link))
        .add("match", &[Param::Text, Param::Text], |args| {
            Ok(Value::Bool(regex(&text(args, 0))?.is_match(&text(args, 1))))
        })
        .cost("match", REGEX_COST)
        .add("reReplaceAll", &[Param::Text, Param::Text, Param::Text], |args| {
            let (with, subject) = (text(args, 1), text(args, 2));
            if 2 * (subject.len() + 1) * (with.len() + 1) > MAX_REPLACED {
                return Err("replacement may become too long".to_owned());
            }
            Ok(Value::from(regex(&text(args, 0))?.replace_all(&subject, &with).into_owned()))
        })
        .cost("reReplaceAll", REGEX_COST);
}

fn text(args: &[Value], i: usize) -> Arc<str> {
    args.get(i).and_then(Value::as_str).unwrap_or_default()
}

fn regex(pattern: &str) -> Result<GoRegex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("regular expression is longer than {MAX_PATTERN} bytes"));
    }
    GoRegex::search(pattern).map_err(|e| e.to_string())
}

fn field_of(sample: &Value, name: &str) -> Value {
    match sample {
        Value::Object(o) => o.field(name).unwrap_or_default(),
        _ => Value::Nil,
    }
}

fn label_of(sample: &Value, name: &str) -> Value {
    match field_of(sample, "Labels") {
        Value::StringMap(m) => Value::from(m.get(name).map_or("", String::as_str)),
        _ => Value::from(""),
    }
}

fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", escape::query(expression))
}

/// The path and query of the page that shows an expression as a table.
pub fn table_link(expression: &str) -> String {
    link(expression, 1)
}

/// Splits `host:port` and `[host]:port` by the rules of Go's `net.SplitHostPort`.
fn split_host_port(s: &str) -> Option<(&str, &str)> {
    let colon = s.rfind(':')?;
    let (host, open_from, close_from) = if s.starts_with('[') {
        let end = s.find(']')?;
        if end + 1 != colon {
            return None;
        }
        (&s[1..end], 1, end + 1)
    } else {
        (&s[..colon], 0, 0)
    };
    let plain_with_colon = !s.starts_with('[') && host.contains(':');
    if plain_with_colon || s[open_from..].contains('[') || s[close_from..].contains(']') {
        return None;
    }
    Some((host, &s[colon + 1..]))
}

fn strip_port(s: &str) -> String {
    split_host_port(s).map_or(s, |(host, _)| host).to_owned()
}

fn strip_domain(s: &str) -> String {
    let (host, port) = split_host_port(s).unwrap_or((s, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return s.to_owned();
    }
    let first = host.split('.').next().unwrap_or(host);
    match (port, first.contains(':')) {
        ("", _) => first.to_owned(),
        (port, false) => format!("{first}:{port}"),
        (port, true) => format!("[{first}]:{port}"),
    }
}

/// The path of a URL, without query and fragment.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or("")
}

/// A query's result: a list of samples.
struct QueryResult(Vec<Value>);

impl Object for QueryResult {
    fn type_name(&self) -> &'static str {
        RESULT
    }

    fn underlying(&self) -> Value {
        Value::list(self.0.clone())
    }
}

struct SampleObject(Sample);

impl Object for SampleObject {
    fn type_name(&self) -> &'static str {
        SAMPLE
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![("Labels", label_map(&self.0.labels)), ("Value", self.0.value.clone())]
    }
}

/// Labels as `map[string]string`.
pub fn label_map(labels: &Labels) -> Value {
    Value::string_map(labels.iter())
}

/// What stands before every label and annotation of an alert, so that `$labels` and `$value` exist.
pub const ALERT_PREAMBLE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
    {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// The data of an alert's templates.
#[derive(Clone, Debug)]
pub struct AlertData {
    /// Labels of the element of the rule's result, the metric name included.
    pub labels: Value,
    /// External labels.
    pub external_labels: Value,
    /// External URL.
    pub external_url: Value,
    /// The element's value.
    pub value: Value,
}

impl Object for AlertData {
    fn type_name(&self) -> &'static str {
        "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![
            ("Labels", self.labels.clone()),
            ("ExternalLabels", self.external_labels.clone()),
            ("ExternalURL", self.external_url.clone()),
            ("Value", self.value.clone()),
        ]
    }
}
