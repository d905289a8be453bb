//! Answers for a terminal: columns, small plots, CSV.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use reba_model::float::format_g;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::answer::Line;

/// Rows of one plot.
const PLOT_ROWS: usize = 6;

/// Eighths of a character cell, from the bottom.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of series, value and time.
pub fn table(lines: &[Line], zone: &TimeZone) -> String {
    let rows: Vec<[String; 3]> = lines
        .iter()
        .flat_map(|l| l.points.iter().map(|(t, v)| [l.name.clone(), format_g(*v), time(*t, zone)]))
        .collect();
    let value = rows.iter().map(|r| r[1].width()).chain([5]).max().unwrap_or(0);
    let right = |text: &str| format!("{}{text}", " ".repeat(value - text.width().min(value)));
    let rows: Vec<[String; 3]> = rows.into_iter().map(|[s, v, t]| [s, right(&v), t]).collect();
    columns_of(&["SERIES", &right("VALUE"), "TIME"], &rows)
}

/// Columns two blanks apart. Characters that take two cells of a terminal, as Chinese ones do, count twice.
pub fn columns_of<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|i| {
        rows.iter().map(|row| row[i].width()).chain([head[i].width()]).max().unwrap_or(0)
    });
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width().min(width))));
        out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    };
    line(*head);
    for row in rows {
        line(std::array::from_fn(|i| row[i].as_str()));
    }
    out
}

/// A text in no more columns than these, its end cut off.
pub fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// A header line and one line a point: series, time (RFC 3339, UTC), value.
pub fn csv(lines: &[Line]) -> String {
    let mut out = String::from("series,time,value\n");
    for l in lines {
        let name = l.name.replace('"', "\"\"");
        for (t, v) in &l.points {
            let _ = writeln!(out, "\"{name}\",{},{}", utc(*t), format_g(*v));
        }
    }
    out
}

/// One plot a series, `width` columns wide.
pub fn plots(lines: &[Line], width: usize, zone: &TimeZone) -> String {
    let width = width.max(16);
    let range = lines
        .iter()
        .flat_map(|l| &l.points)
        .map(|p| p.0)
        .fold(None, |r: Option<(f64, f64)>, t| Some(r.map_or((t, t), |(lo, hi)| (lo.min(t), hi.max(t)))));
    let Some((from, to)) = range else { return "no data\n".to_owned() };
    let mut out = String::new();
    for l in lines {
        let _ = writeln!(out, "{}", l.name);
        plot(&mut out, l, from, to, width);
    }
    let (left, right) = (time(from, zone), time(to, zone));
    let gap = width.saturating_sub(left.chars().count() + right.chars().count()).max(1);
    let _ = writeln!(out, "{:>10} {left}{}{right}", "", " ".repeat(gap));
    out
}

fn plot(out: &mut String, line: &Line, from: f64, to: f64, width: usize) {
    let columns = columns(line, from, to, width);
    let finite = columns.iter().flatten().copied().filter(|v| v.is_finite());
    let (lo, hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        let _ = writeln!(out, "{:>10} (no finite values)", "");
        return;
    }
    // A plot that starts at zero does not exaggerate; one far above zero would show a flat line, so it starts at its minimum.
    let base = if lo >= 0.0 && lo < hi * 0.5 { 0.0 } else { lo };
    let span = if hi > base { hi - base } else { 1.0 };
    for row in (0..PLOT_ROWS).rev() {
        let label = match row {
            r if r == PLOT_ROWS - 1 => short(hi),
            0 => short(base),
            _ => String::new(),
        };
        let _ = write!(out, "{label:>10} ");
        for v in &columns {
            let cell = v.filter(|v| v.is_finite()).map_or(0, |v| {
                let eighths = ((v - base) / span * (PLOT_ROWS * 8) as f64).round().max(1.0) as usize;
                eighths.saturating_sub(row * 8).min(8)
            });
            out.push(BLOCKS[cell]);
        }
        out.push('\n');
    }
}

