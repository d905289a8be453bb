//! Pipelines: what is done to each line a selector selects.

mod columns;
mod decimal;
mod filters;
mod formats;
mod functions;
mod ip;
mod json;
mod logfmt;
mod moments;
mod parsers;
mod pattern;
mod state;

pub(crate) use columns::{Complicated, Source, Sources};
use filters::{LabelTest, LineTest};
use formats::LabelChange;
use json::Path;
use pattern::Pattern;
use reba_model::{GoRegex, Labels};
use reba_template::Template;

pub use formats::without_colors;
pub use parsers::Wanted;
pub use state::{ERROR, ERROR_DETAILS, LineState, Origin};

use crate::syntax::{Conversion, Extraction, LabelPick, ParseError, Stage, TOO_LARGE, Unwrap};

/// The functions of `line_format` for templates that run elsewhere than on the lines of a query; those that speak of a line
/// answer for an empty one.
pub fn template_functions() -> reba_template::Functions {
    functions::Tools::new().table
}

/// What is wrong with a stage, as upstream says it.
fn in_words(stage: &Stage, reason: &str) -> String {
    match stage {
        Stage::Regexp(_) => format!("invalid regexp parser: {reason}"),
        Stage::Pattern(_) => format!("invalid pattern parser: {reason}"),
        Stage::LineFormat(_) => format!("stage '{stage}' : invalid line template: {reason}"),
        _ => format!("stage '{stage}' : {reason}"),
    }
}

/// A pipeline ready to run. Immutable: threads share one.
#[derive(Clone, Debug)]
pub struct Pipeline {
    steps: Vec<Step>,
    wanted: Wanted,
    /// Time of the query, Unix nanoseconds, which templates may ask for.
    now_ns: i64,
}

#[derive(Clone, Debug)]
enum Step {
    Line(LineTest),
    Label(LabelTest),
    Json,
    JsonPaths(Vec<(String, Path)>),
    Logfmt { strict: bool, keep_empty: bool },
    LogfmtNames { strict: bool, extractions: Vec<Extraction> },
    Regexp(GoRegex),
    Pattern(Pattern),
    Unpack,
    LineFormat(Template),
    LabelFormat(Vec<LabelChange>),
    Drop(Vec<LabelPick>),
    Keep(Vec<LabelPick>),
    Decolorize,
}

impl Pipeline {
    /// Prepares the stages of a query. `wanted` are the labels that the rest of the query looks at, those that the stages look at
    /// included (see [`wanted_labels`](crate::wanted_labels)).
    ///
    /// # Errors
    /// A stage that makes no sense: an expression that does not compile, a pattern without captures, …
    pub fn compile(stages: &[Stage], wanted: Wanted, now_ns: i64) -> Result<Self, ParseError> {
        let mut steps = Vec::with_capacity(stages.len());
        for stage in stages {
            let step = Step::compile(stage);
            let step = step.map_err(|e| ParseError::whole(in_words(stage, &e)))?;
            steps.extend(step);
            if steps.iter().map(Step::regex_size).sum::<usize>() > GoRegex::MAX_TOGETHER {
                return Err(ParseError::whole(format!("stage '{stage}' : {TOO_LARGE}")));
            }
        }
        Ok(Pipeline { steps, wanted, now_ns })
    }

    /// Runs the stages over one line, in `state`; whether the line passes.
    pub fn run<'a>(
        &self,
        state: &mut LineState,
        stream: &Labels,
        (ns, line): (i64, &str),
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        self.run_with(state, stream, (ns, line), metadata, None)
    }

    /// Like [`Pipeline::run`]; with `found`, those are the values that the one plain parser finds in the line, which need not be
    /// there then.
    pub(crate) fn run_with<'a>(
        &self,
        state: &mut LineState,
        stream: &Labels,
        (ns, line): (i64, &str),
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
        found: Option<&[(&str, &str)]>,
    ) -> bool {
        // Filters on the raw line need no labels: most lines of a search end here.
        let first = self.steps.iter().take_while(|s| matches!(s, Step::Line(_))).count();
        for step in &self.steps[..first] {
            if let Step::Line(test) = step
                && !test.passes(line)
            {
                return false;
            }
        }
        state.begin(ns, stream, metadata);
        self.steps[first..].iter().all(|step| match (step, found) {
            (Step::Json | Step::Logfmt { .. }, Some(found)) => {
                for (name, value) in found {
                    state.found(name, value);
                }
                true
            }
            _ => self.step(step, state, line),
        })
    }

    fn step(&self, step: &Step, state: &mut LineState, line: &str) -> bool {
        let wanted = &self.wanted;
        match step {
            Step::Line(test) => return test.passes(state.line(line)),
            Step::Label(test) => return test.passes(state),
            Step::Json => parsers::json_all(state, line, wanted),
            Step::JsonPaths(paths) => parsers::json_paths(state, line, paths, wanted),
            Step::Logfmt { strict, keep_empty } => {
                parsers::logfmt_all(state, line, (*strict, *keep_empty), wanted);
            }
            Step::LogfmtNames { strict, extractions } => {
                parsers::logfmt_names(state, line, *strict, extractions, wanted);
            }
            Step::Regexp(regex) => parsers::regexp(state, line, regex, wanted),
            Step::Pattern(pattern) => parsers::pattern(state, line, pattern, wanted),
            Step::Unpack => parsers::unpack(state, line),
            Step::LineFormat(template) => formats::line_format(state, line, template, self.now_ns),
            Step::LabelFormat(changes) => formats::label_format(state, line, changes, self.now_ns),
            Step::Drop(picks) => formats::drop_labels(state, picks),
            Step::Keep(picks) => formats::keep_labels(state, picks),
            Step::Decolorize => formats::decolorize(state, line),
        }
        true
    }
}

