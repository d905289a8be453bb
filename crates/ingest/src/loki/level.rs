//! The level of a log entry, found without parsing the line: it becomes the structured metadata `detected_level`.
//!
//! Of a line in JSON the names of the outermost object are walked over, of one in logfmt the places where a pair may begin, of any
//! other the first words.

/// Names under which programs write the level, in lower case.
const NAMES: [&str; 8] =
    ["level", "severity", "lvl", "severity_text", "severitytext", "log.level", "loglevel", "log_level"];

/// Bytes of a line that are looked at.
const HEAD: usize = 4096;

/// Bytes of a plain line that are looked at.
const PLAIN_HEAD: usize = 160;

/// What a line without a level has.
pub(super) const UNKNOWN: &str = "unknown";

/// Whether a label or a field of this name says the level.
pub(super) fn is_level_name(name: &str) -> bool {
    name.len() <= 13 && NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// The common name of a level: `trace`, `debug`, `info`, `warn`, `error` or `critical`; numbers are pino's.
pub(super) fn common_name(text: &str) -> Option<&'static str> {
    const LEVELS: [(&str, &str); 34] = [
        ("info", "info"),
        ("30", "info"),
        ("error", "error"),
        ("50", "error"),
        ("warn", "warn"),
        ("40", "warn"),
        ("debug", "debug"),
        ("20", "debug"),
        ("warning", "warn"),
        ("trace", "trace"),
        ("10", "trace"),
        ("fatal", "critical"),
        ("60", "critical"),
        ("critical", "critical"),
        ("err", "error"),
        ("crit", "critical"),
        ("inf", "info"),
        ("information", "info"),
        ("informational", "info"),
        ("notice", "info"),
        ("wrn", "warn"),
        ("dbg", "debug"),
        ("trc", "trace"),
        ("verbose", "trace"),
        ("silly", "trace"),
        ("finest", "trace"),
        ("fine", "debug"),
        ("severe", "error"),
        ("alert", "critical"),
        ("emerg", "critical"),
        ("emergency", "critical"),
        ("panic", "critical"),
        ("dpanic", "critical"),
        ("unknown", "unknown"),
    ];
    let text = text.trim();
    let plausible = (2..=13).contains(&text.len());
    let found = plausible.then(|| LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)));
    found.flatten().map(|(_, level)| *level)
}

/// OpenTelemetry's number of a severity.
pub(super) fn of_severity_number(number: u64) -> Option<&'static str> {
    Some(match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "critical",
        _ => return None,
    })
}

/// The level of a line.
pub(super) fn of_line(line: &str) -> &'static str {
    let bytes = &line.as_bytes()[..line.len().min(HEAD)];
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
    let found = match bytes.get(start) {
        Some(b'{') => in_json(line, start + 1),
        _ => in_pairs(line, bytes),
    };
    found.or_else(|| in_words(bytes)).unwrap_or(UNKNOWN)
}

/// The level among the outermost names of an object, which begins at byte `at` of the line.
fn in_json(line: &str, mut at: usize) -> Option<&'static str> {
    let bytes = line.as_bytes();
    let bytes = &bytes[..bytes.len().min(HEAD)];
    let mut depth = 0usize;
    while let Some(b) = bytes.get(at) {
        match b {
            b'"' => {
                let end = end_of_text(bytes, at + 1)?;
                let name = (at + 1, end);
                at = end + 1;
                if depth > 0 {
                    continue;
                }
                let colon = skip_blanks(bytes, at);
                if bytes.get(colon) != Some(&b':') {
                    continue;
                }
                at = skip_blanks(bytes, colon + 1);
                if line.get(name.0..name.1).is_some_and(is_level_name) {
                    let (start, end) = value(bytes, at)?;
                    if let Some(level) = line.get(start..end).and_then(common_name) {
                        return Some(level);
                    }
                }
            }
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' => (depth, at) = (depth.checked_sub(1)?, at + 1),
            _ => at += memchr::memchr3(b'"', b'{', b'}', &bytes[at + 1..]).map_or(bytes.len(), |n| n + 1),
        }
    }
    None
}

/// Where the text that begins behind a quote at `at` has its other quote.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where a value without brackets stands, without its quotes.
fn value(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    if bytes.get(at) == Some(&b'"') {
        return Some((at + 1, end_of_text(bytes, at + 1)?));
    }
    let length = bytes.get(at..)?.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    Some((at, at + length))
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The level among pairs like `level=info`.
fn in_pairs(line: &str, bytes: &[u8]) -> Option<&'static str> {
    for equals in memchr::memchr_iter(b'=', bytes) {
        let name = bytes[..equals].iter().rev().take(14).take_while(|b| !b.is_ascii_whitespace()).count();
        if line.get(equals - name..equals).is_some_and(is_level_name) {
            let (start, end) = value(bytes, equals + 1)?;
            if let Some(level) = line.get(start..end).and_then(common_name) {
                return Some(level);
            }
        }
    }
    None
}

/// The level among the first words: one in capitals, in brackets, or before a colon.
fn in_words(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(PLAIN_HEAD)];
    for word in head.split(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'|' | b'"')) {
        let is_letter = |b: &u8| b.is_ascii_alphabetic();
        let Some(start) = word.iter().position(is_letter) else { continue };
        let length = word[start..].iter().take_while(|b| is_letter(b)).count();
        let bare = &word[start..start + length];
        let behind = word.get(start + length);
        let loud = bare.iter().all(u8::is_ascii_uppercase);
        let marked = behind == Some(&b':') || start > 0 && matches!(word[start - 1], b'[' | b'<' | b'(');
        if (loud || marked)
            && (3..=13).contains(&length)
            && let Some(level) = std::str::from_utf8(bare).ok().and_then(common_name)
        {
            return Some(level);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_are_found_in_json_in_pairs_and_in_words() {
        for (line, level) in [
            (r#"{"level":30,"time":1,"msg":"x"}"#, "info"),
            (r#"{"level":60}"#, "critical"),
            (r#"{"time":"t","level" : "ERROR","msg":"level=debug"}"#, "error"),
            (r#"  {"a":{"level":"debug"},"b":["level",{"level":10}],"severity":"Warning"}"#, "warn"),
            (r#"{"msg":"say \"level\":\"error\" twice","lvl":"dbg"}"#, "debug"),
            (r#"{"level":"whatever","severity":"notice"}"#, "info"),
            (r#"{"msg":"level"}"#, "unknown"),
            ("ts=1 level=warn msg=\"level=error\"", "warn"),
            ("level=\"error\" x", "error"),
            ("sublevel=error x", "unknown"),
            ("2024-01-01T00:00:00Z ERROR it failed", "error"),
            ("[warn] disk", "warn"),
            ("panic: oh no", "critical"),
            ("no information about an error here", "unknown"),
            ("", "unknown"),
            ("é", "unknown"),
        ] {
            assert_eq!(of_line(line), level, "{line}");
        }
        assert_eq!(of_severity_number(17), Some("error"));
        assert_eq!(of_severity_number(0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_line_has_a_level(line in r#"([{}\[\]":,=\\ aé]|level|error|INFO){0,40}"#) {
            prop_assert!(!of_line(&line).is_empty());
        }
    }
}
