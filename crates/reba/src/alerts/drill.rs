//! `reba alerts drill`: a marked test alert through the real thing, step by step.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{At, ListFormat, Server, labels_text, pairs, query, text};
use crate::{args::Role, client, query::parse_duration};

/// How often the events are looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// Beyond the waiting of the group: for the tries.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `alerts drill`.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// The alert's name.
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// Labels, in the place of those of the rule or besides them.
    #[arg(value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// How long to wait for answers (the group's waiting and a minute, if absent).
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
    /// Where the alert is sent: the role alertmanager.
    #[command(flatten)]
    pub at: At,
    /// Where rules are asked for: the role prometheus (beside the role alertmanager, if absent).
    #[arg(long, value_name = "URL")]
    pub rules_url: Option<String>,
    /// How the report is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// What was found out.
struct Report {
    labels: Value,
    rule: bool,
    routes: Vec<Value>,
    inhibited_by: Vec<Value>,
    fingerprint: String,
    steps: Vec<(Duration, String)>,
    /// `receiver/integration[index]`, and its last answer.
    answers: BTreeMap<String, Result<String, String>>,
    /// Who has not answered.
    missing: Vec<String>,
    suppressed: Option<String>,
}

/// The report, and whether every receiver has taken the alert.
pub async fn drill(args: &DrillArgs) -> Result<(String, bool)> {
    let server = Server::of(&args.at)?;
    let rules = match &args.rules_url {
        Some(url) => args.at.elsewhere(url)?,
        None => args.at.beside(Role::Alertmanager, Role::Prometheus)?,
    };
    let (rule_labels, rule) = rule_labels(&args.alert, &rules).await;
    let mut labels = rule_labels;
    labels.extend(pairs(&args.labels)?);
    let params: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let route =
        server.get(&format!("reba/route{}", query(params.iter().map(|p| ("label", p.as_str()))))).await?;
    let routes: Vec<Value> = route["routes"].as_array().cloned().unwrap_or_default();
    let expected = expected(&server, &routes).await?;
    let longest = routes.iter().filter_map(|r| r["groupWaitMs"].as_u64()).max().unwrap_or(0);
    let patience = match &args.wait {
        Some(wait) => Duration::from_millis(parse_duration("--wait", wait)?.unsigned_abs()),
        None => Duration::from_millis(longest) + PATIENCE,
    };

    let since = server.get("reba/events?since=18446744073709551615").await?["last"].as_u64().unwrap_or(0);
    let began = Instant::now();
    let labels = json!(labels);
    server.post("alerts", &json!([alert(&labels, None, patience)])).await.context("send the alert")?;
    let mut report = Report {
        labels: labels.clone(),
        rule,
        routes,
        inhibited_by: route["inhibitedBy"].as_array().cloned().unwrap_or_default(),
        fingerprint: String::new(),
        steps: vec![(began.elapsed(), "the alert was taken".to_owned())],
        answers: BTreeMap::new(),
        missing: expected,
        suppressed: None,
    };
    let watched = watch(&server, &mut report, since, began, patience).await;
    // Whatever happened: the drill is over.
    let resolved = server.post("alerts", &json!([alert(&labels, Some(Timestamp::now()), patience)])).await;
    watched?;
    resolved.context("resolve the alert")?;
    report.steps.push((
        began.elapsed(),
        "the alert was resolved; receivers that want to know hear of it at the group's next tick".to_owned(),
    ));
    let ok =
        report.missing.is_empty() && !report.answers.is_empty() && report.answers.values().all(Result::is_ok);
    let text = if args.output == ListFormat::Json { as_json(&report, ok) } else { as_text(&report, ok) };
    Ok((text, ok))
}

/// The labels of the rule, and whether there is one.
async fn rule_labels(alert: &str, rules: &client::Server) -> (BTreeMap<String, String>, bool) {
    let mark = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut labels = BTreeMap::from([
        mark("alertname", alert),
        mark("drill", "true"),
        mark("severity", "warning"),
        mark("service", "drill"),
    ]);
    let answer = rules.send(Method::GET, "/api/v1/rules?type=alert").await;
    let Ok((StatusCode::OK, body)) = answer else { return (labels, false) };
    let Ok(answer) = serde_json::from_slice::<Value>(&body) else { return (labels, false) };
    let groups = answer["data"]["groups"].as_array().into_iter().flatten();
    let mut rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let Some(rule) = rules.find(|rule| text(rule, "name") == alert) else { return (labels, false) };
    let own = rule["labels"].as_object().into_iter().flatten();
    // Templates of labels are filled in by an evaluation, which there is none of.
    let own = own.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    labels.extend(own.filter(|(_, value)| !value.contains("{{")));
    (labels, true)
}

