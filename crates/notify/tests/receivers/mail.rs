//! Mail, through a real server (aiosmtpd) that wants STARTTLS and a password.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    scene::*,
    upstream::{EXTERNAL, Peer, alerts, notification_of},
};

fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python");
    let has = |p: &PathBuf| {
        Command::new(p)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    path.is_file().then_some(path).filter(has)
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../http/tests/data").join(name).display().to_string()
}

/// The server; what it takes it prints, a mail a line.
struct Server {
    child: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mode: &str) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers/smtp_server.py");
        let mut child = Command::new(python()?)
            .arg(script)
            .args([mode, &data("server.pem"), &data("server.key")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                into.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Server { child, port, mails })
    }

    async fn wait(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mails = self.mails.lock().unwrap().clone();
            if mails.len() >= count {
                return mails;
            }
            assert!(Instant::now() < deadline, "no mail came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn settings(&self, more: &str) -> String {
        format!(
            "{{to: 'Ops <ops@example.org>, b@example.org', from: 'Reba <reba@example.org>', smarthost: 'localhost:{}', send_resolved: true, \
             auth_username: apikey, auth_password: hunter2, tls_config: {{ca_file: '{}'}}{more}}}",
            self.port,
            data("ca.pem")
        )
    }
}

macro_rules! server {
    ($mode:expr) => {
        match Server::start($mode) {
            Some(server) => server,
            None => {
                eprintln!("skipped: no aiosmtpd in target/venv");
                return;
            }
        }
    };
}

#[tokio::test]
async fn a_mail_arrives_by_starttls_with_a_password() {
    let server = server!("starttls");
    let more = ", text: '{{ .Status }} ü', headers: {subject: 'Ä {{ .GroupLabels.alertname }}', X-Team: ops}, threading: {enabled: true, thread_by_date: daily}";
    let receivers = one("email", &server.settings(more), "");
    let answer = deliver(&receivers, "email", &firing()).await.unwrap().answer;
    assert!(answer.starts_with("250"), "{answer}");
    deliver(&receivers, "email", &firing()).await.unwrap();
    let mails = server.wait(2).await;
    let mail = &mails[0];
    assert_eq!(mail["tls"], true);
    assert_eq!((&mail["user"], &mail["from"]), (&"apikey".into(), &"reba@example.org".into()));
    assert_eq!(mail["to"], serde_json::json!(["ops@example.org", "b@example.org"]));
    let headers = &mail["headers"];
    assert_eq!(headers["Subject"], "Ä Down");
    assert_eq!(
        (&headers["From"], &headers["To"], &headers["X-Team"]),
        (&"Reba <reba@example.org>".into(), &"Ops <ops@example.org>, b@example.org".into(), &"ops".into())
    );
    assert_eq!(headers["Date"], "Sat, 18 Nov 2023 12:00:00 +0000");
    let thread = headers["References"].as_str().unwrap();
    assert!(thread.starts_with("<alert-") && thread.ends_with("-2023-11-18@alertmanager>"), "{thread}");
    assert_eq!(headers["In-Reply-To"], *thread);
    // A second try of the same notification is the same mail.
    assert_eq!(headers["Message-Id"], mails[1]["headers"]["Message-Id"]);
    let parts = mail["parts"].as_array().unwrap();
    assert_eq!(
        (&parts[0]["type"], parts[0]["body"].as_str().unwrap().trim()),
        (&"text/plain".into(), "firing ü")
    );
    assert_eq!(parts[1]["type"], "text/html");
    let html = parts[1]["body"].as_str().unwrap();
    assert!(
        html.contains("2 alerts for")
            && html.contains("alertname=Down")
            && html.contains("http://am.example.org/#/alerts?receiver=team-a"),
        "{html}"
    );
}

