//! The engine for logs as rules see it.

use std::sync::Arc;

use futures::future::BoxFuture;
use reba_model::{Labels, Tenant};
use reba_query::logs::{Direction, InstantLogQuery, LogData, LogQueryEngine, RangeLogQuery};
use reba_template::escape;

use super::lines;
use crate::querier::{RuleQuerier, RuleQueryError, RuleSample, SampleValue};

/// Runs the queries of one tenant's rules on a [`LogQueryEngine`].
#[derive(Clone, Debug)]
pub struct LogRuleQuerier {
    engine: Arc<LogQueryEngine>,
    tenant: Tenant,
    datasource_uid: String,
}

impl LogRuleQuerier {
    /// A querier for `tenant`. `datasource_uid` names the data source in links to Grafana; it may be empty.
    pub fn new(engine: Arc<LogQueryEngine>, tenant: Tenant, datasource_uid: impl Into<String>) -> Self {
        LogRuleQuerier { engine, tenant, datasource_uid: datasource_uid.into() }
    }

    async fn samples(&self, query: &str, t: i64) -> Result<Vec<RuleSample>, RuleQueryError> {
        let ns = nanos(t);
        let query = InstantLogQuery {
            tenant: self.tenant.clone(),
            query: query.to_owned(),
            ns,
            limit: 1,
            direction: Direction::Backward,
            timeout: None,
        };
        let output = self.engine.instant(query, ns).await.map_err(failed)?;
        match output.data {
            LogData::Scalar { value, .. } => Ok(vec![sample(Labels::empty(), value)]),
            LogData::Vector { samples, .. } => {
                Ok(samples.into_iter().map(|(labels, value)| sample(labels, value)).collect())
            }
            _ => Err(RuleQueryError("rule result is not a vector or scalar".to_owned())),
        }
    }

    async fn lines_behind(
        &self,
        query: &str,
        labels: &Labels,
        t: i64,
        limit: usize,
    ) -> Result<Vec<String>, RuleQueryError> {
        let Some(question) = lines::behind(query, labels) else { return Ok(Vec::new()) };
        let last = nanos(t).saturating_sub(question.offset);
        let query = RangeLogQuery {
            tenant: self.tenant.clone(),
            query: question.query,
            // The window of an aggregation is open on the left, the range of a log query on the right.
            start: last.saturating_sub(question.range).saturating_add(1),
            end: last.saturating_add(1),
            step: 1,
            interval: 0,
            limit,
            direction: Direction::Backward,
            timeout: None,
        };
        let output = self.engine.range(query, nanos(t)).await.map_err(failed)?;
        let LogData::Streams(found) = output.data else { return Ok(Vec::new()) };
        Ok(found.into_iter().map(|line| lines::cut(line.text)).collect())
    }
}

fn nanos(ms: i64) -> i64 {
    ms.saturating_mul(1_000_000)
}

fn failed(e: impl std::fmt::Display) -> RuleQueryError {
    RuleQueryError(e.to_string())
}

fn sample(labels: Labels, value: f64) -> RuleSample {
    RuleSample { labels, value: SampleValue::Float(value) }
}

impl RuleQuerier for LogRuleQuerier {
    fn instant<'a>(
        &'a self,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        Box::pin(self.samples(query, t))
    }

    fn lines<'a>(
        &'a self,
        query: &'a str,
        labels: &'a Labels,
        t: i64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuleQueryError>> {
        Box::pin(self.lines_behind(query, labels, t, limit))
    }

    /// Grafana's page for exploring logs, as upstream links to it.
    fn link(&self, query: &str) -> String {
        let datasource = match self.datasource_uid.as_str() {
            "" => String::new(),
            uid => format!(r#","datasource":{{"type":"loki","uid":{}}}"#, json_text(uid)),
        };
        let left =
            format!(r#"{{"queries":[{{"expr":{},"queryType":"range"{datasource}}}]}}"#, json_text(query));
        format!("/explore?left={}", escape::query(&left))
    }
}

/// A text of JSON, with the characters escaped that upstream escapes.
fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_json_is_read_back_as_it_was() {
        let text = "a\"b\\c\n\t<&>\u{1}é";
        assert_eq!(serde_json::from_str::<String>(&json_text(text)).unwrap(), text);
        assert_eq!(json_text("a < b"), r#""a \u003c b""#);
    }
}
