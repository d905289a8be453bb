//! Scripts of our own, in the manner of upstream's for the other two languages: spans are loaded, queries evaluated,
//! answers compared. The language of the scripts is told in `scripts/README.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use reba_model::spans::{
    AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanEvent, SpanId, SpanKind, SpanLink,
    SpanStatus, TraceId,
};
use reba_testkit::files_with_extension;
use reba_traceql::{
    EvalOptions, Grid, MetricSeries, MetricsEval, MetricsLimits, Search, Trace,
    syntax::{Static, parse_valid},
    units::parse_duration,
};

#[derive(Default)]
struct Store(BTreeMap<TraceId, Vec<Span>>);

/// Words between blanks; blanks inside quotes and brackets do not count.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut depth) = (Vec::new(), String::new(), false, 0);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c == ' ' && !quoted && depth == 0 {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    words.extend(Some(word).filter(|w| !w.is_empty()));
    words
}

fn time(text: &str) -> i64 {
    match text.strip_prefix('-') {
        Some(ahead) => -parse_duration(ahead).unwrap_or_else(|| panic!("no time: {text}")),
        None => parse_duration(text).unwrap_or_else(|| panic!("no time: {text}")),
    }
}

fn value(text: &str) -> AttributeValue {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.trim_end_matches(']');
        return AttributeValue::Array(inner.split(',').map(str::trim).map(value).collect());
    }
    if let Some(inner) = text.strip_prefix('"') {
        return AttributeValue::Str(inner.trim_end_matches('"').to_owned());
    }
    match text {
        "true" | "false" => AttributeValue::Bool(text == "true"),
        _ => text
            .parse()
            .map(AttributeValue::Int)
            .or_else(|_| text.parse().map(AttributeValue::Float))
            .unwrap(),
    }
}

impl Store {
    /// `TRACE ID PARENT SERVICE NAME START DURATION key=value…`
    fn load(&mut self, line: &str) {
        let words = words(line);
        let [trace, id, parent, service, name, start, duration, rest @ ..] = &words[..] else {
            panic!("no span: {line}");
        };
        let (mut resource, mut scope) = (Attributes::default(), InstrumentationScope::default());
        if service != "-" {
            resource.0.push(("service.name".to_owned(), AttributeValue::Str(service.clone())));
        }
        let mut span = Span {
            trace_id: TraceId::from_hex(trace).unwrap(),
            span_id: SpanId::from_hex(id).unwrap(),
            parent_id: if parent == "-" { SpanId::NONE } else { SpanId::from_hex(parent).unwrap() },
            name: name.trim_matches('"').to_owned(),
            start_ns: time(start),
            ..Span::default()
        };
        span.end_ns = span.start_ns + time(duration);
        for word in rest {
            let (key, text) = word.split_once('=').unwrap_or_else(|| panic!("no attribute: {word}"));
            let plain = text.trim_matches('"').to_owned();
            let (scope_of, key) = key.split_once('.').unwrap_or((key, ""));
            match (scope_of, key.trim_matches('"')) {
                ("kind", _) => span.kind = SpanKind::ALL.into_iter().find(|k| k.as_str() == plain).unwrap(),
                ("status", _) => {
                    span.status = SpanStatus::ALL.into_iter().find(|s| s.as_str() == plain).unwrap();
                }
                ("message", _) => span.status_message = plain,
                ("library", _) => scope.name = plain,
                ("version", _) => scope.version = plain,
                ("event", "") => {
                    let (name, after) = plain.split_once('@').unwrap();
                    let ns = span.start_ns + time(after);
                    span.events.push(SpanEvent { ns, name: name.to_owned(), ..SpanEvent::default() });
                }
                ("event", key) => {
                    span.events.last_mut().unwrap().attributes.0.push((key.to_owned(), value(text)));
                }
                ("link", "") => {
                    let (trace, id) = plain.split_once('/').unwrap();
                    let (trace_id, span_id) =
                        (TraceId::from_hex(trace).unwrap(), SpanId::from_hex(id).unwrap());
                    span.links.push(SpanLink { trace_id, span_id, ..SpanLink::default() });
                }
                ("link", key) => {
                    span.links.last_mut().unwrap().attributes.0.push((key.to_owned(), value(text)));
                }
                ("resource", key) => resource.0.push((key.to_owned(), value(text))),
                ("library_attribute", key) => scope.attributes.0.push((key.to_owned(), value(text))),
                ("span", key) => span.attributes.0.push((key.to_owned(), value(text))),
                _ => panic!("no attribute: {word}"),
            }
        }
        span.resource = Arc::new(Resource { attributes: resource });
        span.scope = Arc::new(scope);
        self.0.entry(span.trace_id).or_default().push(span);
    }

