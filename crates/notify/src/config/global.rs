//! `global`: what integrations use that say nothing of their own.

use std::time::Duration;

use reba_config::tree::{Fault, Kind, Node, Section};
use reba_http::{HttpClientConfig, SECRET_TEXT, Secret, TlsConfig};

use super::{Context, FileOrText, Url, describe, duration, http_config, tls_config};

/// Global settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Global {
    pub resolve_timeout: Duration,
    pub http: HttpClientConfig,
    /// Which variable the global `http_config` lacks.
    pub http_lacks: Option<String>,
    pub smtp: Smtp,
    pub slack_api_url: FileOrText,
    pub slack_app_token: FileOrText,
    pub slack_app_url: Option<String>,
    pub pagerduty_url: Option<String>,
    pub opsgenie_api_url: Option<String>,
    pub opsgenie_api_key: FileOrText,
    pub wechat_api_url: Option<String>,
    pub wechat_api_secret: FileOrText,
    pub wechat_api_corp_id: Option<String>,
    pub victorops_api_url: Option<String>,
    pub victorops_api_key: FileOrText,
    pub telegram_api_url: Option<String>,
    pub telegram_bot_token: FileOrText,
    pub webex_api_url: Option<String>,
    pub rocketchat_api_url: Option<String>,
    pub rocketchat_token: FileOrText,
    pub rocketchat_token_id: FileOrText,
    pub mattermost_webhook_url: FileOrText,
    pub jira_api_url: Option<String>,
    pub whatsapp_api_url: Option<String>,
    pub whatsapp_access_token: FileOrText,
}

/// The mail server, and what mails have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Smtp {
    pub from: Option<String>,
    pub hello: Option<String>,
    pub smarthost: Option<String>,
    pub auth_username: Option<String>,
    pub auth_password: FileOrText,
    pub auth_secret: FileOrText,
    pub auth_identity: Option<String>,
    pub require_tls: bool,
    pub tls: TlsConfig,
    pub implicit_tls: Option<bool>,
}

/// Reads the section. Variables that nobody has set are no fault here: they disable the integrations that need them.
struct Reader<'a> {
    section: Section<'a>,
    context: &'a Context<'a>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.section.text(key)?.filter(|t| !t.is_empty()))
    }

    fn url(&self, key: &str, default: &str) -> Result<Option<String>, Fault> {
        let text = self.text(key)?;
        if let Some(text) = text.as_ref().filter(|t| !self.lacks(t)) {
            Url::new(text).map_err(|e| self.section.fault(key, e))?;
        }
        Ok(text.or_else(|| Some(default.to_owned())).filter(|t| !t.is_empty()))
    }

    fn secret(&self, key: &str) -> Result<FileOrText, Fault> {
        let file_key = format!("{key}_file");
        let text = self.text(key)?.map(Secret::new);
        let file = self.text(&file_key)?.map(|f| self.context.folder.join(f));
        if text.is_some() && file.is_some() {
            let reason = format!("at most one of {key} & {file_key} must be configured");
            return Err(self.section.fault(&file_key, reason));
        }
        Ok(FileOrText { text, file })
    }

    fn secret_url(&self, key: &str) -> Result<FileOrText, Fault> {
        let secret = self.secret(key)?;
        if let Some(text) = secret.text.as_ref().map(Secret::expose)
            && text != SECRET_TEXT
            && !self.lacks(text)
        {
            Url::new(text).map_err(|e| self.section.fault(key, e))?;
        }
        Ok(secret)
    }

    fn lacks(&self, text: &str) -> bool {
        self.context.unset.iter().any(|u| text.contains(u.as_str()))
    }

    /// The client's settings, and which variable they lack.
    fn http(&self) -> Result<(HttpClientConfig, Option<String>), Fault> {
        let Some(node) = self.section.get("http_config") else {
            return Ok((HttpClientConfig::default(), None));
        };
        let lack = self.context.unset.iter().find(|u| mentions(node, u));
        let lack = lack.map(|u| {
            let name = u.trim_start_matches("${").trim_end_matches('}');
            format!("{} is not set, which global.http_config needs", describe(name))
        });
        Ok((http_config(node, "global.http_config", self.context.folder)?, lack))
    }

    fn smtp(&self) -> Result<Smtp, Fault> {
        let smarthost = self.text("smtp_smarthost")?;
        if let Some(host) = smarthost.as_ref().filter(|h| !self.lacks(h)) {
            host_port(host).map_err(|e| self.section.fault("smtp_smarthost", e))?;
        }
        let tls = match self.section.get("smtp_tls_config") {
            Some(node) => tls_config(node, "global.smtp_tls_config", self.context.folder)?,
            None => TlsConfig::default(),
        };
        Ok(Smtp {
            from: self.text("smtp_from")?,
            hello: self.text("smtp_hello")?,
            smarthost,
            auth_username: self.text("smtp_auth_username")?,
            auth_password: self.secret("smtp_auth_password")?,
            auth_secret: self.secret("smtp_auth_secret")?,
            auth_identity: self.text("smtp_auth_identity")?,
            require_tls: self.section.bool("smtp_require_tls")?.unwrap_or(true),
            tls,
            implicit_tls: self.section.bool("smtp_force_implicit_tls")?,
        })
    }
}

