//! The kinds of integrations, one module each: their settings, and what they send.

mod discord;
mod email;
mod jira;
mod mattermost;
mod opsgenie;
mod pagerduty;
mod payload;
mod pushover;
mod rocketchat;
mod sigv4;
mod slack;
mod sns;
mod teams;
mod telegram;
mod victorops;
mod webex;
mod webhook;
mod wechat;
mod whatsapp;

pub(crate) use email::Email;

use std::time::Duration;

use futures::future::BoxFuture;
use reba_alerting::{DeliverError, Delivered, Notification};
use reba_config::tree::Fault;
use reba_http::{HttpClientConfig, Secret};
use reba_template::Value;

use crate::{
    config::{SecretSource, Settings, Tpl},
    data::Data,
    send::{Answer, Outgoing, Remembered, Rule, Sender},
    templates::{Failed, Templates},
};

/// All kinds, as sections (`slack_configs`) and metrics name them.
pub(crate) const KINDS: [&str; 19] = [
    "discord",
    "email",
    "pagerduty",
    "slack",
    "webhook",
    "opsgenie",
    "wechat",
    "pushover",
    "victorops",
    "sns",
    "telegram",
    "webex",
    "msteams",
    "msteamsv2",
    "jira",
    "rocketchat",
    "mattermost",
    "whatsapp",
    "incidentio",
];

/// Whether a kind tells of resolved alerts unless its settings say otherwise.
pub(crate) fn sends_resolved(kind: &str) -> bool {
    !matches!(kind, "email" | "slack" | "wechat" | "rocketchat")
}

/// The settings of an integration of any kind.
#[derive(Debug)]
pub(crate) enum Kind {
    Email(Box<email::Email>),
    Http(Box<dyn Http>),
}

impl Kind {
    pub fn read(kind: &str, s: &Settings<'_>) -> Result<Kind, Fault> {
        let http: Box<dyn Http> = match kind {
            "email" => return Ok(Kind::Email(Box::new(email::Email::read(s)?))),
            "discord" => Box::new(discord::Discord::read(s)?),
            "jira" => Box::new(jira::Jira::read(s)?),
            "mattermost" => Box::new(mattermost::Mattermost::read(s)?),
            "msteams" => Box::new(teams::Teams::read(s, false)?),
            "msteamsv2" => Box::new(teams::Teams::read(s, true)?),
            "opsgenie" => Box::new(opsgenie::Opsgenie::read(s)?),
            "pagerduty" => Box::new(pagerduty::PagerDuty::read(s)?),
            "pushover" => Box::new(pushover::Pushover::read(s)?),
            "rocketchat" => Box::new(rocketchat::RocketChat::read(s)?),
            "slack" => Box::new(slack::Slack::read(s)?),
            "sns" => Box::new(sns::Sns::read(s)?),
            "telegram" => Box::new(telegram::Telegram::read(s)?),
            "victorops" => Box::new(victorops::VictorOps::read(s)?),
            "webex" => Box::new(webex::Webex::read(s)?),
            "webhook" => Box::new(webhook::Webhook::read(s, false)?),
            "incidentio" => Box::new(webhook::Webhook::read(s, true)?),
            "wechat" => Box::new(wechat::WeChat::read(s)?),
            "whatsapp" => Box::new(whatsapp::WhatsApp::read(s)?),
            other => return s.refuse(format!("{other} is no kind of integration")),
        };
        Ok(Kind::Http(http))
    }

    /// The texts that are templates.
    pub fn templates(&self) -> Vec<&Tpl> {
        match self {
            Kind::Email(email) => email.templates(),
            Kind::Http(http) => http.templates(),
        }
    }
}

/// What every HTTP integration has.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub http: HttpClientConfig,
    /// For one request, if the settings say so.
    pub timeout: Option<Duration>,
    /// Read anew for every notification, and handed to [`Http::requests`] in this order.
    pub secrets: Vec<SecretSource>,
}

/// An integration that speaks HTTP.
pub(crate) trait Http: std::fmt::Debug + Send + Sync {
    fn common(&self) -> &Common;

    /// The texts that are templates.
    fn templates(&self) -> Vec<&Tpl>;

    /// The requests of a notification, to be sent one after the other. `secrets` are those of [`Common`].
    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError>;

    /// Which answers are worth another try.
    fn rule(&self) -> Rule {
        Rule::default()
    }

    /// What else the answer to a request must be, and what to remember of it.
    fn accept(&self, m: &Message<'_>, answer: &Answer) -> Result<Option<Remembered>, DeliverError> {
        let _ = (m, answer);
        Ok(None)
    }

    /// Sends a notification; those that have to ask something first do it their own way.
    fn send<'a>(
        &'a self,
        m: &'a Message<'a>,
        secrets: &'a [Secret],
        sender: &'a Sender,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        Box::pin(async move {
            let mut delivered = Delivered::default();
            for out in off_the_workers(|| self.requests(m, secrets))? {
                let answer = sender.ask(&out, &self.rule()).await?;
                if let Some(remembered) = self.accept(m, &answer)? {
                    delivered.remember = Some(remembered);
                }
                delivered.answer = answer.line();
            }
            Ok(delivered)
        })
    }
}

/// A notification with all that is needed to put it into words.
pub(crate) struct Message<'a> {
    pub note: &'a Notification,
    pub data: &'a Data,
    /// `data` as a value of templates.
    pub value: &'a Value,
    pub templates: &'a Templates,
    pub external_url: &'a str,
}

/// A template gives the same again: only its author can mend it.
impl From<Failed> for DeliverError {
    fn from(e: Failed) -> Self {
        DeliverError::permanent(e.0)
    }
}

impl Message<'_> {
    /// Renders a text.
    pub fn text(&self, tpl: &Tpl) -> Result<String, DeliverError> {
        Ok(self.templates.text(tpl, self.value, self.note.now_ms)?)
    }

    /// Renders a text as HTML.
    pub fn html(&self, tpl: &Tpl) -> Result<String, DeliverError> {
        Ok(self.templates.html(tpl, self.value, self.note.now_ms)?)
    }

    pub fn is_firing(&self) -> bool {
        self.data.is_firing()
    }

    /// The key under which services know the group.
    pub fn key_hash(&self) -> String {
        crate::text::key_hash(&self.note.group_key)
    }
}

/// What integrations have that post to a secret URL.
fn webhook_url(s: &Settings<'_>) -> Result<Common, Fault> {
    let url = s.secret_url("webhook_url")?;
    if url.is_none() && s.missing().is_none() {
        return s.refuse("one of webhook_url or webhook_url_file must be configured");
    }
    s.check("webhook_url", &url);
    Ok(Common { http: s.http()?, timeout: None, secrets: url.source().into_iter().collect() })
}

/// The first of the secrets.
fn first(secrets: &[Secret]) -> &str {
    secrets.first().map_or("", Secret::expose)
}

/// Does what may take long, as templates over ten thousand alerts do, without keeping the runtime's other tasks waiting.
pub(crate) fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