    fn traces(&self) -> impl Iterator<Item = Trace> {
        self.0.values().map(|spans| Trace::new(spans.clone()))
    }

    /// A line for each trace: its id, then its spansets with `|` between them.
    fn search(&self, query: &str, options: &EvalOptions) -> Result<Vec<String>, String> {
        let query = parse_valid(query).map_err(|e| e.to_string())?;
        let search = Search::new(&query, options).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        for trace in self.traces() {
            let Some(found) = search.run(&trace).map_err(|e| e.to_string())? else { continue };
            let short = |id: String| id.trim_start_matches('0').to_owned();
            let attributes = |list: &[(String, Static)]| match list {
                [] => String::new(),
                _ => {
                    let list: Vec<String> =
                        list.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
                    format!("{{{}}}", list.join(", "))
                }
            };
            let sets: Vec<String> = found
                .spansets
                .iter()
                .map(|set| {
                    assert!(set.matched >= set.spans.len());
                    let mut spans: Vec<String> = Vec::new();
                    spans.extend(Some(attributes(&set.attributes)).filter(|a| !a.is_empty()));
                    for span in &set.spans {
                        spans.push(short(span.span_id.to_string()) + &attributes(&span.attributes));
                    }
                    spans.join(" ")
                })
                .collect();
            out.push(format!("{}: {}", short(found.trace_id.to_string()), sets.join(" | ")));
        }
        Ok(out)
    }

    /// A line for each series: its labels, then its points. The same answer must come out of one evaluation and of two
    /// that are merged.
    fn range(
        &self,
        query: &str,
        times: &[String],
        options: &EvalOptions,
    ) -> Result<Vec<MetricSeries>, String> {
        let query = parse_valid(query).map_err(|e| e.to_string())?;
        let [start, end, step] = times else { panic!("no range: {times:?}") };
        let grid = Grid::range(time(start), time(end), time(step)).map_err(|e| e.to_string())?;
        let limits = MetricsLimits { max_series: 100, max_points: 0, exemplars: 2 };
        let new = || MetricsEval::new(&query, grid, options, limits).map_err(|e| e.to_string());
        let (mut whole, mut parts) = (new()?, [new()?, new()?]);
        for (i, trace) in self.traces().enumerate() {
            whole.feed(&trace).map_err(|e| e.to_string())?;
            parts[i % 2].feed(&trace).map_err(|e| e.to_string())?;
        }
        let [mut first, second] = parts;
        first.merge(second);
        let (whole, merged) = (whole.finish(), first.finish());
        let points = |series: &[MetricSeries]| -> Vec<_> {
            series.iter().map(|s| (s.labels.clone(), s.points.clone())).collect()
        };
        assert_eq!(points(&whole), points(&merged), "{query}: merged parts give another answer");
        Ok(whole)
    }
}

