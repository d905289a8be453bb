//! E-mail: the settings, and the message that is made of a notification.

mod smtp;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use lettre::{
    Message as Mail,
    address::Envelope,
    message::{
        Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use reba_alerting::{DeliverError, Delivered};
use reba_config::tree::Fault;
use reba_http::{HttpClientConfig, Secret, TlsConfig};
use reba_template::Time;

use super::Message;
use crate::{
    config::{SecretSource, Settings, Tpl, host_port, tls_config},
    diverted::Inbox,
    text::{hex, key_hash},
};

/// Settings of mails to one list of addresses.
#[derive(Debug)]
pub(crate) struct Email {
    pub to: Tpl,
    from: Tpl,
    smarthost: (String, u16),
    hello: String,
    auth: Option<Auth>,
    require_tls: bool,
    implicit_tls: bool,
    tls: TlsConfig,
    /// By their names as they are usually written; `Subject`, `To` and `From` always among them.
    headers: BTreeMap<String, Tpl>,
    html: Tpl,
    text: Tpl,
    threading: Threading,
}

/// How it introduces itself.
#[derive(Debug)]
struct Auth {
    username: String,
    password: SecretSource,
    identity: String,
}

/// Which mails belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threading {
    Off,
    ByGroup,
    ByGroupAndDay,
}

/// A mail that is ready to be sent.
pub(crate) struct Ready {
    pub envelope: Envelope,
    pub mail: Mail,
    pub html: String,
    pub text: String,
}

impl Email {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let smtp = &s.global.smtp;
        let to = s.template("to", "")?;
        if to.is_empty() {
            return s.refuse("missing to address in email config");
        }
        let smarthost = s.inherit("smarthost", s.text("smarthost")?, smtp.smarthost.as_ref());
        if smarthost.is_none() && s.missing().is_none() {
            return s.refuse("no global SMTP smarthost set");
        }
        let smarthost = smarthost.unwrap_or_else(|| "localhost:25".to_owned());
        let smarthost = host_port(&smarthost).map_err(|e| s.fault("smarthost", e))?;
        let from = s.inherit("from", s.text("from")?, smtp.from.as_ref());
        if from.is_none() && s.missing().is_none() {
            return s.refuse("no global SMTP from set");
        }
        let from = Tpl::new(s.key("from"), from.unwrap_or_default());
        let tls = match s.node("tls_config") {
            Some(node) => {
                s.lacks_anywhere("tls_config", node);
                s.unless_missing(tls_config(node, &s.key("tls_config"), s.context.folder))?
            }
            None => smtp.tls.clone(),
        };
        // The client's configuration knows all files that TLS needs.
        let files = HttpClientConfig { tls_config: Some(tls.clone()), ..HttpClientConfig::default() }.files();
        for (key, file) in files {
            s.check(key, &file_of(file));
        }
        let implicit = s.bool("force_implicit_tls")?.or(smtp.implicit_tls);
        Ok(Email {
            headers: headers(s, &to, &from)?,
            threading: threading(s)?,
            hello: s
                .inherit("hello", s.text("hello")?, smtp.hello.as_ref())
                .unwrap_or_else(|| "localhost".to_owned()),
            auth: auth(s)?,
            require_tls: s.bool("require_tls")?.unwrap_or(smtp.require_tls),
            implicit_tls: implicit.unwrap_or(smarthost.1 == 465),
            html: s.template("html", r#"{{ template "email.default.html" . }}"#)?,
            text: s.template("text", "")?,
            to,
            from,
            smarthost,
            tls,
        })
    }

    pub fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![&self.to, &self.from, &self.html, &self.text];
        all.extend(self.headers.values());
        all
    }