impl Step {
    /// How large its expressions are, see [`GoRegex::size`].
    fn regex_size(&self) -> usize {
        match self {
            Step::Line(test) => test.regex_size(),
            // Its size is not known, but bounded.
            Step::Regexp(_) => GoRegex::MAX_TOGETHER / 20,
            _ => 0,
        }
    }

    /// The step of a stage; none for a stage that does nothing.
    fn compile(stage: &Stage) -> Result<Option<Self>, String> {
        Ok(Some(match stage {
            Stage::Line(filter) if filter.is_trivial() => return Ok(None),
            Stage::Line(filter) => Step::Line(LineTest::compile(filter)?),
            Stage::Label(filter) => Step::Label(LabelTest::compile(filter)?),
            Stage::Json(extractions) if extractions.is_empty() => Step::Json,
            Stage::Json(extractions) => Step::JsonPaths(parsers::compile_paths(extractions)?),
            Stage::Logfmt { strict, keep_empty, extractions } if extractions.is_empty() => {
                Step::Logfmt { strict: *strict, keep_empty: *keep_empty }
            }
            Stage::Logfmt { strict, extractions, .. } => {
                Step::LogfmtNames { strict: *strict, extractions: extractions.clone() }
            }
            Stage::Regexp(expression) => Step::Regexp(parsers::compile_regexp(expression)?),
            Stage::Pattern(pattern) => Step::Pattern(Pattern::parser(pattern)?),
            Stage::Unpack => Step::Unpack,
            Stage::LineFormat(template) => Step::LineFormat(formats::compile_template(template)?),
            Stage::LabelFormat(changes) => {
                Step::LabelFormat(changes.iter().map(LabelChange::compile).collect::<Result<_, _>>()?)
            }
            Stage::Drop(picks) => Step::Drop(picks.clone()),
            Stage::Keep(picks) => Step::Keep(picks.clone()),
            Stage::Decolorize => Step::Decolorize,
        }))
    }
}

/// `| unwrap …`, ready to run.
#[derive(Clone, Debug)]
pub struct Unwrapper {
    label: String,
    conversion: Conversion,
    filters: Vec<LabelTest>,
}

/// The error of a label that does not convert to a number.
const SAMPLE_ERROR: &str = "SampleExtractionErr";

impl Unwrapper {
    /// Prepares the stage.
    ///
    /// # Errors
    /// A filter behind it that makes no sense.
    pub fn compile(unwrap: &Unwrap) -> Result<Self, ParseError> {
        let filters = unwrap.filters.iter().map(LabelTest::compile).collect::<Result<_, _>>();
        let filters = filters.map_err(|e| ParseError::whole(format!("stage '{unwrap}' : {e}")))?;
        Ok(Unwrapper { label: unwrap.label.clone(), conversion: unwrap.conversion, filters })
    }

    /// The label whose value is the sample.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The number of a line that has passed the pipeline; none if it has no such label, or a filter behind drops it. A text that
    /// is no number leaves an error and counts as 0.
    pub fn run(&self, state: &mut LineState) -> Option<f64> {
        let text = state.get(&self.label).filter(|t| !t.is_empty())?;
        let value = self.number(text).unwrap_or_else(|details| {
            state.fail(SAMPLE_ERROR, details);
            0.0
        });
        self.filters.iter().all(|filter| filter.passes(state)).then_some(value)
    }
}
