//! `reba query active` and `reba query kill`.

use anyhow::{Context, Result, bail};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{plain, render};
use crate::args::{ActiveArgs, KillArgs, ListFormat, Role};

/// Where the queries are.
const PATH: &str = "/api/v1/status/active_queries";

#[derive(Deserialize)]
struct Envelope {
    data: Vec<Active>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    id: u64,
    query: String,
    age_seconds: f64,
    running: bool,
}

/// The queries that run or wait, oldest first.
pub async fn list(args: &ActiveArgs) -> Result<String> {
    let server = args.at.server(Role::Prometheus)?;
    let (status, body) = server.send(Method::GET, PATH).await?;
    if !status.is_success() {
        bail!("{}: {status}", server.url());
    }
    if args.output == ListFormat::Json {
        return Ok(format!("{}\n", String::from_utf8_lossy(&body)));
    }
    let answer: Envelope = serde_json::from_slice(&body).context("the answer is no list of queries")?;
    Ok(table(&answer.data))
}

fn table(queries: &[Active]) -> String {
    let rows = queries.iter().map(|q| {
        let state = if q.running { "running" } else { "waiting" };
        // A query of many lines, or with what a terminal would obey, is one line here.
        let query = plain(&q.query).split_whitespace().collect::<Vec<_>>().join(" ");
        [q.id.to_string(), state.to_owned(), format!("{:.1}s", q.age_seconds), query]
    });
    match rows.collect::<Vec<_>>() {
        rows if rows.is_empty() => "no queries\n".to_owned(),
        rows => render::columns_of(&["ID", "STATE", "AGE", "QUERY"], &rows),
    }
}

/// Stops queries; an error if one was not there (any more), after the others were stopped.
pub async fn kill(args: &KillArgs) -> Result<String> {
    let (mut stopped, mut missing) = (Vec::new(), Vec::new());
    let server = args.at.server(Role::Prometheus)?;
    for id in &args.ids {
        match server.send(Method::POST, &format!("{PATH}/{id}/kill")).await?.0 {
            StatusCode::NO_CONTENT => stopped.push(format!("{id} stopped\n")),
            StatusCode::NOT_FOUND => missing.push(id.to_string()),
            status => bail!("query {id}: {status}"),
        }
    }
    if !missing.is_empty() {
        bail!("{}no active query has the number {}", stopped.concat(), missing.join(", "));
    }
    Ok(stopped.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_one_line_each() {
        let body = br#"{"status":"success","data":[{"id":7,"query":"sum(\n  up)\u001b","ageSeconds":1.26,"running":true}]}"#;
        let answer: Envelope = serde_json::from_slice(body).unwrap();
        let want = "ID  STATE    AGE   QUERY\n7   running  1.3s  sum( up)\u{fffd}\n";
        assert_eq!(table(&answer.data), want);
        assert_eq!(table(&[]), "no queries\n");
    }
}
