//! OTLP's logs as entries: attributes of the resource are labels or structured metadata, everything else but the body is structured
//! metadata.

use std::borrow::Cow;

use reba_model::{GoRegex, LogBatch, Tenant};

use super::{
    LokiReceiver, OtlpAnswer, PushError, PushHead,
    config::{AttributeAction, AttributesRule, Limits},
    decode::{Pairs, PushSink},
    intake::Intake,
    stream::{self, Known, Stream},
};
use crate::{
    otlp::{
        MAX_DEPTH, OtlpError,
        body::Encoding,
        common::{Attribute, Scope, Value, push_hex, submessages, values},
        schema,
    },
    wire::{Fields, WireError},
};

/// Streams of resources and those of labels that happen to be written alike are told apart by what stands before them.
const RAW_PREFIX: &[u8] = b"\0otlp";

/// Why a request was not walked over to its end.
enum Problem {
    Wire(WireError),
    Full,
}

impl From<WireError> for Problem {
    fn from(e: WireError) -> Self {
        Problem::Wire(e)
    }
}

/// Takes a request.
pub(super) fn push(
    receiver: &LokiReceiver,
    tenant: &Tenant,
    head: PushHead<'_>,
    body: &[u8],
    batch: &mut LogBatch,
) -> Result<OtlpAnswer, PushError> {
    let encoding = Encoding::of(head.content_type.unwrap_or_default()).map_err(refused)?;
    let limit = receiver.limits.max_push_bytes();
    let compression = head.content_encoding.unwrap_or_default();
    let message = encoding.message(body, compression, limit, &schema::LOGS_REQUEST).map_err(refused)?;
    let mut walk = Walk::new(Intake::new(receiver, tenant, batch)?);
    walk.request(&message).map_err(|problem| explain(&problem, &message))?;
    let records = walk.records;
    let (rejected, result) = walk.intake.finish();
    let body = match result {
        Ok(()) => Vec::new(),
        Err(e) if e.status >= 500 || rejected >= records => return Err(e),
        Err(e) => encoding.taken("rejectedLogRecords", rejected, &e.message),
    };
    Ok(OtlpAnswer { content_type: encoding.content_type(), body, rejected })
}

fn refused(e: OtlpError) -> PushError {
    PushError { status: e.status().0, message: e.to_string(), retry_after_s: None }
}

fn explain(problem: &Problem, message: &[u8]) -> PushError {
    match problem {
        Problem::Full => PushError::bad(reba_model::LogBatchFull.to_string()),
        Problem::Wire(e) => {
            let place = schema::locate(message, &schema::LOGS_REQUEST);
            let (offset, within, e) = place.unwrap_or((0, schema::LOGS_REQUEST.name, *e));
            PushError::bad(format!("byte {offset}: {e} ({within})"))
        }
    }
}

/// Walks over a request.
struct Walk<'a> {
    intake: Intake<'a>,
    scope_rules: Vec<Rule>,
    log_rules: Vec<Rule>,
    /// Metadata of one entry.
    pairs: Pairs,
    /// Metadata of every entry of a scope.
    of_scope: Pairs,
    /// Bytes of the resource, behind a prefix.
    raw: Vec<u8>,
    name: String,
    records: u64,
}

impl<'a> Walk<'a> {
    fn new(intake: Intake<'a>) -> Self {
        let otlp = &intake.limits().otlp_config;
        Walk {
            scope_rules: Rule::all(&otlp.scope_attributes),
            log_rules: Rule::all(&otlp.log_attributes),
            intake,
            pairs: Pairs::default(),
            of_scope: Pairs::default(),
            raw: Vec::new(),
            name: String::new(),
            records: 0,
        }
    }

    fn request(&mut self, message: &[u8]) -> Result<(), Problem> {
        for resource_logs in submessages(message, 1) {
            let resource_logs = resource_logs?;
            let resource = submessages(resource_logs, 1).last().transpose()?.unwrap_or_default();
            self.begin(resource)?;
            for scope_logs in submessages(resource_logs, 2) {
                self.scope(scope_logs?)?;
            }
        }
        Ok(())
    }

