//! PagerDuty: Events API v2, and v1 for service keys.

use reba_alerting::DeliverError;
use reba_config::tree::{Fault, Kind, Node};
use reba_http::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Common, Http, Message, payload};
use crate::{
    config::{Settings, Tpl},
    send::{Answer, Object, Outgoing, Rule},
    text::cut_chars,
};

/// Where events of version 1 go.
const V1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

/// Characters of a summary or description.
const MAX_SUMMARY: usize = 1024;

/// Bytes of an event.
const MAX_EVENT: usize = 512_000;

/// What stands for details that do not fit.
const TOO_LARGE: &str =
    "Custom details have been removed because the original event exceeds the maximum size of 512KB";

/// Details that are sent unless the settings have others of the same name.
const DETAILS: [(&str, &str); 4] = [
    ("firing", r#"{{ template "pagerduty.default.instances" .Alerts.Firing }}"#),
    ("resolved", r#"{{ template "pagerduty.default.instances" .Alerts.Resolved }}"#),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

#[derive(Debug)]
pub(super) struct PagerDuty {
    common: Common,
    /// Of the Events API, version 2; version 1 has its own.
    url: Option<String>,
    /// Name under which errors of the key's template are told.
    key_name: String,
    client: Tpl,
    client_url: Tpl,
    description: Tpl,
    severity: Tpl,
    source: Tpl,
    class: Tpl,
    component: Tpl,
    group: Tpl,
    details: Vec<(String, Detail)>,
    images: Vec<[Tpl; 3]>,
    links: Vec<[Tpl; 2]>,
}

#[derive(Debug)]
enum Detail {
    Text(Tpl),
    Structure(Node),
}

impl PagerDuty {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let (routing, service) = (s.secret("routing_key")?, s.secret("service_key")?);
        let v1 = !service.is_none();
        let (key_name, key) = if v1 { ("service_key", service) } else { ("routing_key", routing) };
        if key.is_none() && s.missing().is_none() {
            return s.refuse("missing service or routing key in PagerDuty config");
        }
        s.check(key_name, &key);
        let url = s.url("url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("pagerduty_url", url, s.global.pagerduty_url.as_ref()).unwrap_or_default();
        let client = s.template("client", r#"{{ template "pagerduty.default.client" . }}"#)?;
        let severity = s.template("severity", "error")?;
        let from = s.template("source", "")?;
        let images = s.list("images")?;
        let links = s.list("links")?;
        Ok(PagerDuty {
            common: Common {
                http: s.http()?,
                timeout: s.duration("timeout")?.filter(|t| !t.is_zero()),
                secrets: key.source().into_iter().collect(),
            },
            url: (!v1).then_some(url),
            key_name: s.key(key_name),
            source: if from.is_empty() { client.clone() } else { from },
            client,
            client_url: s.template("client_url", r#"{{ template "pagerduty.default.clientURL" . }}"#)?,
            description: s.template("description", r#"{{ template "pagerduty.default.description" . }}"#)?,
            severity: if severity.is_empty() { Tpl::new(severity.name, "error") } else { severity },
            class: s.template("class", "")?,
            component: s.template("component", "")?,
            group: s.template("group", "")?,
            details: details(s)?,
            images: images.iter().map(|i| texts(i, ["src", "alt", "href"])).collect::<Result<_, _>>()?,
            links: links.iter().map(|l| texts(l, ["href", "text"])).collect::<Result<_, _>>()?,
        })
    }

    fn details(&self, m: &Message<'_>) -> Result<Map<String, Value>, DeliverError> {
        let mut out = Map::new();
        for (name, detail) in &self.details {
            let value = match detail {
                Detail::Text(tpl) => m.text(tpl)?.into(),
                Detail::Structure(node) => payload::render(node, &|tpl| m.text(tpl))?,
            };
            out.insert(name.clone(), value);
        }
        Ok(out)
    }

    fn v1(&self, m: &Message<'_>, key: String, details: Map<String, Value>) -> Result<Value, DeliverError> {
        let mut out = Object::default();
        out.set("service_key", key)
            .set("incident_key", m.key_hash())
            .set("event_type", event(m))
            .fill("description", cut_chars(m.text(&self.description)?, MAX_SUMMARY));
        if m.is_firing() {
            out.fill("client", m.text(&self.client)?).fill("client_url", m.text(&self.client_url)?);
        }
        // Version 1 has no use for these two, which upstream sends nevertheless.
        out.set("event_action", "").set("payload", Value::Null);
        if !details.is_empty() {
            out.set("details", details);
        }
        Ok(out.take())
    }

    fn v2(&self, m: &Message<'_>, key: String, details: Map<String, Value>) -> Result<Value, DeliverError> {
        let mut payload = Object::default();
        payload
            .set("summary", cut_chars(m.text(&self.description)?, MAX_SUMMARY))
            .set("source", m.text(&self.source)?)
            .set("severity", m.text(&self.severity)?)
            .fill("class", m.text(&self.class)?)
            .fill("component", m.text(&self.component)?)
            .fill("group", m.text(&self.group)?);
        if !details.is_empty() {
            payload.set("custom_details", details);
        }
        let (mut images, mut links) = (Vec::new(), Vec::new());
        for [src, alt, href] in &self.images {
            let src = m.text(src)?;
            if !src.is_empty() {
                images.push(json!({"src": src, "alt": m.text(alt)?, "href": m.text(href)?}));
            }
        }
        for [href, text] in &self.links {
            let href = m.text(href)?;
            if !href.is_empty() {
                links.push(json!({"href": href, "text": m.text(text)?}));
            }
        }
        let mut out = Object::default();
        out.set("routing_key", key)
            .set("dedup_key", m.key_hash())
            .set("event_action", event(m))
            .set("payload", payload.take())
            .fill("client", m.text(&self.client)?)
            .fill("client_url", m.text(&self.client_url)?)
            .list("images", images)
            .list("links", links);
        Ok(out.take())
    }
}

fn event(m: &Message<'_>) -> &'static str {
    if m.is_firing() { "trigger" } else { "resolve" }
}

fn texts<const N: usize>(s: &Settings<'_>, keys: [&'static str; N]) -> Result<[Tpl; N], Fault> {
    let mut out = keys.map(|_| Tpl::default());
    for (tpl, key) in out.iter_mut().zip(keys) {
        *tpl = s.template(key, "")?;
    }
    s.finish()?;
    Ok(out)
}

/// The details of the settings, and those that are always sent.
fn details(s: &Settings<'_>) -> Result<Vec<(String, Detail)>, Fault> {
    let mut out = Vec::new();
    if let Some(node) = s.node("details") {
        let Kind::Map(entries) = &node.kind else { return Err(s.fault("details", "expected a map")) };
        s.lacks_anywhere("details", node);
        for (name, value) in entries {
            let detail = match value.text() {
                Some(text) => Detail::Text(Tpl::new(format!("{}.{name}", s.key("details")), text)),
                None => Detail::Structure(value.clone()),
            };
            out.push((name.clone(), detail));
        }
    }
    for (name, text) in DETAILS {
        if !out.iter().any(|(n, _)| n == name) {
            out.push((name.to_owned(), Detail::Text(Tpl::new(format!("{}.{name}", s.key("details")), text))));
        }
    }
    Ok(out)
}

/// What PagerDuty says of a request that it does not understand; of other answers the code is enough.
fn explain(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(default)]
        message: String,
        #[serde(default)]
        errors: Vec<String>,
    }
    if answer.status.as_u16() != 400 {
        return String::new();
    }
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    let text = reply.map(|r| format!("{}: {}", r.message, r.errors.join(",")));
    text.map(|t| crate::text::excerpt(t.as_bytes())).unwrap_or_default()
}

impl Http for PagerDuty {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![
            &self.client,
            &self.client_url,
            &self.description,
            &self.severity,
            &self.source,
            &self.class,
            &self.component,
            &self.group,
        ];
        all.extend(self.details.iter().filter_map(|(_, d)| match d {
            Detail::Text(tpl) => Some(tpl),
            Detail::Structure(_) => None,
        }));
        all.extend(self.images.iter().flatten().chain(self.links.iter().flatten()));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let key = m.text(&Tpl::new(&self.key_name, super::first(secrets)))?;
        if key.is_empty() {
            let what = if self.url.is_some() { "routing" } else { "service" };
            return Err(DeliverError::permanent(format!("{what} key cannot be empty")));
        }
        let details = self.details(m)?;
        let url = self.url.as_deref().unwrap_or(V1);
        let event = |details| match &self.url {
            Some(_) => self.v2(m, key.clone(), details),
            None => self.v1(m, key.clone(), details),
        };
        let out = Outgoing::json(url, &event(details)?)?;
        if out.body.len() <= MAX_EVENT {
            return Ok(vec![out]);
        }
        let mut note = Map::new();
        note.insert("error".to_owned(), TOO_LARGE.into());
        Ok(vec![Outgoing::json(url, &event(note)?)?])
    }

    /// Version 1 answers 403 where there were too many events, version 2 answers 429.
    fn rule(&self) -> Rule {
        let retry: &[u16] = if self.url.is_some() { &[429] } else { &[403] };
        Rule { retry, details: Some(explain) }
    }
}
