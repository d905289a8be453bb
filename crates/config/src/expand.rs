//! Fills in `${…}`.
//!
//! Every reference is first replaced by one character that means nothing to YAML; the text is then scanned, and each
//! scalar that holds such a character is written anew with its value. So a value may hold anything, and changes neither the shape
//! of the file nor the number of its lines; comments and keys stay as they are.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::{
    ConfigError, ConfigErrorKind,
    position::Position,
    reference::{self, Reference, What},
};

/// Bytes that a file named by `${file:…}` may have: no secret and no certificate has more.
pub const MAX_FILE: u64 = 1 << 20;

/// References that one file may have: each is a character of its own while the file is read.
const MAX_REFERENCES: usize = 60_000;

/// Shorter values are not hidden: they are words of the file's language more often than secrets.
const MIN_HIDDEN: usize = 4;

/// What may be asked for by `${NAME}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

/// What happens to a name that nobody has set. (`${file:…}` that cannot be read is always an error.)
#[derive(Clone, Copy, Debug)]
pub struct Unknown<'a> {
    /// Whether it stays as it is; otherwise it is an error.
    pub keep: bool,
    /// Keys whose values may speak of the groups of regular expressions, as `replacement` does: there an unknown name stays in
    /// any case, and so does a known one which is a group somewhere in the file.
    pub groups: &'a [&'a str],
}

/// A reference that stayed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The name.
    pub name: String,
    /// Line and column, from 1.
    pub at: (u64, u64),
    /// Path of the key.
    pub key: String,
}

/// A text with everything filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// Names that were kept though nobody has set them, and that are no group's, in the order in which they stand.
    pub unresolved: Vec<Unresolved>,
    /// Files that were read, whether they are there or not.
    pub files: Vec<PathBuf>,
    /// What was filled in, and the reference in its place.
    hidden: Vec<(String, String)>,
    /// Those of `hidden` that came from a file.
    secret: Vec<String>,
}

impl Variables {
    /// Variables by name.
    pub fn new(all: BTreeMap<String, String>) -> Self {
        Variables(all)
    }

    /// The same, with others in their place.
    #[must_use]
    pub fn with(mut self, others: &[(String, String)]) -> Self {
        self.0.extend(others.iter().cloned());
        self
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Fills in the references of `text`, which stands in `file`; `${file:…}` is relative to its folder.
    pub fn expand(&self, text: &str, file: &Path, unknown: &Unknown<'_>) -> Result<Expanded, ConfigError> {
        self.fill_in(text, file, unknown, false)
    }

    /// Like [`Variables::expand`], but what leads nowhere stays as it is and is told as [`Unresolved`]: names that nobody has set
    /// or that are set to nothing, and files that cannot be read (`file:PATH`). For files of which a part may do without.
    pub fn expand_leniently(&self, text: &str, file: &Path) -> Result<Expanded, ConfigError> {
        self.fill_in(text, file, &Unknown { keep: true, groups: &[] }, true)
    }

    fn fill_in(
        &self,
        text: &str,
        file: &Path,
        unknown: &Unknown<'_>,
        lenient: bool,
    ) -> Result<Expanded, ConfigError> {
        let references = reference::find(text);
        if references.is_empty() {
            return Ok(Expanded { text: text.to_owned(), ..Expanded::default() });
        }
        let mask =
            Mask::new(text, references).map_err(|reason| ConfigError::invalid(file, None, "", reason))?;
        let work = Work {
            variables: self,
            file,
            unknown,
            lenient,
            groups: reference::group_names(text),
            mask: &mask,
            done: Expanded::default(),
        };
        work.run()
    }
}

impl Expanded {
    /// The error without what was filled in.
    pub fn hide(&self, error: ConfigError) -> ConfigError {
        ConfigError { reason: self.hide_in(&error.reason), key: self.hide_in(&error.key), ..error }
    }

    /// A text without what was filled in: references stand in its place.
    pub fn hide_in(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (value, reference) in &self.hidden {
            let escaped = format!("{value:?}");
            let escaped = escaped.trim_matches('"');
            out = out.replace(value, reference).replace(escaped, reference);
        }
        out
    }

    /// What came from files and may be shown nowhere.
    pub fn secrets(&self) -> &[String] {
        &self.secret
    }
}

/// A YAML text with `shown` in the place of each of `secrets`, however the text writes its scalars: with quotes, escapes or
/// in a block.
pub fn hide_in_yaml(yaml: &str, secrets: &[String], shown: &str) -> String {
    if secrets.is_empty() {
        return yaml.to_owned();
    }
    let mut out = String::with_capacity(yaml.len());
    let mut end = 0;
    for next in Parser::new_from_str(yaml) {
        // Rather nothing than a secret; this does not happen to what a serialiser wrote.
        let Ok((event, span)) = next else { return shown.to_owned() };
        if let Event::Scalar(value, style, ..) = &event
            && secrets.iter().any(|s| value.contains(s.as_str()))
            && let Some(range) = span.byte_range().filter(|r| r.start >= end)
        {
            let hidden = secrets.iter().fold(value.to_string(), |text, s| text.replace(s, shown));
            out.push_str(&yaml[end..range.start]);
            out.push_str(&quoted(&hidden, 0, 0));
            if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                out.push('\n');
            }
            end = range.end;
        }
    }
    out.push_str(&yaml[end..]);
    out
}

