//! Discord, by webhook.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use serde_json::json;

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl},
    send::{Object, Outgoing},
    text::cut_chars,
};

/// Characters that the parts of a message may have.
const MAX_TITLE: usize = 256;
const MAX_DESCRIPTION: usize = 4096;
const MAX_CONTENT: usize = 2000;

#[derive(Debug)]
pub(super) struct Discord {
    common: Common,
    content: Tpl,
    title: Tpl,
    message: Tpl,
    username: String,
    avatar_url: String,
}

impl Discord {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        Ok(Discord {
            common: super::webhook_url(s)?,
            content: s.template("content", r#"{{ template "discord.default.content" . }}"#)?,
            title: s.template("title", r#"{{ template "discord.default.title" . }}"#)?,
            message: s.template("message", r#"{{ template "discord.default.message" . }}"#)?,
            username: s.text("username")?.unwrap_or_default(),
            avatar_url: s.text("avatar_url")?.unwrap_or_default(),
        })
    }
}

impl Http for Discord {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        vec![&self.content, &self.title, &self.message]
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let color = if m.is_firing() { 0x99_2D22 } else { 0x2E_CC71 };
        let embed = json!({
            "title": cut_chars(m.text(&self.title)?, MAX_TITLE),
            "description": cut_chars(m.text(&self.message)?, MAX_DESCRIPTION),
            "color": color,
        });
        let mut out = Object::default();
        out.set("content", cut_chars(m.text(&self.content)?, MAX_CONTENT))
            .set("embeds", vec![embed])
            .fill("username", self.username.clone())
            .fill("avatar_url", self.avatar_url.clone());
        Ok(vec![Outgoing::json(super::first(secrets), &out.take())?])
    }
}