    /// Where mails are handed in, and how. An inbox in the place of another host gets no password and needs no TLS.
    fn server_for(&self, inbox: Option<Inbox>) -> smtp::Server<'_> {
        let own = smtp::Server {
            host: self.smarthost.0.clone(),
            port: self.smarthost.1,
            hello: &self.hello,
            auth: self.auth.as_ref(),
            require_tls: self.require_tls,
            implicit_tls: self.implicit_tls,
            tls: &self.tls,
        };
        match inbox.map(|inbox| inbox.smtp).filter(|at| at.to_string() != self.server()) {
            None => own,
            Some(at) => smtp::Server {
                host: at.ip().to_string(),
                port: at.port(),
                auth: None,
                require_tls: false,
                implicit_tls: false,
                ..own
            },
        }
    }

    /// Where mails are handed in, for people.
    pub fn server(&self) -> String {
        format!("{}:{}", self.smarthost.0, self.smarthost.1)
    }

    /// Sends a notification.
    pub async fn send(
        &self,
        m: &Message<'_>,
        timeout: Duration,
        inbox: Option<Inbox>,
    ) -> Result<Delivered, DeliverError> {
        let ready = super::off_the_workers(|| self.compose(m))?;
        let answer = smtp::send(&self.server_for(inbox), &ready, timeout).await?;
        Ok(Delivered { answer, remember: None })
    }

    /// Puts a notification into a mail.
    pub fn compose(&self, m: &Message<'_>) -> Result<Ready, DeliverError> {
        let (from, to) = (m.text(&self.from)?, m.text(&self.to)?);
        let senders: Mailboxes = from.parse().map_err(|e| refuse(format!("parse 'from' addresses: {e}")))?;
        let mut senders = senders.into_iter();
        let (Some(sender), 0) = (senders.next(), senders.len()) else {
            return Err(refuse("must be exactly one 'from' address".to_owned()));
        };
        let receivers: Mailboxes = to.parse().map_err(|e| refuse(format!("parse 'to' addresses: {e}")))?;
        let receivers = receivers.into_iter().map(|mailbox: Mailbox| mailbox.email).collect();
        let envelope = Envelope::new(Some(sender.email.clone()), receivers)
            .map_err(|e| refuse(format!("parse 'to' addresses: {e}")))?;
        let (html, text) = (m.html(&self.html)?, m.text(&self.text)?);
        let date = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(m.note.now_ms).unwrap_or(0));
        let mut mail = Mail::builder().envelope(envelope.clone()).date(date);
        for (name, tpl) in &self.headers {
            mail = mail.raw_header(header(name, &m.text(tpl)?)?);
        }
        if !self.headers.contains_key("Message-Id") {
            mail = mail.message_id(Some(message_id(m, sender.email.domain())));
        }
        if let Some(root) = self.thread(m) {
            mail = mail.references(root.clone()).in_reply_to(root);
        }
        let mail =
            mail.multipart(parts(&text, &html)).map_err(|e| refuse(format!("compose the mail: {e}")))?;
        Ok(Ready { envelope, mail, html, text })
    }

    /// The id of a mail that nobody has ever sent: programs gather those that answer it.
    fn thread(&self, m: &Message<'_>) -> Option<String> {
        let day = match self.threading {
            Threading::Off => return None,
            Threading::ByGroup => String::new(),
            Threading::ByGroupAndDay => Time::from_unix_ms(m.note.now_ms)?.format("2006-01-02"),
        };
        Some(format!("<alert-{}-{day}@alertmanager>", &m.key_hash()[..16]))
    }
}

fn refuse(reason: String) -> DeliverError {
    DeliverError::permanent(reason)
}

fn file_of(file: PathBuf) -> crate::config::FileOrText {
    crate::config::FileOrText { text: None, file: Some(file) }
}

/// User and password. A secret for CRAM-MD5 alone disables the integration: that scheme is not spoken.
fn auth(s: &Settings<'_>) -> Result<Option<Auth>, Fault> {
    let smtp = &s.global.smtp;
    let username = s.inherit("auth_username", s.text("auth_username")?, smtp.auth_username.as_ref());
    let password = s.secret("auth_password")?;
    let secret = s.secret("auth_secret")?;
    let only_secret = !secret.is_none() && password.is_none();
    let password = password.or(&smtp.auth_password);
    let identity = s.inherit("auth_identity", s.text("auth_identity")?, smtp.auth_identity.as_ref());
    let Some(username) = username else { return Ok(None) };
    s.check("auth_password", &password);
    match password.source() {
        Some(password) if !only_secret => {
            Ok(Some(Auth { username, password, identity: identity.unwrap_or_default() }))
        }
        _ if only_secret || !smtp.auth_secret.is_none() => {
            s.miss("auth_secret is for CRAM-MD5, which is not supported: set auth_password".to_owned());
            Ok(None)
        }
        // As upstream: a user without a password is found out when the server asks for one.
        _ => Ok(Some(Auth {
            username,
            password: SecretSource::Given(Secret::default()),
            identity: String::new(),
        })),
    }
}

