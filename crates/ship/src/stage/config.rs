//! `pipeline_stages` of a configuration, made ready to run.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use reba_logql::{
    pipeline::{LineState, Pipeline as Query, Wanted},
    syntax,
};
use reba_model::{GoRegex, is_legacy_label_name, is_legacy_metric_name};

use super::{
    Pipeline, Stage, auto, extract,
    jmespath::Expression,
    join, labels,
    metrics::{Action, CustomMetrics, Spec},
    moment::{Format, Timestamp, zone},
    select, template,
};
use crate::yaml::{Fault, Kind, Node, Section, Units as _};

/// Stages that one pipeline may have, those inside of `match` counted.
const MAX_STAGES: usize = 1000;

/// How deeply `match` may stand inside `match`.
const MAX_NESTING: usize = 16;

/// What is gathered while a pipeline is read.
pub(crate) struct Reading<'a> {
    pub warnings: &'a mut Vec<Fault>,
    /// The metrics of its `metrics` stages.
    pub metrics: &'a mut Vec<Arc<CustomMetrics>>,
    /// Where the random choices of `sampling` begin.
    pub seed: u64,
    stages: usize,
    depth: usize,
}

impl<'a> Reading<'a> {
    pub fn new(warnings: &'a mut Vec<Fault>, metrics: &'a mut Vec<Arc<CustomMetrics>>, seed: u64) -> Self {
        Reading { warnings, metrics, seed, stages: 0, depth: 0 }
    }
}

type Built = Result<Stage, Fault>;

/// Reads a list of stages that stands under `key`.
pub(crate) fn pipeline(section: &Section<'_>, key: &str, cx: &mut Reading<'_>) -> Result<Pipeline, Fault> {
    let mut stages = Vec::new();
    cx.depth += 1;
    if cx.depth > MAX_NESTING {
        return Err(section.fault(key, format!("more than {MAX_NESTING} stages inside each other")));
    }
    for (path, node) in section.list(key)? {
        cx.stages += 1;
        if cx.stages > MAX_STAGES {
            return Err(Fault::new(node.at, path, format!("more than {MAX_STAGES} stages")));
        }
        let item = Section::new(node, path)?;
        let [(name, body)] = item.entries() else {
            return Err(Fault::new(item.at(), item.path(), "a stage is a map with exactly one key"));
        };
        let path = item.key(name);
        stages.push((path.clone(), stage(name, body, path, cx)?));
    }
    cx.depth -= 1;
    Ok(Pipeline::new(stages))
}

fn stage(name: &str, body: &Node, path: String, cx: &mut Reading<'_>) -> Built {
    // These are lists, or one text.
    if matches!(name, "labeldrop" | "labelallow") {
        let texts = names(body, &path)?;
        return Ok(if name == "labeldrop" { Stage::LabelDrop(texts) } else { Stage::LabelAllow(texts) });
    }
    let s = Section::new(body, path)?;
    let built = match name {
        "json" => json(&s),
        "logfmt" => logfmt(&s),
        "regex" => regex(&s),
        "replace" => replace(&s),
        "template" => template(&s),
        "timestamp" => timestamp(&s),
        "output" => required(&s, "source").map(|source| Stage::Output { source }),
        "labels" => return label_pairs(&s, true).map(Stage::Labels),
        "structured_metadata" | "non_indexed_labels" => return label_pairs(&s, false).map(Stage::Metadata),
        "static_labels" => return static_labels(&s),
        "tenant" => tenant(&s),
        "docker" => Ok(Stage::Docker(join::Docker::new())),
        "cri" => cri(&s),
        "match" => matching(&s, cx),
        "drop" => drop_stage(&s),
        "limit" => limit(&s),
        "sampling" => sampling(&s, cx),
        "multiline" => multiline(&s),
        "metrics" => return metrics(&s, cx),
        "pack" => pack(&s),
        "decolorize" => Ok(Stage::Decolorize),
        "eventlogmessage" => event_log_message(&s),
        "auto" => auto_stage(&s),
        "geoip" => {
            Err(Fault::new(s.at(), s.path(), "geoip is not supported: Reba ships no database of addresses"))
        }
        other => Err(Fault::new(s.at(), s.path(), format!("unknown stage {other:?}"))),
    }?;
    s.finish(cx.warnings);
    Ok(built)
}

fn required(s: &Section<'_>, key: &str) -> Result<String, Fault> {
    s.text(key)?.filter(|t| !t.is_empty()).ok_or_else(|| s.fault(key, format!("{key} is required")))
}

fn expression(s: &Section<'_>, key: &str) -> Result<Option<GoRegex>, Fault> {
    s.read(key, GoRegex::search)
}

