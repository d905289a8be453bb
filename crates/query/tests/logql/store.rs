//! A store that does everything that a store may do: it leaves out rows for which a condition is certainly false, serves the
//! values of parsers as columns of every kind, and no line that it need not.

use std::{ops::ControlFlow, sync::Arc};

use reba_logql::{
    pipeline::{LineState, Pipeline, Wanted},
    syntax::Stage,
};
use reba_model::{Column, Labels, LogBlock, Matcher, NanoRange, Tenant, TextColumn, float};
use reba_storage::{
    Budget, Comparison, Condition, Extract, LineParser, LogCounter, LogHead, LogQuerier, LogRequest, LogScan,
    LogWant, MetadataWant, QueryError, ScanStats, StreamInfo, TextTest, ValueForm,
};
use reba_testkit::MemLogStore;

#[derive(Clone, Default)]
pub struct ColumnStore {
    pub inner: Arc<MemLogStore>,
}

/// Rows of a block, so that a few rows make several blocks.
const ROWS: usize = 3;

impl LogQuerier for ColumnStore {
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError> {
        let everything = LogWant::everything();
        let inner = self.inner.scan_logs(&LogRequest { want: &everything, ..request.clone() })?;
        let want = request.want.clone();
        let scan = |inner| Box::new(ColumnScan { inner, want: want.clone() }) as Box<dyn LogScan>;
        Ok(inner.into_iter().map(scan).collect())
    }

    fn streams(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError> {
        self.inner.streams(tenant, sets, range, budget)
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.inner.tenants()
    }
}

struct ColumnScan {
    inner: Box<dyn LogScan>,
    want: LogWant,
}

impl LogScan for ColumnScan {
    fn range(&self) -> NanoRange {
        self.inner.range()
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let want = self.want;
        self.inner.run(&mut |block| {
            let rows: Vec<usize> =
                (0..block.times.len()).filter(|row| may_matter(&block, *row, &want.conditions)).collect();
            for rows in rows.chunks(ROWS) {
                visit(served(&block, rows, &want))?;
            }
            ControlFlow::Continue(())
        })
    }

    fn run_counting(self: Box<Self>, counter: &mut dyn LogCounter) -> Result<ScanStats, QueryError> {
        let want = self.want;
        self.inner.run(&mut |block| {
            let rows: Vec<usize> = (0..block.times.len()).collect();
            for rows in rows.chunks(ROWS) {
                if !counter.count(&head(&block, rows, counter.wants_line_bytes())) {
                    counter.visit(served(&block, rows, &want))?;
                }
            }
            ControlFlow::Continue(())
        })
    }
}

/// Three rows, as far as a store knows them without reading them.
fn head<'b>(block: &'b LogBlock, rows: &[usize], line_bytes: bool) -> LogHead<'b> {
    let sizes = || rows.iter().map(|row| line(block, *row).len() as u64);
    LogHead {
        stream: &block.stream,
        rows: rows.len() as u64,
        line_bytes: line_bytes.then(|| sizes().sum()),
        first_ns: block.times[rows[0]],
        last_ns: block.times[rows[rows.len() - 1]],
    }
}

fn may_matter(block: &LogBlock, row: usize, conditions: &[Condition]) -> bool {
    conditions.iter().all(|c| !certainly_false(block, row, c))
}

fn line(block: &LogBlock, row: usize) -> &str {
    block.lines.as_ref().unwrap().get(row).unwrap()
}

fn certainly_false(block: &LogBlock, row: usize, condition: &Condition) -> bool {
    match condition {
        Condition::Line(test) => !holds(test, line(block, row)),
        Condition::Label { name, parser, test } => match label(block, row, name, *parser) {
            Ok(value) => !holds(test, value.as_deref().unwrap_or("")),
            Err(Refused) => false,
        },
        Condition::Number { name, parser, comparison, value } => match label(block, row, name, *parser) {
            Ok(None) => true,
            Ok(Some(text)) => float::parse_go(&text).is_some_and(|n| !compares(*comparison, n, *value)),
            Err(Refused) => false,
        },
        Condition::Any(all) => all.iter().all(|c| certainly_false(block, row, c)),
        Condition::All(all) => all.iter().any(|c| certainly_false(block, row, c)),
    }
}

fn holds(test: &TextTest, text: &str) -> bool {
    match test {
        TextTest::Contains(s) => text.contains(s.as_str()),
        TextTest::ContainsFold(s) => text.to_ascii_lowercase().contains(&s.to_ascii_lowercase()),
        TextTest::NotContains(s) => !text.contains(s.as_str()),
        TextTest::Equals(s) => text == s,
        TextTest::NotEquals(s) => text != s,
        TextTest::Matches(regex) => regex.is_match(text),
        TextTest::NotMatches(regex) => !regex.is_match(text),
    }
}