#[tokio::test]
async fn implicit_tls_and_login_work_and_a_stranger_is_not_trusted() {
    let server = server!("tls");
    let receivers = one("email", &server.settings(", force_implicit_tls: true"), "");
    deliver(&receivers, "email", &resolved()).await.unwrap();
    let mails = server.wait(1).await;
    assert_eq!(
        (&mails[0]["tls"], &mails[0]["headers"]["Subject"]),
        (&true.into(), &"[RESOLVED] Down (api)".into())
    );
    let stranger =
        server.settings(", force_implicit_tls: true").replace(&data("ca.pem"), &data("client.pem"));
    let e = deliver(&one("email", &stranger, ""), "email", &firing()).await.unwrap_err();
    assert!(e.retry && e.message.contains("certificate"), "{e}");
}

#[tokio::test]
async fn a_wrong_password_and_a_server_without_tls_are_told_without_secrets() {
    let server = server!("starttls");
    let wrong = server.settings("").replace("hunter2", "hunter3");
    let e = deliver(&one("email", &wrong, ""), "email", &firing()).await.unwrap_err();
    assert!(e.retry && e.message.starts_with("PLAIN auth: 535") && !e.message.contains("hunter"), "{e}");
    let plain = server!("plain");
    let e = deliver(&one("email", &plain.settings(""), ""), "email", &firing()).await.unwrap_err();
    assert!(e.message.contains("does not advertise the STARTTLS extension"), "{e}");
    let e = deliver(&one("email", "{to: x@y, from: 'nobody', smarthost: 'h:25'}", ""), "email", &firing())
        .await
        .unwrap_err();
    assert!(!e.retry && e.message.starts_with("parse 'from' addresses"), "{e}");
}

/// What a reader sees of a page, word by word, with the targets of links.
fn words(html: &str) -> Vec<String> {
    let body = html.split_once("<body").map_or(html, |(_, b)| b);
    let mut out = String::new();
    for (i, part) in body.split('<').enumerate() {
        let (tag, text) = if i == 0 { ("", part) } else { part.split_once('>').unwrap_or((part, "")) };
        if let Some((_, target)) = tag.split_once("href=\"") {
            out.push_str(&format!(" [{}] ", target.split('"').next().unwrap_or_default()));
        }
        out.push(' ');
        out.push_str(text);
    }
    let first = out.split_once('>').map_or(out.clone(), |(_, rest)| rest.to_owned());
    first.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_say_what_those_of_the_real_alertmanager_say() {
    let server = server!("starttls");
    let recorder = crate::recorder::Recorder::start(vec![]).await;
    let more = ", html: '{{ template \"email.default.html\" . }}<p title=\"{{ .CommonAnnotations.summary }}\"><a href=\"{{ .CommonAnnotations.summary }}\">{{ .CommonAnnotations.summary }}</a>', \
         text: '{{ template \"__text_alert_list\" .Alerts }}', headers: {Subject: '{{ template \"email.default.subject\" . }} ü'}";
    let configuration = format!(
        "route: {{receiver: team-a, group_by: [alertname, cluster], group_wait: 100ms, group_interval: 1s}}\nreceivers:\n- name: team-a\n  \
         email_configs: [{}]\n  webhook_configs: [{{url: '{}'}}]\n",
        server.settings(more),
        recorder.url
    );
    let Some(peer) = Peer::start(&configuration) else {
        eprintln!("skipped: no prometheus-alertmanager under target/peers");
        return;
    };
    peer.post(&alerts(None)).await;
    let theirs = server.wait(1).await.remove(0);
    let seen = recorder.wait_for("a webhook", |s| !s.is_empty()).await;
    drop(peer);
    let note = notification_of(&seen[0].json(), "team-a");
    deliver(&receivers_at(&configuration, EXTERNAL), "email", &note).await.unwrap();
    let ours = server.wait(2).await.remove(1);
    for name in ["Subject", "From", "To"] {
        assert_eq!(ours["headers"][name], theirs["headers"][name], "{name}");
    }
    assert_eq!((&ours["from"], &ours["to"]), (&theirs["from"], &theirs["to"]));
    assert_eq!(ours["parts"][0], theirs["parts"][0]);
    assert_eq!(ours["parts"][1]["type"], theirs["parts"][1]["type"]);
    let page = |mail: &Value| words(mail["parts"][1]["body"].as_str().unwrap());
    assert_eq!(page(&ours), page(&theirs));
}
