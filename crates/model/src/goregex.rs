//! Regular expressions in Go's (RE2) dialect.

mod required;

use std::{borrow::Cow, fmt, sync::OnceLock};

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
use thiserror::Error;

/// Why an expression does not compile; the text names the expression and the reason.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct RegexError {
    /// The expression as it was given.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

/// A compiled expression with what can be known of it without running it.
#[derive(Clone)]
pub struct GoRegex {
    source: String,
    regex: Regex,
    literals: Option<Vec<String>>,
    prefix: String,
    size: usize,
    required: OnceLock<Vec<Vec<String>>>,
}

/// Memory that one compiled expression may take.
const SIZE_LIMIT: usize = 4 << 20;

impl GoRegex {
    /// How large all expressions of one question may be together, in [`GoRegex::size`]: some 60 MB. Each alone is bounded, but
    /// ten megabytes of query have room for half a million of them.
    pub const MAX_TOGETHER: usize = 2_000_000;

    /// Compiles `pattern` so that it must match the whole text, `.` matching newlines too (matchers of
    /// selectors, relabelling, `label_replace`).
    pub fn anchored(pattern: &str) -> Result<Self, RegexError> {
        // The bare pattern must be sound: `a)(b` must not be rescued by the anchors' own group.
        let size = check(pattern)?;
        let regex = compile(&format!("^(?:{pattern})$"), pattern, true)?;
        Ok(GoRegex {
            source: pattern.to_owned(),
            regex,
            literals: literal_alternatives(pattern),
            prefix: literal_prefix(pattern),
            size,
            required: OnceLock::new(),
        })
    }

    /// Compiles `pattern` to be searched anywhere (template functions).
    pub fn search(pattern: &str) -> Result<Self, RegexError> {
        let regex = compile(pattern, pattern, false)?;
        Ok(Self::searched(pattern, regex, 0))
    }

    /// Like [`GoRegex::search`], of a bounded size (line filters of logs). `.` matches no newline, as in Loki.
    pub fn line_filter(pattern: &str) -> Result<Self, RegexError> {
        let size = check(pattern)?;
        let regex = compile(pattern, pattern, false)?;
        Ok(Self::searched(pattern, regex, size))
    }

    fn searched(pattern: &str, regex: Regex, size: usize) -> Self {
        let required = OnceLock::new();
        GoRegex { source: pattern.to_owned(), regex, literals: None, prefix: String::new(), size, required }
    }

    /// How many times the expression matches, one match behind another.
    pub fn count_matches(&self, text: &str) -> usize {
        self.regex.find_iter(text).count()
    }

    /// Groups that have a name, with their numbers.
    pub fn named_groups(&self) -> impl Iterator<Item = (usize, &str)> {
        self.regex.capture_names().enumerate().filter_map(|(i, name)| name.map(|n| (i, n)))
    }

    /// Hands over the groups of the first match that have a name and took part; whether there was a match.
    pub fn extract<'t>(&self, text: &'t str, mut found: impl FnMut(&str, &'t str)) -> bool {
        let Some(captures) = self.regex.captures(text) else { return false };
        for (i, name) in self.named_groups() {
            if let Some(group) = captures.get(i) {
                found(name, group.as_str());
            }
        }
        true
    }

    /// About how many states the anchored expression compiles to, some 30 bytes each: a text of ten characters can
    /// ask for megabytes, so whoever compiles many expressions of a stranger adds up their sizes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Hands over each group of each match that took part: its name, if it has one, and where in `text` it stands. Groups of
    /// one match come in the order of their numbers, the whole match is not among them.
    pub fn each_group(&self, text: &str, mut found: impl FnMut(Option<&str>, std::ops::Range<usize>)) {
        let names: Vec<Option<&str>> = self.regex.capture_names().collect();
        for captures in self.regex.captures_iter(text) {
            for (i, name) in names.iter().enumerate().skip(1) {
                if let Some(group) = captures.get(i) {
                    found(*name, group.range());
                }
            }
        }
    }