fn required_expression(s: &Section<'_>, key: &str) -> Result<GoRegex, Fault> {
    required(s, key)?;
    expression(s, key)?.ok_or_else(|| s.fault(key, format!("{key} is required")))
}

fn names(body: &Node, path: &str) -> Result<Vec<String>, Fault> {
    let one = |node: &Node| {
        let text = node.text().filter(|t| !t.is_empty());
        text.map(str::to_owned).ok_or_else(|| Fault::new(node.at, path, "expected names of labels"))
    };
    match &body.kind {
        Kind::List(items) if !items.is_empty() => items.iter().map(one).collect(),
        // Upstream also takes a map from names to anything.
        Kind::Map(entries) => Ok(entries.iter().map(|(n, _)| n.clone()).collect()),
        _ => Ok(vec![one(body)?]),
    }
}

fn json(s: &Section<'_>) -> Built {
    let mut expressions = Vec::new();
    for (name, path) in s.text_map("expressions")? {
        let path = if path.is_empty() { &name } else { &path };
        // A name that is written alone may hold what only a quoted name may.
        let parsed = Expression::parse(path).map_err(|e| s.fault("expressions", e))?;
        expressions.push((name, parsed));
    }
    if expressions.is_empty() {
        return Err(s.fault("expressions", "JMES expression is required"));
    }
    let drop_malformed = s.bool("drop_malformed")?.unwrap_or(false);
    Ok(Stage::Json(extract::Json { expressions, source: s.text("source")?, drop_malformed }))
}

fn logfmt(s: &Section<'_>) -> Built {
    let mapping = s.text_map("mapping")?;
    if mapping.is_empty() {
        return Err(s.fault("mapping", "logfmt mapping is required"));
    }
    let mapping = mapping.into_iter().map(|(n, k)| (n.clone(), if k.is_empty() { n } else { k })).collect();
    Ok(Stage::Logfmt(extract::Logfmt { mapping, source: s.text("source")? }))
}

fn regex(s: &Section<'_>) -> Built {
    let expression = required_expression(s, "expression")?;
    if expression.named_groups().next().is_none() {
        return Err(s.fault("expression", "at least one group must have a name: (?P<name>…)"));
    }
    Ok(Stage::Regex(extract::Regex { expression, source: s.text("source")? }))
}

fn replace(s: &Section<'_>) -> Built {
    let expression = required_expression(s, "expression")?;
    if expression.groups() == 0 {
        return Err(s.fault("expression", "the expression needs a group, which is what is replaced"));
    }
    let text = s.text("replace")?.unwrap_or_default();
    let replace = template::Text::parse(&text).map_err(|e| s.fault("replace", e))?;
    Ok(Stage::Replace(template::Replace { expression, source: s.text("source")?, replace }))
}

fn template(s: &Section<'_>) -> Built {
    let source = required(s, "source")?;
    let text = required(s, "template")?;
    let template = template::Text::parse(&text).map_err(|e| s.fault("template", e))?;
    Ok(Stage::Template(template::TemplateStage { source, template }))
}

fn timestamp(s: &Section<'_>) -> Built {
    let source = required(s, "source")?;
    let format = required(s, "format")?;
    let mut formats = vec![Format::parse(&format)];
    formats.extend(s.texts("fallback_formats")?.iter().map(|f| Format::parse(f)));
    let name = s.text("location")?.unwrap_or_default();
    let zone = zone(&name).ok_or_else(|| s.fault("location", format!("unknown time zone {name}")))?;
    let fudge = match s.text("action_on_failure")?.as_deref() {
        None | Some("" | "fudge") => true,
        Some("skip") => false,
        Some(other) => {
            return Err(s.fault("action_on_failure", format!("{other:?} is neither fudge nor skip")));
        }
    };
    Ok(Stage::Timestamp(Timestamp::new(&source, formats, zone, fudge)))
}

/// Pairs of a name and the value it is filled from, which has the same name unless it is said.
fn label_pairs(s: &Section<'_>, strict: bool) -> Result<Vec<(String, String)>, Fault> {
    let pairs = s.all_texts()?;
    if pairs.is_empty() {
        return Err(Fault::new(s.at(), s.path(), "at least one label is required"));
    }
    if let Some((name, _)) = pairs.iter().find(|(n, _)| strict && !is_legacy_label_name(n)) {
        return Err(s.fault(name, format!("invalid label name: {name}")));
    }
    Ok(pairs.into_iter().map(|(n, v)| (n.clone(), if v.is_empty() { n } else { v })).collect())
}

fn static_labels(s: &Section<'_>) -> Built {
    let pairs = s.all_texts()?;
    if let Some((name, _)) = pairs.iter().find(|(n, _)| !is_legacy_label_name(n)) {
        return Err(s.fault(name, format!("invalid label name: {name}")));
    }
    Ok(Stage::StaticLabels(pairs))
}