fn compares(comparison: Comparison, a: f64, b: f64) -> bool {
    match comparison {
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
        Comparison::Less => a < b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Greater => a > b,
        Comparison::GreaterOrEqual => a >= b,
    }
}

/// The parser refuses the line.
struct Refused;

/// The value of a label behind a parser.
fn label(
    block: &LogBlock,
    row: usize,
    name: &str,
    parser: Option<LineParser>,
) -> Result<Option<String>, Refused> {
    if let Some(value) = block.stream.get(name) {
        return Ok(Some(value.to_owned()));
    }
    let metadata = block.metadata.iter().find(|(n, _)| &**n == name).and_then(|(_, c)| c.get(row));
    if let Some(value) = metadata {
        return Ok(Some(value.to_owned()));
    }
    match parser {
        None => Ok(None),
        Some(parser) => Ok(parsed(line(block, row), parser)?.get(name).map(str::to_owned)),
    }
}

/// What the language's own parser finds in a line.
fn parsed(line: &str, parser: LineParser) -> Result<Labels, Refused> {
    let stage = match parser {
        LineParser::Json => Stage::Json(Vec::new()),
        LineParser::Logfmt => Stage::Logfmt { strict: false, keep_empty: false, extractions: Vec::new() },
    };
    let pipeline = Pipeline::compile(&[stage], Wanted::All, 0).unwrap();
    let mut state = LineState::default();
    pipeline.run(&mut state, &Labels::empty(), (0, line), []);
    if state.error().is_some() {
        return Err(Refused);
    }
    Ok(state.final_labels())
}

/// The rows as they are asked for.
fn served(block: &LogBlock, rows: &[usize], want: &LogWant) -> LogBlock {
    let wanted = |name: &str| match &want.metadata {
        MetadataWant::All => true,
        MetadataWant::Names(names) => names.iter().any(|n| n == name),
    };
    let metadata = block.metadata.iter().filter(|(name, _)| wanted(name));
    let extracted = want.extract.as_ref().and_then(|extract| extracted(block, rows, extract));
    let needs_lines = want.lines || (want.extract.is_some() && extracted.is_none());
    LogBlock {
        stream: block.stream.clone(),
        times: rows.iter().map(|row| block.times[*row]).collect(),
        lines: needs_lines.then(|| TextColumn::plain(rows.iter().map(|row| line(block, *row)))),
        metadata: metadata
            .map(|(name, column)| {
                let texts: Vec<Option<&str>> = rows.iter().map(|row| column.get(*row)).collect();
                (Arc::clone(name), text_column(&texts))
            })
            .collect(),
        extracted,
    }
}

fn extracted(block: &LogBlock, rows: &[usize], extract: &Extract) -> Option<Vec<Column>> {
    let found: Vec<Option<Labels>> =
        rows.iter().map(|row| parsed(line(block, *row), extract.parser).ok()).collect();
    let found: Vec<Labels> = found.into_iter().collect::<Option<_>>()?;
    let column = |(name, form): &(String, ValueForm)| {
        let texts: Vec<Option<&str>> = found.iter().map(|labels| labels.get(name)).collect();
        let numbers: Option<Vec<f64>> = texts.iter().map(|t| t.map_or(Some(0.0), float::parse_go)).collect();
        match numbers {
            Some(values) if *form == ValueForm::Number => Column::Number {
                values,
                present: texts
                    .iter()
                    .any(Option::is_none)
                    .then(|| texts.iter().map(Option::is_some).collect()),
            },
            _ => Column::Text(text_column(&texts)),
        }
    };
    Some(extract.names.iter().map(column).collect())
}

/// A column of the kind that its texts ask for.
fn text_column(texts: &[Option<&str>]) -> TextColumn {
    let all: Option<Vec<&str>> = texts.iter().copied().collect();
    match all.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|t| t == first) => {
            TextColumn::Const { value: Arc::from(*first), rows: texts.len() }
        }
        Some(all) if all.iter().collect::<std::collections::BTreeSet<_>>().len() == all.len() => {
            TextColumn::plain(all.iter().copied())
        }
        _ => {
            let mut values: Vec<Arc<str>> = Vec::new();
            let mut code = |text: &str| {
                let at = values.iter().position(|v| &**v == text);
                at.unwrap_or_else(|| {
                    values.push(Arc::from(text));
                    values.len() - 1
                }) as u32
            };
            let codes = texts.iter().map(|t| t.map_or(TextColumn::ABSENT, &mut code)).collect();
            TextColumn::Dict { values, codes }
        }
    }
}
