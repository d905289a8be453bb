//! How costs grow with the number of series: a table with exponents, and a plot.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::{report::short, server::Kind};

/// One cost at several sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// What, with its unit.
    pub what: String,
    /// By the server's name: cost by number of series.
    points: BTreeMap<String, BTreeMap<usize, f64>>,
}

/// A cost that grows with a higher power of the data than this is a fault. Of the surplus over 1, sorting explains 0.08, and caches of
/// the processor, which the larger sizes do not fit, the rest.
pub const TOO_STEEP: f64 = 1.2;

/// Costs below this many milliseconds (or megabytes) say nothing of growth.
const NOISE: f64 = 1.0;

impl Curve {
    /// The points of a server in ascending size.
    pub fn of(&self, kind: Kind) -> Vec<(f64, f64)> {
        let points = self.points.get(kind.name());
        points.into_iter().flatten().map(|(n, cost)| (*n as f64, *cost)).collect()
    }

    /// The power of the size that the cost grows with, between each two sizes.
    pub fn exponents(&self, kind: Kind) -> Vec<f64> {
        self.of(kind)
            .windows(2)
            .map(|w| (w[1].1.max(NOISE) / w[0].1.max(NOISE)).ln() / (w[1].0 / w[0].0).ln())
            .collect()
    }

    /// Whether some step of Reba's grows faster than the data.
    pub fn too_steep(&self) -> bool {
        self.exponents(Kind::Reba).iter().any(|e| *e > TOO_STEEP)
    }
}

/// Adds one point.
pub fn add(curves: &mut Vec<Curve>, kind: Kind, what: &str, series: usize, cost: f64) {
    let at = curves.iter().position(|c| c.what == what).unwrap_or_else(|| {
        curves.push(Curve { what: what.to_owned(), points: BTreeMap::new() });
        curves.len() - 1
    });
    curves[at].points.entry(kind.name().to_owned()).or_default().insert(series, cost);
}

/// The table: for each server its costs in ascending size, and the exponent of each step.
pub fn text(curves: &[Curve], kinds: &[Kind]) -> String {
    let mut out = String::new();
    let Some(sizes) =
        curves.first().and_then(|c| c.points.values().map(|p| p.keys()).max_by_key(|k| k.len()))
    else {
        return out;
    };
    let sizes: Vec<usize> = sizes.copied().collect();
    let list: Vec<String> = sizes.iter().map(|n| count(*n)).collect();
    let _ = write!(out, "\n| with {} series |", list.join(", "));
    for k in kinds {
        let _ = write!(out, " {} | grows by |", k.name());
    }
    out.push_str("\n|---|");
    out.push_str(&"---:|---|".repeat(kinds.len()));
    for curve in curves {
        let _ = write!(out, "\n| {} |", curve.what);
        for k in kinds {
            let points = curve.points.get(k.name());
            let cost = |n: &usize| points.and_then(|p| p.get(n)).map_or("-".to_owned(), |v| short(*v));
            let costs: Vec<String> = sizes.iter().map(cost).collect();
            let powers: Vec<String> = curve.exponents(*k).iter().map(|e| format!("n^{e:.2}")).collect();
            let _ = write!(out, " {} | {} |", costs.join(" · "), powers.join(", "));
        }
    }
    out.push('\n');
    for curve in curves.iter().filter(|c| c.too_steep()) {
        let _ = writeln!(out, "\ngrows faster than the data: {}", curve.what);
    }
    out
}

fn count(series: usize) -> String {
    match series {
        n if n >= 1_000_000 => format!("{} M", n / 1_000_000),
        n => format!("{} k", n / 1000),
    }
}

const PANEL: (f64, f64) = (196.0, 150.0);
const MARGIN: (f64, f64) = (34.0, 34.0);
const INNER: (f64, f64) = (150.0, 90.0);
const COLUMNS: usize = 4;

