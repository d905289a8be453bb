//! What alerts did, for people.

use reba_model::duration;

use super::{AlertHistory, RuleHistory, Span};
use crate::lifecycle::AlertState;

/// One line a period: alert, labels, state, from, to, for how long. Times are UTC.
pub fn table(histories: &[RuleHistory], span: Span) -> String {
    let mut rows = vec![["ALERT", "LABELS", "STATE", "FROM", "TO", "FOR"].map(str::to_owned)];
    for (history, alert) in alerts(histories) {
        for period in &alert.periods {
            let end = period.end.unwrap_or(span.end);
            rows.push([
                history.alert.clone(),
                labels(alert),
                period.state.as_str().to_owned(),
                time(period.start),
                period.end.map_or_else(|| "(still)".to_owned(), time),
                duration::format((end - period.start).max(0) / 1000 * 1000),
            ]);
        }
    }
    columns(&rows)
}

/// One line an alert: time from left to right in `width` characters; `█` where it fired, `▒` where it was pending only,
/// `·` where it was neither. A short firing is never hidden by what surrounds it.
pub fn timelines(histories: &[RuleHistory], span: Span, width: usize) -> String {
    let width = width.max(1);
    let mut rows = Vec::new();
    for (history, alert) in alerts(histories) {
        let name = format!("{}{}", history.alert, labels(alert));
        rows.push([line(alert, span, width), name]);
    }
    let mut out = columns(&rows);
    if !out.is_empty() {
        out.push_str(&format!("{} … {}   █ firing  ▒ pending\n", time(span.start), time(span.end)));
    }
    out
}

fn alerts(histories: &[RuleHistory]) -> impl Iterator<Item = (&RuleHistory, &AlertHistory)> {
    histories.iter().flat_map(|h| h.alerts.iter().map(move |a| (h, a)))
}

fn line(alert: &AlertHistory, span: Span, width: usize) -> String {
    let length = (i128::from(span.end) - i128::from(span.start)).max(1);
    let place = |t: i64| {
        let at = (i128::from(t) - i128::from(span.start)) * width as i128 / length;
        usize::try_from(at).unwrap_or(0).min(width - 1)
    };
    let mut cells = vec!['·'; width];
    for state in [AlertState::Pending, AlertState::Firing] {
        let mark = if state == AlertState::Firing { '█' } else { '▒' };
        for period in alert.periods.iter().filter(|p| p.state == state) {
            // The end is the first moment that does not belong to it.
            let end = period.end.map_or(span.end, |t| (t - 1).max(period.start));
            cells[place(period.start)..=place(end)].fill(mark);
        }
    }
    cells.into_iter().collect()
}

/// The labels without the alert's name.
fn labels(alert: &AlertHistory) -> String {
    let labels = alert.labels.without(&[crate::alerting::ALERT_NAME]);
    if labels.is_empty() { String::new() } else { labels.to_string() }
}

fn time(ms: i64) -> String {
    let second = jiff::Timestamp::from_second(ms.div_euclid(1000));
    second.map_or_else(|_| format!("{ms} ms"), |t| t.to_string())
}

/// Aligned columns, two blanks apart.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}