    /// How many groups the expression has.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether `text` matches.
    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        if let Some(literals) = &self.literals {
            return literals.iter().any(|l| l == text);
        }
        text.starts_with(self.prefix.as_str()) && self.regex.is_match(text)
    }

    /// For an anchored expression that is nothing but alternatives of plain text: the texts. An index looks
    /// these up instead of trying every value.
    pub fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    /// Texts that matches contain: of each of these lists at least one is in every text that matches.
    pub fn required(&self) -> &[Vec<String>] {
        self.required
            .get_or_init(|| parsed(&self.source).map(|hir| required::required(&hir)).unwrap_or_default())
    }

    /// Plain text that every match of an anchored expression begins with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Matches `text` and expands `template` (`$1`, `${name}`, `$$`) with the groups, as Go's `Expand`;
    /// `None` if it does not match.
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        self.expand_bounded(text, template, usize::MAX).map(|(out, _)| out)
    }

    /// Like [`GoRegex::expand`], but a group that makes the text longer than `limit` bytes is left out, and then the
    /// flag is set: a template of a few kilobytes can name a long group thousands of times.
    pub fn expand_bounded(&self, text: &str, template: &str, limit: usize) -> Option<(String, bool)> {
        self.regex.captures(text).map(|captures| expanded(template, &captures, limit))
    }

    /// Replaces every match in `text`, as Go's `ReplaceAllString`.
    pub fn replace_all<'t>(&self, text: &'t str, template: &str) -> Cow<'t, str> {
        self.regex
            .replace_all(text, |captures: &regex::Captures<'_>| expanded(template, captures, usize::MAX).0)
    }
}

/// `template` with its references replaced by the groups of a match; a group that did not take part is empty. The flag
/// says whether groups were left out since the text would have become longer than `limit`.
fn expanded(template: &str, captures: &regex::Captures<'_>, limit: usize) -> (String, bool) {
    let (mut out, mut cut) = (String::new(), false);
    expand_template(template, &mut out, |group, out| {
        let m = match group.parse::<usize>() {
            Ok(i) => captures.get(i),
            Err(_) => captures.name(group),
        };
        let group = m.map_or("", |m| m.as_str());
        if out.len().saturating_add(group.len()) > limit {
            cut = true;
        } else {
            out.push_str(group);
        }
    });
    (out, cut)
}

impl fmt::Debug for GoRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

/// Walks a Go expansion template. A name is the longest run of letters, digits and `_`; a `$` that starts
/// no name stays as it is not: Go drops nothing but `$$` and well-formed references.
fn expand_template(template: &str, out: &mut String, mut group: impl FnMut(&str, &mut String)) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match rest.strip_prefix('{') {
            Some(inner) => match inner.split_once('}') {
                Some((name, after)) if is_group_name(name) => (name, after),
                _ => {
                    out.push('$');
                    continue;
                }
            },
            None => {
                let n = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                rest.split_at(n)
            }
        };
        if name.is_empty() {
            out.push('$');
            continue;
        }
        group(name, out);
        rest = after;
    }
    out.push_str(rest);
}

fn is_group_name(s: &str) -> bool {
    !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Fails if the expression alone is malformed, else returns its size; costs a fifth of compiling it.
fn check(pattern: &str) -> Result<usize, RegexError> {
    parsed(pattern).map(|hir| states(&hir))
}

fn parsed(pattern: &str) -> Result<Hir, RegexError> {
    let fail = |reason: String| RegexError { pattern: pattern.to_owned(), reason };
    let translated = translate(pattern).map_err(|r| fail(r.to_owned()))?;
    regex_syntax::ParserBuilder::new()
        .dot_matches_new_line(true)
        .nest_limit(200)
        .build()
        .parse(&translated)
        .map_err(|e| fail(one_line(&e.to_string())))
}

/// States of an automaton for `hir`, roughly. Its depth is bounded by the parser's `nest_limit`.
fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(text) => text.0.len(),
        // A range of characters takes up to four ranges of bytes.
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() * 4,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Capture(group) => states(&group.sub) + 2,
        HirKind::Repetition(r) => {
            let times = r.max.unwrap_or(r.min.saturating_add(1)).max(1) as usize;
            states(&r.sub).saturating_mul(times)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(parts.len(), |sum, part| sum.saturating_add(states(part)))
        }
    }
}

