//! Slack: incoming webhooks, and bots, which can change what they have said.

use reba_alerting::{DeliverError, FailureReason};
use reba_config::tree::Fault;
use reba_http::{Authorization, Secret};
use serde::Deserialize;

use super::{Common, Http, Message};
use crate::{
    config::{FileOrText, SecretSource, Settings, Tpl},
    send::{Answer, Object, Outgoing, Remembered},
    text::{cut_chars, excerpt},
};

/// Where bots post, below the address of the API.
const POST_MESSAGE: &str = "/chat.postMessage";

/// Where they change what they have posted.
const UPDATE: &str = "/chat.update";

/// Characters that a title may have.
const MAX_TITLE: usize = 1024;

/// Under these keys the place of a message is remembered.
const THREAD: &str = "threadTs";
const CHANNEL: &str = "channelId";

#[derive(Debug)]
pub(super) struct Slack {
    common: Common,
    channel: Tpl,
    username: Tpl,
    icon_emoji: Tpl,
    icon_url: Tpl,
    message_text: Tpl,
    link_names: bool,
    /// Texts of the attachment, with their keys: those that are always sent, even if they are empty, are marked.
    texts: Vec<(&'static str, bool, Tpl)>,
    fields: Vec<Field>,
    actions: Vec<Action>,
    mrkdwn_in: Vec<String>,
    update_message: bool,
}

#[derive(Debug)]
struct Field {
    title: Tpl,
    value: Tpl,
    short: bool,
}

#[derive(Debug)]
struct Action {
    texts: Vec<(&'static str, Tpl)>,
    confirm: Vec<(&'static str, Tpl)>,
}

/// Texts of an attachment: key of the settings, key in JSON, whether it is sent even if it is empty, default.
const TEXTS: [(&str, &str, bool, &str); 10] = [
    ("title", "title", false, r#"{{ template "slack.default.title" . }}"#),
    ("title_link", "title_link", false, r#"{{ template "slack.default.titlelink" . }}"#),
    ("pretext", "pretext", false, r#"{{ template "slack.default.pretext" . }}"#),
    ("text", "text", true, r#"{{ template "slack.default.text" . }}"#),
    ("fallback", "fallback", true, r#"{{ template "slack.default.fallback" . }}"#),
    ("callback_id", "callback_id", true, r#"{{ template "slack.default.callbackid" . }}"#),
    ("image_url", "image_url", false, ""),
    ("thumb_url", "thumb_url", false, ""),
    ("footer", "footer", true, r#"{{ template "slack.default.footer" . }}"#),
    ("color", "color", false, r#"{{ template "slack.default.color" . }}"#),
];

impl Slack {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let mut slack = Slack {
            common: common(s)?,
            channel: s.template("channel", "")?,
            username: s.template("username", r#"{{ template "slack.default.username" . }}"#)?,
            icon_emoji: s.template("icon_emoji", r#"{{ template "slack.default.iconemoji" . }}"#)?,
            icon_url: s.template("icon_url", r#"{{ template "slack.default.iconurl" . }}"#)?,
            message_text: s.template("message_text", "")?,
            link_names: s.flag("link_names")?,
            texts: Vec::new(),
            fields: Vec::new(),
            actions: Vec::new(),
            mrkdwn_in: s.texts("mrkdwn_in")?,
            update_message: s.flag("update_message")?,
        };
        for (key, json, always, default) in TEXTS {
            slack.texts.push((json, always, s.template(key, default)?));
        }
        let short_fields = s.flag("short_fields")?;
        for f in s.list("fields")? {
            slack.fields.push(Field::read(&f, short_fields)?);
        }
        for a in s.list("actions")? {
            slack.actions.push(Action::read(&a)?);
        }
        if slack.mrkdwn_in.is_empty() {
            slack.mrkdwn_in = ["fallback", "pretext", "text"].map(str::to_owned).to_vec();
        }
        if slack.update_message && !slack.is_bot() && s.missing().is_none() {
            return s.refuse(
                "update_message can only be used with bot tokens: api_url must be set to https://slack.com/api/chat.postMessage",
            );
        }
        Ok(slack)
    }

    /// Whether it posts to Slack's API, as bots do.
    fn is_bot(&self) -> bool {
        matches!(self.common.secrets.first(), Some(SecretSource::Given(url)) if url.expose().ends_with(POST_MESSAGE))
    }

    fn attachment(&self, m: &Message<'_>) -> Result<serde_json::Value, DeliverError> {
        let mut out = Object::default();
        for (key, always, tpl) in &self.texts {
            let text = m.text(tpl)?;
            let text = if *key == "title" { cut_chars(text, MAX_TITLE) } else { text };
            if *always {
                out.set(key, text);
            } else {
                out.fill(key, text);
            }
        }
        let mut fields = Vec::new();
        for f in &self.fields {
            let mut field = Object::default();
            field.fill("title", m.text(&f.title)?).fill("value", m.text(&f.value)?).set("short", f.short);
            fields.push(field.take());
        }
        let actions = self.actions.iter().map(|a| a.render(m)).collect::<Result<Vec<_>, _>>()?;
        out.list("fields", fields).list("actions", actions);
        out.set("mrkdwn_in", self.mrkdwn_in.clone());
        Ok(out.take())
    }
}

/// Where it posts to, and as whom.
fn common(s: &Settings<'_>) -> Result<Common, Fault> {
    let mut url = s.secret_url("api_url")?;
    let mut token = s.secret("app_token")?;
    if !url.is_none() && !token.is_none() {
        return s.refuse("at most one of api_url/api_url_file & app_token/app_token_file must be configured");
    }
    let app_url = s.url("app_url")?.map(|u| u.as_str().to_owned());
    let app_url = s.inherit("app_url", app_url, s.global.slack_app_url.as_ref()).unwrap_or_default();
    let mut http = s.http()?;
    let authorized = s.has_own_http() && http.authorization.is_some();
    if token.is_none() && !authorized && url.text.is_none() {
        token = s.global.slack_app_token.clone();
    }
    if url.is_none() {
        url = s.global.slack_api_url.clone();
    }
    if url.is_none() && token.is_none() && s.missing().is_none() {
        return s.refuse("no Slack API URL nor App token set either inline or in a file");
    }
    if !token.is_none() {
        s.check("app_token", &token);
        if http.authorization.is_some() {
            return s.refuse("http authorization can't be set when using Slack App tokens");
        }
        http.authorization = Some(Authorization {
            kind: Some("Bearer".to_owned()),
            credentials: token.text,
            credentials_file: token.file,
        });
        url = FileOrText { text: Some(Secret::new(app_url)), file: None };
    }
    s.check("api_url", &url);
    let timeout = s.duration("timeout")?.filter(|t| !t.is_zero());
    Ok(Common { http, timeout, secrets: url.source().into_iter().collect() })
}

impl Field {
    fn read(s: &Settings<'_>, short: bool) -> Result<Self, Fault> {
        let (title, value) = (s.template("title", "")?, s.template("value", "")?);
        for (text, name) in [(&title, "title"), (&value, "value")] {
            if text.is_empty() {
                return s.refuse(format!("missing {name} in Slack field configuration"));
            }
        }
        let short = s.bool("short")?.unwrap_or(short);
        s.finish()?;
        Ok(Field { title, value, short })
    }
}

impl Action {
    /// With a URL it is a link; what makes a button of it counts no more.
    fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let mut texts = Vec::new();
        for key in ["type", "text", "url", "style", "name", "value"] {
            texts.push((key, s.template(key, "")?));
        }
        let given = |key: &str| texts.iter().any(|(k, t)| *k == key && !t.is_empty());
        for key in ["type", "text"] {
            if !given(key) {
                return s.refuse(format!("missing {key} in Slack action configuration"));
            }
        }
        let is_link = given("url");
        if !is_link && !given("name") {
            return s.refuse("missing name or url in Slack action configuration");
        }
        let mut confirm = Vec::new();
        if let Some(c) = s.section("confirm")? {
            for key in ["text", "title", "ok_text", "dismiss_text"] {
                confirm.push((key, c.template(key, "")?));
            }
            if confirm.iter().any(|(k, t)| *k == "text" && t.is_empty()) {
                return c.refuse("missing text in Slack confirmation configuration");
            }
            c.finish()?;
        }
        s.finish()?;
        if is_link {
            texts.retain(|(key, _)| !["name", "value"].contains(key));
            confirm.clear();
        }
        Ok(Action { texts, confirm })
    }

    fn render(&self, m: &Message<'_>) -> Result<serde_json::Value, DeliverError> {
        let mut out = Object::default();
        for (key, tpl) in &self.texts {
            out.fill(key, m.text(tpl)?);
        }
        if !self.confirm.is_empty() {
            let mut confirm = Object::default();
            for (key, tpl) in &self.confirm {
                confirm.fill(key, m.text(tpl)?);
            }
            out.set("confirm", confirm.take());
        }
        Ok(out.take())
    }
}

/// An answer of Slack's API.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

impl Http for Slack {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all =
            vec![&self.channel, &self.username, &self.icon_emoji, &self.icon_url, &self.message_text];
        all.extend(self.texts.iter().map(|(_, _, t)| t));
        all.extend(self.fields.iter().flat_map(|f| [&f.title, &f.value]));
        all.extend(self.actions.iter().flat_map(|a| a.texts.iter().chain(&a.confirm).map(|(_, t)| t)));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let mut url = super::first(secrets).to_owned();
        let mut channel = m.text(&self.channel)?;
        let mut out = Object::default();
        let said = (m.note.remembered.get(THREAD), m.note.remembered.get(CHANNEL));
        if let (true, (Some(thread), Some(place))) = (self.update_message, said) {
            url = format!("{}{UPDATE}", url.trim_end_matches(POST_MESSAGE));
            channel.clone_from(place);
            out.set("ts", thread.as_str());
        }
        out.fill("channel", channel)
            .fill("username", m.text(&self.username)?)
            .fill("icon_emoji", m.text(&self.icon_emoji)?)
            .fill("icon_url", m.text(&self.icon_url)?)
            .flag("link_names", self.link_names)
            .fill("text", m.text(&self.message_text)?)
            .set("attachments", vec![self.attachment(m)?]);
        Ok(vec![Outgoing::json(url, &out.take())?])
    }

    /// A webhook says `ok`, the API `{"ok":true}`; errors come as 200, too.
    fn accept(&self, _: &Message<'_>, answer: &Answer) -> Result<Option<Remembered>, DeliverError> {
        let refused = |text: String| DeliverError::permanent(text).because(FailureReason::ClientError);
        if !answer.is_json() {
            if answer.body == b"ok" {
                return Ok(None);
            }
            return Err(refused(format!("received an error response from Slack: {}", excerpt(&answer.body))));
        }
        let reply: Reply = serde_json::from_slice(&answer.body).map_err(|e| {
            let body = excerpt(&answer.body);
            DeliverError::transient(format!("could not unmarshal JSON response {body:?}: {e}"))
                .because(FailureReason::ClientError)
        })?;
        if !reply.ok {
            return Err(refused(format!("error response from Slack: {}", reply.error)));
        }
        let placed = self.update_message && !reply.ts.is_empty() && !reply.channel.is_empty();
        Ok(placed
            .then(|| [(THREAD, reply.ts), (CHANNEL, reply.channel)].map(|(k, v)| (k.to_owned(), v)).into()))
    }
}
