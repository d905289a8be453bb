//! The words of a query.

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name: of a label, a function, a stage, a keyword. What it is depends on where it stands.
    Ident(String),
    /// A text, its escapes resolved.
    Text(String),
    /// A number as it was written.
    Number(String),
    /// A duration, nanoseconds.
    Duration(i64),
    /// A size, bytes.
    Bytes(u64),
    /// `[5m]`, nanoseconds.
    Range(i64),
    /// `--strict`
    Flag(String),
    /// Anything else: brackets, commas, operators.
    Sign(&'static str),
    /// Behind the last word.
    End,
}

/// Names that upstream reports as themselves where they do not belong, instead of as `IDENTIFIER`.
const KEYWORDS: [&str; 28] = [
    "and",
    "bool",
    "by",
    "decolorize",
    "drop",
    "group_left",
    "group_right",
    "ignoring",
    "ip",
    "json",
    "keep",
    "label_format",
    "label_replace",
    "line_format",
    "logfmt",
    "offset",
    "on",
    "or",
    "pattern",
    "regexp",
    "unless",
    "unpack",
    "unwrap",
    "vector",
    "without",
    "bytes",
    "duration",
    "duration_seconds",
];

impl Token {
    /// How an error calls it.
    pub(super) fn name(&self) -> &str {
        match self {
            Token::Ident(name) if KEYWORDS.contains(&name.as_str()) => name,
            Token::Ident(_) => "IDENTIFIER",
            Token::Text(_) => "STRING",
            Token::Number(_) => "NUMBER",
            Token::Duration(_) => "DURATION",
            Token::Bytes(_) => "BYTES",
            Token::Range(_) => "RANGE",
            Token::Flag(_) => "PARSER_FLAG",
            Token::Sign(sign) => sign,
            Token::End => "$end",
        }
    }
}

/// A word and the byte of the query it begins at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) pos: usize,
}
