//! Telegram, by the Bot API.

use reba_alerting::{DeliverError, FailureReason};
use reba_config::tree::Fault;
use reba_http::Secret;
use serde::Deserialize;

use super::{Common, Http, Message};
use crate::{
    config::{SecretSource, Settings, Tpl},
    send::{Answer, Object, Outgoing, Rule},
    text::{cut_chars, excerpt},
};

/// Characters of a message.
const MAX_MESSAGE: usize = 4096;

/// What is sent for a message in HTML that is too long: cutting it could leave a tag open.
const TOO_LONG: &str = "Alertmanager notification could not be sent: message length exceeds Telegram limits.\n\
    Please check the template used for producing the message content.";

#[derive(Debug)]
pub(super) struct Telegram {
    common: Common,
    url: String,
    message_thread_id: i64,
    message: Tpl,
    silent: bool,
    parse_mode: String,
}

impl Telegram {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let token = s.secret("bot_token")?.or(&s.global.telegram_bot_token);
        if token.is_none() && s.missing().is_none() {
            return s.refuse("missing bot_token or bot_token_file on telegram_config");
        }
        s.check("bot_token", &token);
        let (chat, chat_file) = (s.number::<i64>("chat_id")?.filter(|c| *c != 0), s.path("chat_id_file")?);
        let chat = match (chat, chat_file) {
            (Some(_), Some(_)) => {
                return s.refuse("at most one of chat_id & chat_id_file must be configured");
            }
            (None, None) if s.missing().is_none() => {
                return s.refuse("missing chat_id or chat_id_file on telegram_config");
            }
            (_, Some(file)) => {
                s.check("chat_id", &crate::config::FileOrText { text: None, file: Some(file.clone()) });
                SecretSource::File(file)
            }
            (chat, None) => SecretSource::Given(Secret::new(chat.unwrap_or(0).to_string())),
        };
        let parse_mode = s.template("parse_mode", "HTML")?.text;
        if !["", "Markdown", "MarkdownV2", "HTML"].contains(&parse_mode.as_str()) {
            return s.refuse(
                "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string",
            );
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        Ok(Telegram {
            common: Common {
                http: s.http()?,
                timeout: None,
                secrets: token.source().into_iter().chain([chat]).collect(),
            },
            url: s.inherit("telegram_api_url", url, s.global.telegram_api_url.as_ref()).unwrap_or_default(),
            message_thread_id: s.number("message_thread_id")?.unwrap_or(0),
            message: s.template("message", r#"{{ template "telegram.default.message" . }}"#)?,
            silent: s.flag("disable_notifications")?,
            parse_mode,
        })
    }
}

/// An answer of the Bot API.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    description: String,
}

fn explain(answer: &Answer) -> String {
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    reply.map_or_else(|| excerpt(&answer.body), |r| excerpt(r.description.as_bytes()))
}

impl Http for Telegram {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        vec![&self.message]
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let text = if self.parse_mode == "HTML" {
            let html = m.html(&self.message)?;
            if html.chars().count() > MAX_MESSAGE { TOO_LONG.to_owned() } else { html }
        } else {
            cut_chars(m.text(&self.message)?, MAX_MESSAGE)
        };
        let [token, chat] = [0, 1].map(|i| secrets.get(i).map_or("", Secret::expose));
        let mut out = Object::default();
        out.set("chat_id", chat).set("text", text).fill("parse_mode", self.parse_mode.clone());
        // The Bot API takes truth values as texts, too; so does the library that upstream uses.
        out.set("disable_web_page_preview", "true");
        if self.silent {
            out.set("disable_notification", "true");
        }
        if self.message_thread_id != 0 {
            out.set("message_thread_id", self.message_thread_id.to_string());
        }
        let url = format!("{}/bot{token}/sendMessage", self.url.trim_end_matches('/'));
        Ok(vec![Outgoing::json(url, &out.take())?])
    }

    /// As upstream, whatever Telegram refuses is tried again.
    fn rule(&self) -> Rule {
        Rule { retry: &[400, 401, 403, 404, 409, 413, 429], details: Some(explain) }
    }

    fn accept(
        &self,
        _: &Message<'_>,
        answer: &Answer,
    ) -> Result<Option<crate::send::Remembered>, DeliverError> {
        match serde_json::from_slice::<Reply>(&answer.body) {
            Ok(reply) if !reply.ok => Err(DeliverError::transient(format!("telegram: {}", explain(answer)))
                .because(FailureReason::ClientError)),
            _ => Ok(None),
        }
    }
}
