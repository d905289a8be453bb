//! The table at the end, and what was promised.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::server::Kind;

/// One line of the table.
#[derive(Clone, Debug)]
struct Row {
    what: String,
    more_is_better: bool,
    values: BTreeMap<&'static str, f64>,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Report {
    heading: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// A promise: of all figures whose names begin so, Reba's through that of the best peer is at most, or at least, so much.
struct Promise {
    rows: &'static str,
    part: &'static str,
    /// Times the best peer, or the figure itself.
    relative: bool,
    must: f64,
    aim: f64,
}

const PROMISES: &[Promise] = &[
    Promise { rows: "push", part: "MB per CPU", relative: true, must: 1.5, aim: 3.0 },
    Promise { rows: "on disk", part: "", relative: true, must: 1.0, aim: 0.65 },
    Promise { rows: "memory", part: "", relative: true, must: 1.0, aim: 0.5 },
    Promise { rows: "L", part: "CPU ms", relative: true, must: 1.0, aim: 0.4 },
    Promise { rows: "L", part: "wall ms", relative: true, must: 1.0, aim: 0.4 },
    Promise { rows: "follow", part: "median", relative: false, must: 1000.0, aim: 200.0 },
    Promise { rows: "SIGKILL", part: "lines lost", relative: false, must: 0.0, aim: 0.0 },
];

impl Report {
    /// Says what the figures were taken on, and who is missing.
    pub fn head(&mut self, line: String) {
        self.heading.push(line);
    }

    /// Adds a sentence for below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Adds a figure of which less is better.
    pub fn less(&mut self, kind: Kind, what: impl Into<String>, value: f64) {
        self.add(kind, what.into(), value, false);
    }

    /// Adds a figure of which more is better.
    pub fn more(&mut self, kind: Kind, what: impl Into<String>, value: f64) {
        self.add(kind, what.into(), value, true);
    }

    fn add(&mut self, kind: Kind, what: String, value: f64, more_is_better: bool) {
        let at = self.rows.iter().position(|r| r.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what, more_is_better, values: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].values.insert(kind.name(), value);
    }

    /// Everything as Markdown.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.heading {
            let _ = writeln!(out, "- {line}");
        }
        out.push_str("\n| what |");
        for kind in Kind::ALL {
            let _ = write!(out, " {} |", kind.name());
        }
        out.push_str(" reba / best peer |\n|---|---:|---:|---:|---:|\n");
        for row in &self.rows {
            let _ = write!(out, "| {} |", row.what);
            for kind in Kind::ALL {
                let _ = write!(out, " {} |", row.values.get(kind.name()).map_or("-".to_owned(), short));
            }
            let _ = writeln!(out, " {} |", row.ratio().map_or("-".to_owned(), |r| format!("{r:.2}×")));
        }
        for note in &self.notes {
            let _ = write!(out, "\n{note}\n");
        }
        out
    }

    /// The promises as a table, and how many of them were missed.
    pub fn verdicts(&self) -> (String, usize) {
        let mut out =
            String::from("\n| promise | must | aim | measured | verdict |\n|---|---:|---:|---:|---|\n");
        let mut missed = 0;
        for promise in PROMISES {
            let rows = self.rows.iter().filter(|r| r.what.starts_with(promise.rows));
            for row in rows.filter(|r| r.what.contains(promise.part)) {
                let (times, figure) = if promise.relative {
                    (" × best peer", row.ratio())
                } else {
                    ("", row.values.get(Kind::Reba.name()).copied())
                };
                let keeps = |figure: f64, bound: f64| {
                    if row.more_is_better { figure >= bound } else { figure <= bound }
                };
                let verdict = match figure {
                    None => "not measured",
                    Some(f) if keeps(f, promise.aim) => "aim met",
                    Some(f) if keeps(f, promise.must) => "met",
                    Some(_) => "MISSED",
                };
                missed += usize::from(verdict == "MISSED");
                let sign = if row.more_is_better { "≥" } else { "≤" };
                let _ = writeln!(
                    out,
                    "| {}{times} | {sign} {} | {sign} {} | {} | {verdict} |",
                    row.what,
                    promise.must,
                    promise.aim,
                    figure.map_or("-".to_owned(), |f| format!("{f:.2}")),
                );
            }
        }
        (out, missed)
    }
}

impl Row {
    /// Reba's figure through that of the better peer.
    fn ratio(&self) -> Option<f64> {
        let peers = self.values.iter().filter(|(k, _)| **k != Kind::Reba.name()).map(|(_, v)| *v);
        let best = if self.more_is_better { peers.reduce(f64::max) } else { peers.reduce(f64::min) }?;
        Some(self.values.get(Kind::Reba.name())? / best).filter(|r| r.is_finite())
    }
}

/// A number with about three digits.
fn short(v: &f64) -> String {
    match v.abs() {
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}
