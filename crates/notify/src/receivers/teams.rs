//! Microsoft Teams: connectors, which take message cards, and workflows, which take adaptive cards.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use serde_json::{Value, json};

use super::{Common, Http, Message};
use crate::{
    config::{Settings, Tpl},
    send::Outgoing,
};

#[derive(Debug)]
pub(super) struct Teams {
    common: Common,
    title: Tpl,
    text: Tpl,
    /// Of message cards only.
    summary: Option<Tpl>,
}

impl Teams {
    /// `v2` are workflows.
    pub fn read(s: &Settings<'_>, v2: bool) -> Result<Self, Fault> {
        let kind = if v2 { "msteamsv2" } else { "msteams" };
        let default = |part: &str| format!("{{{{ template \"{kind}.default.{part}\" . }}}}");
        let summary = if v2 { None } else { Some(s.template("summary", &default("summary"))?) };
        let mut common = super::webhook_url(s)?;
        // As upstream, of this kind only: settings of its own without a proxy use the global one.
        if v2 && common.http.proxy_url.is_none() {
            common.http.proxy_url.clone_from(&s.global.http.proxy_url);
        }
        Ok(Teams {
            common,
            title: s.template("title", &default("title"))?,
            text: s.template("text", &default("text"))?,
            summary,
        })
    }
}

fn message_card(firing: bool, title: &str, summary: &str, text: &str) -> Value {
    json!({
        "@context": "http://schema.org/extensions",
        "type": "MessageCard",
        "title": title,
        "summary": summary,
        "text": text,
        "themeColor": if firing { "8C1A1A" } else { "2DC72D" },
    })
}

fn adaptive_card(firing: bool, title: &str, text: &str) -> Value {
    let heading = json!({
        "type": "TextBlock",
        "text": title,
        "weight": "Bolder",
        "size": "Medium",
        "wrap": true,
        "style": "heading",
        "color": if firing { "Attention" } else { "Good" },
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [heading, {"type": "TextBlock", "text": text, "wrap": true}],
                "msteams": {"width": "full"},
            },
        }],
    })
}

impl Http for Teams {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        [&self.title, &self.text].into_iter().chain(&self.summary).collect()
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let (title, text) = (m.text(&self.title)?, m.text(&self.text)?);
        let card = match &self.summary {
            Some(summary) => message_card(m.is_firing(), &title, &m.text(summary)?, &text),
            None => adaptive_card(m.is_firing(), &title, &text),
        };
        Ok(vec![Outgoing::json(super::first(secrets), &card)?])
    }
}
