//! Pushover.

use std::time::Duration;

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use reba_template::escape;

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl},
    send::Outgoing,
    text::cut_chars,
};

const URL: &str = "https://api.pushover.net/1/messages.json";

/// Characters that the parts of a message may have.
const MAX_TITLE: usize = 250;
const MAX_MESSAGE: usize = 1024;
const MAX_URL: usize = 512;

#[derive(Debug)]
pub(super) struct Pushover {
    common: Common,
    /// Names under which errors of the secrets' templates are told.
    names: [String; 2],
    title: Tpl,
    message: Tpl,
    url: Tpl,
    url_title: Tpl,
    device: Tpl,
    sound: Tpl,
    priority: Tpl,
    retry: Duration,
    expire: Duration,
    ttl: Duration,
    html: bool,
    monospace: bool,
}

impl Pushover {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let mut secrets = Vec::new();
        for key in ["token", "user_key"] {
            let secret = s.secret(key)?;
            s.check(key, &secret);
            if secret.is_none() && s.missing().is_none() {
                return s.refuse(format!("one of {key} or {key}_file must be configured"));
            }
            secrets.extend(secret.source());
        }
        let (html, monospace) = (s.flag("html")?, s.flag("monospace")?);
        if html && monospace {
            return s.refuse("at most one of monospace & html must be configured");
        }
        Ok(Pushover {
            common: Common { http: s.http()?, timeout: None, secrets },
            names: [s.key("token"), s.key("user_key")],
            title: s.template("title", r#"{{ template "pushover.default.title" . }}"#)?,
            message: s.template("message", r#"{{ template "pushover.default.message" . }}"#)?,
            url: s.template("url", r#"{{ template "pushover.default.url" . }}"#)?,
            url_title: s.template("url_title", "")?,
            device: s.template("device", "")?,
            sound: s.template("sound", "")?,
            priority: s.template("priority", r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#)?,
            retry: s.duration("retry")?.unwrap_or(Duration::from_secs(60)),
            expire: s.duration("expire")?.unwrap_or(Duration::from_secs(3600)),
            ttl: s.duration("ttl")?.unwrap_or(Duration::ZERO),
            html,
            monospace,
        })
    }

    fn message(&self, m: &Message<'_>) -> Result<String, DeliverError> {
        let text = if self.html { m.html(&self.message)? } else { m.text(&self.message)? };
        let text = cut_chars(text, MAX_MESSAGE).trim().to_owned();
        // Pushover refuses messages that say nothing.
        Ok(if text.is_empty() { "(no details)".to_owned() } else { text })
    }
}

impl Http for Pushover {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        vec![
            &self.title,
            &self.message,
            &self.url,
            &self.url_title,
            &self.device,
            &self.sound,
            &self.priority,
        ]
    }

    /// Everything stands in the query, sorted by name.
    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let secret = |i: usize| {
            let text = secrets.get(i).map_or("", Secret::expose);
            m.text(&Tpl::new(self.names[i].as_str(), text))
        };
        let mut query = vec![
            ("token", secret(0)?),
            ("user", secret(1)?),
            ("title", cut_chars(m.text(&self.title)?, MAX_TITLE)),
            ("message", self.message(m)?),
            ("url", cut_chars(m.text(&self.url)?, MAX_URL)),
            ("url_title", m.text(&self.url_title)?),
            ("priority", m.text(&self.priority)?),
            ("retry", self.retry.as_secs().to_string()),
            ("expire", self.expire.as_secs().to_string()),
            ("device", m.text(&self.device)?),
            ("sound", m.text(&self.sound)?),
        ];
        for (name, set) in [("html", self.html), ("monospace", self.monospace)] {
            query.extend(set.then(|| (name, "1".to_owned())));
        }
        query.extend((!self.ttl.is_zero()).then(|| ("ttl", self.ttl.as_secs().to_string())));
        query.sort();
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={}", escape::query(v))).collect();
        let mut out = Outgoing::json(format!("{URL}?{}", query.join("&")), &())?;
        (out.body, out.content_type) = (String::new(), "text/plain");
        Ok(vec![out])
    }
}
