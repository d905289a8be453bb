//! A local inbox: a mail server and look-alikes of Slack, PagerDuty, Opsgenie and a webhook. Whatever is sent to them arrives
//! nowhere else; a person and a test can read it.

mod mail;
mod services;
mod smtp;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::FleetError;

/// Messages that are kept; older ones go. Enough for a person to scroll through, and for a test that sends thousands to see
/// that they came (`received` counts all).
const KEPT: usize = 2000;

/// Bytes of a message, whatever way it comes.
const MESSAGE_LIMIT: usize = 1 << 20;

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The mail server.
    Email,
    /// Slack's incoming webhooks and its method chat.postMessage.
    Slack,
    /// PagerDuty's events.
    Pagerduty,
    /// Opsgenie's alerts.
    Opsgenie,
    /// Anything else that is posted.
    Webhook,
}

impl Channel {
    /// Its name, as it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Slack => "slack",
            Channel::Pagerduty => "pagerduty",
            Channel::Opsgenie => "opsgenie",
            Channel::Webhook => "webhook",
        }
    }
}

/// Something that arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its number, from 1, in the order of arrival.
    pub id: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Which way.
    pub channel: Channel,
    /// To whom: addresses, a Slack channel, the action at PagerDuty, the path of a webhook.
    pub to: String,
    /// What a person would see first.
    pub subject: String,
    /// What it says, as text.
    pub text: String,
    /// All of it: the JSON that was posted, or the headers of a mail.
    pub body: Value,
}

/// A message before it has a number.
#[derive(Clone, Debug, PartialEq)]
struct Draft {
    channel: Channel,
    to: String,
    subject: String,
    text: String,
    body: Value,
}

/// Everything that arrived. Clones are the same inbox.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    received: u64,
    messages: VecDeque<Message>,
}

impl Inbox {
    /// The messages after number `since`, oldest first.
    pub fn messages(&self, since: u64) -> Vec<Message> {
        self.0.lock().messages.iter().filter(|m| m.id > since).cloned().collect()
    }

    /// How many arrived, those that are no longer kept included.
    pub fn received(&self) -> u64 {
        self.0.lock().received
    }

    /// Forgets what is kept; numbers go on.
    pub fn clear(&self) {
        self.0.lock().messages.clear();
    }

    fn keep(&self, draft: Draft) -> u64 {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        let Draft { channel, to, subject, text, body } = draft;
        let mut kept = self.0.lock();
        kept.received += 1;
        let id = kept.received;
        kept.messages.push_back(Message { id, at_ms, channel, to, subject, text, body });
        if kept.messages.len() > KEPT {
            kept.messages.pop_front();
        }
        id
    }
}

/// Where the inbox listens.
#[derive(Clone, Copy, Debug)]
pub struct InboxConfig {
    /// The mail server.
    pub smtp: SocketAddr,
    /// The look-alikes, and the list of what arrived.
    pub http: SocketAddr,
}

impl InboxConfig {
    /// 127.0.1.100, ports 2525 and 8025, each raised by the offset.
    pub fn documented(port_offset: u16) -> Result<Self, FleetError> {
        let place = |port: u16| {
            let port = port.checked_add(port_offset).ok_or(FleetError::PortOffset { port_offset })?;
            Ok(SocketAddr::from(([127, 0, 1, 100], port)))
        };
        Ok(InboxConfig { smtp: place(2525)?, http: place(8025)? })
    }
}

/// An inbox that listens. Dropping it stops it soon; [`InboxHandle::shutdown`] also waits.
#[derive(Debug)]
pub struct InboxHandle {
    /// Where the mail server listens.
    pub smtp: SocketAddr,
    /// Where the look-alikes listen.
    pub http: SocketAddr,
    /// What arrived.
    pub inbox: Inbox,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl InboxHandle {
    /// Binds both ports and serves them.
    pub async fn start(config: InboxConfig) -> Result<Self, FleetError> {
        let (smtp, mail) = bind("inbox (mail)", config.smtp).await?;
        let (http, web) = bind("inbox (web)", config.http).await?;
        let (inbox, stop, tasks) = (Inbox::default(), CancellationToken::new(), TaskTracker::new());
        tasks.spawn(smtp::serve(mail, inbox.clone(), stop.clone()));
        let end = stop.clone();
        let router = services::router(inbox.clone());
        tasks.spawn(async move {
            // Whoever still talks is cut off: it is an inbox for play.
            tokio::select! {
                () = end.cancelled() => {}
                served = axum::serve(web, router) => drop(served),
            }
        });
        tasks.close();
        Ok(InboxHandle { smtp, http, inbox, stop, tasks })
    }

    /// Stops and waits until nobody listens any more.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for InboxHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(name: &'static str, addr: SocketAddr) -> Result<(SocketAddr, TcpListener), FleetError> {
    let bound = TcpListener::bind(addr).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(|source| FleetError::Bind { name, addr, source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_numbered_and_the_oldest_go_first() {
        let inbox = Inbox::default();
        let draft = |n: usize| Draft {
            channel: Channel::Webhook,
            to: "/x".to_owned(),
            subject: n.to_string(),
            text: String::new(),
            body: json!(n),
        };
        for n in 1..=KEPT + 5 {
            assert_eq!(inbox.keep(draft(n)), n as u64);
        }
        let kept = inbox.messages(0);
        assert_eq!((kept.len(), kept[0].id, inbox.received()), (KEPT, 6, KEPT as u64 + 5));
        assert_eq!(inbox.messages(KEPT as u64 + 3).len(), 2);
        inbox.clear();
        assert_eq!((inbox.messages(0).len(), inbox.keep(draft(0))), (0, KEPT as u64 + 6));
    }
}