/// A text with one character in the place of each reference.
struct Mask<'a> {
    original: &'a str,
    references: Vec<Reference<'a>>,
    masked: String,
    /// The character of the first reference.
    base: u32,
}

impl<'a> Mask<'a> {
    fn new(original: &'a str, references: Vec<Reference<'a>>) -> Result<Self, String> {
        if references.len() > MAX_REFERENCES {
            return Err(format!("more than {MAX_REFERENCES} references to variables"));
        }
        // The two planes for private use; fonts have icons in them, so a text may have some of one.
        let is_free = |base: &u32| {
            let plane = *base..*base + MAX_REFERENCES as u32;
            !original.chars().any(|c| plane.contains(&u32::from(c)))
        };
        let base = [0xF_0000, 0x10_0000].into_iter().find(is_free);
        let base = base.ok_or("characters for private use beside references to variables")?;
        let mut masked = String::with_capacity(original.len());
        let mut end = 0;
        for (i, r) in references.iter().enumerate() {
            masked.push_str(&original[end..r.range.start]);
            masked.extend(char::from_u32(base + i as u32));
            end = r.range.end;
        }
        masked.push_str(&original[end..]);
        Ok(Mask { original, references, masked, base })
    }

    /// The number of the reference that `c` stands for.
    fn index(&self, c: char) -> Option<usize> {
        let i = u32::from(c).checked_sub(self.base)? as usize;
        (i < self.references.len()).then_some(i)
    }

    fn holds_reference(&self, text: &str) -> bool {
        text.chars().any(|c| self.index(c).is_some())
    }

    /// A piece of the masked text as it stands in the original.
    fn unmask(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match self.index(c) {
                Some(i) => out.push_str(&self.original[self.references[i].range.clone()]),
                None => out.push(c),
            }
        }
        out
    }

    /// Line and column of a byte of the original text.
    fn position(&self, byte: usize) -> (u64, u64) {
        let before = &self.original[..byte];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line as u64, column as u64)
    }
}

struct Work<'a> {
    variables: &'a Variables,
    file: &'a Path,
    unknown: &'a Unknown<'a>,
    /// Whether files may lack, and empty variables count as not set.
    lenient: bool,
    groups: Vec<&'a str>,
    mask: &'a Mask<'a>,
    done: Expanded,
}

