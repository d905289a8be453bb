//! Lines before and after those that match, as `grep -C` shows them.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use reba_model::Labels;

use crate::query::loki::{Direction, Row, Server, Span};

/// How far around a line its neighbours are looked for.
const REACH_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Lines of one stream that stand together; the flag says which of them match.
#[derive(Debug, PartialEq)]
pub struct Group(pub Vec<(Row, bool)>);

/// The lines around `matches` (oldest first), `count` on each side in the same stream. Groups that touch become one.
pub async fn around(server: &Server, matches: Vec<Row>, count: usize) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for row in matches {
        let stream =
            row.stream.as_ref().context("the server does not tell streams apart (Loki does from 3.0 on)")?;
        let selector = selector(stream);
        let before = Span { start: row.ns.saturating_sub(REACH_NS), end: row.ns };
        let mut lines = server.rows(&selector, before, count, Direction::Backward).await?;
        lines.reverse();
        // What has the same time stands behind the line.
        let after = Span { start: row.ns, end: row.ns.saturating_add(REACH_NS) };
        let rest = server.rows(&selector, after, count + 1, Direction::Forward).await?;
        groups.push(group(row, lines, rest, count));
    }
    Ok(merge(groups))
}

/// The selector of exactly one stream.
fn selector(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn group(row: Row, before: Vec<Row>, after: Vec<Row>, count: usize) -> Group {
    let mut lines: Vec<(Row, bool)> = before.into_iter().map(|row| (row, false)).collect();
    // The query may have changed the line, so that only its time says which of them it is.
    let same = |other: &Row| other.ns == row.ns && other.line == row.line;
    let at = after.iter().position(same).or_else(|| after.iter().position(|other| other.ns == row.ns));
    let rest = after.into_iter().enumerate().filter(|(i, _)| Some(*i) != at).map(|(_, row)| (row, false));
    let rest: Vec<(Row, bool)> = rest.take(count).collect();
    lines.push((row, true));
    lines.extend(rest);
    Group(lines)
}

/// Joins groups of a stream that overlap or touch; those left stand in the order of their first lines.
fn merge(groups: Vec<Group>) -> Vec<Group> {
    let mut merged: Vec<Group> = Vec::new();
    let mut last: HashMap<Labels, usize> = HashMap::new();
    for group in groups {
        let Some(stream) = group.0.first().map(|(row, _)| stream_of(row)) else { continue };
        let touching = last.get(&stream).copied().filter(|i| {
            let (first, end) = (group.0.first(), merged[*i].0.last());
            first.zip(end).is_some_and(|((first, _), (end, _))| first.ns <= end.ns)
        });
        let Some(i) = touching else {
            last.insert(stream, merged.len());
            merged.push(group);
            continue;
        };
        for (row, is_match) in group.0 {
            let known = |(other, _): &&mut (Row, bool)| other.ns == row.ns && other.line == row.line;
            match merged[i].0.iter_mut().find(known) {
                Some((_, matches)) => *matches |= is_match,
                None => merged[i].0.push((row, is_match)),
            }
        }
        merged[i].0.sort_by_key(|(row, _)| row.ns);
    }
    merged
}

fn stream_of(row: &Row) -> Labels {
    row.stream.clone().unwrap_or_else(|| row.labels.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ns: i64, stream: &str) -> Row {
        let stream = Labels::from_pairs([("s", stream)]);
        Row { ns, line: format!("line {ns}"), labels: stream.clone(), stream: Some(stream) }
    }

    fn around(ns: i64, stream: &str) -> Group {
        let before = vec![row(ns - 2, stream), row(ns - 1, stream)];
        group(row(ns, stream), before, (ns..ns + 3).map(|ns| row(ns, stream)).collect(), 2)
    }

    fn shown(groups: &[Group]) -> Vec<Vec<(i64, bool)>> {
        groups.iter().map(|g| g.0.iter().map(|(row, is_match)| (row.ns, *is_match)).collect()).collect()
    }

    #[test]
    fn a_line_stands_between_its_neighbours() {
        assert_eq!(
            shown(&[around(10, "a")]),
            [[(8, false), (9, false), (10, true), (11, false), (12, false)]]
        );
        // One that the query has changed is known by its time.
        let changed = Row { line: "formatted".to_owned(), ..row(10, "a") };
        let group = group(changed, Vec::new(), vec![row(10, "a"), row(11, "a")], 2);
        assert_eq!(shown(&[group]), [[(10, true), (11, false)]]);
    }

    #[test]
    fn groups_that_touch_become_one_and_streams_stay_apart() {
        let merged = merge(vec![around(10, "a"), around(11, "b"), around(13, "a"), around(30, "a")]);
        let times: Vec<Vec<i64>> =
            shown(&merged).iter().map(|g| g.iter().map(|(ns, _)| *ns).collect()).collect();
        assert_eq!(times, [(8..=15).collect::<Vec<_>>(), (9..=13).collect(), (28..=32).collect()]);
        let matches = shown(&merged)[0].iter().filter(|(_, is_match)| *is_match).count();
        assert_eq!(matches, 2);
    }

    #[test]
    fn selectors_are_quoted() {
        let labels = Labels::from_pairs([("a", "x\"y\\z"), ("b", "1")]);
        assert_eq!(selector(&labels), r#"{a="x\"y\\z", b="1"}"#);
    }
}
