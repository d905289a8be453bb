//! A line on its way through a pipeline: its text, its labels, its error.

use std::borrow::Cow;

use reba_model::Labels;

use super::functions::Tools;

/// The label that tells what went wrong with a line.
pub const ERROR: &str = "__error__";
/// The label that tells why.
pub const ERROR_DETAILS: &str = "__error_details__";

/// What is put behind the name of a value found in a line if the stream has a label of that name.
const EXTRACTED: &str = "_extracted";

/// Where a label comes from, in the order of who keeps the bare name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The stream.
    Stream,
    /// Structured metadata.
    Metadata,
    /// A parser or `label_format`.
    Parsed,
}

/// A range of bytes in the arena.
type Range = (u32, u32);

#[derive(Clone, Copy, Debug)]
struct Slot {
    name: Range,
    value: Range,
    origin: Origin,
    /// Found by a parser, of which the first to find a name keeps it.
    found: bool,
}

/// A line on its way through a pipeline. One of these serves many lines: all its text lies in one arena.
#[derive(Clone, Debug, Default)]
pub struct LineState {
    arena: String,
    slots: Vec<Slot>,
    /// The line, if a stage has made a new one.
    replaced: Option<Range>,
    error: Option<&'static str>,
    error_details: String,
    /// Unix nanoseconds.
    ns: i64,
    tools: Spare,
    base: Base,
}

/// What templates need, while none runs. A copy of a state makes its own.
#[derive(Default)]
struct Spare(Option<Box<Tools>>);

impl Clone for Spare {
    fn clone(&self) -> Self {
        Spare(None)
    }
}

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spare").field(&self.0.is_some()).finish()
    }
}

/// The stream's labels, which stay from line to line as long as nobody changes them.
#[derive(Clone, Debug, Default)]
struct Base {
    stream: Option<Labels>,
    arena: usize,
    slots: usize,
    changed: bool,
}