/// A value as scripts write it: texts in quotes.
fn quoted(value: &Static) -> String {
    match value {
        Static::Str(text) => format!("{text:?}"),
        Static::Many(values) => format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn line_of(series: &MetricSeries) -> String {
    let labels: Vec<String> =
        series.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    let point = |point: &Option<f64>| match point {
        // Nine digits: sums of floats may differ in the last ones.
        Some(v) => format!("{}", (v * 1e9).round() / 1e9),
        None => "_".to_owned(),
    };
    let points: Vec<String> = series.points.iter().map(point).collect();
    format!("{{{}}} {}", labels.join(", "), points.join(" "))
}

fn run(name: &str, text: &str) {
    let mut store = Store::default();
    let mut options = EvalOptions { anchored_regex: true, spans_per_spanset: 0 };
    let mut lines =
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')).peekable();
    let (mut evaluated, mut faults) = (0, Vec::new());
    while let Some((number, line)) = lines.next() {
        let mut block = Vec::new();
        while let Some((_, inner)) = lines.next_if(|(_, l)| l.starts_with(' ')) {
            block.push(inner.trim().to_owned());
        }
        let place = format!("{name}:{} {line}", number + 1);
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "clear" => store = Store::default(),
            "load" => block.iter().for_each(|line| store.load(line)),
            "set" => match rest {
                "anchored" => options.anchored_regex = true,
                "unanchored" => options.anchored_regex = false,
                _ => options.spans_per_spanset = rest.strip_prefix("spans ").unwrap().parse().unwrap(),
            },
            "search" => {
                let answer = store.search(rest, &options);
                if answer.as_ref() != Ok(&block) {
                    faults.push(format!("{place}: {answer:#?}"));
                }
                evaluated += 1;
            }
            "range" => {
                let mut parts = rest.splitn(4, ' ').map(str::to_owned);
                let times: Vec<String> = parts.by_ref().take(3).collect();
                let answer = store.range(&parts.next().unwrap(), &times, &options);
                let answer = answer.unwrap_or_else(|e| panic!("{place}: {e}"));
                let mut found: Vec<String> = answer.iter().map(line_of).collect();
                found.sort();
                block.sort();
                if found != block {
                    faults.push(format!("{place}: {found:#?}"));
                }
                evaluated += 1;
            }
            "fails" => {
                let error = store.search(rest, &options).expect_err(&place);
                assert_eq!(vec![error], block, "{place}");
                evaluated += 1;
            }
            _ => panic!("{place}: unknown command"),
        }
    }
    assert!(evaluated > 0, "{name} evaluates nothing");
    assert!(faults.is_empty(), "{} of {evaluated} give another answer:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_script_gives_the_answers_it_names() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let scripts = files_with_extension(&dir, "traceqltest").unwrap();
    assert!(scripts.len() >= 5);
    for (name, text) in scripts {
        run(&name, &text);
    }
}

#[test]
fn exemplars_name_the_spans_behind_a_series() {
    let mut store = Store::default();
    store.load("1 a - shop get 1s 2s");
    store.load("1 b a shop sql 1s 5s");
    store.load("2 c - shop get 12s 1s");
    let options = EvalOptions::default();
    let times = ["0s", "20s", "10s"].map(str::to_owned);
    let series = store.range("{} | max_over_time(duration)", &times, &options).unwrap();
    let shown: Vec<_> = series[0].exemplars.iter().map(|e| (e.span_id.0[7], e.value)).collect();
    assert_eq!(shown, [(0xb, 5.0), (0xc, 1.0)]);
    let series = store.range("{} | count_over_time()", &times, &options).unwrap();
    let shown: Vec<_> = series[0].exemplars.iter().map(|e| (e.span_id.0[7], e.value)).collect();
    assert_eq!(shown, [(0xa, 2.0), (0xc, 1.0)]);
    assert_eq!(reba_traceql::prom_labels(&series[0].labels), "{__name__=\"count_over_time\"}");
}

#[test]
fn a_trace_without_its_root_says_so_and_counts_by_service() {
    let mut store = Store::default();
    store.load("1 a 9 shop get 1s 2s status=error");
    store.load("1 b a bank pay 2s 3s");
    let query = parse_valid("{}").unwrap();
    let search = Search::new(&query, &EvalOptions::default()).unwrap();
    let found = search.run(&store.traces().next().unwrap()).unwrap().unwrap();
    assert_eq!(found.root_service, "<root span not yet received>");
    assert_eq!((found.start_ns, found.duration_ns), (1_000_000_000, 4_000_000_000));
    assert_eq!(
        (found.services["shop"].spans, found.services["shop"].errors, found.services["bank"].errors),
        (1, 1, 0)
    );
}

#[test]
fn spans_of_series_beyond_the_limit_are_left_out_and_that_is_said() {
    let mut store = Store::default();
    for id in ["a", "b", "c"] {
        store.load(&format!("1 {id} - shop {id} 1s 2s"));
    }
    let grid = Grid::range(0, 20_000_000_000, 10_000_000_000).unwrap();
    for (query, limits, series) in [
        ("{} | rate() by (name)", (2, 0), 2),
        ("{} | rate() by (name)", (0, 4), 2),
        ("{} | rate() by (name)", (3, 6), 3),
        ("{} | compare({})", (2, 0), 2),
    ] {
        let limits = MetricsLimits { max_series: limits.0, max_points: limits.1, exemplars: 0 };
        let query = parse_valid(query).unwrap();
        let mut eval = MetricsEval::new(&query, grid, &EvalOptions::default(), limits).unwrap();
        store.traces().for_each(|trace| eval.feed(&trace).unwrap());
        assert_eq!(eval.is_truncated(), series < 3, "{query}");
        assert_eq!(eval.finish().len(), series, "{query}");
    }
}
