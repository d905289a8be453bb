//! Levels of log lines, under whatever name a program gives them.

/// The common name of a level: `trace`, `debug`, `info`, `warn`, `error`, `critical` or `fatal`; numbers are pino's.
pub fn level_name(text: &str) -> Option<&'static str> {
    let text = text.trim().trim_matches(['[', ']', '"', ':']);
    if text.len() > 12 {
        return None;
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "trace" | "trc" | "10" | "finest" | "verbose" | "silly" => "trace",
        "debug" | "dbg" | "20" | "fine" => "debug",
        "info" | "inf" | "information" | "30" | "notice" | "informational" => "info",
        "warn" | "warning" | "wrn" | "40" => "warn",
        "error" | "err" | "50" | "severe" => "error",
        "critical" | "crit" | "alert" => "critical",
        "fatal" | "60" | "emerg" | "emergency" | "panic" => "fatal",
        _ => return None,
    })
}

/// The level that a word of a plain line names: one in brackets or in capitals, or the first word before a colon.
pub(crate) fn level_in_words(line: &str) -> Option<&'static str> {
    let end = (0..=line.len().min(160)).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0);
    let head = &line[..end];
    for (i, word) in head.split_whitespace().take(8).enumerate() {
        // Python's own format is LEVEL:NAME:TEXT.
        let word = if i == 0 { word.split_inclusive(':').next().unwrap_or(word) } else { word };
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if bare.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let bracketed = word.starts_with(['[', '<', '(']);
        let loud = bare.len() > 2 && bare.chars().all(|c| c.is_ascii_uppercase());
        let first = i == 0 && word.ends_with(':');
        if (bracketed || loud || first)
            && let Some(level) = level_name(bare)
        {
            return Some(level);
        }
    }
    None
}