/// The mean of the points that fall into each column; a column without a point repeats its left neighbour only
/// where points are sparser than columns.
fn columns(line: &Line, from: f64, to: f64, width: usize) -> Vec<Option<f64>> {
    let span = (to - from).max(1e-9);
    let mut sums = vec![(0.0, 0u32); width];
    for (t, v) in &line.points {
        let i = (((t - from) / span * (width - 1) as f64).round() as usize).min(width - 1);
        sums[i] = (sums[i].0 + v, sums[i].1 + 1);
    }
    let mut out: Vec<Option<f64>> = sums.iter().map(|(s, n)| (*n > 0).then(|| s / f64::from(*n))).collect();
    if let Some(reach) = width.checked_div(line.points.len()).filter(|r| *r > 0) {
        let mut last = None;
        for (i, slot) in out.iter_mut().enumerate() {
            match slot {
                Some(v) => last = Some((i, *v)),
                None => *slot = last.filter(|(at, _)| i - at <= reach).map(|(_, v)| v),
            }
        }
    }
    out
}

/// At most ten characters.
fn short(v: f64) -> String {
    if v.abs() >= 1e13 {
        return format!("{v:.2e}");
    }
    for (limit, size, unit) in [(1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")] {
        if v.abs() >= limit {
            return format!("{:.1}{unit}", v / size);
        }
    }
    let text = format_g(v);
    if text.len() <= 8 { text } else { format!("{v:.3}") }
}

/// In the user's zone, to the second.
fn time(seconds: f64, zone: &TimeZone) -> String {
    timestamp(seconds).map_or_else(
        || seconds.to_string(),
        |t| t.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn utc(seconds: f64) -> String {
    timestamp(seconds).map_or_else(|| seconds.to_string(), |t| t.to_string())
}

fn timestamp(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Line {
        Line { name: "m".into(), points: (0..20).map(|i| (f64::from(i) * 60.0, f64::from(i))).collect() }
    }

    #[test]
    fn a_table_lines_up_and_uses_the_zone() {
        let out = table(&[Line { name: "up{}".into(), points: vec![(0.0, 1.0)] }], &TimeZone::UTC);
        assert_eq!(out, "SERIES  VALUE  TIME\nup{}        1  1970-01-01 00:00:00\n");
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let line = |name: &str| Line { name: name.into(), points: vec![(0.0, 12.5)] };
        let out = table(&[line("価格{}"), line("price{}")], &TimeZone::UTC);
        assert_eq!(
            out,
            "SERIES   VALUE  TIME\n価格{}    12.5  1970-01-01 00:00:00\nprice{}   12.5  1970-01-01 00:00:00\n"
        );
    }

    #[test]
    fn a_plot_rises_with_its_values() {
        let out = plots(&[ramp()], 20, &TimeZone::UTC);
        let rows: Vec<Vec<char>> =
            out.lines().skip(1).take(PLOT_ROWS).map(|l| l.chars().skip(11).collect()).collect();
        assert!(rows.iter().all(|r| r.len() == 20), "{out}");
        assert_eq!(rows[0][19], '█', "{out}");
        assert_eq!(rows[0][0], ' ', "{out}");
        assert!(out.starts_with("m\n") && out.contains("19"), "{out}");
    }

    #[test]
    fn nothing_and_not_a_number_are_said() {
        assert_eq!(plots(&[], 40, &TimeZone::UTC), "no data\n");
        let nan = Line { name: "n".into(), points: vec![(0.0, f64::NAN)] };
        assert!(plots(&[nan], 40, &TimeZone::UTC).contains("no finite values"));
    }

    #[test]
    fn labels_of_an_axis_are_short_whatever_the_numbers() {
        for v in [0.0, -0.5, 1e-300, 12_345.678, 123_456_789.0, 1e300, -1e300, f64::MAX, -1e13] {
            assert!(short(v).len() <= 10, "{}", short(v));
        }
    }

    #[test]
    fn csv_quotes_names() {
        let l = Line { name: "a{b=\"c\"}".into(), points: vec![(1.5, 2.0)] };
        assert_eq!(csv(&[l]), "series,time,value\n\"a{b=\"\"c\"\"}\",1970-01-01T00:00:01.5Z,2\n");
    }
}
