//! What was promised, and whether it was kept: each line of the targets with what was measured.

use std::fmt::Write as _;

use crate::{
    report::{Report, Row},
    server::Kind,
};

/// What a figure is compared with.
#[derive(Clone, Copy)]
enum Against {
    VictoriaMetrics,
    Prometheus,
    BestPeer,
    /// The figure itself counts.
    Nothing,
}

/// One promise.
struct Target {
    what: &'static str,
    /// How the names of its rows begin; all of them must keep it.
    rows: &'static str,
    /// A part of the names, besides.
    part: &'static str,
    against: Against,
    /// At least so much, or at most.
    at_least: bool,
    must: f64,
    aim: Option<f64>,
}

const fn at_least(
    what: &'static str,
    rows: &'static str,
    against: Against,
    must: f64,
    aim: Option<f64>,
) -> Target {
    Target { what, rows, part: "", against, at_least: true, must, aim }
}

const fn at_most(
    what: &'static str,
    rows: &'static str,
    part: &'static str,
    against: Against,
    must: f64,
    aim: Option<f64>,
) -> Target {
    Target { what, rows, part, against, at_least: false, must, aim }
}

use Against::{BestPeer, Nothing, Prometheus, VictoriaMetrics};

const TARGETS: &[Target] = &[
    at_least(
        "remote write, 1 a series, × VictoriaMetrics",
        "remote write, 1 a",
        VictoriaMetrics,
        1.2,
        Some(2.0),
    ),
    at_least("remote write, 1 a series, × Prometheus", "remote write, 1 a", Prometheus, 4.0, None),
    at_least(
        "remote write, 10 a series, × VictoriaMetrics",
        "remote write, 10 a",
        VictoriaMetrics,
        1.2,
        Some(2.0),
    ),
    at_least("remote write, 10 a series, × Prometheus", "remote write, 10 a", Prometheus, 4.0, None),
    at_least("scrape, × Prometheus", "scrape of 1,000-series pages", Prometheus, 2.0, Some(3.5)),
    at_most("bytes per sample, × VictoriaMetrics", "24 h at 30 s", "", VictoriaMetrics, 1.0, Some(0.87)),
    at_most("bytes per sample, × Prometheus", "24 h at 30 s", "", Prometheus, 0.5, None),
    at_most(
        "memory of active series, × VictoriaMetrics",
        "memory",
        "resident MB",
        VictoriaMetrics,
        1.0,
        Some(0.6),
    ),
    at_most("memory of active series, × Prometheus", "memory", "resident MB", Prometheus, 0.4, None),
    at_most("dashboard queries, CPU, × best peer", "q", "CPU ms", BestPeer, 0.8, Some(0.3)),
    at_most("dashboard queries, latency, × best peer", "q", "wall ms", BestPeer, 0.8, Some(0.3)),
    at_most("restart after SIGKILL, × Prometheus", "restart", "until a query answers", Prometheus, 0.3, None),
    at_most(
        "restart after SIGKILL, seconds",
        "restart",
        "until a query answers",
        Nothing,
        f64::MAX,
        Some(1.0),
    ),
    at_most("churn for a day: memory, × without", "churn: memory", "", Nothing, 1.5, Some(1.1)),
    at_most(
        "idle reba demo (its fleet included), MB",
        "idle reba demo",
        "resident MB",
        Nothing,
        80.0,
        Some(40.0),
    ),
    at_most("acknowledged samples lost by SIGKILL, seconds", "SIGKILL in a stream", "", Nothing, 0.0, None),
];

impl Target {
    fn figure(&self, row: &Row) -> Option<f64> {
        let ours = row.of(Kind::Reba)?;
        let theirs = match self.against {
            VictoriaMetrics => row.of(Kind::VictoriaMetrics)?,
            Prometheus => row.of(Kind::Prometheus)?,
            BestPeer => row.best_peer()?,
            Nothing => 1.0,
        };
        Some(ours / theirs)
    }

    fn keeps(&self, figure: f64, bound: f64) -> bool {
        if self.at_least { figure >= bound } else { figure <= bound }
    }

    fn verdict(&self, figure: f64) -> &'static str {
        match self.aim {
            _ if !self.keeps(figure, self.must) => "MISSED",
            Some(aim) if self.keeps(figure, aim) => "aim met",
            _ => "met",
        }
    }

    fn bound(&self, bound: f64) -> String {
        match bound {
            b if b == f64::MAX => "-".to_owned(),
            b => format!("{} {b}", if self.at_least { "≥" } else { "≤" }),
        }
    }
}

/// The promises as a table, and how many of them were missed.
pub fn verdicts(report: &Report) -> (String, usize) {
    let mut out = String::from("\n| promise | must | aim | measured | verdict |\n|---|---:|---:|---:|---|\n");
    let mut missed = 0;
    for target in TARGETS {
        let rows: Vec<&Row> = report.rows(target.rows).filter(|r| r.what.contains(target.part)).collect();
        let aim = target.aim.map_or("-".to_owned(), |a| target.bound(a));
        let must = target.bound(target.must);
        let mut measured = false;
        for row in &rows {
            let Some(figure) = target.figure(row) else { continue };
            measured = true;
            let verdict = target.verdict(figure);
            missed += usize::from(verdict == "MISSED");
            // A promise about several queries has a line for each.
            let what = match row.what.split_once(' ') {
                Some((query, _)) if target.rows == "q" => format!("{} ({query})", target.what),
                _ => target.what.to_owned(),
            };
            let _ = writeln!(out, "| {what} | {must} | {aim} | {figure:.2} | {verdict} |");
        }
        if !measured {
            let _ = writeln!(out, "| {} | {must} | {aim} | - | not measured |", target.what);
        }
    }
    let growing = report.curves();
    if !growing.is_empty() {
        let steep = growing.iter().filter(|c| c.too_steep()).count();
        missed += steep;
        let verdict = if steep == 0 { "met" } else { "MISSED" };
        let steepest = growing.iter().flat_map(|c| c.exponents(Kind::Reba)).fold(f64::NAN, f64::max);
        let _ = writeln!(
            out,
            "| growth from 10 k to 1 M series: the steepest step | about n^1 | - | n^{steepest:.2} | {verdict} |"
        );
    }
    (out, missed)
}