fn compile(pattern: &str, shown: &str, dot_matches_newline: bool) -> Result<Regex, RegexError> {
    let fail = |reason: String| RegexError { pattern: shown.to_owned(), reason };
    let translated = translate(pattern).map_err(|r| fail(r.to_owned()))?;
    RegexBuilder::new(&translated)
        .dot_matches_new_line(dot_matches_newline)
        .size_limit(SIZE_LIMIT)
        .nest_limit(200)
        .build()
        .map_err(|e| fail(one_line(&e.to_string())))
}

/// The regex crate draws a picture of the error over several lines; its last line is the reason.
fn one_line(e: &str) -> String {
    e.lines().last().unwrap_or("invalid expression").trim_start_matches("error: ").to_owned()
}

/// Rewrites what Go and the regex crate understand differently:
/// `\d \w \s \b` are ASCII in Go; a `{` that starts no repetition is plain text; inside a class `[`, `&&`, `--`
/// and `~~` are plain; `\Q…\E` quotes; `\pN` is the same in both; `\z` too; `\C` is refused.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let chars: Vec<char> = pattern.chars().collect();
    let mut i = 0;
    let mut repeated = false;
    while let Some(c) = chars.get(i) {
        let rest = &chars[i..];
        let repetition = repetition_len(rest)?;
        if repetition > 0 {
            // Go refuses to repeat a repetition; the regex crate would take it as nested.
            if repeated {
                return Err("invalid nested repetition operator");
            }
            let lazy = usize::from(rest.get(repetition) == Some(&'?'));
            out.extend(&rest[..repetition + lazy]);
            i += repetition + lazy;
            repeated = true;
            continue;
        }
        repeated = false;
        match c {
            '\\' => i += translate_escape(rest, false, &mut out)?,
            '[' => i += translate_class(rest, &mut out)?,
            '(' if rest.get(1) == Some(&'?') => i += translate_group(rest, &mut out)?,
            '{' | '}' => {
                // The braces of a repetition are written above; any other one is plain text.
                out.push('\\');
                out.push(*c);
                i += 1;
            }
            _ => {
                out.push(*c);
                i += 1;
            }
        }
    }
    Ok(out)
}

/// Names between `[:` and `:]`.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Writes a class `[…]`; returns how many characters of the source it took.
fn translate_class(rest: &[char], out: &mut String) -> Result<usize, &'static str> {
    let mut i = 1;
    out.push('[');
    if rest.get(i) == Some(&'^') {
        out.push('^');
        i += 1;
    }
    let start = i;
    loop {
        let item = rest.get(i..).unwrap_or_default();
        match item {
            [] => return Err("missing closing ]"),
            [']', ..] if i > start => {
                out.push(']');
                return Ok(i + 1);
            }
            ['[', ':', name @ ..] => {
                // Without an end it is the character `[`.
                let end = name.windows(2).take(16).position(|w| w == [':', ']']);
                let Some(end) = end else {
                    i += translate_range(item, out)?;
                    continue;
                };
                let name: String = name[..end].iter().collect();
                if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
                    return Err("invalid character class range");
                }
                out.push_str(&format!("[:{name}:]"));
                i += end + 4;
            }
            ['\\', 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P', ..] => {
                i += translate_escape(item, true, out)?;
            }
            _ => i += translate_range(item, out)?,
        }
    }
}

/// Writes a character of a class, or a range of them: `a`, `a-z`. Only a `-` before the end of the class is plain
/// text behind a character.
fn translate_range(rest: &[char], out: &mut String) -> Result<usize, &'static str> {
    let low = translate_class_char(rest, out)?;
    match rest.get(low..).unwrap_or_default() {
        ['-', ']', ..] | ['-'] => Ok(low),
        ['-', '\\', 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P', ..] => {
            Err("invalid character class range")
        }
        ['-', high @ ..] => {
            out.push('-');
            Ok(low + 1 + translate_class_char(high, out)?)
        }
        _ => Ok(low),
    }
}

/// Writes one character of a class, escaped if the regex crate might take it for an operator.
fn translate_class_char(rest: &[char], out: &mut String) -> Result<usize, &'static str> {
    match rest.first() {
        None => Err("missing closing ]"),
        Some('\\') => translate_escape(rest, true, out),
        Some(c) => {
            if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
                out.push('\\');
            }
            out.push(*c);
            Ok(1)
        }
    }
}

