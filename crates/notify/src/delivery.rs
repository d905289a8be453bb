//! All receivers of a configuration, ready to be told of alerts.

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;
use reba_alerting::{
    Deliver, DeliverError, Delivered, Integration, IntegrationKey, Integrations, Notification,
};
use reba_http::{Client, HttpClientConfig, ProxyEnv, SECRET_TEXT, Secret};

use crate::{
    config::{self, AlertmanagerFile, IntegrationConfig},
    data::Data,
    diverted::{Diversion, Inbox},
    receivers::{self, Email, Http, Kind, Message},
    send::{Hidden, Outgoing, Sender},
    templates::Templates,
};

/// What receivers need to know besides their configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address under which this server is reached, without a slash at its end. Links in messages begin with it.
    pub external_url: String,
    /// How requests introduce themselves.
    pub user_agent: String,
    /// What the environment says about proxies, for those that ask for it.
    pub proxies: ProxyEnv,
    /// For one request, unless the settings say otherwise.
    pub timeout: Duration,
    /// Where everything ends that is for other hosts, if nothing may leave this one (a demo).
    pub inbox: Option<Inbox>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            external_url: "http://localhost:9093".to_owned(),
            user_agent: "Alertmanager/0.26.0 (Reba)".to_owned(),
            proxies: ProxyEnv::default(),
            timeout: Duration::from_secs(30),
            inbox: None,
        }
    }
}

/// The receivers of a configuration. One value serves until the next reload.
#[derive(Debug)]
pub struct Receivers {
    integrations: BTreeMap<IntegrationKey, Ready>,
    /// Names of all receivers, in the order of the file; some have no integration.
    names: Vec<String>,
    templates: Templates,
    options: Options,
}

#[derive(Debug)]
struct Ready {
    send_resolved: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Disabled(String),
    Email(Box<Email>),
    Http { http: Box<dyn Http>, sender: Sender },
}

/// An integration, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationStatus {
    /// Which one.
    pub key: IntegrationKey,
    /// Whether it hears of resolved alerts.
    pub send_resolved: bool,
    /// Why it is disabled, if it is.
    pub disabled: Option<String>,
}

/// A request, or a mail, as it would be sent. It holds no secrets: `<secret>` stands in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// `POST https://…`, or `mail to … by …`.
    pub to: String,
    /// Headers, without those that authenticate.
    pub headers: Vec<(String, String)>,
    /// Of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Receivers {
    /// Makes receivers of a configuration, which they take.
    pub fn new(file: AlertmanagerFile, options: Options) -> Self {
        let mut integrations = BTreeMap::new();
        let mut names = Vec::new();
        for receiver in file.receivers {
            for i in receiver.integrations {
                let key =
                    IntegrationKey { receiver: receiver.name.clone(), integration: i.kind, index: i.index };
                integrations.insert(key, ready(i, &options));
            }
            names.push(receiver.name);
        }
        Receivers { integrations, names, templates: file.templates, options }
    }

    /// Names of all receivers, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the state machine has to know: the integrations of every receiver that are not disabled.
    pub fn integrations(&self) -> Integrations {
        let mut out: Integrations = self.names.iter().map(|n| (n.clone(), Vec::new())).collect();
        for (key, ready) in &self.integrations {
            if !matches!(ready.state, State::Disabled(_)) {
                let integration = Integration { key: key.clone(), send_resolved: ready.send_resolved };
                out.entry(key.receiver.clone()).or_default().push(integration);
            }
        }
        out
    }

    /// All integrations, disabled ones included, by receiver, kind and number.
    pub fn status(&self) -> Vec<IntegrationStatus> {
        let status = |(key, ready): (&IntegrationKey, &Ready)| IntegrationStatus {
            key: key.clone(),
            send_resolved: ready.send_resolved,
            disabled: match &ready.state {
                State::Disabled(reason) => Some(reason.clone()),
                _ => None,
            },
        };
        self.integrations.iter().map(status).collect()
    }

    /// What would be sent, without sending anything. What has to be asked first (tokens, issues that exist) is left out.
    pub fn preview(&self, key: &IntegrationKey, note: &Notification) -> Result<Vec<Preview>, DeliverError> {
        let ready = self.find(key)?;
        self.with_message(note, |m| match &ready.state {
            State::Disabled(reason) => Err(disabled(reason)),
            State::Email(email) => {
                let mail = email.compose(m)?;
                let header =
                    |name: &str| Some((name.to_owned(), mail.mail.headers().get_raw(name)?.to_owned()));
                let html = mail.text.is_empty();
                Ok(vec![Preview {
                    to: format!("mail to {} by {}", m.text(&email.to)?, email.server()),
                    headers: ["Subject", "To", "From"].into_iter().filter_map(header).collect(),
                    content_type: if html { "text/html" } else { "text/plain" }.to_owned(),
                    body: if html { mail.html } else { mail.text },
                }])
            }
            State::Http { http, .. } => {
                let secrets = vec![Secret::new(SECRET_TEXT); http.common().secrets.len()];
                Ok(http.requests(m, &secrets)?.into_iter().map(preview).collect())
            }
        })
    }

    fn find(&self, key: &IntegrationKey) -> Result<&Ready, DeliverError> {
        self.integrations.get(key).ok_or_else(|| DeliverError::permanent(format!("there is no {key}")))
    }

    fn with_message<T>(&self, note: &Notification, f: impl FnOnce(&Message<'_>) -> T) -> T {
        let data = Data::new(note, &self.options.external_url);
        let value = data.value();
        f(&Message {
            note,
            data: &data,
            value: &value,
            templates: &self.templates,
            external_url: &self.options.external_url,
        })
    }
}