/// All integrations that would hear of it.
async fn expected(server: &Server, routes: &[Value]) -> Result<Vec<String>> {
    let receivers = server.get("reba/receivers").await?;
    let wanted: Vec<&str> = routes.iter().map(|route| text(route, "receiver")).collect();
    let mut all = Vec::new();
    for receiver in receivers.as_array().into_iter().flatten().filter(|r| wanted.contains(&text(r, "name"))) {
        for integration in receiver["integrations"].as_array().into_iter().flatten() {
            if integration["disabled"].is_null() {
                all.push(format!(
                    "{}/{}[{}]",
                    text(receiver, "name"),
                    text(integration, "integration"),
                    integration["index"]
                ));
            }
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn alert(labels: &Value, ends_at: Option<Timestamp>, patience: Duration) -> Value {
    let name = text(labels, "alertname");
    let ends_at = ends_at.unwrap_or_else(|| Timestamp::now() + patience * 2);
    json!({
        "labels": labels,
        "annotations": {
            "summary": format!("DRILL, nothing is wrong: {name}"),
            "description": "Somebody tests whether alerts arrive (reba alerts drill). Nothing needs to be done.",
        },
        "endsAt": ends_at.to_string(),
    })
}

/// Follows the events until all have answered, or patience ends.
async fn watch(
    server: &Server,
    report: &mut Report,
    mut since: u64,
    began: Instant,
    patience: Duration,
) -> Result<()> {
    while began.elapsed() < patience && !report.missing.is_empty() && report.suppressed.is_none() {
        let answer = server.get(&format!("reba/events?since={since}")).await?;
        since = answer["last"].as_u64().unwrap_or(since);
        for event in answer["events"].as_array().into_iter().flatten() {
            note(report, event, began.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn note(report: &mut Report, event: &Value, at: Duration) {
    if text(event, "event") == "alert" && event["labels"] == report.labels {
        text(event, "fingerprint").clone_into(&mut report.fingerprint);
        let change = text(event, "change");
        let step = match change {
            "suppressed" => {
                let by = ["silencedBy", "inhibitedBy"].map(|field| (field, text(event, field)));
                let by: Vec<String> =
                    by.iter().filter(|(_, t)| !t.is_empty()).map(|(f, t)| format!("{f} {t}")).collect();
                report.suppressed = Some(by.join(", "));
                format!("nobody hears of it: {}", by.join(", "))
            }
            other => format!("the alert is {other}, fingerprint {}", report.fingerprint),
        };
        report.steps.push((at, step));
    }
    let ours = |field: &str| {
        let list = event[field].as_array().into_iter().flatten();
        !report.fingerprint.is_empty() && list.filter_map(Value::as_str).any(|f| f == report.fingerprint)
    };
    if text(event, "event") == "notification" && (ours("firingAlerts") || ours("resolvedAlerts")) {
        let key = format!("{}/{}[{}]", text(event, "receiver"), text(event, "integration"), event["index"]);
        let (outcome, answer, error) = (text(event, "outcome"), text(event, "answer"), text(event, "error"));
        let said = if outcome == "delivered" { answer } else { error };
        report.steps.push((
            at,
            format!(
                "{key} {outcome} by try {} in {} ms: {said} (group {})",
                event["attempt"],
                event["tookMs"],
                text(event, "group")
            ),
        ));
        if outcome != "retrying" {
            report.missing.retain(|missing| *missing != key);
            let result = if outcome == "delivered" { Ok(said.to_owned()) } else { Err(said.to_owned()) };
            report.answers.insert(key, result);
        }
    }
}

fn as_text(report: &Report, ok: bool) -> String {
    let mut out = format!("labels      {}\n", labels_text(&report.labels, &[]));
    if !report.rule {
        out.push_str("            (no rule of this name was found: severity is a guess)\n");
    }
    for route in &report.routes {
        let seconds = |field: &str| route[field].as_f64().unwrap_or(0.0) / 1000.0;
        let _ = writeln!(out, "route       {} to {}", text(route, "route"), text(route, "receiver"));
        let _ = writeln!(
            out,
            "group       {} (waits {} s, again every {} s)",
            text(route, "groupKey"),
            seconds("groupWaitMs"),
            seconds("groupIntervalMs")
        );
    }
    match report.inhibited_by.first() {
        None => out.push_str("inhibition  none\n"),
        Some(rule) => {
            let _ = writeln!(out, "inhibition  by {} (rule {:?})", rule["source"], text(rule, "name"));
        }
    }
    for (at, step) in &report.steps {
        let _ = writeln!(out, "{:>8.3} s  {step}", at.as_secs_f64());
    }
    for key in &report.missing {
        let _ = writeln!(out, "no answer   {key}");
    }
    if report.answers.is_empty() && report.missing.is_empty() {
        out.push_str("nobody is told: the receivers have no integration that is enabled\n");
    }
    out.push_str(if ok { "passed: every receiver has taken it\n" } else { "failed\n" });
    out
}

fn as_json(report: &Report, ok: bool) -> String {
    let steps: Vec<Value> =
        report.steps.iter().map(|(at, step)| json!({ "seconds": at.as_secs_f64(), "step": step })).collect();
    let answers: Value = report
        .answers
        .iter()
        .map(|(key, answer)| match answer {
            Ok(answer) => json!({ "integration": key, "delivered": true, "answer": answer }),
            Err(error) => json!({ "integration": key, "delivered": false, "error": error }),
        })
        .collect();
    let report = json!({
        "ok": ok, "labels": report.labels, "ruleFound": report.rule, "routes": report.routes, "inhibitedBy": report.inhibited_by,
        "suppressed": report.suppressed, "steps": steps, "answers": answers, "missing": report.missing,
    });
    super::json_text(&report)
}
