//! Mattermost, by incoming webhook.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use serde_json::{Value, json};

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl},
    send::{Object, Outgoing},
    text::cut_chars,
};

/// Characters of a message's text.
const MAX_TEXT: usize = 16_383;

/// Texts of an attachment, with their defaults.
const TEXTS: [(&str, &str); 13] = [
    ("fallback", r#"{{ template "mattermost.default.fallback" . }}"#),
    ("color", r#"{{ template "mattermost.default.color" . }}"#),
    ("pretext", ""),
    ("text", r#"{{ template "mattermost.default.text" . }}"#),
    ("author_name", ""),
    ("author_link", ""),
    ("author_icon", ""),
    ("title", r#"{{ template "mattermost.default.title" . }}"#),
    ("title_link", r#"{{ template "mattermost.default.titlelink" . }}"#),
    ("thumb_url", ""),
    ("footer", ""),
    ("footer_icon", ""),
    ("image_url", ""),
];

#[derive(Debug)]
pub(super) struct Mattermost {
    common: Common,
    /// Keys of the message itself.
    texts: Vec<(&'static str, Tpl)>,
    /// What is told where there are no attachments of the settings.
    own: Attachment,
    attachments: Vec<Attachment>,
    card: Option<Tpl>,
    priority: Option<Priority>,
}

#[derive(Debug)]
struct Attachment {
    texts: Vec<(&'static str, Tpl)>,
    fields: Vec<(Tpl, Tpl, Option<bool>)>,
}

#[derive(Debug)]
struct Priority {
    priority: Tpl,
    requested_ack: bool,
    persistent_notifications: bool,
}

impl Mattermost {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let url = s.secret_url("webhook_url")?.or(&s.global.mattermost_webhook_url);
        if url.is_none() && s.missing().is_none() {
            return s.refuse("missing webhook_url or webhook_url_file on mattermost_config");
        }
        s.check("webhook_url", &url);
        let defaults = [
            ("channel", ""),
            ("username", r#"{{ template "mattermost.default.username" . }}"#),
            ("icon_url", ""),
            ("icon_emoji", ""),
            ("type", ""),
        ];
        let mut texts = Vec::new();
        for (key, default) in defaults {
            texts.push((key, s.template(key, default)?));
        }
        let mut attachments = Vec::new();
        for a in s.list("attachments")? {
            attachments.push(Attachment::read(&a, false)?);
            a.finish()?;
        }
        let card = s.section("props")?.map(|p| {
            let card = p.template("card", "")?;
            p.finish().map(|()| card)
        });
        let priority = s.section("priority")?.map(|p| Priority::read(&p)).transpose()?;
        Ok(Mattermost {
            common: Common { http: s.http()?, timeout: None, secrets: url.source().into_iter().collect() },
            texts,
            own: Attachment::read(s, true)?,
            attachments,
            card: card.transpose()?.filter(|c| !c.is_empty()),
            priority: priority.filter(|p| !p.priority.is_empty()),
        })
    }
}

impl Attachment {
    fn read(s: &Settings<'_>, defaults: bool) -> Result<Self, Fault> {
        let mut texts = Vec::new();
        for (key, default) in TEXTS {
            texts.push((key, s.template(key, if defaults { default } else { "" })?));
        }
        let mut fields = Vec::new();
        for f in s.list("fields")? {
            let (title, value) = (f.template("title", "")?, f.template("value", "")?);
            for (text, name) in [(&title, "title"), (&value, "value")] {
                if text.is_empty() {
                    return f.refuse(format!("missing {name} in Mattermost field configuration"));
                }
            }
            fields.push((title, value, f.bool("short")?));
            f.finish()?;
        }
        Ok(Attachment { texts, fields })
    }

    fn render(&self, m: &Message<'_>) -> Result<Value, DeliverError> {
        let mut out = Object::default();
        for (key, tpl) in &self.texts {
            out.fill(key, m.text(tpl)?);
        }
        let mut fields = Vec::new();
        for (title, value, short) in &self.fields {
            let mut field = Object::default();
            field.fill("title", m.text(title)?).fill("value", m.text(value)?);
            if let Some(short) = short {
                field.set("short", *short);
            }
            fields.push(field.take());
        }
        out.list("fields", fields);
        Ok(out.take())
    }
}

impl Priority {
    fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let priority = Priority {
            priority: s.template("priority", "")?,
            requested_ack: s.flag("requested_ack")?,
            persistent_notifications: s.flag("persistent_notifications")?,
        };
        s.finish()?;
        Ok(priority)
    }

    /// Only urgent messages may repeat themselves, only important ones ask for an answer.
    fn render(&self, m: &Message<'_>) -> Result<Value, DeliverError> {
        let wanted = m.text(&self.priority)?.to_lowercase();
        let known = ["urgent", "important"].contains(&wanted.as_str());
        let priority = if known { wanted } else { "standard".to_owned() };
        let mut out = Object::default();
        out.flag("requested_ack", self.requested_ack && priority != "standard");
        out.flag("persistent_notifications", self.persistent_notifications && priority == "urgent");
        out.set("priority", priority);
        Ok(out.take())
    }
}

impl Http for Mattermost {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all: Vec<&Tpl> = self.texts.iter().map(|(_, t)| t).collect();
        for a in self.attachments.iter().chain([&self.own]) {
            all.extend(a.texts.iter().map(|(_, t)| t));
            all.extend(a.fields.iter().flat_map(|(t, v, _)| [t, v]));
        }
        all.extend(self.card.iter().chain(self.priority.as_ref().map(|p| &p.priority)));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut out = Object::default();
        for (key, tpl) in &self.texts {
            out.fill(key, m.text(tpl)?);
        }
        if self.attachments.is_empty() {
            out.set("attachments", vec![self.own.render(m)?]);
        } else {
            // Beside attachments of the settings, the text is that of the message.
            for (_, tpl) in self.own.texts.iter().filter(|(k, _)| *k == "text") {
                out.fill("text", cut_chars(m.text(tpl)?, MAX_TEXT));
            }
            let all = self.attachments.iter().map(|a| a.render(m)).collect::<Result<Vec<_>, _>>()?;
            out.set("attachments", all);
        }
        if let Some(card) = &self.card {
            out.set("props", json!({"card": m.text(card)?}));
        }
        if let Some(priority) = &self.priority {
            out.set("priority", priority.render(m)?);
        }
        Ok(vec![Outgoing::json(super::first(secrets), &out.take())?])
    }
}
