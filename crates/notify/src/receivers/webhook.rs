//! Webhooks: the notification as JSON, in version 4 of Alertmanager's format; and incident.io, which takes nearly the same.

use reba_alerting::DeliverError;
use reba_config::tree::{Fault, Node};
use reba_http::{Authorization, Secret};
use serde::Serialize;

use super::{Common, Http, Message, payload};
use crate::{
    config::{Settings, Tpl, Url},
    data::Data,
    send::{Outgoing, Rule},
};

#[derive(Debug)]
pub(super) struct Webhook {
    common: Common,
    /// Name under which errors of the URL's template are told.
    url_name: String,
    max_alerts: usize,
    payload: Option<Node>,
    incident_io: bool,
}

/// What is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(flatten)]
    data: &'a Data,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

impl Webhook {
    pub fn read(s: &Settings<'_>, incident_io: bool) -> Result<Self, Fault> {
        let url = s.secret("url")?;
        // What is a template can only be checked once it is rendered.
        if let Some(text) = url.text.as_ref().map(Secret::expose)
            && !text.contains("{{")
            && !text.contains(reba_http::SECRET_TEXT)
        {
            Url::new(text).map_err(|e| s.fault("url", e))?;
        }
        if url.is_none() && s.missing().is_none() {
            return s.refuse("one of url or url_file must be configured");
        }
        s.check("url", &url);
        let mut http = s.http()?;
        if incident_io {
            let token = s.secret("alert_source_token")?;
            s.check("alert_source_token", &token);
            if http.authorization.is_some() && !token.is_none() {
                let text = "cannot specify alert_source_token or alert_source_token_file when using http_config.authorization";
                return s.refuse(text);
            }
            if http.authorization.is_none() && token.is_none() && s.missing().is_none() {
                let text = "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured";
                return s.refuse(text);
            }
            if !token.is_none() {
                http.authorization = Some(Authorization {
                    kind: Some("Bearer".to_owned()),
                    credentials: token.text,
                    credentials_file: token.file,
                });
            }
        }
        let payload = if incident_io { None } else { s.node("payload").cloned() };
        if let Some(node) = &payload {
            s.lacks_anywhere("payload", node);
        }
        Ok(Webhook {
            common: Common {
                http,
                timeout: s.duration("timeout")?.filter(|t| !t.is_zero()),
                secrets: url.source().into_iter().collect(),
            },
            url_name: s.key("url"),
            max_alerts: s.number("max_alerts")?.unwrap_or(0),
            payload,
            incident_io,
        })
    }

    /// incident.io takes no more than 512 KiB: then it is told of the first alert only.
    fn body(&self, m: &Message<'_>) -> Result<String, DeliverError> {
        let limit = if self.max_alerts == 0 { usize::MAX } else { self.max_alerts };
        let whole = self.encode(m, limit)?;
        if self.incident_io && whole.len() > MAX_INCIDENT_IO { self.encode(m, 1) } else { Ok(whole) }
    }

    fn encode(&self, m: &Message<'_>, limit: usize) -> Result<String, DeliverError> {
        let alerts = &m.note.alerts[..m.note.alerts.len().min(limit)];
        let cut = Data::of(m.note, alerts, m.external_url);
        let truncated_alerts = m.note.alerts.len() - alerts.len();
        if let Some(payload) = &self.payload {
            let value = cut.value();
            let rendered =
                payload::render(payload, &|tpl| Ok(m.templates.text(tpl, &value, m.note.now_ms)?))?;
            return Ok(rendered.to_string());
        }
        let version = if self.incident_io { "1" } else { "4" };
        let body = Body { data: &cut, version, group_key: &m.note.group_key, truncated_alerts };
        serde_json::to_string(&body)
            .map_err(|e| DeliverError::permanent(format!("the message cannot be written as JSON: {e}")))
    }
}

/// Bytes that incident.io takes.
const MAX_INCIDENT_IO: usize = 512 << 10;

impl Http for Webhook {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        Vec::new()
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let url = Tpl::new(&self.url_name, super::first(secrets));
        let url = m.text(&url)?;
        if url.is_empty() {
            return Err(DeliverError::permanent("webhook URL is empty after templating"));
        }
        let mut out = Outgoing::json(url, &())?;
        out.body = self.body(m)?;
        Ok(vec![out])
    }

    fn rule(&self) -> Rule {
        if self.incident_io { Rule::retrying(&[429]) } else { Rule::default() }
    }
}
