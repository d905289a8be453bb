//! Tokens: what the lexer hands to the parser.

use reba_model::float::go_quote;

use super::ast::{AggregateOp, BinaryOp, Span};

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The end of the query.
    End,
    /// The lexer could not go on; it keeps the reason.
    Invalid,
    Identifier,
    /// An identifier with a colon in it.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`, inside braces only
    Matches,
    /// `!~`, inside braces only
    NotMatches,
    At,
    /// A binary operator; `!=` inside braces too.
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Word(Word),
}

/// Words with a meaning of their own in some places. Nearly all of them are names in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

const WORDS: [(&str, Word); 19] = [
    ("anchored", Word::Anchored),
    ("bool", Word::Bool),
    ("by", Word::By),
    ("fill", Word::Fill),
    ("fill_left", Word::FillLeft),
    ("fill_right", Word::FillRight),
    ("group_left", Word::GroupLeft),
    ("group_right", Word::GroupRight),
    ("ignoring", Word::Ignoring),
    ("offset", Word::Offset),
    ("on", Word::On),
    ("smoothed", Word::Smoothed),
    ("without", Word::Without),
    ("start", Word::Start),
    ("end", Word::End),
    ("step", Word::Step),
    ("range", Word::Range),
    ("max_of", Word::MaxOf),
    ("min_of", Word::MinOf),
];

/// The longest word with a meaning: `count_values`.
const LONGEST_WORD: usize = 12;

impl Token {
    /// The token of a word outside of braces, in any case of letters; an identifier if it has no meaning.
    pub(super) fn of_word(word: &str) -> Token {
        let identifier = if word.contains(':') { Token::MetricIdentifier } else { Token::Identifier };
        if word.len() > LONGEST_WORD {
            return identifier;
        }
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "inf" | "nan" => return Token::Number,
            "and" => return Token::Operator(BinaryOp::And),
            "or" => return Token::Operator(BinaryOp::Or),
            "unless" => return Token::Operator(BinaryOp::Unless),
            "atan2" => return Token::Operator(BinaryOp::Atan2),
            _ => {}
        }
        if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower) {
            return Token::Aggregate(op);
        }
        WORDS.iter().find(|(name, _)| *name == lower).map_or(identifier, |(_, word)| Token::Word(*word))
    }

    /// Whether the token, where an operand is expected, is the name of a metric.
    pub(super) fn is_metric_name(self) -> bool {
        match self {
            Token::Identifier | Token::MetricIdentifier | Token::Aggregate(_) => true,
            Token::Operator(op) => op.is_set(),
            Token::Word(word) => {
                use Word as W;
                !matches!(word, W::Bool | W::On | W::Ignoring | W::GroupLeft | W::GroupRight)
            }
            _ => false,
        }
    }

    /// Whether the token, in a list of labels, is the name of a label.
    pub(super) fn is_label_name(self) -> bool {
        match self {
            Token::Identifier | Token::MetricIdentifier | Token::Aggregate(_) => true,
            Token::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
            Token::Word(word) => word != Word::Without,
            _ => false,
        }
    }
}

/// A token in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
}

/// A token as upstream names it in `unexpected …`.
pub(super) fn describe(token: Token, text: &str) -> String {
    match token {
        Token::End => "end of input".to_owned(),
        Token::Invalid => "error".to_owned(),
        Token::Identifier => format!("identifier {}", go_quote(text)),
        Token::MetricIdentifier => format!("metric identifier {}", go_quote(text)),
        Token::Number => format!("number {}", shortened(text)),
        Token::Duration => format!("duration {}", shortened(text)),
        Token::String => format!("string {}", shortened(text)),
        Token::Matches | Token::NotMatches | Token::At | Token::Operator(_) => format!("<op:{text}>"),
        Token::Aggregate(_) => format!("<aggr:{text}>"),
        Token::Word(Word::Start | Word::End | Word::Step | Word::Range | Word::MaxOf | Word::MinOf) => {
            shortened(text)
        }
        Token::Word(_) => format!("<{text}>"),
        _ => shortened(text),
    }
}

/// Quoted; of a long text the beginning.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return go_quote(text);
    }
    let start: String = text.chars().take(10).collect();
    format!("{}...", go_quote(&start))
}