fn tenant(s: &Section<'_>) -> Built {
    let (label, source, value) = (s.text("label")?, s.text("source")?, s.text("value")?);
    Ok(Stage::Tenant(match (label, source, value) {
        (Some(label), None, None) => labels::TenantFrom::Label(label),
        (None, Some(source), None) => labels::TenantFrom::Source(source),
        (None, None, Some(value)) => labels::TenantFrom::Value(value),
        _ => {
            let reason = "exactly one of label, source and value is required";
            return Err(Fault::new(s.at(), s.path(), reason));
        }
    }))
}

fn cri(s: &Section<'_>) -> Built {
    let lines = s.number("max_partial_lines")?.unwrap_or(100);
    let bytes = s.bytes("max_partial_line_size")?.unwrap_or(0);
    let cut = s.bool("max_partial_line_size_truncate")?.unwrap_or(false);
    Ok(Stage::Cri(join::Cri::new(lines, if cut { bytes as usize } else { 0 })))
}

fn reason(s: &Section<'_>, default: &str) -> Result<Arc<str>, Fault> {
    Ok(Arc::from(s.text("drop_counter_reason")?.filter(|r| !r.is_empty()).as_deref().unwrap_or(default)))
}

fn matching(s: &Section<'_>, cx: &mut Reading<'_>) -> Built {
    let selector = required(s, "selector")?;
    let parsed = syntax::parse_log(&selector).map_err(|e| s.fault("selector", e))?;
    let query = Query::compile(&parsed.stages, Wanted::All, 0).map_err(|e| s.fault("selector", e))?;
    s.text("pipeline_name")?;
    let reason = reason(s, "match_stage")?;
    let has_stages = s.get("stages").is_some();
    let then = match s.text("action")?.as_deref() {
        None | Some("" | "keep") if !has_stages => {
            return Err(s.fault("stages", "match stage requires at least one stage, or action drop"));
        }
        None | Some("" | "keep") => Ok(pipeline(s, "stages", cx)?),
        Some("drop") if has_stages => return Err(s.fault("stages", "stages are not allowed with drop")),
        Some("drop") => Err(reason),
        Some(other) => return Err(s.fault("action", format!("{other:?} is neither keep nor drop"))),
    };
    Ok(Stage::Match(select::Match { matchers: parsed.matchers, query, state: LineState::default(), then }))
}

fn drop_stage(s: &Section<'_>) -> Built {
    let source = s.texts("source")?;
    let (expression, value) = (expression(s, "expression")?, s.text("value")?);
    if value.is_some() && (source.is_empty() || expression.is_some()) {
        return Err(s.fault("value", "value needs a source, and excludes an expression"));
    }
    let (older_than, longer_than) = (s.duration("older_than")?, s.bytes("longer_than")?);
    if source.is_empty() && expression.is_none() && older_than.is_none() && longer_than.is_none() {
        let reason = "drop stage needs one of source, expression, older_than and longer_than";
        return Err(Fault::new(s.at(), s.path(), reason));
    }
    let separator = s.text("separator")?.filter(|t| !t.is_empty()).unwrap_or_else(|| ";".to_owned());
    let reason = reason(s, "drop_stage")?;
    Ok(Stage::Drop(select::Drop { source, separator, expression, value, older_than, longer_than, reason }))
}

fn limit(s: &Section<'_>) -> Built {
    let positive = |key: &str| -> Result<f64, Fault> {
        let value: f64 = s.number(key)?.unwrap_or(0.0);
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(s.fault(key, "must be above 0")) }
    };
    let drop = s.bool("drop")?.unwrap_or(false);
    let by_label = s.text("by_label_name")?.filter(|l| !l.is_empty());
    if by_label.is_some() && !drop {
        return Err(s.fault("by_label_name", "when it is set, drop must be true"));
    }
    Ok(Stage::Limit(select::Limit {
        rate: positive("rate")?,
        burst: positive("burst")?,
        drop,
        by_label,
        max_distinct: s.number("max_distinct_labels")?.unwrap_or(0).clamp(10_000, 1_000_000),
        reason: Arc::from("ratelimit_drop_stage"),
        whole: None,
        by_value: HashMap::new(),
    }))
}

fn sampling(s: &Section<'_>, cx: &mut Reading<'_>) -> Built {
    let rate: f64 = s.number("rate")?.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&rate) {
        return Err(s.fault("rate", "must be between 0 and 1"));
    }
    cx.seed = cx.seed.wrapping_add(1);
    let dice = SmallRng::seed_from_u64(cx.seed);
    Ok(Stage::Sampling(select::Sampling { rate, dice, reason: reason(s, "sampling_stage")? }))
}

