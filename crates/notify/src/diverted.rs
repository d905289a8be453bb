//! A house that no message leaves: a demo's. Whatever a configuration names as its receivers' addresses, what is for other hosts ends
//! in an inbox on this one, which looks like Slack, PagerDuty, Opsgenie, and elsewhere like a service that agrees with everything.

use std::net::SocketAddr;

use http::Uri;
use reba_http::Secret;

use crate::send::Outgoing;

/// Where messages end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Its mail server, which wants no TLS and no password.
    pub smtp: SocketAddr,
    /// Its look-alikes of services.
    pub http: SocketAddr,
}

/// The way of an integration's requests into an inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Diversion {
    pub kind: &'static str,
    pub to: SocketAddr,
}

impl Diversion {
    /// The request as the inbox gets it: without credentials, and with nothing of its address but the host, for it may be a secret.
    /// What is for the inbox anyway stays as it is.
    pub fn lead(&self, out: &Outgoing) -> Outgoing {
        let uri: Option<Uri> = out.url.expose().parse().ok();
        let authority =
            uri.as_ref().and_then(Uri::authority).map(|a| a.as_str().to_owned()).unwrap_or_default();
        if authority == self.to.to_string() {
            return out.clone();
        }
        let path = uri.as_ref().map_or("", Uri::path);
        let host = uri.as_ref().and_then(Uri::host).unwrap_or("nowhere");
        let place = match self.kind {
            "slack" if path.ends_with("/chat.postMessage") => "slack/api/chat.postMessage".to_owned(),
            "slack" if path.ends_with("/chat.update") => "slack/api/chat.update".to_owned(),
            "slack" => "slack/services/demo".to_owned(),
            "pagerduty" => "pagerduty/v2/enqueue".to_owned(),
            "opsgenie" => {
                format!("opsgenie/{}", path.find("v2/alerts").map_or("v2/alerts", |at| &path[at..]))
            }
            kind => format!("elsewhere/{kind}/{host}"),
        };
        Outgoing {
            url: Secret::new(format!("http://{}/{place}", self.to)),
            headers: Vec::new(),
            ..out.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(kind: &'static str, url: &str) -> String {
        let to = SocketAddr::from(([127, 0, 0, 1], 8025));
        let out = Outgoing::get(url).with_header("authorization", "Bearer hunter2");
        let led = Diversion { kind, to }.lead(&out);
        assert_eq!(led.headers.is_empty(), led.url != out.url);
        led.url.expose().to_owned()
    }

    #[test]
    fn nothing_but_the_host_is_left_of_an_address_and_what_is_at_home_stays() {
        for (kind, url, want) in [
            ("slack", "https://hooks.slack.com/services/T/B/s3cret", "slack/services/demo"),
            ("slack", "https://slack.com/api/chat.update", "slack/api/chat.update"),
            ("pagerduty", "https://events.pagerduty.com/v2/enqueue", "pagerduty/v2/enqueue"),
            (
                "opsgenie",
                "https://api.opsgenie.com/v2/alerts/ab/close?identifierType=alias",
                "opsgenie/v2/alerts/ab/close",
            ),
            (
                "telegram",
                "https://api.telegram.org/bots3cret/sendMessage",
                "elsewhere/telegram/api.telegram.org",
            ),
            ("webhook", "http://u:s3cret@10.0.0.1:80/x?token=s3cret", "elsewhere/webhook/10.0.0.1"),
            ("webhook", "http://127.0.0.1:9/x", "elsewhere/webhook/127.0.0.1"),
        ] {
            assert_eq!(led(kind, url), format!("http://127.0.0.1:8025/{want}"), "{url}");
        }
        let own = "http://127.0.0.1:8025/slack/services/demo";
        assert_eq!(led("slack", own), own);
    }
}
