//! The inbox, as a sender of alerts sees it: over SMTP and HTTP only.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use easymo_fleet::{Channel, InboxConfig, InboxHandle};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn inbox() -> InboxHandle {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    InboxHandle::start(InboxConfig { smtp: any, http: any }).await.unwrap()
}

async fn ask(addr: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_mail_and_a_message_of_every_kind_arrive_and_can_be_read() {
    let inbox = inbox().await;
    let mut mail = TcpStream::connect(inbox.smtp).await.unwrap();
    let talk =
        "EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: down\r\n\r\nwallet\r\n.\r\nQUIT\r\n";
    mail.write_all(talk.as_bytes()).await.unwrap();
    let mut answers = String::new();
    mail.read_to_string(&mut answers).await.unwrap();
    assert!(answers.contains("250 2.0.0 kept"), "{answers}");

    for (path, body, status, answer) in [
        ("/slack/hook", r##"{"channel":"#a","attachments":[{"title":"T","text":"x"}]}"##, 200, "ok"),
        ("/slack/hook", "{", 400, "invalid_payload"),
        ("/slack/api/chat.postMessage", r#"{"channel":"C1","text":"t"}"#, 200, r#""ok":true"#),
        (
            "/pagerduty/v2/enqueue",
            r#"{"event_action":"trigger","dedup_key":"k","payload":{"summary":"S"}}"#,
            202,
            r#""dedup_key":"k""#,
        ),
        ("/opsgenie/v2/alerts", r#"{"message":"M"}"#, 202, "requestId"),
        ("/opsgenie/v2/alerts/abc/close?identifierType=alias", r#"{"source":"s"}"#, 202, "requestId"),
        ("/webhook/x/y", r#"{"status":"firing","groupKey":"{}:{}","alerts":[1]}"#, 200, ""),
        ("/elsewhere/telegram/api.telegram.org", "hello", 200, r#""ok":true"#),
    ] {
        let (is, text) = ask(inbox.http, "POST", path, body).await;
        assert!(is == status && text.contains(answer), "{path}: {is} {text}");
    }
    let (_, list) = ask(inbox.http, "GET", "/messages?since=1", "").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list["received"].as_u64(), list["messages"][0]["to"].as_str()), (Some(8), Some("#a")));

    let all = inbox.inbox.messages(0);
    let subjects: Vec<_> = all.iter().map(|m| (m.channel, m.subject.as_str())).collect();
    assert_eq!(
        subjects,
        [
            (Channel::Email, "down"),
            (Channel::Slack, "T"),
            (Channel::Slack, "t"),
            (Channel::Pagerduty, "S"),
            (Channel::Opsgenie, "M"),
            (Channel::Opsgenie, "s"),
            (Channel::Webhook, "firing: 1 alerts of {}:{}"),
            (Channel::Webhook, "hello"),
        ]
    );
    assert_eq!(ask(inbox.http, "DELETE", "/messages", "").await.0, 204);
    assert!(inbox.inbox.messages(0).is_empty());
    inbox.shutdown().await;
}