fn multiline(s: &Section<'_>) -> Built {
    let firstline = required_expression(s, "firstline")?;
    let max_lines = s.number("max_lines")?.filter(|n| *n > 0).unwrap_or(128);
    let wait = s.duration("max_wait_time")?.unwrap_or(Duration::from_secs(3));
    Ok(Stage::Multiline(join::Multiline { firstline, blocks: join::Blocks::new(max_lines, wait) }))
}

fn metrics(s: &Section<'_>, cx: &mut Reading<'_>) -> Built {
    let mut specs = Vec::new();
    for (name, node) in s.entries() {
        let metric = Section::new(node, s.key(name))?;
        specs.push(metric_spec(name, &metric, cx)?);
        metric.finish(cx.warnings);
    }
    let metrics = Arc::new(CustomMetrics::new(specs));
    cx.metrics.push(Arc::clone(&metrics));
    Ok(Stage::Metrics(metrics))
}

fn metric_spec(name: &str, s: &Section<'_>, cx: &mut Reading<'_>) -> Result<Spec, Fault> {
    let prefix = s.text("prefix")?.filter(|p| !p.is_empty());
    let full = format!("{}{name}", prefix.as_deref().unwrap_or("promtail_custom_"));
    if !is_legacy_metric_name(&full) {
        return Err(Fault::new(s.at(), s.path(), format!("{full:?} is no name of a metric")));
    }
    let empty = Node { at: s.at(), kind: Kind::Map(Vec::new()) };
    let config = Section::new(s.get("config").unwrap_or(&empty), s.key("config"))?;
    let kind = match required(s, "type")?.to_lowercase().as_str() {
        "counter" => "counter",
        "gauge" => "gauge",
        "histogram" => "histogram",
        other => return Err(s.fault("type", format!("{other:?} is neither Counter, Gauge nor Histogram"))),
    };
    let (match_all, action) = action(kind, &config)?;
    let spec = Spec {
        name: full,
        kind,
        description: s.text("description")?.unwrap_or_default(),
        source: s.text("source")?.filter(|t| !t.is_empty()).unwrap_or_else(|| name.to_owned()),
        value: config.text("value")?,
        match_all,
        action,
        max_idle: s.duration("max_idle_duration")?.unwrap_or(Duration::from_secs(300)),
    };
    config.finish(cx.warnings);
    Ok(spec)
}

fn action(kind: &str, s: &Section<'_>) -> Result<(bool, Action), Fault> {
    if kind == "histogram" {
        let bounds = s.texts("buckets")?;
        let bounds: Option<Vec<f64>> = bounds.iter().map(|b| b.trim().parse().ok()).collect();
        let bounds = bounds.ok_or_else(|| s.fault("buckets", "expected numbers"))?;
        if bounds.windows(2).any(|w| w[0] >= w[1]) {
            return Err(s.fault("buckets", "upper bounds must rise"));
        }
        let default = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        return Ok((false, Action::Observe(if bounds.is_empty() { default.to_vec() } else { bounds })));
    }
    let match_all = s.bool("match_all")?.unwrap_or(false);
    let bytes = s.bool("count_entry_bytes")?.unwrap_or(false);
    let action = match (kind, s.text("action")?.unwrap_or_default().to_lowercase().as_str()) {
        ("counter", "add") if bytes && match_all => Action::AddBytes,
        (_, "inc") => Action::Inc,
        (_, "add") => Action::Add,
        ("gauge", "dec") => Action::Dec,
        ("gauge", "sub") => Action::Sub,
        ("gauge", "set") => Action::Set,
        (_, other) => return Err(s.fault("action", format!("a {kind} has no action {other:?}"))),
    };
    if bytes && action != Action::AddBytes {
        return Err(s.fault("count_entry_bytes", "needs match_all and the action add"));
    }
    Ok((match_all, action))
}

fn pack(s: &Section<'_>) -> Built {
    let labels = s.texts("labels")?;
    Ok(Stage::Pack(labels::Pack { labels, ingest_timestamp: s.bool("ingest_timestamp")?.unwrap_or(true) }))
}

fn event_log_message(s: &Section<'_>) -> Built {
    Ok(Stage::EventLogMessage(labels::EventLogMessage {
        source: s.text("source")?.unwrap_or_else(|| "message".to_owned()),
        overwrite_existing: s.bool("overwrite_existing")?.unwrap_or(false),
        drop_invalid_labels: s.bool("drop_invalid_labels")?.unwrap_or(false),
    }))
}

fn auto_stage(s: &Section<'_>) -> Built {
    let join_traces = s.bool("join_traces")?.unwrap_or(true);
    let times = s.bool("timestamps")?.unwrap_or(true);
    auto::Auto::new(join_traces, times).map(Stage::Auto).map_err(|e| Fault::new(s.at(), s.path(), e))
}
