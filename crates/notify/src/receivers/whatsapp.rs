//! WhatsApp, by Meta's Cloud API. Alertmanager has no such receiver; its settings are ours.
//!
//! A text reaches only people who have written to the number within the last day; outside of that, Meta delivers nothing but
//! templates that it has approved: `template` names one, and `parameters` are what fills it.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Answer, Outgoing, Rule},
    text::{cut_chars, excerpt},
};

/// Characters of a text.
const MAX_TEXT: usize = 4096;

/// Characters of a parameter of a template, which may hold no line breaks.
const MAX_PARAMETER: usize = 1024;

#[derive(Debug)]
pub(super) struct WhatsApp {
    common: Common,
    url: Option<Url>,
    phone_number_id: String,
    to: Vec<Tpl>,
    message: Tpl,
    template: Option<Template>,
}

/// An approved template.
#[derive(Debug)]
struct Template {
    name: String,
    language: String,
    parameters: Vec<Tpl>,
}

impl WhatsApp {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let token = s.secret("access_token")?.or(&s.global.whatsapp_access_token);
        if token.is_none() && s.missing().is_none() {
            return s.refuse("missing access_token or access_token_file on whatsapp_config");
        }
        s.check("access_token", &token);
        let phone_number_id = s.text("phone_number_id")?.unwrap_or_default();
        let plain = phone_number_id.bytes().all(|b| b.is_ascii_digit());
        if (phone_number_id.is_empty() || !plain) && s.missing().is_none() {
            return s
                .refuse("missing phone_number_id on whatsapp_config: the number's id at Meta, digits only");
        }
        let to: Vec<Tpl> = s.texts("to")?.into_iter().map(|t| Tpl::new(s.key("to"), t)).collect();
        if to.iter().all(Tpl::is_empty) && s.missing().is_none() {
            return s.refuse("missing to on whatsapp_config: phone numbers with their country's code");
        }
        let template = s.section("template")?.map(|t| {
            let name = t.text("name")?.unwrap_or_default();
            let language = t.text("language")?.unwrap_or_else(|| "en".to_owned());
            let parameters = t.texts("parameters")?;
            let parameters = parameters.into_iter().map(|p| Tpl::new(t.key("parameters"), p)).collect();
            t.finish()?;
            Ok(Template { name, language, parameters })
        });
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("whatsapp_api_url", url, s.global.whatsapp_api_url.as_ref());
        Ok(WhatsApp {
            common: Common {
                http: s.http()?,
                timeout: s.duration("timeout")?.filter(|t| !t.is_zero()),
                secrets: token.source().into_iter().collect(),
            },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            phone_number_id,
            to,
            message: s.template("message", r#"{{ template "whatsapp.default.message" . }}"#)?,
            template: template.transpose()?,
        })
    }

    fn content(&self, m: &Message<'_>) -> Result<(&'static str, Value), DeliverError> {
        let Some(template) = &self.template else {
            let body = cut_chars(m.text(&self.message)?, MAX_TEXT);
            return Ok(("text", json!({"body": body, "preview_url": false})));
        };
        let mut parameters = Vec::new();
        for tpl in &template.parameters {
            let words: Vec<String> = m.text(tpl)?.split_whitespace().map(str::to_owned).collect();
            parameters.push(json!({"type": "text", "text": cut_chars(words.join(" "), MAX_PARAMETER)}));
        }
        let mut out = json!({"name": template.name, "language": {"code": template.language}});
        if !parameters.is_empty() {
            out["components"] = json!([{"type": "body", "parameters": parameters}]);
        }
        Ok(("template", out))
    }
}

impl Http for WhatsApp {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all: Vec<&Tpl> = self.to.iter().chain([&self.message]).collect();
        all.extend(self.template.iter().flat_map(|t| &t.parameters));
        all
    }

    /// One request for each number.
    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let url = self.url.as_ref().map(|u| u.with_path(&format!("{}/messages", self.phone_number_id)));
        let url = url.unwrap_or_default();
        let (kind, content) = self.content(m)?;
        let mut out = Vec::new();
        for to in &self.to {
            for number in m.text(to)?.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                let mut body = json!({
                    "messaging_product": "whatsapp", "recipient_type": "individual", "to": number, "type": kind,
                });
                body[kind] = content.clone();
                let bearer = format!("Bearer {}", super::first(secrets));
                out.push(Outgoing::json(url.as_str(), &body)?.with_header("authorization", bearer));
            }
        }
        Ok(out)
    }

    fn rule(&self) -> Rule {
        Rule { retry: &[429], details: Some(explain) }
    }
}

/// What Meta says is wrong.
fn explain(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Reply {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        message: String,
        #[serde(default)]
        code: i64,
    }
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    let text = reply.map(|r| format!("{} (code {})", r.error.message, r.error.code));
    text.map_or_else(|| excerpt(&answer.body), |t| excerpt(t.as_bytes()))
}
