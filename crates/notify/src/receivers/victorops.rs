//! VictorOps (Splunk On-Call), by its REST endpoint.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Object, Outgoing},
    text::cut_chars,
};

/// Characters of a message.
const MAX_MESSAGE: usize = 20_480;

/// Fields that the settings have keys for.
const RESERVED: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

#[derive(Debug)]
pub(super) struct VictorOps {
    common: Common,
    url: Option<Url>,
    routing_key: Tpl,
    message_type: Tpl,
    state_message: Tpl,
    entity_display_name: Tpl,
    monitoring_tool: Tpl,
    custom_fields: Vec<(String, Tpl)>,
}

impl VictorOps {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let routing_key = s.template("routing_key", "")?;
        if routing_key.is_empty() {
            return s.refuse("missing Routing key in VictorOps config");
        }
        let key = s.secret("api_key")?.or(&s.global.victorops_api_key);
        if key.is_none() && s.missing().is_none() {
            return s.refuse("no global VictorOps API Key set");
        }
        s.check("api_key", &key);
        let custom_fields = s.templates("custom_fields")?;
        if let Some((name, _)) = custom_fields.iter().find(|(n, _)| RESERVED.contains(&n.as_str())) {
            let text = format!(
                "victorOps config contains custom field {name} which cannot be used as it conflicts with the fixed/static fields"
            );
            return s.refuse(text);
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("victorops_api_url", url, s.global.victorops_api_url.as_ref());
        Ok(VictorOps {
            common: Common { http: s.http()?, timeout: None, secrets: key.source().into_iter().collect() },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            routing_key,
            message_type: s.template("message_type", "CRITICAL")?,
            state_message: s
                .template("state_message", r#"{{ template "victorops.default.state_message" . }}"#)?,
            entity_display_name: s.template(
                "entity_display_name",
                r#"{{ template "victorops.default.entity_display_name" . }}"#,
            )?,
            monitoring_tool: s
                .template("monitoring_tool", r#"{{ template "victorops.default.monitoring_tool" . }}"#)?,
            custom_fields,
        })
    }

    fn message_type(&self, m: &Message<'_>) -> Result<String, DeliverError> {
        let wanted = m.text(&self.message_type)?;
        Ok(match (m.is_firing(), wanted.as_str()) {
            (false, _) => "RECOVERY".to_owned(),
            (true, "INFO" | "WARNING" | "CRITICAL") => wanted,
            (true, _) => "CRITICAL".to_owned(),
        })
    }
}

impl Http for VictorOps {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![
            &self.routing_key,
            &self.message_type,
            &self.state_message,
            &self.entity_display_name,
            &self.monitoring_tool,
        ];
        all.extend(self.custom_fields.iter().map(|(_, t)| t));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut out = Object::default();
        out.set("message_type", self.message_type(m)?)
            .set("entity_id", m.key_hash())
            .set("entity_display_name", m.text(&self.entity_display_name)?)
            .set("state_message", cut_chars(m.text(&self.state_message)?, MAX_MESSAGE))
            .set("monitoring_tool", m.text(&self.monitoring_tool)?);
        for (name, tpl) in &self.custom_fields {
            out.set(name, m.text(tpl)?);
        }
        let path = format!("{}/{}", super::first(secrets), m.text(&self.routing_key)?);
        let url = self.url.as_ref().map(|u| u.with_path(&path)).unwrap_or_default();
        Ok(vec![Outgoing::json(url, &out.take())?])
    }
}