    /// The stream of a resource.
    fn begin(&mut self, resource: &[u8]) -> Result<(), Problem> {
        let indexed = self.intake.in_force().indexed_attributes.clone();
        self.raw.clear();
        self.raw.extend_from_slice(RAW_PREFIX);
        self.raw.extend_from_slice(resource);
        let mut fault = None;
        self.intake.begin(&self.raw, |limits, is_demoted| {
            let parts = Parts::of(resource, limits, &indexed).unwrap_or_else(|e| {
                fault = Some(e);
                Parts::default()
            });
            parts.stream(limits, is_demoted)
        });
        fault.map_or(Ok(()), |e| Err(Problem::Wire(e)))
    }

    fn scope(&mut self, scope_logs: &[u8]) -> Result<(), Problem> {
        let message = submessages(scope_logs, 1).last().transpose()?.unwrap_or_default();
        self.of_scope.clear();
        let scope = Scope::read(message)?;
        for (name, value) in [("scope_name", scope.name), ("scope_version", scope.version)] {
            push_some(&mut self.of_scope, name, value);
        }
        for attribute in submessages(message, 3) {
            let attribute = Attribute::read(attribute?)?;
            add(attribute, &self.scope_rules, &mut self.name, &mut self.of_scope)?;
        }
        for field in Fields::new(message) {
            let field = field?;
            if field.number == 4 {
                push_count(&mut self.of_scope, "scope_dropped_attributes_count", field.varint()?);
            }
        }
        for record in submessages(scope_logs, 2) {
            self.record(record?)?;
        }
        Ok(())
    }

    fn record(&mut self, message: &[u8]) -> Result<(), Problem> {
        self.pairs.clone_from(&self.of_scope);
        let (mut time, mut observed, mut line) = (0, 0, Cow::Borrowed(""));
        let mut hex = String::new();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => time = field.fixed64()?,
                2 => push_count(&mut self.pairs, "severity_number", field.varint()?),
                3 => push_some(&mut self.pairs, "severity_text", field.string()?),
                5 => line = text(Value::read(field.bytes()?)?)?,
                6 => {
                    let attribute = Attribute::read(field.bytes()?)?;
                    add(attribute, &self.log_rules, &mut self.name, &mut self.pairs)?;
                }
                7 => push_count(&mut self.pairs, "dropped_attributes_count", field.varint()?),
                8 => push_count(&mut self.pairs, "flags", u64::from(field.fixed32()?)),
                9 | 10 => {
                    hex.clear();
                    push_hex(field.bytes()?, &mut hex);
                    let some = hex.bytes().any(|b| b != b'0');
                    let name = if field.number == 9 { "trace_id" } else { "span_id" };
                    push_some(&mut self.pairs, name, if some { &hex } else { "" });
                }
                11 => observed = field.fixed64()?,
                12 => push_some(&mut self.pairs, "event_name", field.string()?),
                _ => {}
            }
        }
        push_count(&mut self.pairs, "observed_timestamp", observed);
        let ns = [time, observed].into_iter().find(|t| *t != 0);
        let ns = ns.map_or(self.intake.now_ns(), |ns| i64::try_from(ns).unwrap_or(i64::MAX));
        self.records += 1;
        self.intake.entry(ns, &line, &self.pairs).map_err(|_| Problem::Full)
    }
}

fn push_some(pairs: &mut Pairs, name: &str, value: &str) {
    if !value.is_empty() {
        pairs.push(name, value);
    }
}

fn push_count(pairs: &mut Pairs, name: &str, count: u64) {
    if count != 0 {
        pairs.push(name, &count.to_string());
    }
}