fn disabled(reason: &str) -> DeliverError {
    DeliverError::permanent(format!("disabled: {reason}"))
}

fn ready(i: IntegrationConfig, options: &Options) -> Ready {
    let state = match i.settings {
        Err(reason) => State::Disabled(reason),
        Ok(Kind::Email(email)) => State::Email(email),
        Ok(Kind::Http(http)) => match sender(i.kind, &*http, options) {
            Ok(sender) => State::Http { http, sender },
            Err(reason) => State::Disabled(reason),
        },
    };
    Ready { send_resolved: i.send_resolved, state }
}

fn sender(kind: &'static str, http: &dyn Http, options: &Options) -> Result<Sender, String> {
    let common = http.common();
    let diversion = options.inbox.map(|inbox| Diversion { kind, to: inbox.http });
    // Proxies, and the servers that give tokens, are other hosts.
    let plain = (HttpClientConfig::default(), ProxyEnv::default());
    let (config, proxies) =
        if diversion.is_some() { (&plain.0, &plain.1) } else { (&common.http, &options.proxies) };
    let client = Client::new(config, &options.user_agent, proxies).map_err(|e| e.to_string())?;
    Ok(Sender { client, timeout: common.timeout.unwrap_or(options.timeout), diversion })
}

fn preview(out: Outgoing) -> Preview {
    let shown = |(name, value): &(&'static str, Secret)| {
        (*name != "authorization").then(|| ((*name).to_owned(), value.expose().to_owned()))
    };
    Preview {
        to: format!("{} {}", out.method, out.url.expose()),
        headers: out.headers.iter().filter_map(shown).collect(),
        content_type: out.content_type.to_owned(),
        body: out.body,
    }
}

impl Deliver for Receivers {
    fn deliver<'a>(
        &'a self,
        integration: &'a IntegrationKey,
        note: &'a Notification,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>> {
        Box::pin(async move {
            let ready = self.find(integration)?;
            let (data, value) = receivers::off_the_workers(|| {
                let data = Data::new(note, &self.options.external_url);
                let value = data.value();
                (data, value)
            });
            let message = Message {
                note,
                data: &data,
                value: &value,
                templates: &self.templates,
                external_url: &self.options.external_url,
            };
            match &ready.state {
                State::Disabled(reason) => Err(disabled(reason)),
                State::Email(email) => email.send(&message, self.options.timeout, self.options.inbox).await,
                State::Http { http, sender } => post(&**http, &message, sender).await,
            }
        })
    }
}

/// Reads the secrets of an integration and sends its requests.
async fn post(http: &dyn Http, message: &Message<'_>, sender: &Sender) -> Result<Delivered, DeliverError> {
    let mut secrets = Vec::new();
    for source in &http.common().secrets {
        secrets.push(source.read().await.map_err(DeliverError::permanent)?);
    }
    let sent = http.send(message, &secrets, sender).await;
    sent.map_err(|e| {
        // A service may send back what it was sent.
        secrets.extend(config::secrets(&http.common().http));
        Hidden(secrets).hide(e)
    })
}
