//! The table at the end.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::{
    curves::{self, Curve},
    server::Kind,
};

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What one size cost, for the table of growth: what, series, cost.
    pub growth: Vec<(&'static str, usize, f64)>,
    /// What went wrong.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds what something cost with so many series.
    pub fn grow(&mut self, what: &'static str, series: usize, cost: f64) {
        self.growth.push((what, series, cost));
    }

    /// Adds a sentence for below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was measured, with its unit.
    pub what: String,
    better: Better,
    /// By the server's name.
    values: BTreeMap<String, f64>,
}

impl Row {
    /// What a server achieved.
    pub fn of(&self, kind: Kind) -> Option<f64> {
        self.values.get(kind.name()).copied()
    }

    /// What the better of the peers achieved.
    pub fn best_peer(&self) -> Option<f64> {
        let peers = self.values.iter().filter(|(k, _)| *k != Kind::Reba.name()).map(|(_, v)| *v);
        match self.better {
            Better::More => peers.reduce(f64::max),
            Better::Less => peers.reduce(f64::min),
        }
    }

    /// Reba's figure through that of the better peer.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.of(Kind::Reba)? / self.best_peer()?).filter(|r| r.is_finite())
    }

    /// [`Row::ratio`], turned so that more is always better.
    pub fn gain(&self) -> Option<f64> {
        self.ratio().map(|r| if self.better == Better::More { r } else { 1.0 / r })
    }
}

/// All figures of a run; kept in a file, so that a scenario can be measured again by itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The machine, and the version of each server.
    heading: Vec<String>,
    rows: Vec<Row>,
    curves: Vec<Curve>,
    answers: BTreeMap<String, BTreeMap<String, f64>>,
    notes: Vec<String>,
}

/// Answers may differ by so much: rates are extrapolated in different ways.
const TOLERANCE: f64 = 0.01;

impl Report {
    /// Says what the figures were taken on.
    pub fn head(&mut self, line: String) {
        if !self.heading.contains(&line) {
            self.heading.push(line);
        }
    }

    /// Adds what one server achieved; what was there of the same name is replaced.
    pub fn add(&mut self, kind: Kind, outcome: Outcome) {
        for f in outcome.figures {
            let at = self.rows.iter().position(|r| r.what == f.what).unwrap_or_else(|| {
                self.rows.push(Row { what: f.what.clone(), better: f.better, values: BTreeMap::new() });
                self.rows.len() - 1
            });
            self.rows[at].values.insert(kind.name().to_owned(), f.value);
        }
        for (what, series, cost) in outcome.growth {
            curves::add(&mut self.curves, kind, what, series, cost);
        }
        for (query, total) in outcome.answers {
            self.answers.entry(query.to_owned()).or_default().insert(kind.name().to_owned(), total);
        }
        self.notes.extend(outcome.notes);
    }

    /// Adds a sentence for below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The lines of the table whose names begin so.
    pub fn rows<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |r| r.what.starts_with(prefix))
    }

    /// How costs grow.
    pub fn curves(&self) -> &[Curve] {
        &self.curves
    }

    /// Takes figures out whose answer differs from Prometheus': being wrong fast does not count.
    pub fn judge_answers(&mut self) {
        for (query, answers) in &self.answers {
            let Some(right) = answers.get(Kind::Prometheus.name()) else { continue };
            for (name, total) in answers {
                if (total - right).abs() <= right.abs() * TOLERANCE {
                    continue;
                }
                let note = format!("{query}: {name} says {total}, prometheus {right}");
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                for row in self.rows.iter_mut().filter(|r| r.what.starts_with(query.as_str())) {
                    row.values.remove(name);
                }
            }
        }
    }

    /// Everything as Markdown: the machine, the table with Reba's ratio to the better peer, growth, notes.
    pub fn text(&self, kinds: &[Kind]) -> String {
        let mut out = String::new();
        for line in &self.heading {
            let _ = writeln!(out, "- {line}");
        }
        out.push_str("\n| what |");
        for k in kinds {
            let _ = write!(out, " {} |", k.name());
        }
        out.push_str(" reba / best peer |\n|---|");
        out.push_str(&"---:|".repeat(kinds.len() + 1));
        for row in &self.rows {
            let _ = write!(out, "\n| {} |", row.what);
            for k in kinds {
                let _ = write!(out, " {} |", row.of(*k).map_or("-".to_owned(), short));
            }
            let _ = write!(out, " {} |", row.ratio().map_or("-".to_owned(), |r| format!("{r:.2}×")));
        }
        out.push('\n');
        out.push_str(&curves::text(&self.curves, kinds));
        for note in &self.notes {
            let _ = write!(out, "\n{note}\n");
        }
        out
    }
}

/// A number with about three digits.
pub fn short(v: f64) -> String {
    match v.abs() {
        a if a >= 1e6 => format!("{:.2} M", v / 1e6),
        a if a >= 1e4 => format!("{:.0} k", v / 1e3),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}