/// Whether a text stands anywhere below a node. (Trees have a limited depth.)
fn mentions(node: &Node, text: &str) -> bool {
    match &node.kind {
        Kind::Scalar { text: t, .. } => t.contains(text),
        Kind::List(items) => items.iter().any(|n| mentions(n, text)),
        Kind::Map(entries) => entries.iter().any(|(_, n)| mentions(n, text)),
    }
}

/// Splits `host:port`.
pub(crate) fn host_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| format!("address {text}: missing port in address"))?;
    if port.is_empty() {
        return Err(format!("address {text:?}: port cannot be empty"));
    }
    let number = port.parse().map_err(|_| format!("address {text:?}: port {port:?} is no number"))?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_owned(), number))
}

impl Global {
    pub fn read(root: &Section<'_>, context: &Context<'_>) -> Result<Self, Fault> {
        let nothing = Node { at: (1, 1), kind: Kind::Map(Vec::new()) };
        let section = Section::new(root.get("global").unwrap_or(&nothing), "global")?;
        let read = Reader { section, context };
        let (http, http_lacks) = read.http()?;
        let resolve_timeout = match read.text("resolve_timeout")? {
            Some(text) => duration(&text).map_err(|e| read.section.fault("resolve_timeout", e))?,
            None => Duration::from_secs(300),
        };
        let global = Global {
            resolve_timeout,
            http,
            http_lacks,
            smtp: read.smtp()?,
            slack_api_url: read.secret_url("slack_api_url")?,
            slack_app_token: read.secret("slack_app_token")?,
            slack_app_url: read.url("slack_app_url", "https://slack.com/api/chat.postMessage")?,
            pagerduty_url: read.url("pagerduty_url", "https://events.pagerduty.com/v2/enqueue")?,
            opsgenie_api_url: read.url("opsgenie_api_url", "https://api.opsgenie.com/")?,
            opsgenie_api_key: read.secret("opsgenie_api_key")?,
            wechat_api_url: read.url("wechat_api_url", "https://qyapi.weixin.qq.com/cgi-bin/")?,
            wechat_api_secret: read.secret("wechat_api_secret")?,
            wechat_api_corp_id: read.text("wechat_api_corp_id")?,
            victorops_api_url: read.url("victorops_api_url", VICTOROPS)?,
            victorops_api_key: read.secret("victorops_api_key")?,
            telegram_api_url: read.url("telegram_api_url", "https://api.telegram.org")?,
            telegram_bot_token: read.secret("telegram_bot_token")?,
            webex_api_url: read.url("webex_api_url", "https://webexapis.com/v1/messages")?,
            rocketchat_api_url: read.url("rocketchat_api_url", "https://open.rocket.chat/")?,
            rocketchat_token: read.secret("rocketchat_token")?,
            rocketchat_token_id: read.secret("rocketchat_token_id")?,
            mattermost_webhook_url: read.secret_url("mattermost_webhook_url")?,
            jira_api_url: read.url("jira_api_url", "")?,
            whatsapp_api_url: read.url("whatsapp_api_url", "https://graph.facebook.com/v23.0")?,
            whatsapp_access_token: read.secret("whatsapp_access_token")?,
        };
        global.check_slack(&read.section)?;
        read.section.unknown().into_iter().next().map_or(Ok(global), Err)
    }

    /// A bot's token goes to Slack's API, a webhook is a URL of its own: one of them, unless the URL is that of the API.
    fn check_slack(&self, section: &Section<'_>) -> Result<(), Fault> {
        let url = self.slack_api_url.text.as_ref().map(Secret::expose);
        if self.slack_app_token.is_none()
            || self.slack_api_url.is_none()
            || url == self.slack_app_url.as_deref()
        {
            return Ok(());
        }
        let text = "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured";
        Err(section.fault("slack_app_token", text))
    }
}

const VICTOROPS: &str = "https://alert.victorops.com/integrations/generic/20131114/alert/";