/// Writes the beginning `(?…` of a group; returns how many characters of the source it took. Of the flags of the
/// regex crate Go has four.
fn translate_group(rest: &[char], out: &mut String) -> Result<usize, &'static str> {
    let flags = rest[2..].iter().take_while(|c| c.is_ascii_alphabetic() || **c == '-').count();
    let ends = matches!(rest.get(2 + flags), Some(')' | ':'));
    if ends && !rest[2..2 + flags].iter().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
        return Err("invalid or unsupported Perl syntax");
    }
    out.push_str("(?");
    Ok(2)
}

/// Writes one escape; returns how many characters of the source it took.
fn translate_escape(rest: &[char], in_class: bool, out: &mut String) -> Result<usize, &'static str> {
    let Some(c) = rest.get(1) else { return Err("trailing backslash at end of expression") };
    match (c, in_class) {
        ('d', true) => out.push_str("0-9"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('s', true) => out.push_str("\\t\\n\\f\\r "),
        ('d', false) => out.push_str("[0-9]"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('B', false) => out.push_str("(?-u:\\B)"),
        ('Q', false) => {
            let end = (2..rest.len()).find(|j| rest[*j] == '\\' && rest.get(j + 1) == Some(&'E'));
            let quoted: String = rest[2..end.unwrap_or(rest.len())].iter().collect();
            out.push_str(&regex::escape(&quoted));
            return Ok(end.map_or(rest.len(), |e| e + 2));
        }
        ('<' | '>', _) => out.push(*c),
        ('x' | 'p' | 'P', _) if rest.get(2) == Some(&'{') => {
            let end = rest.iter().take(64).position(|c| *c == '}').ok_or("invalid escape sequence")?;
            out.extend(&rest[..=end]);
            return Ok(end + 1);
        }
        ('C' | 'u' | 'U', _) => return Err("invalid escape sequence"),
        ('0'..='7', _) => {
            // An octal escape, which the regex crate refuses; `\1` to `\7` alone are back-references: an error.
            let digits: String = rest[1..].iter().take(3).take_while(|c| ('0'..='7').contains(*c)).collect();
            if *c != '0' && digits.len() < 2 {
                return Err("invalid escape sequence");
            }
            let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
            out.push_str(&format!("\\x{{{code:x}}}"));
            return Ok(1 + digits.len());
        }
        _ => {
            out.push('\\');
            out.push(*c);
        }
    }
    Ok(2)
}

/// Length of the repetition that starts here: `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`; 0 if there is none. Go counts
/// to a thousand.
fn repetition_len(rest: &[char]) -> Result<usize, &'static str> {
    match rest.first() {
        Some('*' | '+' | '?') => return Ok(1),
        Some('{') => {}
        _ => return Ok(0),
    }
    // Counts are short; to look farther for each of many braces would take time in proportion to their square.
    let Some(end) = rest.iter().take(16).position(|c| *c == '}') else { return Ok(0) };
    let body: String = rest[1..end].iter().collect();
    let (min, max) = body.split_once(',').unwrap_or((&body, "0"));
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    if min.is_empty() || !digits(min) || !digits(max) {
        return Ok(0);
    }
    let too_large = |s: &str| !s.is_empty() && s.parse::<u32>().is_ok_and(|n| n > 1000);
    if too_large(min) || too_large(max) { Err("invalid repeat count") } else { Ok(end + 1) }
}

const META: &[char] = &['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'];

/// `a|b|c` without any other operator; also one plain text.
fn literal_alternatives(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern.strip_prefix('(').and_then(|p| p.strip_suffix(')')).unwrap_or(pattern);
    let plain = |s: &str| !s.contains(META);
    let parts: Vec<&str> = inner.split('|').collect();
    (parts.iter().all(|p| plain(p)) && parts.len() <= 1024)
        .then(|| parts.iter().map(|p| (*p).to_owned()).collect())
}

