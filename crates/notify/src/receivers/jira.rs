//! Jira: an issue for each group, found again by a label with the hash of the group's key.

use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use reba_alerting::{DeliverError, Delivered};
use reba_config::tree::{Fault, Kind, Node};
use reba_http::Secret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Common, Http, Message, payload};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Answer, Outgoing, Rule, Sender},
    text::cut_chars,
};

/// Characters of a summary and of a description.
const MAX_SUMMARY: usize = 255;
const MAX_DESCRIPTION: usize = 32_767;

#[derive(Debug)]
pub(super) struct Jira {
    common: Common,
    url: Option<Url>,
    api_type: String,
    project: Tpl,
    issue_type: Tpl,
    summary: Field,
    description: Field,
    labels: Vec<Tpl>,
    priority: Tpl,
    reopen_transition: String,
    resolve_transition: String,
    wont_fix_resolution: String,
    reopen_duration: Duration,
    fields: Vec<(String, Node)>,
}

/// A field that may stay as it is when an issue is changed.
#[derive(Debug)]
struct Field {
    text: Tpl,
    update: bool,
}

impl Jira {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let (project, issue_type) = (s.template("project", "")?, s.template("issue_type", "")?);
        for (tpl, key) in [(&project, "project"), (&issue_type, "issue_type")] {
            if tpl.is_empty() {
                return s.refuse(format!("missing {key} in jira_config"));
            }
        }
        let api_type = s.text("api_type")?.unwrap_or_else(|| "auto".to_owned());
        if !["auto", "cloud", "datacenter"].contains(&api_type.as_str()) {
            return s.refuse("unknown api_type on jira_config, must be auto, cloud or datacenter");
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("jira_api_url", url, s.global.jira_api_url.as_ref());
        if url.is_none() && s.missing().is_none() {
            return s.refuse("no global Jira Cloud URL set");
        }
        let labels = s.texts("labels")?;
        let mut jira = Jira {
            common: Common { http: s.http()?, timeout: None, secrets: Vec::new() },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            api_type,
            project,
            issue_type,
            summary: Field::read(s, "summary")?,
            description: Field::read(s, "description")?,
            labels: labels.into_iter().map(|l| Tpl::new(s.key("labels"), l)).collect(),
            priority: s.template("priority", r#"{{ template "jira.default.priority" . }}"#)?,
            reopen_transition: s.text("reopen_transition")?.unwrap_or_default(),
            resolve_transition: s.text("resolve_transition")?.unwrap_or_default(),
            wont_fix_resolution: s.text("wont_fix_resolution")?.unwrap_or_default(),
            reopen_duration: s.duration("reopen_duration")?.unwrap_or_default(),
            fields: Vec::new(),
        };
        if let Some(node) = s.node("fields") {
            s.lacks_anywhere("fields", node);
            let Kind::Map(entries) = &node.kind else { return Err(s.fault("fields", "expected a map")) };
            jira.fields.clone_from(entries);
        }
        Ok(jira)
    }

    fn url(&self, path: &str) -> String {
        self.url.as_ref().map(|u| u.with_path(path)).unwrap_or_default()
    }

    /// Cloud has a newer search than the server that runs at home.
    fn search_url(&self) -> String {
        let host = self.url.as_ref().and_then(|u| u.as_str().split('/').nth(2)).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        if self.api_type == "cloud" || (self.api_type == "auto" && host.ends_with("atlassian.net")) {
            return self.url("search/jql").replacen("/rest/api/2/", "/rest/api/3/", 1);
        }
        self.url("search")
    }

    /// The query for the issue of a group.
    fn query(&self, m: &Message<'_>) -> Result<String, DeliverError> {
        let mut jql = String::new();
        if !self.wont_fix_resolution.is_empty() {
            let resolution = quoted(&self.wont_fix_resolution);
            jql.push_str(&format!("(resolution is EMPTY or resolution != {resolution}) and "));
        }
        let minutes = self.reopen_duration.as_secs() / 60;
        if m.is_firing() && !self.reopen_transition.is_empty() && minutes > 0 {
            jql.push_str(&format!("(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m) and "));
        } else {
            jql.push_str("statusCategory != Done and ");
        }
        let (project, label) = (quoted(&m.text(&self.project)?), quoted(&label(m)));
        jql.push_str(&format!(
            "project={project} and labels={label} order by status ASC,resolutiondate DESC"
        ));
        Ok(jql)
    }

    fn search(&self, m: &Message<'_>) -> Result<Outgoing, DeliverError> {
        let body = json!({"jql": self.query(m)?, "maxResults": 2, "fields": ["status"]});
        request(Method::POST, self.search_url(), &body)
    }

    /// The issue as it should be; without what must not change if it is there already.
    fn issue(&self, m: &Message<'_>, exists: bool) -> Result<Value, DeliverError> {
        let mut fields = Map::new();
        fields.insert("project".to_owned(), json!({"key": m.text(&self.project)?}));
        fields.insert("issuetype".to_owned(), json!({"name": m.text(&self.issue_type)?}));
        if self.summary.update || !exists {
            let summary = cut_chars(m.text(&self.summary.text)?, MAX_SUMMARY);
            fields.insert("summary".to_owned(), summary.into());
        }
        if self.description.update || !exists {
            let description = self.description(m)?;
            fields.extend(description.map(|d| ("description".to_owned(), d)));
        }
        let mut labels = self.labels.iter().map(|l| m.text(l)).collect::<Result<Vec<_>, _>>()?;
        labels.push(label(m));
        labels.sort();
        fields.insert("labels".to_owned(), labels.into());
        let priority = m.text(&self.priority)?;
        if !priority.is_empty() {
            fields.insert("priority".to_owned(), json!({"name": priority}));
        }
        for (name, node) in &self.fields {
            fields.insert(name.clone(), payload::render(node, &|tpl| m.text(tpl))?);
        }
        Ok(json!({"fields": fields}))
    }

    /// A text for version 2 of the API, a document in JSON for version 3.
    fn description(&self, m: &Message<'_>) -> Result<Option<Value>, DeliverError> {
        let text = cut_chars(m.text(&self.description.text)?, MAX_DESCRIPTION);
        let v3 = self.url.as_ref().is_some_and(|u| u.as_str().trim_end_matches('/').ends_with("/3"));
        if !v3 {
            return Ok((!text.is_empty()).then(|| text.into()));
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let document = serde_json::from_str(text.trim())
            .map_err(|_| DeliverError::permanent("description template: invalid JSON for API v3"))?;
        Ok(Some(document))
    }

    async fn ask<T: DeserializeOwned>(&self, sender: &Sender, out: &Outgoing) -> Result<T, DeliverError> {
        let answer = sender.ask(out, &self.rule()).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|e| DeliverError::permanent(format!("the answer of Jira cannot be read: {e}")))
    }

    /// Moves an issue to where it belongs.
    async fn transition(&self, m: &Message<'_>, issue: &Issue, sender: &Sender) -> Result<(), DeliverError> {
        let Some(status) = issue.fields.as_ref().and_then(|f| f.status.as_ref()) else { return Ok(()) };
        let done = status.category.key == "done";
        let name = match (m.is_firing(), done) {
            (true, true) => &self.reopen_transition,
            (false, false) => &self.resolve_transition,
            _ => return Ok(()),
        };
        if name.is_empty() {
            return Ok(());
        }
        let url = self.url(&format!("issue/{}/transitions", issue.key));
        let ways: Transitions = self.ask(sender, &get(url.clone())).await?;
        let Some(way) = ways.transitions.iter().find(|t| t.name == *name) else {
            let text = format!("can't find transition {name} for issue {}", issue.key);
            return Err(DeliverError::permanent(text));
        };
        let out = request(Method::POST, url, &json!({"transition": {"id": way.id}}))?;
        sender.ask(&out, &self.rule()).await.map(drop)
    }
}

impl Field {
    /// A text, or a map with the text and whether it changes.
    fn read(s: &Settings<'_>, key: &str) -> Result<Self, Fault> {
        let default = format!("{{{{ template \"jira.default.{key}\" . }}}}");
        if !s.node(key).is_some_and(|n| matches!(n.kind, Kind::Map(_))) {
            return Ok(Field { text: s.template(key, &default)?, update: true });
        }
        let Some(inner) = s.section(key)? else { return s.refuse("expected a text or a map") };
        let text = inner.template("template", &default)?;
        let update = inner.bool("enable_update")?.unwrap_or(true);
        inner.finish()?;
        Ok(Field { text, update })
    }
}

/// The label by which an issue is found.
fn label(m: &Message<'_>) -> String {
    format!("ALERT{{{}}}", m.key_hash())
}

/// A text in a query.
fn quoted(text: &str) -> String {
    reba_model::float::go_quote(text)
}

fn request(method: Method, url: String, body: &Value) -> Result<Outgoing, DeliverError> {
    Ok(Outgoing::json(url, body)?.with_method(method).with_header("accept-language", "en"))
}

fn get(url: String) -> Outgoing {
    let mut out = Outgoing::get(url).with_header("accept-language", "en");
    out.content_type = "application/json";
    out
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    issues: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    key: String,
    fields: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "statusCategory")]
    category: Category,
}