/// The headers of the settings under their usual names, and those that every mail has.
fn headers(s: &Settings<'_>, to: &Tpl, from: &Tpl) -> Result<BTreeMap<String, Tpl>, Fault> {
    let mut out = BTreeMap::new();
    for (name, tpl) in s.templates("headers")? {
        let name = usual(&name);
        if HeaderName::new_from_ascii(name.clone()).is_err() {
            return Err(s.fault("headers", format!("{name:?} is no name of a header")));
        }
        if out.insert(name.clone(), tpl).is_some() {
            return Err(s.fault("headers", format!("duplicate header {name:?} in email config")));
        }
    }
    let subject = Tpl::new(s.key("headers.Subject"), r#"{{ template "email.default.subject" . }}"#);
    for (name, tpl) in [("Subject", &subject), ("To", to), ("From", from)] {
        out.entry(name.to_owned()).or_insert_with(|| tpl.clone());
    }
    Ok(out)
}

/// `message-ID` as `Message-Id`.
fn usual(name: &str) -> String {
    let part = |p: &str| {
        let (first, rest) = p.split_at(p.chars().next().map_or(0, char::len_utf8));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

fn threading(s: &Settings<'_>) -> Result<Threading, Fault> {
    let Some(t) = s.section("threading")? else { return Ok(Threading::Off) };
    let (enabled, by) = (t.flag("enabled")?, t.text("thread_by_date")?);
    t.finish()?;
    if !enabled {
        return Ok(Threading::Off);
    }
    for (name, _) in s.templates("headers")? {
        let name = usual(&name);
        if name == "References" || name == "In-Reply-To" {
            let text =
                format!("conflicting configuration: threading.enabled conflicts with custom {name} header");
            return s.refuse(text);
        }
    }
    match by.as_deref() {
        Some("none") => Ok(Threading::ByGroup),
        Some("daily") => Ok(Threading::ByGroupAndDay),
        _ => s.refuse("threading.thread_by_date must be either 'none' or 'daily'"),
    }
}

/// A header; a line break in what a template gave would begin another one.
fn header(name: &str, value: &str) -> Result<HeaderValue, DeliverError> {
    let name =
        HeaderName::new_from_ascii(name.to_owned()).map_err(|e| refuse(format!("header {name:?}: {e}")))?;
    let value = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Ok(HeaderValue::new(name, value))
}

/// An id that is the same for every try of a notification: who gets it twice can tell.
fn message_id(m: &Message<'_>, domain: &str) -> String {
    let mut seen = format!("{} {} {}", m.note.receiver, m.note.group_key, m.note.now_ms);
    for alert in m.note.alerts.iter() {
        seen.push_str(&hex(&alert.fingerprint.to_be_bytes()));
        seen.push(if alert.firing { 'f' } else { 'r' });
    }
    format!("<{}.{}@{domain}>", m.note.now_ms, &key_hash(&seen)[..24])
}

/// Text first: programs show the last part that they understand.
fn parts(text: &str, html: &str) -> MultiPart {
    let part = |kind, body: &str| {
        SinglePart::builder()
            .header(kind)
            .header(ContentTransferEncoding::QuotedPrintable)
            .body(with_crlf(body))
    };
    let alternative = MultiPart::alternative();
    match (text.is_empty(), html.is_empty()) {
        (false, false) => alternative
            .singlepart(part(ContentType::TEXT_PLAIN, text))
            .singlepart(part(ContentType::TEXT_HTML, html)),
        (_, true) => alternative.singlepart(part(ContentType::TEXT_PLAIN, text)),
        (true, false) => alternative.singlepart(part(ContentType::TEXT_HTML, html)),
    }
}

/// Lines as mail ends them. The library would insert every `\r` by itself, which takes minutes for a hundred thousand lines.
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}
