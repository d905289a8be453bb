//! Rocket.Chat, by its REST API.

use reba_alerting::{DeliverError, FailureReason};
use reba_config::tree::Fault;
use reba_http::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Answer, Object, Outgoing, Remembered},
    text::{cut_chars, excerpt},
};

/// Characters of a title.
const MAX_TITLE: usize = 1024;

/// Texts of the attachment, with their defaults.
const TEXTS: [(&str, &str); 6] = [
    ("title", r#"{{ template "rocketchat.default.title" . }}"#),
    ("title_link", r#"{{ template "rocketchat.default.titlelink" . }}"#),
    ("text", r#"{{ template "rocketchat.default.text" . }}"#),
    ("image_url", ""),
    ("thumb_url", ""),
    ("color", r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#),
];

#[derive(Debug)]
pub(super) struct RocketChat {
    common: Common,
    url: Option<Url>,
    channel: Tpl,
    emoji: Tpl,
    icon_url: Tpl,
    texts: Vec<(&'static str, Tpl)>,
    fields: Vec<(Tpl, Tpl, bool)>,
    actions: Vec<[Tpl; 3]>,
}

impl RocketChat {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let token_id = s.secret("token_id")?.or(&s.global.rocketchat_token_id);
        let token = s.secret("token")?.or(&s.global.rocketchat_token);
        for (secret, key, name) in [(&token_id, "token_id", "TokenID"), (&token, "token", "Token")] {
            if secret.is_none() && s.missing().is_none() {
                return s.refuse(format!("no global Rocketchat {name} set either inline or in a file"));
            }
            s.check(key, secret);
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("rocketchat_api_url", url, s.global.rocketchat_api_url.as_ref());
        let mut texts = Vec::new();
        for (key, default) in TEXTS {
            texts.push((key, s.template(key, default)?));
        }
        // Upstream reads it and has no use for it.
        s.flag("link_names")?;
        let short_fields = s.flag("short_fields")?;
        let fields = s.list("fields")?;
        let actions = s.list("actions")?;
        Ok(RocketChat {
            common: Common {
                http: s.http()?,
                timeout: None,
                secrets: token.source().into_iter().chain(token_id.source()).collect(),
            },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            channel: s.template("channel", "")?,
            emoji: s.template("emoji", r#"{{ template "rocketchat.default.emoji" . }}"#)?,
            icon_url: s.template("icon_url", r#"{{ template "rocketchat.default.iconurl" . }}"#)?,
            texts,
            fields: fields.iter().map(|f| field(f, short_fields)).collect::<Result<_, _>>()?,
            actions: actions.iter().map(action).collect::<Result<_, _>>()?,
        })
    }

    fn attachment(&self, m: &Message<'_>) -> Result<Value, DeliverError> {
        let mut out = Object::default();
        for (key, tpl) in &self.texts {
            let text = m.text(tpl)?;
            out.fill(key, if *key == "title" { cut_chars(text, MAX_TITLE) } else { text });
        }
        let (mut fields, mut actions) = (Vec::new(), Vec::new());
        for (title, value, short) in &self.fields {
            let mut field = Object::default();
            field.set("short", *short).fill("title", m.text(title)?).fill("value", m.text(value)?);
            fields.push(field.take());
        }
        for [text, url, msg] in &self.actions {
            let mut action = Object(json_map(json!({
                "type": "button", "is_webview": false, "msg_in_chat_window": false,
            })));
            action.fill("text", m.text(text)?).fill("url", m.text(url)?).fill("msg", m.text(msg)?);
            actions.push(action.take());
        }
        out.list("fields", fields).list("actions", actions);
        Ok(out.take())
    }
}

fn json_map(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}

fn field(s: &Settings<'_>, short: bool) -> Result<(Tpl, Tpl, bool), Fault> {
    let field = (s.template("title", "")?, s.template("value", "")?, s.bool("short")?.unwrap_or(short));
    s.finish()?;
    Ok(field)
}

/// Buttons; the other settings of actions have no effect upstream either.
fn action(s: &Settings<'_>) -> Result<[Tpl; 3], Fault> {
    let action = [s.template("text", "")?, s.template("url", "")?, s.template("msg", "")?];
    for key in ["type", "image_url", "webview_height_ratio", "msg_processing_type"] {
        s.text(key)?;
    }
    for key in ["is_webview", "msg_in_chat_window"] {
        s.flag(key)?;
    }
    s.finish()?;
    Ok(action)
}

/// An answer of the API, which has errors under 200, too.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    error: String,
}

impl Http for RocketChat {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![&self.channel, &self.emoji, &self.icon_url];
        all.extend(self.texts.iter().map(|(_, t)| t));
        all.extend(self.fields.iter().flat_map(|(t, v, _)| [t, v]));
        all.extend(self.actions.iter().flatten());
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut out = Object::default();
        out.fill("channel", m.text(&self.channel)?)
            .fill("emoji", m.text(&self.emoji)?)
            .fill("avatar", m.text(&self.icon_url)?)
            .set("attachments", vec![self.attachment(m)?]);
        let url = self.url.as_ref().map(|u| u.with_path("api/v1/chat.postMessage")).unwrap_or_default();
        let id = secrets.get(1).map_or("", Secret::expose);
        let out = Outgoing::json(url, &out.take())?;
        Ok(vec![out.with_header("x-auth-token", super::first(secrets)).with_header("x-user-id", id)])
    }

    fn accept(&self, _: &Message<'_>, answer: &Answer) -> Result<Option<Remembered>, DeliverError> {
        let reply: Reply = serde_json::from_slice(&answer.body).map_err(|e| {
            let body = excerpt(&answer.body);
            DeliverError::transient(format!("could not unmarshal JSON response {body:?}: {e}"))
        })?;
        if reply.success {
            return Ok(None);
        }
        let text = format!("error response from Rocketchat: {}", excerpt(reply.error.as_bytes()));
        Err(DeliverError::permanent(text).because(FailureReason::ClientError))
    }
}
