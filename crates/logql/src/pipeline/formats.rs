//! The stages that make new lines and labels: `line_format`, `label_format`, `drop`, `keep`, `decolorize`.

use reba_template::{Limits, MissingKey, Options, Template, Value};

use super::{functions::Tools, state::LineState};
use crate::syntax::{LabelFormat, LabelPick};

/// The error of a template that fails.
const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// One template may not hold up a query over millions of lines.
const OPTIONS: Options = Options {
    missing_key: MissingKey::Zero,
    limits: Limits { output_bytes: 1 << 20, steps: 100_000, depth: 50 },
};

/// A template of a stage.
pub(super) fn compile_template(source: &str) -> Result<Template, String> {
    Template::parse("line", source, &Tools::new().table).map_err(|e| e.to_string())
}

/// Labels as a template sees them.
fn label_values(state: &LineState) -> Value {
    Value::string_map(state.labels().map(|(name, value, _)| (name, value)))
}

fn execute(template: &Template, data: &Value, tools: &Tools) -> Result<String, String> {
    template.execute(data, &tools.table, &OPTIONS).map_err(|e| e.to_string())
}

/// `| line_format "…"`: the line stays if the template fails.
pub(super) fn line_format(state: &mut LineState, original: &str, template: &Template, now_ns: i64) {
    let tools = state.take_tools();
    tools.tell(state, original, now_ns);
    match execute(template, &label_values(state), &tools) {
        Ok(line) => state.set_line(&line),
        Err(details) => state.fail(TEMPLATE_ERROR, details),
    }
    state.give_back(tools);
}

/// One part of `label_format`, ready to run.
#[derive(Clone, Debug)]
pub(super) enum LabelChange {
    Rename { to: String, from: String },
    Template { to: String, template: Template },
}

impl LabelChange {
    pub(super) fn compile(format: &LabelFormat) -> Result<Self, String> {
        Ok(match format {
            LabelFormat::Rename { to, from } => LabelChange::Rename { to: to.clone(), from: from.clone() },
            LabelFormat::Template { to, template } => {
                LabelChange::Template { to: to.clone(), template: compile_template(template)? }
            }
        })
    }
}

/// `| label_format a=b, c="…"`: in the order written; all templates see the labels as they were when the first of them ran.
pub(super) fn label_format(state: &mut LineState, original: &str, changes: &[LabelChange], now_ns: i64) {
    let mut snapshot: Option<Value> = None;
    let tools = state.take_tools();
    tools.tell(state, original, now_ns);
    for change in changes {
        match change {
            LabelChange::Rename { to, from } => {
                if let Some(value) = state.get(from).map(str::to_owned) {
                    state.remove(from);
                    state.set(to, &value);
                }
            }
            LabelChange::Template { to, template } => {
                let data = snapshot.get_or_insert_with(|| label_values(state));
                match execute(template, data, &tools) {
                    Ok(value) => state.set(to, &value),
                    Err(details) => state.fail(TEMPLATE_ERROR, details),
                }
            }
        }
    }
    state.give_back(tools);
}

fn picks(picks: &[LabelPick], name: &str, value: &str) -> bool {
    picks.iter().any(|pick| match pick {
        LabelPick::Name(picked) => picked == name,
        LabelPick::Match(matcher) => matcher.name == name && matcher.matches(value),
    })
}

/// `| drop a, b="x"`: errors may be dropped, too.
pub(super) fn drop_labels(state: &mut LineState, dropped: &[LabelPick]) {
    state.retain(|name, value| !picks(dropped, name, value));
    for error in [super::state::ERROR_DETAILS, super::state::ERROR] {
        if state.get(error).is_some_and(|value| picks(dropped, error, value)) {
            state.remove(error);
        }
    }
}

/// `| keep a, b="x"`: errors stay.
pub(super) fn keep_labels(state: &mut LineState, kept: &[LabelPick]) {
    state.retain(|name, value| picks(kept, name, value));
}

/// `| decolorize`
pub(super) fn decolorize(state: &mut LineState, original: &str) {
    let line = state.line(original);
    if memchr::memchr2(0x1b, 0xc2, line.as_bytes()).is_none() {
        return;
    }
    let plain = without_colors(line);
    state.set_line(&plain);
}

/// The text without ANSI control sequences: an introducer (ESC `[`, or its one-character form), parameters, one final byte.
pub fn without_colors(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['\u{1b}', '\u{9b}']) {
        out.push_str(&rest[..at]);
        let sequence = rest[at..].strip_prefix("\u{1b}[").or_else(|| rest[at..].strip_prefix('\u{9b}'));
        let Some(sequence) = sequence else {
            let c = rest[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[at..at + c]);
            rest = &rest[at + c..];
            continue;
        };
        let parameters = sequence.bytes().take_while(|b| (0x20..0x40).contains(b)).count();
        let ends = sequence.as_bytes().get(parameters).is_some_and(|b| (0x40..0x7f).contains(b));
        rest = &sequence[parameters + usize::from(ends)..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_taken_out_and_nothing_else() {
        assert_eq!(without_colors("\u{1b}[31mred\u{1b}[0m é \u{1b}[1;4mx"), "red é x");
        assert_eq!(without_colors("no \u{1b} color [31m"), "no \u{1b} color [31m");
        assert_eq!(without_colors("cut \u{1b}[3"), "cut ");
    }
}