#[derive(Deserialize)]
struct Category {
    key: String,
}

#[derive(Deserialize)]
struct Transitions {
    #[serde(default)]
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    name: String,
}

impl Http for Jira {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all =
            vec![&self.project, &self.issue_type, &self.summary.text, &self.description.text, &self.priority];
        all.extend(&self.labels);
        all
    }

    /// The search, and the issue that is made if it finds none.
    fn requests(&self, m: &Message<'_>, _: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut out = vec![self.search(m)?];
        if m.is_firing() {
            out.push(request(Method::POST, self.url("issue"), &self.issue(m, false)?)?);
        }
        Ok(out)
    }

    fn rule(&self) -> Rule {
        Rule::retrying(&[429])
    }

    fn send<'a>(
        &'a self,
        m: &'a Message<'a>,
        _: &'a [Secret],
        sender: &'a Sender,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        Box::pin(async move {
            let found: Found = self.ask(sender, &self.search(m)?).await.map_err(|e| DeliverError {
                message: format!("failed to look up existing issues: {}", e.message),
                ..e
            })?;
            let done = |answer: &Answer| Delivered { answer: answer.line(), remember: None };
            let Some(issue) = found.issues.first() else {
                // What is over before anybody heard of it needs no issue.
                if !m.is_firing() {
                    return Ok(Delivered { answer: "no issue to resolve".to_owned(), remember: None });
                }
                let out = request(
                    Method::POST,
                    self.url("issue"),
                    &super::off_the_workers(|| self.issue(m, false))?,
                )?;
                return sender.ask(&out, &self.rule()).await.map(|a| done(&a));
            };
            let url = self.url(&format!("issue/{}", issue.key));
            let out = request(Method::PUT, url, &super::off_the_workers(|| self.issue(m, true))?)?;
            let answer = sender.ask(&out, &self.rule()).await?;
            self.transition(m, issue, sender).await?;
            Ok(done(&answer))
        })
    }
}
