//! Go text templates, with the functions that Prometheus and Alertmanager add.
//!
//! [`Template::parse`] and [`Template::execute`] follow Go's `text/template` in output and in the wording of errors.
//! The functions beyond Go's builtins are a value, [`Functions`]; [`prometheus::functions`] is the set of alert
//! rules. Hosts hand in data as [`Value`], and types with methods of their own as [`Object`].
//!
//! A template comes from outside: its length, nesting, steps, output and intermediate texts are limited ([`Limits`]).

pub mod alertmanager;
mod builtin;
mod constant;
pub mod escape;
mod exec;
mod function;
pub mod html;
mod humanize;
mod lex;
mod node;
mod number;
mod parse;
mod print;
pub mod prometheus;
mod template;
mod text;
mod time;
mod time_parse;
mod value;

pub use function::{Function, Functions, Param};
pub use number::shortest as format_float;
pub use parse::{MAX_TEMPLATE_BYTES, ParseError};
pub use print::{TooLong, sprint, sprintf};
pub use template::{ExecError, Limits, MissingKey, Options, Template};
pub use text::title;
pub use time::{Duration, Time};
pub use time_parse::TimeFields;
pub use value::{List, Map, Object, Value};
