//! WeChat Work: a token is asked for first, and kept for two hours.

use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use reba_alerting::{DeliverError, Delivered};
use reba_config::tree::Fault;
use reba_http::Secret;
use reba_template::escape;
use serde::Deserialize;

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl, Url},
    send::{Object, Outgoing, Sender, reason},
    text::excerpt,
};

/// A token is good for so long.
const TOKEN_LIFE: Duration = Duration::from_secs(2 * 3600);

/// What the service says of a token that is too old.
const EXPIRED: i64 = 42_001;

#[derive(Debug)]
pub(super) struct WeChat {
    common: Common,
    url: Option<Url>,
    corp_id: Tpl,
    secret_name: String,
    message: Tpl,
    to_user: Tpl,
    to_party: Tpl,
    to_tag: Tpl,
    agent_id: Tpl,
    markdown: bool,
    /// The token, and when it was had, Unix milliseconds.
    token: Mutex<Option<(Secret, i64)>>,
}

impl WeChat {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let kind = s.text("message_type")?.unwrap_or_else(|| "text".to_owned());
        if !["text", "markdown"].contains(&kind.as_str()) {
            let text = format!("weChat message type {kind:?} does not match valid options ^(text|markdown)$");
            return s.refuse(text);
        }
        let secret = s.secret("api_secret")?.or(&s.global.wechat_api_secret);
        if secret.is_none() && s.missing().is_none() {
            return s.refuse("no global Wechat Api Secret set either inline or in a file");
        }
        s.check("api_secret", &secret);
        let corp_id = s.inherit("corp_id", s.text("corp_id")?, s.global.wechat_api_corp_id.as_ref());
        if corp_id.is_none() && s.missing().is_none() {
            return s.refuse("no global Wechat CorpID set");
        }
        let url = s.url("api_url")?.map(|u| u.as_str().to_owned());
        let url = s.inherit("wechat_api_url", url, s.global.wechat_api_url.as_ref());
        let default = |part: &str| format!("{{{{ template \"wechat.default.{part}\" . }}}}");
        Ok(WeChat {
            common: Common { http: s.http()?, timeout: None, secrets: secret.source().into_iter().collect() },
            url: url.map(|u| Url::new(&u)).transpose().map_err(|e| s.fault("api_url", e))?,
            corp_id: Tpl::new(s.key("corp_id"), corp_id.unwrap_or_default()),
            secret_name: s.key("api_secret"),
            message: s.template("message", &default("message"))?,
            to_user: s.template("to_user", &default("to_user"))?,
            to_party: s.template("to_party", &default("to_party"))?,
            to_tag: s.template("to_tag", &default("to_tag"))?,
            agent_id: s.template("agent_id", &default("agent_id"))?,
            markdown: kind == "markdown",
            token: Mutex::new(None),
        })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> String {
        let url = self.url.as_ref().map(|u| u.with_path(path)).unwrap_or_default();
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={}", escape::query(v))).collect();
        format!("{url}?{}", query.join("&"))
    }

    /// The token that is still good, or a new one.
    async fn token(&self, m: &Message<'_>, secret: &str, sender: &Sender) -> Result<Secret, DeliverError> {
        #[derive(Deserialize)]
        struct Reply {
            #[serde(default)]
            access_token: String,
        }
        let now = m.note.now_ms;
        let kept = self.token.lock().clone();
        if let Some((token, at)) = kept
            && now - at < TOKEN_LIFE.as_millis() as i64
        {
            return Ok(token);
        }
        let corp = m.text(&self.corp_id)?;
        let secret = m.text(&Tpl::new(&self.secret_name, secret))?;
        let url = self.url("gettoken", &[("corpid", &corp), ("corpsecret", &secret)]);
        let answer = sender.send(&Outgoing::get(url)).await?;
        let reply: Reply = serde_json::from_slice(&answer.body)
            .map_err(|e| DeliverError::permanent(format!("the answer with the token cannot be read: {e}")))?;
        if reply.access_token.is_empty() {
            return Err(DeliverError::permanent(format!("invalid APISecret for CorpID: {corp}")));
        }
        let token = Secret::new(reply.access_token);
        *self.token.lock() = Some((token.clone(), now));
        Ok(token)
    }

    fn message(&self, m: &Message<'_>, token: &str) -> Result<Outgoing, DeliverError> {
        let (kind, other) = if self.markdown { ("markdown", "text") } else { ("text", "markdown") };
        let mut out = Object::default();
        out.set(kind, serde_json::json!({"content": m.text(&self.message)?}))
            .set(other, serde_json::json!({"content": ""}))
            .fill("touser", m.text(&self.to_user)?)
            .fill("toparty", m.text(&self.to_party)?)
            .fill("totag", m.text(&self.to_tag)?)
            .fill("agentid", m.text(&self.agent_id)?)
            .set("safe", "0")
            .set("msgtype", kind);
        Outgoing::json(self.url("message/send", &[("access_token", token)]), &out.take())
    }
}

/// What the service says of a message.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

impl Http for WeChat {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        vec![&self.corp_id, &self.message, &self.to_user, &self.to_party, &self.to_tag, &self.agent_id]
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        Ok(vec![self.message(m, super::first(secrets))?])
    }

    fn send<'a>(
        &'a self,
        m: &'a Message<'a>,
        secrets: &'a [Secret],
        sender: &'a Sender,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        Box::pin(async move {
            let token = self.token(m, super::first(secrets), sender).await?;
            let answer = sender.send(&super::off_the_workers(|| self.message(m, token.expose()))?).await?;
            if answer.status.as_u16() != 200 {
                let text = format!("unexpected status code {}", answer.status.as_u16());
                return Err(DeliverError::transient(text).because(reason(answer.status)));
            }
            let said: Said = serde_json::from_slice(&answer.body)
                .map_err(|e| DeliverError::transient(format!("the answer cannot be read: {e}")))?;
            let text = || excerpt(said.errmsg.as_bytes()).replace(token.expose(), reba_http::SECRET_TEXT);
            match said.errcode {
                0 => Ok(Delivered { answer: answer.line(), remember: None }),
                EXPIRED => {
                    *self.token.lock() = None;
                    Err(DeliverError::transient(text()))
                }
                _ => Err(DeliverError::permanent(text())),
            }
        })
    }
}