/// A picture with a panel for each cost: both axes logarithmic, a grey line as steep as the data grows.
pub fn svg(curves: &[Curve], kinds: &[Kind]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64 + 8.0, PANEL.1 * rows as f64 + 30.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Cost by number of series</title>\n<style>\n\
         text{{font:10px system-ui,sans-serif;fill:#1f2328}}.t{{font-weight:600}}.d{{fill:#59636e}}\n\
         rect{{fill:none;stroke:#d1d9e0}}path{{fill:none;stroke-width:2}}.one{{stroke:#afb8c1;stroke-width:1;stroke-dasharray:3 3}}\n\
         .reba{{stroke:#0969da}}.prometheus{{stroke:#cf5615}}.victoria-metrics{{stroke:#7d4bc9}}\n\
         @media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.d{{fill:#9198a1}}rect{{stroke:#3d444d}}.one{{stroke:#656c76}}\n\
         .reba{{stroke:#58a6ff}}.prometheus{{stroke:#f0883e}}.victoria-metrics{{stroke:#bc8cff}}}}\n</style>\n"
    );
    for (i, curve) in curves.iter().enumerate() {
        let x = PANEL.0 * (i % COLUMNS) as f64 + MARGIN.0;
        let y = PANEL.1 * (i / COLUMNS) as f64 + MARGIN.1;
        out.push_str(&panel(curve, kinds, x, y));
    }
    let y = height - 10.0;
    for (i, kind) in kinds.iter().enumerate() {
        let (x, name) = (MARGIN.0 + 130.0 * i as f64, kind.name());
        let _ = writeln!(out, "<path class=\"{name}\" d=\"M{x} {}h18\"/>", y - 3.0);
        let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 24.0);
    }
    let x = MARGIN.0 + 130.0 * kinds.len() as f64;
    let _ = writeln!(out, "<path class=\"one\" d=\"M{x} {}h18\"/>", y - 3.0);
    let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">as fast as the data</text>\n</svg>", x + 24.0);
    out
}

fn panel(curve: &Curve, kinds: &[Kind], x: f64, y: f64) -> String {
    let mut out = String::new();
    let all: Vec<(f64, f64)> = kinds.iter().flat_map(|k| curve.of(*k)).filter(|p| p.1 > 0.0).collect();
    let bounds = |f: fn(&(f64, f64)) -> f64| {
        all.iter()
            .map(f)
            .fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v.log10()), high.max(v.log10())))
    };
    let ((n0, n1), (c0, c1)) = (bounds(|p| p.0), bounds(|p| p.1));
    if all.is_empty() || n1 <= n0 {
        return out;
    }
    let (c0, c1) = (c0.floor(), c1.ceil().max(c0.floor() + 1.0));
    let px = |n: f64| x + (n.log10() - n0) / (n1 - n0) * INNER.0;
    let py = |c: f64| y + INNER.1 - (c.log10() - c0) / (c1 - c0) * INNER.1;
    let (what, unit) = curve.what.rsplit_once(": ").unwrap_or((&curve.what, ""));
    let _ = writeln!(out, "<text class=\"t\" x=\"{}\" y=\"{}\">{}</text>", x - 28.0, y - 20.0, escape(what));
    let _ = writeln!(out, "<text class=\"d\" x=\"{}\" y=\"{}\">{unit}</text>", x - 28.0, y - 7.0);
    let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"/>", INNER.0, INNER.1);
    for c in [c0, c1] {
        let at = py(10f64.powf(c)) + 3.0;
        let label = tick(c);
        let _ = writeln!(
            out,
            "<text class=\"d\" x=\"{}\" y=\"{at:.0}\" text-anchor=\"end\">{label}</text>",
            x - 3.0
        );
    }
    for n in [n0, n1] {
        let n = 10f64.powf(n);
        let (at, label) = (px(n), count(n.round() as usize));
        let _ = writeln!(
            out,
            "<text class=\"d\" x=\"{at:.0}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            y + INNER.1 + 12.0
        );
    }
    // The guide begins where Reba does and is cut off by the frame.
    if let Some((n, c)) = curve.of(Kind::Reba).first() {
        let c = c.max(10f64.powf(c0));
        let far = (n1 - n.log10()).min(c1 - c.log10());
        let (n2, c2) = (n * 10f64.powf(far), c * 10f64.powf(far));
        let _ = writeln!(
            out,
            "<path class=\"one\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            px(*n),
            py(c),
            px(n2),
            py(c2)
        );
    }
    for kind in kinds {
        let points: Vec<String> = curve
            .of(*kind)
            .iter()
            .filter(|p| p.1 > 0.0)
            .map(|(n, c)| format!("{:.1} {:.1}", px(*n), py(*c)))
            .collect();
        if !points.is_empty() {
            let _ = writeln!(out, "<path class=\"{}\" d=\"M{}\"/>", kind.name(), points.join("L"));
        }
    }
    out
}

fn tick(power: f64) -> String {
    match power as i32 {
        p if p < 0 => format!("{}", 10f64.powi(p)),
        p if p < 3 => format!("{:.0}", 10f64.powi(p)),
        p if p < 6 => format!("{:.0}k", 10f64.powi(p - 3)),
        p => format!("{:.0}M", 10f64.powi(p - 6)),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
