//! Text pages: entry by entry beside the page before.

use std::collections::BTreeMap;

use reba_model::{Exemplar, LabelsBuilder, Metadata, MetricType};

use super::{
    PageError,
    draft::{Draft, Line},
    previous::Previous,
    resolve::{Resolved, Resolver},
};
use crate::exposition::{Event, TextExemplar, TextParser, TextSample, exemplar_labels, series_labels};

/// Most characters in the labels of an exemplar; longer ones are dropped (OpenMetrics 1.0).
pub(super) const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// Reads a page. `parser` stands at its beginning.
pub(super) fn read<'a>(
    parser: TextParser<'a>,
    page: &'a [u8],
    previous: Previous<'_>,
    resolver: &mut Resolver<'_>,
) -> Result<Draft, PageError> {
    if u32::try_from(page.len()).is_err() {
        return Err(crate::exposition::ParseError {
            at: 0,
            line: 1,
            what: "page of 4 GiB or more".to_owned(),
        }
        .into());
    }
    let before = previous.len();
    let draft = Draft::with_capacity(before);
    let kind = MetricType::Unknown;
    let labels = LabelsBuilder::new();
    let mut reader =
        Reader { parser, page, previous, draft, kind, labels, resolver, metadata_changed: false };
    reader.read_all()?;
    if reader.metadata_changed || reader.draft.changed || reader.draft.lines.len() != before {
        reader.draft.metadata = Some(metadata(&reader.parser, &reader.draft.lines));
    }
    Ok(reader.draft)
}

struct Reader<'a, 'p, 'r, 'o> {
    parser: TextParser<'a>,
    page: &'a [u8],
    previous: Previous<'p>,
    draft: Draft,
    /// The type that stands last above the current entry.
    kind: MetricType,
    labels: LabelsBuilder,
    resolver: &'r mut Resolver<'o>,
    metadata_changed: bool,
}

impl<'a> Reader<'a, '_, '_, '_> {
    fn read_all(&mut self) -> Result<(), PageError> {
        let mut at = 0;
        loop {
            if let Some(end) = self.known_entry(at) {
                at = end;
            } else if let Some(end) = self.new_entry(at)? {
                at = end;
            } else {
                return Ok(());
            }
        }
    }

    /// Reads the entry at `at` if it is the expected one: the same bytes, or at least the same series. Returns its end.
    #[inline]
    fn known_entry(&mut self, at: usize) -> Option<usize> {
        let (line, old) = self.previous.expected()?;
        let rest = &self.page[at..];
        // An entry without a line feed was the last of its page, and may be the beginning of a longer one here.
        if rest.starts_with(old) && old.ends_with(b"\n") && !line.has_own_time() {
            self.previous.advance();
            if line.series > 0 {
                self.resolver.admit(line.series_ref());
                self.draft.push_sample(line.moved(at), None, false);
            } else {
                self.kind = line.kind.unwrap_or(self.kind);
                self.draft.lines.push(line.moved(at));
            }
            return Some(at + old.len());
        }
        let series = line.series as usize;
        let same_series = series > 0 && rest.starts_with(&old[..series]);
        // A series that is but a name may be the beginning of a longer one.
        let whole = old[..series].ends_with(b"}") || matches!(rest.get(series), Some(b' ' | b'\t'));
        if !same_series || !whole {
            return None;
        }
        self.parser.seek(at + series);
        let Ok(sample) = self.parser.rest_of_sample(&rest[..series]) else {
            // Perhaps the labels stand behind a blank; if not, the slow way has the better error.
            return None;
        };
        let end = self.parser.position();
        self.resolver.admit(line.series_ref());
        self.previous.advance();
        self.push(line.with(at, end, sample.v), &sample);
        Some(end)
    }

    /// Parses the entry at `at`. Returns its end, or `None` at the end of the page.
    #[inline(never)]
    fn new_entry(&mut self, at: usize) -> Result<Option<usize>, PageError> {
        self.parser.seek(at);
        let Some(event) = self.parser.next_event()? else { return Ok(None) };
        let end = self.parser.position();
        match event {
            Event::Sample(sample) => self.new_sample(at, &sample)?,
            other => {
                // Metadata that took the place of metadata moves nothing.
                if self.previous.expected().is_some_and(|(line, _)| line.series == 0) {
                    self.previous.advance();
                } else {
                    self.draft.changed = true;
                }
                // A comment may stand where metadata stood.
                self.metadata_changed = true;
                let kind = if let Event::Type { kind, .. } = other { Some(kind) } else { None };
                self.kind = kind.unwrap_or(self.kind);
                self.draft.lines.push(Line::other(at, end, kind));
            }
        }
        Ok(Some(end))
    }

    fn new_sample(&mut self, at: usize, sample: &TextSample<'a>) -> Result<(), PageError> {
        // Blanks may stand before the series, so its bytes need not begin the entry.
        let blanks = self.page[at..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let series_at = at + blanks;
        if series_at > at {
            self.draft.lines.push(Line::other(at, series_at, None));
            self.draft.changed = true;
        }
        let end = self.parser.position();
        if let Some((line, in_place)) = self.previous.find(sample.series) {
            self.draft.changed |= !in_place;
            self.resolver.admit(line.series_ref());
            self.push(line.with(series_at, end, sample.v), sample);
            return Ok(());
        }
        self.draft.changed = true;
        let empty = series_labels(sample.series, self.kind, &mut self.labels)?;
        let target = match self.resolver.resolve(&mut self.labels, &empty)? {
            Resolved::OverLimit => return Ok(()),
            Resolved::Dropped => None,
            Resolved::Series(series) => {
                self.draft.added += 1;
                Some(series)
            }
        };
        self.push(Line::sample(series_at, end, sample.series.len(), target, sample.v), sample);
        Ok(())
    }

    #[inline]
    fn push(&mut self, line: Line, sample: &TextSample<'_>) {
        let o = self.resolver.options();
        let t = sample.t.filter(|_| o.honor_timestamps);
        self.draft.push_sample(line, t, o.track_timestamps_staleness);
        if let Some(e) = sample.exemplar {
            self.push_exemplar(e);
        }
    }

    /// Exemplars are a help: one that cannot be used is dropped.
    fn push_exemplar(&mut self, e: TextExemplar<'_>) {
        if exemplar_labels(e.labels, MAX_EXEMPLAR_CHARACTERS, &mut self.labels) == Ok(true) {
            let exemplar = Exemplar { labels: self.labels.build(), value: e.v, t: e.t.unwrap_or_default() };
            self.draft.push_exemplar(e.t.is_some(), exemplar);
        }
    }
}

/// The metadata of a page whose entries are known.
fn metadata(parser: &TextParser<'_>, lines: &[Line]) -> BTreeMap<String, Metadata> {
    let mut found: BTreeMap<String, Metadata> = BTreeMap::new();
    let mut parser = parser.clone();
    for line in lines.iter().filter(|l| l.series == 0) {
        parser.seek(line.start as usize);
        match parser.next_event() {
            Ok(Some(Event::Type { family, kind })) => {
                found.entry(family.into_owned()).or_default().kind = kind;
            }
            Ok(Some(Event::Help { family, text })) => {
                found.entry(family.into_owned()).or_default().help = text.into_owned();
            }
            Ok(Some(Event::Unit { family, unit })) => {
                found.entry(family.into_owned()).or_default().unit = unit.into_owned();
            }
            _ => {}
        }
    }
    found
}