impl LineState {
    /// Starts a new line.
    pub(super) fn begin<'a>(
        &mut self,
        ns: i64,
        stream: &Labels,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.replaced = None;
        self.error = None;
        self.error_details.clear();
        self.ns = ns;
        self.begin_stream(stream);
        let of_stream = self.slots.len();
        for (name, value) in metadata {
            let taken = self.slots[..of_stream].iter().any(|s| self.text(s.name) == name);
            if taken {
                let name = format!("{name}{EXTRACTED}");
                self.set_slot(&name, value, Origin::Metadata, false);
            } else {
                self.set_slot(name, value, Origin::Metadata, false);
            }
        }
    }

    fn begin_stream(&mut self, stream: &Labels) {
        // Labels are shared text: the same place means the same text.
        let known = self.base.stream.as_ref().map(Labels::as_packed);
        if !self.base.changed && known.is_some_and(|known| std::ptr::eq(known, stream.as_packed())) {
            self.arena.truncate(self.base.arena);
            self.slots.truncate(self.base.slots);
            return;
        }
        self.arena.clear();
        self.slots.clear();
        for (name, value) in stream {
            self.push(name, value, Origin::Stream, false);
        }
        let (arena, slots) = (self.arena.len(), self.slots.len());
        self.base = Base { stream: Some(stream.clone()), arena, slots, changed: false };
    }

    /// Lends what templates need; it comes back by [`LineState::give_back`].
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box itself is lent and given back, line after line"
    )]
    pub(super) fn take_tools(&mut self) -> Box<Tools> {
        self.tools.0.take().unwrap_or_else(|| Box::new(Tools::new()))
    }

    pub(super) fn give_back(&mut self, tools: Box<Tools>) {
        self.tools.0 = Some(tools);
    }

    /// Unix nanoseconds of the line.
    pub(super) fn ns(&self) -> i64 {
        self.ns
    }

    fn text(&self, range: Range) -> &str {
        &self.arena[range.0 as usize..range.1 as usize]
    }

    fn store(&mut self, text: &str) -> Range {
        let start = self.arena.len() as u32;
        self.arena.push_str(text);
        (start, self.arena.len() as u32)
    }

    fn push(&mut self, name: &str, value: &str, origin: Origin, found: bool) {
        let (name, value) = (self.store(name), self.store(value));
        self.slots.push(Slot { name, value, origin, found });
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|s| self.text(s.name) == name)
    }

    fn set_slot(&mut self, name: &str, value: &str, origin: Origin, found: bool) {
        match self.slot(name) {
            Some(i) => {
                let value = self.store(value);
                self.base.changed |= i < self.base.slots;
                let slot = &mut self.slots[i];
                (slot.value, slot.origin, slot.found) = (value, origin, found);
            }
            None => self.push(name, value, origin, found),
        }
    }

    /// The value of a label.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match name {
            ERROR => self.error,
            ERROR_DETAILS => self.error.map(|_| self.error_details.as_str()),
            _ => self.slot(name).map(|i| self.text(self.slots[i].value)),
        }
    }

    /// Takes over a value that a parser found; the stream's and the metadata's labels keep their names, and the first of two
    /// findings of one name stays.
    pub(super) fn found(&mut self, name: &str, value: &str) {
        match self.slot(name).map(|i| self.slots[i]) {
            None => self.push(name, value, Origin::Parsed, true),
            Some(slot) if slot.origin == Origin::Parsed => {
                if !slot.found {
                    self.set_slot(name, value, Origin::Parsed, true);
                }
            }
            Some(_) => {
                let name = format!("{name}{EXTRACTED}");
                let first = self.slot(&name).is_none_or(|i| !self.slots[i].found);
                if first {
                    self.set_slot(&name, value, Origin::Parsed, true);
                }
            }
        }
    }

    /// Takes over a value that a parser was asked for by name.
    pub(super) fn found_as_asked(&mut self, name: &str, value: &str) {
        let theirs = self.slot(name).is_some_and(|i| self.slots[i].origin != Origin::Parsed);
        if theirs {
            self.set_slot(&format!("{name}{EXTRACTED}"), value, Origin::Parsed, true);
        } else {
            self.set_slot(name, value, Origin::Parsed, true);
        }
    }

    /// Sets a label, wherever it came from before.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.set_slot(name, value, Origin::Parsed, false);
    }

    /// Removes a label.
    pub(super) fn remove(&mut self, name: &str) {
        match name {
            ERROR => self.error = None,
            ERROR_DETAILS => self.error_details.clear(),
            _ => {
                if let Some(i) = self.slot(name) {
                    self.base.changed |= i < self.base.slots;
                    self.slots.remove(i);
                }
            }
        }
    }

    /// Removes the labels for which `keep` says no; errors stay.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.base.changed = true;
        let LineState { arena, slots, .. } = self;
        slots.retain(|s| {
            let text = |r: Range| &arena[r.0 as usize..r.1 as usize];
            keep(text(s.name), text(s.value))
        });
    }

    /// What went wrong, if something did.
    pub fn error(&self) -> Option<&'static str> {
        self.error
    }

    /// Why it went wrong.
    pub fn error_details(&self) -> &str {
        &self.error_details
    }

    /// Notes that something went wrong; the first error of a line stays.
    pub(super) fn fail(&mut self, error: &'static str, details: impl AsRef<str>) {
        if self.error.is_none() {
            self.error = Some(error);
            self.error_details.clear();
            self.error_details.push_str(details.as_ref());
        }
    }

    /// The line as it stands, `original` if no stage has made a new one.
    pub fn line<'a>(&'a self, original: &'a str) -> &'a str {
        match self.replaced {
            Some(range) => self.text(range),
            None => original,
        }
    }

    /// Replaces the line.
    pub(super) fn set_line(&mut self, line: &str) {
        self.replaced = Some(self.store(line));
    }

    /// The line as text of its own, for stages that change the state while they read it.
    pub(super) fn line_copy<'a>(&self, original: &'a str) -> Cow<'a, str> {
        match self.replaced {
            Some(range) => Cow::Owned(self.text(range).to_owned()),
            None => Cow::Borrowed(original),
        }
    }

    /// Labels with their origin, errors left out.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str, Origin)> {
        self.slots.iter().map(|s| (self.text(s.name), self.text(s.value), s.origin))
    }

    /// The labels of the answer: all of them, errors and those with an empty value too.
    pub fn final_labels(&self) -> Labels {
        let mut pairs: Vec<(&str, &str)> =
            self.slots.iter().map(|s| (self.text(s.name), self.text(s.value))).collect();
        if let Some(error) = self.error {
            pairs.push((ERROR, error));
            if !self.error_details.is_empty() {
                pairs.push((ERROR_DETAILS, &self.error_details));
            }
        }
        pairs.sort_unstable();
        Labels::from_sorted_verbatim(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(stream: &[(&str, &str)], metadata: &[(&str, &str)]) -> LineState {
        let mut state = LineState::default();
        state.begin(0, &Labels::from_pairs(stream.iter().copied()), metadata.iter().copied());
        state
    }

    #[test]
    fn stream_before_metadata_before_parsed_keeps_the_bare_name() {
        let mut s =
            state(&[("sl", "s"), ("sm", "s"), ("tri", "s")], &[("md", "m"), ("sm", "m"), ("tri", "m")]);
        for name in ["sl", "md", "tri"] {
            s.found(name, "p");
        }
        let labels = s.final_labels();
        for (name, value) in [
            ("sl", "s"),
            ("sl_extracted", "p"),
            ("md", "m"),
            ("md_extracted", "p"),
            ("sm", "s"),
            ("sm_extracted", "m"),
            ("tri", "s"),
            ("tri_extracted", "p"),
        ] {
            assert_eq!(labels.value(name), value, "{name}");
        }
    }

    #[test]
    fn what_a_line_does_to_the_labels_of_its_stream_ends_with_it() {
        let stream = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let mut s = LineState::default();
        let changes: [fn(&mut LineState); 5] = [
            |s| s.set("a", "x"),
            |s| s.remove("b"),
            |s| s.retain(|_, _| false),
            |s| s.found("c", "y"),
            |_| {},
        ];
        for change in changes.iter().chain(&changes) {
            s.begin(0, &stream, [("m", "3")]);
            assert_eq!(s.final_labels(), Labels::from_pairs([("a", "1"), ("b", "2"), ("m", "3")]));
            change(&mut s);
        }
        s.begin(0, &Labels::from_pairs([("d", "4")]), []);
        assert_eq!(s.final_labels(), Labels::from_pairs([("d", "4")]));
    }

    #[test]
    fn the_first_finding_of_a_name_and_the_first_error_stay() {
        let mut s = state(&[], &[]);
        s.found("a", "1");
        s.found("a", "2");
        s.fail("JSONParserErr", "x");
        s.fail("LabelFilterErr", "y");
        assert_eq!(
            (s.get("a"), s.get(ERROR), s.get(ERROR_DETAILS)),
            (Some("1"), Some("JSONParserErr"), Some("x"))
        );
        s.remove(ERROR);
        assert_eq!(s.get(ERROR), None);
    }
}