fn text(value: Value<'_>) -> Result<Cow<'_, str>, WireError> {
    match value {
        Value::Text(text) => Ok(Cow::Borrowed(text)),
        other => other.to_text().map(Cow::Owned),
    }
}

/// A rule about attributes, its expression compiled.
struct Rule {
    action: AttributeAction,
    names: Vec<String>,
    regex: Option<GoRegex>,
}

impl Rule {
    fn all(rules: &[AttributesRule]) -> Vec<Rule> {
        let rule = |rule: &AttributesRule| Rule {
            action: rule.action,
            names: rule.attributes.clone(),
            // The configuration was checked: it compiles.
            regex: (!rule.regex.is_empty()).then(|| GoRegex::anchored(&rule.regex).ok()).flatten(),
        };
        rules.iter().map(rule).collect()
    }

    fn action_for(rules: &[Rule], name: &str) -> Option<AttributeAction> {
        let about = |rule: &&Rule| {
            rule.names.iter().any(|n| n == name) || rule.regex.as_ref().is_some_and(|r| r.is_match(name))
        };
        rules.iter().find(about).map(|rule| rule.action)
    }
}

/// Adds an attribute to the metadata, unless it is to be dropped.
fn add(
    attribute: Attribute<'_>,
    rules: &[Rule],
    name: &mut String,
    out: &mut Pairs,
) -> Result<(), WireError> {
    if Rule::action_for(rules, attribute.key) == Some(AttributeAction::Drop) {
        return Ok(());
    }
    name.clear();
    push_name(attribute.key, name);
    flatten(attribute.value, name, 0, &mut |name, value| push_some(out, name, value))
}

/// Hands over a value, or those in a map, their names joined by `_`.
fn flatten(
    value: Value<'_>,
    name: &mut String,
    depth: usize,
    out: &mut impl FnMut(&str, &str),
) -> Result<(), WireError> {
    let Value::Map(map) = value else {
        out(name, &text(value)?);
        return Ok(());
    };
    if depth == MAX_DEPTH {
        return Err(WireError::Depth);
    }
    for inner in values(map) {
        let inner = Attribute::read(inner?)?;
        let length = name.len();
        name.push('_');
        push_name(inner.key, name);
        flatten(inner.value, name, depth + 1, out)?;
        name.truncate(length);
    }
    Ok(())
}

/// Appends a name with `_` for whatever a label's name may not have.
fn push_name(key: &str, out: &mut String) {
    if out.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
}

/// What becomes of the attributes of a resource.
#[derive(Debug, Default)]
struct Parts {
    labels: Vec<(String, String)>,
    metadata: Vec<(String, String)>,
}

impl Parts {
    fn of(resource: &[u8], limits: &Limits, indexed: &[String]) -> Result<Self, WireError> {
        let config = &limits.otlp_config.resource_attributes;
        let rules = Rule::all(&config.attributes_config);
        let mut parts = Parts::default();
        for attribute in values(resource) {
            let Attribute { key, value } = Attribute::read(attribute?)?;
            let by_default = !config.ignore_defaults && indexed.iter().any(|name| name == key);
            let default =
                if by_default { AttributeAction::IndexLabel } else { AttributeAction::StructuredMetadata };
            let action = Rule::action_for(&rules, key).unwrap_or(default);
            let mut name = String::new();
            push_name(key, &mut name);
            match action {
                AttributeAction::Drop => {}
                AttributeAction::IndexLabel => parts.label(name, text(value)?.into_owned()),
                AttributeAction::StructuredMetadata => flatten(value, &mut name, 0, &mut |name, value| {
                    if !value.is_empty() {
                        parts.metadata.push((name.to_owned(), value.to_owned()));
                    }
                })?,
            }
        }
        if parts.labels.is_empty() {
            parts.label("service_name".to_owned(), "unknown_service".to_owned());
        }
        parts.labels.sort();
        Ok(parts)
    }

    /// The last value of a name counts.
    fn label(&mut self, name: String, value: String) {
        self.labels.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            self.labels.push((name, value));
        }
    }

    fn stream(self, limits: &Limits, is_demoted: &mut dyn FnMut(&str, &str) -> bool) -> Known {
        stream::check(&self.labels, limits)?;
        let mut stream = Stream::new(&self.labels, is_demoted);
        stream.attached.extend(self.metadata);
        Ok(stream.into())
    }
}
