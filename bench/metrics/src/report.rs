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

/// What a scenario came to on one server.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What each query's answer comes to, for comparison.
    pub answers: Vec<(&'static str, f64)>,
    /// What went wrong.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a sentence for below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    kinds: Vec<Kind>,
    rows: Vec<(String, Better, BTreeMap<&'static str, f64>)>,
    answers: BTreeMap<&'static str, Vec<(Kind, f64)>>,
    notes: Vec<String>,
}

/// Answers may differ by so much: rates are extrapolated in different ways.
const TOLERANCE: f64 = 0.01;

impl Report {
    /// A report with a column for each server.
    pub fn new(kinds: &[Kind]) -> Self {
        Report { kinds: kinds.to_vec(), rows: Vec::new(), answers: BTreeMap::new(), notes: Vec::new() }
    }

    /// Adds what one server achieved.
    pub fn add(&mut self, kind: Kind, outcome: Outcome) {
        for f in outcome.figures {
            let at = self.rows.iter().position(|r| r.0 == f.what).unwrap_or_else(|| {
                self.rows.push((f.what.clone(), f.better, BTreeMap::new()));
                self.rows.len() - 1
            });
            self.rows[at].2.insert(kind.name(), f.value);
        }
        for (query, total) in outcome.answers {
            self.answers.entry(query).or_default().push((kind, total));
        }
        self.notes.extend(outcome.notes);
    }

    /// Adds a sentence for below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Takes figures out whose answer differs from Prometheus': being wrong fast does not count.
    pub fn judge_answers(&mut self) {
        for (query, answers) in std::mem::take(&mut self.answers) {
            let of = |kind| answers.iter().find(|(k, _)| *k == kind).map(|(_, total)| *total);
            let Some(right) = of(Kind::Prometheus) else { continue };
            for (kind, total) in &answers {
                if (total - right).abs() <= right.abs() * TOLERANCE {
                    continue;
                }
                self.notes.push(format!("{query}: {} says {total}, prometheus {right}", kind.name()));
                for row in self.rows.iter_mut().filter(|r| r.0.starts_with(query)) {
                    row.2.remove(kind.name());
                }
            }
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
        for note in &self.notes {
            let _ = write!(out, "\n\n{note}");
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
