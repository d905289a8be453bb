//! Opsgenie: alerts are created, changed and closed under the hash of the group's key.

use http::Method;
use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use serde_json::{Map, Value, json};

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Object, Outgoing, Rule},
    text::cut_chars,
};

/// Characters of a message.
const MAX_MESSAGE: usize = 130;

/// Who may be called.
const RESPONDERS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

#[derive(Debug)]
pub(super) struct Opsgenie {
    common: Common,
    url: Option<Url>,
    key_name: String,
    message: Tpl,
    description: Tpl,
    source: Tpl,
    entity: Tpl,
    actions: Tpl,
    tags: Tpl,
    note: Tpl,
    priority: Tpl,
    details: Vec<(String, Tpl)>,
    responders: Vec<[Tpl; 4]>,
    update_alerts: bool,
}

impl Opsgenie {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let key = s.secret("api_key")?.or(&s.global.opsgenie_api_key);
        if key.is_none() && s.missing().is_none() {
            return s.refuse("no global OpsGenie API Key set either inline or in a file");
        }
        s.check("api_key", &key);
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("opsgenie_api_url", url, s.global.opsgenie_api_url.as_ref());
        let responders = s.list("responders")?;
        Ok(Opsgenie {
            common: Common { http: s.http()?, timeout: None, secrets: key.source().into_iter().collect() },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            key_name: s.key("api_key"),
            message: s.template("message", r#"{{ template "opsgenie.default.message" . }}"#)?,
            description: s.template("description", r#"{{ template "opsgenie.default.description" . }}"#)?,
            source: s.template("source", r#"{{ template "opsgenie.default.source" . }}"#)?,
            entity: s.template("entity", "")?,
            actions: s.template("actions", "")?,
            tags: s.template("tags", "")?,
            note: s.template("note", "")?,
            priority: s.template("priority", "")?,
            details: s.templates("details")?,
            responders: responders.iter().map(responder).collect::<Result<_, _>>()?,
            update_alerts: s.flag("update_alerts")?,
        })
    }

    fn responders(&self, m: &Message<'_>) -> Result<Vec<Value>, DeliverError> {
        let mut out = Vec::new();
        for [id, name, username, kind] in &self.responders {
            let [id, name, username, kind] = [m.text(id)?, m.text(name)?, m.text(username)?, m.text(kind)?];
            if [&id, &name, &username, &kind].iter().all(|t| t.is_empty()) {
                continue;
            }
            if kind == "teams" {
                out.extend(split(&name).into_iter().map(|team| json!({"name": team, "type": "team"})));
                continue;
            }
            let mut responder = Object::default();
            responder.fill("id", id).fill("name", name).fill("username", username).set("type", kind);
            out.push(responder.take());
        }
        Ok(out)
    }

    fn create(&self, m: &Message<'_>, message: &str, description: &str) -> Result<Value, DeliverError> {
        let mut details: Map<String, Value> =
            m.data.common_labels.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect();
        for (name, tpl) in &self.details {
            details.insert(name.clone(), m.text(tpl)?.into());
        }
        let list =
            |tpl: &Tpl| Ok::<_, DeliverError>(split(&m.text(tpl)?).into_iter().map(Value::from).collect());
        let mut out = Object::default();
        out.set("alias", m.key_hash())
            .set("message", message)
            .fill("description", description.to_owned())
            .set("details", details)
            .set("source", m.text(&self.source)?)
            .list("responders", self.responders(m)?)
            .list("tags", list(&self.tags)?)
            .fill("note", m.text(&self.note)?)
            .fill("priority", m.text(&self.priority)?)
            .fill("entity", m.text(&self.entity)?)
            .list("actions", list(&self.actions)?);
        Ok(out.take())
    }

    fn url(&self, path: &str) -> String {
        self.url.as_ref().map(|u| u.with_path(path)).unwrap_or_default()
    }
}

fn responder(s: &Settings<'_>) -> Result<[Tpl; 4], Fault> {
    let out = [
        s.template("id", "")?,
        s.template("name", "")?,
        s.template("username", "")?,
        s.template("type", "")?,
    ];
    s.finish()?;
    let [id, name, username, kind] = &out;
    if id.is_empty() && name.is_empty() && username.is_empty() {
        return s
            .refuse("opsGenieConfig responder has to have at least one of id, username or name specified");
    }
    let known = RESPONDERS.contains(&kind.text.to_lowercase().as_str());
    if !known && !kind.text.contains("{{") {
        let text = "opsGenieConfig responder type does not match valid options ^(team|teams|user|escalation|schedule)$";
        return s.refuse(text);
    }
    Ok(out)
}

/// The parts of a list with commas, without empty ones.
fn split(text: &str) -> Vec<String> {
    text.trim().split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

impl Http for Opsgenie {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![
            &self.message,
            &self.description,
            &self.source,
            &self.entity,
            &self.actions,
            &self.tags,
            &self.note,
            &self.priority,
        ];
        all.extend(self.details.iter().map(|(_, t)| t).chain(self.responders.iter().flatten()));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let key = m.text(&Tpl::new(&self.key_name, super::first(secrets)))?;
        let alias = m.key_hash();
        let at = |what: &str| self.url(&format!("v2/alerts/{alias}/{what}?identifierType=alias"));
        let mut out = Vec::new();
        if m.is_firing() {
            let message = cut_chars(m.text(&self.message)?, MAX_MESSAGE);
            let description = m.text(&self.description)?;
            out.push(Outgoing::json(self.url("v2/alerts"), &self.create(m, &message, &description)?)?);
            if self.update_alerts {
                for (what, text) in [("message", message), ("description", description)] {
                    let mut body = Object::default();
                    body.fill(what, text);
                    out.push(Outgoing::json(at(what), &body.take())?.with_method(Method::PUT));
                }
            }
        } else {
            out.push(Outgoing::json(at("close"), &json!({"source": m.text(&self.source)?}))?);
        }
        Ok(out
            .into_iter()
            .map(|o| o.with_header("authorization", format!("GenieKey {}", key.trim())))
            .collect())
    }

    fn rule(&self) -> Rule {
        Rule::retrying(&[429])
    }
}