/// Text before the first operator; the last character is given up where an operator may make it optional.
fn literal_prefix(pattern: &str) -> String {
    if pattern.contains('|') || pattern.starts_with("(?") {
        return String::new();
    }
    let Some(at) = pattern.find(META) else { return pattern.to_owned() };
    let mut prefix = pattern[..at].to_owned();
    if pattern[at..].starts_with(['*', '?', '{', '+']) {
        prefix.pop();
    }
    prefix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_dialect_is_gos() {
        for (pattern, yes, no) in [
            (r"\d+", "42", "٤٢"),
            (r"\w", "a", "é"),
            ("a{b}", "a{b}", "ab"),
            ("a{2}", "aa", "a"),
            ("[[]", "[", "]"),
            ("[]a]", "]", "b"),
            ("[a&&b]", "&", "c"),
            (r"\Qa.b\E", "a.b", "axb"),
            ("a.b", "a\nb", "ab"),
            (r"[\w.]+", "a.b", "a b"),
            ("[[:alpha:]]+", "ab", "1"),
            ("(?i)abc", "ABC", "ABD"),
            ("(?P<x>a)(?:b|c)", "ab", "a"),
            ("", "", "x"),
            ("a|b|", "", "c"),
            ("}", "}", "{"),
            ("[+--]", "-", "a"),
            ("[--a]", "0", "b"),
            ("[a-]", "-", "b"),
            ("[[a]", "[", "b"),
            (r"\x{61}+", "aa", "x"),
            (r"\p{Greek}", "α", "a"),
        ] {
            let r = GoRegex::anchored(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert!(r.is_match(yes), "{pattern} must match {yes:?}");
            assert!(!r.is_match(no), "{pattern} must not match {no:?}");
        }
        for pattern in [
            "(",
            "a)(b",
            "*",
            r"\1",
            "[",
            "(?=a)",
            "a**",
            "a*+",
            "a??*",
            "a{2}{3}",
            "(?i)*",
            "(?x)a",
            r"\u0041",
            "a{1001}",
            "[[:foo:]]",
            r"[a-\d]",
        ] {
            assert!(GoRegex::anchored(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn groups_expand_as_in_go() {
        let r = GoRegex::anchored("(a+)-(?P<rest>.*)").unwrap();
        assert_eq!(r.expand("aa-x", "$1:${rest}:$$:$9:$1x:${1}x:$"), Some("aa:x:$:::aax:$".to_owned()));
        assert_eq!(r.expand("b", "$1"), None);
        assert_eq!(GoRegex::search("o+").unwrap().replace_all("foo boo", "<$0>"), "f<oo> b<oo>");
    }

    #[test]
    fn short_texts_that_compile_to_much_are_told_by_their_size() {
        let size = |p: &str| GoRegex::anchored(p).unwrap().size();
        assert!(size("abc|def") < 20 && size("[a-z]+") < 20);
        assert!(size(r"(\pL{40})") > 50_000);
    }

    #[test]
    fn an_expansion_stops_growing_at_its_limit() {
        let r = GoRegex::anchored("(.*)").unwrap();
        assert_eq!(r.expand_bounded("abcd", "$1-$1-$1", 9), Some(("abcd-abcd-".to_owned(), true)));
        assert_eq!(r.expand_bounded("abcd", "$1", 4), Some(("abcd".to_owned(), false)));
    }

    #[test]
    fn what_an_index_can_use_is_known() {
        let of = |p: &str| GoRegex::anchored(p).unwrap();
        assert_eq!(of("a|b").literals().unwrap(), ["a", "b"]);
        assert_eq!(of("(a|b)").literals().unwrap(), ["a", "b"]);
        assert!(of("a.*").literals().is_none());
        assert_eq!(of("abc.*").prefix(), "abc");
        assert_eq!(of("abc?x").prefix(), "ab");
        assert_eq!(of("abc|x.").prefix(), "");
    }

    proptest! {
        #[test]
        fn shortcuts_agree_with_the_engine(p in "[a-c|.*?()\\[\\]]{0,8}", t in "[a-c]{0,5}") {
            if let Ok(r) = GoRegex::anchored(&p) {
                prop_assert_eq!(r.is_match(&t), r.regex.is_match(&t), "{}", p);
            }
        }

        #[test]
        fn any_pattern_never_panics(p in ".{0,30}") {
            let _ = GoRegex::anchored(&p);
        }
    }
}
