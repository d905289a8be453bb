//! `POST /api/v1/rules/backtest` (ours): when would the alerts of an edited rule file have been pending, or have fired?

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use futures::future::BoxFuture;
use reba_model::{Labels, duration};
use reba_rules::{
    EngineQuerier, FileOptions, RuleFile, RuleQueryError,
    backtest::{self, Budget, Period, RangeRequest, RangeSeries, RuleHistory, Span},
};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, ErrorKind, success},
    params::{Params, invalid},
};

/// Back-tests at a time; each uses one place for queries, and others wait.
const CONCURRENT: usize = 2;

/// Evaluations of one back-test, and alerts found by them: forty rules over a week, every 15 s.
const MAX_WORK: u64 = 2_000_000;

/// Distance of evaluations in groups that name none, if nothing else is asked for; in milliseconds.
const INTERVAL: i64 = 60_000;

/// Bounds back-tests.
#[derive(Debug)]
pub struct Backtests(Semaphore);

impl Default for Backtests {
    fn default() -> Self {
        Backtests(Semaphore::new(CONCURRENT))
    }
}

/// `POST /api/v1/rules/backtest`, a form: `rules` is the text of a rule file, `start` and `end` are times, `interval` is the distance
/// of evaluations in groups that name none, `timeout` a deadline. Whoever closes the connection ends the work.
pub async fn backtest(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let file = rules(&params)?;
    let span = span(&params, api.now_ms())?;
    let evaluations = backtest::evaluations(&file, span);
    if evaluations > MAX_WORK {
        let text = format!("{evaluations} evaluations, which is more than {MAX_WORK}: ask for less time");
        return Err(invalid("start", &text));
    }
    let longest = api.engine.config().limits.timeout;
    let asked = params.duration("timeout")?.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs()));
    let deadline = asked.map_or(longest, |timeout| timeout.min(longest));
    let querier = EngineQuerier::new(Arc::clone(&api.engine));
    let work = async {
        // It fails only if the semaphore is closed, which nobody does.
        let _place = api.backtests.0.acquire().await;
        let fetch = |request: RangeRequest| -> BoxFuture<'_, Result<Vec<RangeSeries>, RuleQueryError>> {
            Box::pin(querier.range(request))
        };
        backtest::replay_within(&file, span, &mut Budget::new(MAX_WORK), &fetch).await
    };
    let Ok(histories) = tokio::time::timeout(deadline, work).await else {
        let text =
            format!("the back-test took longer than {}", duration::format(deadline.as_millis() as i64));
        return Err(ApiError::new(ErrorKind::Timeout, text));
    };
    success(&to_json(&histories, span))
}

/// The rules that are tried. Variables are not filled in: whoever asks must not learn them.
fn rules(params: &Params) -> Result<RuleFile, ApiError> {
    let Some(text) = params.get("rules") else {
        return Err(invalid("rules", "the text of a rule file is missing"));
    };
    let file = RuleFile::parse("rules", text, &FileOptions::default()).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        invalid("rules", &lines.join("\n"))
    })?;
    Ok(file)
}

fn span(params: &Params, now: i64) -> Result<Span, ApiError> {
    let start = params.required_time("start")?;
    let end = params.time("end", now)?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let interval = params.duration("interval")?.unwrap_or(INTERVAL);
    if interval <= 0 {
        return Err(invalid("interval", "it must be above zero"));
    }
    Ok(Span { start, end, interval })
}

/// What alerts did, as JSON: `{start, end, rules: [{group, alert, alerts: [{labels, periods: [{state, start, end, for}]}], error}]}`.
/// Times are Unix seconds; the `end` of what lasts is null.
pub fn to_json(histories: &[RuleHistory], span: Span) -> Value {
    let time = |ms: i64| json!(ms as f64 / 1000.0);
    let labels = |l: &Labels| l.iter().map(|(n, v)| (n.to_owned(), json!(v))).collect::<Map<_, _>>();
    let period = |p: &Period| {
        let length = p.end.unwrap_or(span.end) - p.start;
        json!({
            "state": p.state.as_str(), "start": time(p.start), "end": p.end.map(time),
            "for": duration::format(length.max(0)),
        })
    };
    let rule = |h: &RuleHistory| {
        let alerts: Vec<Value> = h
            .alerts
            .iter()
            .map(|a| {
                let periods: Vec<Value> = a.periods.iter().map(period).collect();
                json!({ "labels": labels(&a.labels), "periods": periods })
            })
            .collect();
        let error = h.error.as_ref().map(|(e, _)| e);
        json!({ "group": h.group, "alert": h.alert, "alerts": alerts, "error": error })
    };
    let rules: Vec<Value> = histories.iter().map(rule).collect();
    json!({ "start": time(span.start), "end": time(span.end), "rules": rules })
}
