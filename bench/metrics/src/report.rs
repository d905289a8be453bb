//! The table at the end.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::server::Kind;

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Samples per CPU-second.
    More,
    /// Bytes, milliseconds.
    Less,
}

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What, with its unit.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Which way is up.
    pub better: Better,
}

impl Figure {
    /// A figure of which more is better.
    pub fn more(what: impl Into<String>, value: f64) -> Self {
        Figure { what: what.into(), value, better: Better::More }
    }

    /// A figure of which less is better.
    pub fn less(what: impl Into<String>, value: f64) -> Self {
        Figure { what: what.into(), value, better: Better::Less }
    }
}

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    kinds: Vec<Kind>,
    rows: Vec<(String, Better, BTreeMap<&'static str, f64>)>,
}

impl Report {
    /// A report with a column for each server.
    pub fn new(kinds: &[Kind]) -> Self {
        Report { kinds: kinds.to_vec(), rows: Vec::new() }
    }

    /// Adds what one server achieved.
    pub fn add(&mut self, kind: Kind, figures: Vec<Figure>) {
        for f in figures {
            let at = self.rows.iter().position(|r| r.0 == f.what).unwrap_or_else(|| {
                self.rows.push((f.what.clone(), f.better, BTreeMap::new()));
                self.rows.len() - 1
            });
            self.rows[at].2.insert(kind.name(), f.value);
        }
    }

    /// The table, with Reba's ratio to the best peer in the last column.
    pub fn text(&self) -> String {
        let mut out = String::from("\n| what |");
        for k in &self.kinds {
            let _ = write!(out, " {} |", k.name());
        }
        out.push_str(" reba / best peer |\n|---|");
        out.push_str(&"---:|".repeat(self.kinds.len() + 1));
        for (what, better, values) in &self.rows {
            let _ = write!(out, "\n| {what} |");
            for k in &self.kinds {
                let _ = write!(out, " {} |", values.get(k.name()).map_or("-".to_owned(), |v| short(*v)));
            }
            let peers = values.iter().filter(|(k, _)| **k != "reba").map(|(_, v)| *v);
            let best = match better {
                Better::More => peers.fold(f64::NAN, f64::max),
                Better::Less => peers.fold(f64::NAN, f64::min),
            };
            let ratio = values.get("reba").map(|r| r / best).filter(|r| r.is_finite());
            let _ = write!(out, " {} |", ratio.map_or("-".to_owned(), |r| format!("{r:.2}×")));
        }
        out
    }
}

fn short(v: f64) -> String {
    match v.abs() {
        a if a >= 1e6 => format!("{:.2} M", v / 1e6),
        a if a >= 1e4 => format!("{:.0} k", v / 1e3),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}