impl Work<'_> {
    fn run(mut self) -> Result<Expanded, ConfigError> {
        let mask = self.mask;
        let mut position = Position::default();
        let mut end = 0;
        for next in Parser::new_from_str(&mask.masked) {
            let (event, span) = next.map_err(|e| self.syntax(&e))?;
            if let Event::Scalar(value, style, ..) = &event
                && !position.is_key()
                && mask.holds_reference(value)
                && let Some(range) = span.byte_range().filter(|r| r.start >= end)
            {
                let written = self.scalar(value, *style, &span, &position)?;
                self.done.text.push_str(&mask.unmask(&mask.masked[end..range.start]));
                self.done.text.push_str(&written);
                end = range.end;
            }
            position.pass(&event);
        }
        self.done.text.push_str(&mask.unmask(&mask.masked[end..]));
        Ok(self.done)
    }

    /// The scalar as it is written into the new text.
    fn scalar(
        &mut self,
        value: &str,
        style: ScalarStyle,
        span: &Span,
        position: &Position,
    ) -> Result<String, ConfigError> {
        let source = span.slice(&self.mask.masked).unwrap_or_default();
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let mut filled = String::new();
        // A block has no escapes: what is filled in goes between its lines as they stand.
        for c in if block { source } else { value }.chars() {
            let Some(i) = self.mask.index(c) else {
                filled.push(c);
                continue;
            };
            let value = self.resolve(i, position)?;
            if !block {
                filled.push_str(&value);
                continue;
            }
            let fits = !value.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
            let begins = filled.is_empty() && (value.is_empty() || value.starts_with([' ', '\t', '\n']));
            if !fits || begins {
                let reason = "cannot stand in a block (`|` or `>`): put it in quotes";
                return Err(self.fail(i, position, reason));
            }
            let end = if style == ScalarStyle::Folded { "\n\n" } else { "\n" };
            filled.push_str(&value.replace('\n', &format!("{end}{}", " ".repeat(span.start.col()))));
        }
        if block || style == ScalarStyle::Plain && is_plain(&filled) {
            return Ok(filled);
        }
        let lines = source.bytes().filter(|b| *b == b'\n').count();
        Ok(quoted(&filled, lines, span.start.col()))
    }

    /// The text for a reference.
    fn resolve(&mut self, i: usize, position: &Position) -> Result<String, ConfigError> {
        let reference = &self.mask.references[i];
        let whole = &self.mask.original[reference.range.clone()];
        match &reference.what {
            What::Literal(text) => Ok((*text).to_owned()),
            What::File(name) => {
                let path = self.file.parent().unwrap_or(Path::new("")).join(name);
                let text = match read_file(&path) {
                    Ok(text) => text,
                    Err(_) if self.lenient => {
                        let at = self.mask.position(reference.range.start);
                        let name = format!("file:{name}");
                        self.done.unresolved.push(Unresolved { name, at, key: position.path() });
                        self.done.files.push(path);
                        return Ok(whole.to_owned());
                    }
                    Err(e) => return Err(self.fail(i, position, e)),
                };
                self.done.files.push(path);
                self.remember(&text, whole);
                self.done.secret.extend((text.len() >= MIN_HIDDEN).then(|| text.clone()));
                Ok(text)
            }
            What::Variable { name, default } => {
                let may_be_group = self.unknown.groups.contains(&position.last_key());
                let is_group = may_be_group && default.is_none() && self.groups.contains(name);
                // As in a shell, `:-` is for the empty value as well.
                let value = self
                    .variables
                    .get(name)
                    .filter(|v| (default.is_none() && !self.lenient) || !v.is_empty());
                match value.or(*default) {
                    Some(value) if !is_group => {
                        let value = value.to_owned();
                        self.remember(&value, whole);
                        Ok(value)
                    }
                    _ if self.unknown.keep || may_be_group => {
                        let at = self.mask.position(reference.range.start);
                        let unresolved = Unresolved { name: (*name).to_owned(), at, key: position.path() };
                        self.done.unresolved.extend((!is_group).then_some(unresolved));
                        Ok(whole.to_owned())
                    }
                    _ => {
                        let reason = format!(
                            "the variable {name} is set neither in the environment nor in .env \
                             (for the text itself write $${{{name}}})"
                        );
                        Err(self.fail(i, position, reason))
                    }
                }
            }
        }
    }

    fn remember(&mut self, value: &str, reference: &str) {
        if value.len() >= MIN_HIDDEN {
            self.done.hidden.push((value.to_owned(), reference.to_owned()));
        }
    }

    fn fail(&self, i: usize, position: &Position, reason: impl std::fmt::Display) -> ConfigError {
        let range = self.mask.references[i].range.clone();
        let whole = &self.mask.original[range.clone()];
        let at = Some(self.mask.position(range.start));
        ConfigError::invalid(self.file, at, position.path(), format!("{whole}: {reason}"))
    }

    fn syntax(&self, e: &granit_parser::ScanError) -> ConfigError {
        let marker = e.marker();
        // References before it on its line were longer than the character in their place.
        let line = self.mask.masked.lines().nth(marker.line().saturating_sub(1)).unwrap_or_default();
        let before: String = line.chars().take(marker.col()).collect();
        let column = self.mask.unmask(&before).chars().count() + 1;
        ConfigError {
            kind: ConfigErrorKind::Syntax,
            file: self.file.to_owned(),
            at: Some((marker.line() as u64, column as u64)),
            key: String::new(),
            reason: self.mask.unmask(&e.info()),
        }
    }
}

/// The content of a small text file without the line break at its end.
fn read_file(path: &Path) -> Result<String, String> {
    let fail = |e: io::Error| match e.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{}: {e} (the user that runs Reba must be able to read it)", path.display())
        }
        _ => format!("{}: {e}", path.display()),
    };
    // A pipe would keep us waiting for ever.
    if !fs::metadata(path).map_err(fail)?.is_file() {
        return Err(format!("{}: no file", path.display()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(fail)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{}: larger than {MAX_FILE} bytes", path.display()));
    }
    let mut text =
        String::from_utf8(bytes).map_err(|_| format!("{}: not a text in UTF-8", path.display()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Whether a value may stand without quotes, so that it can be a number or a truth value as well as a text.
fn is_plain(value: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"._/+-".contains(&b);
    let first = value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/');
    let negative = value.len() > 1 && value.starts_with('-') && value.as_bytes()[1].is_ascii_digit();
    (first || negative) && value.bytes().all(inside) && !value.eq_ignore_ascii_case("null")
}

/// A double-quoted scalar over `lines` more lines, the next ones `indent` columns inside.
fn quoted(value: &str, lines: usize, indent: usize) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    for _ in 0..lines {
        out.push_str("\\\n");
        out.push_str(&" ".repeat(indent));
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
