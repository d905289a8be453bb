//! Webex.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl},
    send::{Object, Outgoing},
    text::cut_bytes,
};

/// Bytes of a message.
const MAX_MESSAGE: usize = 7439;

#[derive(Debug)]
pub(super) struct Webex {
    common: Common,
    url: String,
    message: Tpl,
    room_id: Tpl,
}

impl Webex {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let room_id = s.template("room_id", "")?;
        if room_id.is_empty() {
            return s.refuse("missing room_id on webex_config");
        }
        let http = s.http()?;
        if !s.has_own_http() || http.authorization.is_none() {
            return s.refuse("missing webex_configs.http_config.authorization");
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        Ok(Webex {
            common: Common { http, timeout: None, secrets: Vec::new() },
            url: s.inherit("webex_api_url", url, s.global.webex_api_url.as_ref()).unwrap_or_default(),
            message: s.template("message", r#"{{ template "webex.default.message" . }}"#)?,
            room_id,
        })
    }
}

impl Http for Webex {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        vec![&self.message, &self.room_id]
    }

    fn requests(&self, m: &Message<'_>, _: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut out = Object::default();
        out.set("markdown", cut_bytes(m.text(&self.message)?, MAX_MESSAGE))
            .fill("roomId", m.text(&self.room_id)?);
        Ok(vec![Outgoing::json(&self.url, &out.take())?])
    }
}
